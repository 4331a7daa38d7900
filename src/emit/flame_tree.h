/* Stacks merged from their roots on: the tree behind folded stacks and flame graphs. */
#ifndef UNPARK_EMIT_FLAME_TREE_H
#define UNPARK_EMIT_FLAME_TREE_H

#include "base/string_builder.h"
#include "base/vector.h"
#include "emit/dump.h"

enum flame_kind {
    FLAME_ROOT,
    FLAME_FRAME,
    FLAME_STATE /* a leaf: what the goroutines above it wait for, or their status */
};

enum { FLAME_TREE_ROOT = 0, FLAME_TREE_NONE = UINT32_MAX };

/* Node 0 is the root; a parent comes before its children. Frames of one function are one node,
 * whatever their lines. */
struct flame_node {
    uint64_t total; /* goroutines below, itself included */
    uint32_t parent, first_child, next_sibling;
    uint32_t frame;  /* of FLAME_FRAME: the first one met; its id */
    uint16_t depth;  /* 0 for the root; deeper than 65535 is not counted on */
    uint8_t kind;    /* enum flame_kind */
    uint8_t status;  /* of FLAME_STATE */
    uint8_t reason;  /* of FLAME_STATE */
    bool lines_vary; /* it stands for several lines of its function */
    bool cut;        /* calls below it were left out for their depth */
};

struct flame_tree {
    const struct snapshot *snapshot;
    VECTOR(struct flame_node) nodes;
};

enum flame_order {
    FLAME_BY_NAME,  /* so that lines of folded stacks come out sorted by bytes */
    FLAME_BY_WEIGHT /* the heaviest first, ties by name */
};

/* Merges the stacks of VIEW's groups (not NULL; within its limit). The outermost runtime.goexit and
 * the compiler's wrappers are left out, with VIEW's user_frames the runtime and the standard
 * library, too. A stack that was not read is its start function alone. Frames beyond DEPTH_MAX
 * below the root (0: no limit) are left out, which marks the node above them as cut. */
NODISCARD struct error *flame_tree_init(struct flame_tree *tree, const struct dump_view *view,
                                        enum flame_order order, size_t depth_max);
void flame_tree_deinit(struct flame_tree *tree);

/* Appends the name of NODE as the target has it, unescaped: a function, or "[chan receive]". */
void flame_tree_add_name(const struct flame_tree *tree, const struct flame_node *node,
                         struct string_builder *builder);

/* A number that nodes of the same function or state share, wherever they are in the tree. */
uint32_t flame_tree_key(const struct flame_tree *tree, const struct flame_node *node);

/* The frame of NODE, NULL for the others. */
const struct snapshot_frame *flame_tree_frame(const struct flame_tree *tree,
                                              const struct flame_node *node);

#endif
