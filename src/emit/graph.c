/* Words for the nodes and edges of the wait graph. */
#include "emit/describe.h"
#include "emit/graph_internal.h"
#include <string.h>

static const struct graph_format graph_all[] = {
    {"svg", "a picture in one file that needs nothing else", 0, graph_svg_write},
    {"dot", "for Graphviz", 0, graph_dot_write},
    {"mermaid", "for pull requests and wikis", GRAPH_MERMAID_EDGES, graph_mermaid_write},
    {"json", "one object of schema unpark.graph/1", 0, graph_json_write},
};

const struct graph_format *graph_formats(size_t *count)
{
    *count = sizeof graph_all / sizeof *graph_all;
    return graph_all;
}

bool graph_is_proved(const struct wait_graph_group *group)
{
    return group->proved > 0 && group->proved == group->group->goroutines;
}

void graph_add_group_state(struct string_builder *builder, const struct graph_view *view,
                           size_t group)
{
    const struct wait_graph_group *item = &view->graph->groups[group];
    uint64_t count = item->group->goroutines;
    bool waits = item->group->status == GOROUTINE_STATUS_WAITING ||
                 item->group->status == GOROUTINE_STATUS_LEAKED;
    const char *state = waits && item->group->wait_reason != WAIT_REASON_NONE
                            ? wait_reason_text((enum wait_reason)item->group->wait_reason)
                            : goroutine_status_text((enum goroutine_status)item->group->status);
    string_builder_format(builder, "%llu goroutine%s, %s", (unsigned long long)count,
                          count == 1 ? "" : "s", state);
    if (item->group->age_max_ns != SNAPSHOT_UNKNOWN) {
        string_builder_add(builder, " for ");
        describe_duration(builder, item->group->age_max_ns);
    }
    if (graph_is_proved(item)) {
        string_builder_add(builder, ", proved stuck");
    } else if (item->proved > 0) {
        string_builder_format(builder, ", %llu proved stuck", (unsigned long long)item->proved);
    }
}

void graph_add_group_place(struct string_builder *builder, const struct graph_view *view,
                           size_t group)
{
    const struct group *item = view->graph->groups[group].group;
    uint32_t frame = snapshot_user_frame(view->snapshot, item->stack);
    if (frame == 0) {
        string_builder_add(builder, "no stack known");
        return;
    }
    const struct snapshot_frame *place = snapshot_frame(view->snapshot, frame);
    describe_string(builder, view->snapshot, place->function);
    if (place->file != 0) {
        const char *file = snapshot_string(view->snapshot, place->file);
        const char *slash = strrchr(file, '/');
        file = slash == NULL ? file : slash + 1;
        string_builder_add_char(builder, ' ');
        string_builder_add_escaped(builder, file, strlen(file));
        string_builder_format(builder, ":%lld", (long long)place->line);
    }
}

struct error *graph_add_object(struct string_builder *builder, const struct graph_view *view,
                               size_t object)
{
    const struct wait_graph_object *item = &view->graph->objects[object];
    bool nothing = item->kind == OBJECT_NIL_CHANNEL || item->kind == OBJECT_EMPTY_SELECT;
    if (item->objects > 1 && !nothing) {
        string_builder_format(builder, "%llu %s, e.g. ", (unsigned long long)item->objects,
                              describe_plural((enum snapshot_object_kind)item->kind));
    }
    return describe_object(builder, view->snapshot, item->example);
}

const char *graph_wait_word(const struct wait_graph_wait *wait)
{
    return describe_direction((enum snapshot_direction)wait->direction);
}

void graph_add_reach(struct string_builder *builder, const struct wait_graph_reach *reach)
{
    string_builder_add(builder, "can reach it");
    if (reach->function != NULL && reach->function[0] != '\0') {
        string_builder_add(builder, " in ");
        string_builder_add_escaped(builder, reach->function, strlen(reach->function));
    }
}

/* Adds "COUNT NOUNs" with a comma before it when it is not the first. */
static void graph_add_count(struct string_builder *builder, uint64_t count, const char *noun,
                            bool *first)
{
    if (count > 0) {
        string_builder_format(builder, "%s%llu %s%s", *first ? "" : ", ", (unsigned long long)count,
                              noun, count == 1 ? "" : "s");
        *first = false;
    }
}

void graph_add_rest(struct string_builder *builder, const struct graph_view *view)
{
    bool first = true;
    uint64_t outside = view->graph->outside;
    if (view->groups_cut > 0 || view->objects_cut > 0 || view->edges_cut > 0) {
        string_builder_add(builder, "not drawn: ");
        graph_add_count(builder, view->groups_cut, "group", &first);
        graph_add_count(builder, view->objects_cut, "object", &first);
        graph_add_count(builder, view->edges_cut, "edge", &first);
    }
    if (outside > 0) {
        string_builder_format(builder,
                              "%s%llu goroutine%s wait%s for no other goroutine, or nobody knows "
                              "for what",
                              first ? "" : "; ", (unsigned long long)outside,
                              outside == 1 ? "" : "s", outside == 1 ? "s" : "");
        first = false;
    }
    if (view->obstacle != NULL) {
        string_builder_add(builder, first ? "" : "; ");
        string_builder_add(builder, "who can reach what is not known: ");
        string_builder_add_escaped(builder, view->obstacle, strlen(view->obstacle));
    }
}
