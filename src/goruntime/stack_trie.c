/* Keys are (node of the callee, pc): the origin of the pc follows from the callee. */
#include "goruntime/stack_trie.h"

enum {
    STACK_TRIE_FIRST_CAPACITY = 1024,
    STACK_TRIE_NODES_MAX = 1 << 24 /* stacks of garbage could otherwise take all memory */
};

/* Adds the nodes that stand for origins. */
struct error *stack_trie_init(struct stack_trie *trie, const struct unwind_rules *rules,
                              bool arguments)
{
    *trie = (struct stack_trie){.rules = *rules, .arguments = arguments};
    TRY(vector_append(&trie->nodes, (struct stack_node){0}));
    for (unsigned origin = 0; origin < UNWIND_ORIGIN_COUNT; origin++) {
        struct stack_node root = {
            .end = UNWIND_NEXT, .caller = (uint8_t)origin, .symbolised = true};
        TRY(vector_append(&trie->nodes, root));
    }
    trie->table = calloc(STACK_TRIE_FIRST_CAPACITY, sizeof *trie->table);
    if (trie->table == NULL) {
        return error_no_memory();
    }
    trie->capacity = STACK_TRIE_FIRST_CAPACITY;
    return NULL;
}

/* Frees everything. */
void stack_trie_deinit(struct stack_trie *trie)
{
    vector_deinit(&trie->nodes);
    vector_deinit(&trie->slots);
    hash_map_deinit(&trie->twins);
    free(trie->table);
    trie->table = NULL;
}

/* Where to look first for (PARENT, PC). */
static size_t stack_trie_hash(const struct stack_trie *trie, uint32_t parent, uint64_t pc)
{
    return hash_u64(pc ^ (uint64_t)parent << 40) & (trie->capacity - 1);
}

/* The slot of (PARENT, PC), holding its node or free. */
static uint32_t *stack_trie_slot(const struct stack_trie *trie, uint32_t parent, uint64_t pc)
{
    size_t at = stack_trie_hash(trie, parent, pc);
    while (trie->table[at] != 0) {
        const struct stack_node *node = &trie->nodes.items[trie->table[at]];
        if (node->parent == parent && node->pc == pc) {
            break;
        }
        at = (at + 1) & (trie->capacity - 1);
    }
    return &trie->table[at];
}

/* Doubles the table. */
static struct error *stack_trie_grow(struct stack_trie *trie)
{
    uint32_t *table = calloc(trie->capacity * 2, sizeof *table);
    if (table == NULL) {
        return error_no_memory();
    }
    free(trie->table);
    trie->table = table;
    trie->capacity *= 2;
    for (size_t i = stack_trie_root(UNWIND_ORIGIN_COUNT); i < trie->nodes.count; i++) {
        const struct stack_node *node = &trie->nodes.items[i];
        *stack_trie_slot(trie, node->parent, node->pc) = (uint32_t)i;
    }
    return NULL;
}

/* Notes where the argument words of a frame are. */
static struct error *stack_trie_add_slots(struct stack_trie *trie, const struct unwind_step *step,
                                          struct stack_node *node)
{
    struct arguments arguments;
    struct error *error = arguments_read(&step->function, step->symbol_pc, &arguments);
    if (error_catch(&error, ERROR_CORRUPT)) {
        return NULL;
    }
    TRY(error);
    TRY(vector_reserve(&trie->slots, trie->slots.count + arguments.slot_count));
    node->first_slot = (uint32_t)trie->slots.count;
    node->slot_count = (uint8_t)arguments.slot_count;
    for (uint32_t i = 0; i < arguments.slot_count; i++) {
        trie->slots.items[trie->slots.count++] = arguments.slots[i];
    }
    return NULL;
}

/* Works out the frame of NODE. ERROR_NOT_FOUND and ERROR_CORRUPT as unwind_resolve. */
static struct error *stack_trie_resolve(struct stack_trie *trie, struct stack_node *node)
{
    struct unwind_step step;
    TRY(unwind_resolve(&trie->rules, node->pc, (enum unwind_origin)node->origin, &step));
    node->symbol_pc = step.symbol_pc;
    node->size = step.size;
    node->end = (uint8_t)step.end;
    node->caller = (uint8_t)step.caller;
    return trie->arguments ? stack_trie_add_slots(trie, &step, node) : NULL;
}

/* Copies what TWIN and NODE have in common. */
static void stack_trie_copy(const struct stack_trie *trie, uint32_t twin, struct stack_node *node)
{
    const struct stack_node *from = &trie->nodes.items[twin];
    node->twin = twin;
    node->symbol_pc = from->symbol_pc;
    node->size = from->size;
    node->end = from->end;
    node->caller = from->caller;
    node->first_slot = from->first_slot;
    node->slot_count = from->slot_count;
}

/* Makes the node of (PARENT, PC). */
static struct error *stack_trie_add(struct stack_trie *trie, uint32_t parent, uint64_t pc,
                                    uint32_t *ret)
{
    const struct stack_node *callee = &trie->nodes.items[parent];
    struct stack_node node = {
        .pc = pc, .parent = parent, .depth = callee->depth + 1, .origin = callee->caller};
    uint64_t key = pc << 3 | node.origin;
    const uint64_t *twin = hash_map_get(&trie->twins, key);
    *ret = 0;
    if (trie->nodes.count >= STACK_TRIE_NODES_MAX) {
        return NULL;
    }
    if (twin != NULL) {
        stack_trie_copy(trie, (uint32_t)*twin, &node);
    } else {
        struct error *error = stack_trie_resolve(trie, &node);
        if (error_catch(&error, ERROR_NOT_FOUND) || error_catch(&error, ERROR_CORRUPT)) {
            return NULL;
        }
        TRY(error);
        TRY(hash_map_put(&trie->twins, key, trie->nodes.count));
    }
    TRY(vector_append(&trie->nodes, node));
    *ret = (uint32_t)(trie->nodes.count - 1);
    return NULL;
}

/* Finds or makes a node. */
struct error *stack_trie_step(struct stack_trie *trie, uint32_t node, uint64_t pc, uint32_t *ret)
{
    *ret = *stack_trie_slot(trie, node, pc);
    if (*ret == 0) {
        if (trie->nodes.count >= trie->capacity / 4 * 3) {
            TRY(stack_trie_grow(trie));
        }
        TRY(stack_trie_add(trie, node, pc, ret));
        if (*ret == 0) {
            return NULL;
        }
        *stack_trie_slot(trie, node, pc) = *ret;
    }
    trie->nodes.items[node].last_child = *ret;
    return NULL;
}
