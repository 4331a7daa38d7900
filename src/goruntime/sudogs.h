/* The sudogs of waiting goroutines: what marking must not look through. */
#ifndef UNPARK_GORUNTIME_SUDOGS_H
#define UNPARK_GORUNTIME_SUDOGS_H

#include "goruntime/heap.h"

/* What was found. */
struct sudogs_found {
    uint64_t *sudogs; /* unsorted, with duplicates */
    size_t count;
    uint64_t *waiters; /* the g's in the queues of semaphores and condition variables; sorted */
    size_t waiter_count;
    bool semaphores_known; /* each queue of a semaphore was followed to its end */
};

/* Finds all sudogs that are linked from waiting goroutines of SNAPSHOT (g.waiting), from the
 * semaphore table, and from the condition variables among its objects. The target of HEAP's runtime
 * holds still. A chain that cannot be followed ends early: a sudog left out only makes more
 * reachable, a waiter left out less is proved. RET is freed by sudogs_found_deinit, also after an
 * error. */
NODISCARD struct error *sudogs_collect(const struct heap *heap, const struct snapshot *snapshot,
                                       struct sudogs_found *ret);
void sudogs_found_deinit(struct sudogs_found *found);

/* True when the goroutine whose g is at G waits in the queue of a semaphore or condition variable.
 * Who was taken out of its queue is about to be woken, though nothing may lead to what it waited
 * for any more (go-runtime.md 7.5.2). */
bool sudogs_has_waiter(const struct sudogs_found *found, uint64_t g);

/* The same for channels: true when each sudog of the goroutine at G stands in a queue of its
 * channel. */
bool sudogs_on_channels(const struct heap *heap, uint64_t g);

#endif
