/* Condition variables that goroutines wait for. */
#ifndef UNPARK_GORUNTIME_COND_H
#define UNPARK_GORUNTIME_COND_H

#include "goruntime/wait.h"

/* Condition variables, from g.waiting (1.26 on) or the stack. */
NODISCARD struct error *cond_resolve(struct wait_resolver *resolver, const uint32_t *indices,
                                     size_t count);

#endif
