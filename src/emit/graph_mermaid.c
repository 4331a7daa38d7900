/* Mermaid: a flow chart whose identifiers are our own; texts stand in quotes, and every character
 * that means something to Mermaid, Markdown or HTML is written as a #number; reference. Renderers
 * refuse more than 500 edges or 50,000 characters, so this stops before. */
#include "base/cleanup.h"
#include "emit/graph_internal.h"
#include <stdlib.h>
#include <string.h>

enum { GRAPH_MERMAID_SIZE = 40000, GRAPH_MERMAID_NAME = 160 };

/* Appends FROM to TO as text, cut at GRAPH_MERMAID_NAME bytes, and empties FROM. */
static void graph_mermaid_add(struct string_builder *to, struct string_builder *from)
{
    const char *text = string_builder_text(from);
    for (size_t i = 0; i < from->size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (i >= GRAPH_MERMAID_NAME && c < 0x80) {
            string_builder_add(to, "...");
            break;
        }
        if (strchr("\"#&<>`\\|{}[]()*_~;", c) != NULL || c < 0x20) {
            string_builder_format(to, "#%u;", c);
        } else {
            string_builder_add_char(to, (char)c);
        }
    }
    string_builder_clear(from);
}

/* One run: lines go to the sink as long as they fit. */
struct graph_mermaid {
    const struct graph_view *view;
    struct emit_sink *sink;
    struct string_builder line, text;
    size_t size; /* written so far */
    size_t cut;  /* lines left out */
};

/* Frees what a run holds. */
static void graph_mermaid_deinit(struct graph_mermaid *run)
{
    string_builder_deinit(&run->line);
    string_builder_deinit(&run->text);
}

/* Writes the line when there is room and empties it; returns whether there was. */
static bool graph_mermaid_put(struct graph_mermaid *run)
{
    bool fits = run->size + run->line.size <= GRAPH_MERMAID_SIZE;
    if (fits) {
        emit_sink_add_bytes(run->sink, string_builder_text(&run->line), run->line.size);
        run->size += run->line.size;
    } else {
        run->cut++;
    }
    string_builder_clear(&run->line);
    return fits;
}

/* Writes the groups; DRAWN says of each whether there was room. */
static void graph_mermaid_groups(struct graph_mermaid *run, bool *drawn)
{
    for (size_t i = 0; i < run->view->graph->group_count; i++) {
        string_builder_format(&run->line, "  g%zu[\"", i);
        graph_add_group_state(&run->text, run->view, i);
        graph_mermaid_add(&run->line, &run->text);
        string_builder_add(&run->line, "<br/>");
        graph_add_group_place(&run->text, run->view, i);
        graph_mermaid_add(&run->line, &run->text);
        string_builder_add(&run->line, "\"]");
        if (graph_is_proved(&run->view->graph->groups[i])) {
            string_builder_add(&run->line, ":::stuck");
        }
        string_builder_add(&run->line, "\n");
        drawn[i] = graph_mermaid_put(run);
    }
}

/* Writes the objects likewise. */
static struct error *graph_mermaid_objects(struct graph_mermaid *run, bool *drawn)
{
    for (size_t i = 0; i < run->view->graph->object_count; i++) {
        string_builder_format(&run->line, "  o%zu([\"", i);
        TRY(graph_add_object(&run->text, run->view, i));
        graph_mermaid_add(&run->line, &run->text);
        string_builder_add(&run->line, "\"])\n");
        drawn[i] = graph_mermaid_put(run);
    }
    return NULL;
}

/* Writes the edges between what was drawn. */
static void graph_mermaid_edges(struct graph_mermaid *run, const bool *groups, const bool *objects)
{
    const struct wait_graph *graph = run->view->graph;
    for (size_t i = 0; i < graph->wait_count; i++) {
        const struct wait_graph_wait *wait = &graph->waits[i];
        string_builder_format(&run->line, "  g%u -->|%s %llu| o%u\n", wait->group,
                              graph_wait_word(wait), (unsigned long long)wait->goroutines,
                              wait->object);
        if (!groups[wait->group] || !objects[wait->object]) {
            string_builder_clear(&run->line);
            run->cut++;
            continue;
        }
        (void)graph_mermaid_put(run);
    }
    for (size_t i = 0; i < graph->reach_count; i++) {
        const struct wait_graph_reach *reach = &graph->reaches[i];
        string_builder_format(&run->line, "  o%u -.->|can reach it| g%u\n", reach->object,
                              reach->group);
        if (!groups[reach->group] || !objects[reach->object]) {
            string_builder_clear(&run->line);
            run->cut++;
            continue;
        }
        (void)graph_mermaid_put(run);
    }
}

/* Writes a last node that says what is missing. */
static void graph_mermaid_rest(struct graph_mermaid *run)
{
    graph_add_rest(&run->text, run->view);
    if (run->cut > 0) {
        string_builder_format(&run->text, "%s%zu more nodes and edges",
                              run->text.size > 0 ? "; " : "", run->cut);
    }
    if (run->text.size > 0) {
        string_builder_add(&run->line, "  rest[\"");
        graph_mermaid_add(&run->line, &run->text);
        string_builder_add(&run->line, "\"]:::rest\n");
        emit_sink_add_bytes(run->sink, string_builder_text(&run->line), run->line.size);
    }
}

struct error *graph_mermaid_write(const struct graph_view *view, struct emit_sink *sink)
{
    struct graph_mermaid run CLEANUP(graph_mermaid_deinit) = {.view = view, .sink = sink};
    CLEANUP_FREE bool *groups = calloc(view->graph->group_count + 1, sizeof *groups);
    CLEANUP_FREE bool *objects = calloc(view->graph->object_count + 1, sizeof *objects);
    if (groups == NULL || objects == NULL) {
        return error_no_memory();
    }
    emit_sink_add(sink, "flowchart LR\n"
                        "  classDef stuck fill:#fde2e1,stroke:#c5221f\n"
                        "  classDef rest fill:none,stroke-dasharray:4\n");
    graph_mermaid_groups(&run, groups);
    TRY(graph_mermaid_objects(&run, objects));
    graph_mermaid_edges(&run, groups, objects);
    graph_mermaid_rest(&run);
    TRY(string_builder_error(&run.text));
    TRY(string_builder_error(&run.line));
    return emit_sink_flush(sink);
}
