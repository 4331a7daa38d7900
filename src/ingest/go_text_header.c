/* goroutineheader of runtime/traceback.go, Go 1.18 to 1.27:
 *   goroutine N[ gp=0xHEX m=(nil|K mp=0xHEX)] [STATE(, ITEM)*[ labels:{LABELS}]][ {LABELS}]:
 *   STATE  a status or a wait reason, then " (leaked)", " (scan)", " (durable)" where they apply
 *   ITEM   M minutes | locked to thread | synctest (group|bubble) N
 *   LABELS KEY: VALUE, separated by ", "; bare or in double quotes with \n \r \t \\ \" \xNN \uNNNN
 *          \UNNNNNNNN
 * A state's own text may end in "(durable)" or "(nil chan)": the longest text that is a state
 * counts. */
#include "ingest/go_text_header.h"
#include "base/bytes.h"
#include <string.h>

enum { HEADER_MINUTES_MAX = 1 << 28, HEADER_DIGITS_MAX = 19 };

#define HEADER_MINUTE INT64_C(60000000000)

/* Where reading a header stands. */
struct go_text_header_reader {
    const char *at, *end;
};

/* Skips TEXT when it is next. */
static inline bool go_text_header_skip(struct go_text_header_reader *reader, const char *text)
{
    size_t size = strlen(text);
    if ((size_t)(reader->end - reader->at) < size || memcmp(reader->at, text, size) != 0) {
        return false;
    }
    reader->at += size;
    return true;
}

/* Reads a decimal number. */
static bool go_text_header_number(struct go_text_header_reader *reader, uint64_t *ret)
{
    uint64_t value = 0;
    const char *start = reader->at;
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') {
        value = value * 10 + (uint64_t)(*reader->at++ - '0');
    }
    *ret = value;
    return reader->at > start && reader->at - start <= HEADER_DIGITS_MAX;
}

/* Reads a number in hexadecimal, without "0x". */
static bool go_text_header_hex(struct go_text_header_reader *reader, uint64_t *ret)
{
    uint64_t value = 0;
    const char *start = reader->at;
    for (; reader->at < reader->end; reader->at++) {
        char c = *reader->at;
        if (c >= '0' && c <= '9') {
            value = value << 4 | (uint64_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        } else {
            break;
        }
    }
    *ret = value;
    return reader->at > start && reader->at - start <= 16;
}

/* Reads " gp=0xHEX m=nil" or " gp=0xHEX m=3 mp=0xHEX". */
static bool go_text_header_pointers(struct go_text_header_reader *reader,
                                    struct go_text_header *header)
{
    uint64_t ignored;
    if (!go_text_header_skip(reader, " gp=0x")) {
        return true;
    }
    if (!go_text_header_hex(reader, &header->address) || !go_text_header_skip(reader, " m=")) {
        return false;
    }
    if (go_text_header_skip(reader, "nil")) {
        return true;
    }
    return go_text_header_number(reader, &ignored) &&
           (!go_text_header_skip(reader, " mp=0x") || go_text_header_hex(reader, &ignored));
}

/* The status that TEXT names, or UNKNOWN. */
static enum goroutine_status go_text_header_find_status(const char *text, size_t size)
{
    for (int i = GOROUTINE_STATUS_UNKNOWN + 1; i < GOROUTINE_STATUS_COUNT; i++) {
        const char *known = goroutine_status_text((enum goroutine_status)i);
        if (strlen(known) == size && memcmp(known, text, size) == 0) {
            return (enum goroutine_status)i;
        }
    }
    return GOROUTINE_STATUS_UNKNOWN;
}

/* Takes SUFFIX off the end of *SIZE bytes at TEXT. */
static bool go_text_header_cut(const char *text, size_t *size, const char *suffix)
{
    size_t length = strlen(suffix);
    if (*size <= length || memcmp(text + *size - length, suffix, length) != 0) {
        return false;
    }
    *size -= length;
    return true;
}

/* Finds out what a state's text means, the longest first. */
static void go_text_header_resolve(const char *text, size_t size, struct go_text_state *ret)
{
    for (;;) {
        enum goroutine_status status = go_text_header_find_status(text, size);
        enum wait_reason reason = wait_reason_parse(text, size);
        if (status != GOROUTINE_STATUS_UNKNOWN) {
            ret->status = (uint8_t)status;
            break;
        }
        if (reason != WAIT_REASON_COUNT && reason != WAIT_REASON_NONE) {
            bool leaked = (ret->flags & GOROUTINE_LEAKED) != 0;
            ret->status = leaked ? GOROUTINE_STATUS_LEAKED : GOROUTINE_STATUS_WAITING;
            ret->wait_reason = (uint8_t)reason;
            return;
        }
        if (go_text_header_cut(text, &size, " (leaked)")) {
            ret->flags |= GOROUTINE_LEAKED;
        } else if (go_text_header_cut(text, &size, " (scan)")) {
            ret->flags |= GOROUTINE_SCAN;
        } else if (!go_text_header_cut(text, &size, " (durable)")) {
            break;
        }
    }
    ret->wait_reason = WAIT_REASON_NONE;
}

/* Where the state of that TEXT is kept. */
static inline struct go_text_state *go_text_header_place(struct go_text_state *states,
                                                         const char *text, size_t size)
{
    return &states[(size * 5 + (uint8_t)text[0] + (uint8_t)text[size / 2]) % GO_TEXT_STATES];
}

/* Reads the state. */
static bool go_text_header_state(struct go_text_header_reader *reader, struct go_text_state *states,
                                 struct go_text_header *header)
{
    static const char inside[] = " labels:{";
    const char *text = reader->at;
    while (reader->at < reader->end && *reader->at != ',' && *reader->at != ']') {
        reader->at++;
    }
    size_t size = (size_t)(reader->at - text);
    if (size == 0 || reader->at == reader->end) {
        return false;
    }
    struct go_text_state *state = go_text_header_place(states, text, size);
    bool known = state->size == size && memcmp(state->text, text, size) == 0;
    const char *labels = known ? NULL : memmem(text, size, inside, sizeof inside - 1);
    if (labels != NULL) {
        reader->at = labels;
        size = (size_t)(labels - text);
        if (size == 0) {
            return false;
        }
        state = go_text_header_place(states, text, size);
        known = state->size == size && memcmp(state->text, text, size) == 0;
    }
    if (size > GO_TEXT_STATE_SIZE) {
        return false;
    }
    if (!known) {
        *state = (struct go_text_state){.size = (uint8_t)size};
        memcpy(state->text, text, size);
        go_text_header_resolve(text, size, state);
    }
    header->status = state->status;
    header->wait_reason = state->wait_reason;
    header->flags |= state->flags;
    header->odd =
        state->status == GOROUTINE_STATUS_UNKNOWN && !(size == 3 && memcmp(text, "???", 3) == 0);
    return true;
}

/* Reads what stands behind a comma; what is not known is passed over. */
static bool go_text_header_item(struct go_text_header_reader *reader, struct go_text_header *header)
{
    uint64_t number;
    struct go_text_header_reader before = *reader;
    if (go_text_header_number(reader, &number) && go_text_header_skip(reader, " minutes")) {
        header->age_ns =
            number <= HEADER_MINUTES_MAX ? (int64_t)number * HEADER_MINUTE : SNAPSHOT_UNKNOWN;
        return true;
    }
    *reader = before;
    if (go_text_header_skip(reader, "locked to thread")) {
        header->flags |= GOROUTINE_LOCKED;
        return true;
    }
    bool group = go_text_header_skip(reader, "synctest group");
    if (group || go_text_header_skip(reader, "synctest bubble")) {
        header->group = group;
        bool known = go_text_header_skip(reader, " ") && go_text_header_number(reader, &number) &&
                     number > 0 && number < UINT32_MAX;
        header->bubble = known ? (uint32_t)number : UINT32_MAX;
        return true;
    }
    while (reader->at < reader->end && *reader->at != ',' && *reader->at != ']') {
        reader->at++;
    }
    return reader->at < reader->end;
}

/* Appends the character CODE in UTF-8. */
static void go_text_header_add_code(struct string_builder *text, uint32_t code)
{
    char bytes[4];
    size_t size = 0;
    if (code < 0x80) {
        bytes[size++] = (char)code;
    } else if (code < 0x800) {
        bytes[size++] = (char)(0xc0 | code >> 6);
    } else if (code < 0x10000) {
        bytes[size++] = (char)(0xe0 | code >> 12);
        bytes[size++] = (char)(0x80 | (code >> 6 & 0x3f));
    } else {
        bytes[size++] = (char)(0xf0 | (code >> 18 & 7));
        bytes[size++] = (char)(0x80 | (code >> 12 & 0x3f));
        bytes[size++] = (char)(0x80 | (code >> 6 & 0x3f));
    }
    if (code >= 0x80) {
        bytes[size++] = (char)(0x80 | (code & 0x3f));
    }
    string_builder_add_bytes(text, bytes, size);
}

/* Reads DIGITS hexadecimal digits of an escape. */
static bool go_text_header_escape_hex(struct go_text_header_reader *reader, size_t digits,
                                      uint32_t *ret)
{
    uint64_t value;
    struct go_text_header_reader part = {reader->at, reader->at};
    if ((size_t)(reader->end - reader->at) < digits) {
        return false;
    }
    part.end = reader->at + digits;
    if (!go_text_header_hex(&part, &value) || part.at != part.end || value > 0x10ffff) {
        return false;
    }
    reader->at = part.end;
    *ret = (uint32_t)value;
    return true;
}

/* Reads what stands behind a backslash and appends it to TEXT, which may be NULL. */
static bool go_text_header_escape(struct go_text_header_reader *reader, struct string_builder *text)
{
    static const char names[] = "nrt\\\"";
    static const char values[] = "\n\r\t\\\"";
    uint32_t code = 0;
    if (reader->at == reader->end) {
        return false;
    }
    char kind = *reader->at++;
    const char *name = strchr(names, kind);
    if (kind != '\0' && name != NULL) {
        code = (uint8_t)values[name - names];
    } else if (kind == 'x') {
        if (!go_text_header_escape_hex(reader, 2, &code)) {
            return false;
        }
        if (text != NULL) {
            string_builder_add_char(text, (char)code);
        }
        return true;
    } else if (!(kind == 'u' && go_text_header_escape_hex(reader, 4, &code)) &&
               !(kind == 'U' && go_text_header_escape_hex(reader, 8, &code))) {
        return false;
    }
    if (text != NULL) {
        go_text_header_add_code(text, code);
    }
    return true;
}

/* Reads a key or value up to END_MARK (':' behind a key, or ',' or '}' behind a value) into TEXT,
 * which may be NULL. */
static bool go_text_header_label_part(struct go_text_header_reader *reader,
                                      struct string_builder *text)
{
    if (!go_text_header_skip(reader, "\"")) {
        const char *start = reader->at;
        while (reader->at < reader->end && strchr(":,}", *reader->at) == NULL) {
            reader->at++;
        }
        if (text != NULL) {
            string_builder_add_bytes(text, start, (size_t)(reader->at - start));
        }
        return true;
    }
    while (reader->at < reader->end && *reader->at != '"') {
        if (*reader->at == '\\') {
            reader->at++;
            if (!go_text_header_escape(reader, text)) {
                return false;
            }
            continue;
        }
        if (text != NULL) {
            string_builder_add_char(text, *reader->at);
        }
        reader->at++;
    }
    return go_text_header_skip(reader, "\"");
}

/* Reads "KEY: VALUE". */
static bool go_text_header_label(struct go_text_header_reader *reader, struct string_builder *key,
                                 struct string_builder *value)
{
    return go_text_header_label_part(reader, key) && go_text_header_skip(reader, ": ") &&
           go_text_header_label_part(reader, value);
}

/* Reads labels behind an opening brace up to the closing one. */
static bool go_text_header_labels(struct go_text_header_reader *reader,
                                  struct go_text_header *header)
{
    header->labels = reader->at;
    do {
        if (!go_text_header_label(reader, NULL, NULL)) {
            return false;
        }
    } while (go_text_header_skip(reader, ", "));
    header->labels_size = (size_t)(reader->at - header->labels);
    return go_text_header_skip(reader, "}");
}

bool go_text_header_next_label(const char **labels, const char *end, struct string_builder *key,
                               struct string_builder *value)
{
    struct go_text_header_reader reader = {*labels, end};
    string_builder_clear(key);
    string_builder_clear(value);
    if (reader.at >= end || !go_text_header_label(&reader, key, value)) {
        return false;
    }
    (void)go_text_header_skip(&reader, ", ");
    *labels = reader.at;
    return true;
}

bool go_text_header_is_likely(const char *line, size_t size)
{
    struct go_text_header_reader reader = {line, line + size};
    uint64_t id;
    return go_text_header_skip(&reader, "goroutine ") && go_text_header_number(&reader, &id) &&
           (go_text_header_skip(&reader, " [") || go_text_header_skip(&reader, " gp="));
}

/* Reads what stands behind the id. */
static bool go_text_header_rest(struct go_text_header_reader *reader, struct go_text_state *states,
                                struct go_text_header *ret)
{
    if (!go_text_header_pointers(reader, ret) || !go_text_header_skip(reader, " [") ||
        !go_text_header_state(reader, states, ret)) {
        return false;
    }
    while (go_text_header_skip(reader, ", ")) {
        if (!go_text_header_item(reader, ret)) {
            return false;
        }
    }
    if (go_text_header_skip(reader, " labels:{")) {
        ret->labels_inside = true;
        if (!go_text_header_labels(reader, ret)) {
            return false;
        }
    }
    if (!go_text_header_skip(reader, "]") ||
        (go_text_header_skip(reader, " {") && !go_text_header_labels(reader, ret)) ||
        !go_text_header_skip(reader, ":")) {
        return false;
    }
    if (ret->status == GOROUTINE_STATUS_LEAKED && ret->age_ns != SNAPSHOT_UNKNOWN) {
        ret->status = GOROUTINE_STATUS_WAITING; /* Go prints no age of those that it found leaked */
    }
    return reader->at == reader->end;
}

/* Where the SIZE bytes at TEXT, at least eight, are remembered. */
static inline struct go_text_rest *go_text_header_rest_place(struct go_text_memory *memory,
                                                             const char *text, size_t size)
{
    uint64_t hash = bytes_u64((const uint8_t *)text + size - 8) * UINT64_C(0x9e3779b97f4a7c15);
    return &memory->rests[(hash >> 32 ^ size ^ (uint8_t)text[2]) % GO_TEXT_RESTS];
}

bool go_text_header_parse(const char *line, size_t size, struct go_text_memory *memory,
                          struct go_text_header *ret)
{
    struct go_text_header_reader reader = {line, line + size};
    uint64_t id;
    if (!go_text_header_skip(&reader, "goroutine ") || !go_text_header_number(&reader, &id)) {
        return false;
    }
    const char *text = reader.at;
    size_t left = (size_t)(reader.end - text);
    struct go_text_rest *rest = left >= 8 && left <= GO_TEXT_REST_SIZE
                                    ? go_text_header_rest_place(memory, text, left)
                                    : NULL;
    if (rest != NULL && rest->size == left && memcmp(rest->text, text, left) == 0) {
        *ret = rest->header;
        ret->id = id;
        return true;
    }
    *ret = (struct go_text_header){.age_ns = SNAPSHOT_UNKNOWN, .id = id};
    if (!go_text_header_rest(&reader, memory->states, ret)) {
        return false;
    }
    if (rest != NULL && ret->labels == NULL) {
        memcpy(rest->text, text, left);
        rest->size = (uint8_t)left;
        rest->header = *ret;
    }
    return true;
}
