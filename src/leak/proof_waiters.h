/* Which candidates wait for which objects of the heap: one sorted list, and where in it each
 * stretch of object numbers begins. */
#ifndef UNPARK_LEAK_PROOF_WAITERS_H
#define UNPARK_LEAK_PROOF_WAITERS_H

#include "base/vector.h"
#include "goruntime/mark.h"
#include "target/gather.h"

/* The list; zero is empty. */
struct proof_waiters {
    VECTOR(struct gather_item) items; /* address of the object, then its number */
    uint32_t *starts;                 /* by number >> shift: the first item that is not below */
    size_t start_count;
    unsigned shift;
};

/* Frees what WAITERS holds. */
void proof_waiters_deinit(struct proof_waiters *waiters);

/* Notes that goroutine INDEX waits for OBJECT of the snapshot, which lies in the object of the heap
 * that holds ADDRESS. Fewer than 2^32 are noted. */
NODISCARD struct error *proof_waiters_add(struct proof_waiters *waiters, uint64_t address,
                                          uint32_t index, uint32_t object);

/* Which goroutine an item stands for, and which object of the snapshot. */
static inline uint32_t proof_waiter_goroutine(const struct gather_item *item)
{
    return (uint32_t)item->tag;
}
static inline uint32_t proof_waiter_object(const struct gather_item *item)
{
    return (uint32_t)(item->tag >> 32);
}

/* Has MARK watch every object noted; calls OUTSIDE for each goroutine whose object lies not in the
 * heap. To be called once, after the last proof_waiters_add. */
NODISCARD struct error *proof_waiters_watch(struct proof_waiters *waiters, struct mark *mark,
                                            void (*outside)(void *context, uint32_t index),
                                            void *context);

/* Those who wait for object NUMBER of the heap, *COUNT items. */
const struct gather_item *proof_waiters_find(const struct proof_waiters *waiters, uint64_t number,
                                             size_t *count);

#endif
