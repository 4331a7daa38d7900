/* Other tools' files into snapshots: goroutine dumps in Go's own text wherever it stands in a log,
 * goroutine profiles as text (debug=1) and as pprof protobuf. What a format cannot tell stays
 * unknown in the snapshot. */
#ifndef UNPARK_INGEST_INGEST_H
#define UNPARK_INGEST_INGEST_H

#include "base/error.h"
#include "snapshot/snapshot.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ingest_format {
    INGEST_UNKNOWN,      /* bytes that no reader here takes */
    INGEST_GO_TEXT,      /* Go's traceback text, alone or anywhere inside of a log */
    INGEST_COUNTED_TEXT, /* "goroutine profile: total N", counted stacks: debug=1 */
    INGEST_PPROF         /* profile.proto */
};

/* Bytes from the start that recognition looks at; more do not change its answer. */
enum { INGEST_HEAD_SIZE = 65536 };

/* What the SIZE bytes at BYTES (the head of a file, or all of it) are, by content alone; a gzip
 * stream is looked into. Any text is INGEST_GO_TEXT: the dump may stand far inside of it. */
enum ingest_format ingest_recognize(const uint8_t *bytes, size_t size);

/* True when the bytes are a gzip stream. */
bool ingest_is_gzip(const uint8_t *bytes, size_t size);

/* The readers: all of the bytes into BUILDER, which is as created. Of the program they set what the
 * bytes tell; its source (where the bytes came from) is set by the caller, afterwards.
 * ERROR_CORRUPT when the bytes break the format, ERROR_NOT_FOUND when they hold no goroutine,
 * ERROR_LIMIT when they are absurd. ingest_pprof_read takes gzip as well; the texts are plain. */
NODISCARD struct error *ingest_go_text_read(const uint8_t *bytes, size_t size,
                                            struct snapshot_builder *builder);
NODISCARD struct error *ingest_counted_read(const uint8_t *bytes, size_t size,
                                            struct snapshot_builder *builder);
NODISCARD struct error *ingest_pprof_read(const uint8_t *bytes, size_t size,
                                          struct snapshot_builder *builder);

/* Which of several dumps in one text is meant: 1 is the first; the last one unless said. */
enum { INGEST_LAST_DUMP = 0 };

/* What to read of a source. */
struct ingest_wish {
    uint64_t dump;  /* which of several, or INGEST_LAST_DUMP */
    bool arguments; /* argument words are to be kept */
};

/* Recognises SIZE bytes (plain or gzip) and reads them: for what is in memory, as the answer of a
 * server is. */
NODISCARD struct error *ingest_read(const uint8_t *bytes, size_t size,
                                    const struct ingest_wish *wish,
                                    struct snapshot_builder *builder);

/* The same from a descriptor up to its end: a file, or a pipe. A text is read in pieces and never
 * held as a whole: memory is bounded by its distinct stacks and about 100 bytes a goroutine. */
NODISCARD struct error *ingest_read_descriptor(int descriptor, const struct ingest_wish *wish,
                                               struct snapshot_builder *builder);

#endif
