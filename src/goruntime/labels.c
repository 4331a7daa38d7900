/* Profiler labels of goroutines.
 *
 * Format (runtime/pprof/label.go): g.labels points to a labelMap. From Go 1.24 on that is a slice
 * {data, length, capacity} of {key string, value string}, sorted by key. Before, it is a
 * map[string]string: a pointer to hmap {count 0, flags 8, B u8 9, buckets 16, oldbuckets 24}; a
 * bucket is {tophash [8]u8, keys [8]string, values [8]string, overflow}; a tophash below 5 is an
 * empty or moved slot. A map that grew keeps the buckets that are not moved yet in oldbuckets,
 * half as many.
 *
 * Invariants: label maps never change once a goroutine has them, so one that does not add up is
 * unknown as a whole; counts, lengths and chains are bounded. */
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/vector.h"
#include "goruntime/internal.h"
#include "goruntime/peek.h"
#include <stdlib.h>
#include <string.h>

enum {
    LABELS_SLICE_SINCE = 24, /* Go 1.24 */
    LABELS_MAX = 4096,       /* labels of one goroutine */
    LABELS_TEXT_MAX = 65536, /* bytes of a key or value */
    LABELS_BUCKETS_MAX = 10, /* B: 1024 buckets */
    LABELS_BUCKET = 272,
    LABELS_SLOTS = 8,
    LABELS_TOPHASH_MIN = 5,
    LABELS_CHAIN_MAX = 512 /* overflow buckets of one bucket */
};

/* In the cache: known sets carry this bit above their id. */
static const uint64_t labels_known_bit = 1ull << 32;

/* One label map being read. */
struct labels_reader {
    struct goruntime_look_state *state;
    struct peek peek;
    VECTOR(struct snapshot_label) labels;
};

/* Reads a Go string into the builder; *KNOWN is cleared when that fails. */
static struct error *labels_string(struct labels_reader *reader, const uint8_t *header,
                                   uint32_t *ret, bool *known)
{
    uint64_t data = bytes_u64(header);
    uint64_t size = bytes_u64(header + 8);
    char text[256];
    CLEANUP_FREE char *heap = NULL;
    char *buffer = text;
    *known = *known && size <= LABELS_TEXT_MAX;
    if (*known && size > sizeof text) {
        buffer = heap = malloc(size);
        if (heap == NULL) {
            return error_no_memory();
        }
    }
    *known = *known && (size == 0 || peek_read(&reader->peek, data, buffer, size));
    if (!*known) {
        return peek_error(&reader->peek);
    }
    return snapshot_builder_string(reader->state->builder, buffer, size, ret);
}

/* Reads one pair of strings, which need not be neighbours. */
static struct error *labels_add(struct labels_reader *reader, const uint8_t *key,
                                const uint8_t *value, bool *known)
{
    struct snapshot_label label;
    if (reader->labels.count >= LABELS_MAX) {
        *known = false;
        return NULL;
    }
    TRY(labels_string(reader, key, &label.key, known));
    TRY(labels_string(reader, value, &label.value, known));
    return *known ? vector_append(&reader->labels, label) : NULL;
}

/* Go 1.24 and newer: the slice at ADDRESS. */
static struct error *labels_read_slice(struct labels_reader *reader, uint64_t address, bool *known)
{
    uint8_t slice[24];
    *known = peek_read(&reader->peek, address, slice, sizeof slice);
    if (!*known) {
        return peek_error(&reader->peek);
    }
    uint64_t data = bytes_u64(slice);
    uint64_t count = bytes_u64(slice + 8);
    *known = count <= LABELS_MAX && count <= bytes_u64(slice + 16);
    for (uint64_t i = 0; i < count && *known; i++) {
        uint8_t pair[32];
        *known = peek_read(&reader->peek, data + i * sizeof pair, pair, sizeof pair);
        if (*known) {
            TRY(labels_add(reader, pair, pair + 16, known));
        }
    }
    return peek_error(&reader->peek);
}

/* The pairs of the bucket at ADDRESS and of its overflow buckets. */
static struct error *labels_read_bucket(struct labels_reader *reader, uint64_t address, bool old,
                                        bool *known)
{
    for (size_t step = 0; address != 0 && *known; step++) {
        uint8_t bucket[LABELS_BUCKET];
        *known =
            step < LABELS_CHAIN_MAX && peek_read(&reader->peek, address, bucket, sizeof bucket);
        if (!*known || (old && bucket[0] >= 2 && bucket[0] < LABELS_TOPHASH_MIN)) {
            return peek_error(&reader->peek); /* moved as a whole */
        }
        for (size_t i = 0; i < LABELS_SLOTS && *known; i++) {
            if (bucket[i] >= LABELS_TOPHASH_MIN) {
                TRY(labels_add(reader, bucket + LABELS_SLOTS + i * 16,
                               bucket + LABELS_SLOTS + LABELS_SLOTS * 16 + i * 16, known));
            }
        }
        address = bytes_u64(bucket + LABELS_BUCKET - 8);
    }
    return NULL;
}

/* COUNT buckets in a row. */
static struct error *labels_read_buckets(struct labels_reader *reader, uint64_t address,
                                         uint64_t count, bool old, bool *known)
{
    for (uint64_t i = 0; i < count && *known && address != 0; i++) {
        TRY(labels_read_bucket(reader, address + i * LABELS_BUCKET, old, known));
    }
    return NULL;
}

/* Go 1.23 and older: the map whose pointer is at ADDRESS. */
static struct error *labels_read_map(struct labels_reader *reader, uint64_t address, bool *known)
{
    uint64_t map;
    uint8_t header[48];
    *known = peek_u64(&reader->peek, address, &map);
    if (!*known || map == 0) {
        return peek_error(&reader->peek); /* a nil map has no labels */
    }
    *known = peek_read(&reader->peek, map, header, sizeof header);
    if (!*known) {
        return peek_error(&reader->peek);
    }
    uint64_t count = bytes_u64(header);
    unsigned b = header[9];
    bool same_size = (header[8] & 8) != 0;
    *known = count <= LABELS_MAX && b <= LABELS_BUCKETS_MAX;
    if (!*known) {
        return NULL;
    }
    uint64_t buckets = 1ull << b;
    uint64_t old = same_size || buckets == 1 ? buckets : buckets / 2;
    TRY(labels_read_buckets(reader, bytes_u64(header + 16), buckets, false, known));
    TRY(labels_read_buckets(reader, bytes_u64(header + 24), old, true, known));
    *known = *known && reader->labels.count == count;
    return peek_error(&reader->peek);
}

/* Where qsort_r finds the texts. */
static int labels_compare(const void *a, const void *b, void *context)
{
    const struct snapshot *snapshot = context;
    return strcmp(snapshot_string(snapshot, ((const struct snapshot_label *)a)->key),
                  snapshot_string(snapshot, ((const struct snapshot_label *)b)->key));
}

/* Reads one label map; *RET is its set. */
static struct error *labels_read(struct labels_reader *reader, uint64_t pointer, uint32_t *ret,
                                 bool *known)
{
    struct snapshot_builder *builder = reader->state->builder;
    if (reader->state->runtime->layout->minor >= LABELS_SLICE_SINCE) {
        TRY(labels_read_slice(reader, pointer, known));
    } else {
        TRY(labels_read_map(reader, pointer, known));
        if (reader->labels.count > 1) { /* a map has no order of its own */
            qsort_r(reader->labels.items, reader->labels.count, sizeof *reader->labels.items,
                    labels_compare, (void *)(uintptr_t)snapshot_builder_peek(builder));
        }
    }
    if (!*known || reader->labels.count == 0) {
        return NULL;
    }
    return snapshot_builder_labels(builder, reader->labels.items, reader->labels.count, ret);
}

/* Each pointer is read once. */
struct error *labels_resolve(struct goruntime_look_state *state, uint64_t pointer, uint32_t *ret,
                             bool *known_ret)
{
    *ret = 0;
    *known_ret = true;
    if (pointer == 0) {
        return NULL;
    }
    const uint64_t *cached = hash_map_get(&state->labels, pointer);
    if (cached != NULL) {
        *ret = (uint32_t)*cached;
        *known_ret = (*cached & labels_known_bit) != 0;
        return NULL;
    }
    struct labels_reader reader = {
        .state = state, .peek = {.target = state->runtime->target, .cache = state->cache}};
    struct error *error = labels_read(&reader, pointer, ret, known_ret);
    vector_deinit(&reader.labels);
    peek_deinit(&reader.peek);
    TRY(error);
    return hash_map_put(&state->labels, pointer, *ret | (*known_ret ? labels_known_bit : 0));
}
