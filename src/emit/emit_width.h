/* How many terminal columns text takes. */
#ifndef UNPARK_EMIT_EMIT_WIDTH_H
#define UNPARK_EMIT_EMIT_WIDTH_H

#include <stddef.h>

/* Columns of SIZE bytes of escaped text: UTF-8 decoded by hand (the locale does not matter), 0 for
 * combining marks, 2 for wide characters of Unicode's East Asian Width W and F and emoji, else 1.
 */
size_t emit_width(const char *text, size_t size);

#endif
