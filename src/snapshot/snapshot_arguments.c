/* Argument words, kept small. The first goroutine of a stack leaves its words as the template of
 * that stack; every later one is stored as a byte string of differences to it (a word beyond the
 * template's end is a difference to 0). Goroutines with equal stacks differ in few words, and words
 * that differ often differ by the same amount (one pointer passed down through many frames).
 *
 * Record: the number of words in LEB128, then operations until that many words are made:
 *     0x00-0x3f  1 to 64 words equal to the template's
 *     0x40-0x47  the difference of that slot of the history again
 *     0x80-0x87  1 to 8 bytes follow, little-endian: the difference, zigzag; enters the history
 * The history holds the latest 8 distinct differences; a new one replaces the oldest. Handle:
 * offset of the record + 1. Records are our own, yet decoding stays inside the bytes. */
#include "snapshot/snapshot.h"
#include "snapshot/snapshot_internal.h"
#include <string.h>

enum {
    WORDS_RUN_MAX = 64,
    WORDS_REPEAT = 0x40,
    WORDS_DIFFERENCE = 0x80,
    WORDS_HISTORY = 8,
    WORDS_COUNT_MAX = 1 << 20 /* per goroutine; more is cut */
};

/* The latest differences; both sides update it alike. */
struct snapshot_words_history {
    uint64_t values[WORDS_HISTORY];
    unsigned next;
};

/* Frees the store. */
void snapshot_words_deinit(struct snapshot_words *words)
{
    vector_deinit(&words->bytes);
    vector_deinit(&words->templates);
    vector_deinit(&words->stacks);
}

/* Signed differences as small unsigned numbers. */
static uint64_t snapshot_words_zigzag(uint64_t difference)
{
    return difference << 1 ^ (uint64_t)((int64_t)difference >> 63);
}

/* The inverse of snapshot_words_zigzag. */
static uint64_t snapshot_words_unzigzag(uint64_t value)
{
    return value >> 1 ^ (0 - (value & 1));
}

/* Appends a byte for which there is room. */
static void snapshot_words_put(struct snapshot_words *words, unsigned byte)
{
    words->bytes.items[words->bytes.count++] = (uint8_t)byte;
}

/* Appends a difference other than 0. */
static void snapshot_words_put_difference(struct snapshot_words *words,
                                          struct snapshot_words_history *history,
                                          uint64_t difference)
{
    for (unsigned i = 0; i < WORDS_HISTORY; i++) {
        if (history->values[i] == difference) {
            snapshot_words_put(words, WORDS_REPEAT + i);
            return;
        }
    }
    uint64_t value = snapshot_words_zigzag(difference);
    size_t start = words->bytes.count;
    snapshot_words_put(words, WORDS_DIFFERENCE);
    unsigned size = 0;
    do {
        snapshot_words_put(words, value & 0xff);
        value >>= 8;
        size++;
    } while (value != 0);
    words->bytes.items[start] = (uint8_t)(WORDS_DIFFERENCE + size - 1);
    history->values[history->next] = difference;
    history->next = (history->next + 1) % WORDS_HISTORY;
}

/* Appends COUNT differences; there is room for the worst case. */
static void snapshot_words_encode(struct snapshot_words *words, const struct snapshot_span *span,
                                  const uint64_t *values, size_t count)
{
    const uint64_t *template = span->count > 0 ? words->templates.items + span->first : NULL;
    struct snapshot_words_history history = {0};
    unsigned run = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t difference = values[i] - (i < span->count ? template[i] : 0);
        if (difference == 0) {
            run++;
        }
        if (run == WORDS_RUN_MAX || (difference != 0 && run > 0)) {
            snapshot_words_put(words, run - 1);
            run = 0;
        }
        if (difference != 0) {
            snapshot_words_put_difference(words, &history, difference);
        }
    }
    if (run > 0) {
        snapshot_words_put(words, run - 1);
    }
}

/* The template of STACK, made of VALUES when it has none. */
static struct error *snapshot_words_template(struct snapshot_words *words, uint32_t stack,
                                             const uint64_t *values, size_t count,
                                             struct snapshot_span *ret)
{
    if (stack >= words->stacks.count) {
        TRY(vector_reserve(&words->stacks, (size_t)stack + 1));
        memset(words->stacks.items + words->stacks.count, 0,
               (stack + 1 - words->stacks.count) * sizeof *words->stacks.items);
        words->stacks.count = (size_t)stack + 1;
    }
    struct snapshot_span *span = &words->stacks.items[stack];
    if (span->count == 0 && count > 0) {
        TRY(vector_reserve(&words->templates, words->templates.count + count));
        memcpy(words->templates.items + words->templates.count, values, count * sizeof *values);
        *span = (struct snapshot_span){.first = words->templates.count, .count = count};
        words->templates.count += count;
    }
    *ret = *span;
    return NULL;
}

/* Encodes the words of one goroutine. */
struct error *snapshot_words_add(struct snapshot_words *words, uint32_t stack,
                                 const uint64_t *values, size_t count, uint64_t *ret)
{
    count = count > WORDS_COUNT_MAX ? WORDS_COUNT_MAX : count;
    struct snapshot_span span;
    TRY(snapshot_words_template(words, stack, values, count, &span));
    TRY(vector_reserve(&words->bytes, words->bytes.count + 5 + count * 9));
    *ret = words->bytes.count + 1;
    size_t left = count;
    for (; left >= 0x80; left >>= 7) {
        snapshot_words_put(words, (left & 0x7f) | 0x80);
    }
    snapshot_words_put(words, (unsigned)left);
    snapshot_words_encode(words, &span, values, count);
    return NULL;
}

/* One record being decoded. */
struct snapshot_words_reader {
    const uint8_t *position, *end;
    const uint64_t *template;
    size_t template_count;
    uint64_t *values;
    size_t capacity;
    size_t made;
    struct snapshot_words_history history;
};

/* Makes one word from its difference. */
static inline void snapshot_words_make(struct snapshot_words_reader *reader, uint64_t difference)
{
    size_t i = reader->made++;
    if (i < reader->capacity) {
        reader->values[i] = difference + (i < reader->template_count ? reader->template[i] : 0);
    }
}

/* Decodes a difference of SIZE bytes; false when the bytes end before. */
static bool snapshot_words_read_difference(struct snapshot_words_reader *reader, unsigned size)
{
    if ((size_t)(reader->end - reader->position) < size) {
        return false;
    }
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++) {
        value |= (uint64_t)*reader->position++ << (8 * i);
    }
    uint64_t difference = snapshot_words_unzigzag(value);
    reader->history.values[reader->history.next] = difference;
    reader->history.next = (reader->history.next + 1) % WORDS_HISTORY;
    snapshot_words_make(reader, difference);
    return true;
}

/* Decodes the record's operations up to COUNT words or the capacity. */
static void snapshot_words_decode(struct snapshot_words_reader *reader, size_t count)
{
    size_t want = count < reader->capacity ? count : reader->capacity;
    while (reader->made < want && reader->position < reader->end) {
        unsigned operation = *reader->position++;
        if (operation < WORDS_RUN_MAX) {
            for (unsigned i = 0; i <= operation; i++) {
                snapshot_words_make(reader, 0);
            }
        } else if (operation < WORDS_REPEAT + WORDS_HISTORY) {
            snapshot_words_make(reader, reader->history.values[operation - WORDS_REPEAT]);
        } else if (operation < WORDS_DIFFERENCE ||
                   !snapshot_words_read_difference(reader, (operation & 7) + 1)) {
            return;
        }
    }
}

/* Decodes the words of a goroutine. */
void snapshot_arguments(const struct snapshot *snapshot, const struct snapshot_goroutine *goroutine,
                        uint64_t *values, size_t capacity, size_t *count)
{
    const struct snapshot_words *words = &snapshot->words;
    *count = 0;
    if (goroutine->arguments == 0 || goroutine->arguments > words->bytes.count ||
        goroutine->stack >= words->stacks.count) {
        return;
    }
    struct snapshot_span span = words->stacks.items[goroutine->stack];
    struct snapshot_words_reader reader = {
        .position = words->bytes.items + goroutine->arguments - 1,
        .end = words->bytes.items + words->bytes.count,
        .template = span.count == 0 ? NULL : words->templates.items + span.first,
        .template_count = (size_t)span.count,
        .values = values,
        .capacity = capacity};
    size_t total = 0;
    for (unsigned shift = 0; shift < 28 && reader.position < reader.end; shift += 7) {
        uint8_t byte = *reader.position++;
        total |= (size_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            break;
        }
    }
    snapshot_words_decode(&reader, total);
    *count = total;
}
