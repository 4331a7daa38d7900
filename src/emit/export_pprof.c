#include "base/cleanup.h"
#include "emit/dump_internal.h"
#include "emit/export.h"
#include "emit/pprof_write.h"
#include <stdlib.h>

/* The goroutines of the groups within the limit. */
static struct error *export_pprof_select(const struct dump_view *view, uint32_t **ret,
                                         size_t *count_ret)
{
    size_t groups = dump_limit(view, view->groups->count);
    size_t count = 0;
    for (size_t i = 0; i < groups; i++) {
        count += view->groups->items[i].count;
    }
    uint32_t *selection = reallocarray(NULL, count + 1, sizeof *selection);
    if (selection == NULL) {
        return error_no_memory();
    }
    count = 0;
    for (size_t i = 0; i < groups; i++) {
        const struct group *group = &view->groups->items[i];
        memcpy(selection + count, group->members, group->count * sizeof *selection);
        count += group->count;
    }
    *ret = selection;
    *count_ret = count;
    return NULL;
}

/* Writes the profile. */
struct error *export_pprof_write(const struct export_view *view, struct emit_sink *sink)
{
    CLEANUP_FREE uint32_t *selection = NULL;
    struct pprof_view profile = {
        .snapshot = view->dump.snapshot,
        .selection = view->dump.selection,
        .count = dump_limit(&view->dump, dump_view_count(&view->dump)),
        .leaked = view->dump.leaked,
        .kind = view->dump.leaked != NULL ? PPROF_BOTH : PPROF_GOROUTINES,
        .detail = view->dump.groups != NULL ? PPROF_COUNTS : PPROF_EACH,
    };
    if (view->dump.groups != NULL) {
        TRY(export_pprof_select(&view->dump, &selection, &profile.count));
        profile.selection = selection;
    }
    return pprof_write(&profile, sink);
}
