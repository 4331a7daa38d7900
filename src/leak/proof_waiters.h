/* Which candidates wait for which objects of the heap: one sorted list, and where in it each
 * stretch of object numbers begins. */
#ifndef UNPARK_LEAK_PROOF_WAITERS_H
#define UNPARK_LEAK_PROOF_WAITERS_H

#include "base/vector.h"
#include "goruntime/mark.h"
#include "target/gather.h"

/* The list; zero is empty. */
struct proof_waiters {
    VECTOR(struct gather_item) items; /* address of the object, then its number; tag: goroutine */
    uint32_t *starts;                 /* by number >> shift: the first item that is not below */
    size_t start_count;
    unsigned shift;
};

/* Frees what WAITERS holds. */
void proof_waiters_deinit(struct proof_waiters *waiters);

/* Notes that goroutine INDEX waits for the object that holds ADDRESS. Fewer than 2^32 are noted. */
NODISCARD struct error *proof_waiters_add(struct proof_waiters *waiters, uint64_t address,
                                          uint32_t index);

/* Has MARK watch every object noted; calls OUTSIDE for each goroutine whose object lies not in the
 * heap. To be called once, after the last proof_waiters_add. */
NODISCARD struct error *proof_waiters_watch(struct proof_waiters *waiters, struct mark *mark,
                                            void (*outside)(void *context, uint32_t index),
                                            void *context);

/* Those who wait for object NUMBER: *COUNT items, whose tags are goroutines. */
const struct gather_item *proof_waiters_find(const struct proof_waiters *waiters, uint64_t number,
                                             size_t *count);

#endif
