/* The threads of a target and the goroutines that they run: which thread is whose, and, while
 * nothing moves, where the stack of a running goroutine starts. */
#ifndef UNPARK_GORUNTIME_RUNNING_H
#define UNPARK_GORUNTIME_RUNNING_H

#include "base/hash_map.h"
#include "base/vector.h"
#include "goruntime/goroutine_reader.h"

/* Addresses [low, high) of a stack; 0 and 0 when unknown. */
struct running_stack {
    uint64_t low, high;
};

/* One runtime.m. */
struct running_thread {
    uint64_t m;                /* address */
    uint64_t curg;             /* address of the g that it runs, 0 none */
    uint64_t vdso_pc, vdso_sp; /* where it called the vDSO from; 0 when it is not there */
    struct running_stack g0, gsignal;
    struct target_registers registers;
    bool has_registers;
    int32_t tid; /* as we see the thread; 0 unknown */
};

struct running {
    VECTOR(struct running_thread) threads;
    struct hash_map by_m; /* address of an m: index */
    size_t thread_count;  /* of the target, C's included */
};

/* Reads the list of m's of RUNTIME. FROZEN: nothing moves, so stacks and registers are kept too. A
 * list that is unreadable or endless counts as far as it was read. running_deinit afterwards, also
 * after an error. */
NODISCARD struct error *running_init(struct running *running, struct goruntime *runtime,
                                     bool frozen);
void running_deinit(struct running *running);

/* The kernel's id of the thread whose m is at M; 0 unknown. */
int32_t running_tid(const struct running *running, uint64_t m);

/* Sets pc, sp, lr and origin of RECORD, a running goroutine of a frozen target, to where its own
 * stack starts: in the registers of its thread, in those that a signal handler interrupted, or
 * where it left for the system stack or C. *FOUND is false when that cannot be told. */
NODISCARD struct error *running_place(const struct running *running,
                                      const struct unwind_rules *rules, struct target *target,
                                      struct goroutine_record *record, bool *found);

#endif
