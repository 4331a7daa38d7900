/* What keeps heap objects alive: globals, stacks, specials, queues. Precise where the compiler left maps,
 * conservative where nothing is known. Every function visits (slot, value) pairs. */
#ifndef UNPARK_GORUNTIME_ROOTS_H
#define UNPARK_GORUNTIME_ROOTS_H

#include "goruntime/heap.h"

/* Words of data and bss of every module by their pointer masks; conservative when a mask is unreadable.
 * COMPLETE_RET becomes false when bytes were unreadable. In programs with cgo also every aligned word of
 * every other writable mapping outside Go's heap. */
NODISCARD struct error *roots_globals(struct goruntime *runtime, const struct heap *heap,
                                      heap_visitor *visitor, void *context, bool *complete_ret);

/* Finalizers, cleanups, weak handles and pins (specials of every span), the finalizer and cleanup queues.
 * What an object with a finalizer points to is visited, not the object. Unknown kinds are read
 * conservatively. */
NODISCARD struct error *roots_specials(struct goruntime *runtime, const struct heap *heap,
                                       heap_visitor *visitor, void *context, bool *complete_ret);

/* How the words of one goroutine's stack are known. */
enum roots_stack_mode {
    ROOTS_STACK_PRECISE,     /* by stack maps */
    ROOTS_STACK_CONSERVATIVE /* every aligned word of the used stack, registers too */
};

/* The live words of the goroutine whose g is at G: stack slots, stack objects, defers, panics, sched.ctxt,
 * saved vector registers. PRECISE falls back to conservative, frame by frame, where maps do not hold
 * (asynchronous preemption, reflect stubs, unwinding that ended early). */
NODISCARD struct error *roots_goroutine(struct goruntime *runtime, uint64_t g,
                                        enum roots_stack_mode mode, heap_visitor *visitor,
                                        void *context, bool *complete_ret);

/* Stacks of threads that run runtime code (g0, gsignal) and the registers of every thread: conservative. */
NODISCARD struct error *roots_threads(struct goruntime *runtime, heap_visitor *visitor,
                                      void *context, bool *complete_ret);

/* One local variable slot for witnesses: the name needs DWARF and is "" without it. */
struct roots_slot {
    uint64_t slot;
    uint32_t frame; /* index into the goroutine's physical frames, innermost 0 */
};

#endif
