/* Which goroutines can never run again: reachability as the runtime's own leak profile defines it,
 * with the rules that an outside observer needs besides (go-runtime.md 7). */
#ifndef UNPARK_LEAK_PROOF_H
#define UNPARK_LEAK_PROOF_H

#include "goruntime/goruntime.h"
#include "leak/verdict.h"
#include "snapshot/snapshot.h"

struct proof;

/* What is known of one goroutine. */
struct proof_result {
    enum leak_verdict verdict; /* never SUSPECTED: that is evidence's word */
    enum leak_class class_;    /* of PROVED */
    enum leak_reason reason;   /* of every other verdict */
};

struct proof_options {
    bool consistent;  /* to be believed as of one moment; false: nothing is proved */
    bool one_moment;  /* it really is: who is in no queue is being woken, and not in doubt */
    unsigned threads; /* 0: by the machine */
    bool everyone;    /* references of all goroutines to what any waits for, for a picture */
};

/* Marks what is reachable in RUNTIME (over a copy: freeze.h) and decides for every goroutine of
 * SNAPSHOT, which was taken from the same runtime with objects. RUNTIME and SNAPSHOT must outlive
 * the result. */
NODISCARD struct error *proof_create(struct goruntime *runtime, const struct snapshot *snapshot,
                                     const struct proof_options *options, struct proof **ret);
void proof_destroy(struct proof *proof);

/* The result for goroutine INDEX of the snapshot. */
struct proof_result proof_result(const struct proof *proof, size_t index);

/* What is known of GOROUTINE of SNAPSHOT where the heap cannot be read: what only another goroutine
 * could wake is unknown for REASON, never proved. */
struct proof_result proof_without_heap(const struct snapshot *snapshot,
                                       const struct snapshot_goroutine *goroutine,
                                       enum leak_reason reason);

/* A stuck goroutine whose stack still refers to what another waits for: it may be the one that
 * should have woken it, and cannot. */
struct proof_reference {
    uint32_t object;    /* index of the snapshot's object */
    uint32_t goroutine; /* index of the one that refers to it */
    uint32_t function;  /* linker name of the frame that holds the reference: index for
                         * proof_function_name; 0 unknown */
};

/* The references that proved goroutines' stacks hold to objects that proved goroutines wait for;
 * sorted by object. */
const struct proof_reference *proof_references(const struct proof *proof, size_t *count);

/* The linker name that a reference's function number stands for. */
const char *proof_function_name(const struct proof *proof, uint32_t function);

/* Heap objects reached, spans that could not be understood; for summaries. */
uint64_t proof_marked(const struct proof *proof);

#endif
