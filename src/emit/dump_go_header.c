#include "emit/dump_go_header.h"
#include "emit/dump_internal.h"
#include "layout/layout.h"

#define DUMP_GO_MINUTE 60000000000

enum { DUMP_GO_QUOTED_MAX = 4096 }; /* bytes of one label shown; Go has no limit */

/* Whether the program's built-in GODEBUG sets tracebacklabels: '0', '1' or 0 for no. The settings
 * are lines of key=value; the value of DefaultGODEBUG is a list separated by commas. */
static char dump_go_header_setting(const char *settings)
{
    static const char key[] = "DefaultGODEBUG=";
    static const char name[] = "tracebacklabels=";
    for (const char *line = settings; *line != '\0';) {
        size_t size = strcspn(line, "\n");
        if (strncmp(line, key, sizeof key - 1) == 0) {
            const char *found = memmem(line, size, name, sizeof name - 1);
            return found == NULL || found + sizeof name > line + size ? '\0'
                                                                      : found[sizeof name - 1];
        }
        line += size + (line[size] == '\n');
    }
    return '\0';
}

/* Decides by release and settings. */
void dump_go_header_init(struct dump_go_header *header, const struct dump_view *view)
{
    const struct snapshot_program *program = snapshot_program(view->snapshot);
    int minor = layout_parse_minor(snapshot_string(view->snapshot, program->go_version),
                                   snapshot_string_size(view->snapshot, program->go_version));
    if (minor <= 0) {
        minor = LAYOUT_MINOR_MAX;
    }
    char setting = dump_go_header_setting(snapshot_string(view->snapshot, program->settings));
    bool shown = dump_is_account(view->snapshot); /* what an account tells, it has printed */
    bool by_target = minor >= 27 ? setting != '0' : minor == 26 && (setting == '1' || shown);
    header->minor = minor;
    header->labels =
        view->labels == DUMP_LABELS_ALWAYS || (view->labels == DUMP_LABELS_AS_TARGET && by_target);
    header->labels_minor = minor == 26 ? 26 : 27;
}

/* isIdleInSynctest of runtime/runtime2.go. */
static bool dump_go_header_is_idle(enum wait_reason reason)
{
    switch (reason) {
    case WAIT_REASON_CHAN_RECEIVE_NIL:
    case WAIT_REASON_CHAN_SEND_NIL:
    case WAIT_REASON_SELECT_NO_CASES:
    case WAIT_REASON_SLEEP:
    case WAIT_REASON_SYNC_COND_WAIT:
    case WAIT_REASON_COROUTINE:
    case WAIT_REASON_SYNCTEST_RUN:
    case WAIT_REASON_SYNCTEST_WAIT:
        return true;
    default: /* the others carry (durable) in their texts */
        return false;
    }
}

/* Writes the status word. */
static void dump_go_header_status(const struct snapshot_goroutine *goroutine,
                                  struct emit_sink *sink)
{
    bool waits = goroutine->status == GOROUTINE_STATUS_WAITING ||
                 goroutine->status == GOROUTINE_STATUS_LEAKED;
    if (waits && goroutine->wait_reason != WAIT_REASON_NONE) {
        emit_sink_add(sink, wait_reason_text((enum wait_reason)goroutine->wait_reason));
    } else if (goroutine->status == GOROUTINE_STATUS_UNKNOWN) {
        emit_sink_add(sink, "???");
    } else {
        emit_sink_add(sink, goroutine_status_text((enum goroutine_status)goroutine->status));
    }
}

/* Writes the synctest part, which came with 1.24 and changed in 1.25. */
static void dump_go_header_bubble(const struct dump_go_header *header,
                                  const struct snapshot_goroutine *goroutine,
                                  struct emit_sink *sink)
{
    if (goroutine->bubble == 0) {
        return;
    }
    emit_sink_add(sink, header->minor <= 24 ? ", synctest group" : ", synctest bubble");
    if (goroutine->bubble != UINT32_MAX) {
        emit_sink_add(sink, " ");
        emit_sink_add_u64(sink, goroutine->bubble);
    }
}

/* tracebackStringNeedsQuoting of Go 1.27. */
static bool dump_go_header_is_bare(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '/' || c == '_')) {
            return false;
        }
    }
    return true;
}

/* Decodes the character at TEXT as Go's range does; returns its bytes, 1 for a malformed byte with
 * *CODE UINT32_MAX. */
static size_t dump_go_header_decode(const uint8_t *text, size_t size, uint32_t *code)
{
    uint8_t lead = text[0];
    *code = lead;
    if (lead < 0x80) {
        return 1;
    }
    *code = UINT32_MAX;
    size_t more = lead >= 0xc2 && lead <= 0xdf   ? 1
                  : (lead & 0xf0) == 0xe0        ? 2
                  : lead >= 0xf0 && lead <= 0xf4 ? 3
                                                 : 0;
    if (more == 0 || more >= size) {
        return 1;
    }
    uint32_t value = lead & (0x3fu >> more);
    for (size_t i = 1; i <= more; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 1;
        }
        value = value << 6 | (text[i] & 0x3fu);
    }
    static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
    if (value < smallest[more] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
        return 1;
    }
    *code = value;
    return more + 1;
}

/* Writes one character within quotes; BYTE is its first byte. */
static void dump_go_header_quote_one(const struct dump_go_header *header, uint32_t code,
                                     uint8_t byte, struct emit_sink *sink)
{
    switch (code) {
    case '\n':
        emit_sink_add(sink, "\\n");
        return;
    case '\r':
        emit_sink_add(sink, "\\r");
        return;
    case '\t':
        emit_sink_add(sink, "\\t");
        return;
    case '\\':
    case '"':
        emit_sink_format(sink, "\\%c", (int)code);
        return;
    default:
        break;
    }
    if (code == UINT32_MAX && header->labels_minor >= 27) {
        emit_sink_format(sink, "\\x%02x", byte);
    } else if (code == UINT32_MAX) {
        emit_sink_add(sink, "\\ufffd");
    } else if (code >= ' ' && code <= '~') {
        emit_sink_format(sink, "%c", (int)code);
    } else if (code < 127) {
        emit_sink_format(sink, "\\x%02x", code);
    } else if (code < 0x10000) {
        emit_sink_format(sink, "\\u%04x", code);
    } else {
        emit_sink_format(sink, "\\U%08x", code);
    }
}

/* Writes a label's key or value: printquoted of runtime/print.go, or bare where 1.27 does so. */
static void dump_go_header_label(const struct dump_go_header *header,
                                 const struct snapshot *snapshot, uint32_t id,
                                 struct emit_sink *sink)
{
    const char *text = snapshot_string(snapshot, id);
    size_t size = snapshot_string_size(snapshot, id);
    if (header->labels_minor >= 27 && dump_go_header_is_bare(text, size)) {
        emit_sink_add_bytes(sink, text, size);
        return;
    }
    size = size > DUMP_GO_QUOTED_MAX ? DUMP_GO_QUOTED_MAX : size;
    emit_sink_add(sink, "\"");
    for (size_t at = 0; at < size;) {
        uint32_t code;
        uint8_t byte = (uint8_t)text[at];
        at += dump_go_header_decode((const uint8_t *)text + at, size - at, &code);
        dump_go_header_quote_one(header, code, byte, sink);
    }
    emit_sink_add(sink, "\"");
}

/* Writes " {k: v, k: v}". */
static void dump_go_header_labels(const struct dump_go_header *header,
                                  const struct snapshot *snapshot,
                                  const struct snapshot_goroutine *goroutine,
                                  struct emit_sink *sink)
{
    size_t count;
    const struct snapshot_label *labels = snapshot_labels(snapshot, goroutine->labels, &count);
    if (count == 0) {
        return;
    }
    emit_sink_add(sink, header->labels_minor == 26 ? " labels:{" : " {");
    for (size_t i = 0; i < count; i++) {
        emit_sink_add(sink, i == 0 ? "" : ", ");
        dump_go_header_label(header, snapshot, labels[i].key, sink);
        emit_sink_add(sink, ": ");
        dump_go_header_label(header, snapshot, labels[i].value, sink);
    }
    emit_sink_add(sink, "}");
}

/* Writes ", 3 minutes" for goroutines that the runtime considers blocked. */
static void dump_go_header_minutes(const struct snapshot_goroutine *goroutine,
                                   struct emit_sink *sink)
{
    bool blocked = goroutine->status == GOROUTINE_STATUS_WAITING ||
                   goroutine->status == GOROUTINE_STATUS_SYSCALL;
    if (blocked && goroutine->age_ns >= DUMP_GO_MINUTE) {
        emit_sink_add(sink, ", ");
        emit_sink_add_u64(sink, (uint64_t)(goroutine->age_ns / DUMP_GO_MINUTE));
        emit_sink_add(sink, " minutes");
    }
}

/* Writes a header line. */
void dump_go_header_write(const struct dump_go_header *header, const struct snapshot *snapshot,
                          const struct snapshot_goroutine *goroutine, bool leaked,
                          struct emit_sink *sink)
{
    emit_sink_add(sink, "goroutine ");
    emit_sink_add_u64(sink, goroutine->id);
    emit_sink_add(sink, " [");
    dump_go_header_status(goroutine, sink);
    if (leaked || goroutine->status == GOROUTINE_STATUS_LEAKED ||
        (goroutine->flags & GOROUTINE_LEAKED) != 0) {
        emit_sink_add(sink, " (leaked)");
    }
    if ((goroutine->flags & GOROUTINE_SCAN) != 0) {
        emit_sink_add(sink, " (scan)");
    }
    if (goroutine->bubble != 0 && header->minor >= 25 &&
        goroutine->status == GOROUTINE_STATUS_WAITING &&
        dump_go_header_is_idle((enum wait_reason)goroutine->wait_reason)) {
        emit_sink_add(sink, " (durable)");
    }
    dump_go_header_minutes(goroutine, sink);
    if ((goroutine->flags & GOROUTINE_LOCKED) != 0) {
        emit_sink_add(sink, ", locked to thread");
    }
    dump_go_header_bubble(header, goroutine, sink);
    if (header->labels && header->labels_minor == 26) {
        dump_go_header_labels(header, snapshot, goroutine, sink);
    }
    emit_sink_add(sink, "]");
    if (header->labels && header->labels_minor == 27) {
        dump_go_header_labels(header, snapshot, goroutine, sink);
    }
    emit_sink_add(sink, ":\n");
}
