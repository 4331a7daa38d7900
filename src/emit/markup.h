/* Hostile text in XML and HTML. */
#ifndef UNPARK_EMIT_MARKUP_H
#define UNPARK_EMIT_MARKUP_H

#include "emit/emit_sink.h"

/* What a name may take of a page; longer ones are cut and end with "...". */
enum { MARKUP_NAME_MAX = 600 };

/* Appends SIZE bytes as text that can stand in an element or a quoted attribute of HTML and of XML
 * 1.0: control characters and what is no UTF-8 as \xNN, then & < > " ' as references. */
void markup_add(struct emit_sink *sink, const char *text, size_t size);

/* As markup_add for a NUL-terminated TEXT. */
void markup_add_text(struct emit_sink *sink, const char *text);

/* As markup_add, cut behind MARKUP_NAME_MAX bytes. */
void markup_add_name(struct emit_sink *sink, const char *text, size_t size);

/* Appends VALUE with commas: "1,234,567". */
void markup_add_count(struct emit_sink *sink, uint64_t value);

/* Appends PART of WHOLE as "12.5%", "0.02%" when small; "0%" when WHOLE is 0. */
void markup_add_share(struct emit_sink *sink, uint64_t part, uint64_t whole);

#endif
