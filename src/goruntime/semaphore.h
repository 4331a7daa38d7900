/* Which primitive a goroutine's semaphore belongs to. */
#ifndef UNPARK_GORUNTIME_SEMAPHORE_H
#define UNPARK_GORUNTIME_SEMAPHORE_H

#include "base/hash_map.h"
#include "goruntime/wait.h"

/* What a semaphore is part of, and how it is waited for. */
struct semaphore_use {
    uint8_t kind;      /* enum snapshot_object_kind */
    uint8_t direction; /* enum snapshot_direction */
    uint8_t offset;    /* of the semaphore in the object whose address is shown */
    uint8_t role;      /* of a raw semaphore, for semaphore_role_text */
};

/* Remembers what stacks were found to mean; zero is empty. */
struct semaphore_classifier {
    struct hash_map known; /* (stack id, wait reason): a packed use */
};

/* Frees the memory. */
void semaphore_classifier_deinit(struct semaphore_classifier *classifier);

/* What parked goroutine INDEX waits for, from its wait reason and its frames. */
NODISCARD struct error *semaphore_classify(struct semaphore_classifier *classifier,
                                           const struct wait_resolver *resolver, uint32_t index,
                                           struct semaphore_use *ret);

/* "poll.FD read lock" and the like; "" for role 0. */
const char *semaphore_role_text(uint8_t role);

/* Reads the runtime's semaphore table into the resolver's memory. */
NODISCARD struct error *semaphore_table_read(struct wait_resolver *resolver);

/* Mutexes, wait groups and raw semaphores: their address from g.waiting (1.26 on) or the semaphore
 * table, what they are from the wait reason and the frames. */
NODISCARD struct error *semaphore_resolve(struct wait_resolver *resolver, const uint32_t *indices,
                                          size_t count);

#endif
