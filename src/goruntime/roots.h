/* What keeps heap objects alive: globals, stacks, specials, queues. Precise where the compiler left
 * maps, conservative where nothing is known. Every function visits (slot, value) pairs. */
#ifndef UNPARK_GORUNTIME_ROOTS_H
#define UNPARK_GORUNTIME_ROOTS_H

#include "goruntime/heap.h"

/* Words of data and bss of every module by their pointer masks; conservative when a mask is
 * unreadable. COMPLETE_RET becomes false when bytes were unreadable. In programs with cgo also
 * every aligned word of every other writable mapping outside Go's heap. */
NODISCARD struct error *roots_globals(struct goruntime *runtime, heap_visitor *visitor,
                                      void *context, bool *complete_ret);

/* Finalizers, cleanups, weak handles and pins (specials of every span), the finalizer and cleanup
 * queues. What an object with a finalizer points to is visited, not the object; an object with a
 * weak handle is visited, as the handle may yield it at any time. Unknown kinds are read
 * conservatively. */
NODISCARD struct error *roots_specials(struct goruntime *runtime, const struct heap *heap,
                                       heap_visitor *visitor, void *context, bool *complete_ret);

/* How the words of one goroutine's stack are known. */
enum roots_stack_mode {
    ROOTS_STACK_PRECISE,     /* by stack maps */
    ROOTS_STACK_CONSERVATIVE /* every aligned word of the used stack, registers too */
};

/* Bytes of the vector registers that the runtime saves of a goroutine that it preempts. */
size_t roots_vector_size(const struct layout *layout);

/* What has been learnt about frames; one per thread that visits stacks. */
struct roots_stacks;
NODISCARD struct error *roots_stacks_create(struct goruntime *runtime, struct roots_stacks **ret);
void roots_stacks_destroy(struct roots_stacks *stacks);

/* The live words of the goroutine whose g is at G: stack slots, stack objects, defers, panics,
 * sched.ctxt, saved vector registers. PRECISE falls back to conservative, frame by frame, where
 * maps do not hold (asynchronous preemption, reflect stubs, assembly), and for the rest of the
 * stack where unwinding ends early. *COMPLETE_RET is false when bytes were missing. */
NODISCARD struct error *roots_stacks_visit(struct roots_stacks *stacks, uint64_t g,
                                           enum roots_stack_mode mode, heap_visitor *visitor,
                                           void *context, bool *complete_ret);

/* Stacks of threads that run runtime code (g0, gsignal) and the registers of every thread:
 * conservative, but for what is dead (roots_rest.h). Without the registers of all threads nothing
 * is visited and *COMPLETE_RET false. */
NODISCARD struct error *roots_threads(struct goruntime *runtime, heap_visitor *visitor,
                                      void *context, bool *complete_ret);

/* The physical frame that a stack slot visited by the last roots_stacks_visit belongs to: its
 * function's linker name, NULL when the slot is in no frame (a defer, a register). */
const char *roots_stacks_function(const struct roots_stacks *stacks, uint64_t slot);

#endif
