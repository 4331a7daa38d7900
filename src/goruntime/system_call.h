/* System calls that goroutines are in. */
#ifndef UNPARK_GORUNTIME_SYSTEM_CALL_H
#define UNPARK_GORUNTIME_SYSTEM_CALL_H

#include "goruntime/wait.h"

/* System calls, from g.m and the kernel. */
NODISCARD struct error *system_call_resolve(struct wait_resolver *resolver, const uint32_t *indices,
                                            size_t count);

#endif
