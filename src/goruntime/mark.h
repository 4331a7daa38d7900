/* Marking what is reachable in a heap that holds still; parallel. */
#ifndef UNPARK_GORUNTIME_MARK_H
#define UNPARK_GORUNTIME_MARK_H

#include "goruntime/heap.h"

struct mark;

/* Nothing marked yet, over HEAP (not owned). THREADS workers; 0: by the machine. */
NODISCARD struct error *mark_create(const struct heap *heap, unsigned threads, struct mark **ret);
void mark_destroy(struct mark *mark);

/* Makes the words that ADDRESSES (count of heap objects, the sudogs of waiting goroutines) hold as
 * channel and element invisible to marking, as the runtime's own detection does
 * (go-runtime.md 7.5.3). Call before the first mark_add. */
NODISCARD struct error *mark_hide_sudogs(struct mark *mark, const uint64_t *addresses,
                                         size_t count);

/* Has mark_take_hits tell when the object that holds ADDRESS gets marked; false when it lies in no
 * heap object. *NUMBER_RET is the object's number. Call before the first mark_add. */
NODISCARD struct error *mark_watch(struct mark *mark, uint64_t address, bool *in_heap_ret,
                                   uint64_t *number_ret);

/* Calls TAKE for every watched object that was marked since the last call. */
void mark_take_hits(struct mark *mark, void (*take)(void *context, uint64_t number), void *context);

/* Marks the object that holds VALUE, if any, and queues it. From one thread, between runs; usable
 * as a heap_visitor's body. */
void mark_add(struct mark *mark, uint64_t value);

/* Marks everything reachable from what was added. ERROR_OUT_OF_MEMORY leaves the marking
 * incomplete. */
NODISCARD struct error *mark_run(struct mark *mark);

/* True when ADDRESS lies in no heap object, or in a marked one. */
bool mark_reaches(const struct mark *mark, uint64_t address);

/* True when the object NUMBER is marked. */
bool mark_is_marked(const struct mark *mark, uint64_t number);

/* Objects whose bytes could not be read while marking: not 0 means that reach is understated. */
uint64_t mark_incomplete(const struct mark *mark);

/* Objects marked so far. */
uint64_t mark_count(const struct mark *mark);

#endif
