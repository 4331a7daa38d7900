/* Where the nodes of a wait graph go: columns from what waits to what may end the wait. */
#ifndef UNPARK_EMIT_GRAPH_LAYOUT_H
#define UNPARK_EMIT_GRAPH_LAYOUT_H

#include "leak/wait_graph.h"

/* Nodes are the groups, then the objects. */
struct graph_layout {
    size_t count;
    uint32_t *columns; /* by node */
    uint32_t *rows;    /* by node, within its column */
    uint32_t column_count, row_count;
};

/* Lays GRAPH out: a node stands right of all that point at it, as far as there are no circles; rows
 * follow the neighbours to the left, so that few edges cross. */
NODISCARD struct error *graph_layout_init(struct graph_layout *layout,
                                          const struct wait_graph *graph);
void graph_layout_deinit(struct graph_layout *layout);

#endif
