/* Goroutines as a pprof file (profile.proto, gzip), as /debug/pprof/goroutine and goroutineleak
 * answer it. */
#ifndef UNPARK_EMIT_PPROF_WRITE_H
#define UNPARK_EMIT_PPROF_WRITE_H

#include "emit/emit_sink.h"
#include "snapshot/snapshot.h"

/* Which profile it is. */
enum pprof_kind {
    PPROF_GOROUTINES, /* {goroutine, count} */
    PPROF_LEAKS,      /* {goroutineleak, count}: the goroutines that LEAKED marks, and no others */
    PPROF_BOTH        /* {goroutine, count} {goroutineleak, count} */
};

/* How much a sample tells beside stack, labels and count. Whatever is more than a count keeps tools
 * from adding samples up. */
enum pprof_detail {
    PPROF_COUNTS, /* as Go's own profile: one sample for each stack and label set */
    PPROF_STATES, /* and each state: label "state" */
    PPROF_EACH    /* one sample for each goroutine: labels "goid", "state", "wait" */
};

struct pprof_view {
    const struct snapshot *snapshot;
    const uint32_t *selection; /* goroutines (indices); NULL: all that are not the runtime's own */
    size_t count;              /* of SELECTION */
    const uint8_t *leaked;     /* by goroutine index: 1 proved; NULL: those of GOROUTINE_LEAKED */
    enum pprof_kind kind;
    enum pprof_detail detail;
};

/* Writes the file; the same view gives the same bytes. Memory grows with distinct stacks and label
 * sets, not with goroutines. */
NODISCARD struct error *pprof_write(const struct pprof_view *view, struct emit_sink *sink);

#endif
