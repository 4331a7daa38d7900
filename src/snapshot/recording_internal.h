/* The format of a recording, for the files that write and read it; no other room includes it.
 *
 * File: a head of 16 bytes, then records. All fixed-width numbers are little-endian.
 *     0  8  "\x89UNPARK\n"
 *     8  4  version, 1
 *    12  4  CRC-32 of the 12 bytes before
 *
 * Record: one snapshot, a head of 40 bytes and a payload. Heads alone tell where records are and
 * when they were taken.
 *     0  4  "UPSS"
 *     4  4  flags: 1 complete, 2 the payload is compressed (one zstd frame)
 *     8  4  size of the payload in the file
 *    12  4  size of the payload when it is not compressed
 *    16  8  time, Unix nanoseconds, from 0 up to the year 2255
 *    24  4  user goroutines (at most 2^32 - 1 are counted)
 *    28  4  system goroutines
 *    32  4  CRC-32 of the payload in the file
 *    36  4  CRC-32 of the 36 bytes before
 *
 * A complete record begins with nothing; every other one adds to what the records since the last
 * complete one (its chain) left: tables of strings, frames, stacks, label sets and objects, and the
 * goroutines. The payload is a row of LEB128 numbers; "signed" ones are zigzag, "known" ones are
 * signed plus one, with 0 for unknown, and a "step" is the signed difference to the value before.
 *     strings      count; each: size, bytes. Ids continue from the table's end, 0 is none.
 *     frames       count; each: pc (step), function, file, line (step), entry offset + 1, template
 *                  of arguments, flags
 *     stacks       count; each: count, frames (steps)
 *     label sets   count; each: count, pairs of key and value
 *     objects      count; each: id (step; the table's size for a new one), then its content, which
 *                  replaces what was there: kind, address (step), the fields of its kind
 *     program      1 and the identity, or 0 when it is that of the record before; then threads,
 *                  read_ns, stopped_ns, age_basis (known)
 *     notes        count; each: size, bytes
 *     clock        signed: how far ages have advanced since the record before. Ages are kept as age
 *                  minus clock, due times and deadlines as time plus clock: they do not change
 *                  while nothing happens.
 *     goroutines   operations on the goroutines of the record before, in order of id, up to the
 *                  payload's end: number * 4 + operation (enum recording_operation). A new
 *                  goroutine is: id (difference to that of the goroutine before it), fields that
 *                  differ from the one written before it; a changed one: fields that differ from
 *                  what it was. Fields are a mask (enum recording_field) and their values.
 *
 * Enumerations go by their numbers, which are checked below, except for wait reasons, which go by
 * text. Limits: a chain has at most RECORDING_CHAIN_MAX records, which hold at most
 * RECORDING_CHAIN_GOROUTINES goroutines together and RECORDING_CHAIN_BYTES bytes; a payload is at
 * most RECORDING_RATIO times its compressed size. */
#ifndef UNPARK_SNAPSHOT_RECORDING_INTERNAL_H
#define UNPARK_SNAPSHOT_RECORDING_INTERNAL_H

#include "base/cursor.h"
#include "base/string_builder.h"
#include "base/vector.h"
#include "snapshot/recording.h"
#include <string.h>

#define RECORDING_MAGIC "\x89UNPARK\n"

enum {
    RECORDING_VERSION = 1,
    RECORDING_HEAD_SIZE = 16,
    RECORDING_RECORD_SIZE = 40,
    RECORDING_RATIO = 1024,
    RECORDING_CHAIN_MAX = 4096,
    RECORDING_GOROUTINES_MAX = 1 << 25,
    RECORDING_WAITS_MAX = 1 << 26, /* of all goroutines of a snapshot together */
    RECORDING_NOTES_MAX = 1000,
};

#define RECORDING_CHAIN_GOROUTINES (UINT64_C(1) << 31)
#define RECORDING_CHAIN_BYTES (UINT64_C(1) << 30)

enum recording_flag { RECORDING_COMPLETE = 1, RECORDING_COMPRESSED = 2 };

enum recording_operation {
    RECORDING_KEEP,
    RECORDING_GONE,
    RECORDING_ADD,
    RECORDING_CHANGE,
    RECORDING_OPERATIONS = 4
};

enum recording_field {
    RECORDING_STATE = 1, /* status, string of the wait reason */
    RECORDING_FLAGS = 2,
    RECORDING_STACK = 4,      /* step, as the next ones */
    RECORDING_CREATOR = 8,    /* frame */
    RECORDING_START = 16,     /* frame */
    RECORDING_LABELS = 32,    /* label set */
    RECORDING_PARENT = 64,    /* step */
    RECORDING_ADDRESS = 128,  /* step */
    RECORDING_AGE = 256,      /* step (from 0 when unknown before) */
    RECORDING_AGELESS = 512,  /* no value: the age is unknown */
    RECORDING_WAITS = 1024,   /* count; each: object (step), direction */
    RECORDING_BUBBLE = 2048,  /* id */
    RECORDING_THREAD = 4096,  /* signed */
    RECORDING_COUNT = 8192,   /* goroutines it stands for */
    RECORDING_FIELDS = 16384, /* end of the mask */
};

_Static_assert(GOROUTINE_STATUS_COUNT == 10 && GOROUTINE_STATUS_LEAKED == 9 &&
                   OBJECT_KIND_COUNT == 13 && OBJECT_COROUTINE == 12 && DIRECTION_UNKNOWN == 7 &&
                   GOROUTINE_ID_UNKNOWN == 512 && FRAME_ELIDED == 64,
               "recordings hold these numbers: append, never insert");

/* The head of a record. */
struct recording_record {
    uint32_t flags;
    uint32_t stored, raw; /* sizes of the payload */
    int64_t taken_at_ns;
    uint32_t goroutines, system;
    uint32_t crc; /* of the payload as stored */
};

/* Writes and reads a record's head; reading fails (false) on a wrong magic number, checksum, flag
 * or size. */
void recording_record_put(const struct recording_record *record,
                          uint8_t bytes[RECORDING_RECORD_SIZE]);
bool recording_record_get(const uint8_t bytes[RECORDING_RECORD_SIZE], struct recording_record *ret);

/* Writes and checks a file's head. */
void recording_head_put(uint8_t bytes[RECORDING_HEAD_SIZE]);
NODISCARD struct error *recording_head_check(const uint8_t *bytes, size_t size);

/* Signed numbers as small unsigned ones, and back. */
static inline uint64_t recording_zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}
static inline int64_t recording_unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

/* A - B and A + B as the format has them: modulo 2^64. */
static inline int64_t recording_minus(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}
static inline int64_t recording_plus(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

/* What the records of a chain so far have left. Ids are those of TABLES; waits of goroutines are
 * spans of WAITS and name OBJECTS. Ages are minus the clock, times plus the clock. */
struct recording_state {
    struct snapshot_builder *tables; /* strings, frames, stacks, label sets */
    VECTOR(struct snapshot_goroutine) goroutines;
    VECTOR(struct snapshot_wait) waits;
    VECTOR(struct snapshot_object) objects;
    VECTOR(char *) notes; /* of the last record */
    struct snapshot_program program;
    int64_t clock_ns;
    size_t label_sets;                    /* in TABLES */
    VECTOR(uint32_t) frame_ids;           /* scratch */
    VECTOR(struct snapshot_label) labels; /* scratch */
};

/* Empties STATE (zero is empty) to begin a chain. */
NODISCARD struct error *recording_state_begin(struct recording_state *state);
void recording_state_deinit(struct recording_state *state);

/* Applies one record's payload, SIZE bytes at DATA. After an error STATE is of no use. */
NODISCARD struct error *recording_state_apply(struct recording_state *state, const void *data,
                                              size_t size);

/* Reads the goroutines' part, from where CURSOR stands to its end. */
NODISCARD struct error *recording_decode_goroutines(struct recording_state *state,
                                                    struct cursor *cursor);

/* Makes the snapshot of TAKEN_AT_NS out of STATE, which is empty afterwards. SOURCE is how the
 * snapshot shall name where it comes from. */
NODISCARD struct error *recording_state_finish(struct recording_state *state, int64_t taken_at_ns,
                                               const char *source, struct snapshot **ret);

/* Finds the whole records of the file at DESCRIPTOR: *MOMENTS and *OFFSETS (of their heads) are the
 * caller's heap arrays, *END_RET is where the last one ends, *DAMAGE_RET what stands behind it
 * (NULL: nothing), the caller's; *TORN_RET tells that it is only the beginning of a record. */
NODISCARD struct error *recording_scan(int descriptor, struct recording_moment **moments_ret,
                                       uint64_t **offsets_ret, size_t *count_ret, uint64_t *end_ret,
                                       char **damage_ret, bool *torn_ret);

/* Reads SIZE bytes at OFFSET; ERROR_CORRUPT when there are fewer. */
NODISCARD struct error *recording_read_at(int descriptor, uint64_t offset, void *data, size_t size);

/* Appends NUMBER in LEB128. */
void recording_put(struct string_builder *out, uint64_t number);

/* The wait reasons' strings, for writing. */
typedef uint32_t recording_reasons[256];

/* Appends the operations that lead from BEFORE to AFTER. */
NODISCARD struct error *recording_encode_goroutines(struct string_builder *out,
                                                    const struct recording_state *before,
                                                    const struct recording_state *after,
                                                    const recording_reasons reasons);

/* Appends object ID and its content; *ID and *ADDRESS are those of the one before. */
void recording_encode_object(struct string_builder *out, const struct snapshot_object *object,
                             uint32_t id, uint32_t *last_id, uint64_t *address);

/* Appends the strings, frames, stacks and label sets of TABLES beyond the first counts of *DONE,
 * which are set to what there is then. */
struct recording_done {
    size_t strings, frames, stacks, labels;
};
void recording_encode_tables(struct string_builder *out, const struct snapshot *tables,
                             size_t label_sets, struct recording_done *done);

/* Appends the program; IDENTITY: with who it is. */
void recording_encode_program(struct string_builder *out, const struct snapshot_program *program,
                              bool identity);

/* True when A and B are the same object in the same state. */
bool recording_objects_equal(const struct snapshot_object *a, const struct snapshot_object *b);

#endif
