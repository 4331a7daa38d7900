/* Finding the runtime's variables without symbols: anchor functions survive stripping. */
#ifndef UNPARK_GORUNTIME_GLOBALS_H
#define UNPARK_GORUNTIME_GLOBALS_H

#include "goruntime/goruntime.h"

/* Fills in allglen and allgptr, which needs no layout row: a g names itself in sched.g, at the same
 * offset in every release. ERROR_UNSUPPORTED when nothing fits. */
NODISCARD struct error *globals_find_allgs(struct target *target, struct image *image,
                                           struct goruntime_globals *globals);

/* Fills in the others by LAYOUT; what is not found, or does not look as it should, stays 0. */
NODISCARD struct error *globals_find_rest(struct target *target, struct image *image,
                                          const struct layout *layout,
                                          struct goruntime_globals *globals);

#endif
