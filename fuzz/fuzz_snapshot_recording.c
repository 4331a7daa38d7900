/* Any bytes as the payloads of a chain of records: applied one by one, then made a snapshot. What
 * could be read is written and read again, and must be the same; then the bytes as a whole file.
 * Input: payloads, each behind its size in two bytes. */
#include "base/cleanup.h"
#include "snapshot/difference.h"
#include "snapshot/recording_internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Entry point of the fuzzer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads everything that is in SNAPSHOT, so that a wrong id is found out. */
static uint64_t fuzz_read(struct snapshot *snapshot)
{
    uint64_t sum = 0;
    size_t count, n;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(snapshot, &count);
    for (size_t i = 0; i < count; i++) {
        const uint32_t *frames = snapshot_stack(snapshot, goroutines[i].stack, &n);
        for (size_t k = 0; k < n; k++) {
            const struct snapshot_frame *frame = snapshot_frame(snapshot, frames[k]);
            sum += snapshot_string_size(snapshot, frame->function) +
                   snapshot_string_size(snapshot, frame->file);
        }
        const struct snapshot_label *labels = snapshot_labels(snapshot, goroutines[i].labels, &n);
        for (size_t k = 0; k < n; k++) {
            sum += snapshot_string_size(snapshot, labels[k].key);
        }
        const struct snapshot_wait *waits = snapshot_waits(snapshot, &goroutines[i], &n);
        for (size_t k = 0; k < n; k++) {
            sum += snapshot_object(snapshot, waits[k].object)->address;
        }
        sum += goroutines[i].creator == 0 ? 0 : snapshot_frame(snapshot, goroutines[i].creator)->pc;
        sum += goroutines[i].start == 0 ? 0 : snapshot_frame(snapshot, goroutines[i].start)->pc;
        if (i > 0 && goroutines[i - 1].id > goroutines[i].id) {
            abort();
        }
    }
    return sum;
}

/* Asserts that a second reading of SNAPSHOT finds no difference to it. */
static void fuzz_same(const struct snapshot *snapshot, const struct snapshot *again)
{
    struct difference difference;
    struct difference_side sides[] = {{.snapshot = snapshot}, {.snapshot = again}};
    struct error *error = difference_init(&difference, &sides[0], &sides[1], DIFFERENCE_MATCH_LINES,
                                          DIFFERENCE_BY_GROWTH);
    if (error != NULL || difference.count != difference.changes[DIFFERENCE_UNCHANGED]) {
        abort();
    }
    difference_deinit(&difference);
    size_t n, m;
    const struct snapshot_goroutine *a = snapshot_goroutines(snapshot, &n);
    const struct snapshot_goroutine *b = snapshot_goroutines(again, &m);
    for (size_t i = 0; i < n; i++) {
        if (n != m || a[i].id != b[i].id || a[i].age_ns != b[i].age_ns ||
            a[i].address != b[i].address || a[i].flags != b[i].flags ||
            a[i].wait_count != b[i].wait_count || a[i].parent != b[i].parent) {
            abort();
        }
    }
}

/* Records SNAPSHOT twice and reads both back. */
static void fuzz_round_trip(const struct snapshot *snapshot)
{
    char path[64];
    CLEANUP_CLOSE int descriptor = memfd_create("recording", MFD_CLOEXEC);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    struct recording_writer *writer;
    struct recording *recording;
    struct error *error = recording_writer_open(path, RECORDING_REPLACE, &writer);
    if (error != NULL || (error = recording_writer_add(writer, snapshot)) != NULL ||
        (error = recording_writer_add(writer, snapshot)) != NULL) {
        abort();
    }
    recording_writer_close(writer);
    if ((error = recording_open(path, &recording)) != NULL) {
        abort();
    }
    for (size_t i = 0; i < 2; i++) {
        struct snapshot *again;
        if ((error = recording_load(recording, i, &again)) != NULL) {
            abort();
        }
        fuzz_same(snapshot, again);
        snapshot_destroy(again);
    }
    recording_close(recording);
}

/* Applies the payloads in DATA. */
static void fuzz_chain(const uint8_t *data, size_t size)
{
    struct recording_state state = {0};
    struct error *error = recording_state_begin(&state);
    while (error == NULL && size >= 2) {
        size_t part = (size_t)data[0] | (size_t)data[1] << 8;
        data += 2;
        size -= 2;
        part = part < size ? part : size;
        uint8_t *exact = malloc(part + (part == 0)); /* a byte too far is found out */
        memcpy(exact, data, part);
        error = recording_state_apply(&state, exact, part);
        free(exact);
        data += part;
        size -= part;
    }
    struct snapshot *snapshot = NULL;
    if (error == NULL) {
        error = recording_state_finish(&state, 1700000000000000000, "fuzz", &snapshot);
    }
    if (snapshot != NULL) {
        (void)fuzz_read(snapshot);
        fuzz_round_trip(snapshot);
    }
    error_destroy(error);
    snapshot_destroy(snapshot);
    recording_state_deinit(&state);
}

/* Opens DATA as a file and loads all of it. */
static void fuzz_file(const uint8_t *data, size_t size)
{
    char path[64];
    CLEANUP_CLOSE int descriptor = memfd_create("recording", MFD_CLOEXEC);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    if (descriptor < 0 || write(descriptor, data, size) != (ssize_t)size) {
        return;
    }
    struct recording *recording;
    struct error *error = recording_open(path, &recording);
    if (error != NULL) {
        error_destroy(error);
        return;
    }
    size_t count;
    (void)recording_moments(recording, &count);
    for (size_t i = 0; i < count; i++) {
        struct snapshot *snapshot = NULL;
        error_destroy(recording_load(recording, i, &snapshot));
        if (snapshot != NULL) {
            (void)fuzz_read(snapshot);
        }
        snapshot_destroy(snapshot);
    }
    recording_close(recording);
}

/* Checks one input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= 8 && memcmp(data, RECORDING_MAGIC, 8) == 0) {
        fuzz_file(data, size);
    } else {
        fuzz_chain(data, size);
    }
    return 0;
}
