/* Go's text read and printed again; texts that are cut anywhere, fed in any pieces, with memory
 * short. */
#include "emit/dump.h"
#include "ingest/go_text.h"
#include "support.h"

/* A dump with everything that its grammar has. */
static const char test_dump[] =
    "goroutine 1 [running]:\nmain.main()\n\t/src/a.go:1 +0x1\n\n"
    "goroutine 9 [select (no cases) (durable), 12 minutes, locked to thread, synctest bubble 4]:\n"
    "main.f({0xc000012345, 0x7}, ..., _, 0x1?)\n\t/src/a.go:2 +0x2\n"
    "main.inlined(...)\n\t/src/a.go:20\n"
    "created by main.main in goroutine 1\n\t/src/a.go:3 +0x3\n\n"
    "goroutine 10 [chan send (nil chan) (leaked) (scan)] {op: x, \"a b\": "
    "\"\\n\\\"\\x01\\u00e9\"}:\n"
    "main.(*T[...]).g-fm(0xffffffffffffffff)\n\t/src with space/a.go:2 +0x2\n\n"
    "goroutine 11 [chan receive (durable), synctest bubble 4]:\nmain.f()\n\t/src/a.go:2 +0x2\n"
    "...71 frames elided...\nmain.g(0x0)\n\t/src/a.go:9 +0x3\n\n"
    "goroutine 12 [running]:\n\tgoroutine running on other thread; stack unavailable\n"
    "created by main.main in goroutine 1\n\t/src/a.go:3 +0x3\n\n"
    "goroutine 13 [syscall]:\nnon-Go function at pc=0x4c1f\nc_wait\n\t/x.c:12 pc=0x4c2f\n"
    "runtime.cgocall(0x4b, 0xc0001)\n\t/r.go:157 +0x5c\n...additional frames elided...\n";

/* What is to be read, and how. */
struct test_text {
    const char *bytes;
    size_t size, piece;
    uint64_t dump;
};

/* Reads TEXT; *RET is NULL on failure. */
static struct error *test_read(const struct test_text *text, struct snapshot **ret)
{
    struct snapshot_builder *builder = NULL;
    struct go_text *reader = NULL;
    *ret = NULL;
    struct error *error = snapshot_builder_create(&builder);
    if (error == NULL) {
        error = go_text_create(builder, text->dump, &reader);
    }
    for (size_t at = 0; error == NULL && at < text->size; at += text->piece) {
        size_t left = text->size - at;
        error = go_text_feed(reader, text->bytes + at, left < text->piece ? left : text->piece);
    }
    if (error == NULL) {
        error = go_text_finish(reader);
    }
    go_text_destroy(reader);
    if (error != NULL) {
        snapshot_builder_destroy(builder);
        return error;
    }
    return snapshot_builder_finish(builder, ret);
}

/* Prints SNAPSHOT as Go's text; a heap string. */
static char *test_print(struct snapshot *snapshot)
{
    struct string_builder text = {0};
    struct emit_sink sink;
    struct dump_view view = {.snapshot = snapshot};
    char *result = NULL;
    assert_success(emit_sink_init(&sink, emit_sink_write_builder, &text));
    assert_success(dump_go_write(&view, &sink));
    emit_sink_deinit(&sink);
    assert_success(string_builder_take(&text, &result));
    return result;
}

/* Reads SIZE bytes in pieces, from memory that ends at an unmapped page, and prints them. */
static char *test_round(const char *bytes, size_t size, size_t piece)
{
    char *guarded = support_guarded(bytes, size);
    struct snapshot *snapshot = NULL;
    struct test_text text = {guarded, size, piece, 0};
    struct error *error = test_read(&text, &snapshot);
    support_guarded_free(guarded, size);
    assert_success(error);
    char *result = test_print(snapshot);
    snapshot_destroy(snapshot);
    return result;
}

/* What is printed equals what was read, in pieces of every size. */
static void test_round_trip(void **state)
{
    (void)state;
    size_t size = sizeof test_dump - 1;
    for (size_t piece = 1; piece <= size; piece = piece * 5 / 4 + 1) {
        char *text = test_round(test_dump, size, piece);
        assert_string_equal(text, test_dump);
        free(text);
    }
}

/* A text cut anywhere is read up to there, and what came of it reads the same again. */
static void test_truncated(void **state)
{
    (void)state;
    for (size_t size = 23; size < sizeof test_dump - 1; size++) {
        char *first = test_round(test_dump, size, size);
        char *second = test_round(first, strlen(first), 7);
        assert_string_equal(first, second);
        free(first);
        free(second);
    }
}

/* The goroutine ID of what SNAPSHOT holds. */
static const struct snapshot_goroutine *test_find(const struct snapshot *snapshot, uint64_t id)
{
    const struct snapshot_goroutine *found = snapshot_find_goroutine(snapshot, id);
    assert_non_null(found);
    return found;
}

/* What headers say. */
static void test_headers(void **state)
{
    (void)state;
    struct snapshot *snapshot;
    struct test_text text = {test_dump, sizeof test_dump - 1, 100, 0};
    assert_success(test_read(&text, &snapshot));
    const struct snapshot_goroutine *durable = test_find(snapshot, 9);
    assert_int_equal(durable->wait_reason, WAIT_REASON_SELECT_NO_CASES);
    assert_int_equal(durable->age_ns, INT64_C(720000000000));
    assert_int_equal(durable->bubble, 4);
    assert_int_equal(durable->parent, 1);
    assert_true((durable->flags & GOROUTINE_LOCKED) != 0);
    size_t count;
    const struct snapshot_wait *waits = snapshot_waits(snapshot, durable, &count);
    assert_int_equal(count, 1);
    assert_int_equal(snapshot_object(snapshot, waits[0].object)->kind, OBJECT_EMPTY_SELECT);
    const struct snapshot_goroutine *leaked = test_find(snapshot, 10);
    assert_int_equal(leaked->status, GOROUTINE_STATUS_LEAKED);
    assert_true((leaked->flags & (GOROUTINE_LEAKED | GOROUTINE_SCAN)) != 0);
    assert_true((leaked->flags & GOROUTINE_CREATOR_UNKNOWN) != 0);
    const struct snapshot_label *labels = snapshot_labels(snapshot, leaked->labels, &count);
    assert_int_equal(count, 2);
    assert_string_equal(snapshot_string(snapshot, labels[1].value), "\n\"\x01\xc3\xa9");
    assert_int_equal(test_find(snapshot, 11)->wait_reason, WAIT_REASON_CHAN_RECEIVE_DURABLE);
    assert_true((test_find(snapshot, 12)->flags & GOROUTINE_STACK_UNKNOWN) != 0);
    uint64_t words[8];
    snapshot_arguments(snapshot, durable, words, 8, &count);
    assert_int_equal(count, 3);
    assert_true(words[0] == 0xc000012345 && words[1] == 7 && words[2] == 1);
    snapshot_destroy(snapshot);
}

/* Lines that look like Go's text and are not. */
static void test_foreign(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "\n\n\n",
        "goroutine",
        "goroutine 1",
        "goroutine 1 [",
        "goroutine 1 [running",
        "goroutine x [running]:\n",
        "goroutine 99999999999999999999999 [running]:\n",
        "goroutine 1 [running] {a: \"b}:\n",
        "goroutine 1 [running]: and more\n",
        "{\"log\":\"goroutine 1 [running\\n\"}\n",
        "goroutine 1 gp=0x1 [running]:\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t size = strlen(texts[i]);
        char *guarded = support_guarded(texts[i], size == 0 ? 1 : size);
        struct snapshot *snapshot;
        struct test_text text = {guarded, size, size + 1, 0};
        assert_error(test_read(&text, &snapshot), ERROR_NOT_FOUND);
        support_guarded_free(guarded, size == 0 ? 1 : size);
    }
}

/* Dumps behind each other, by number. */
static void test_dumps(void **state)
{
    (void)state;
    static const char both[] = "goroutine 1 [running]:\nmain.a()\n\t/a.go:1\n\n"
                               "goroutine 2 [select]:\nmain.a()\n\t/a.go:1\n\n"
                               "LOG\npanic: boom\n\ngoroutine 7 [running]:\nmain.b()\n\t/a.go:2\n";
    for (uint64_t dump = 0; dump <= 3; dump++) {
        struct snapshot *snapshot;
        size_t count = 0;
        size_t notes;
        struct test_text text = {both, sizeof both - 1, 11, dump};
        if (dump == 3) {
            assert_error(test_read(&text, &snapshot), ERROR_NOT_FOUND);
            continue;
        }
        assert_success(test_read(&text, &snapshot));
        (void)snapshot_goroutines(snapshot, &count);
        assert_int_equal(count, dump == 1 ? 2 : 1);
        (void)snapshot_notes(snapshot, &notes);
        assert_int_equal(notes, dump == 1 ? 1 : 2);
        snapshot_destroy(snapshot);
    }
}

/* Reads the dump wrapped in JSON strings, for test_memory. */
static struct error *test_work(void *context)
{
    struct snapshot *snapshot = NULL;
    struct error *error = test_read(context, &snapshot);
    snapshot_destroy(snapshot);
    return error;
}

/* No allocation may fail unnoticed. */
static void test_memory(void **state)
{
    (void)state;
    static const char wrapped[] =
        "x\n{\"log\":\"goroutine 1 "
        "[running]:\\n\",\"stream\":\"stderr\"}\n{\"log\":\"main.a(0x1)\\n\"}\n"
        "{\"log\":\"\\t/a.go:1\\n\"}\n{\"log\":\"\\n\"}\n{\"log\":\"goroutine 2 [select]:\\n\"}\n";
    struct test_text plain = {test_dump, sizeof test_dump - 1, 64, 0};
    struct test_text strings = {wrapped, sizeof wrapped - 1, 50, 0};
    support_exhaust(test_work, &plain);
    support_exhaust(test_work, &strings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_headers),    cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_dumps),      cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
