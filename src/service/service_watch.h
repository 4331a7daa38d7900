/* What a face remembers between looks at one program (service_leaks.h): who waited where, what was
 * proved, how groups grew. */
#ifndef UNPARK_SERVICE_SERVICE_WATCH_H
#define UNPARK_SERVICE_SERVICE_WATCH_H

#include "base/error.h"
#include <stdint.h>

struct service_watch;

/* How a watch went so far. Points in time are Unix time in nanoseconds; SNAPSHOT_UNKNOWN. */
struct service_watch_summary {
    uint32_t looks;            /* that answered; 0: no watch */
    int64_t first_ns, last_ns; /* the first and the latest of them */
    uint32_t stops;            /* how often the program was stopped, in vain or not */
    uint64_t stopped_ns;       /* in all */
    uint64_t proofs_kept;      /* goroutines proved by an earlier look and not proved again */
    uint64_t proofs_lost;      /* goroutines that were proved and left their wait all the same:
                                * a debugger's doing, or a false proof */
    int64_t descriptors_first, descriptors_last; /* open; SNAPSHOT_UNKNOWN */
    int64_t threads_first, threads_last;         /* SNAPSHOT_UNKNOWN */
};

/* An empty memory, for one service. */
NODISCARD struct error *service_watch_create(struct service_watch **ret);
void service_watch_destroy(struct service_watch *watch);

#endif
