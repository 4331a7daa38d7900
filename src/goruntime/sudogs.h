/* The sudogs of waiting goroutines: what marking must not look through. */
#ifndef UNPARK_GORUNTIME_SUDOGS_H
#define UNPARK_GORUNTIME_SUDOGS_H

#include "goruntime/goruntime.h"

/* The addresses of all sudogs that are linked from waiting goroutines of SNAPSHOT (g.waiting), from
 * the semaphore table, and from the condition variables among its objects. RUNTIME's target holds
 * still. *RET is the caller's array, unsorted, with duplicates. *COMPLETE_RET is false when a chain
 * could not be followed: a sudog left out only makes more reachable. */
NODISCARD struct error *sudogs_collect(struct goruntime *runtime, const struct snapshot *snapshot,
                                       uint64_t **ret, size_t *count_ret, bool *complete_ret);

#endif
