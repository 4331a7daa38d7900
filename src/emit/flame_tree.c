/* Children are found by a map from (parent, function) while building; the links between siblings
 * are made once, when all are known. */
#include "emit/flame_tree.h"
#include "base/cleanup.h"
#include "base/hash_map.h"
#include "emit/dump_internal.h"
#include <stdlib.h>
#include <string.h>

/* Keys of nodes that no function names; ids of strings are below. */
static const uint32_t flame_key_state = UINT32_MAX - UINT16_MAX; /* + status << 8 | reason */
static const uint32_t flame_key_foreign = UINT32_MAX - UINT16_MAX - 1;
static const uint32_t flame_key_elided = UINT32_MAX - UINT16_MAX - 2;

/* One run of building. */
struct flame_tree_build {
    struct flame_tree *tree;
    const struct dump_view *view;
    struct hash_map children;
    size_t depth_max;
};

/* The key of a node. */
uint32_t flame_tree_key(const struct flame_tree *tree, const struct flame_node *node)
{
    const struct snapshot_frame *frame = flame_tree_frame(tree, node);
    return frame == NULL ? flame_key_state + ((uint32_t)node->status << 8 | node->reason)
           : (frame->flags & FRAME_ELIDED) != 0 ? flame_key_elided
           : frame->function == 0               ? flame_key_foreign
                                                : frame->function;
}

/* The node below PARENT that MODEL is, made when it is new; WEIGHT is added to it. */
static struct error *flame_tree_child(struct flame_tree_build *build, uint32_t parent,
                                      const struct flame_node *model, uint64_t weight,
                                      uint32_t *ret)
{
    struct flame_tree *tree = build->tree;
    uint32_t key = flame_tree_key(tree, model);
    bool added;
    uint64_t *index;
    TRY(hash_map_entry(&build->children, (uint64_t)parent << 32 | key, tree->nodes.count, &added,
                       &index));
    *ret = (uint32_t)*index;
    if (added) {
        if (tree->nodes.count >= flame_key_elided) {
            return error_create(ERROR_LIMIT, "more than %u calls in the tree", flame_key_elided);
        }
        struct flame_node node = *model;
        uint16_t depth = tree->nodes.items[parent].depth;
        node.parent = parent;
        node.depth = (uint16_t)(depth + (depth < UINT16_MAX));
        node.first_child = FLAME_TREE_NONE;
        node.next_sibling = FLAME_TREE_NONE;
        TRY(vector_append(&tree->nodes, node));
    }
    tree->nodes.items[*ret].total += weight;
    return NULL;
}

/* Whether a frame is to be in the tree; OUTERMOST is that of its stack. */
static bool flame_tree_shows(const struct flame_tree_build *build,
                             const struct snapshot_frame *frame, bool outermost)
{
    uint32_t hidden = FRAME_WRAPPER;
    if (build->view->user_frames) {
        hidden |= FRAME_RUNTIME | FRAME_STANDARD_LIBRARY;
    }
    if ((frame->flags & hidden) != 0) {
        return false;
    }
    return !outermost || (frame->flags & FRAME_RUNTIME) == 0 ||
           strcmp(snapshot_string(build->tree->snapshot, frame->function), "runtime.goexit") != 0;
}

/* The node of frame ID below PARENT. */
static struct error *flame_tree_add_frame(struct flame_tree_build *build, uint32_t parent,
                                          uint32_t id, uint64_t weight, uint32_t *ret)
{
    const struct snapshot_frame *frame = snapshot_frame(build->tree->snapshot, id);
    struct flame_node model = {.kind = FLAME_FRAME, .frame = id};
    TRY(flame_tree_child(build, parent, &model, weight, ret));
    struct flame_node *node = &build->tree->nodes.items[*ret];
    const struct snapshot_frame *first = snapshot_frame(build->tree->snapshot, node->frame);
    node->lines_vary |= first->line != frame->line || first->file != frame->file;
    return NULL;
}

/* Adds the path of one group. */
static struct error *flame_tree_add_group(struct flame_tree_build *build, const struct group *group)
{
    const struct snapshot *snapshot = build->tree->snapshot;
    uint64_t weight = group->goroutines;
    uint32_t at = FLAME_TREE_ROOT;
    size_t count;
    const uint32_t *frames = snapshot_stack(snapshot, group->stack, &count);
    size_t all;
    uint32_t start = snapshot_goroutines(snapshot, &all)[group->members[0]].start;
    if (count == 0 && start != 0) {
        frames = &start;
        count = 1;
    }
    build->tree->nodes.items[FLAME_TREE_ROOT].total += weight;
    for (size_t i = count, depth = 0; i-- > 0;) {
        if (!flame_tree_shows(build, snapshot_frame(snapshot, frames[i]), i + 1 == count)) {
            continue;
        }
        if (build->depth_max != 0 && depth++ == build->depth_max) {
            build->tree->nodes.items[at].cut = true;
            break;
        }
        TRY(flame_tree_add_frame(build, at, frames[i], weight, &at));
    }
    struct flame_node model = {
        .kind = FLAME_STATE, .status = group->status, .reason = group->wait_reason};
    return flame_tree_child(build, at, &model, weight, &at);
}

/* Orders siblings. */
struct flame_tree_entry {
    const char *name;
    uint64_t total;
    uint32_t parent, index;
    bool leaf;
};

/* The byte at AT of a name as lines of folded stacks have it: behind a function's comes ';', behind
 * a state's ']'. */
static int flame_tree_byte(const struct flame_tree_entry *entry, size_t at)
{
    uint8_t byte = (uint8_t)entry->name[at];
    return byte != 0 ? byte : entry->leaf ? ']' : ';';
}

/* By name as folded lines sort, states in brackets. */
static int flame_tree_compare_names(const struct flame_tree_entry *a,
                                    const struct flame_tree_entry *b)
{
    size_t at = 0;
    while (a->leaf == b->leaf && a->name[at] != '\0' && a->name[at] == b->name[at]) {
        at++;
    }
    int left = a->leaf && !b->leaf ? '[' : flame_tree_byte(a, at);
    int right = b->leaf && !a->leaf ? '[' : flame_tree_byte(b, at);
    return left != right ? left - right : (a->index > b->index) - (a->index < b->index);
}

/* FLAME_BY_NAME. */
static int flame_tree_by_name(const void *left, const void *right)
{
    const struct flame_tree_entry *a = left;
    const struct flame_tree_entry *b = right;
    int order = (a->parent > b->parent) - (a->parent < b->parent);
    return order != 0 ? order : flame_tree_compare_names(a, b);
}

/* FLAME_BY_WEIGHT. */
static int flame_tree_by_weight(const void *left, const void *right)
{
    const struct flame_tree_entry *a = left;
    const struct flame_tree_entry *b = right;
    int order = (a->parent > b->parent) - (a->parent < b->parent);
    if (order == 0) {
        order = (b->total > a->total) - (b->total < a->total);
    }
    return order != 0 ? order : flame_tree_compare_names(a, b);
}

/* The word for the state of goroutines. */
static const char *flame_tree_state(const struct flame_node *node)
{
    bool waits =
        node->status == GOROUTINE_STATUS_WAITING || node->status == GOROUTINE_STATUS_LEAKED;
    const char *reason = waits ? wait_reason_text((enum wait_reason)node->reason) : "";
    return *reason != '\0' ? reason : goroutine_status_text((enum goroutine_status)node->status);
}

/* The text that NODE is sorted by. */
static const char *flame_tree_sort_name(const struct flame_tree *tree,
                                        const struct flame_node *node)
{
    const struct snapshot_frame *frame = flame_tree_frame(tree, node);
    return frame != NULL ? snapshot_string(tree->snapshot, frame->function)
                         : flame_tree_state(node);
}

/* Links every node to its first child and next sibling. */
static struct error *flame_tree_link(struct flame_tree *tree, enum flame_order order)
{
    struct flame_node *nodes = tree->nodes.items;
    size_t count = tree->nodes.count;
    CLEANUP_FREE struct flame_tree_entry *entries = calloc(count, sizeof *entries);
    if (entries == NULL) {
        return error_no_memory();
    }
    for (size_t i = 1; i < count; i++) {
        entries[i - 1] = (struct flame_tree_entry){.name = flame_tree_sort_name(tree, &nodes[i]),
                                                   .total = nodes[i].total,
                                                   .parent = nodes[i].parent,
                                                   .index = (uint32_t)i,
                                                   .leaf = nodes[i].kind == FLAME_STATE};
    }
    qsort(entries, count - 1, sizeof *entries,
          order == FLAME_BY_NAME ? flame_tree_by_name : flame_tree_by_weight);
    for (size_t i = count - 1; i-- > 0;) {
        nodes[entries[i].index].next_sibling = nodes[entries[i].parent].first_child;
        nodes[entries[i].parent].first_child = entries[i].index;
    }
    return NULL;
}

/* Adds every group and links the nodes. */
static struct error *flame_tree_fill(struct flame_tree_build *build, enum flame_order order)
{
    const struct group_list *groups = build->view->groups;
    struct flame_node root = {.kind = FLAME_ROOT,
                              .parent = FLAME_TREE_NONE,
                              .first_child = FLAME_TREE_NONE,
                              .next_sibling = FLAME_TREE_NONE};
    TRY(vector_append(&build->tree->nodes, root));
    size_t count = dump_limit(build->view, groups->count);
    for (size_t i = 0; i < count; i++) {
        TRY(flame_tree_add_group(build, &groups->items[i]));
    }
    return flame_tree_link(build->tree, order);
}

/* Merges stacks. */
struct error *flame_tree_init(struct flame_tree *tree, const struct dump_view *view,
                              enum flame_order order, size_t depth_max)
{
    *tree = (struct flame_tree){.snapshot = view->snapshot};
    struct flame_tree_build build = {.tree = tree, .view = view, .depth_max = depth_max};
    struct error *error = flame_tree_fill(&build, order);
    hash_map_deinit(&build.children);
    if (error != NULL) {
        flame_tree_deinit(tree);
    }
    return error;
}

/* Frees a tree. */
void flame_tree_deinit(struct flame_tree *tree)
{
    vector_deinit(&tree->nodes);
}

/* The frame of a node. */
const struct snapshot_frame *flame_tree_frame(const struct flame_tree *tree,
                                              const struct flame_node *node)
{
    return node->kind == FLAME_FRAME ? snapshot_frame(tree->snapshot, node->frame) : NULL;
}

/* Appends a node's name. */
void flame_tree_add_name(const struct flame_tree *tree, const struct flame_node *node,
                         struct string_builder *builder)
{
    const struct snapshot_frame *frame = flame_tree_frame(tree, node);
    if (node->kind == FLAME_ROOT) {
        string_builder_add(builder, "all goroutines");
    } else if (frame == NULL) {
        string_builder_format(builder, "[%s%s]", flame_tree_state(node),
                              node->status == GOROUTINE_STATUS_LEAKED ? " (leaked)" : "");
    } else if ((frame->flags & FRAME_ELIDED) != 0) {
        string_builder_add(builder, "(frames that the source left out)");
    } else if (frame->function == 0) {
        string_builder_add(builder, (frame->flags & FRAME_NOT_GO) != 0 ? "(code outside Go)" : "?");
    } else {
        string_builder_add_bytes(builder, snapshot_string(tree->snapshot, frame->function),
                                 snapshot_string_size(tree->snapshot, frame->function));
    }
}
