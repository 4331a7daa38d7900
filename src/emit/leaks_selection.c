/* Which findings a view shows. */
#include "emit/leaks.h"
#include <stdlib.h>

bool leaks_shows(const struct leaks_view *view, const struct finding *finding)
{
    return !view->only_proved || finding->verdict == LEAK_VERDICT_PROVED;
}

struct error *leaks_selection_init(struct leaks_selection *selection, const struct leaks_view *view)
{
    const struct finding_list *findings = view->findings;
    *selection = (struct leaks_selection){
        .items = calloc(findings->count + 1, sizeof *selection->items),
        .places = calloc(findings->count + 1, sizeof *selection->places),
    };
    if (selection->items == NULL || selection->places == NULL) {
        leaks_selection_deinit(selection);
        return error_no_memory();
    }
    size_t heads = 0;
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];
        bool behind = finding->head != i && selection->places[finding->head] != SIZE_MAX;
        bool fits = behind || view->limit == 0 || heads < view->limit;
        bool shown = fits && leaks_shows(view, finding);
        heads += shown && !behind;
        selection->places[i] = shown ? selection->count : SIZE_MAX;
        if (shown) {
            selection->items[selection->count++] = i;
        } else {
            selection->hidden++;
        }
    }
    return NULL;
}

void leaks_selection_deinit(struct leaks_selection *selection)
{
    free(selection->items);
    free(selection->places);
    *selection = (struct leaks_selection){0};
}
