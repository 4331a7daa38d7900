/* The wait graph as files: DOT, Mermaid, SVG and JSON. */
#ifndef UNPARK_EMIT_GRAPH_H
#define UNPARK_EMIT_GRAPH_H

#include "emit/emit_sink.h"
#include "leak/wait_graph.h"

/* Renderers of Mermaid refuse more than 500. */
enum { GRAPH_MERMAID_EDGES = 400 };

/* What to write. Everything is the caller's. */
struct graph_view {
    struct snapshot *snapshot; /* not const: an index may be built */
    const struct wait_graph *graph;
    size_t groups_cut, objects_cut, edges_cut; /* left out by wait_graph_cut */
    const char *obstacle; /* why it is not known who can reach what is waited for, or NULL */
};

typedef struct error *graph_write(const struct graph_view *view, struct emit_sink *sink);

/* How large a picture of one format may be; 0: no limit of its own. */
struct graph_format {
    const char *name;
    const char *summary; /* one line, no full stop */
    size_t edges;        /* more are refused by those who read it */
    graph_write *write;
};

/* The formats, in display order. */
const struct graph_format *graph_formats(size_t *count);

/* For Graphviz: clusters are not used; groups are boxes, objects ellipses. */
NODISCARD struct error *graph_dot_write(const struct graph_view *view, struct emit_sink *sink);

/* For Mermaid, as GitHub and GitLab render it: within 400 edges and 40,000 characters; what does
 * not fit is counted in a last node. */
NODISCARD struct error *graph_mermaid_write(const struct graph_view *view, struct emit_sink *sink);

/* One SVG file that needs nothing else. */
NODISCARD struct error *graph_svg_write(const struct graph_view *view, struct emit_sink *sink);

/* One object of schema "unpark.graph/1" (docs/json.md). */
NODISCARD struct error *graph_json_write(const struct graph_view *view, struct emit_sink *sink);

#endif
