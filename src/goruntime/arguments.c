/* FUNCDATA_ArgInfo is a byte stream (cmd/compile/internal/ssagen.emitArgInfo, runtime.printArgs,
 * the same in Go 1.18 to 1.27): an operation from 0xfb up, or the offset of a word followed by its
 * size. FUNCDATA_ArgLiveInfo: the smallest offset that needs liveness, then bitmaps; PCDATA
 * ArgLiveIndex is the offset of the one that holds at a pc, a bit per word from the smallest offset
 * on. */
#include "goruntime/arguments.h"

#include <string.h>

enum {
    ARGUMENTS_END = 0xff,
    ARGUMENTS_START_AGGREGATE = 0xfe,
    ARGUMENTS_END_AGGREGATE = 0xfd,
    ARGUMENTS_DOTS = 0xfc,
    ARGUMENTS_OFFSET_TOO_LARGE = 0xfb,
    ARGUMENTS_WORD = 0x01,
    ARGUMENTS_ALWAYS_LIVE = 0xff
};

/* Which words may be dead. */
struct arguments_liveness {
    struct image_bytes info;
    int32_t index;  /* of the bitmap; not positive: all live */
    uint8_t start;  /* words at smaller offsets are always live */
    uint32_t count; /* words from there on that were met */
};

/* Appends TEXT; the stream's length bounds the sum. */
static void arguments_add(struct arguments *arguments, const char *text)
{
    size_t size = strlen(text);
    if (size <= sizeof arguments->text - arguments->text_size) {
        memcpy(arguments->text + arguments->text_size, text, size);
        arguments->text_size += (uint32_t)size;
    }
}

/* Reads what says which words are live at PC. */
static struct error *arguments_liveness_init(struct arguments_liveness *liveness,
                                             const struct function *function, uint64_t pc)
{
    *liveness = (struct arguments_liveness){.index = -1, .start = ARGUMENTS_ALWAYS_LIVE};
    TRY(function_data(function, FUNCTION_DATA_ARG_LIVE_INFO, &liveness->info));
    if (liveness->info.data == NULL || liveness->info.size == 0) {
        return NULL;
    }
    liveness->start = liveness->info.data[0];
    return function_pcdata(function, FUNCTION_PCDATA_ARG_LIVE_INDEX, pc, &liveness->index);
}

/* True when the word at OFFSET, the next one, surely holds its argument. */
static bool arguments_is_live(struct arguments_liveness *liveness, uint8_t offset)
{
    if (offset < liveness->start) {
        return true;
    }
    uint32_t bit = liveness->count++ & 0xff;
    if (liveness->index <= 0) {
        return true;
    }
    size_t at = (size_t)liveness->index + bit / 8;
    return at >= liveness->info.size || (liveness->info.data[at] >> (bit % 8) & 1) != 0;
}

/* Appends a word. */
static void arguments_add_word(struct arguments *arguments, struct arguments_liveness *liveness,
                               uint8_t offset, uint8_t size)
{
    static const char word[] = {ARGUMENTS_WORD, 0};
    arguments->slots[arguments->slot_count++] =
        (struct arguments_slot){.offset = offset, .size = size};
    arguments_add(arguments, word);
    if (!arguments_is_live(liveness, offset)) {
        arguments_add(arguments, "?");
    }
}

/* Reads the stream. */
struct error *arguments_read(const struct function *function, uint64_t pc, struct arguments *ret)
{
    struct image_bytes stream;
    struct arguments_liveness liveness;
    ret->slot_count = 0;
    ret->text_size = 0;
    TRY(function_data(function, FUNCTION_DATA_ARG_INFO, &stream));
    if (stream.data == NULL) {
        return NULL;
    }
    TRY(arguments_liveness_init(&liveness, function, pc));
    bool first = true;
    size_t size = stream.size < ARGUMENTS_STREAM_MAX ? stream.size : ARGUMENTS_STREAM_MAX;
    for (size_t at = 0; at < size; at++) {
        uint8_t operation = stream.data[at];
        if (operation == ARGUMENTS_END) {
            return NULL;
        }
        if (!first && operation != ARGUMENTS_END_AGGREGATE) {
            arguments_add(ret, ", ");
        }
        first = operation == ARGUMENTS_START_AGGREGATE;
        if (operation == ARGUMENTS_START_AGGREGATE) {
            arguments_add(ret, "{");
        } else if (operation == ARGUMENTS_END_AGGREGATE) {
            arguments_add(ret, "}");
        } else if (operation == ARGUMENTS_DOTS) {
            arguments_add(ret, "...");
        } else if (operation == ARGUMENTS_OFFSET_TOO_LARGE) {
            arguments_add(ret, "_");
        } else if (++at < size) {
            arguments_add_word(ret, &liveness, operation, stream.data[at]);
        }
    }
    return error_create(ERROR_CORRUPT, "the argument info of %s has no end", function->name);
}
