/* Heads of recordings and of their records, and the search for records: recording_internal.h has
 * the format. A record counts when its head is sound and its payload is whole; payloads are checked
 * when they are loaded, the last one at once, for it may be half written. */
#include "snapshot/recording.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "snapshot/recording_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#define RECORDING_RECORD_MAGIC "UPSS"
#define RECORDING_SECOND INT64_C(1000000000)
#define RECORDING_TIME_END (INT64_C(9000000000) * RECORDING_SECOND) /* in the year 2255 */

/* Stores a 32-bit number. */
static void recording_store_u32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
}

void recording_record_put(const struct recording_record *record,
                          uint8_t bytes[RECORDING_RECORD_SIZE])
{
    memcpy(bytes, RECORDING_RECORD_MAGIC, 4);
    recording_store_u32(bytes + 4, record->flags);
    recording_store_u32(bytes + 8, record->stored);
    recording_store_u32(bytes + 12, record->raw);
    memcpy(bytes + 16, &record->taken_at_ns, 8);
    recording_store_u32(bytes + 24, record->goroutines);
    recording_store_u32(bytes + 28, record->system);
    recording_store_u32(bytes + 32, record->crc);
    recording_store_u32(bytes + 36, (uint32_t)crc32(0, bytes, 36));
}

bool recording_record_get(const uint8_t bytes[RECORDING_RECORD_SIZE], struct recording_record *ret)
{
    *ret = (struct recording_record){
        .flags = bytes_u32(bytes + 4),
        .stored = bytes_u32(bytes + 8),
        .raw = bytes_u32(bytes + 12),
        .taken_at_ns = (int64_t)bytes_u64(bytes + 16),
        .goroutines = bytes_u32(bytes + 24),
        .system = bytes_u32(bytes + 28),
        .crc = bytes_u32(bytes + 32),
    };
    bool compressed = (ret->flags & RECORDING_COMPRESSED) != 0;
    return memcmp(bytes, RECORDING_RECORD_MAGIC, 4) == 0 &&
           bytes_u32(bytes + 36) == (uint32_t)crc32(0, bytes, 36) &&
           (ret->flags & ~(uint32_t)(RECORDING_COMPLETE | RECORDING_COMPRESSED)) == 0 &&
           ret->taken_at_ns >= 0 && ret->taken_at_ns < RECORDING_TIME_END &&
           ret->raw <= RECORDING_CHAIN_BYTES && ret->stored <= ret->raw &&
           (compressed ? ret->raw / RECORDING_RATIO <= ret->stored : ret->raw == ret->stored);
}

void recording_head_put(uint8_t bytes[RECORDING_HEAD_SIZE])
{
    memcpy(bytes, RECORDING_MAGIC, 8);
    recording_store_u32(bytes + 8, RECORDING_VERSION);
    recording_store_u32(bytes + 12, (uint32_t)crc32(0, bytes, 12));
}

struct error *recording_head_check(const uint8_t *bytes, size_t size)
{
    if (size < RECORDING_HEAD_SIZE || memcmp(bytes, RECORDING_MAGIC, 8) != 0) {
        return error_create(ERROR_CORRUPT, "not a recording of unpark record");
    }
    if (bytes_u32(bytes + 12) != (uint32_t)crc32(0, bytes, 12)) {
        return error_create(ERROR_CORRUPT, "the recording's first bytes are damaged");
    }
    if (bytes_u32(bytes + 8) != RECORDING_VERSION) {
        return error_create(ERROR_UNSUPPORTED, "a recording of format %u; this unpark reads %d",
                            bytes_u32(bytes + 8), RECORDING_VERSION);
    }
    return NULL;
}

/* Reads up to SIZE bytes at OFFSET; *RET is less at the file's end only. */
static struct error *recording_read_some(int descriptor, uint64_t offset, void *data, size_t size,
                                         size_t *ret)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got =
            pread(descriptor, (uint8_t *)data + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno != EINTR) {
            return error_errno(errno, "reading the recording");
        }
        if (got == 0) {
            break;
        }
        done += got > 0 ? (size_t)got : 0;
    }
    *ret = done;
    return NULL;
}

struct error *recording_read_at(int descriptor, uint64_t offset, void *data, size_t size)
{
    size_t done;
    TRY(recording_read_some(descriptor, offset, data, size, &done));
    if (done < size) {
        return error_create(ERROR_CORRUPT, "the recording ends within a snapshot");
    }
    return NULL;
}

bool recording_is(const char *path)
{
    uint8_t bytes[8];
    size_t done = 0;
    struct stat status;
    /* Even to open and close a pipe would take it away from who writes to it. */
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode)) {
        return false;
    }
    CLEANUP_CLOSE int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) {
        return false;
    }
    struct error *error = recording_read_some(descriptor, 0, bytes, sizeof bytes, &done);
    bool is = error == NULL && done == sizeof bytes && memcmp(bytes, RECORDING_MAGIC, 8) == 0;
    error_destroy(error);
    return is;
}

void recording_format_time(int64_t ns, char *ret, size_t size)
{
    time_t seconds = (time_t)(ns / RECORDING_SECOND);
    struct tm tm;
    if (localtime_r(&seconds, &tm) == NULL || strftime(ret, size, "%Y-%m-%d %H:%M:%S", &tm) == 0) {
        (void)snprintf(ret, size, "an unknown time");
    }
}

/* What a scan has found so far. */
struct recording_found {
    VECTOR(struct recording_moment) moments;
    VECTOR(uint64_t) offsets;
    uint64_t end;
    char *damage;
    bool torn;
};

/* Frees what was found and not handed out. */
static void recording_found_deinit(struct recording_found *found)
{
    vector_deinit(&found->moments);
    vector_deinit(&found->offsets);
    free(found->damage);
}

/* Notes what stands behind the last whole record: LEFT bytes. */
static struct error *recording_found_damage(struct recording_found *found, uint64_t left, bool torn)
{
    struct string_builder text = {0};
    found->torn = torn;
    string_builder_format(&text, "its last %llu bytes ", (unsigned long long)left);
    string_builder_add(&text, torn ? "are the beginning of a snapshot: it is still being written, "
                                     "or its writer was killed"
                                   : "are damaged");
    free(TAKE(found->damage));
    return string_builder_take(&text, &found->damage);
}

/* Whether the payload of RECORD, whose head is at OFFSET, is what its checksum says. */
static struct error *recording_check_payload(int descriptor, uint64_t offset,
                                             const struct recording_record *record, bool *ret)
{
    uint8_t block[16384];
    uint32_t crc = 0;
    offset += RECORDING_RECORD_SIZE;
    for (size_t left = record->stored; left > 0;) {
        size_t size = left < sizeof block ? left : sizeof block;
        TRY(recording_read_at(descriptor, offset, block, size));
        crc = (uint32_t)crc32(crc, block, (uInt)size);
        offset += size;
        left -= size;
    }
    *ret = crc == record->crc;
    return NULL;
}

/* Adds the record at the end of what was found. */
static struct error *recording_found_add(struct recording_found *found,
                                         const struct recording_record *record)
{
    struct recording_moment moment = {
        .taken_at_ns = record->taken_at_ns,
        .goroutines = record->goroutines,
        .system = record->system,
        .bytes = RECORDING_RECORD_SIZE + (uint64_t)record->stored,
        .complete = (record->flags & RECORDING_COMPLETE) != 0,
    };
    TRY(vector_append(&found->moments, moment));
    TRY(vector_append(&found->offsets, found->end));
    found->end += moment.bytes;
    return NULL;
}

/* Looks for records in SIZE bytes of file; the last one's head goes to *LAST. */
static struct error *recording_found_scan(struct recording_found *found, int descriptor,
                                          uint64_t size, struct recording_record *last)
{
    while (found->end < size) {
        uint8_t bytes[RECORDING_RECORD_SIZE];
        uint64_t left = size - found->end;
        if (left < sizeof bytes) {
            return recording_found_damage(found, left, true);
        }
        TRY(recording_read_at(descriptor, found->end, bytes, sizeof bytes));
        struct recording_record record;
        if (!recording_record_get(bytes, &record) ||
            (found->moments.count == 0 && (record.flags & RECORDING_COMPLETE) == 0)) {
            return recording_found_damage(found, left, false);
        }
        if (record.stored > left - sizeof bytes) {
            return recording_found_damage(found, left, true);
        }
        TRY(recording_found_add(found, &record));
        *last = record;
    }
    return NULL;
}

/* Gives the last record up when its payload is not what was written. */
static struct error *recording_found_check_last(struct recording_found *found, int descriptor,
                                                uint64_t size, const struct recording_record *last)
{
    bool sound;
    if (found->moments.count == 0) {
        return NULL;
    }
    uint64_t offset = found->offsets.items[found->offsets.count - 1];
    TRY(recording_check_payload(descriptor, offset, last, &sound));
    if (sound) {
        return NULL;
    }
    found->moments.count--;
    found->offsets.count--;
    found->end = offset;
    return recording_found_damage(found, size - offset, true);
}

struct error *recording_scan(int descriptor, struct recording_moment **moments_ret,
                             uint64_t **offsets_ret, size_t *count_ret, uint64_t *end_ret,
                             char **damage_ret, bool *torn_ret)
{
    CLEANUP(recording_found_deinit)
    struct recording_found found = {.end = RECORDING_HEAD_SIZE};
    struct recording_record last = {0};
    struct stat status;
    uint8_t head[RECORDING_HEAD_SIZE];
    size_t got;
    if (fstat(descriptor, &status) != 0) {
        return error_errno(errno, "reading the recording");
    }
    TRY(recording_read_some(descriptor, 0, head, sizeof head, &got));
    TRY(recording_head_check(head, got));
    uint64_t size = (uint64_t)status.st_size;
    TRY(recording_found_scan(&found, descriptor, size, &last));
    TRY(recording_found_check_last(&found, descriptor, size, &last));
    *count_ret = found.moments.count;
    *moments_ret = TAKE(found.moments.items);
    *offsets_ret = TAKE(found.offsets.items);
    *end_ret = found.end;
    *damage_ret = TAKE(found.damage);
    *torn_ret = found.torn;
    return NULL;
}
