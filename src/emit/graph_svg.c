/* SVG without scripts: boxes in columns, curves between them, titles as tooltips; light and dark by
 * what the reader prefers. Hostile names are text only. */
#include "base/cleanup.h"
#include "emit/export_internal.h"
#include "emit/graph_internal.h"
#include "emit/graph_layout.h"
#include "emit/markup.h"
#include <stdlib.h>

enum {
    GRAPH_SVG_BOX = 400,
    GRAPH_SVG_GAP = 120,
    GRAPH_SVG_HEIGHT = 46,
    GRAPH_SVG_ROW = 66,
    GRAPH_SVG_TOP = 78,
    GRAPH_SVG_LEFT = 20,
    GRAPH_SVG_LETTERS = 58
};

static const char graph_svg_style[] =
    "<style>"
    "svg{background:#fff;font:12px system-ui,sans-serif}"
    "text{fill:#202124}.small{fill:#5f6368;font-size:11px}.head{font-size:16px;font-weight:600}"
    ".group{fill:#e8f0fe;stroke:#8ab4f8}.stuck{fill:#fde2e1;stroke:#e5726b}"
    ".object{fill:#fff7e0;stroke:#e3b341}"
    ".wait{fill:none;stroke:#5f6368;stroke-width:1.4}"
    ".reach{fill:none;stroke:#1e8e3e;stroke-width:1.4;stroke-dasharray:5 4}"
    ".label{font-size:10px;fill:#5f6368;text-anchor:end}"
    "@media(prefers-color-scheme:dark){svg{background:#1b1c1f}text{fill:#e8eaed}"
    ".small,.label{fill:#9aa0a6}.group{fill:#22324d;stroke:#4a76b8}.stuck{fill:#4d2523;"
    "stroke:#c5574f}.object{fill:#3f3517;stroke:#a8842c}.wait{stroke:#9aa0a6}"
    ".reach{stroke:#57c279}}"
    "</style>\n";

/* One run. */
struct graph_svg {
    const struct graph_view *view;
    struct emit_sink *sink;
    struct graph_layout layout;
    struct string_builder text;
};

/* Frees what a run holds. */
static void graph_svg_deinit(struct graph_svg *run)
{
    graph_layout_deinit(&run->layout);
    string_builder_deinit(&run->text);
}

/* Left edge of NODE. */
static uint64_t graph_svg_x(const struct graph_svg *run, size_t node)
{
    return GRAPH_SVG_LEFT + (uint64_t)run->layout.columns[node] * (GRAPH_SVG_BOX + GRAPH_SVG_GAP);
}

/* Upper edge of NODE. */
static uint64_t graph_svg_y(const struct graph_svg *run, size_t node)
{
    return GRAPH_SVG_TOP + (uint64_t)run->layout.rows[node] * GRAPH_SVG_ROW;
}

/* Writes a formatted piece of markup of our own. */
static void graph_svg_put(struct graph_svg *run, const char *name, uint64_t value)
{
    emit_sink_add(run->sink, " ");
    emit_sink_add(run->sink, name);
    emit_sink_add(run->sink, "=\"");
    emit_sink_add_u64(run->sink, value);
    emit_sink_add(run->sink, "\"");
}

/* Writes the text collected so far, cut to what fits a box, and empties it. */
static void graph_svg_line(struct graph_svg *run, const char *class_, uint64_t x, uint64_t y)
{
    size_t size = run->text.size;
    size_t shown = size > GRAPH_SVG_LETTERS ? GRAPH_SVG_LETTERS : size;
    while (shown < size && shown > 0 && (string_builder_text(&run->text)[shown] & 0xc0) == 0x80) {
        shown--;
    }
    emit_sink_add(run->sink, "<text class=\"");
    emit_sink_add(run->sink, class_);
    emit_sink_add(run->sink, "\"");
    graph_svg_put(run, "x", x);
    graph_svg_put(run, "y", y);
    emit_sink_add(run->sink, ">");
    markup_add(run->sink, string_builder_text(&run->text), shown);
    emit_sink_add(run->sink, shown < size ? "\u2026</text>" : "</text>");
    string_builder_clear(&run->text);
}

/* Begins a node: its box, and the tooltip from the text collected so far. */
static void graph_svg_box(struct graph_svg *run, size_t node, const char *class_, unsigned radius)
{
    emit_sink_add(run->sink, "<g><title>");
    markup_add_name(run->sink, string_builder_text(&run->text), run->text.size);
    string_builder_clear(&run->text);
    emit_sink_add(run->sink, "</title><rect class=\"");
    emit_sink_add(run->sink, class_);
    emit_sink_add(run->sink, "\"");
    graph_svg_put(run, "x", graph_svg_x(run, node));
    graph_svg_put(run, "y", graph_svg_y(run, node));
    graph_svg_put(run, "width", GRAPH_SVG_BOX);
    graph_svg_put(run, "height", GRAPH_SVG_HEIGHT);
    graph_svg_put(run, "rx", radius);
    emit_sink_add(run->sink, "/>");
}

/* Writes the groups. */
static void graph_svg_groups(struct graph_svg *run)
{
    const struct wait_graph *graph = run->view->graph;
    for (size_t i = 0; i < graph->group_count; i++) {
        uint64_t x = graph_svg_x(run, i) + 10;
        uint64_t y = graph_svg_y(run, i);
        graph_add_group_state(&run->text, run->view, i);
        string_builder_add(&run->text, "\n");
        graph_add_group_place(&run->text, run->view, i);
        graph_svg_box(run, i, graph_is_proved(&graph->groups[i]) ? "stuck" : "group", 5);
        graph_add_group_state(&run->text, run->view, i);
        graph_svg_line(run, "", x, y + 19);
        graph_add_group_place(&run->text, run->view, i);
        graph_svg_line(run, "small", x, y + 36);
        emit_sink_add(run->sink, "</g>\n");
    }
}

/* Writes the objects. */
static struct error *graph_svg_objects(struct graph_svg *run)
{
    const struct wait_graph *graph = run->view->graph;
    for (size_t i = 0; i < graph->object_count; i++) {
        size_t node = graph->group_count + i;
        TRY(graph_add_object(&run->text, run->view, i));
        graph_svg_box(run, node, "object", GRAPH_SVG_HEIGHT / 2);
        TRY(graph_add_object(&run->text, run->view, i));
        graph_svg_line(run, "", graph_svg_x(run, node) + 16, graph_svg_y(run, node) + 27);
        emit_sink_add(run->sink, "</g>\n");
    }
    return NULL;
}

/* Writes one curve with the label collected so far. */
static void graph_svg_edge(struct graph_svg *run, size_t from, size_t to, const char *class_)
{
    bool ahead = run->layout.columns[to] > run->layout.columns[from];
    unsigned long long x1 = graph_svg_x(run, from) + GRAPH_SVG_BOX;
    unsigned long long x2 = graph_svg_x(run, to) + (ahead ? 0 : GRAPH_SVG_BOX);
    unsigned long long y1 = graph_svg_y(run, from) + GRAPH_SVG_HEIGHT / 2;
    unsigned long long y2 = graph_svg_y(run, to) + GRAPH_SVG_HEIGHT / 2 + (ahead ? 0 : 8);
    const unsigned long long bend = GRAPH_SVG_GAP / 2;
    struct string_builder path = {0};
    string_builder_format(&path, "M%llu %llu C%llu %llu,%llu %llu,%llu %llu", x1, y1, x1 + bend, y1,
                          ahead ? x2 - bend : x2 + bend, y2, x2, y2);
    emit_sink_add(run->sink, "<path marker-end=\"url(#a)\" class=\"");
    emit_sink_add(run->sink, class_);
    emit_sink_add(run->sink, "\" d=\"");
    emit_sink_add_bytes(run->sink, string_builder_text(&path), path.size);
    emit_sink_add(run->sink, "\"><title>");
    markup_add_name(run->sink, string_builder_text(&run->text), run->text.size);
    emit_sink_add(run->sink, "</title></path>\n");
    string_builder_clear(&run->text);
    string_builder_deinit(&path);
}

/* Writes the edges; the words of waits stand at their ends. */
static struct error *graph_svg_edges(struct graph_svg *run)
{
    const struct wait_graph *graph = run->view->graph;
    CLEANUP_FREE uint32_t *labels = calloc(graph->object_count + 1, sizeof *labels);
    if (labels == NULL) {
        return error_no_memory();
    }
    for (size_t i = 0; i < graph->wait_count; i++) {
        const struct wait_graph_wait *wait = &graph->waits[i];
        size_t to = graph->group_count + wait->object;
        string_builder_format(&run->text, "%llu wait: %s", (unsigned long long)wait->goroutines,
                              graph_wait_word(wait));
        graph_svg_edge(run, wait->group, to, "wait");
        uint32_t bit = UINT32_C(1) << wait->direction;
        if ((labels[wait->object] & bit) == 0) { /* once at each object, one below the other */
            unsigned above = (unsigned)__builtin_popcount(labels[wait->object]);
            labels[wait->object] |= bit;
            string_builder_add(&run->text, graph_wait_word(wait));
            graph_svg_line(run, "label", graph_svg_x(run, to) - 12,
                           graph_svg_y(run, to) + GRAPH_SVG_HEIGHT / 2 - 6 + 18 * above);
        }
    }
    for (size_t i = 0; i < graph->reach_count; i++) {
        const struct wait_graph_reach *reach = &graph->reaches[i];
        graph_add_reach(&run->text, reach);
        graph_svg_edge(run, graph->group_count + reach->object, reach->group, "reach");
    }
    return NULL;
}

/* Writes the head of the file. */
static void graph_svg_head(struct graph_svg *run)
{
    uint64_t columns = run->layout.column_count == 0 ? 1 : run->layout.column_count;
    uint64_t width = 2 * GRAPH_SVG_LEFT + columns * (GRAPH_SVG_BOX + GRAPH_SVG_GAP);
    uint64_t height = GRAPH_SVG_TOP + (uint64_t)run->layout.row_count * GRAPH_SVG_ROW + 34;
    emit_sink_add(run->sink, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                             "<svg xmlns=\"http://www.w3.org/2000/svg\"");
    graph_svg_put(run, "width", width);
    graph_svg_put(run, "height", height);
    emit_sink_add(run->sink, ">\n");
    emit_sink_add(run->sink, graph_svg_style);
    emit_sink_add(run->sink, "<defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" "
                             "markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">"
                             "<path d=\"M0 0L8 4L0 8z\" fill=\"#80868b\"/></marker></defs>\n");
    export_add_program(&run->text, run->view->snapshot);
    string_builder_add(&run->text, ": who waits for what");
    emit_sink_add(run->sink, "<text class=\"head\" x=\"20\" y=\"30\">");
    markup_add_name(run->sink, string_builder_text(&run->text), run->text.size);
    emit_sink_add(run->sink, "</text>\n");
    string_builder_clear(&run->text);
    string_builder_add(&run->text, "solid: waits for; dashed: can still reach it. ");
    graph_add_rest(&run->text, run->view);
    emit_sink_add(run->sink, "<text class=\"small\" x=\"20\" y=\"52\">");
    markup_add_name(run->sink, string_builder_text(&run->text), run->text.size);
    emit_sink_add(run->sink, "</text>\n");
    string_builder_clear(&run->text);
}

struct error *graph_svg_write(const struct graph_view *view, struct emit_sink *sink)
{
    struct graph_svg run CLEANUP(graph_svg_deinit) = {.view = view, .sink = sink};
    TRY(graph_layout_init(&run.layout, view->graph));
    graph_svg_head(&run);
    TRY(graph_svg_edges(&run));
    graph_svg_groups(&run);
    TRY(graph_svg_objects(&run));
    emit_sink_add(sink, "</svg>\n");
    TRY(string_builder_error(&run.text));
    return emit_sink_flush(sink);
}
