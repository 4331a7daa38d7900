/* DOT: every identifier is our own, every text a quoted string with quotes and backslashes escaped.
 * What waits points at what it waits for; that points, dashed, at who can end the wait. */
#include "base/cleanup.h"
#include "emit/graph_internal.h"

/* Writes BUILDER as part of a quoted string, and empties it. */
static void graph_dot_add(struct emit_sink *sink, struct string_builder *builder)
{
    const char *text = string_builder_text(builder);
    for (size_t i = 0; i < builder->size; i++) {
        if (text[i] == '"' || text[i] == '\\') {
            emit_sink_add_bytes(sink, "\\", 1);
        }
        emit_sink_add_bytes(sink, &text[i], 1);
    }
    string_builder_clear(builder);
}

/* Writes group INDEX. */
static void graph_dot_group(const struct graph_view *view, size_t index,
                            struct string_builder *text, struct emit_sink *sink)
{
    emit_sink_add(sink, "  g");
    emit_sink_add_u64(sink, index);
    emit_sink_add(sink, " [shape=box, style=\"rounded,filled\", fillcolor=\"");
    emit_sink_add(sink, graph_is_proved(&view->graph->groups[index]) ? "#fde2e1" : "#e8f0fe");
    emit_sink_add(sink, "\", label=\"");
    graph_add_group_state(text, view, index);
    graph_dot_add(sink, text);
    emit_sink_add(sink, "\\l");
    graph_add_group_place(text, view, index);
    graph_dot_add(sink, text);
    emit_sink_add(sink, "\\l\"];\n");
}

/* Writes object INDEX. */
static struct error *graph_dot_object(const struct graph_view *view, size_t index,
                                      struct string_builder *text, struct emit_sink *sink)
{
    emit_sink_add(sink, "  o");
    emit_sink_add_u64(sink, index);
    emit_sink_add(sink, " [shape=ellipse, style=filled, fillcolor=\"#fff7e0\", label=\"");
    TRY(graph_add_object(text, view, index));
    graph_dot_add(sink, text);
    emit_sink_add(sink, "\"];\n");
    return NULL;
}

/* Writes the edges. */
static void graph_dot_edges(const struct wait_graph *graph, struct string_builder *text,
                            struct emit_sink *sink)
{
    for (size_t i = 0; i < graph->wait_count; i++) {
        const struct wait_graph_wait *wait = &graph->waits[i];
        string_builder_format(text, "  g%u -> o%u [label=\"%s %llu\"];\n", wait->group,
                              wait->object, graph_wait_word(wait),
                              (unsigned long long)wait->goroutines);
        emit_sink_add(sink, string_builder_text(text));
        string_builder_clear(text);
    }
    for (size_t i = 0; i < graph->reach_count; i++) {
        const struct wait_graph_reach *reach = &graph->reaches[i];
        string_builder_format(text, "  o%u -> g%u [style=dashed, label=\"", reach->object,
                              reach->group);
        emit_sink_add(sink, string_builder_text(text));
        string_builder_clear(text);
        graph_add_reach(text, reach);
        graph_dot_add(sink, text);
        emit_sink_add(sink, "\"];\n");
    }
}

struct error *graph_dot_write(const struct graph_view *view, struct emit_sink *sink)
{
    CLEANUP(string_builder_deinit) struct string_builder text = {0};
    emit_sink_add(sink, "digraph waits {\n  rankdir=LR;\n"
                        "  node [fontname=\"Helvetica\", fontsize=11];\n"
                        "  edge [fontname=\"Helvetica\", fontsize=9];\n");
    for (size_t i = 0; i < view->graph->group_count; i++) {
        graph_dot_group(view, i, &text, sink);
    }
    for (size_t i = 0; i < view->graph->object_count; i++) {
        TRY(graph_dot_object(view, i, &text, sink));
    }
    graph_dot_edges(view->graph, &text, sink);
    graph_add_rest(&text, view);
    if (text.size > 0) {
        emit_sink_add(sink, "  label=\"");
        graph_dot_add(sink, &text);
        emit_sink_add(sink, "\";\n");
    }
    emit_sink_add(sink, "}\n");
    TRY(string_builder_error(&text));
    return emit_sink_flush(sink);
}
