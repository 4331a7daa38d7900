/* Goroutines by id. Most sources deliver them nearly sorted; when not, a stable radix sort of (id,
 * index) pairs, over the bytes of the id that differ at all, finds the order, and the large records
 * then move once, in place, along the cycles of the permutation. */
#include "snapshot/snapshot_internal.h"
#include <stdlib.h>
#include <string.h>

enum { SORT_RADIX_BITS = 8, SORT_RADIX = 1 << SORT_RADIX_BITS };

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

/* Moves each record to its place: ORDER[i].index is where the record for place i is now. Places
 * done are marked by index == place. */
static void snapshot_sort_permute(struct snapshot_goroutine *goroutines,
                                  struct snapshot_sort_pair *order, size_t count)
{
    for (size_t start = 0; start < count; start++) {
        if (order[start].index == start) {
            continue;
        }
        struct snapshot_goroutine first = goroutines[start];
        size_t place = start;
        while (order[place].index != start) {
            size_t from = (size_t)order[place].index;
            goroutines[place] = goroutines[from];
            order[place].index = place;
            place = from;
        }
        goroutines[place] = first;
        order[place].index = place;
    }
}

/* True when the ids ascend. */
static bool snapshot_sort_is_sorted(const struct snapshot_goroutine *goroutines, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (goroutines[i].id < goroutines[i - 1].id) {
            return false;
        }
    }
    return true;
}

/* Sorts by id. */
struct error *snapshot_sort(struct snapshot_goroutine *goroutines, size_t count)
{
    if (snapshot_sort_is_sorted(goroutines, count)) {
        return NULL;
    }
    struct snapshot_sort_pair *pairs = calloc(count, 2 * sizeof *pairs);
    if (pairs == NULL) {
        return error_no_memory();
    }
    for (size_t i = 0; i < count; i++) {
        pairs[i] = (struct snapshot_sort_pair){.id = goroutines[i].id, .index = i};
    }
    snapshot_sort_permute(goroutines, snapshot_sort_pairs(pairs, pairs + count, count), count);
    free(pairs);
    return NULL;
}
