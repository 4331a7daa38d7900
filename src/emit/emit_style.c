#include "emit/emit_style.h"

/* Select graphic rendition (ECMA-48) by role; NULL: plain. */
static const char *const emit_style_codes[] = {
    [EMIT_PLAIN] = NULL,         [EMIT_HEADING] = "\033[1m", [EMIT_DIM] = "\033[2m",
    [EMIT_USER] = NULL,          [EMIT_OBJECT] = "\033[36m", [EMIT_BAD] = "\033[1;31m",
    [EMIT_WARNING] = "\033[33m", [EMIT_GOOD] = "\033[32m",
};

/* Begins a role. */
void emit_style_begin(const struct emit_style *style, struct emit_sink *sink, enum emit_role role)
{
    if (style->color && emit_style_codes[role] != NULL) {
        emit_sink_add(sink, emit_style_codes[role]);
    }
}

/* Ends a role. */
void emit_style_end(const struct emit_style *style, struct emit_sink *sink, enum emit_role role)
{
    if (style->color && emit_style_codes[role] != NULL) {
        emit_sink_add(sink, "\033[0m");
    }
}
