/* Three ways through a text: SEEK passes over everything up to something that looks like a header;
 * PLAIN reads lines where they are; WRAPPED takes off what a log put around each line, first. Long
 * stretches of foreign lines lead back to SEEK. */
#include "ingest/go_text.h"
#include "base/cleanup.h"
#include "ingest/go_text_dump.h"
#include "ingest/go_text_wrap.h"
#include <stdlib.h>
#include <string.h>

enum {
    GO_TEXT_BACK_LINES = 16,   /* lines before a header that may say why a dump was written */
    GO_TEXT_BACK_BYTES = 8192, /* and how far back they are looked for */
    GO_TEXT_JOIN = 4096,       /* bytes that are put behind what is held, first */
    GO_TEXT_BATCH = 32         /* wrapped lines of one goroutine that are read together */
};

/* A line longer than this is not kept to see its end. */
#define GO_TEXT_LINE_MAX ((size_t)64 << 20)

static const char go_text_word[] = "goroutine ";

enum go_text_mode { GO_TEXT_SEEK, GO_TEXT_PLAIN, GO_TEXT_WRAPPED };

struct go_text {
    struct go_text_dump dump;
    struct go_text_wrap wrap;
    enum go_text_mode mode;
    VECTOR(char) held;                 /* what could not be read without its continuation */
    struct go_text_lines_buffer clean; /* lines taken out of their wrapping and not read yet */
    unsigned batch;                    /* how many came since lines were read from there */
    bool skipping;                     /* within a line that is too long */
};

CLEANUP_DEFINE(go_text, struct go_text, go_text_destroy)

struct error *go_text_create(struct snapshot_builder *builder, uint64_t dump, struct go_text **ret)
{
    CLEANUP(cleanup_go_text) struct go_text *text = calloc(1, sizeof *text);
    if (text == NULL) {
        return error_no_memory();
    }
    TRY(go_text_dump_init(&text->dump, builder, dump));
    *ret = TAKE(text);
    return NULL;
}

void go_text_destroy(struct go_text *text)
{
    if (text == NULL) {
        return;
    }
    go_text_dump_deinit(&text->dump);
    go_text_wrap_deinit(&text->wrap);
    vector_deinit(&text->held);
    vector_deinit(&text->clean.bytes);
    free(text);
}

void go_text_leave_arguments(struct go_text *text)
{
    text->dump.stacks.no_words = true;
}

/* The beginning of the line up to LINES lines before AT, not before START; both begin lines. */
static const char *go_text_back(const char *start, const char *at, unsigned lines)
{
    const char *whole = start;
    if (at - start > GO_TEXT_BACK_BYTES) {
        start = at - GO_TEXT_BACK_BYTES;
    }
    const char *found = at;
    for (unsigned i = 0; i <= lines; i++) {
        const char *newline =
            found > start ? memrchr(start, '\n', (size_t)(found - start) - (i > 0)) : NULL;
        if (newline == NULL) {
            return start == whole ? start : found;
        }
        found = newline + 1;
    }
    return found;
}

/* Looks whether the line from LINE to STOP holds a header, and sets the mode in which it is read.
 */
static struct error *go_text_try_line(struct go_text *text, const char *line, const char *stop,
                                      bool *ret)
{
    struct go_text_header header;
    size_t size = (size_t)(stop - line);
    if (go_text_header_parse(line, size, &text->dump.memory, &header)) {
        text->mode = GO_TEXT_PLAIN;
        *ret = true;
        return NULL;
    }
    TRY(go_text_wrap_learn(&text->wrap, line, size, &text->dump.memory, ret));
    if (*ret) {
        text->mode = GO_TEXT_WRAPPED;
        text->clean.bytes.count = 0;
    }
    return NULL;
}

/* Passes over what is before the next header; *NEXT_RET is a few lines before it, or what must be
 * seen again with more behind it. All lines before END are whole. */
static struct error *go_text_seek(struct go_text *text, const char *start, const char *end,
                                  const char **next_ret)
{
    const char *at = start;
    const char *floor = start; /* behind the latest line that looked like a header and was none */
    while (at < end) {
        const char *found = memmem(at, (size_t)(end - at), go_text_word, sizeof go_text_word - 1);
        if (found == NULL) {
            break;
        }
        const char *newline = memrchr(start, '\n', (size_t)(found - start));
        const char *line = newline == NULL ? start : newline + 1;
        const char *stop = memchr(found, '\n', (size_t)(end - found));
        stop = stop == NULL ? end : stop;
        bool likely = go_text_header_is_likely(found, (size_t)(stop - found));
        bool is = false;
        if (likely) {
            TRY(go_text_try_line(text, line, stop, &is));
        }
        if (is) {
            *next_ret = go_text_back(floor, line, GO_TEXT_BACK_LINES);
            bool skipped = text->dump.foreign > 0 || *next_ret > start;
            text->dump.foreign = skipped ? 1 : 0;
            text->dump.bytes += (uint64_t)(*next_ret - start);
            return NULL;
        }
        at = likely ? stop : found + 1;
        floor = !likely ? floor : stop < end ? stop + 1 : end;
    }
    *next_ret = go_text_back(floor, end, GO_TEXT_BACK_LINES);
    text->dump.bytes += (uint64_t)(*next_ret - start);
    return NULL;
}

/* Reads what was taken out of its wrapping. */
static struct error *go_text_drain(struct go_text *text, bool last)
{
    const char *next;
    const char *start = text->clean.bytes.items;
    size_t count = text->clean.bytes.count;
    if (count == 0) {
        return NULL;
    }
    TRY(go_text_dump_read(&text->dump, start, start + count, false, last, &next));
    size_t left = count - (size_t)(next - start);
    memmove(text->clean.bytes.items, next, left);
    text->clean.bytes.count = left;
    return NULL;
}

/* True when the line from LINE to STOP, which is of no goroutine as it was unwrapped, holds a
 * header in another wrapping. */
static struct error *go_text_relearn(struct go_text *text, const char *line, const char *stop)
{
    bool is = false;
    size_t size = (size_t)(stop - line);
    const char *found = memmem(line, size, go_text_word, sizeof go_text_word - 1);
    if (found != NULL && go_text_header_is_likely(found, (size_t)(stop - found))) {
        TRY(go_text_wrap_learn(&text->wrap, line, size, &text->dump.memory, &is));
    }
    return NULL;
}

/* True when the latest line without its wrapping is empty. Where reading goes on must not depend on
 * where pieces of the text end. */
static bool go_text_ends_block(const struct go_text *text)
{
    size_t count = text->clean.bytes.count;
    const char *bytes = text->clean.bytes.items;
    return count > 0 && bytes[count - 1] == '\n' && (count == 1 || bytes[count - 2] == '\n');
}

/* Reads wrapped lines; all before END are whole. */
static struct error *go_text_unwrap(struct go_text *text, const char *at, const char *end,
                                    bool last, const char **next_ret)
{
    while (at < end && text->mode == GO_TEXT_WRAPPED) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop == NULL ? end : stop;
        if (!text->dump.open) {
            TRY(go_text_relearn(text, at, stop));
        }
        TRY(go_text_wrap_take_off(&text->wrap, at, (size_t)(stop - at), &text->clean));
        at = stop < end ? stop + 1 : end;
        if (!text->dump.open || ++text->batch == GO_TEXT_BATCH || (last && at == end) ||
            go_text_ends_block(text)) {
            TRY(go_text_drain(text, last && at == end));
            text->batch = 0;
        }
        if (!text->dump.open && text->dump.foreign > GO_TEXT_GAP_MAX) {
            text->mode = GO_TEXT_SEEK;
        }
    }
    *next_ret = at;
    return NULL;
}

/* Reads whole lines from AT to END; *NEXT_RET is what has to be seen again. */
static struct error *go_text_read(struct go_text *text, const char *at, const char *end, bool last,
                                  const char **next_ret)
{
    for (;;) {
        enum go_text_mode mode = text->mode;
        if (at == end) {
            break;
        }
        if (mode == GO_TEXT_SEEK) {
            TRY(go_text_seek(text, at, end, &at));
        } else if (mode == GO_TEXT_PLAIN) {
            TRY(go_text_dump_read(&text->dump, at, end, true, last, &at));
            text->mode = text->dump.stopped ? GO_TEXT_SEEK : GO_TEXT_PLAIN;
        } else {
            TRY(go_text_unwrap(text, at, end, last, &at));
        }
        if (text->mode == mode) {
            break;
        }
    }
    *next_ret = at;
    return NULL;
}

/* Holds SIZE bytes until more comes; of a line without end only the news of it. */
static struct error *go_text_hold(struct go_text *text, const char *bytes, size_t size)
{
    if (text->held.count + size > GO_TEXT_LINE_MAX) {
        text->held.count = 0;
        text->skipping = true;
        return NULL;
    }
    TRY(vector_reserve(&text->held, text->held.count + size));
    if (size > 0) {
        memcpy(text->held.items + text->held.count, bytes, size);
    }
    text->held.count += size;
    return NULL;
}

/* Reads what is held with as much of the whole lines from *BYTES to END as that takes, and moves
 * *BYTES to what is left of them: copying everything would cost as much as reading it. */
static struct error *go_text_join(struct go_text *text, const char **bytes, const char *end)
{
    for (size_t want = GO_TEXT_JOIN; text->held.count > 0 && *bytes < end; want *= 2) {
        const char *next;
        const char *stop = end;
        size_t before = text->held.count;
        if ((size_t)(end - *bytes) > want) {
            stop = (const char *)memchr(*bytes + want, '\n', (size_t)(end - *bytes) - want) + 1;
        }
        TRY(go_text_hold(text, *bytes, (size_t)(stop - *bytes)));
        if (text->skipping) {
            text->skipping = false;
            *bytes = stop;
            return NULL;
        }
        const char *start = text->held.items;
        TRY(go_text_read(text, start, start + text->held.count, false, &next));
        size_t done = (size_t)(next - start);
        if (done >= before) {
            *bytes += done - before;
            text->held.count = 0;
            return NULL;
        }
        memmove(text->held.items, next, text->held.count - done);
        text->held.count -= done;
        *bytes = stop;
    }
    return NULL;
}

struct error *go_text_feed(struct go_text *text, const char *bytes, size_t size)
{
    const char *newline = size == 0 ? NULL : memrchr(bytes, '\n', size);
    if (newline == NULL) {
        return text->skipping ? NULL : go_text_hold(text, bytes, size);
    }
    if (text->skipping) {
        const char *first = memchr(bytes, '\n', size);
        text->skipping = false;
        return go_text_feed(text, first + 1, size - (size_t)(first + 1 - bytes));
    }
    const char *end = newline + 1;
    const char *next = bytes;
    TRY(go_text_join(text, &next, end));
    if (next < end) {
        TRY(go_text_read(text, next, end, false, &next));
        TRY(go_text_hold(text, next, (size_t)(end - next)));
    }
    return go_text_hold(text, end, size - (size_t)(end - bytes));
}

struct error *go_text_finish(struct go_text *text)
{
    const char *next;
    bool half = false;
    bool unterminated = text->held.count > 0 && text->held.items[text->held.count - 1] != '\n';
    if (unterminated) {
        const char *newline = memrchr(text->held.items, '\n', text->held.count);
        size_t at = newline == NULL ? 0 : (size_t)(newline + 1 - text->held.items);
        size_t word = sizeof go_text_word - 1;
        half =
            text->held.count - at >= word && memcmp(text->held.items + at, go_text_word, word) == 0;
        TRY(vector_append(&text->held, '\n'));
    }
    const char *start = text->held.items;
    if (text->held.count > 0) {
        TRY(go_text_read(text, start, start + text->held.count, true, &next));
    }
    TRY(go_text_drain(text, true));
    text->dump.bytes -= unterminated;
    return go_text_dump_finish(&text->dump, unterminated, half);
}
