#include "emit/json_writer.h"

#define JSON_WRITER_EXACT ((uint64_t)1 << 53) /* doubles hold every integer below */

/* A writer at the start. */
void json_writer_init(struct json_writer *writer, struct emit_sink *sink)
{
    *writer = (struct json_writer){.sink = sink};
}

/* What stands before a value: a comma when due, and its key. */
static void json_writer_before(struct json_writer *writer, const char *name)
{
    if (writer->key_open) {
        writer->key_open = false;
        return;
    }
    if (writer->filled[writer->depth]) {
        emit_sink_add(writer->sink, ",");
    }
    writer->filled[writer->depth] = true;
    if (name != NULL) {
        emit_sink_add(writer->sink, "\"");
        emit_sink_add(writer->sink, name);
        emit_sink_add(writer->sink, "\":");
    }
}

/* Opens a nesting; beyond the limit everything stays on the last level, which no caller reaches. */
static void json_writer_open(struct json_writer *writer, const char *name, const char *bracket)
{
    json_writer_before(writer, name);
    emit_sink_add(writer->sink, bracket);
    if (writer->depth + 1 < JSON_WRITER_DEPTH_MAX) {
        writer->depth++;
    }
    writer->filled[writer->depth] = false;
}

/* Closes a nesting. */
static void json_writer_close(struct json_writer *writer, const char *bracket)
{
    emit_sink_add(writer->sink, bracket);
    if (writer->depth > 0) {
        writer->depth--;
    }
}

/* Begins an object. */
void json_writer_begin_object(struct json_writer *writer, const char *name)
{
    json_writer_open(writer, name, "{");
}

/* Ends an object. */
void json_writer_end_object(struct json_writer *writer)
{
    json_writer_close(writer, "}");
}

/* Begins an array. */
void json_writer_begin_array(struct json_writer *writer, const char *name)
{
    json_writer_open(writer, name, "[");
}

/* Ends an array. */
void json_writer_end_array(struct json_writer *writer)
{
    json_writer_close(writer, "]");
}

/* Appends the escape of a byte below 0x20 or one of the characters that need one. */
static void json_writer_escape(struct string_builder *builder, uint8_t byte)
{
    switch (byte) {
    case '"':
        string_builder_add(builder, "\\\"");
        return;
    case '\\':
        string_builder_add(builder, "\\\\");
        return;
    case '\n':
        string_builder_add(builder, "\\n");
        return;
    case '\t':
        string_builder_add(builder, "\\t");
        return;
    case '\r':
        string_builder_add(builder, "\\r");
        return;
    default:
        string_builder_format(builder, "\\u%04x", byte);
    }
}

/* The bytes of the character at TEXT that can stand as they are; 0: it must be escaped or replaced.
 */
static size_t json_writer_plain(const uint8_t *text, size_t size)
{
    if (text[0] < 0x80) {
        bool plain = text[0] >= 0x20 && text[0] != '"' && text[0] != '\\' && text[0] != 0x7f &&
                     text[0] != '<';
        return plain ? 1 : 0;
    }
    uint32_t code = 0;
    size_t length = string_builder_utf8((const char *)text, size, &code);
    return length > 0 && string_builder_drives_terminal(code) ? 0 : length;
}

/* Appends a string literal. */
void json_writer_quote(struct string_builder *builder, const char *text, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)text;
    string_builder_add_char(builder, '"');
    size_t done = 0;
    size_t at = 0;
    while (at < size) {
        size_t plain = json_writer_plain(bytes + at, size - at);
        if (plain > 0) {
            at += plain;
            continue;
        }
        string_builder_add_bytes(builder, text + done, at - done);
        if (bytes[at] < 0x80) {
            json_writer_escape(builder, bytes[at]);
            at++;
        } else {
            uint32_t code = 0;
            size_t length = string_builder_utf8(text + at, size - at, &code);
            string_builder_format(builder, "\\u%04x", length > 0 ? code : 0xfffd);
            at += length > 0 ? length : 1;
        }
        done = at;
    }
    string_builder_add_bytes(builder, text + done, size - done);
    string_builder_add_char(builder, '"');
}

/* Whether all of TEXT can stand as it is. */
static bool json_writer_is_plain(const char *text, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)text;
    for (size_t at = 0; at < size;) {
        size_t plain = json_writer_plain(bytes + at, size - at);
        if (plain == 0) {
            return false;
        }
        at += plain;
    }
    return true;
}

/* Appends a string literal to the sink. */
static void json_writer_add_quoted(struct json_writer *writer, const char *text, size_t size)
{
    if (json_writer_is_plain(text, size)) {
        emit_sink_add(writer->sink, "\"");
        emit_sink_add_bytes(writer->sink, text, size);
        emit_sink_add(writer->sink, "\"");
        return;
    }
    struct string_builder quoted = {0};
    json_writer_quote(&quoted, text, size);
    emit_sink_add_builder(writer->sink, &quoted);
    string_builder_deinit(&quoted);
}

/* Writes a key that may hold anything. */
void json_writer_key(struct json_writer *writer, const char *key, size_t size)
{
    json_writer_before(writer, NULL);
    json_writer_add_quoted(writer, key, size);
    emit_sink_add(writer->sink, ":");
    writer->key_open = true;
}

/* Writes a string. */
void json_writer_string(struct json_writer *writer, const char *name, const char *text, size_t size)
{
    json_writer_before(writer, name);
    json_writer_add_quoted(writer, text, size);
}

/* Writes a string or null. */
void json_writer_text(struct json_writer *writer, const char *name, const char *text)
{
    if (text == NULL) {
        json_writer_null(writer, name);
        return;
    }
    json_writer_string(writer, name, text, strlen(text));
}

/* Writes an unsigned number. */
void json_writer_u64(struct json_writer *writer, const char *name, uint64_t value)
{
    json_writer_before(writer, name);
    const char *quote = value < JSON_WRITER_EXACT ? "" : "\"";
    emit_sink_add(writer->sink, quote);
    emit_sink_add_u64(writer->sink, value);
    emit_sink_add(writer->sink, quote);
}

/* Writes a signed number. */
void json_writer_i64(struct json_writer *writer, const char *name, int64_t value)
{
    if (value >= 0) {
        json_writer_u64(writer, name, (uint64_t)value);
        return;
    }
    json_writer_before(writer, name);
    uint64_t magnitude = 0 - (uint64_t)value;
    const char *quote = magnitude < JSON_WRITER_EXACT ? "" : "\"";
    emit_sink_add(writer->sink, quote);
    emit_sink_add(writer->sink, "-");
    emit_sink_add_u64(writer->sink, magnitude);
    emit_sink_add(writer->sink, quote);
}

/* Writes a number or null. */
void json_writer_known(struct json_writer *writer, const char *name, int64_t value)
{
    if (value == INT64_MIN) {
        json_writer_null(writer, name);
        return;
    }
    json_writer_i64(writer, name, value);
}

/* Writes an address. */
void json_writer_address(struct json_writer *writer, const char *name, uint64_t address)
{
    if (address == 0) {
        json_writer_null(writer, name);
        return;
    }
    json_writer_before(writer, name);
    emit_sink_add(writer->sink, "\"");
    emit_sink_add_hex(writer->sink, address);
    emit_sink_add(writer->sink, "\"");
}

/* Writes a truth value. */
void json_writer_bool(struct json_writer *writer, const char *name, bool value)
{
    json_writer_before(writer, name);
    emit_sink_add(writer->sink, value ? "true" : "false");
}

/* Writes a truth value or null. */
void json_writer_maybe(struct json_writer *writer, const char *name, int value)
{
    if (value != 0 && value != 1) {
        json_writer_null(writer, name);
        return;
    }
    json_writer_bool(writer, name, value == 1);
}

/* Writes null. */
void json_writer_null(struct json_writer *writer, const char *name)
{
    json_writer_before(writer, name);
    emit_sink_add(writer->sink, "null");
}

/* Writes a value made earlier. */
void json_writer_raw(struct json_writer *writer, const char *name, const char *json, size_t size)
{
    json_writer_before(writer, name);
    emit_sink_add_bytes(writer->sink, json, size);
}
