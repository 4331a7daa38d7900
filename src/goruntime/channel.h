/* Channels that goroutines wait for, in two steps: reading, which several readers may do at once,
 * and publishing, which only one may do at a time because it adds to the builder. */
#ifndef UNPARK_GORUNTIME_CHANNEL_H
#define UNPARK_GORUNTIME_CHANNEL_H

#include "goruntime/wait.h"

struct channel_reader;

/* A reader for one thread. TARGET and LAYOUT are not owned. ERROR_INTERNAL when LAYOUT is
 * impossible. */
NODISCARD struct error *channel_reader_create(struct target *target, const struct layout *layout,
                                              struct channel_reader **ret);

/* Frees READER; NULL is fine. */
void channel_reader_destroy(struct channel_reader *reader);

/* Finds the channels and selects behind g.waiting of the COUNT goroutines at INDICES (NULL: the
 * first COUNT) of PARKED. Touches no builder. PARKED stays the caller's until channel_publish. */
NODISCARD struct error *channel_read(struct channel_reader *reader,
                                     const struct goruntime_parked *parked, const uint32_t *indices,
                                     size_t count);

/* Puts what READER read last into the builder of STATE. */
NODISCARD struct error *channel_publish(struct channel_reader *reader,
                                        struct goruntime_look_state *state);

/* Both steps, for one class of a resolver's goroutines. */
NODISCARD struct error *channel_resolve(struct wait_resolver *resolver, const uint32_t *indices,
                                        size_t count);

#endif
