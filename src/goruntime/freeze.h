/* A consistent view of a Go program: what a proof reads, of one moment, with the shortest possible
 * stop. */
#ifndef UNPARK_GORUNTIME_FREEZE_H
#define UNPARK_GORUNTIME_FREEZE_H

#include "goruntime/goruntime.h"
#include "target/copy.h"

struct freeze;

/* How to take the view. */
struct freeze_options {
    bool stop;            /* stop the target while copying; without, the view may be torn */
    uint64_t max_stop_ns; /* 0: no limit; longer: ERROR_LIMIT and nothing is proved */
};

/* Surveys RUNTIME without a stop, makes memory ready, stops the target if asked (cores and stopped
 * targets need none), copies pointer-bearing spans, globals, used stacks and the runtime's own
 * tables, and lets go before anything is analysed. On any error the target runs as before. */
NODISCARD struct error *freeze_create(struct goruntime *runtime,
                                      const struct freeze_options *options, struct freeze **ret);
void freeze_destroy(struct freeze *freeze);

/* The runtime over the copy: every function of this room works on it. Lives as long as FREEZE and
 * the runtime it was made from. */
struct goruntime *freeze_runtime(const struct freeze *freeze);

/* Nanoseconds that the target was kept stopped for this view; 0 without a stop. */
uint64_t freeze_stopped_ns(const struct freeze *freeze);

/* True when the bytes belong to one moment: taken in a stop that held, or from a target that holds
 * still. */
bool freeze_is_consistent(const struct freeze *freeze);

/* Bytes copied. */
uint64_t freeze_size(const struct freeze *freeze);

#endif
