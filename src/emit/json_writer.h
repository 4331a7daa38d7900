/* JSON, streamed (RFC 8259): always well-formed as far as calls are balanced. */
#ifndef UNPARK_EMIT_JSON_WRITER_H
#define UNPARK_EMIT_JSON_WRITER_H

#include "emit/emit_sink.h"

enum { JSON_WRITER_DEPTH_MAX = 64 };

/* Zero, with a sink, is a writer at the start of a value. */
struct json_writer {
    struct emit_sink *sink;
    unsigned depth;
    bool key_open;                      /* a key was written, its value is due */
    bool filled[JSON_WRITER_DEPTH_MAX]; /* by depth: something is there, a comma is due */
};

/* Sets WRITER to write one value to SINK, which must outlive it. */
void json_writer_init(struct json_writer *writer, struct emit_sink *sink);

/* Objects and arrays; NAME is the key within an object, NULL within an array or at the top. Keys
 * are our own words: plain ASCII. */
void json_writer_begin_object(struct json_writer *writer, const char *name);
void json_writer_end_object(struct json_writer *writer);
void json_writer_begin_array(struct json_writer *writer, const char *name);
void json_writer_end_array(struct json_writer *writer);

/* A key of a target's, escaped; the next value's NAME must be NULL. */
void json_writer_key(struct json_writer *writer, const char *key, size_t size);

/* A string; control characters escaped, invalid UTF-8 replaced by U+FFFD, and what may end a script
 * element or a JavaScript line escaped. */
void json_writer_string(struct json_writer *writer, const char *name, const char *text,
                        size_t size);
/* As json_writer_string with a NUL-terminated TEXT; NULL is null. */
void json_writer_text(struct json_writer *writer, const char *name, const char *text);

/* A number up to 2^53 - 1, beyond that a decimal string: JavaScript would round it. */
void json_writer_u64(struct json_writer *writer, const char *name, uint64_t value);
/* As json_writer_u64 for signed values. */
void json_writer_i64(struct json_writer *writer, const char *name, int64_t value);
/* As json_writer_i64, INT64_MIN (SNAPSHOT_UNKNOWN) is null. */
void json_writer_known(struct json_writer *writer, const char *name, int64_t value);
/* An address: a string "0x..."; 0 is null. */
void json_writer_address(struct json_writer *writer, const char *name, uint64_t address);
void json_writer_bool(struct json_writer *writer, const char *name, bool value);
/* 1 is true, 0 false, all else (unknown) null. */
void json_writer_maybe(struct json_writer *writer, const char *name, int value);
void json_writer_null(struct json_writer *writer, const char *name);

/* A complete JSON value made earlier. */
void json_writer_raw(struct json_writer *writer, const char *name, const char *json, size_t size);

/* Appends the JSON string literal of SIZE bytes at TEXT to BUILDER. */
void json_writer_quote(struct string_builder *builder, const char *text, size_t size);

#endif
