/* An icicle: a row per depth, children below their parent from the heaviest on, widths in
 * proportion to goroutines. Every drawn frame is <g class="f KIND" data-s data-n data-d> with its
 * first goroutine, its goroutines and its depth, which flame.js lays out again for any width and
 * zoom; without scripts the attributes of <rect> and <text> show the whole at 1,200 units. */
#include "emit/flame_svg.h"
#include "base/cleanup.h"
#include "base/hash_map.h"
#include "emit/emit_asset.h"
#include "emit/markup.h"
#include <stdlib.h>

enum {
    FLAME_SVG_WIDTH = 1200,
    FLAME_SVG_MARGIN = 16,
    FLAME_SVG_TOP = 72,
    FLAME_SVG_ROW = 20,
    FLAME_SVG_FOOT = 56,
    FLAME_SVG_COLOURS = 10,
    FLAME_SVG_LABEL_PAD = 3
};

static const double flame_svg_letter = 7.23; /* width of a letter of 12px monospace */

/* One run. */
struct flame_svg {
    const struct flame_tree *tree;
    struct emit_sink *sink;
    uint8_t *drawn;     /* by node: it is drawn */
    uint64_t *next;     /* by node: the first goroutine of its next child */
    uint16_t deepest;   /* depth of the lowest row */
    unsigned left, top; /* of the first row */
    double scale;       /* width of a goroutine */
    struct string_builder name;
};

/* Frees a run. */
static void flame_svg_deinit(struct flame_svg *svg)
{
    free(svg->drawn);
    free(svg->next);
    string_builder_deinit(&svg->name);
}

/* A node while the heaviest are chosen. */
struct flame_svg_choice {
    uint64_t total;
    uint32_t index;
};

/* The heaviest first; a parent, which has the smaller index, before its child of equal weight. */
static int flame_svg_compare(const void *left, const void *right)
{
    const struct flame_svg_choice *a = left;
    const struct flame_svg_choice *b = right;
    int order = (b->total > a->total) - (b->total < a->total);
    return order != 0 ? order : (a->index > b->index) - (a->index < b->index);
}

/* Chooses what is drawn. A drawn node's parent is at least as heavy, thus drawn. */
static struct error *flame_svg_choose(struct flame_svg *svg)
{
    const struct flame_node *nodes = svg->tree->nodes.items;
    size_t count = svg->tree->nodes.count;
    CLEANUP_FREE struct flame_svg_choice *choices = calloc(count, sizeof *choices);
    svg->drawn = calloc(count, 1);
    svg->next = calloc(count, sizeof *svg->next);
    if (choices == NULL || svg->drawn == NULL || svg->next == NULL) {
        return error_no_memory();
    }
    for (size_t i = 0; i < count; i++) {
        choices[i] = (struct flame_svg_choice){.total = nodes[i].total, .index = (uint32_t)i};
    }
    qsort(choices, count, sizeof *choices, flame_svg_compare);
    uint64_t least = nodes[FLAME_TREE_ROOT].total / FLAME_SVG_SHARE_MIN;
    for (size_t i = 0; i < count && i < FLAME_SVG_NODES_MAX && choices[i].total >= least; i++) {
        const struct flame_node *node = &nodes[choices[i].index];
        svg->drawn[choices[i].index] = 1;
        svg->deepest = node->depth > svg->deepest ? node->depth : svg->deepest;
    }
    return NULL;
}

/* The colour of a function's package. */
static unsigned flame_svg_colour(const char *name, size_t size)
{
    size_t end = 0;
    size_t slash = 0;
    while (end < size && name[end] != '(' && name[end] != '[') {
        slash = name[end] == '/' ? end : slash;
        end++;
    }
    const char *dot = memchr(name + slash, '.', end - slash);
    size_t package = dot == NULL ? end : (size_t)(dot - name);
    return (unsigned)(hash_bytes(name, package, 0) % FLAME_SVG_COLOURS);
}

/* Writes the class of NODE. */
static void flame_svg_class(struct flame_svg *svg, const struct flame_node *node)
{
    const struct snapshot_frame *frame = flame_tree_frame(svg->tree, node);
    if (node->kind == FLAME_ROOT) {
        emit_sink_add(svg->sink, "root");
    } else if (frame == NULL) {
        emit_sink_add(svg->sink, "st");
    } else if ((frame->flags & FRAME_RUNTIME) != 0) {
        emit_sink_add(svg->sink, "rt");
    } else if ((frame->flags & FRAME_STANDARD_LIBRARY) != 0) {
        emit_sink_add(svg->sink, "std");
    } else if ((frame->flags & (FRAME_NOT_GO | FRAME_ELIDED)) != 0 || frame->function == 0) {
        emit_sink_add(svg->sink, "c");
    } else {
        const struct snapshot *snapshot = svg->tree->snapshot;
        emit_sink_format(svg->sink, "k%u",
                         flame_svg_colour(snapshot_string(snapshot, frame->function),
                                          snapshot_string_size(snapshot, frame->function)));
    }
}

/* Writes "\nfile:line" of NODE. */
static void flame_svg_place(struct flame_svg *svg, const struct flame_node *node)
{
    const struct snapshot_frame *frame = flame_tree_frame(svg->tree, node);
    if (frame == NULL || frame->file == 0) {
        return;
    }
    emit_sink_add(svg->sink, "\n");
    markup_add_name(svg->sink, snapshot_string(svg->tree->snapshot, frame->file),
                    snapshot_string_size(svg->tree->snapshot, frame->file));
    if (node->lines_vary) {
        emit_sink_add(svg->sink, ", several lines");
    } else if (frame->line != 0) {
        emit_sink_format(svg->sink, ":%u", frame->line);
    }
}

/* Writes "\n12 goroutines, 3.4%". */
static void flame_svg_share(struct flame_svg *svg, uint64_t total)
{
    emit_sink_add(svg->sink, "\n");
    markup_add_count(svg->sink, total);
    emit_sink_add(svg->sink, total == 1 ? " goroutine, " : " goroutines, ");
    markup_add_share(svg->sink, total, svg->tree->nodes.items[FLAME_TREE_ROOT].total);
}

/* The part of NAME that fits into ROOM letters: all of it, what follows the last slash of its path,
 * or the beginning of that. */
static void flame_svg_label(struct flame_svg *svg, size_t room)
{
    const char *name = string_builder_text(&svg->name);
    size_t size = svg->name.size;
    size_t stop = strcspn(name, "([");
    const char *slash = memrchr(name, '/', stop);
    if (size > room && slash != NULL) {
        size -= (size_t)(slash + 1 - name);
        name = slash + 1;
    }
    if (size <= room) {
        markup_add(svg->sink, name, size);
        return;
    }
    size = room - 1;
    while (size > 0 && ((uint8_t)name[size] & 0xc0) == 0x80) {
        size--;
    }
    markup_add(svg->sink, name, size);
    emit_sink_add(svg->sink, "\xe2\x80\xa6");
}

/* Writes bar and label of TOTAL goroutines from START on at DEPTH; the label is the name. */
static void flame_svg_bar(struct flame_svg *svg, uint64_t start, uint64_t total, uint16_t depth)
{
    double x = svg->left + (double)start * svg->scale;
    double width = (double)total * svg->scale;
    unsigned y = svg->top + depth * (unsigned)FLAME_SVG_ROW;
    emit_sink_format(svg->sink, "<rect x=\"%.2f\" y=\"%u\" width=\"%.2f\" height=\"19\" rx=\"2\"/>",
                     x, y, width);
    double room = (width - 2 * FLAME_SVG_LABEL_PAD) / flame_svg_letter;
    if (room >= 3) {
        emit_sink_format(svg->sink, "<text x=\"%.2f\" y=\"%u\">", x + FLAME_SVG_LABEL_PAD, y + 14);
        flame_svg_label(svg, (size_t)room);
        emit_sink_add(svg->sink, "</text>");
    }
    emit_sink_add(svg->sink, "</g>\n");
}

/* Opens the group of a frame. */
static void flame_svg_open(struct flame_svg *svg, uint64_t start, uint64_t total, uint16_t depth)
{
    emit_sink_format(svg->sink, "\" data-s=\"%llu\" data-n=\"%llu\" data-d=\"%u\"><title>",
                     (unsigned long long)start, (unsigned long long)total, depth);
}

/* Draws node INDEX from goroutine START on. */
static void flame_svg_node(struct flame_svg *svg, uint32_t index, uint64_t start)
{
    const struct flame_node *node = &svg->tree->nodes.items[index];
    string_builder_clear(&svg->name);
    flame_tree_add_name(svg->tree, node, &svg->name);
    emit_sink_fail(svg->sink, string_builder_error(&svg->name));
    emit_sink_add(svg->sink, "<g class=\"f ");
    flame_svg_class(svg, node);
    flame_svg_open(svg, start, node->total, node->depth);
    markup_add_name(svg->sink, string_builder_text(&svg->name), svg->name.size);
    flame_svg_place(svg, node);
    flame_svg_share(svg, node->total);
    emit_sink_add(svg->sink, node->cut ? "\ndeeper calls are not drawn" : "");
    emit_sink_add(svg->sink, "</title>");
    flame_svg_bar(svg, start, node->total, node->depth);
}

/* Draws the children of node INDEX that are too light, as one. */
static void flame_svg_rest(struct flame_svg *svg, uint32_t index)
{
    const struct flame_node *node = &svg->tree->nodes.items[index];
    size_t count = 0;
    uint64_t total = 0;
    for (uint32_t child = node->first_child; child != FLAME_TREE_NONE;
         child = svg->tree->nodes.items[child].next_sibling) {
        count += !svg->drawn[child];
        total += svg->drawn[child] ? 0 : svg->tree->nodes.items[child].total;
    }
    if (count == 0) {
        return;
    }
    uint16_t depth = (uint16_t)(node->depth + 1);
    string_builder_clear(&svg->name);
    string_builder_format(&svg->name, "(%zu more, too small to draw)", count);
    emit_sink_add(svg->sink, "<g class=\"f rest");
    flame_svg_open(svg, svg->next[index], total, depth);
    emit_sink_add_builder(svg->sink, &svg->name);
    flame_svg_share(svg, total);
    emit_sink_add(svg->sink, "</title>");
    flame_svg_bar(svg, svg->next[index], total, depth);
    svg->deepest = depth > svg->deepest ? depth : svg->deepest;
}

/* The first drawn node of INDEX and its later siblings. */
static uint32_t flame_svg_skip(const struct flame_svg *svg, uint32_t index)
{
    while (index != FLAME_TREE_NONE && !svg->drawn[index]) {
        index = svg->tree->nodes.items[index].next_sibling;
    }
    return index;
}

/* Draws everything, depth first. */
static void flame_svg_draw(struct flame_svg *svg)
{
    const struct flame_node *nodes = svg->tree->nodes.items;
    uint32_t at = FLAME_TREE_ROOT;
    flame_svg_node(svg, at, 0);
    while (!emit_sink_failed(svg->sink)) {
        uint32_t down = flame_svg_skip(svg, nodes[at].first_child);
        while (down == FLAME_TREE_NONE) {
            flame_svg_rest(svg, at);
            if (at == FLAME_TREE_ROOT) {
                return;
            }
            down = flame_svg_skip(svg, nodes[at].next_sibling);
            at = nodes[at].parent;
        }
        uint64_t start = svg->next[at];
        svg->next[at] += nodes[down].total;
        svg->next[down] = start;
        flame_svg_node(svg, down, start);
        at = down;
    }
}

/* Writes the legend. */
void flame_svg_write_legend(struct emit_sink *sink, unsigned x, unsigned y)
{
    static const struct {
        const char *class_, *text;
        unsigned width;
    } keys[] = {{"k0", "", 16},
                {"k4", "", 16},
                {"k7", "your code, a colour for each package", 252},
                {"std", "standard library", 128},
                {"rt", "runtime", 76},
                {"c", "not Go", 70},
                {"st", "what they wait for", 0}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        emit_sink_format(sink,
                         "<g class=\"%s\"><rect x=\"%u\" y=\"%u\" width=\"13\" height=\"13\" "
                         "rx=\"3\"/></g><text class=\"key\" x=\"%u\" y=\"%u\">%s</text>\n",
                         keys[i].class_, x, y, x + 19, y + 11, keys[i].text);
        x += keys[i].width;
    }
}

/* Writes what stands above and below the graph of a file of its own. */
static void flame_svg_write_frame(struct flame_svg *svg, const struct flame_svg_frame *frame,
                                  unsigned height)
{
    struct emit_sink *sink = svg->sink;
    emit_sink_add(sink, "<title>");
    markup_add_text(sink, frame->heading);
    emit_sink_add(sink, "</title>\n<style>\n");
    emit_sink_add_bytes(sink, emit_asset_flame_css.text, emit_asset_flame_css.size);
    emit_sink_format(sink,
                     "</style>\n<rect class=\"paper\" width=\"100%%\" height=\"100%%\"/>\n"
                     "<text class=\"h1\" x=\"%d\" y=\"30\">",
                     FLAME_SVG_MARGIN);
    markup_add_text(sink, frame->heading);
    emit_sink_format(sink, "</text>\n<text class=\"h2\" x=\"%d\" y=\"50\">", FLAME_SVG_MARGIN);
    markup_add_text(sink, frame->subheading);
    emit_sink_add(sink, "</text>\n");
    emit_sink_add(sink, "<g class=\"foot\">\n");
    flame_svg_write_legend(sink, FLAME_SVG_MARGIN, height - 44);
    emit_sink_format(sink,
                     "<text class=\"key\" x=\"%d\" y=\"%u\">Click or Enter: zoom. Esc: back. "
                     "/ or Ctrl-F: search, Enter: next match. Arrows: walk. The width is the "
                     "number of goroutines.</text>\n</g>\n",
                     FLAME_SVG_MARGIN, height - 12);
}

/* Writes the element; the tree is chosen from already. */
static void flame_svg_element(struct flame_svg *svg, const struct flame_svg_frame *frame)
{
    unsigned rows = svg->deepest + 2u; /* one more for what is too light */
    unsigned height =
        svg->top + rows * (unsigned)FLAME_SVG_ROW + (frame != NULL ? FLAME_SVG_FOOT : 0);
    emit_sink_format(svg->sink,
                     "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"flame\" width=\"%d\" "
                     "height=\"%u\" viewBox=\"0 0 %d %u\" data-height=\"%u\">\n",
                     FLAME_SVG_WIDTH, height, FLAME_SVG_WIDTH, height, height);
    if (frame != NULL) {
        flame_svg_write_frame(svg, frame, height);
    }
    flame_svg_draw(svg);
    if (frame != NULL) {
        emit_sink_add(svg->sink, "<script><![CDATA[\n");
        emit_sink_add_bytes(svg->sink, emit_asset_flame_js.text, emit_asset_flame_js.size);
        emit_sink_add(svg->sink, "]]></script>\n");
    }
    emit_sink_add(svg->sink, "</svg>\n");
}

/* Draws a flame graph. */
struct error *flame_svg_write(const struct flame_tree *tree, const struct flame_svg_frame *frame,
                              struct emit_sink *sink)
{
    CLEANUP(flame_svg_deinit)
    struct flame_svg svg = {.tree = tree,
                            .sink = sink,
                            .left = frame != NULL ? FLAME_SVG_MARGIN : 0,
                            .top = frame != NULL ? FLAME_SVG_TOP : 0};
    uint64_t total = tree->nodes.items[FLAME_TREE_ROOT].total;
    svg.scale = (FLAME_SVG_WIDTH - 2.0 * svg.left) / (total == 0 ? 1.0 : (double)total);
    TRY(flame_svg_choose(&svg));
    flame_svg_element(&svg, frame);
    return NULL;
}
