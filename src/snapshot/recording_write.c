/* Writing recordings. The writer keeps what the last record left and says in the next one what
 * differs. A new chain begins when what the old one has cost exceeds a fresh start, and in time for
 * its limits. A record is written in one go: a reader sees all of it or knows that it does not. */
#include "base/cleanup.h"
#include "snapshot/recording.h"
#include "snapshot/recording_write_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

enum { RECORDING_LEVEL = 3, RECORDING_ALLOWANCE = 256 * 1024, RECORDING_COMPRESS_MIN = 128 };

CLEANUP_DEFINE(recording_writer, struct recording_writer, recording_writer_close)

/* Empties the chain. */
static void recording_writer_forget(struct recording_writer *writer)
{
    snapshot_builder_destroy(writer->tables);
    writer->tables = NULL;
    writer->label_sets = 0;
    writer->done = (struct recording_done){0};
    recording_state_deinit(&writer->state);
    vector_deinit(&writer->slots);
    vector_deinit(&writer->free_slots);
    hash_map_deinit(&writer->by_address);
    writer->number = 0;
    memset(writer->reasons, 0, sizeof writer->reasons);
    writer->first_bytes = 0;
    writer->more_bytes = 0;
    writer->chain_raw = 0;
    writer->chain_goroutines = 0;
}

/* Whether the next record, of COUNT goroutines, must begin a chain. */
static bool recording_writer_begins(const struct recording_writer *writer, size_t count)
{
    return writer->broken || writer->tables == NULL || writer->number >= RECORDING_CHAIN_MAX - 1 ||
           writer->more_bytes > writer->first_bytes + RECORDING_ALLOWANCE ||
           writer->chain_raw > RECORDING_CHAIN_BYTES / 2 ||
           writer->chain_goroutines + count > RECORDING_CHAIN_GOROUTINES / 2;
}

/* Compresses RAW into *OUT, a heap block, when that is worth it; *SIZE_RET 0: it is not. */
static struct error *recording_writer_compress(struct recording_writer *writer,
                                               const struct string_builder *raw, char **ret,
                                               size_t *size_ret)
{
    *size_ret = 0;
    if (raw->size < RECORDING_COMPRESS_MIN) {
        return NULL;
    }
    if (writer->compress == NULL) {
        writer->compress = ZSTD_createCCtx();
    }
    size_t room = ZSTD_compressBound(raw->size);
    CLEANUP_FREE char *out = writer->compress == NULL ? NULL : malloc(room);
    if (out == NULL) {
        return error_no_memory();
    }
    size_t size =
        ZSTD_compressCCtx(writer->compress, out, room, raw->text, raw->size, RECORDING_LEVEL);
    if (ZSTD_isError(size)) {
        return error_create(ERROR_INTERNAL, "compressing a snapshot: %s", ZSTD_getErrorName(size));
    }
    if (size < raw->size && raw->size / RECORDING_RATIO <= size) {
        *size_ret = size;
        *ret = TAKE(out);
    }
    return NULL;
}

/* Writes SIZE bytes at DATA at OFFSET. */
static struct error *recording_writer_put(const struct recording_writer *writer, const void *data,
                                          size_t size, uint64_t offset)
{
    size_t done = 0;
    while (done < size) {
        ssize_t put = pwrite(writer->descriptor, (const char *)data + done, size - done,
                             (off_t)(offset + done));
        if (put < 0 && errno != EINTR) {
            return error_errno(errno, "writing '%s'", writer->path);
        }
        done += put > 0 ? (size_t)put : 0;
    }
    return NULL;
}

/* User and system goroutines of SNAPSHOT, as a record's head counts them. */
static void recording_count(const struct snapshot *snapshot, struct recording_record *record)
{
    size_t count;
    uint64_t user = 0, system = 0;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(snapshot, &count);
    for (size_t i = 0; i < count; i++) {
        bool ours = (goroutines[i].flags & GOROUTINE_SYSTEM) == 0;
        user += ours ? goroutines[i].count : 0;
        system += ours ? 0 : goroutines[i].count;
    }
    record->goroutines = user > UINT32_MAX ? UINT32_MAX : (uint32_t)user;
    record->system = system > UINT32_MAX ? UINT32_MAX : (uint32_t)system;
}

/* Writes the record of payload RAW, in one go. */
static struct error *recording_writer_write(struct recording_writer *writer,
                                            struct recording_record *record,
                                            const struct string_builder *raw)
{
    CLEANUP_FREE char *packed = NULL;
    size_t size;
    TRY(recording_writer_compress(writer, raw, &packed, &size));
    const char *payload = size == 0 ? raw->text : packed;
    record->flags |= size == 0 ? 0 : RECORDING_COMPRESSED;
    record->stored = (uint32_t)(size == 0 ? raw->size : size);
    record->raw = (uint32_t)raw->size;
    record->crc = (uint32_t)crc32(0, (const Bytef *)payload, record->stored);
    size_t whole = RECORDING_RECORD_SIZE + (size_t)record->stored;
    CLEANUP_FREE uint8_t *bytes = malloc(whole);
    if (bytes == NULL) {
        return error_no_memory();
    }
    recording_record_put(record, bytes);
    memcpy(bytes + RECORDING_RECORD_SIZE, payload, record->stored);
    struct error *error = recording_writer_put(writer, bytes, whole, writer->end);
    if (error != NULL) {
        /* a full disk: leave what was whole; should that fail, too, readers skip the rest */
        int ignored = ftruncate(writer->descriptor, (off_t)writer->end);
        (void)ignored;
        return error;
    }
    writer->end += whole;
    writer->count++;
    return NULL;
}

/* The wall clock. */
static int64_t recording_now(void)
{
    struct timespec now;
    return clock_gettime(CLOCK_REALTIME, &now) == 0 ? (int64_t)now.tv_sec * 1000000000 + now.tv_nsec
                                                    : 0;
}

/* Encodes and writes one record. */
static struct error *recording_writer_step(struct recording_writer *writer,
                                           const struct snapshot *snapshot)
{
    CLEANUP(string_builder_deinit) struct string_builder raw = {0};
    struct snapshot_program program = *snapshot_program(snapshot);
    struct recording_record record = {0};
    if (program.taken_at_ns == SNAPSHOT_UNKNOWN) {
        program.taken_at_ns = recording_now();
    }
    record.taken_at_ns = program.taken_at_ns;
    record.flags = writer->number == 1 ? RECORDING_COMPLETE : 0;
    recording_count(snapshot, &record);
    TRY(recording_writer_encode(writer, snapshot, &program, &raw));
    if (raw.size > RECORDING_CHAIN_BYTES / 2) {
        return error_create(ERROR_LIMIT, "the snapshot is too large for a recording: %zu bytes",
                            raw.size);
    }
    TRY(recording_writer_write(writer, &record, &raw));
    uint64_t bytes = RECORDING_RECORD_SIZE + (uint64_t)record.stored;
    writer->first_bytes += writer->number == 1 ? bytes : 0;
    writer->more_bytes += writer->number == 1 ? 0 : bytes;
    writer->chain_raw += raw.size;
    writer->chain_goroutines += writer->state.goroutines.count;
    return NULL;
}

/* Adds a snapshot. */
struct error *recording_writer_add(struct recording_writer *writer, const struct snapshot *snapshot)
{
    size_t count;
    (void)snapshot_goroutines(snapshot, &count);
    if (count > RECORDING_GOROUTINES_MAX) {
        return error_create(ERROR_LIMIT, "more goroutines than a recording can hold");
    }
    if (recording_writer_begins(writer, count)) {
        recording_writer_forget(writer);
        TRY(snapshot_builder_create(&writer->tables));
        writer->broken = false;
    }
    writer->number++;
    struct error *error = recording_writer_step(writer, snapshot);
    writer->broken = error != NULL;
    return error;
}

/* Snapshots so far. */
size_t recording_writer_count(const struct recording_writer *writer)
{
    return writer->count;
}

/* Bytes so far. */
uint64_t recording_writer_bytes(const struct recording_writer *writer)
{
    return writer->end - writer->start;
}

/* Opens the file as MODE wants it. */
static struct error *recording_writer_open_file(struct recording_writer *writer,
                                                enum recording_mode mode)
{
    const int flags = O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    writer->descriptor = open(writer->path, flags | O_CREAT | O_EXCL, S_IRUSR | S_IWUSR);
    writer->created = writer->descriptor >= 0;
    if (!writer->created && errno == EEXIST) {
        if (mode == RECORDING_NEW) {
            return error_advise(error_create(ERROR_USAGE, "'%s' exists", writer->path),
                                "--append continues it, --force replaces it");
        }
        writer->descriptor = open(writer->path, flags);
    }
    if (writer->descriptor < 0) {
        return error_create(ERROR_IO, "cannot write '%s': %s", writer->path, strerror(errno));
    }
    struct stat status;
    if (fstat(writer->descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        return error_create(ERROR_USAGE, "'%s' is not a regular file", writer->path);
    }
    if (flock(writer->descriptor, LOCK_EX | LOCK_NB) != 0) {
        return error_create(ERROR_USAGE, "'%s' is being written by another unpark record",
                            writer->path);
    }
    return NULL;
}

/* Begins an empty file. */
static struct error *recording_writer_begin_file(struct recording_writer *writer)
{
    uint8_t head[RECORDING_HEAD_SIZE];
    recording_head_put(head);
    if (ftruncate(writer->descriptor, 0) != 0) {
        return error_errno(errno, "emptying '%s'", writer->path);
    }
    writer->end = sizeof head;
    return recording_writer_put(writer, head, sizeof head, 0);
}

/* Finds the end of a file to append to, and cuts off the beginning of a record there. */
static struct error *recording_writer_find_end(struct recording_writer *writer)
{
    CLEANUP_FREE struct recording_moment *moments = NULL;
    CLEANUP_FREE uint64_t *offsets = NULL;
    CLEANUP_FREE char *damage = NULL;
    size_t count;
    bool torn;
    TRY(error_wrap(recording_scan(writer->descriptor, &moments, &offsets, &count, &writer->end,
                                  &damage, &torn),
                   "'%s'", writer->path));
    if (damage != NULL && !torn) {
        return error_advise(error_create(ERROR_CORRUPT, "'%s': %s", writer->path, damage),
                            "record into another file");
    }
    if (damage != NULL && ftruncate(writer->descriptor, (off_t)writer->end) != 0) {
        return error_errno(errno, "cutting '%s'", writer->path);
    }
    return NULL;
}

/* Opens a recording for writing. */
struct error *recording_writer_open(const char *path, enum recording_mode mode,
                                    struct recording_writer **ret)
{
    CLEANUP(cleanup_recording_writer)
    struct recording_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) {
        return error_no_memory();
    }
    writer->descriptor = -1;
    writer->path = strdup(path);
    if (writer->path == NULL) {
        return error_no_memory();
    }
    TRY(recording_writer_open_file(writer, mode));
    struct stat status;
    bool empty = fstat(writer->descriptor, &status) == 0 && status.st_size == 0;
    TRY(mode != RECORDING_APPEND || empty ? recording_writer_begin_file(writer)
                                          : recording_writer_find_end(writer));
    writer->start = writer->end;
    *ret = TAKE(writer);
    return NULL;
}

/* Closes a recording. */
void recording_writer_close(struct recording_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    if (writer->created && writer->count == 0) {
        (void)unlink(writer->path);
    }
    if (writer->descriptor >= 0) {
        (void)close(writer->descriptor);
    }
    recording_writer_forget(writer);
    (void)ZSTD_freeCCtx(writer->compress);
    free(writer->path);
    free(writer);
}
