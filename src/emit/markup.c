#include "emit/markup.h"
#include <stdio.h>

/* The reference that stands for CHARACTER, or NULL when it can stand for itself. */
static const char *markup_reference(char character)
{
    switch (character) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

/* Whether the UTF-8 sequence at TEXT is U+FFFE or U+FFFF, which XML forbids. */
static bool markup_is_forbidden(const char *text, size_t size)
{
    return size >= 3 && memcmp(text, "\xef\xbf", 2) == 0 && ((uint8_t)text[2] & 0xfe) == 0xbe;
}

/* Appends text whose control characters are escaped already. */
static void markup_add_clean(struct emit_sink *sink, const char *text, size_t size)
{
    size_t done = 0;
    for (size_t i = 0; i < size; i++) {
        bool forbidden = text[i] == '\xef' && markup_is_forbidden(text + i, size - i);
        const char *reference = forbidden ? "\\xef\\xbf\\xbe" : markup_reference(text[i]);
        if (reference != NULL) {
            emit_sink_add_bytes(sink, text + done, i - done);
            emit_sink_add(sink, reference);
            i += forbidden ? 2 : 0;
            done = i + 1;
        }
    }
    emit_sink_add_bytes(sink, text + done, size - done);
}

/* Appends hostile bytes. */
void markup_add(struct emit_sink *sink, const char *text, size_t size)
{
    struct string_builder clean = {0};
    string_builder_add_escaped(&clean, text, size);
    emit_sink_fail(sink, string_builder_error(&clean));
    markup_add_clean(sink, string_builder_text(&clean), clean.size);
    string_builder_deinit(&clean);
}

/* Appends a hostile string. */
void markup_add_text(struct emit_sink *sink, const char *text)
{
    markup_add(sink, text, strlen(text));
}

/* Appends a hostile name. */
void markup_add_name(struct emit_sink *sink, const char *text, size_t size)
{
    size_t keep = size;
    if (size > MARKUP_NAME_MAX) {
        keep = MARKUP_NAME_MAX;
        while (keep > 0 && ((uint8_t)text[keep] & 0xc0) == 0x80) {
            keep--;
        }
    }
    markup_add(sink, text, keep);
    emit_sink_add(sink, keep < size ? "..." : "");
}

/* Appends a number for people. */
void markup_add_count(struct emit_sink *sink, uint64_t value)
{
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    for (int i = 0; i < size; i++) {
        emit_sink_add(sink, i > 0 && (size - i) % 3 == 0 ? "," : "");
        emit_sink_add_bytes(sink, &digits[i], 1);
    }
}

/* Appends a share. */
void markup_add_share(struct emit_sink *sink, uint64_t part, uint64_t whole)
{
    double percent = whole == 0 ? 0 : 100.0 * (double)part / (double)whole;
    if (part == whole || part == 0) {
        emit_sink_add(sink, whole != 0 && part == whole ? "100%" : "0%");
    } else {
        emit_sink_format(sink, percent < 0.1 ? "%.2f%%" : "%.1f%%", percent);
    }
}
