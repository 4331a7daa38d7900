/* Telling formats apart by their first bytes:
 *   gzip      1f 8b 08 (RFC 1952); what is inside decides
 *   pprof     profile.proto without compression: fields 1 to 15, each of the wire type that it has
 *             there (Go's own begin with period_type, others with sample_type)
 *   counted   a line "goroutine profile: total N" (or goroutineleak), which pprof.WriteTo(w, 1)
 * begins with; before it there may be what a server or a shell printed Go text   all other text */
#include "base/cursor.h"
#include "ingest/gunzip.h"
#include "ingest/ingest.h"
#include <string.h>

enum {
    RECOGNIZE_FIELDS_MIN = 2,
    RECOGNIZE_FIELD_LAST = 15,
    RECOGNIZE_VARINT = 0,
    RECOGNIZE_BYTES = 2
};

bool ingest_is_gzip(const uint8_t *bytes, size_t size)
{
    return size >= 3 && bytes[0] == 0x1f && bytes[1] == 0x8b && bytes[2] == 8;
}

/* True when FIELD of a Profile may have WIRE type (repeated numbers may be packed). */
static bool recognize_has_wire(uint64_t field, uint64_t wire)
{
    static const uint8_t bytes_fields[RECOGNIZE_FIELD_LAST + 1] = {
        [1] = 1, [2] = 1, [3] = 1, [4] = 1, [5] = 1, [6] = 1, [11] = 1, [13] = 1};
    if (field < 1 || field > RECOGNIZE_FIELD_LAST) {
        return false;
    }
    return bytes_fields[field] != 0
               ? wire == RECOGNIZE_BYTES || (field == 13 && wire == RECOGNIZE_VARINT)
               : wire == RECOGNIZE_VARINT;
}

/* True when the bytes begin as a Profile does, as far as they reach. */
static bool recognize_is_pprof(const uint8_t *bytes, size_t size)
{
    struct cursor cursor;
    size_t fields = 0;
    if (size < 4) {
        return false;
    }
    cursor_init(&cursor, bytes, size, "profile", 0);
    while (cursor_left(&cursor) > 0) {
        uint64_t tag = 0;
        uint64_t value = 0;
        struct error *error = cursor_uvarint(&cursor, &tag);
        bool fits = error == NULL && recognize_has_wire(tag >> 3, tag & 7);
        error = fits ? cursor_uvarint(&cursor, &value) : error;
        fits = fits && error == NULL;
        error_destroy(error);
        if (!fits) {
            return false;
        }
        fields++;
        if ((tag & 7) == RECOGNIZE_BYTES) {
            if (value > cursor_left(&cursor)) {
                return size >= INGEST_HEAD_SIZE; /* it goes on behind what was looked at */
            }
            error_destroy(cursor_skip(&cursor, value));
        }
    }
    return fields >= RECOGNIZE_FIELDS_MIN;
}

/* True when a line of the text begins as a counted profile does. */
static bool recognize_is_counted(const uint8_t *bytes, size_t size)
{
    static const char *const heads[] = {"goroutine profile: total ",
                                        "goroutineleak profile: total "};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        const uint8_t *found = memmem(bytes, size, heads[i], strlen(heads[i]));
        if (found != NULL && (found == bytes || found[-1] == '\n')) {
            return true;
        }
    }
    return false;
}

/* True when the bytes are text; NULs in front are the hole that a log has after it was cut while a
 * program wrote to it. */
static bool recognize_is_text(const uint8_t *bytes, size_t size)
{
    static const char word[] = "goroutine ";
    size_t start = 0;
    while (start < size && bytes[start] == 0) {
        start++;
    }
    return start < size && (memchr(bytes + start, 0, size - start) == NULL ||
                            memmem(bytes + start, size - start, word, sizeof word - 1) != NULL);
}

/* The format of bytes that are not compressed. */
static enum ingest_format recognize_plain(const uint8_t *bytes, size_t size)
{
    if (recognize_is_pprof(bytes, size)) {
        return INGEST_PPROF;
    }
    if (recognize_is_counted(bytes, size)) {
        return INGEST_COUNTED_TEXT;
    }
    return recognize_is_text(bytes, size) ? INGEST_GO_TEXT : INGEST_UNKNOWN;
}

enum ingest_format ingest_recognize(const uint8_t *bytes, size_t size)
{
    size_t looked = size < INGEST_HEAD_SIZE ? size : INGEST_HEAD_SIZE;
    if (!ingest_is_gzip(bytes, looked)) {
        return recognize_plain(bytes, looked);
    }
    uint8_t head[INGEST_HEAD_SIZE];
    return recognize_plain(head, gunzip_head(bytes, looked, head, sizeof head));
}
