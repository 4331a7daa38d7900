/* Go's text, hostile: whatever is read prints as a text that reads and prints the same again, and
 * fed in pieces it reads as when fed at once. The first byte chooses the pieces and the dump. */
#include "emit/dump.h"
#include "ingest/go_text.h"
#include <stdlib.h>
#include <string.h>

enum { FUZZ_SIZE_MAX = 8000 };

/* Frees what a failure left. */
static struct snapshot *fuzz_none(struct error *error, struct snapshot_builder *builder)
{
    error_destroy(error);
    snapshot_builder_destroy(builder);
    return NULL;
}

/* Reads SIZE bytes of TEXT in pieces of PIECE; NULL when they hold no dump. */
static struct snapshot *fuzz_read(const char *text, size_t size, size_t piece, uint64_t dump)
{
    struct snapshot_builder *builder = NULL;
    struct snapshot *snapshot = NULL;
    struct go_text *reader = NULL;
    struct error *error = snapshot_builder_create(&builder);
    if (error == NULL) {
        error = go_text_create(builder, dump, &reader);
    }
    for (size_t at = 0; error == NULL && at < size; at += piece) {
        error = go_text_feed(reader, text + at, size - at < piece ? size - at : piece);
    }
    if (error == NULL) {
        error = go_text_finish(reader);
    }
    go_text_destroy(reader);
    if (error != NULL && error_code(error) != ERROR_NOT_FOUND) {
        abort(); /* no text is beyond reading */
    }
    if (error != NULL) {
        return fuzz_none(error, builder);
    }
    error = snapshot_builder_finish(builder, &snapshot);
    return error != NULL ? fuzz_none(error, NULL) : snapshot;
}

/* Prints SNAPSHOT, which is freed, as Go's text. */
static void fuzz_print(struct snapshot *snapshot, struct string_builder *ret)
{
    struct emit_sink sink;
    struct dump_view view = {.snapshot = snapshot};
    struct error *error = emit_sink_init(&sink, emit_sink_write_builder, ret);
    if (error == NULL) {
        error = dump_go_write(&view, &sink);
        emit_sink_deinit(&sink);
    }
    snapshot_destroy(snapshot);
    if (error != NULL) {
        abort();
    }
}

/* True when both texts are equal. */
static bool fuzz_equal(const struct string_builder *a, const struct string_builder *b)
{
    return a->size == b->size && (a->size == 0 || memcmp(a->text, b->text, a->size) == 0);
}

/* Entry point of the fuzzer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > FUZZ_SIZE_MAX) {
        return 0;
    }
    const char *text = (const char *)data + 1;
    uint64_t dump = data[0] & 3;
    size_t piece = (size_t)(data[0] >> 2) + 1;
    struct string_builder first = {0};
    struct string_builder pieces = {0};
    struct string_builder second = {0};
    struct snapshot *whole = fuzz_read(text, size - 1, size, dump);
    struct snapshot *parts = fuzz_read(text, size - 1, piece, dump);
    if ((whole == NULL) != (parts == NULL)) {
        abort();
    }
    if (whole != NULL) {
        fuzz_print(whole, &first);
        fuzz_print(parts, &pieces);
        if (!fuzz_equal(&first, &pieces)) {
            abort();
        }
    }
    if (first.size > 0) {
        struct snapshot *again = fuzz_read(first.text, first.size, first.size, 0);
        if (again == NULL) {
            abort();
        }
        fuzz_print(again, &second);
        if (!fuzz_equal(&first, &second)) {
            abort();
        }
    }
    string_builder_deinit(&first);
    string_builder_deinit(&pieces);
    string_builder_deinit(&second);
    return 0;
}
