#include "emit/goroutine_counts.h"
#include "base/hash_map.h"
#include "base/vector.h"

/* States from here on are wait reasons, those below statuses. */
enum { GOROUTINE_COUNTS_REASON = 256 };

uint16_t goroutine_counts_state(const struct snapshot_goroutine *goroutine)
{
    bool waits = goroutine->status == GOROUTINE_STATUS_WAITING ||
                 goroutine->status == GOROUTINE_STATUS_LEAKED;
    const char *reason = wait_reason_text((enum wait_reason)goroutine->wait_reason);
    return waits && *reason != '\0' ? (uint16_t)(GOROUTINE_COUNTS_REASON + goroutine->wait_reason)
                                    : goroutine->status;
}

const char *goroutine_counts_state_text(uint16_t state)
{
    if (state == GOROUTINE_STATUS_UNKNOWN) {
        return "";
    }
    return state >= GOROUTINE_COUNTS_REASON
               ? wait_reason_text((enum wait_reason)(state - GOROUTINE_COUNTS_REASON))
               : goroutine_status_text((enum goroutine_status)state);
}

bool goroutine_counts_next(const struct goroutine_counts_view *view, size_t *position,
                           struct goroutine_count *ret)
{
    size_t all;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(view->snapshot, &all);
    size_t end = view->selection == NULL ? all : view->count;
    while (*position < end) {
        size_t at = (*position)++;
        uint32_t index = view->selection == NULL ? (uint32_t)at : view->selection[at];
        const struct snapshot_goroutine *goroutine = &goroutines[index];
        bool leaked = view->leaked != NULL ? view->leaked[index] != 0
                                           : (goroutine->flags & GOROUTINE_LEAKED) != 0;
        bool own = view->selection == NULL && (goroutine->flags & GOROUTINE_SYSTEM) != 0;
        if (own || (view->only_leaked && !leaked)) {
            continue;
        }
        *ret = (struct goroutine_count){.stack = goroutine->stack,
                                        .labels = goroutine->labels,
                                        .state = goroutine_counts_state(goroutine),
                                        .leaked = leaked,
                                        .goroutines = goroutine->count,
                                        .first = index};
        return true;
    }
    return false;
}

/* What lives while counting. */
struct goroutine_counts_table {
    struct hash_map kinds; /* (labels, state, leaked): a number */
    struct hash_map items; /* (stack, that number): index */
    VECTOR(struct goroutine_count) counts;
};

/* Adds ONE to its equals. */
static struct error *goroutine_counts_add(struct goroutine_counts_table *table,
                                          const struct goroutine_count *one)
{
    uint64_t *slot;
    bool added;
    uint64_t kind = (uint64_t)one->labels << 32 | (uint64_t)one->state << 1 | one->leaked;
    TRY(hash_map_entry(&table->kinds, kind, hash_map_count(&table->kinds), &added, &slot));
    uint64_t key = (uint64_t)one->stack << 32 | *slot;
    TRY(hash_map_entry(&table->items, key, table->counts.count, &added, &slot));
    if (added) {
        return vector_append(&table->counts, *one);
    }
    table->counts.items[*slot].goroutines += one->goroutines;
    return NULL;
}

/* Counts all of VIEW. */
static struct error *goroutine_counts_fill(struct goroutine_counts_table *table,
                                           const struct goroutine_counts_view *view,
                                           uint64_t *goroutines_ret)
{
    struct goroutine_count one;
    size_t position = 0;
    while (goroutine_counts_next(view, &position, &one)) {
        one.state = view->by_state ? one.state : 0;
        one.leaked = view->by_leak && one.leaked;
        *goroutines_ret += one.goroutines;
        TRY(goroutine_counts_add(table, &one));
    }
    return NULL;
}

/* Most goroutines first. */
static int goroutine_counts_compare(const void *left, const void *right)
{
    const struct goroutine_count *a = left;
    const struct goroutine_count *b = right;
    int order = (b->goroutines > a->goroutines) - (b->goroutines < a->goroutines);
    return order != 0 ? order : (a->first > b->first) - (a->first < b->first);
}

struct error *goroutine_counts_init(struct goroutine_counts *counts,
                                    const struct goroutine_counts_view *view)
{
    struct goroutine_counts_table table = {0};
    *counts = (struct goroutine_counts){0};
    struct error *error = goroutine_counts_fill(&table, view, &counts->goroutines);
    hash_map_deinit(&table.kinds);
    hash_map_deinit(&table.items);
    counts->items = table.counts.items;
    counts->count = table.counts.count;
    if (error == NULL && counts->count > 0) {
        qsort(counts->items, counts->count, sizeof *counts->items, goroutine_counts_compare);
    }
    return error;
}

void goroutine_counts_deinit(struct goroutine_counts *counts)
{
    free(counts->items);
    *counts = (struct goroutine_counts){0};
}
