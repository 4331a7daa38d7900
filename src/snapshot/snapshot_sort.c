/* Goroutines by id. Most sources deliver them sorted, or in few runs that ascend, which are merged;
 * when not, a stable radix sort of (id, index) pairs, over the bytes of the id that differ at all,
 * finds the order. The large records then move once, in place, along the cycles of the permutation.
 */
#include "snapshot/snapshot_internal.h"
#include <stdlib.h>
#include <string.h>

enum {
    SORT_RADIX_BITS = 8,
    SORT_RADIX = 1 << SORT_RADIX_BITS,
    SORT_RUN_MIN = 256 /* goroutines in an average run, from which on merging is faster */
};

struct snapshot_sort_pair {
    uint64_t id;
    uint64_t index;
};

/* One stable pass over the digit at SHIFT. */
static void snapshot_sort_pass(const struct snapshot_sort_pair *from, struct snapshot_sort_pair *to,
                               size_t count, unsigned shift)
{
    size_t starts[SORT_RADIX] = {0};
    for (size_t i = 0; i < count; i++) {
        starts[from[i].id >> shift & (SORT_RADIX - 1)]++;
    }
    size_t sum = 0;
    for (size_t digit = 0; digit < SORT_RADIX; digit++) {
        size_t size = starts[digit];
        starts[digit] = sum;
        sum += size;
    }
    for (size_t i = 0; i < count; i++) {
        to[starts[from[i].id >> shift & (SORT_RADIX - 1)]++] = from[i];
    }
}

/* Sorts PAIRS with SPARE as room; returns which of the two holds the result. */
static struct snapshot_sort_pair *snapshot_sort_pairs(struct snapshot_sort_pair *pairs,
                                                      struct snapshot_sort_pair *spare,
                                                      size_t count)
{
    uint64_t differing = 0;
    for (size_t i = 1; i < count; i++) {
        differing |= pairs[i].id ^ pairs[0].id;
    }
    for (unsigned shift = 0; shift < 64; shift += SORT_RADIX_BITS) {
        if ((differing >> shift & (SORT_RADIX - 1)) == 0) {
            continue;
        }
        snapshot_sort_pass(pairs, spare, count, shift);
        struct snapshot_sort_pair *swap = pairs;
        pairs = spare;
        spare = swap;
    }
    return pairs;
}

/* Asks for the record that will be needed some steps on; *AHEAD is its place and moves on. */
static inline void snapshot_sort_prefetch(const struct snapshot_goroutine *goroutines,
                                          const uint32_t *order, size_t *ahead)
{
    *ahead = order[*ahead];
    __builtin_prefetch(&goroutines[*ahead].id);
    __builtin_prefetch(&goroutines[*ahead].wait_reason); /* the last: it may be in another line */
}

/* Moves each record to its place: ORDER[i] is where the record for place i is now. Places done are
 * marked by themselves. */
static void snapshot_sort_permute(struct snapshot_goroutine *goroutines, uint32_t *order,
                                  size_t count)
{
    enum { AHEAD = 8 };
    for (size_t start = 0; start < count; start++) {
        if (order[start] == start) {
            continue;
        }
        struct snapshot_goroutine first = goroutines[start];
        size_t place = start;
        size_t ahead = start;
        for (int i = 0; i < AHEAD; i++) {
            snapshot_sort_prefetch(goroutines, order, &ahead);
        }
        while (order[place] != start) {
            size_t from = order[place];
            snapshot_sort_prefetch(goroutines, order, &ahead);
            goroutines[place] = goroutines[from];
            order[place] = (uint32_t)place;
            place = from;
        }
        goroutines[place] = first;
        order[place] = (uint32_t)place;
    }
}

/* A run of ascending ids: what is left of it while runs are merged. */
struct snapshot_sort_run {
    uint64_t id; /* of the goroutine at next */
    size_t next, end;
};

/* True when A's next goroutine comes before B's. */
static inline bool snapshot_sort_run_before(const struct snapshot_sort_run *a,
                                            const struct snapshot_sort_run *b)
{
    return a->id != b->id ? a->id < b->id : a->next < b->next;
}

/* Lets the run at PLACE of the heap sink below those that come before it. */
static void snapshot_sort_sink(struct snapshot_sort_run *heap, size_t count, size_t place)
{
    struct snapshot_sort_run run = heap[place];
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= count) {
            break;
        }
        if (child + 1 < count && snapshot_sort_run_before(&heap[child + 1], &heap[child])) {
            child++;
        }
        if (!snapshot_sort_run_before(&heap[child], &run)) {
            break;
        }
        heap[place] = heap[child];
        place = child;
    }
    heap[place] = run;
}

/* Merges the COUNT runs of HEAP into ORDER. */
static void snapshot_sort_merge(const uint64_t *ids, struct snapshot_sort_run *heap, size_t count,
                                uint32_t *order)
{
    for (size_t i = count / 2; i-- > 0;) {
        snapshot_sort_sink(heap, count, i);
    }
    while (count > 0) {
        struct snapshot_sort_run *run = &heap[0];
        const struct snapshot_sort_run *rival =
            count > 2 && snapshot_sort_run_before(&heap[2], &heap[1]) ? &heap[2] : &heap[count > 1];
        do {
            *order++ = (uint32_t)run->next++;
            run->id = run->next < run->end ? ids[run->next] : 0;
        } while (run->next < run->end && (rival == run || snapshot_sort_run_before(run, rival)));
        if (run->next == run->end) {
            *run = heap[--count];
        }
        snapshot_sort_sink(heap, count, 0);
    }
}

/* How many ascending runs there are. */
static size_t snapshot_sort_count_runs(const uint64_t *ids, size_t count)
{
    size_t runs = count > 0;
    for (size_t i = 1; i < count; i++) {
        runs += ids[i] < ids[i - 1];
    }
    return runs;
}

/* Finds the RUNS ascending runs and merges them into ORDER. */
static struct error *snapshot_sort_runs(const uint64_t *ids, size_t count, size_t runs,
                                        uint32_t *order)
{
    struct snapshot_sort_run *heap = calloc(runs, sizeof *heap);
    if (heap == NULL) {
        return error_no_memory();
    }
    size_t first = 0;
    for (size_t i = 0; i < runs; i++) {
        size_t end = first + 1;
        while (end < count && ids[end] >= ids[end - 1]) {
            end++;
        }
        heap[i] = (struct snapshot_sort_run){ids[first], first, end};
        first = end;
    }
    snapshot_sort_merge(ids, heap, runs, order);
    free(heap);
    return NULL;
}

/* Finds ORDER by sorting. */
static struct error *snapshot_sort_radix(const uint64_t *ids, size_t count, uint32_t *order)
{
    struct snapshot_sort_pair *pairs = calloc(count, 2 * sizeof *pairs);
    if (pairs == NULL) {
        return error_no_memory();
    }
    for (size_t i = 0; i < count; i++) {
        pairs[i] = (struct snapshot_sort_pair){.id = ids[i], .index = i};
    }
    const struct snapshot_sort_pair *sorted = snapshot_sort_pairs(pairs, pairs + count, count);
    for (size_t i = 0; i < count; i++) {
        order[i] = (uint32_t)sorted[i].index;
    }
    free(pairs);
    return NULL;
}

/* Sorts by id; there are fewer than 2^32. */
struct error *snapshot_sort(struct snapshot_goroutine *goroutines, const uint64_t *ids,
                            size_t count)
{
    size_t runs = snapshot_sort_count_runs(ids, count);
    if (runs <= 1) {
        return NULL;
    }
    uint32_t *order = malloc(count * sizeof *order);
    if (order == NULL) {
        return error_no_memory();
    }
    struct error *error = count / runs >= SORT_RUN_MIN ? snapshot_sort_runs(ids, count, runs, order)
                                                       : snapshot_sort_radix(ids, count, order);
    if (error == NULL) {
        snapshot_sort_permute(goroutines, order, count);
    }
    free(order);
    return error;
}
