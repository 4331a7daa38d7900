/* Goroutines as a counted profile in text, as /debug/pprof/goroutine?debug=1 answers it. */
#ifndef UNPARK_EMIT_COUNTED_WRITE_H
#define UNPARK_EMIT_COUNTED_WRITE_H

#include "emit/emit_sink.h"
#include "emit/goroutine_counts.h"

/* Writes VIEW, counted by stack and labels, as runtime/pprof does: "goroutine profile: total N", of
 * goroutineleak when VIEW is of leaked ones only. A frame whose address the source did not tell has
 * "?" in its place. */
NODISCARD struct error *counted_write(const struct goroutine_counts_view *view,
                                      struct emit_sink *sink);

#endif
