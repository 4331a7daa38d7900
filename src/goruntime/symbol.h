/* Frames of a snapshot from addresses: functions, lines, inlined calls, and what Go's traceback
 * would do with each. Work is done once per distinct address in its context. One thread at a time.
 */
#ifndef UNPARK_GORUNTIME_SYMBOL_H
#define UNPARK_GORUNTIME_SYMBOL_H

#include "base/string_builder.h"
#include "goruntime/goruntime.h"
#include "goruntime/stack_trie.h"

/* Whose work a goroutine does, by its first function. */
enum symbol_origin {
    SYMBOL_ORIGIN_USER,
    SYMBOL_ORIGIN_SYSTEM,
    SYMBOL_ORIGIN_FINALIZERS, /* system unless it runs a finalizer just now */
    SYMBOL_ORIGIN_CLEANUPS    /* the same for cleanups */
};

struct symbols {
    const struct image *image; /* not owned */
    const struct layout *layout;
    struct snapshot_builder *builder; /* not owned */
    bool arguments;                   /* frames get argument templates */
    struct string_builder text;
    char *library; /* folder of the standard library's packages, with its slash */
    size_t library_size;
    struct function_frame *logical; /* scratch */
    size_t logical_capacity;
    VECTOR(uint32_t) frames;  /* frame ids of symbolised nodes */
    VECTOR(uint32_t) path;    /* scratch: nodes of one stack */
    VECTOR(uint32_t) stack;   /* scratch: frame ids of one stack */
    struct hash_map creators; /* pc: frame id */
    struct hash_map starts;   /* pc: frame id */
    struct hash_map origins;  /* pc: enum symbol_origin */
};

/* Sets SYMBOLS up to add to BUILDER. symbols_deinit afterwards, also after an error. */
NODISCARD struct error *symbols_init(struct symbols *symbols, struct image *image,
                                     struct snapshot_builder *builder, bool arguments);
void symbols_deinit(struct symbols *symbols);

/* The builder's stack of the frames from the innermost one to NODE of TRIE; the trie keeps it. */
NODISCARD struct error *symbols_stack(struct symbols *symbols, struct stack_trie *trie,
                                      uint32_t node, uint32_t *ret);

/* The frame of the go statement whose return address is PC; 0 when PC is in no Go function. */
NODISCARD struct error *symbols_creator(struct symbols *symbols, uint64_t pc, uint32_t *ret);

/* The frame of the function that starts at PC, at its func line; 0 as above. */
NODISCARD struct error *symbols_start(struct symbols *symbols, uint64_t pc, uint32_t *ret);

/* Whose work a goroutine does that began at PC. */
NODISCARD struct error *symbols_origin(struct symbols *symbols, uint64_t pc,
                                       enum symbol_origin *ret);

#endif
