/* What copy.c and copy_fetch.c share. */
#ifndef UNPARK_TARGET_COPY_INTERNAL_H
#define UNPARK_TARGET_COPY_INTERNAL_H

#include "base/hash_map.h"
#include "base/vector.h"
#include "target/copy.h"
#include "target/target_internal.h"
#include <pthread.h>

enum { COPY_PAGE_SHIFT = 12, COPY_PAGE = 1 << COPY_PAGE_SHIFT };

/* Bytes held in one piece. */
struct copy_segment {
    uint64_t address;
    uint64_t size;
    const uint8_t *bytes;
};

/* Memory for fetched bytes; its start is given out, the rest waits. */
struct copy_block {
    uint8_t *memory;
    size_t size;
    size_t used;
};

/* What to fetch: disjoint ranges by address, each with its place, in pieces for the readers. */
struct copy_plan {
    VECTOR(struct target_range) ranges;
    VECTOR(size_t) pieces;                /* first range of each piece, and the end */
    VECTOR(struct copy_segment) segments; /* what is held once all of it is read; may be empty */
    size_t size;                          /* sum of the ranges */
};

/* Frees what PLAN holds. */
void copy_plan_deinit(struct copy_plan *plan);

/* What a thread was doing at seal time. */
struct copy_system_call {
    pid_t tid;
    struct target_system_call call;
};

/* The head comes first: a struct target points at it. */
struct copy {
    struct target head;
    struct target *base; /* not owned */
    bool sealed;
    VECTOR(struct copy_segment) segments; /* sorted, disjoint */
    VECTOR(struct copy_block) blocks;
    struct copy_plan reserved; /* for copy_fetch_reserved */
    struct hash_map pages; /* page number -> its bytes (pointer), 0: unreadable; fetched singly */
    pthread_mutex_t lock;  /* of pages and blocks while open */
    uint64_t held;
    struct target_thread *threads;
    size_t thread_count;
    VECTOR(struct copy_system_call) calls;
    bool has_clock;
    uint64_t clock;
};

/* SIZE bytes of populated memory in one piece; ERROR_OUT_OF_MEMORY. */
NODISCARD struct error *copy_allocate(struct copy *copy, size_t size, uint8_t **ret);

/* Adds a block of SIZE bytes, populated by several threads. */
NODISCARD struct error *copy_add_block(struct copy *copy, size_t size);

#endif
