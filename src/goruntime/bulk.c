/* A system call costs little per byte and much per range, so short gaps are read over; how short is
 * measured on the target itself: with huge pages copying is cheap, without each page costs. */
#include "goruntime/bulk.h"

#include "base/clock.h"
#include <stdlib.h>

enum {
    /* Bytes of a batch of more than one piece: they stay in the nearest caches, and of a new buffer
     * the system clears only these. */
    BULK_CAPACITY = 128 << 10,
    BULK_RANGES = 1024, /* one system call */
    BULK_MODES = 2,
    BULK_TRIALS = 2,  /* batches that try each mode before the faster is kept */
    BULK_AGAIN = 1024 /* batches until the choice is made anew */
};

/* Gaps up to this many bytes are read over. */
static const uint64_t bulk_gaps[BULK_MODES] = {1 << 10, 8 << 10};

/* What reading with one of the gaps has cost. */
struct bulk_mode {
    uint64_t ns;
    uint64_t pieces;
    unsigned batches;
};

struct bulk {
    struct target *target;
    uint8_t *buffer; /* BULK_PIECE_MAX bytes for a batch, as many for a single piece */
    struct bulk_mode modes[BULK_MODES];
    struct target_range ranges[BULK_RANGES];
    size_t range_count;
};

/* Allocates the buffers. */
struct error *bulk_create(struct target *target, struct bulk **ret)
{
    _Static_assert((size_t)BULK_CAPACITY <= (size_t)BULK_PIECE_MAX,
                   "a batch is no larger than a piece");
    struct bulk *bulk = calloc(1, sizeof *bulk);
    uint8_t *buffer = malloc(2 * (size_t)BULK_PIECE_MAX);
    if (bulk == NULL || buffer == NULL) {
        free(bulk);
        free(buffer);
        return error_no_memory();
    }
    bulk->target = target;
    bulk->buffer = buffer;
    *ret = bulk;
    return NULL;
}

/* Frees the buffers. */
void bulk_destroy(struct bulk *bulk)
{
    if (bulk != NULL) {
        free(bulk->buffer);
        free(bulk);
    }
}

/* The size of a piece. */
static size_t bulk_size(const struct gather_item *item)
{
    size_t size = (size_t)(item->tag >> 32);
    return size < BULK_PIECE_MAX ? size : BULK_PIECE_MAX;
}

/* Which mode the next batch uses. */
static struct bulk_mode *bulk_choose(struct bulk *bulk, uint64_t *gap_ret)
{
    struct bulk_mode *modes = bulk->modes;
    unsigned chosen = 0;
    for (unsigned i = 1; i < BULK_MODES; i++) {
        bool fewer = modes[i].batches < modes[chosen].batches;
        bool tried = modes[i].batches >= BULK_TRIALS && modes[chosen].batches >= BULK_TRIALS;
        bool faster = modes[i].ns * modes[chosen].pieces < modes[chosen].ns * modes[i].pieces;
        if (tried ? faster : fewer) {
            chosen = i;
        }
    }
    if (modes[chosen].batches >= BULK_AGAIN) {
        for (unsigned i = 0; i < BULK_MODES; i++) {
            modes[i] = (struct bulk_mode){0};
        }
    }
    *gap_ret = bulk_gaps[chosen];
    return &modes[chosen];
}

/* Joins pieces from FIRST on into ranges, as many as one batch holds; returns the end of them. */
static size_t bulk_fill(struct bulk *bulk, const struct gather_item *items, size_t first,
                        size_t count, uint64_t gap)
{
    size_t used = 0;
    struct target_range *range = NULL;
    bulk->range_count = 0;
    size_t i = first;
    for (; i < count; i++) {
        size_t size = bulk_size(&items[i]);
        uint64_t offset = range == NULL ? 0 : items[i].address - range->address;
        if (range != NULL && offset <= range->size + gap) {
            size_t grow = offset + size > range->size ? (size_t)(offset + size) - range->size : 0;
            if (used + grow > BULK_CAPACITY) {
                break;
            }
            range->size += grow;
            used += grow;
            continue;
        }
        used = (used + 7) & ~(size_t)7;
        if (bulk->range_count == BULK_RANGES || (range != NULL && used + size > BULK_CAPACITY)) {
            break;
        }
        range = &bulk->ranges[bulk->range_count++];
        *range = (struct target_range){
            .address = items[i].address, .size = size, .destination = bulk->buffer + used};
        used += size;
    }
    return i;
}

/* The bytes of ITEM from the batch, or read singly when the batch did not get them; NULL when they
 * are not readable. */
static struct error *bulk_find(struct bulk *bulk, const struct gather_item *item,
                               const struct target_range *range, const uint8_t **ret)
{
    uint64_t offset = item->address - range->address;
    size_t size = bulk_size(item);
    if (offset + size <= range->done) {
        *ret = range->destination + offset;
        return NULL;
    }
    struct target_range single = {
        .address = item->address, .size = size, .destination = bulk->buffer + BULK_PIECE_MAX};
    TRY(target_read_ranges(bulk->target, &single, 1));
    *ret = single.done == size ? single.destination : NULL;
    return NULL;
}

/* Visits the pieces FIRST .. END of a batch. */
static struct error *bulk_pass(struct bulk *bulk, const struct gather_item *items, size_t first,
                               size_t end, bulk_visitor *visitor, void *context)
{
    const struct target_range *range = bulk->ranges;
    const struct target_range *last = bulk->ranges + bulk->range_count - 1;
    for (size_t i = first; i < end; i++) {
        while (range < last && items[i].address >= range[1].address) {
            range++;
        }
        const uint8_t *bytes;
        TRY(bulk_find(bulk, &items[i], range, &bytes));
        TRY(visitor(context, &items[i], bytes));
    }
    return NULL;
}

/* True when ITEMS need no sorting. */
static bool bulk_is_sorted(const struct gather_item *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (items[i].address < items[i - 1].address) {
            return false;
        }
    }
    return true;
}

/* Visits batch by batch. */
struct error *bulk_visit(struct bulk *bulk, struct gather_item *items, struct gather_item *scratch,
                         size_t count, bulk_visitor *visitor, void *context)
{
    if (!bulk_is_sorted(items, count)) {
        gather_sort(items, scratch, count);
    }
    for (size_t next = 0; next < count;) {
        uint64_t gap;
        struct bulk_mode *mode = bulk_choose(bulk, &gap);
        size_t end = bulk_fill(bulk, items, next, count, gap);
        uint64_t start = clock_now();
        TRY(target_read_ranges(bulk->target, bulk->ranges, bulk->range_count));
        mode->ns += clock_now() - start;
        mode->pieces += end - next;
        mode->batches++;
        TRY(bulk_pass(bulk, items, next, end, visitor, context));
        next = end;
    }
    return NULL;
}
