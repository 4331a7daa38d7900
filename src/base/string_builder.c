#include "base/string_builder.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STRING_BUILDER_FIRST_CAPACITY = 128 };

/* Frees the text. */
void string_builder_deinit(struct string_builder *builder)
{
    free(builder->text);
    *builder = (struct string_builder){0};
}

/* Makes room for MORE bytes and a NUL; false after a failure, which then sticks. */
static bool string_builder_grow(struct string_builder *builder, size_t more)
{
    if (builder->failed) {
        return false;
    }
    size_t want;
    if (__builtin_add_overflow(builder->size, more, &want) ||
        __builtin_add_overflow(want, 1, &want)) {
        builder->failed = true;
        return false;
    }
    size_t capacity = builder->capacity + builder->capacity / 2;
    if (capacity < STRING_BUILDER_FIRST_CAPACITY) {
        capacity = STRING_BUILDER_FIRST_CAPACITY;
    }
    if (capacity < want) {
        capacity = want;
    }
    char *text = realloc(builder->text, capacity);
    if (text == NULL) {
        builder->failed = true;
        return false;
    }
    builder->text = text;
    builder->capacity = capacity;
    return true;
}

/* As string_builder_grow, without a call when there is room. */
static inline bool string_builder_reserve(struct string_builder *builder, size_t more)
{
    bool fits = builder->capacity > builder->size && builder->capacity - builder->size > more;
    return (fits && !builder->failed) || string_builder_grow(builder, more);
}

/* Appends a string. */
void string_builder_add(struct string_builder *builder, const char *text)
{
    string_builder_add_bytes(builder, text, strlen(text));
}

/* Appends bytes. */
void string_builder_add_bytes(struct string_builder *builder, const char *bytes, size_t size)
{
    if (!string_builder_reserve(builder, size)) {
        return;
    }
    if (size > 0) {
        memcpy(builder->text + builder->size, bytes, size);
    }
    builder->size += size;
    builder->text[builder->size] = '\0';
}

/* Appends a character. */
void string_builder_add_char(struct string_builder *builder, char character)
{
    if (!string_builder_reserve(builder, 1)) {
        return;
    }
    builder->text[builder->size++] = character;
    builder->text[builder->size] = '\0';
}

/* Appends formatted text. */
void string_builder_format(struct string_builder *builder, const char *format, ...)
{
    if (!string_builder_reserve(builder, 0)) {
        return;
    }
    size_t room = builder->capacity - builder->size;
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(builder->text + builder->size, room, format, arguments);
    va_end(arguments);
    if (size < 0) {
        builder->text[builder->size] = '\0';
        builder->failed = true;
        return;
    }
    if ((size_t)size >= room) {
        if (!string_builder_reserve(builder, (size_t)size)) {
            builder->text[builder->size] = '\0';
            return;
        }
        va_start(arguments, format);
        (void)vsnprintf(builder->text + builder->size, (size_t)size + 1, format, arguments);
        va_end(arguments);
    }
    builder->size += (size_t)size;
}

/* Appends a decimal number. */
void string_builder_add_u64(struct string_builder *builder, uint64_t value)
{
    char digits[20];
    size_t start = sizeof digits;
    do {
        digits[--start] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    string_builder_add_bytes(builder, digits + start, sizeof digits - start);
}

/* Appends a hexadecimal number. */
void string_builder_add_hex(struct string_builder *builder, uint64_t value)
{
    char digits[18];
    size_t start = sizeof digits;
    do {
        digits[--start] = "0123456789abcdef"[value & 15];
        value >>= 4;
    } while (value != 0);
    digits[--start] = 'x';
    digits[--start] = '0';
    string_builder_add_bytes(builder, digits + start, sizeof digits - start);
}

/* The number of continuation bytes that a lead byte announces and its share of the code point;
 * -1 when no sequence starts with it. */
static int string_builder_utf8_lead(uint8_t lead, uint32_t *code)
{
    if (lead >= 0xc2 && lead <= 0xdf) {
        *code = lead & 0x1fu;
        return 1;
    }
    if ((lead & 0xf0) == 0xe0) {
        *code = lead & 0x0fu;
        return 2;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        *code = lead & 0x07u;
        return 3;
    }
    return -1;
}

/* Decodes one character of several bytes. */
size_t string_builder_utf8(const char *bytes, size_t size, uint32_t *code)
{
    int more = string_builder_utf8_lead((uint8_t)bytes[0], code);
    if (more < 0 || (size_t)more >= size) {
        return 0;
    }
    for (int i = 1; i <= more; i++) {
        uint8_t byte = (uint8_t)bytes[i];
        if ((byte & 0xc0) != 0x80) {
            return 0;
        }
        *code = *code << 6 | (byte & 0x3fu);
    }
    static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
    if (*code < smallest[more] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff)) {
        return 0;
    }
    return (size_t)more + 1;
}

/* Tells what a terminal would act on. */
bool string_builder_drives_terminal(uint32_t code)
{
    return code < 0xa0 || code == 0x61c || code == 0x200e || code == 0x200f ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

/* The number of bytes at BYTES that can be shown as they are, at least one character; 0 when the
 * first byte must be escaped. */
static size_t string_builder_printable(const char *bytes, size_t size)
{
    uint8_t byte = (uint8_t)bytes[0];
    if (byte < 0x80) {
        return byte >= 0x20 && byte != 0x7f ? 1 : 0;
    }
    uint32_t code = 0;
    size_t length = string_builder_utf8(bytes, size, &code);
    return length > 0 && !string_builder_drives_terminal(code) ? length : 0;
}

/* Appends hostile bytes so that a terminal shows and does not obey them. */
void string_builder_add_escaped(struct string_builder *builder, const char *bytes, size_t size)
{
    size_t shown = 0; /* start of the run that needs no escape */
    size_t at = 0;
    while (at < size) {
        size_t length = string_builder_printable(bytes + at, size - at);
        if (length > 0) {
            at += length;
            continue;
        }
        uint8_t byte = (uint8_t)bytes[at];
        const char escape[4] = {'\\', 'x', "0123456789abcdef"[byte >> 4],
                                "0123456789abcdef"[byte & 15]};
        string_builder_add_bytes(builder, bytes + shown, at - shown);
        string_builder_add_bytes(builder, escape, sizeof escape);
        shown = ++at;
    }
    string_builder_add_bytes(builder, bytes + shown, size - shown);
}

/* Empties the text. */
void string_builder_clear(struct string_builder *builder)
{
    builder->size = 0;
    if (builder->text != NULL) {
        builder->text[0] = '\0';
    }
}

/* The sticking failure. */
struct error *string_builder_error(const struct string_builder *builder)
{
    return builder->failed ? error_no_memory() : NULL;
}

/* Hands the text out. */
struct error *string_builder_take(struct string_builder *builder, char **ret)
{
    string_builder_reserve(builder, 0);
    if (builder->failed) {
        string_builder_deinit(builder);
        return error_no_memory();
    }
    builder->text[builder->size] = '\0';
    *ret = builder->text;
    *builder = (struct string_builder){0};
    return NULL;
}

/* The text so far. */
const char *string_builder_text(const struct string_builder *builder)
{
    return builder->text == NULL ? "" : builder->text;
}
