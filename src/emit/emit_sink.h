/* Where output goes: a buffer before a write function. Appends never fail one by one: the first
 * failure sticks, later appends do nothing, and it is asked for once. */
#ifndef UNPARK_EMIT_EMIT_SINK_H
#define UNPARK_EMIT_EMIT_SINK_H

#include "base/error.h"
#include "base/string_builder.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Takes SIZE bytes at DATA, all or an error. */
typedef struct error *emit_write(void *context, const void *data, size_t size);

struct emit_sink {
    emit_write *write;
    void *context;
    char *buffer;
    size_t size, capacity;
    struct error *error;           /* the first failure; owned */
    struct string_builder scratch; /* for escaping and formatting */
};

/* Sets SINK to pass what it gets to WRITE in blocks. */
NODISCARD struct error *emit_sink_init(struct emit_sink *sink, emit_write *write, void *context);

/* Frees SINK; what was not flushed is lost. */
void emit_sink_deinit(struct emit_sink *sink);

/* Passes on what is buffered; the first failure of all appends so far, once, or NULL. */
NODISCARD struct error *emit_sink_flush(struct emit_sink *sink);

/* True after a failure: what follows is in vain. */
static inline bool emit_sink_failed(const struct emit_sink *sink)
{
    return sink->error != NULL;
}

/* Lets SINK fail with ERROR, which it takes; NULL does nothing. */
void emit_sink_fail(struct emit_sink *sink, struct error *error);

/* Makes sure that SIZE bytes (at most 4096) fit into the buffer. */
void emit_sink_make_room(struct emit_sink *sink, size_t size);

/* Appends bytes that may exceed the buffer. */
void emit_sink_add_large(struct emit_sink *sink, const char *bytes, size_t size);

/* Appends SIZE bytes as they are. */
static inline void emit_sink_add_bytes(struct emit_sink *sink, const char *bytes, size_t size)
{
    if (size > sink->capacity - sink->size) {
        emit_sink_add_large(sink, bytes, size);
        return;
    }
    if (size > 0) {
        memcpy(sink->buffer + sink->size, bytes, size);
    }
    sink->size += size;
}

/* Appends a string of our own. */
static inline void emit_sink_add(struct emit_sink *sink, const char *text)
{
    emit_sink_add_bytes(sink, text, strlen(text));
}

/* Appends VALUE in decimal. */
void emit_sink_add_u64(struct emit_sink *sink, uint64_t value);

/* Appends VALUE as 0x and lower-case hex without leading zeros. */
void emit_sink_add_hex(struct emit_sink *sink, uint64_t value);

/* The eight lower-case hex digits of VALUE as eight characters in memory order. */
static inline uint64_t emit_sink_hex_digits(uint32_t value)
{
    uint64_t x = value;
    x = (x << 16 | x) & 0x0000ffff0000ffff;
    x = (x << 8 | x) & 0x00ff00ff00ff00ff;
    x = (x << 4 | x) & 0x0f0f0f0f0f0f0f0f;
    uint64_t letters = ((x + 0x0606060606060606) >> 4) & 0x0101010101010101;
    return __builtin_bswap64(x + 0x3030303030303030 + letters * ('a' - '0' - 10));
}

/* Writes 0x and lower-case hex at AT, where there is room for EMIT_SINK_HEX_ROOM bytes, and returns
 * the end. */
enum { EMIT_SINK_HEX_ROOM = 18 };
static inline char *emit_sink_put_hex(char *at, uint64_t value)
{
    unsigned digits = (67 - (unsigned)__builtin_clzll(value | 1)) / 4;
    uint64_t shifted = value << (64 - 4 * digits);
    uint64_t high = emit_sink_hex_digits((uint32_t)(shifted >> 32));
    uint64_t low = emit_sink_hex_digits((uint32_t)shifted);
    memcpy(at, "0x", 2);
    memcpy(at + 2, &high, sizeof high);
    memcpy(at + 10, &low, sizeof low);
    return at + 2 + digits;
}

/* Appends COUNT spaces. */
void emit_sink_add_spaces(struct emit_sink *sink, size_t count);

/* Appends SIZE bytes of a target's, escaped as string_builder_add_escaped does. */
void emit_sink_add_escaped(struct emit_sink *sink, const char *bytes, size_t size);

/* Appends the text of BUILDER, or takes over its failure. */
void emit_sink_add_builder(struct emit_sink *sink, const struct string_builder *builder);

/* Appends printf-formatted text of our own, at most 500 bytes. */
void emit_sink_format(struct emit_sink *sink, const char *format, ...) PRINTF_LIKE(2, 3);

/* A write function for a file descriptor; CONTEXT points at the int. A reader that went away
 * (EPIPE) is ERROR_PIPE: leave quietly. */
NODISCARD struct error *emit_sink_write_descriptor(void *context, const void *data, size_t size);

/* A write function that appends to the struct string_builder at CONTEXT. */
NODISCARD struct error *emit_sink_write_builder(void *context, const void *data, size_t size);

#endif
