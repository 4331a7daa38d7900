/* Colours of text output: by role, not by colour. */
#ifndef UNPARK_EMIT_EMIT_STYLE_H
#define UNPARK_EMIT_EMIT_STYLE_H

#include "emit/emit_sink.h"

enum emit_role {
    EMIT_PLAIN,
    EMIT_HEADING, /* a group's first line */
    EMIT_DIM,     /* runtime and standard-library frames, what matters less */
    EMIT_USER,    /* frames of the program itself */
    EMIT_OBJECT,  /* what is waited for */
    EMIT_BAD,     /* proved leaks, errors */
    EMIT_WARNING, /* suspicions, doubts */
    EMIT_GOOD
};

struct emit_style {
    bool color;
};

/* Switches SINK to ROLE (nothing without colour). */
void emit_style_begin(const struct emit_style *style, struct emit_sink *sink, enum emit_role role);

/* Ends what emit_style_begin began with the same ROLE. */
void emit_style_end(const struct emit_style *style, struct emit_sink *sink, enum emit_role role);

#endif
