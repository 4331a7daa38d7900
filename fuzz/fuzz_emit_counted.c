/* Profiles as text (debug=1): what was read is written, and reading that gives as many goroutines.
 */
#include "emit/counted_write.h"
#include "ingest/ingest.h"
#include <stdlib.h>
#include <string.h>

/* Reads BYTES; NULL when they are refused. */
static struct snapshot *fuzz_read(const void *bytes, size_t size)
{
    struct snapshot_builder *builder;
    struct snapshot *snapshot = NULL;
    struct error *error = snapshot_builder_create(&builder);
    if (error == NULL) {
        error = ingest_counted_read(bytes, size, builder);
        if (error != NULL) {
            snapshot_builder_destroy(builder);
        } else {
            error = snapshot_builder_finish(builder, &snapshot);
        }
    }
    error_destroy(error);
    return snapshot;
}

/* Writes SNAPSHOT into TEXT. */
static void fuzz_write(const struct snapshot *snapshot, struct string_builder *text)
{
    struct emit_sink sink;
    struct goroutine_counts_view view = {.snapshot = snapshot};
    struct error *error = emit_sink_init(&sink, emit_sink_write_builder, text);
    if (error == NULL) {
        error = counted_write(&view, &sink);
        emit_sink_deinit(&sink);
    }
    if (error != NULL) {
        abort();
    }
}

/* Goroutines in all. */
static uint64_t fuzz_count(const struct snapshot *snapshot)
{
    size_t count;
    uint64_t total = 0;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(snapshot, &count);
    for (size_t i = 0; i < count; i++) {
        total += goroutines[i].count;
    }
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct snapshot *first = fuzz_read(data, size);
    if (first == NULL) {
        return 0;
    }
    struct string_builder text = {0};
    fuzz_write(first, &text);
    struct snapshot *second = fuzz_read(text.text, text.size);
    uint64_t total = fuzz_count(first);
    if (second == NULL ? total <= UINT32_MAX : fuzz_count(second) != total) {
        abort();
    }
    snapshot_destroy(first);
    snapshot_destroy(second);
    string_builder_deinit(&text);
    return 0;
}
