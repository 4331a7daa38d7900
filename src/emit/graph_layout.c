/* Columns in topological order: a node is placed when all that point at it are; where a circle
 * leaves none, the first node of it is placed by those that are. */
#include "emit/graph_layout.h"
#include "base/cleanup.h"
#include <stdlib.h>

/* A node while a column is sorted. */
struct graph_layout_item {
    uint32_t node;
    double wish; /* mean row of its neighbours to the left */
};

/* Calls for every edge, from left to right. */
#define GRAPH_LAYOUT_EACH(graph, from, to, action)                                                 \
    do {                                                                                           \
        for (size_t i_ = 0; i_ < (graph)->wait_count; i_++) {                                      \
            uint32_t from = (graph)->waits[i_].group;                                              \
            uint32_t to = (uint32_t)(graph)->group_count + (graph)->waits[i_].object;              \
            action;                                                                                \
        }                                                                                          \
        for (size_t i_ = 0; i_ < (graph)->reach_count; i_++) {                                     \
            uint32_t from = (uint32_t)(graph)->group_count + (graph)->reaches[i_].object;          \
            uint32_t to = (graph)->reaches[i_].group;                                              \
            action;                                                                                \
        }                                                                                          \
    } while (0)

/* Edges by the node they start from. */
struct graph_layout_edges {
    uint32_t *first; /* by node, into TO; one more at the end */
    uint32_t *to;
    uint32_t *open; /* by node: edges to it from nodes not placed yet */
};

/* Frees the edges. */
static void graph_layout_edges_deinit(struct graph_layout_edges *edges)
{
    free(edges->first);
    free(edges->to);
    free(edges->open);
}

/* Sorts the edges of GRAPH by their start. */
static struct error *graph_layout_edges_init(struct graph_layout_edges *edges,
                                             const struct wait_graph *graph, size_t nodes)
{
    edges->first = calloc(nodes + 2, sizeof *edges->first);
    edges->to = calloc(graph->wait_count + graph->reach_count + 1, sizeof *edges->to);
    edges->open = calloc(nodes + 1, sizeof *edges->open);
    if (edges->first == NULL || edges->to == NULL || edges->open == NULL) {
        return error_no_memory();
    }
    GRAPH_LAYOUT_EACH(graph, from, to, {
        edges->first[from + 2]++;
        edges->open[to]++;
    });
    for (size_t i = 2; i <= nodes + 1; i++) {
        edges->first[i] += edges->first[i - 1];
    }
    GRAPH_LAYOUT_EACH(graph, from, to, edges->to[edges->first[from + 1]++] = to);
    return NULL;
}

/* Places NODE and asks those it points at to stand right of it; those that wait for nobody else
 * join the QUEUE. */
static void graph_layout_place(struct graph_layout *layout, struct graph_layout_edges *edges,
                               const bool *placed, uint32_t node, uint32_t *queue, size_t *count)
{
    for (uint32_t i = edges->first[node]; i < edges->first[node + 1]; i++) {
        uint32_t to = edges->to[i];
        if (placed[to]) {
            continue;
        }
        if (layout->columns[to] < layout->columns[node] + 1) {
            layout->columns[to] = layout->columns[node] + 1;
        }
        if (--edges->open[to] == 0) {
            queue[(*count)++] = to;
        }
    }
}

/* Chooses columns; PLACED and QUEUE are scratch by node. */
static void graph_layout_columns(struct graph_layout *layout, struct graph_layout_edges *edges,
                                 bool *placed, uint32_t *queue)
{
    size_t count = 0;
    for (uint32_t i = 0; i < layout->count; i++) {
        if (edges->open[i] == 0) {
            queue[count++] = i;
        }
    }
    uint32_t next = 0; /* no node before it is left */
    for (size_t done = 0; next < layout->count;) {
        uint32_t node;
        if (done < count) {
            node = queue[done++];
        } else if (placed[next]) {
            next++;
            continue;
        } else {
            node = next;
        }
        if (!placed[node]) {
            placed[node] = true;
            graph_layout_place(layout, edges, placed, node, queue, &count);
        }
    }
    for (size_t i = 0; i < layout->count; i++) {
        if (layout->columns[i] + 1 > layout->column_count) {
            layout->column_count = layout->columns[i] + 1;
        }
    }
}

/* By wish, ties by node. */
static int graph_layout_compare(const void *left, const void *right)
{
    const struct graph_layout_item *a = left;
    const struct graph_layout_item *b = right;
    if (a->wish != b->wish) {
        return a->wish < b->wish ? -1 : 1;
    }
    return (a->node > b->node) - (a->node < b->node);
}

/* Chooses rows, column by column; SUMS and DEGREES are scratch by node. */
static void graph_layout_rows(struct graph_layout *layout, const struct wait_graph *graph,
                              struct graph_layout_item *items, double *sums, uint32_t *degrees)
{
    for (uint32_t column = 0; column < layout->column_count; column++) {
        uint32_t count = 0;
        GRAPH_LAYOUT_EACH(graph, from, to, {
            if (layout->columns[to] == column && layout->columns[from] < column) {
                sums[to] += layout->rows[from];
                degrees[to]++;
            }
        });
        for (size_t i = 0; i < layout->count; i++) {
            if (layout->columns[i] == column) {
                double wish = degrees[i] == 0 ? (column == 0 ? (double)i : 1e9)
                                              : sums[i] / (double)degrees[i];
                items[count++] = (struct graph_layout_item){(uint32_t)i, wish};
            }
        }
        qsort(items, count, sizeof *items, graph_layout_compare);
        for (uint32_t i = 0; i < count; i++) {
            layout->rows[items[i].node] = i;
        }
        layout->row_count = count > layout->row_count ? count : layout->row_count;
    }
}

/* Chooses everything. */
static struct error *graph_layout_run(struct graph_layout *layout, const struct wait_graph *graph)
{
    size_t count = layout->count + 1;
    struct graph_layout_edges edges CLEANUP(graph_layout_edges_deinit) = {0};
    CLEANUP_FREE struct graph_layout_item *items = calloc(count, sizeof *items);
    CLEANUP_FREE double *sums = calloc(count, sizeof *sums);
    CLEANUP_FREE uint32_t *degrees = calloc(count, sizeof *degrees);
    CLEANUP_FREE bool *placed = calloc(count, sizeof *placed);
    CLEANUP_FREE uint32_t *queue = calloc(count, sizeof *queue);
    layout->columns = calloc(count, sizeof *layout->columns);
    layout->rows = calloc(count, sizeof *layout->rows);
    if (items == NULL || sums == NULL || degrees == NULL || placed == NULL || queue == NULL ||
        layout->columns == NULL || layout->rows == NULL) {
        return error_no_memory();
    }
    TRY(graph_layout_edges_init(&edges, graph, layout->count));
    graph_layout_columns(layout, &edges, placed, queue);
    graph_layout_rows(layout, graph, items, sums, degrees);
    return NULL;
}

struct error *graph_layout_init(struct graph_layout *layout, const struct wait_graph *graph)
{
    *layout = (struct graph_layout){.count = graph->group_count + graph->object_count};
    struct error *error = graph_layout_run(layout, graph);
    if (error != NULL) {
        graph_layout_deinit(layout);
    }
    return error;
}

void graph_layout_deinit(struct graph_layout *layout)
{
    free(layout->columns);
    free(layout->rows);
    *layout = (struct graph_layout){0};
}
