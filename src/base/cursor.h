/* A bounded reader over hostile bytes; every failure says where in what. Little-endian. */
#ifndef UNPARK_BASE_CURSOR_H
#define UNPARK_BASE_CURSOR_H

#include "base/error.h"
#include <stddef.h>
#include <stdint.h>

/* A window of bytes and a position in it. Plain value: copy it to look ahead. Not owned. */
struct cursor {
    const uint8_t *start;
    const uint8_t *position;
    const uint8_t *end;
    const char *what; /* what the bytes are, for messages ("ELF header"); static lifetime */
    uint64_t origin;  /* offset or address of start, for messages */
};

/* Sets CURSOR to SIZE bytes at DATA (may be NULL when SIZE is 0). */
void cursor_init(struct cursor *cursor, const void *data, size_t size, const char *what,
                 uint64_t origin);

/* Bytes left. */
size_t cursor_left(const struct cursor *cursor);

/* Moves to OFFSET from the start; ERROR_CORRUPT when beyond the end. */
NODISCARD struct error *cursor_seek(struct cursor *cursor, uint64_t offset);

/* Skips COUNT bytes; ERROR_CORRUPT when fewer are left (the position then stays). */
NODISCARD struct error *cursor_skip(struct cursor *cursor, uint64_t count);

/* Fixed-width reads; on ERROR_CORRUPT the position and *RET stay as they were. */
NODISCARD struct error *cursor_u8(struct cursor *cursor, uint8_t *ret);
NODISCARD struct error *cursor_u16(struct cursor *cursor, uint16_t *ret);
NODISCARD struct error *cursor_u32(struct cursor *cursor, uint32_t *ret);
NODISCARD struct error *cursor_u64(struct cursor *cursor, uint64_t *ret);

/* An unsigned LEB128 number of at most 64 bits. */
NODISCARD struct error *cursor_uvarint(struct cursor *cursor, uint64_t *ret);

/* COUNT bytes in place; *RET points into the window. */
NODISCARD struct error *cursor_bytes(struct cursor *cursor, uint64_t count, const uint8_t **ret);

/* A NUL-terminated string in place, the position after its NUL. */
NODISCARD struct error *cursor_string(struct cursor *cursor, const char **ret);

/* A window of COUNT bytes from the position as a cursor of its own named WHAT; skips them. */
NODISCARD struct error *cursor_sub(struct cursor *cursor, uint64_t count, const char *what,
                                   struct cursor *ret);

#endif
