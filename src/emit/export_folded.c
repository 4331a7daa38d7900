#include "base/cleanup.h"
#include "emit/export.h"
#include "emit/flame_tree.h"

/* A path through the tree as text: the line so far, and where each level of it began. */
struct folded {
    const struct flame_tree *tree;
    struct string_builder line, name;
    VECTOR(size_t) ends; /* size of the line before each level */
};

/* Frees what FOLDED holds. */
static void folded_deinit(struct folded *folded)
{
    string_builder_deinit(&folded->line);
    string_builder_deinit(&folded->name);
    vector_deinit(&folded->ends);
}

/* Appends the name of NODE: control characters escaped, ';' replaced, for it ends a name. */
static struct error *folded_push(struct folded *folded, const struct flame_node *node)
{
    TRY(vector_append(&folded->ends, folded->line.size));
    string_builder_clear(&folded->name);
    flame_tree_add_name(folded->tree, node, &folded->name);
    TRY(string_builder_error(&folded->name));
    size_t start = folded->line.size;
    string_builder_add(&folded->line, start > 0 ? ";" : "");
    start = folded->line.size;
    string_builder_add_escaped(&folded->line, folded->name.text, folded->name.size);
    for (size_t i = start; i < folded->line.size; i++) {
        if (folded->line.text[i] == ';') {
            folded->line.text[i] = ':';
        }
    }
    return string_builder_error(&folded->line);
}

/* Shortens the line by its last level. */
static void folded_pop(struct folded *folded)
{
    folded->line.size = folded->ends.items[--folded->ends.count];
    folded->line.text[folded->line.size] = '\0';
}

/* The node that follows AT in depth-first order; the line is shortened to its parent. */
static uint32_t folded_next(struct folded *folded, uint32_t at)
{
    const struct flame_node *nodes = folded->tree->nodes.items;
    if (nodes[at].first_child != FLAME_TREE_NONE) {
        return nodes[at].first_child;
    }
    while (at != FLAME_TREE_ROOT) {
        folded_pop(folded);
        if (nodes[at].next_sibling != FLAME_TREE_NONE) {
            return nodes[at].next_sibling;
        }
        at = nodes[at].parent;
    }
    return FLAME_TREE_NONE;
}

/* Writes every line. */
static struct error *folded_lines(struct folded *folded, struct emit_sink *sink)
{
    uint32_t at = folded->tree->nodes.items[FLAME_TREE_ROOT].first_child;
    while (at != FLAME_TREE_NONE && !emit_sink_failed(sink)) {
        const struct flame_node *node = &folded->tree->nodes.items[at];
        TRY(folded_push(folded, node));
        if (node->kind == FLAME_STATE) {
            emit_sink_add_builder(sink, &folded->line);
            emit_sink_add(sink, " ");
            emit_sink_add_u64(sink, node->total);
            emit_sink_add(sink, "\n");
        }
        at = folded_next(folded, at);
    }
    return emit_sink_flush(sink);
}

/* Writes folded stacks. */
struct error *export_folded_write(const struct export_view *view, struct emit_sink *sink)
{
    CLEANUP(flame_tree_deinit) struct flame_tree tree;
    TRY(flame_tree_init(&tree, &view->dump, FLAME_BY_NAME, 0));
    CLEANUP(folded_deinit) struct folded folded = {.tree = &tree};
    return folded_lines(&folded, sink);
}
