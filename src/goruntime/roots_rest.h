/* Which words of a thread are dead: those of threads that rest, and of stacks that nobody is on. */
#ifndef UNPARK_GORUNTIME_ROOTS_REST_H
#define UNPARK_GORUNTIME_ROOTS_REST_H

#include "goruntime/goruntime.h"

/* What of one thread holds nothing; all false and 0 when in doubt. */
struct roots_rest {
    bool registers;        /* its registers */
    bool signal_stack;     /* its whole gsignal stack */
    uint64_t system_stack; /* its g0 stack below this address; 0 unknown */
};

/* Finds what is dead of THREAD, NULL unknown, whose m is at M. Memory that is unreadable is a
 * doubt, not an error. Knows amd64 only. Does not allocate. */
void roots_rest_find(struct goruntime *runtime, uint64_t m, const struct target_thread *thread,
                     struct roots_rest *ret);

#endif
