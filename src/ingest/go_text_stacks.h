/* The stacks of a goroutine dump as a trie of what was read: one node for each frame's two lines,
 * by everything but their argument words. The next goroutine with the same stack is compared with
 * it, byte by byte, and only its words are taken. */
#ifndef UNPARK_INGEST_GO_TEXT_STACKS_H
#define UNPARK_INGEST_GO_TEXT_STACKS_H

#include "base/string_builder.h"
#include "base/vector.h"
#include "snapshot/snapshot.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GO_TEXT_WAYS = 1024, GO_TEXT_ROOT = 0 };

/* What a node stands for. */
enum go_text_kind {
    GO_TEXT_FRAME,
    GO_TEXT_CREATOR,    /* "created by" and its place */
    GO_TEXT_UNAVAILABLE /* "goroutine running on other thread; stack unavailable" */
};

/* How a line begins that is no frame. */
enum go_text_step {
    GO_TEXT_STEP_TAKEN,    /* a node was found or made */
    GO_TEXT_STEP_MORE,     /* the second line is not there yet */
    GO_TEXT_STEP_ANCESTOR, /* "[originating from goroutine N]:" */
    GO_TEXT_STEP_FOREIGN   /* not of a goroutine */
};

struct go_text_node {
    uint32_t parent;
    uint32_t pattern; /* in the pool: see go_text_stacks.c */
    uint32_t frame;   /* of the snapshot */
    uint32_t stack;   /* of the snapshot, of the path to here; UINT32_MAX not made */
    uint32_t depth;   /* nodes on that path */
    uint32_t words;   /* arguments on that path */
    uint32_t creator; /* frame; 0 none */
    uint32_t latest;  /* child; 0 none */
    uint8_t kind;     /* enum go_text_kind */
    bool system;      /* with stack: it is one of the runtime's own */
};

/* One entry of the index; node 0 is free. */
struct go_text_slot {
    uint32_t hash, node;
};

/* Where a second line that ends in TAIL leads from NODE; child 0 is free. */
struct go_text_way {
    uint64_t tail;
    uint32_t node, child;
};

struct go_text_stacks {
    struct snapshot_builder *builder;
    VECTOR(struct go_text_node) nodes; /* the first is the root */
    VECTOR(char) pool;
    struct go_text_slot *slots;
    size_t capacity;                       /* a power of two, or 0 */
    struct go_text_way ways[GO_TEXT_WAYS]; /* the last one met of each hash */
    uint64_t seed;
    struct string_builder pattern, arguments;
    VECTOR(uint32_t) path;
    /* of the goroutine being read */
    bool no_words; /* words are passed over */
    VECTOR(uint64_t) words;
    uint32_t node;
    uint64_t parent; /* goid behind " in goroutine " */
};

/* Sets STACKS up to fill BUILDER. */
NODISCARD struct error *go_text_stacks_init(struct go_text_stacks *stacks,
                                            struct snapshot_builder *builder);
void go_text_stacks_deinit(struct go_text_stacks *stacks);

/* Forgets every node: the builder was cleared. */
void go_text_stacks_clear(struct go_text_stacks *stacks);

/* Begins the stack of another goroutine. */
void go_text_stacks_begin(struct go_text_stacks *stacks);

/* When what is at AT (before END) was met below the present node before and is not forgotten, goes
 * to its node and returns where it ends; else NULL. */
const char *go_text_stacks_match(struct go_text_stacks *stacks, const char *at, const char *end);

/* Reads the frame whose first line is at AT. *NEXT_RET is behind its lines when it was TAKEN. The
 * text before END ends with a newline. */
NODISCARD struct error *go_text_stacks_learn(struct go_text_stacks *stacks, const char *at,
                                             const char *end, enum go_text_step *step_ret,
                                             const char **next_ret);

/* Finds the stack of the goroutine that was read, in the node that is returned in *RET; its node is
 * good until the next goroutine. A stack of GO_TEXT_UNAVAILABLE is 0, as an empty one is. */
NODISCARD struct error *go_text_stacks_end(struct go_text_stacks *stacks,
                                           const struct go_text_node **ret);

#endif
