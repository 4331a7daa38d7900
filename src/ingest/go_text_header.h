/* The line that begins a goroutine in Go's text. */
#ifndef UNPARK_INGEST_GO_TEXT_HEADER_H
#define UNPARK_INGEST_GO_TEXT_HEADER_H

#include "base/string_builder.h"
#include "snapshot/snapshot.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GO_TEXT_STATES = 16, GO_TEXT_STATE_SIZE = 48, GO_TEXT_RESTS = 64, GO_TEXT_REST_SIZE = 55 };

/* Texts of states met lately. */
struct go_text_state {
    char text[GO_TEXT_STATE_SIZE];
    uint8_t size; /* 0: free */
    uint8_t status, wait_reason;
    uint16_t flags;
};

/* What a header says. */
struct go_text_header {
    uint64_t id;
    uint64_t address; /* of its g; 0 not said */
    int64_t age_ns;   /* whole minutes; SNAPSHOT_UNKNOWN */
    uint32_t bubble;
    uint16_t flags; /* enum snapshot_goroutine_flag bits */
    uint8_t status, wait_reason;
    bool group;         /* "synctest group": Go 1.24 */
    bool labels_inside; /* the labels are within the brackets: Go 1.26 */
    bool odd;           /* its state has a text that no release up to now prints */
    const char *labels; /* behind the opening brace, up to the closing one; NULL none */
    size_t labels_size;
};

/* What stood behind the id in a header met lately, and what that says: most goroutines share it. */
struct go_text_rest {
    char text[GO_TEXT_REST_SIZE];
    uint8_t size; /* 0: free */
    struct go_text_header header;
};

/* What is remembered between headers; zero at first. */
struct go_text_memory {
    struct go_text_state states[GO_TEXT_STATES];
    struct go_text_rest rests[GO_TEXT_RESTS];
};

/* Reads the SIZE bytes of a line (without its end) as a header; false when it is none. MEMORY is
 * the caller's between calls. */
bool go_text_header_parse(const char *line, size_t size, struct go_text_memory *memory,
                          struct go_text_header *ret);

/* True when the bytes begin as "goroutine N [" or "goroutine N gp=" does. */
bool go_text_header_is_likely(const char *line, size_t size);

/* Reads the next label of *LABELS into KEY and VALUE, emptied first, and moves on; false at the
 * end. */
bool go_text_header_next_label(const char **labels, const char *end, struct string_builder *key,
                               struct string_builder *value);

#endif
