/* The distinct stacks met so far, as a tree from the innermost frame outwards. What was once worked
 * out for a frame in its context is found again by comparing one pc, so unwinding costs one look-up
 * a frame. */
#ifndef UNPARK_GORUNTIME_STACK_TRIE_H
#define UNPARK_GORUNTIME_STACK_TRIE_H

#include "base/hash_map.h"
#include "base/vector.h"
#include "goruntime/arguments.h"
#include "goruntime/unwind.h"

/* One physical frame below (outside of) those on the way to it. Nodes 1 .. UNWIND_ORIGIN_COUNT are
 * no frames but stand for the origins of innermost pcs. */
struct stack_node {
    uint64_t pc;
    uint64_t symbol_pc;
    uint32_t parent;     /* node of the callee */
    uint32_t last_child; /* the one looked up last; 0 none */
    uint32_t twin;       /* the first node with the same pc and origin; 0: this one */
    uint32_t size;       /* of the frame, as in unwind_step */
    uint32_t first_slot; /* into the trie's slots */
    uint32_t depth;      /* frames on the way, this one included */
    uint32_t stack;      /* whoever uses the trie keeps a stack id here; 0 none yet */
    uint32_t frames;     /* the same: first of its logical frames, valid when symbolised */
    uint16_t frame_count;
    uint8_t slot_count;
    uint8_t end;       /* enum unwind_end */
    uint8_t caller;    /* enum unwind_origin */
    uint8_t origin;    /* enum unwind_origin of this pc */
    uint8_t callee_id; /* function id that a wrapper outside of this frame sees as its callee */
    bool symbolised;
    bool shown;     /* a frame up to here is one that Go's traceback prints */
    bool outside;   /* it is outside of package runtime */
    bool user_code; /* it, or a frame up to here, is outside of package runtime */
};

struct stack_trie {
    struct unwind_rules rules;
    bool arguments; /* slots are wanted */
    VECTOR(struct stack_node) nodes;
    VECTOR(struct arguments_slot) slots;
    uint32_t *table;       /* open addressing: node, 0 free */
    size_t capacity;       /* a power of two */
    struct hash_map twins; /* pc and origin: first node that has them */
};

/* Sets TRIE up with no frames. stack_trie_deinit afterwards, also after an error. */
NODISCARD struct error *stack_trie_init(struct stack_trie *trie, const struct unwind_rules *rules,
                                        bool arguments);
void stack_trie_deinit(struct stack_trie *trie);

/* The node that stands for ORIGIN. */
static inline uint32_t stack_trie_root(enum unwind_origin origin)
{
    return 1 + (uint32_t)origin;
}

/* The node for PC outside of NODE when that is what was looked up last there, else 0. */
static inline uint32_t stack_trie_again(const struct stack_trie *trie, uint32_t node, uint64_t pc)
{
    uint32_t last = trie->nodes.items[node].last_child;
    return last != 0 && trie->nodes.items[last].pc == pc ? last : 0;
}

/* The node for PC outside of NODE, made when new; *RET is 0 when PC is in no Go function, its
 * tables are broken, or the trie holds as many nodes as it may (16 million). Makes room that moves
 * nodes. */
NODISCARD struct error *stack_trie_step(struct stack_trie *trie, uint32_t node, uint64_t pc,
                                        uint32_t *ret);

#endif
