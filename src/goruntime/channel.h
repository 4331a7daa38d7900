/* Channels that goroutines wait for. */
#ifndef UNPARK_GORUNTIME_CHANNEL_H
#define UNPARK_GORUNTIME_CHANNEL_H

#include "goruntime/wait.h"

/* Channels and selects, from g.waiting. */
NODISCARD struct error *channel_resolve(struct wait_resolver *resolver, const uint32_t *indices,
                                        size_t count);

#endif
