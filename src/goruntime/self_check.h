/* Does a layout row fit the live runtime? Asked before any row is believed. */
#ifndef UNPARK_GORUNTIME_SELF_CHECK_H
#define UNPARK_GORUNTIME_SELF_CHECK_H

#include "goruntime/goruntime.h"

/* How a row fitted a sample of the goroutines. */
struct self_check {
    const struct layout *layout;
    size_t checked;     /* g's that were read */
    size_t odd;         /* of them, those with something that cannot be */
    const char *reason; /* what was odd about most of them; static, "" when none */
};

/* Checks LAYOUT against a sample of the g's that GLOBALS (allglen, allgptr) lists. */
NODISCARD struct error *self_check_row(struct target *target, struct image *image,
                                       const struct layout *layout,
                                       const struct goruntime_globals *globals,
                                       struct self_check *ret);

/* True when a row that was checked so may be used: what is odd is explained by a target that runs
 * while it is read. */
bool self_check_passed(const struct self_check *check);

#endif
