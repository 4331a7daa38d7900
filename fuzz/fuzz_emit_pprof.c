/* Profiles as pprof files: reading never does more than the bytes are worth; what was read is
 * written goroutine by goroutine, and reading that gives the same goroutines. */
#include "emit/pprof_write.h"
#include "ingest/ingest.h"
#include <stdlib.h>

/* Reads BYTES; NULL when they are refused, for REFUSED. */
static struct snapshot *fuzz_read(const uint8_t *bytes, size_t size, enum error_code *refused)
{
    struct snapshot_builder *builder;
    struct snapshot *snapshot = NULL;
    struct error *error = snapshot_builder_create(&builder);
    if (error == NULL) {
        error = ingest_pprof_read(bytes, size, builder);
        if (error != NULL) {
            snapshot_builder_destroy(builder);
        } else {
            error = snapshot_builder_finish(builder, &snapshot);
        }
    }
    if (error != NULL) {
        *refused = error_code(error);
        error_destroy(error);
        return NULL;
    }
    return snapshot;
}

/* Writes SNAPSHOT into TEXT. */
static void fuzz_write(const struct snapshot *snapshot, struct string_builder *text)
{
    struct emit_sink sink;
    struct pprof_view view = {.snapshot = snapshot, .kind = PPROF_GOROUTINES, .detail = PPROF_EACH};
    struct error *error = emit_sink_init(&sink, emit_sink_write_builder, text);
    if (error == NULL) {
        error = pprof_write(&view, &sink);
        emit_sink_deinit(&sink);
    }
    if (error != NULL) {
        abort();
    }
}

/* Aborts unless both hold the same goroutines. */
static void fuzz_compare(const struct snapshot *left, const struct snapshot *right)
{
    size_t count;
    size_t again;
    const struct snapshot_goroutine *a = snapshot_goroutines(left, &count);
    const struct snapshot_goroutine *b = snapshot_goroutines(right, &again);
    const uint16_t kept = GOROUTINE_LEAKED | GOROUTINE_ID_UNKNOWN;
    if (count != again) {
        abort();
    }
    for (size_t i = 0; i < count; i++) {
        bool known = (a[i].flags & GOROUTINE_ID_UNKNOWN) == 0;
        bool marked = a[i].status != GOROUTINE_STATUS_UNKNOWN;
        uint16_t flags =
            (uint16_t)((a[i].flags ^ b[i].flags) & (marked ? kept : GOROUTINE_ID_UNKNOWN));
        if (a[i].count != b[i].count || a[i].status != b[i].status || flags != 0 ||
            a[i].wait_reason != b[i].wait_reason || a[i].age_ns != b[i].age_ns ||
            (known && a[i].id != b[i].id)) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum error_code refused;
    struct snapshot *first = fuzz_read(data, size, &refused);
    if (first == NULL) {
        return 0;
    }
    struct string_builder text = {0};
    fuzz_write(first, &text);
    struct snapshot *second = fuzz_read((const uint8_t *)text.text, text.size, &refused);
    if (second != NULL) {
        fuzz_compare(first, second);
    } else if (refused != ERROR_LIMIT) {
        abort();
    }
    snapshot_destroy(first);
    snapshot_destroy(second);
    string_builder_deinit(&text);
    return 0;
}
