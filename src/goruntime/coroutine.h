/* The other sides of coroutines. */
#ifndef UNPARK_GORUNTIME_COROUTINE_H
#define UNPARK_GORUNTIME_COROUTINE_H

#include "goruntime/wait.h"

/* True when START (a frame of SNAPSHOT, or 0) is the first function of goroutines that are made for
 * coroutines. */
bool coroutine_is_start(const struct snapshot *snapshot, uint32_t start);

/* Keeps parked goroutine INDEX for coroutine_resolve_rest if it waits for a coroutine (WAITS) or
 * was made for one. */
NODISCARD struct error *coroutine_keep(struct wait_resolver *resolver, uint32_t index, bool waits);

/* The other sides of coroutines, from the stacks of both. */
NODISCARD struct error *coroutine_resolve_rest(struct goruntime_look_state *state);

#endif
