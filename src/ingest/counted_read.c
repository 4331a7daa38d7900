/* Goroutine profiles as text, /debug/pprof/goroutine?debug=1 (runtime/pprof, printCountProfile):
 *   goroutine profile: total N                 goroutineleak since Go 1.27
 *   COUNT @ 0xPC 0xPC ...                      return addresses, innermost first
 *   # labels: {"k":"v", "k":"v"}               only where there are any; strings as by %q
 *   #<tab>0xPC<tabs>FUNCTION+0xOFF<tabs>FILE:LINE   one for each call; PC is a return address less
 * 1 <empty line> Leading calls of package runtime are not printed: what stands for them is their
 * number. Lines that are none of these are what a log or a server put between, and are skipped; of
 * several profiles in one text the last is read. Invariant: a line makes at most one frame. */
#include "base/cleanup.h"
#include "base/string_builder.h"
#include "base/vector.h"
#include "ingest/frame_kind.h"
#include "ingest/ingest.h"
#include "ingest/pprof_marks.h"
#include <inttypes.h>
#include <string.h>

enum { COUNTED_LABELS_MAX = 256 };

/* Text not yet read. */
struct counted_text {
    const char *at, *end;
};

/* One run. */
struct counted_read {
    struct snapshot_builder *builder;
    uint64_t total;   /* that the profile says it holds */
    uint64_t read;    /* goroutines of the blocks so far */
    uint64_t ordinal; /* blocks so far */
    bool leaks;       /* it is the profile of leaked goroutines */
    bool open;        /* a block has begun */
    uint64_t count;   /* of the block */
    uint32_t labels;  /* of the block */
    VECTOR(uint64_t) pcs;
    VECTOR(uint32_t) frames;
    VECTOR(struct snapshot_label) pairs;
    struct string_builder scratch;
};

/* Frees a run. */
static void counted_deinit(struct counted_read *run)
{
    vector_deinit(&run->pcs);
    vector_deinit(&run->frames);
    vector_deinit(&run->pairs);
    string_builder_deinit(&run->scratch);
}

/* Takes a line off TEXT, without its end; false when there is none. */
static bool counted_line(struct counted_text *text, struct counted_text *ret)
{
    if (text->at == text->end) {
        return false;
    }
    const char *newline = memchr(text->at, '\n', (size_t)(text->end - text->at));
    ret->at = text->at;
    ret->end = newline == NULL ? text->end : newline;
    text->at = newline == NULL ? text->end : newline + 1;
    if (ret->end > ret->at && ret->end[-1] == '\r') {
        ret->end--;
    }
    return true;
}

/* Takes PREFIX off TEXT when it begins with it. */
static bool counted_take(struct counted_text *text, const char *prefix)
{
    size_t size = strlen(prefix);
    if ((size_t)(text->end - text->at) < size || memcmp(text->at, prefix, size) != 0) {
        return false;
    }
    text->at += size;
    return true;
}

/* Takes a number in BASE (10 or 16) of at most 64 bits off TEXT. */
static bool counted_number(struct counted_text *text, unsigned base, uint64_t *ret)
{
    const char *start = text->at;
    uint64_t value = 0;
    for (; text->at < text->end; text->at++) {
        char c = *text->at;
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : 16;
        if (digit >= base) {
            break;
        }
        if (value > (UINT64_MAX - digit) / base) {
            return false;
        }
        value = value * base + digit;
    }
    *ret = value;
    return text->at > start;
}

/* Appends CODE as UTF-8. */
static void counted_add_rune(struct string_builder *text, uint32_t code)
{
    if (code < 0x80) {
        string_builder_add_char(text, (char)code);
    } else if (code < 0x800) {
        string_builder_add_char(text, (char)(0xc0 | code >> 6));
        string_builder_add_char(text, (char)(0x80 | (code & 0x3f)));
    } else if (code < 0x10000) {
        string_builder_add_char(text, (char)(0xe0 | code >> 12));
        string_builder_add_char(text, (char)(0x80 | (code >> 6 & 0x3f)));
        string_builder_add_char(text, (char)(0x80 | (code & 0x3f)));
    } else {
        string_builder_add_char(text, (char)(0xf0 | (code >> 18 & 7)));
        string_builder_add_char(text, (char)(0x80 | (code >> 12 & 0x3f)));
        string_builder_add_char(text, (char)(0x80 | (code >> 6 & 0x3f)));
        string_builder_add_char(text, (char)(0x80 | (code & 0x3f)));
    }
}

/* Takes an escape behind its backslash off TEXT. */
static bool counted_escape(struct counted_text *text, struct string_builder *ret)
{
    static const char letters[] = "abfnrtv\\\"'";
    static const char values[] = "\a\b\f\n\r\t\v\\\"'";
    char kind = text->at < text->end ? *text->at++ : '\0';
    const char *letter = kind == '\0' ? NULL : strchr(letters, kind);
    if (letter != NULL) {
        string_builder_add_char(ret, values[letter - letters]);
        return true;
    }
    long digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
    struct counted_text hex = {text->at, text->at + digits};
    uint64_t code;
    if (digits == 0 || text->end - text->at < digits || !counted_number(&hex, 16, &code) ||
        hex.at != hex.end || code > 0x10ffff) {
        return false;
    }
    text->at = hex.at;
    if (kind == 'x') {
        string_builder_add_char(ret, (char)code);
    } else {
        counted_add_rune(ret, (uint32_t)code);
    }
    return true;
}

/* Takes a string as by %q off TEXT into the builder's string *RET; false when there is none. */
static struct error *counted_quoted(struct counted_read *run, struct counted_text *text,
                                    uint32_t *ret, bool *found_ret)
{
    string_builder_clear(&run->scratch);
    *found_ret = false;
    *ret = 0;
    bool good = counted_take(text, "\"");
    while (good && text->at < text->end && *text->at != '"') {
        char c = *text->at++;
        if (c == '\\') {
            good = counted_escape(text, &run->scratch);
        } else {
            string_builder_add_char(&run->scratch, c);
        }
    }
    TRY(string_builder_error(&run->scratch));
    if (!good || !counted_take(text, "\"")) {
        return NULL;
    }
    *found_ret = true;
    return run->scratch.size == 0
               ? NULL
               : snapshot_builder_string(run->builder, run->scratch.text, run->scratch.size, ret);
}

/* Reads the labels of the block from TEXT; what follows a broken one is not read. */
static struct error *counted_labels(struct counted_read *run, struct counted_text text)
{
    bool good = counted_take(&text, "{");
    run->pairs.count = 0;
    while (good && run->pairs.count < COUNTED_LABELS_MAX) {
        struct snapshot_label pair;
        TRY(counted_quoted(run, &text, &pair.key, &good));
        good = good && counted_take(&text, ":");
        if (good) {
            TRY(counted_quoted(run, &text, &pair.value, &good));
        }
        if (good) {
            TRY(vector_append(&run->pairs, pair));
        }
        good = good && counted_take(&text, ", ");
    }
    return snapshot_builder_labels(run->builder, run->pairs.items, run->pairs.count, &run->labels);
}

/* Takes what stands before the next SEPARATOR off TEXT, and the separators. */
static struct counted_text counted_word(struct counted_text *text, char separator)
{
    struct counted_text word = {text->at, text->at};
    while (word.end < text->end && *word.end != separator) {
        word.end++;
    }
    text->at = word.end;
    while (text->at < text->end && *text->at == separator) {
        text->at++;
    }
    return word;
}

/* Cuts "+0x1d" off NAME; UINT32_MAX when there is none. */
static uint32_t counted_cut_offset(struct counted_text *name)
{
    const char *plus = memrchr(name->at, '+', (size_t)(name->end - name->at));
    struct counted_text rest = {plus, name->end};
    uint64_t offset;
    if (plus == NULL || !counted_take(&rest, "+0x") || !counted_number(&rest, 16, &offset) ||
        rest.at != rest.end) {
        return UINT32_MAX;
    }
    name->end = plus;
    return offset < UINT32_MAX - 1 ? (uint32_t)offset + 1 : UINT32_MAX;
}

/* Cuts ":18" off FILE; 0 when there is none. */
static uint32_t counted_cut_line(struct counted_text *file)
{
    const char *colon = memrchr(file->at, ':', (size_t)(file->end - file->at));
    struct counted_text rest = {colon, file->end};
    uint64_t line;
    if (colon == NULL || !counted_take(&rest, ":") || !counted_number(&rest, 10, &line) ||
        rest.at != rest.end || line > INT32_MAX) {
        return 0;
    }
    file->end = colon;
    return (uint32_t)line;
}

/* The string TEXT in the builder, 0 for an empty one. */
static struct error *counted_string(struct counted_read *run, struct counted_text text,
                                    uint32_t *ret)
{
    *ret = 0;
    return text.at == text.end
               ? NULL
               : snapshot_builder_string(run->builder, text.at, (size_t)(text.end - text.at), ret);
}

/* Puts in place of the calls before the first printed one, at PC, how many they are. */
static struct error *counted_add_hidden(struct counted_read *run, uint64_t pc)
{
    struct snapshot_frame frame = {.flags = FRAME_ELIDED, .entry_offset = UINT32_MAX};
    uint32_t hidden = 0;
    while (hidden < run->pcs.count && run->pcs.items[hidden] != pc + 1) {
        hidden++;
    }
    if (hidden == 0 || hidden == run->pcs.count) {
        return NULL;
    }
    uint32_t id;
    frame.line = hidden;
    TRY(snapshot_builder_frame(run->builder, &frame, &id));
    return vector_append(&run->frames, id);
}

/* Adds the call that a line tells behind its '#'. */
static struct error *counted_add_frame(struct counted_read *run, struct counted_text text)
{
    static const char panic[] = "runtime.gopanic";
    char separator = memchr(text.at, '\t', (size_t)(text.end - text.at)) != NULL ? '\t' : ' ';
    (void)counted_word(&text, separator);
    struct counted_text pc = counted_word(&text, separator);
    struct counted_text name = counted_word(&text, separator);
    struct snapshot_frame frame = {.entry_offset = UINT32_MAX};
    if (!counted_take(&pc, "0x") || !counted_number(&pc, 16, &frame.pc) || pc.at != pc.end) {
        return NULL;
    }
    if (run->frames.count == 0) {
        TRY(counted_add_hidden(run, frame.pc));
    }
    frame.entry_offset = counted_cut_offset(&name);
    frame.line = counted_cut_line(&text);
    if ((size_t)(name.end - name.at) == sizeof panic - 1 &&
        memcmp(name.at, panic, sizeof panic - 1) == 0) {
        name.at = name.end - strlen("panic");
    }
    TRY(counted_string(run, name, &frame.function));
    TRY(counted_string(run, text, &frame.file));
    const struct snapshot *snapshot = snapshot_builder_peek(run->builder);
    frame.flags = frame_kind(snapshot_string(snapshot, frame.function),
                             snapshot_string(snapshot, frame.file));
    uint32_t id;
    TRY(snapshot_builder_frame(run->builder, &frame, &id));
    return vector_append(&run->frames, id);
}

/* Makes frames of the bare addresses of a block none of whose calls was named. */
static struct error *counted_add_addresses(struct counted_read *run)
{
    for (size_t i = 0; i < run->pcs.count; i++) {
        struct snapshot_frame frame = {.entry_offset = UINT32_MAX};
        uint32_t id;
        frame.pc = run->pcs.items[i] == 0 ? 0 : run->pcs.items[i] - 1;
        TRY(snapshot_builder_frame(run->builder, &frame, &id));
        TRY(vector_append(&run->frames, id));
    }
    return NULL;
}

/* Ends the present block: makes an entry of it. */
static struct error *counted_end_block(struct counted_read *run)
{
    struct snapshot_goroutine *goroutine;
    if (!run->open || run->count == 0) {
        return NULL;
    }
    if (run->frames.count == 0) {
        TRY(counted_add_addresses(run));
    }
    TRY(snapshot_builder_goroutines(run->builder, 1, &goroutine, NULL));
    goroutine->id = ++run->ordinal;
    goroutine->count = (uint32_t)run->count;
    goroutine->flags = GOROUTINE_ID_UNKNOWN | GOROUTINE_CREATOR_UNKNOWN;
    goroutine->labels = run->labels;
    if (run->leaks) {
        goroutine->status = GOROUTINE_STATUS_WAITING; /* what leaked is blocked */
        goroutine->flags |= GOROUTINE_LEAKED;
    }
    run->read += run->count;
    run->open = false;
    return snapshot_builder_stack(run->builder, run->frames.items, run->frames.count,
                                  &goroutine->stack);
}

/* Begins a block when LINE does so: "7 @ 0x48c1ca 0x419bae". */
static struct error *counted_begin_block(struct counted_read *run, struct counted_text line,
                                         bool *found_ret)
{
    uint64_t count;
    uint64_t pc;
    *found_ret = counted_number(&line, 10, &count) && counted_take(&line, " @");
    if (!*found_ret) {
        return NULL;
    }
    TRY(counted_end_block(run));
    if (count > UINT32_MAX) {
        return error_create(ERROR_LIMIT, "%" PRIu64 " goroutines with one stack", count);
    }
    run->open = true;
    run->count = count;
    run->labels = 0;
    run->pcs.count = 0;
    run->frames.count = 0;
    while (counted_take(&line, " 0x") && counted_number(&line, 16, &pc)) {
        TRY(vector_append(&run->pcs, pc));
    }
    return NULL;
}

/* Takes the head line off LINE. */
static bool counted_head(struct counted_text line, bool *leaks_ret, uint64_t *total_ret)
{
    *leaks_ret = counted_take(&line, PPROF_MARKS_LEAK);
    return (*leaks_ret || counted_take(&line, PPROF_MARKS_GOROUTINE)) &&
           counted_take(&line, " profile: total ") && counted_number(&line, 10, total_ret);
}

/* Sets TEXT to what follows the last head line in it. */
static bool counted_find(struct counted_read *run, struct counted_text *text)
{
    struct counted_text rest = *text;
    struct counted_text line;
    bool found = false;
    while (counted_line(&rest, &line)) {
        bool leaks;
        uint64_t total;
        if (counted_head(line, &leaks, &total)) {
            run->leaks = leaks;
            run->total = total;
            *text = rest;
            found = true;
        }
    }
    return found;
}

/* Reads the blocks of TEXT. */
static struct error *counted_blocks(struct counted_read *run, struct counted_text text)
{
    struct counted_text line;
    while (counted_line(&text, &line)) {
        bool begun;
        TRY(counted_begin_block(run, line, &begun));
        if (begun || !run->open) {
            continue;
        }
        if (counted_take(&line, "# labels: ")) {
            TRY(counted_labels(run, line));
        } else if (line.at < line.end && *line.at == '#') {
            TRY(counted_add_frame(run, line));
        } else if (line.at == line.end) {
            TRY(counted_end_block(run));
        }
    }
    return counted_end_block(run);
}

struct error *ingest_counted_read(const uint8_t *bytes, size_t size,
                                  struct snapshot_builder *builder)
{
    CLEANUP(counted_deinit) struct counted_read run = {.builder = builder};
    struct counted_text text = {(const char *)bytes, (const char *)bytes + size};
    if (!counted_find(&run, &text)) {
        return error_create(ERROR_CORRUPT, "there is no line \"goroutine profile: total N\"");
    }
    TRY(counted_blocks(&run, text));
    if (run.read == 0) {
        return error_create(ERROR_NOT_FOUND, "the profile holds no goroutine");
    }
    if (run.read != run.total) {
        return snapshot_builder_note(builder,
                                     "the profile speaks of %" PRIu64 " goroutines and holds "
                                     "%" PRIu64 ": it is not complete",
                                     run.total, run.read);
    }
    return NULL;
}
