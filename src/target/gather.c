/* Reading many small objects at scattered addresses. Sorted by address, neighbours are joined into
 * one range each (short gaps are read over: a further range costs more than the bytes), and a
 * window of ranges is read with one call. A joined range that hits an unreadable page is finished
 * object by object. */
#include "target/gather.h"

#include "base/cleanup.h"
#include <stdlib.h>
#include <string.h>

enum {
    GATHER_BUFFER = 128 << 10,      /* bytes of one window */
    GATHER_RANGES = 1024,           /* ranges of one window: one call of process_vm_readv */
    GATHER_GAP = 4096,              /* bytes between objects that are cheaper read than left out */
    GATHER_SINGLE_BUFFER = 1 << 20, /* bytes of one batch of single objects */
    GATHER_SIZE_MAX = 64 << 10,
    GATHER_DIGIT_BITS = 10 /* of an address, sorted by at once */
};

/* The state of one gathering. */
struct gather {
    struct target *target;
    const struct gather_item *items;
    size_t count;
    size_t size; /* of an object */
    gather_visitor *visitor;
    void *context;
    uint8_t *buffer;        /* GATHER_BUFFER */
    uint8_t *single_buffer; /* GATHER_SINGLE_BUFFER, NULL until needed */
    struct target_range ranges[GATHER_RANGES];
    size_t ends[GATHER_RANGES]; /* index behind the last item of each range */
};

/* True when ITEMS need no sorting. */
static bool gather_is_sorted(const struct gather_item *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (items[i].address < items[i - 1].address) {
            return false;
        }
    }
    return true;
}

/* Moves COUNT items in the order of the digit at SHIFT, by its values in MASK; keeps the order of
 * equal ones. */
static void gather_sort_pass(const struct gather_item *from, struct gather_item *to, size_t count,
                             unsigned shift, uint64_t mask)
{
    size_t starts[1 << GATHER_DIGIT_BITS];
    memset(starts, 0, (size_t)(mask + 1) * sizeof *starts);
    for (size_t i = 0; i < count; i++) {
        starts[from[i].address >> shift & mask]++;
    }
    size_t sum = 0;
    for (size_t value = 0; value <= mask; value++) {
        size_t number = starts[value];
        starts[value] = sum;
        sum += number;
    }
    for (size_t i = 0; i < count; i++) {
        to[starts[from[i].address >> shift & mask]++] = from[i];
    }
}

/* Only the bits in which addresses differ at all are looked at: objects of one size in a few spans
 * differ in few. */
void gather_sort(struct gather_item *items, struct gather_item *scratch, size_t count)
{
    uint64_t differing = 0;
    for (size_t i = 1; i < count; i++) {
        differing |= items[i].address ^ items[0].address;
    }
    struct gather_item *from = items;
    struct gather_item *to = scratch;
    while (differing != 0) {
        unsigned shift = (unsigned)__builtin_ctzll(differing);
        unsigned bits = 64 - (unsigned)__builtin_clzll(differing) - shift;
        unsigned passes = (bits + GATHER_DIGIT_BITS - 1) / GATHER_DIGIT_BITS;
        unsigned digit = (bits + passes - 1) / passes;
        uint64_t mask = ((uint64_t)1 << digit) - 1;
        gather_sort_pass(from, to, count, shift, mask);
        differing &= ~(mask << shift);
        struct gather_item *swap = from;
        from = to;
        to = swap;
    }
    if (from != items) {
        memcpy(items, from, count * sizeof *items);
    }
}

/* Plans one window from item *NEXT on: ranges over the buffer. Returns how many ranges. */
static size_t gather_plan(struct gather *gather, size_t *next)
{
    size_t used = 0;
    size_t ranges = 0;
    for (; *next < gather->count; ++*next) {
        uint64_t address = gather->items[*next].address;
        struct target_range *last = ranges == 0 ? NULL : &gather->ranges[ranges - 1];
        /* Items ascend, so the distance from the start of the range is exact. */
        uint64_t distance = last == NULL ? UINT64_MAX : address - last->address;
        if (last != NULL && distance <= last->size + GATHER_GAP) {
            size_t size = (size_t)distance + gather->size;
            size_t more = size > last->size ? size - last->size : 0;
            if (used + more > GATHER_BUFFER) {
                break;
            }
            last->size += more;
            used += more;
        } else {
            if (ranges == GATHER_RANGES || used + gather->size > GATHER_BUFFER) {
                break;
            }
            gather->ranges[ranges++] = (struct target_range){
                .address = address, .size = gather->size, .destination = gather->buffer + used};
            used += gather->size;
        }
        gather->ends[ranges - 1] = *next + 1;
    }
    return ranges;
}

/* Reads the items from FIRST to before END one range each, and visits them. */
static struct error *gather_visit_singly(struct gather *gather, size_t first, size_t end)
{
    size_t batch = GATHER_SINGLE_BUFFER / gather->size;
    batch = batch > GATHER_RANGES ? GATHER_RANGES : batch;
    CLEANUP_FREE struct target_range *ranges = calloc(batch, sizeof *ranges);
    if (gather->single_buffer == NULL) {
        gather->single_buffer = malloc(GATHER_SINGLE_BUFFER);
    }
    if (ranges == NULL || gather->single_buffer == NULL) {
        return error_no_memory();
    }
    while (first < end) {
        size_t count = end - first < batch ? end - first : batch;
        for (size_t i = 0; i < count; i++) {
            ranges[i] =
                (struct target_range){.address = gather->items[first + i].address,
                                      .size = gather->size,
                                      .destination = gather->single_buffer + i * gather->size};
        }
        TRY(target_read_ranges(gather->target, ranges, count));
        for (size_t i = 0; i < count; i++) {
            const uint8_t *bytes = ranges[i].done == gather->size ? ranges[i].destination : NULL;
            TRY(gather->visitor(gather->context, &gather->items[first + i], bytes));
        }
        first += count;
    }
    return NULL;
}

/* Visits the items from FIRST to before END, which lie in RANGE. */
static struct error *gather_visit_range(struct gather *gather, const struct target_range *range,
                                        size_t first, size_t end)
{
    for (size_t i = first; i < end; i++) {
        const struct gather_item *item = &gather->items[i];
        size_t offset = (size_t)(item->address - range->address);
        if (offset + gather->size > range->done) {
            if (range->size == gather->size) {
                TRY(gather->visitor(gather->context, item, NULL));
                continue;
            }
            return gather_visit_singly(gather, i, end);
        }
        TRY(gather->visitor(gather->context, item, range->destination + offset));
    }
    return NULL;
}

/* Reads and visits window after window. */
static struct error *gather_run(struct gather *gather)
{
    for (size_t next = 0; next < gather->count;) {
        size_t first = next;
        size_t ranges = gather_plan(gather, &next);
        TRY(target_read_ranges(gather->target, gather->ranges, ranges));
        for (size_t i = 0; i < ranges; i++) {
            TRY(gather_visit_range(gather, &gather->ranges[i], first, gather->ends[i]));
            first = gather->ends[i];
        }
    }
    return NULL;
}

struct error *gather_visit(struct target *target, struct gather_item *items, size_t count,
                           size_t size, gather_visitor *visitor, void *context)
{
    if (size == 0 || size > GATHER_SIZE_MAX) {
        return error_create(ERROR_INTERNAL, "objects of %zu bytes cannot be gathered", size);
    }
    if (!gather_is_sorted(items, count)) {
        CLEANUP_FREE struct gather_item *scratch = reallocarray(NULL, count, sizeof *scratch);
        if (scratch == NULL) {
            return error_no_memory();
        }
        gather_sort(items, scratch, count);
    }
    CLEANUP_FREE struct gather *gather = malloc(sizeof *gather);
    if (gather == NULL) {
        return error_no_memory();
    }
    CLEANUP_FREE uint8_t *buffer = malloc(GATHER_BUFFER);
    if (buffer == NULL) {
        return error_no_memory();
    }
    gather->target = target;
    gather->items = items;
    gather->count = count;
    gather->size = size;
    gather->visitor = visitor;
    gather->context = context;
    gather->buffer = buffer;
    gather->single_buffer = NULL;
    struct error *error = gather_run(gather);
    free(gather->single_buffer);
    return error;
}
