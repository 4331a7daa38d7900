/* The catalogue of causes as text for people and as JSON. */
#ifndef UNPARK_EMIT_CAUSES_H
#define UNPARK_EMIT_CAUSES_H

#include "emit/emit_sink.h"
#include "emit/emit_style.h"
#include "leak/cause.h"

/* A line for each row: its name and title. */
NODISCARD struct error *causes_text_write_list(const struct emit_style *style,
                                               struct emit_sink *sink);

/* Everything that is recorded of CAUSE: who should wake, the fix, how it is recognised. */
NODISCARD struct error *causes_text_write_one(const struct cause *cause,
                                              const struct emit_style *style,
                                              struct emit_sink *sink);

/* An object of schema "unpark.causes/1" (docs/json.md) with every row, or with CAUSE alone. */
NODISCARD struct error *causes_json_write(const struct cause *cause, struct emit_sink *sink);

#endif
