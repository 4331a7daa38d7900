/* What the files that resolve waits share. Each of them gets the indices (into the parked
 * goroutines) of one class of waits, in order; what cannot be made out gets no wait. */
#ifndef UNPARK_GORUNTIME_WAIT_H
#define UNPARK_GORUNTIME_WAIT_H

#include "base/hash_map.h"
#include "base/vector.h"
#include "goruntime/internal.h"
#include "goruntime/peek.h"
#include "target/process.h"

enum { WAIT_POLL_PLACES = 4 };

/* A goroutine that waits for a coroutine or was made for one. */
struct wait_coroutine {
    size_t index; /* in the builder */
    uint64_t stack_lo, stack_hi, sp, coroarg;
    uint64_t coro; /* address of its coro, once found */
    bool waits;
    bool made;
};

/* What is kept between the calls of one look. */
struct wait_memory {
    struct hash_map semaphores; /* g: address of its semaphore, from the runtime's table */
    struct process_descriptors *descriptors; /* NULL: not a live process, or not readable */
    bool descriptors_tried;
    struct hash_map descriptor_names;     /* number: string id */
    size_t poll_places[WAIT_POLL_PLACES]; /* where pollDescs are, from sp; the last found first */
    size_t poll_place_count;
    struct hash_map threads; /* id inside the target: our id */
    bool threads_read;
    VECTOR(struct wait_coroutine) coroutines;
};

/* One wait_resolve under way. */
struct wait_resolver {
    struct goruntime_look_state *state;
    const struct layout *layout;
    const struct goruntime_parked *parked;
    size_t count;
    const struct snapshot *snapshot; /* under construction */
    struct peek peek;                /* through the look's cache */
    struct wait_memory *memory;
};

/* True when a goroutine waits on one channel or several. */
bool wait_is_on_channel(const struct goruntime_parked *parked);

/* The entry of parked goroutine INDEX in the builder. */
const struct snapshot_goroutine *wait_goroutine(const struct wait_resolver *resolver,
                                                uint32_t index);

/* Parked goroutine INDEX waits for OBJECT alone. */
NODISCARD struct error *wait_set(struct wait_resolver *resolver, uint32_t index,
                                 const struct snapshot_object *object, uint32_t direction);

/* Words of the used stack of parked goroutine INDEX, innermost first; at most CAPACITY. Returns how
 * many (0 when unreadable); the address of the first is its sp. */
size_t wait_stack(struct wait_resolver *resolver, uint32_t index, uint64_t *words, size_t capacity);

/* WHEN of the target's clock as nanoseconds from now; SNAPSHOT_UNKNOWN when now is unknown. */
int64_t wait_from_now(const struct wait_resolver *resolver, uint64_t when);

/* A word that may be the address of an object of ALIGNMENT (a power of two). */
static inline bool wait_is_pointer(uint64_t word, uint64_t alignment)
{
    return word >= 4096 && word < 1ull << 56 && (word & (alignment - 1)) == 0;
}

/* One goroutine and the address of what it waits for. */
struct wait_waiter {
    uint64_t g;
    uint64_t address; /* 0 not found yet */
    uint32_t index;   /* of the parked goroutine */
};

/* The waiters of COUNT indices, sorted by g; *RET is the caller's heap array. */
NODISCARD struct error *wait_waiters_create(const struct wait_resolver *resolver,
                                            const uint32_t *indices, size_t count,
                                            struct wait_waiter **ret);

/* The waiter that is G, or NULL. */
struct wait_waiter *wait_waiters_find(struct wait_waiter *waiters, size_t count, uint64_t g);

/* Sets the addresses of waiters whose g.waiting leads to a sudog of theirs: its elem. */
NODISCARD struct error *wait_waiters_by_waiting(struct wait_resolver *resolver,
                                                struct wait_waiter *waiters, size_t count);

#endif
