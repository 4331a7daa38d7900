/* One look at all goroutines: what look.c, look_batch.c and look_publish.c share. */
#ifndef UNPARK_GORUNTIME_LOOK_INTERNAL_H
#define UNPARK_GORUNTIME_LOOK_INTERNAL_H

#include "goruntime/channel.h"
#include "goruntime/internal.h"
#include "goruntime/running.h"
#include "goruntime/stack_reader.h"
#include "goruntime/symbol.h"
#include "target/process_rest.h"
#include <pthread.h>
#include <stdatomic.h>

/* What all workers share. From lock on, everything is guarded by it. */
struct look {
    struct goruntime *runtime;           /* not owned */
    const struct goruntime_look *wanted; /* not owned */
    struct unwind_rules rules;
    bool frozen; /* nothing moves: a core, a copy, or a stopped process */
    struct running running;
    uint64_t *list; /* addresses of all g's */
    size_t count;
    size_t batch;       /* g's that a worker takes at once */
    atomic_size_t next; /* first of the list that nobody took */
    atomic_bool failed; /* somebody met an error: stop */
    pthread_mutex_t lock;
    struct error *error;              /* the first error */
    struct snapshot_builder *builder; /* not owned */
    struct symbols symbols;
    struct goruntime_look_state state;
    struct hash_map bubbles;                /* address of a bubble: its id */
    VECTOR(struct goruntime_parked) parked; /* waits that no worker resolves by itself */
    size_t parked_max;                      /* how many are resolved at once */
    uint32_t start;                         /* the start function last asked about: */
    bool start_is_coroutine;                /* what was found */
    bool defers;                            /* what runs is left for a stop */
    VECTOR(uint64_t) deferred;              /* addresses of those g's */
    size_t done;                            /* g's looked at */
    size_t goroutines;
    size_t moved, cut, unreadable;
};

/* One worker. */
struct look_worker {
    struct look *look;
    struct bulk *bulk;
    struct stack_reader reader;
    struct goroutine_record *records; /* one batch of each */
    struct gather_item *items, *scratch;
    uint32_t *moved; /* numbers of records to read again */
    size_t moved_count;
    size_t first; /* index in the builder of the first of the batch that lives */
    struct channel_reader *channels;
    struct process_rest *rest;              /* NULL: not known, or nothing moves anyway */
    VECTOR(struct goruntime_parked) parked; /* in this batch, on channels */
};

/* Reads COUNT g's from FIRST of the list on, and their stacks, into WORKER's records; those that
 * moved meanwhile again. */
NODISCARD struct error *look_batch_read(struct look_worker *worker, size_t first, size_t count);

/* Moves the first COUNT records of WORKER into the builder; those that wait on channels go to
 * WORKER's own list as well. The caller holds the lock. */
NODISCARD struct error *look_publish(struct look_worker *worker, size_t count);

/* Resolves what the goroutines published so far wait for. The caller holds the lock. */
NODISCARD struct error *look_publish_waits(struct look *look);

#endif
