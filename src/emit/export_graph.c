#include "base/cleanup.h"
#include "emit/export.h"
#include "emit/graph.h"

enum { EXPORT_GRAPH_NODES = 60 };

/* Writes the graph of VIEW's groups by WRITE; EDGES at most, 0: no limit. */
static struct error *export_graph_write(const struct export_view *view, graph_write *write,
                                        size_t edges, struct emit_sink *sink)
{
    struct wait_graph graph CLEANUP(wait_graph_deinit) = {0};
    struct wait_graph_input input = {.snapshot = view->dump.snapshot,
                                     .groups = view->dump.groups,
                                     .verdicts = view->leaks == NULL ? NULL : view->leaks->verdicts,
                                     .references = view->references,
                                     .reference_count = view->reference_count};
    size_t limit = view->dump.limit == 0 ? EXPORT_GRAPH_NODES : view->dump.limit;
    TRY(wait_graph_init(&graph, &input));
    struct graph_view picture = {.snapshot = view->dump.snapshot,
                                 .graph = &graph,
                                 .groups_cut = graph.group_count,
                                 .objects_cut = graph.object_count,
                                 .edges_cut = graph.wait_count + graph.reach_count,
                                 .obstacle = view->leaks_obstacle};
    wait_graph_cut(&graph, limit, limit, edges);
    picture.groups_cut -= graph.group_count;
    picture.objects_cut -= graph.object_count;
    picture.edges_cut -= graph.wait_count + graph.reach_count;
    return write(&picture, sink);
}

struct error *export_dot_write(const struct export_view *view, struct emit_sink *sink)
{
    return export_graph_write(view, graph_dot_write, 0, sink);
}

struct error *export_mermaid_write(const struct export_view *view, struct emit_sink *sink)
{
    return export_graph_write(view, graph_mermaid_write, GRAPH_MERMAID_EDGES, sink);
}
