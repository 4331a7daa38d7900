/* The moments of a recording as a table and as JSON. */
#ifndef UNPARK_EMIT_RECORDING_LIST_H
#define UNPARK_EMIT_RECORDING_LIST_H

#include "emit/emit_sink.h"
#include "emit/emit_style.h"
#include "snapshot/recording.h"

/* A line per moment: number, local time, goroutines and how many more than before, bytes. */
NODISCARD struct error *recording_list_write_text(const struct recording *recording,
                                                  const struct emit_style *style,
                                                  struct emit_sink *sink);

/* One object of schema "unpark.recording/1" (docs/json.md). */
NODISCARD struct error *recording_list_write_json(const struct recording *recording,
                                                  struct emit_sink *sink);

#endif
