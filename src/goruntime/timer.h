/* Sleeping goroutines. */
#ifndef UNPARK_GORUNTIME_TIMER_H
#define UNPARK_GORUNTIME_TIMER_H

#include "goruntime/wait.h"

/* time.Sleep, from g.timer. */
NODISCARD struct error *timer_resolve(struct wait_resolver *resolver, const uint32_t *indices,
                                      size_t count);

#endif
