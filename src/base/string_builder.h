/* A growing text. Appends never fail one by one: the first failure sticks and is asked for once. */
#ifndef UNPARK_BASE_STRING_BUILDER_H
#define UNPARK_BASE_STRING_BUILDER_H

#include "base/error.h"
#include <stddef.h>
#include <stdint.h>

/* Zero is empty. text is NUL-terminated once something was appended; NULL before. */
struct string_builder {
    char *text;
    size_t size; /* without the NUL */
    size_t capacity;
    bool failed; /* memory ran out; later appends do nothing */
};

/* Frees the text; the builder is empty and usable afterwards. */
void string_builder_deinit(struct string_builder *builder);

/* Appends a NUL-terminated string. */
void string_builder_add(struct string_builder *builder, const char *text);

/* Appends SIZE bytes. */
void string_builder_add_bytes(struct string_builder *builder, const char *bytes, size_t size);

/* Appends one character. */
void string_builder_add_char(struct string_builder *builder, char character);

/* Appends printf-formatted text. */
void string_builder_format(struct string_builder *builder, const char *format, ...)
    PRINTF_LIKE(2, 3);

/* Appends VALUE in decimal, fast. */
void string_builder_add_u64(struct string_builder *builder, uint64_t value);

/* Appends VALUE as 0x and lower-case hex without leading zeros, fast. */
void string_builder_add_hex(struct string_builder *builder, uint64_t value);

/* The size of the well-formed UTF-8 sequence (RFC 3629: no surrogates, no overlong forms, nothing
 * above U+10FFFF) of two bytes or more at BYTES, and its code point; 0 when there is none. */
size_t string_builder_utf8(const char *bytes, size_t size, uint32_t *code);

/* True for code points above U+007F that change how the rest of a line is shown: C1 controls, line
 * and paragraph separators, bidirectional marks, embeddings, overrides and isolates. */
bool string_builder_drives_terminal(uint32_t code);

/* Appends SIZE bytes with control characters, DEL, C1 controls, line separators, bidirectional
 * marks and invalid UTF-8 written as \xNN byte by byte, so that no name of a target can drive a
 * terminal. */
void string_builder_add_escaped(struct string_builder *builder, const char *bytes, size_t size);

/* Empties the text and keeps the memory and the failure. */
void string_builder_clear(struct string_builder *builder);

/* The failure of any append so far, or NULL. */
NODISCARD struct error *string_builder_error(const struct string_builder *builder);

/* The text as a heap string for the caller, "" when empty; the builder is empty afterwards. */
NODISCARD struct error *string_builder_take(struct string_builder *builder, char **ret);

/* The text, "" when empty; valid until the next append. */
const char *string_builder_text(const struct string_builder *builder);

#endif
