/* Descriptors that goroutines wait for in the network poller. */
#ifndef UNPARK_GORUNTIME_NETPOLL_H
#define UNPARK_GORUNTIME_NETPOLL_H

#include "goruntime/wait.h"

/* Descriptors in the network poller, from the stack. */
NODISCARD struct error *netpoll_resolve(struct wait_resolver *resolver, const uint32_t *indices,
                                        size_t count);

#endif
