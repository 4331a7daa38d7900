/* The list of Go processes as a table and as JSON. */
#ifndef UNPARK_EMIT_PS_H
#define UNPARK_EMIT_PS_H

#include "emit/emit_sink.h"
#include "emit/emit_style.h"
#include "snapshot/process.h"

/* A table with a heading, columns aligned; one line for each process. */
NODISCARD struct error *ps_text_write(const struct service_process *processes, size_t count,
                                      const struct emit_style *style, struct emit_sink *sink);

/* An array of objects, docs/schema/ps-1.json. */
NODISCARD struct error *ps_json_write(const struct service_process *processes, size_t count,
                                      struct emit_sink *sink);

#endif
