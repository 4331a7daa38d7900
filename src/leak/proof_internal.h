/* The state of a proof, for proof.c and its companions. */
#ifndef UNPARK_LEAK_PROOF_INTERNAL_H
#define UNPARK_LEAK_PROOF_INTERNAL_H

#include "base/hash_map.h"
#include "base/vector.h"
#include "goruntime/heap.h"
#include "goruntime/mark.h"
#include "goruntime/roots.h"
#include "leak/proof.h"
#include "leak/proof_waiters.h"

struct proof {
    struct goruntime *runtime;       /* not owned */
    const struct snapshot *snapshot; /* not owned */
    const struct snapshot_goroutine *goroutines;
    size_t count;
    struct heap *heap;
    struct mark *mark;
    struct roots_stacks *stacks;
    struct proof_result *results; /* per goroutine */
    struct proof_waiters waiters;
    VECTOR(uint32_t) woken; /* this round */
    bool complete;          /* every root and every marked object could be read */
    VECTOR(struct proof_reference) references;
    VECTOR(const char *) functions;    /* linker names; reference's function number - 1 */
    struct hash_map functions_by_name; /* pointer of the name -> number */
};

/* Fills in the references between proved goroutines, and makes members of lock cycles
 * LEAK_CLASS_CYCLE; with EVERYONE the references of all goroutines take their place then. */
NODISCARD struct error *proof_find_references(struct proof *proof, bool everyone);

#endif
