#include "emit/emit_sink.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { EMIT_SINK_CAPACITY = 256 * 1024 };

/* A sink with an empty buffer. */
struct error *emit_sink_init(struct emit_sink *sink, emit_write *write, void *context)
{
    *sink = (struct emit_sink){.write = write, .context = context};
    sink->buffer = malloc(EMIT_SINK_CAPACITY);
    if (sink->buffer == NULL) {
        return error_no_memory();
    }
    sink->capacity = EMIT_SINK_CAPACITY;
    return NULL;
}

/* Frees a sink. */
void emit_sink_deinit(struct emit_sink *sink)
{
    free(sink->buffer);
    error_destroy(sink->error);
    string_builder_deinit(&sink->scratch);
    *sink = (struct emit_sink){0};
}

/* Keeps the first failure. */
void emit_sink_fail(struct emit_sink *sink, struct error *error)
{
    if (sink->error == NULL) {
        sink->error = error;
    } else {
        error_destroy(error);
    }
}

/* Passes bytes on unless the sink has failed. */
static void emit_sink_pass(struct emit_sink *sink, const char *bytes, size_t size)
{
    if (sink->error == NULL && size > 0) {
        emit_sink_fail(sink, sink->write(sink->context, bytes, size));
    }
}

/* Empties the buffer and asks for the failure. */
struct error *emit_sink_flush(struct emit_sink *sink)
{
    emit_sink_pass(sink, sink->buffer, sink->size);
    sink->size = 0;
    struct error *error = sink->error;
    sink->error = NULL;
    return error;
}

/* Empties the buffer when it has to be. */
void emit_sink_make_room(struct emit_sink *sink, size_t size)
{
    if (size > sink->capacity - sink->size) {
        emit_sink_pass(sink, sink->buffer, sink->size);
        sink->size = 0;
    }
}

/* Appends bytes that did not fit. */
void emit_sink_add_large(struct emit_sink *sink, const char *bytes, size_t size)
{
    emit_sink_pass(sink, sink->buffer, sink->size);
    sink->size = 0;
    if (size > sink->capacity / 2) {
        emit_sink_pass(sink, bytes, size);
        return;
    }
    memcpy(sink->buffer, bytes, size);
    sink->size = size;
}

/* Appends a decimal number. */
void emit_sink_add_u64(struct emit_sink *sink, uint64_t value)
{
    char digits[20];
    size_t start = sizeof digits;
    do {
        digits[--start] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    emit_sink_add_bytes(sink, digits + start, sizeof digits - start);
}

/* Appends a hexadecimal number. */
void emit_sink_add_hex(struct emit_sink *sink, uint64_t value)
{
    emit_sink_make_room(sink, EMIT_SINK_HEX_ROOM);
    char *at = sink->buffer + sink->size;
    sink->size += (size_t)(emit_sink_put_hex(at, value) - at);
}

/* Appends spaces. */
void emit_sink_add_spaces(struct emit_sink *sink, size_t count)
{
    static const char spaces[] = "                                ";
    for (; count > sizeof spaces - 1; count -= sizeof spaces - 1) {
        emit_sink_add_bytes(sink, spaces, sizeof spaces - 1);
    }
    emit_sink_add_bytes(sink, spaces, count);
}

/* Appends a builder's text. */
void emit_sink_add_builder(struct emit_sink *sink, const struct string_builder *builder)
{
    struct error *error = string_builder_error(builder);
    if (error != NULL) {
        emit_sink_fail(sink, error);
        return;
    }
    emit_sink_add_bytes(sink, string_builder_text(builder), builder->size);
}

/* Appends hostile bytes. */
void emit_sink_add_escaped(struct emit_sink *sink, const char *bytes, size_t size)
{
    string_builder_clear(&sink->scratch);
    string_builder_add_escaped(&sink->scratch, bytes, size);
    emit_sink_add_builder(sink, &sink->scratch);
}

/* Appends formatted text. */
void emit_sink_format(struct emit_sink *sink, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size >= sizeof text) {
        emit_sink_fail(sink, error_create(ERROR_INTERNAL, "output does not fit its format"));
        return;
    }
    emit_sink_add_bytes(sink, text, (size_t)size);
}

/* Writes to a descriptor. */
struct error *emit_sink_write_descriptor(void *context, const void *data, size_t size)
{
    int descriptor = *(const int *)context;
    const char *bytes = data;
    while (size > 0) {
        ssize_t written = write(descriptor, bytes, size);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0 && errno == EPIPE) {
            return error_create(ERROR_PIPE, "the reader of the output is gone");
        }
        if (written < 0) {
            return error_errno(errno, "cannot write the output");
        }
        bytes += written;
        size -= (size_t)written;
    }
    return NULL;
}

/* Writes to a string builder. */
struct error *emit_sink_write_builder(void *context, const void *data, size_t size)
{
    struct string_builder *builder = context;
    string_builder_add_bytes(builder, data, size);
    return string_builder_error(builder);
}
