#include "emit/dump.h"
#include "emit/dump_internal.h"

/* Counts a goroutine of the view. */
static void dump_count_viewed(const struct snapshot_goroutine *goroutine,
                              struct dump_counts *counts, uint64_t *system_shown)
{
    unsigned status = goroutine->status;
    counts->selected += goroutine->count;
    *system_shown += (goroutine->flags & GOROUTINE_SYSTEM) != 0 ? goroutine->count : 0;
    counts->by_status[status < GOROUTINE_STATUS_COUNT ? status : GOROUTINE_STATUS_UNKNOWN] +=
        goroutine->count;
}

/* Counts what a view shows and hides. */
void dump_count(const struct dump_view *view, struct dump_counts *ret)
{
    struct dump_counts counts = {0};
    size_t all;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(view->snapshot, &all);
    size_t viewed = dump_view_count(view);
    size_t next = 0;
    uint64_t system_shown = 0;
    for (size_t i = 0; i < all; i++) {
        bool system = (goroutines[i].flags & GOROUTINE_SYSTEM) != 0;
        counts.system += system ? goroutines[i].count : 0;
        counts.user += system ? 0 : goroutines[i].count;
        if (next < viewed && dump_view_index(view, next) == i) {
            next++;
            dump_count_viewed(&goroutines[i], &counts, &system_shown);
        }
    }
    for (; next < viewed; next++) { /* those of a view in another order */
        dump_count_viewed(&goroutines[dump_view_index(view, next)], &counts, &system_shown);
    }
    counts.system_hidden = counts.system - system_shown;
    counts.user_hidden = counts.user - (counts.selected - system_shown);
    *ret = counts;
}

/* Counts the goroutines of a view. */
size_t dump_view_count(const struct dump_view *view)
{
    if (view->selection != NULL) {
        return view->count;
    }
    size_t count;
    (void)snapshot_goroutines(view->snapshot, &count);
    return count;
}

/* Memory is that of a process, of an executable. */
bool dump_is_account(const struct snapshot *snapshot)
{
    const struct snapshot_program *program = snapshot_program(snapshot);
    return program->pid == SNAPSHOT_UNKNOWN && program->executable == 0 && program->machine == 0;
}

/* The items that the limit lets through. */
size_t dump_limit(const struct dump_view *view, size_t count)
{
    return view->limit != 0 && view->limit < count ? view->limit : count;
}
