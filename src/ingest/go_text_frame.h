/* The lines of one frame in Go's text. */
#ifndef UNPARK_INGEST_GO_TEXT_FRAME_H
#define UNPARK_INGEST_GO_TEXT_FRAME_H

#include "base/string_builder.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of a pattern that stand for what differs between goroutines. */
enum {
    GO_TEXT_END = 0,
    GO_TEXT_WORD = 1,   /* an argument: 0x and lower-case hex */
    GO_TEXT_PARENT = 2, /* a goid in decimal */
    GO_TEXT_SKIP = 3    /* hex that is not kept: fp, sp, pc */
};

/* What the lines are. */
enum go_text_lines {
    GO_TEXT_LINES_NONE,     /* not of a goroutine */
    GO_TEXT_LINES_FUNCTION, /* function(arguments), then its place */
    GO_TEXT_LINES_FOREIGN,  /* C code: a name, then its place with "pc=" */
    GO_TEXT_LINES_CREATOR,  /* "created by" function, then its place */
    GO_TEXT_LINES_PC,       /* "non-Go function at pc=0x...": one line */
    GO_TEXT_LINES_ELIDED,   /* "...N frames elided...": one line */
    GO_TEXT_LINES_UNAVAILABLE,
    GO_TEXT_LINES_ANCESTOR
};

/* A text that is part of another. */
struct go_text_part {
    const char *text;
    size_t size;
};

/* What the lines say. */
struct go_text_frame {
    enum go_text_lines lines;
    struct go_text_part function, arguments, file;
    uint64_t parent; /* of a creator: goid, 0 not said; of an ancestor: its goid */
    uint32_t line;   /* of the file; of ELIDED: how many frames, 0 not said */
    uint32_t offset; /* from the function's entry; UINT32_MAX not said */
    uint64_t pc;     /* of C code */
};

/* Reads the SIZE bytes of a line; false for what needs a second line that is not given (SECOND
 * NULL) yet. Lines come without their ends. The parts point into them. */
bool go_text_frame_parse(const char *line, size_t size, const char *second, size_t second_size,
                         struct go_text_frame *ret);

/* True when FRAME has a second line. */
bool go_text_frame_is_pair(const struct go_text_frame *frame);

/* The pattern of the lines of FRAME (SECOND NULL: of the one line) with their ends, in PATTERN,
 * emptied first. */
void go_text_frame_pattern(const struct go_text_frame *frame, struct go_text_part line,
                           struct go_text_part second, struct string_builder *pattern);

/* The argument list with GO_TEXT_WORD for each word, in TEMPLATE, emptied first. */
void go_text_frame_template(const struct go_text_frame *frame, struct string_builder *template);

enum { GO_TEXT_HEX_MAX = 16 }; /* digits of a word */

/* One more than the value of a lower-case hexadecimal digit, 0 for what is none. */
extern const uint8_t go_text_frame_hex[256];

/* Passes over 0x and up to 16 lower-case digits without needless zeros at AT; where they end, or
 * NULL. Here, since most of a dump is such words. */
static inline const char *go_text_frame_skip_word(const char *at, const char *end)
{
    if (end - at < 3 || at[0] != '0' || at[1] != 'x') {
        return NULL;
    }
    const char *start = at + 2;
    for (at = start; at < end && go_text_frame_hex[(uint8_t)*at] != 0; at++) {
    }
    return at == start || at - start > GO_TEXT_HEX_MAX || (*start == '0' && at - start > 1) ? NULL
                                                                                            : at;
}

/* The same, and the number. */
static inline const char *go_text_frame_word(const char *at, const char *end, uint64_t *ret)
{
    const char *stop = go_text_frame_skip_word(at, end);
    uint64_t value = 0;
    for (const char *digit = at + 2; stop != NULL && digit < stop; digit++) {
        value = value << 4 | (uint64_t)(go_text_frame_hex[(uint8_t)*digit] - 1);
    }
    *ret = value;
    return stop;
}

#endif
