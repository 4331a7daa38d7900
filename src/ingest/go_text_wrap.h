/* What logs put around the lines of a dump, learnt from the line in which it begins: a prefix, or a
 * string of JSON or logfmt, up to three of them in each other. */
#ifndef UNPARK_INGEST_GO_TEXT_WRAP_H
#define UNPARK_INGEST_GO_TEXT_WRAP_H

#include "base/vector.h"
#include "ingest/go_text_header.h"
#include <stdbool.h>
#include <stddef.h>

enum { GO_TEXT_LAYERS = 3, GO_TEXT_LAYER_SIZE = 512 };

enum go_text_layer_kind {
    GO_TEXT_LAYER_PREFIX, /* text in front of a line; digits may differ */
    GO_TEXT_LAYER_STRING  /* a quoted string behind a text such as "log": */
};

struct go_text_layer {
    enum go_text_layer_kind kind;
    char text[GO_TEXT_LAYER_SIZE]; /* the prefix, or what stands before the string, its quote
                                      included */
    size_t size;
    bool ends_lines; /* of STRING: the strings hold the ends of lines themselves */
};

struct go_text_lines_buffer {
    VECTOR(char) bytes;
};

struct go_text_wrap {
    struct go_text_layer layers[GO_TEXT_LAYERS];
    size_t count;
    struct go_text_lines_buffer scratch[2];
};

/* Frees what WRAP holds. */
void go_text_wrap_deinit(struct go_text_wrap *wrap);

/* Learns what is around the header that is in the SIZE bytes of LINE (without its end). False, and
 * nothing changes, when there is no header in it. MEMORY as for go_text_header_parse. */
NODISCARD struct error *go_text_wrap_learn(struct go_text_wrap *wrap, const char *line, size_t size,
                                           struct go_text_memory *memory, bool *ret);

/* Appends the lines of the dump that are in the SIZE bytes of LINE (without its end) to OUT, each
 * with its end; a line that is not wrapped as was learnt is appended as it is. */
NODISCARD struct error *go_text_wrap_take_off(struct go_text_wrap *wrap, const char *line,
                                              size_t size, struct go_text_lines_buffer *out);

#endif
