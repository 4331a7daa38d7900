/* What the files of this room share; no other room includes it. */
#ifndef UNPARK_SNAPSHOT_SNAPSHOT_INTERNAL_H
#define UNPARK_SNAPSHOT_SNAPSHOT_INTERNAL_H

#include "base/intern.h"
#include "base/vector.h"
#include "snapshot/snapshot.h"

/* A run of items in one of the flat arrays. */
struct snapshot_span {
    uint64_t first;
    uint64_t count;
};

/* Argument words: per stack one template, per goroutine the differences to it (snapshot_arguments.c
 * has the format). */
struct snapshot_words {
    VECTOR(uint8_t) bytes;
    VECTOR(uint64_t) templates;
    VECTOR(struct snapshot_span) stacks; /* by stack id, into templates; count 0: no template yet */
};

/* Who waits on each object, built on demand. */
struct snapshot_waiters {
    uint64_t *first;      /* by object, into the arrays below; NULL until built */
    uint32_t *count;      /* by object */
    uint32_t *senders;    /* by object, of those in count */
    uint32_t *receivers;  /* by object, of those in count */
    uint32_t *goroutines; /* indices, ascending per object */
    uint8_t *directions;
};

/* Ids of frames, stacks and label sets are index + 1. */
struct snapshot {
    struct snapshot_program program;
    struct intern *strings;
    VECTOR(struct snapshot_goroutine) goroutines;
    VECTOR(struct snapshot_frame) frames;
    VECTOR(uint32_t) stack_frames;
    VECTOR(struct snapshot_span) stacks;
    VECTOR(struct snapshot_label) label_items;
    VECTOR(struct snapshot_span) labels;
    VECTOR(struct snapshot_object) objects;
    VECTOR(struct snapshot_wait) waits;
    bool waits_repeat;     /* some of them may not count: set anew, dropped, or named twice */
    uint16_t flags;        /* that any goroutine had when building ended */
    unsigned queues_asked; /* how often somebody asked who waits, before there is an index */
    VECTOR(char *) notes;
    struct snapshot_words words;
    struct snapshot_waiters waiters;
};

/* Frees what ARGUMENTS holds. */
void snapshot_words_deinit(struct snapshot_words *words);

/* Encodes COUNT words of a goroutine of STACK; *RET is the handle for snapshot_goroutine.arguments.
 */
NODISCARD struct error *snapshot_words_add(struct snapshot_words *words, uint32_t stack,
                                           const uint64_t *values, size_t count, uint64_t *ret);

/* Sorts the goroutines by id; equal ids keep their order. IDS are those of GOROUTINES: reading them
 * there, several times, costs more. */
NODISCARD struct error *snapshot_sort(struct snapshot_goroutine *goroutines, const uint64_t *ids,
                                      size_t count);

#endif
