#include "base/cursor.h"
#include "base/bytes.h"

/* Sets the window. A NULL window gets an address, so that pointer arithmetic stays defined. */
void cursor_init(struct cursor *cursor, const void *data, size_t size, const char *what,
                 uint64_t origin)
{
    static const uint8_t nothing[1];
    const uint8_t *start = data == NULL ? nothing : data;
    *cursor = (struct cursor){
        .start = start,
        .position = start,
        .end = start + (data == NULL ? 0 : size),
        .what = what,
        .origin = origin,
    };
}

/* Bytes left. */
size_t cursor_left(const struct cursor *cursor)
{
    return (size_t)(cursor->end - cursor->position);
}

/* The address or offset of the position, for messages. */
static unsigned long long cursor_where(const struct cursor *cursor)
{
    return cursor->origin + (uint64_t)(cursor->position - cursor->start);
}

/* The error for COUNT bytes that are not there. */
static struct error *cursor_short(const struct cursor *cursor, uint64_t count)
{
    return error_create(ERROR_CORRUPT, "%s: %llu bytes wanted at 0x%llx, %zu left", cursor->what,
                        (unsigned long long)count, cursor_where(cursor), cursor_left(cursor));
}

/* Moves the position. */
struct error *cursor_seek(struct cursor *cursor, uint64_t offset)
{
    size_t size = (size_t)(cursor->end - cursor->start);
    if (offset > size) {
        return error_create(ERROR_CORRUPT, "%s: offset 0x%llx is beyond its %zu bytes",
                            cursor->what, (unsigned long long)offset, size);
    }
    cursor->position = cursor->start + offset;
    return NULL;
}

/* Skips bytes. */
struct error *cursor_skip(struct cursor *cursor, uint64_t count)
{
    const uint8_t *ignored;
    return cursor_bytes(cursor, count, &ignored);
}

/* One byte. */
struct error *cursor_u8(struct cursor *cursor, uint8_t *ret)
{
    const uint8_t *bytes;
    TRY(cursor_bytes(cursor, 1, &bytes));
    *ret = bytes[0];
    return NULL;
}

/* Two bytes. */
struct error *cursor_u16(struct cursor *cursor, uint16_t *ret)
{
    const uint8_t *bytes;
    TRY(cursor_bytes(cursor, 2, &bytes));
    *ret = bytes_u16(bytes);
    return NULL;
}

/* Four bytes. */
struct error *cursor_u32(struct cursor *cursor, uint32_t *ret)
{
    const uint8_t *bytes;
    TRY(cursor_bytes(cursor, 4, &bytes));
    *ret = bytes_u32(bytes);
    return NULL;
}

/* Eight bytes. */
struct error *cursor_u64(struct cursor *cursor, uint64_t *ret)
{
    const uint8_t *bytes;
    TRY(cursor_bytes(cursor, 8, &bytes));
    *ret = bytes_u64(bytes);
    return NULL;
}

/* Seven bits a byte, low bits first; the tenth byte holds only the topmost bit. */
struct error *cursor_uvarint(struct cursor *cursor, uint64_t *ret)
{
    struct cursor ahead = *cursor;
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte;
        TRY(cursor_u8(&ahead, &byte));
        if (shift == 63 && byte > 1) {
            break;
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *cursor = ahead;
            *ret = value;
            return NULL;
        }
    }
    return error_create(ERROR_CORRUPT, "%s: number at 0x%llx exceeds 64 bits", cursor->what,
                        cursor_where(cursor));
}

/* Bytes in place. */
struct error *cursor_bytes(struct cursor *cursor, uint64_t count, const uint8_t **ret)
{
    if (count > cursor_left(cursor)) {
        return cursor_short(cursor, count);
    }
    *ret = cursor->position;
    cursor->position += count;
    return NULL;
}

/* A string in place. */
struct error *cursor_string(struct cursor *cursor, const char **ret)
{
    const uint8_t *nul = memchr(cursor->position, 0, cursor_left(cursor));
    if (nul == NULL) {
        return error_create(ERROR_CORRUPT, "%s: string at 0x%llx has no end", cursor->what,
                            cursor_where(cursor));
    }
    *ret = (const char *)cursor->position;
    cursor->position = nul + 1;
    return NULL;
}

/* A part of the window. */
struct error *cursor_sub(struct cursor *cursor, uint64_t count, const char *what,
                         struct cursor *ret)
{
    uint64_t origin = cursor_where(cursor);
    const uint8_t *bytes;
    TRY(cursor_bytes(cursor, count, &bytes));
    cursor_init(ret, bytes, (size_t)count, what, origin);
    return NULL;
}
