/* Who waits for what: groups on the left, what they wait for in the middle, who may wake or hold it
 * on the right. What is drawn is bounded; what is not is counted. */
#include "base/cleanup.h"
#include "emit/describe.h"
#include "emit/describe_waits.h"
#include "emit/export_internal.h"
#include "emit/markup.h"
#include <stdlib.h>

enum {
    GRAPH_GROUPS = 30,
    GRAPH_ITEMS = 4,  /* per group */
    GRAPH_NODES = 60, /* per column */
    GRAPH_EDGES = 200,
    GRAPH_ROW = 46,
    GRAPH_BOX = 36,
    GRAPH_WIDTH = 1200
};

/* Columns: where boxes begin, how wide they are, how many letters fit. */
static const struct {
    unsigned x, width, letters;
} graph_columns[] = {{0, 400, 50}, {460, 400, 50}, {920, 280, 34}};

/* A thing that is waited for: one object, or many of a kind that one group waits for. */
struct graph_object {
    uint32_t object;     /* UINT32_MAX: many */
    uint8_t kind;        /* enum snapshot_object_kind */
    size_t group;        /* drawn group that it belongs to, when it is many */
    size_t item;         /* of that group's summary */
    uint64_t goroutines; /* that wait for it, of the drawn groups */
};

/* A line between two columns. */
struct graph_edge {
    size_t from, to;
    uint64_t goroutines;
    enum snapshot_direction direction;
};

/* The picture. */
struct graph {
    struct export_page *page;
    const struct group *groups[GRAPH_GROUPS];
    struct wait_summary summaries[GRAPH_GROUPS];
    size_t group_count;
    size_t groups_left; /* that are not drawn */
    struct graph_object objects[GRAPH_NODES];
    size_t object_count;
    uint32_t wakers[GRAPH_NODES]; /* goroutine indices */
    size_t waker_count;
    struct graph_edge waits[GRAPH_EDGES], wakes[GRAPH_EDGES];
    size_t wait_count, wake_count;
};

/* Whether things of KIND are woken by other goroutines; timers, descriptors and the kernel are
 * another matter. */
static bool graph_is_shared(uint8_t kind)
{
    return kind != OBJECT_TIMER && kind != OBJECT_DESCRIPTOR && kind != OBJECT_SYSTEM_CALL;
}

/* The node of ITEM of drawn group GROUP; GRAPH_NODES when there is no room. */
static size_t graph_object(struct graph *graph, size_t group, size_t item)
{
    const struct wait_summary_item *wait = &graph->summaries[group].items[item];
    bool never = wait->kind == OBJECT_NIL_CHANNEL || wait->kind == OBJECT_EMPTY_SELECT;
    uint32_t object = wait->objects == 1 ? wait->example : UINT32_MAX;
    for (size_t i = 0; i < graph->object_count; i++) {
        const struct graph_object *node = &graph->objects[i];
        if (never ? node->kind == wait->kind : object != UINT32_MAX && node->object == object) {
            return i;
        }
    }
    if (graph->object_count == GRAPH_NODES) {
        return GRAPH_NODES;
    }
    graph->objects[graph->object_count] = (struct graph_object){
        .object = object, .kind = (uint8_t)wait->kind, .group = group, .item = item};
    return graph->object_count++;
}

/* Draws GROUP when it waits for something that has a place here. */
static void graph_add_group(struct graph *graph, const struct group *group)
{
    struct wait_summary summary;
    wait_summarizer_sum(&graph->page->waits, group->members, group->count, &summary);
    size_t shared = 0;
    for (size_t i = 0; i < summary.count; i++) {
        shared += graph_is_shared((uint8_t)summary.items[i].kind);
    }
    if (shared == 0) {
        return;
    }
    if (graph->group_count == GRAPH_GROUPS) {
        graph->groups_left++;
        return;
    }
    size_t at = graph->group_count++;
    graph->groups[at] = group;
    graph->summaries[at] = summary;
    for (size_t i = 0, made = 0; i < summary.count && made < GRAPH_ITEMS; i++) {
        if (!graph_is_shared((uint8_t)summary.items[i].kind)) {
            continue;
        }
        size_t node = graph_object(graph, at, i);
        if (node == GRAPH_NODES || graph->wait_count == GRAPH_EDGES) {
            return;
        }
        graph->objects[node].goroutines += group->goroutines;
        graph->waits[graph->wait_count++] =
            (struct graph_edge){at, node, group->goroutines, summary.items[i].direction};
        made++;
    }
}

/* The node of waker GOROUTINE; GRAPH_NODES when there is no room. */
static size_t graph_waker(struct graph *graph, uint32_t goroutine)
{
    for (size_t i = 0; i < graph->waker_count; i++) {
        if (graph->wakers[i] == goroutine) {
            return i;
        }
    }
    if (graph->waker_count == GRAPH_NODES) {
        return GRAPH_NODES;
    }
    graph->wakers[graph->waker_count] = goroutine;
    return graph->waker_count++;
}

/* Draws who may wake or hold the objects that are there. */
static void graph_add_wakers(struct graph *graph, const struct finding *finding)
{
    for (size_t i = 0; i < finding->waker_count; i++) {
        size_t node = 0;
        while (node < graph->object_count &&
               graph->objects[node].object != finding->wakers[i].object) {
            node++;
        }
        if (node == graph->object_count || graph->wake_count == GRAPH_EDGES) {
            continue;
        }
        size_t waker = graph_waker(graph, finding->wakers[i].goroutine);
        if (waker < GRAPH_NODES) {
            graph->wakes[graph->wake_count++] =
                (struct graph_edge){node, waker, 1, DIRECTION_UNKNOWN};
        }
    }
}

/* Writes TEXT cut to LETTERS, from its last path element on when it is a function's. */
static void graph_cut(struct export_page *page, const char *text, size_t size, size_t letters)
{
    size_t stop = strcspn(text, "([ ");
    const char *slash = memrchr(text, '/', stop < size ? stop : size);
    if (size > letters && slash != NULL) {
        size -= (size_t)(slash + 1 - text);
        text = slash + 1;
    }
    size_t keep = size;
    if (size > letters) {
        keep = letters - 1;
        while (keep > 0 && ((uint8_t)text[keep] & 0xc0) == 0x80) {
            keep--;
        }
    }
    markup_add(page->sink, text, keep);
    emit_sink_add(page->sink, keep < size ? "\xe2\x80\xa6" : "");
}

/* Opens the box of row ROW in COLUMN: the scratch text is its title. */
static void graph_box(struct export_page *page, size_t column, size_t row, const char *class_)
{
    emit_sink_format(page->sink, "<g class=\"%s\"><title>", class_);
    markup_add_name(page->sink, string_builder_text(&page->scratch), page->scratch.size);
    emit_sink_format(page->sink,
                     "</title><rect x=\"%u\" y=\"%zu\" width=\"%u\" height=\"%d\" rx=\"7\"/>"
                     "<text x=\"%u\" y=\"%zu\">",
                     graph_columns[column].x, row * GRAPH_ROW, graph_columns[column].width,
                     GRAPH_BOX, graph_columns[column].x + 10, row * GRAPH_ROW + 15);
    graph_cut(page, string_builder_text(&page->scratch), page->scratch.size,
              graph_columns[column].letters);
    emit_sink_format(page->sink, "</text><text class=\"sub\" x=\"%u\" y=\"%zu\">",
                     graph_columns[column].x + 10, row * GRAPH_ROW + 29);
    string_builder_clear(&page->scratch);
}

/* Appends the function that a user knows the stack of a goroutine by. */
static void graph_add_function(struct export_page *page, uint32_t stack, uint32_t start)
{
    uint32_t frame = snapshot_user_frame(page->snapshot, stack);
    frame = frame != 0 ? frame : start;
    describe_string(&page->scratch, page->snapshot,
                    frame == 0 ? 0 : snapshot_frame(page->snapshot, frame)->function);
}

/* Draws the boxes on the left. */
static void graph_draw_groups(const struct graph *graph)
{
    struct export_page *page = graph->page;
    size_t all;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(page->snapshot, &all);
    for (size_t i = 0; i < graph->group_count; i++) {
        const struct group *group = graph->groups[i];
        graph_add_function(page, group->stack, goroutines[group->members[0]].start);
        graph_box(page, 0, i, "who");
        markup_add_count(page->sink, group->goroutines);
        emit_sink_add(page->sink, group->goroutines == 1 ? " goroutine, " : " goroutines, ");
        markup_add_text(page->sink, export_state(group->status, group->wait_reason));
        emit_sink_add(page->sink, "</text></g>\n");
    }
}

/* Draws the boxes in the middle. */
static struct error *graph_draw_objects(const struct graph *graph)
{
    struct export_page *page = graph->page;
    for (size_t i = 0; i < graph->object_count; i++) {
        const struct graph_object *node = &graph->objects[i];
        const struct wait_summary_item *item = &graph->summaries[node->group].items[node->item];
        TRY(describe_waits_object(&page->scratch, page->snapshot, item));
        graph_box(page, 1, i, "what");
        emit_sink_add(page->sink, "awaited by ");
        markup_add_count(page->sink, node->goroutines);
        emit_sink_add(page->sink, "</text></g>\n");
    }
    return NULL;
}

/* Draws the boxes on the right. */
static void graph_draw_wakers(const struct graph *graph)
{
    struct export_page *page = graph->page;
    size_t all;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(page->snapshot, &all);
    for (size_t i = 0; i < graph->waker_count; i++) {
        const struct snapshot_goroutine *waker = &goroutines[graph->wakers[i]];
        graph_add_function(page, waker->stack, waker->start);
        graph_box(page, 2, i, "who");
        emit_sink_format(page->sink, "goroutine %llu, ", (unsigned long long)waker->id);
        markup_add_text(page->sink, export_state(waker->status, waker->wait_reason));
        emit_sink_add(page->sink, "</text></g>\n");
    }
}

/* Draws the lines from COLUMN to the next. */
static void graph_draw_edges(const struct graph *graph, size_t column,
                             const struct graph_edge *edges, size_t count)
{
    unsigned left = graph_columns[column].x + graph_columns[column].width;
    unsigned right = graph_columns[column + 1].x;
    unsigned middle = (left + right) / 2;
    for (size_t i = 0; i < count; i++) {
        size_t from = edges[i].from * GRAPH_ROW + GRAPH_BOX / 2;
        size_t to = edges[i].to * GRAPH_ROW + GRAPH_BOX / 2;
        unsigned doublings = 63 - (unsigned)__builtin_clzll(edges[i].goroutines | 1);
        emit_sink_format(graph->page->sink,
                         "<path class=\"%s\" stroke-width=\"%u.%u\" d=\"M%u %zuC%u %zu %u %zu %u "
                         "%zu\"><title>%s</title></path>\n",
                         column == 0 ? "edge" : "edge may", 1 + doublings / 4,
                         doublings % 4 * 25 / 10, left, from, middle, from, middle, to, right, to,
                         column == 0 ? describe_direction(edges[i].direction)
                                     : "may hold or wake it");
    }
}

/* Draws everything. */
static struct error *graph_draw(const struct graph *graph)
{
    struct export_page *page = graph->page;
    size_t rows =
        graph->group_count > graph->object_count ? graph->group_count : graph->object_count;
    rows = graph->waker_count > rows ? graph->waker_count : rows;
    emit_sink_format(page->sink,
                     "<div class=\"graph-box\"><svg class=\"graph\" width=\"%d\" height=\"%zu\" "
                     "viewBox=\"0 0 %d %zu\" role=\"img\" aria-label=\"who waits for what\">\n",
                     GRAPH_WIDTH, rows * GRAPH_ROW, GRAPH_WIDTH, rows * GRAPH_ROW);
    graph_draw_edges(graph, 0, graph->waits, graph->wait_count);
    graph_draw_edges(graph, 1, graph->wakes, graph->wake_count);
    graph_draw_groups(graph);
    TRY(graph_draw_objects(graph));
    graph_draw_wakers(graph);
    emit_sink_add(page->sink, "</svg></div>\n");
    return NULL;
}

/* Chooses what is drawn. */
static void graph_fill(struct graph *graph)
{
    const struct export_view *view = graph->page->view;
    for (size_t i = 0; i < view->dump.groups->count; i++) {
        graph_add_group(graph, &view->dump.groups->items[i]);
    }
    for (size_t i = 0; view->leaks != NULL && i < view->leaks->findings->count; i++) {
        graph_add_wakers(graph, &view->leaks->findings->items[i]);
    }
}

/* Writes the section. */
struct error *export_page_graph(struct export_page *page)
{
    CLEANUP_FREE struct graph *graph = calloc(1, sizeof *graph);
    if (graph == NULL) {
        return error_no_memory();
    }
    graph->page = page;
    graph_fill(graph);
    emit_sink_add(page->sink, "<section id=\"waits\">\n<h2>Who waits for what</h2>\n");
    if (graph->group_count == 0) {
        emit_sink_add(page->sink, "<p class=\"hint\">No goroutine here waits for a channel, a lock "
                                  "or the like that is known.</p>\n</section>\n");
        return NULL;
    }
    emit_sink_add(page->sink, "<p class=\"hint\">Groups of goroutines, what they wait for, and "
                              "&mdash; of findings &mdash; who may hold or wake it.</p>\n");
    TRY(graph_draw(graph));
    if (graph->groups_left > 0) {
        emit_sink_format(page->sink, "<p class=\"hint\">%zu smaller groups are not drawn.</p>\n",
                         graph->groups_left);
    }
    emit_sink_add(page->sink, "</section>\n");
    return NULL;
}
