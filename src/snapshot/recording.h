/* Snapshots over time in one file: append-only, readable while it is being written, and complete up
 * to the last whole snapshot whatever happens to its writer. recording_internal.h describes the
 * format. What a recording keeps of a snapshot is everything but argument words. */
#ifndef UNPARK_SNAPSHOT_RECORDING_H
#define UNPARK_SNAPSHOT_RECORDING_H

#include "snapshot/snapshot.h"

/* ---- reading ---- */

/* One snapshot of a recording, as its head in the file tells. */
struct recording_moment {
    int64_t taken_at_ns; /* Unix time */
    uint64_t goroutines; /* user goroutines */
    uint64_t system;     /* the runtime's own */
    uint64_t bytes;      /* that it takes in the file */
    bool complete;       /* stands alone; others are differences to the one before */
};

struct recording;

/* True when the file at PATH begins as a recording does. False, too, when it cannot be read. */
bool recording_is(const char *path);

/* Opens the recording PATH and finds its snapshots. ERROR_GONE, ERROR_PERMISSION or ERROR_IO when
 * the file cannot be opened, ERROR_CORRUPT when it is no recording, ERROR_NOT_FOUND when it holds
 * no whole snapshot. */
NODISCARD struct error *recording_open(const char *path, struct recording **ret);

/* Frees RECORDING; NULL is fine. */
void recording_close(struct recording *recording);

/* The snapshots in the order of the file; lives as long as RECORDING. */
const struct recording_moment *recording_moments(const struct recording *recording, size_t *count);

/* What stands behind the last whole snapshot, as one line, or NULL: nothing. */
const char *recording_damage(const struct recording *recording);

/* The snapshot that TEXT names: "first", "last", a number as in a list (from 1), "+30s" from the
 * first, "-30s" before the last, a local time of day "10:00" or "10:00:05", or an RFC 3339 time
 * "2026-11-24T10:00:05Z". Of times the nearest snapshot is taken; ERROR_NOT_FOUND when it is more
 * than a minute outside the recording, ERROR_USAGE when TEXT is none of these. */
NODISCARD struct error *recording_find(const struct recording *recording, const char *text,
                                       size_t *ret);

/* The snapshot at INDEX. Its program's source says which recording and moment it is. ERROR_CORRUPT
 * when it, or one that it builds on, is damaged. */
NODISCARD struct error *recording_load(const struct recording *recording, size_t index,
                                       struct snapshot **ret);

/* Appends "2026-11-24 10:00:05" of NS nanoseconds of Unix time, in local time. SIZE bytes at RET
 * are enough when they are RECORDING_TIME_SIZE. */
enum { RECORDING_TIME_SIZE = 40 };
void recording_format_time(int64_t ns, char *ret, size_t size);

/* ---- writing ---- */

enum recording_mode {
    RECORDING_NEW,     /* refuses a file that exists */
    RECORDING_REPLACE, /* empties one */
    RECORDING_APPEND   /* continues one, behind its last whole snapshot */
};

struct recording_writer;

/* Opens PATH for writing, readable by its owner only when it is new, and keeps other writers out.
 * ERROR_USAGE when MODE forbids it or another writer has it, ERROR_CORRUPT when a file to append to
 * is not a recording or is damaged before its end. */
NODISCARD struct error *recording_writer_open(const char *path, enum recording_mode mode,
                                              struct recording_writer **ret);

/* Frees WRITER and closes the file; a file that is new and holds no snapshot is removed. NULL is
 * fine. */
void recording_writer_close(struct recording_writer *writer);

/* Adds SNAPSHOT behind those that are there. After an error the file holds what it held before. */
NODISCARD struct error *recording_writer_add(struct recording_writer *writer,
                                             const struct snapshot *snapshot);

/* Snapshots and bytes that WRITER added so far. */
size_t recording_writer_count(const struct recording_writer *writer);
uint64_t recording_writer_bytes(const struct recording_writer *writer);

#endif
