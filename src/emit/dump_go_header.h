/* The header line of a goroutine as each Go release prints it (goroutineheader of
 * runtime/traceback.go). */
#ifndef UNPARK_EMIT_DUMP_GO_HEADER_H
#define UNPARK_EMIT_DUMP_GO_HEADER_H

#include "emit/dump.h"

/* What the target's release prints. */
struct dump_go_header {
    int minor;        /* of the release, 27 for 1.27 */
    bool labels;      /* labels are shown */
    int labels_minor; /* in the syntax of this release: 26 or 27 */
};

/* Finds the release and whether it shows labels. */
void dump_go_header_init(struct dump_go_header *header, const struct dump_view *view);

/* Writes "goroutine 7 [chan receive, 3 minutes]:" and the end of the line. LEAKED marks it in any
 * release. */
void dump_go_header_write(const struct dump_go_header *header, const struct snapshot *snapshot,
                          const struct snapshot_goroutine *goroutine, bool leaked,
                          struct emit_sink *sink);

#endif
