/* A pprof file (profile.proto), taken apart into its tables: strings, functions, locations,
 * samples. Everything points into the bytes. */
#ifndef UNPARK_INGEST_PPROF_FILE_H
#define UNPARK_INGEST_PPROF_FILE_H

#include "base/cursor.h"
#include "base/vector.h"
#include <stdbool.h>

/* One field of a protobuf message. */
struct pprof_field {
    uint32_t number;
    bool is_bytes;       /* length-delimited: bytes is set; else value is */
    uint64_t value;      /* of a varint or fixed-width field */
    struct cursor bytes; /* of a length-delimited field */
};

struct pprof_text {
    const char *bytes; /* no NUL behind them */
    size_t size;
};

/* What is measured: {goroutine, count}. Indices of strings, checked. */
struct pprof_value_type {
    uint32_t type, unit;
};

struct pprof_function {
    uint64_t id;
    uint32_t name, file; /* strings, checked */
};

/* One call of a location: several when calls were inlined, innermost first. */
struct pprof_line {
    uint32_t function; /* index of a pprof_function, UINT32_MAX unknown */
    uint32_t line;     /* 0 unknown */
};

struct pprof_location {
    uint64_t id;
    uint64_t address;
    uint32_t first_line, line_count; /* into lines */
};

/* The tables; functions and locations are sorted by id, which is never 0. */
struct pprof_file {
    VECTOR(struct pprof_text) strings;
    VECTOR(struct pprof_value_type) sample_types;
    VECTOR(struct pprof_function) functions;
    VECTOR(struct pprof_location) locations;
    VECTOR(struct pprof_line) lines;
    VECTOR(struct pprof_text) samples; /* messages, not yet looked into */
    VECTOR(uint32_t) comments;         /* strings, checked */
    uint32_t executable, build_id;     /* of the first mapping; strings, checked */
    int64_t time_nanos;                /* 0 unknown */
};

/* Takes the SIZE bytes apart; they must outlive FILE. pprof_file_deinit afterwards, also after an
 * error. ERROR_CORRUPT says what is broken where, ERROR_LIMIT what there is too much of. */
NODISCARD struct error *pprof_file_init(struct pprof_file *file, const uint8_t *bytes, size_t size);
void pprof_file_deinit(struct pprof_file *file);

/* The next field of MESSAGE, which must not be at its end. Groups, which the format does not have,
 * are ERROR_CORRUPT. */
NODISCARD struct error *pprof_file_field(struct cursor *message, struct pprof_field *ret);

/* String number INDEX; ERROR_CORRUPT when there is none. */
NODISCARD struct error *pprof_file_string(const struct pprof_file *file, uint64_t index,
                                          uint32_t *ret);

/* The location with ID; NULL when there is none. */
struct pprof_location *pprof_file_location(const struct pprof_file *file, uint64_t id);

#endif
