/* Equal strings stored once; ids are dense from 1, 0 means "no string" (unknown). */
#ifndef UNPARK_BASE_INTERN_H
#define UNPARK_BASE_INTERN_H

#include "base/error.h"
#include <stddef.h>
#include <stdint.h>

struct intern;

/* A new empty table in *RET. */
NODISCARD struct error *intern_create(struct intern **ret);

/* Frees TABLE and its strings; NULL is fine. */
void intern_destroy(struct intern *table);

/* The id of the SIZE bytes at TEXT, added when new. The bytes may hold anything. */
NODISCARD struct error *intern_add(struct intern *table, const char *text, size_t size,
                                   uint32_t *ret);

/* The NUL-terminated string of ID, which must be an id of TABLE or 0 (then ""). Never moves. */
const char *intern_text(const struct intern *table, uint32_t id);

/* The size of the string of ID without its NUL. */
size_t intern_size(const struct intern *table, uint32_t id);

/* Strings in TABLE; ids run from 1 to this. */
uint32_t intern_count(const struct intern *table);

#endif
