/* What the files of this room share about one runtime; no other room includes it. */
#ifndef UNPARK_GORUNTIME_INTERNAL_H
#define UNPARK_GORUNTIME_INTERNAL_H

#include "base/hash_map.h"
#include "goruntime/goruntime.h"
#include "target/block_cache.h"

/* The state behind goruntime_create. */
struct goruntime {
    struct target *target;       /* not owned */
    struct image *image;         /* not owned */
    const struct layout *layout; /* the row that passed the check */
    struct goruntime_globals globals;
    char *doubt; /* what the self-check found odd but bearable, or NULL */
};

/* One look's working state for the files that resolve waits and labels (single thread). */
struct goruntime_look_state {
    struct goruntime *runtime;
    const struct goruntime_look *look;
    struct snapshot_builder *builder;
    struct block_cache *cache;
    uint64_t now_ns;        /* target's nanotime at the look; 0 unknown */
    struct hash_map labels; /* what labels_resolve read, by pointer */
    struct wait_memory
        *waits; /* what wait_resolve keeps between its calls; NULL before the first */
};

/* Frees what labels_resolve and wait_resolve keep in STATE. */
void goruntime_look_state_deinit(struct goruntime_look_state *state);

/* What the batch reader leaves of each goroutine for the files that resolve waits. */
struct goruntime_parked {
    size_t index;        /* in the builder */
    uint64_t g;          /* address */
    uint64_t waiting;    /* g.waiting */
    uint64_t timer;      /* g.timer */
    uint64_t sleep_when; /* 0 unknown or absent */
    uint64_t coroarg;
    uint64_t m;                      /* g.m, for system calls */
    uint64_t stack_lo, stack_hi, sp; /* of the goroutine when parked */
    uint8_t status;                  /* enum goroutine_status */
    uint8_t wait_reason;             /* enum wait_reason */
};

/* Resolves what COUNT goroutines wait for into builder objects and waits: channels, selects,
 * semaphores, conds, descriptors, timers, system calls. Batched: sorted gathers, one walk of the
 * semaphore table; may be called for parts of all goroutines, which may include running ones.
 * Unreadable or inconsistent things become unknown, not errors: no wait, or an object that says
 * what it is without what is unknown. Goroutines on a nil channel or in an empty select share no
 * object. */
NODISCARD struct error *wait_resolve(struct goruntime_look_state *state,
                                     const struct goruntime_parked *parked, size_t count);

/* Resolves what can only be told once all goroutines are in the builder: the other sides of
 * coroutines. To be called once, after the last wait_resolve. */
NODISCARD struct error *wait_resolve_rest(struct goruntime_look_state *state);

/* Resolves label pointers (g.labels) to label sets of the builder; equal pointers are read once.
 * Sets GOROUTINE_LABELS_UNKNOWN through *KNOWN_RET = false when unreadable. */
NODISCARD struct error *labels_resolve(struct goruntime_look_state *state, uint64_t pointer,
                                       uint32_t *ret, bool *known_ret);

#endif
