/* Profiles, read and written: pprof files built byte by byte, right and wrong; counted text. */
#include "emit/counted_write.h"
#include "emit/pprof_write.h"
#include "ingest/ingest.h"
#include "ingest/pprof_marks.h"
#include "support.h"
#include <zlib.h>

/* Appends a varint. */
static void test_varint(struct string_builder *to, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) {
        string_builder_add_char(to, (char)(value | 0x80));
    }
    string_builder_add_char(to, (char)value);
}

/* Appends field NUMBER, a varint. */
static void test_number(struct string_builder *to, unsigned number, uint64_t value)
{
    test_varint(to, (uint64_t)number << 3);
    test_varint(to, value);
}

/* Appends field NUMBER, bytes. */
static void test_bytes(struct string_builder *to, unsigned number, const char *bytes, size_t size)
{
    test_varint(to, (uint64_t)number << 3 | 2);
    test_varint(to, size);
    string_builder_add_bytes(to, bytes, size);
}

/* Appends field NUMBER, the message PART, which is emptied. */
static void test_message(struct string_builder *to, unsigned number, struct string_builder *part)
{
    test_bytes(to, number, string_builder_text(part), part->size);
    string_builder_clear(part);
}

/* The strings of the profiles here, by index. */
static const char *const test_strings[] = {
    "",         "goroutine",     "count", "main.f",          "/src/f.go",        "main.inlined",
    "op",       "fetch",         "goid",  "state",           "running",          "cpu",
    "panicked", "goroutineleak", "wait",  "runtime.gopanic", "nanoseconds",      "/usr/bin/api",
    "build-id", "running",       "bytes", "runtime.gopark",  PPROF_MARKS_COMMENT};
enum {
    STRING_GOROUTINE = 1,
    STRING_COUNT,
    STRING_F,
    STRING_FILE,
    STRING_INLINED,
    STRING_OP,
    STRING_FETCH,
    STRING_GOID,
    STRING_STATE,
    STRING_RUNNING,
    STRING_CPU,
    STRING_LEAK = 13,
    STRING_GOPANIC = 15,
    STRING_EXECUTABLE = 17,
    STRING_BUILD_ID,
    STRING_BYTES = 20,
    STRING_GOPARK,
    STRING_MARK
};

/* Appends sample type, tables: functions 1 main.f, 2 main.inlined, 3 runtime.gopanic; locations 7
 * (main.inlined within main.f), 8 runtime.gopanic, 9 without lines. */
static void test_tables(struct string_builder *file, unsigned type)
{
    struct string_builder part = {0};
    struct string_builder line = {0};
    const unsigned names[] = {STRING_F, STRING_INLINED, STRING_GOPANIC};
    test_number(&part, 1, type);
    test_number(&part, 2, STRING_COUNT);
    test_message(file, 1, &part);
    for (unsigned i = 0; i < 3; i++) {
        test_number(&part, 1, i + 1);
        test_number(&part, 2, names[i]);
        test_number(&part, 4, STRING_FILE);
        test_message(file, 5, &part);
    }
    test_number(&part, 1, 7);
    test_number(&part, 3, 0x401234);
    for (unsigned function = 2; function >= 1; function--) {
        test_number(&line, 1, function);
        test_number(&line, 2, 10 * function);
        test_message(&part, 4, &line);
    }
    test_message(file, 4, &part);
    test_number(&part, 1, 8);
    test_number(&line, 1, 3);
    test_message(&part, 4, &line);
    test_message(file, 4, &part);
    test_number(&part, 1, 9);
    test_number(&part, 3, 0x405678);
    test_message(file, 4, &part);
    test_number(&part, 1, 1);
    test_number(&part, 5, STRING_EXECUTABLE);
    test_number(&part, 6, STRING_BUILD_ID);
    test_message(file, 3, &part);
    for (size_t i = 0; i < sizeof test_strings / sizeof *test_strings; i++) {
        test_bytes(file, 6, test_strings[i], strlen(test_strings[i]));
    }
    string_builder_deinit(&part);
    string_builder_deinit(&line);
}

/* Appends a sample of COUNT goroutines at LOCATION; more may be in EXTRA, which is emptied. */
static void test_sample(struct string_builder *file, uint64_t location, uint64_t count,
                        struct string_builder *extra)
{
    struct string_builder part = {0};
    test_number(&part, 1, location);
    test_number(&part, 2, count);
    if (extra != NULL) {
        string_builder_add_bytes(&part, string_builder_text(extra), extra->size);
        string_builder_clear(extra);
    }
    test_message(file, 2, &part);
    string_builder_deinit(&part);
}

/* Appends a label to a sample's EXTRA. */
static void test_label(struct string_builder *extra, unsigned key, unsigned text, uint64_t number)
{
    struct string_builder label = {0};
    test_number(&label, 1, key);
    test_number(&label, text != 0 ? 2 : 3, text != 0 ? text : number);
    test_message(extra, 3, &label);
    string_builder_deinit(&label);
}

/* Reads BYTES. */
static struct error *test_read(const void *bytes, size_t size, struct snapshot **ret)
{
    struct snapshot_builder *builder;
    TRY(snapshot_builder_create(&builder));
    struct error *error = ingest_pprof_read(bytes, size, builder);
    if (error != NULL) {
        snapshot_builder_destroy(builder);
        return error;
    }
    return snapshot_builder_finish(builder, ret);
}

/* Expects FILE, which is freed, to be refused. */
static void test_refused(struct string_builder *file, enum error_code code)
{
    struct snapshot *snapshot = NULL;
    void *guarded = support_guarded(file->text, file->size);
    assert_error(test_read(guarded, file->size, &snapshot), code);
    support_guarded_free(guarded, file->size);
    string_builder_deinit(file);
}

/* The name of frame NUMBER of the stack of GOROUTINE. */
static const char *test_name(const struct snapshot *snapshot,
                             const struct snapshot_goroutine *goroutine, size_t number)
{
    size_t count;
    const uint32_t *frames = snapshot_stack(snapshot, goroutine->stack, &count);
    assert_true(number < count);
    return snapshot_string(snapshot, snapshot_frame(snapshot, frames[number])->function);
}

/* A profile as Go writes it, in every detail. */
static void test_reads(void **state)
{
    (void)state;
    struct string_builder file = {0};
    struct string_builder extra = {0};
    test_label(&extra, STRING_OP, STRING_FETCH, 0);
    test_label(&extra, STRING_STATE, STRING_RUNNING, 0);
    test_label(&extra, STRING_GOID, 0, 17);
    test_sample(&file, 7, 3, &extra);
    test_sample(&file, 8, 0, NULL);
    test_sample(&file, 8, UINT32_MAX, NULL);
    test_tables(&file, STRING_GOROUTINE);
    struct snapshot *snapshot = NULL;
    assert_success(test_read(file.text, file.size, &snapshot));
    size_t count;
    const struct snapshot_goroutine *all = snapshot_goroutines(snapshot, &count);
    assert_int_equal(count, 2);
    assert_int_equal(all[0].count, 3);
    assert_int_equal(all[1].count, UINT32_MAX);
    assert_int_equal(all[0].flags, GOROUTINE_ID_UNKNOWN | GOROUTINE_CREATOR_UNKNOWN);
    assert_int_equal(all[0].status, GOROUTINE_STATUS_UNKNOWN);
    assert_string_equal(test_name(snapshot, &all[0], 0), "main.inlined");
    assert_string_equal(test_name(snapshot, &all[0], 1), "main.f");
    assert_string_equal(test_name(snapshot, &all[1], 0), "panic");
    const uint32_t *frames = snapshot_stack(snapshot, all[0].stack, &count);
    assert_int_equal(snapshot_frame(snapshot, frames[0])->flags, FRAME_INLINED);
    assert_int_equal(snapshot_frame(snapshot, frames[0])->line, 20);
    assert_int_equal(snapshot_frame(snapshot, frames[1])->pc, 0x401234);
    const struct snapshot_label *labels = snapshot_labels(snapshot, all[0].labels, &count);
    assert_int_equal(count, 3); /* without the comment, names like ours mean nothing */
    assert_string_equal(snapshot_string(snapshot, labels[1].value), "running");
    assert_string_equal(snapshot_string(snapshot, labels[2].value), "17");
    const struct snapshot_program *program = snapshot_program(snapshot);
    assert_string_equal(snapshot_string(snapshot, program->executable), "/usr/bin/api");
    assert_string_equal(snapshot_string(snapshot, program->build_id), "build-id");
    snapshot_destroy(snapshot);
    string_builder_deinit(&file);
    string_builder_deinit(&extra);
}

/* Ids, states and ages come back; ids that are not unique or not there for all do not. */
static void test_marks(void **state)
{
    (void)state;
    for (unsigned second = 0; second <= 18; second += 9) {
        struct string_builder file = {0};
        struct string_builder extra = {0};
        test_number(&file, 13, STRING_MARK);
        test_label(&extra, STRING_GOID, 0, 9);
        test_label(&extra, STRING_STATE, STRING_RUNNING, 0);
        test_sample(&file, 9, 1, &extra);
        if (second != 0) {
            test_label(&extra, STRING_GOID, 0, second);
        }
        test_sample(&file, 9, 1, &extra);
        test_tables(&file, STRING_GOROUTINE);
        struct snapshot *snapshot = NULL;
        assert_success(test_read(file.text, file.size, &snapshot));
        size_t count;
        const struct snapshot_goroutine *all = snapshot_goroutines(snapshot, &count);
        assert_int_equal(count, 2);
        assert_int_equal((all[0].flags & GOROUTINE_ID_UNKNOWN) == 0, second == 18);
        assert_int_equal(all[1].id, second == 18 ? 18 : 2);
        assert_int_equal(all[0].status, GOROUTINE_STATUS_RUNNING);
        snapshot_destroy(snapshot);
        string_builder_deinit(&file);
        string_builder_deinit(&extra);
    }
}

/* What breaks the format, or goes beyond all reason. */
static void test_refuses(void **state)
{
    (void)state;
    const struct {
        uint64_t location, count;
        unsigned type;
        enum error_code code;
    } samples[] = {
        {7, UINT64_C(1) << 40, STRING_GOROUTINE, ERROR_LIMIT},
        {7, (uint64_t)-3, STRING_GOROUTINE, ERROR_CORRUPT},
        {77, 1, STRING_GOROUTINE, ERROR_CORRUPT},
        {0, 1, STRING_GOROUTINE, ERROR_CORRUPT},
        {7, 0, STRING_GOROUTINE, ERROR_NOT_FOUND},
        {7, 1, STRING_CPU, ERROR_UNSUPPORTED},
        {7, 1, 1000, ERROR_CORRUPT},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct string_builder file = {0};
        test_sample(&file, samples[i].location, samples[i].count, NULL);
        test_tables(&file, samples[i].type);
        test_refused(&file, samples[i].code);
    }
    static const struct {
        const char *bytes;
        size_t size;
    } tails[] = {
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11}, /* a varint of 71 bits */
        {"\x13", 1},                                          /* a group */
        {"\x07", 1},                                          /* no wire type */
        {"\x00\x00", 2},                                      /* field 0 */
        {"\x12\xff\xff\xff\xff\x0f", 6},                      /* 4 GiB of sample */
        {"\x22\x02\x08\x07", 4},                              /* location 7 again */
        {"\x22\x00", 2},                                      /* a location without id */
        {"\x2a\x02\x08\x01", 4},                              /* function 1 again */
        {"\x12\x04\x08\x07\x10", 5},                          /* a sample that ends early */
        {"\x12\x02\x08\x07", 4},                              /* a sample without a value */
        {"\x12\x06\x08\x07\x10\x01\x10\x01", 8},              /* a sample with two values */
        {"\x12\x09\x08\x07\x10\x01\x1a\x03\x08\xff\x01", 11}, /* a label with no such key */
    };
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        struct string_builder file = {0};
        test_sample(&file, 7, 1, NULL);
        test_tables(&file, STRING_GOROUTINE);
        string_builder_add_bytes(&file, tails[i].bytes, tails[i].size);
        test_refused(&file, ERROR_CORRUPT);
    }
}

/* Whatever a file is cut to is an error or a smaller profile, and nothing is read behind its end.
 */
static void test_cut(void **state)
{
    (void)state;
    struct string_builder file = {0};
    struct string_builder extra = {0};
    test_label(&extra, STRING_OP, STRING_FETCH, 0);
    test_sample(&file, 7, 3, &extra);
    test_tables(&file, STRING_GOROUTINE);
    for (size_t size = 0; size < file.size; size++) {
        struct snapshot *snapshot = NULL;
        void *guarded = support_guarded(file.text, size);
        struct error *error = test_read(guarded, size, &snapshot);
        assert_true((error == NULL) == (snapshot != NULL));
        error_destroy(error);
        snapshot_destroy(snapshot);
        support_guarded_free(guarded, size);
    }
    string_builder_deinit(&file);
    string_builder_deinit(&extra);
}

/* A small file whose stacks would be millions of frames. */
static void test_long_stacks(void **state)
{
    (void)state;
    struct string_builder file = {0};
    struct string_builder part = {0};
    struct string_builder line = {0};
    test_number(&part, 1, 5);
    for (size_t i = 0; i < 1000; i++) {
        test_number(&line, 1, 1);
        test_message(&part, 4, &line);
    }
    test_message(&file, 4, &part);
    for (size_t i = 0; i < 1000; i++) {
        test_number(&part, 1, 5);
    }
    test_number(&part, 2, 1);
    test_message(&file, 2, &part);
    test_tables(&file, STRING_GOROUTINE);
    string_builder_deinit(&part);
    string_builder_deinit(&line);
    test_refused(&file, ERROR_LIMIT);
}

/* A small gzip stream that would fill the memory. */
static void test_bomb(void **state)
{
    (void)state;
    const uLong size = 128ul << 20;
    uLongf packed = compressBound(size) + 32;
    char *zeros = calloc(1, size);
    char *bytes = malloc(packed);
    z_stream zlib = {0};
    assert_true(zeros != NULL && bytes != NULL);
    assert_int_equal(deflateInit2(&zlib, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    zlib.next_in = (Bytef *)zeros;
    zlib.avail_in = (uInt)size;
    zlib.next_out = (Bytef *)bytes;
    zlib.avail_out = (uInt)packed;
    assert_int_equal(deflate(&zlib, Z_FINISH), Z_STREAM_END);
    struct snapshot *snapshot = NULL;
    assert_error(test_read(bytes, zlib.total_out, &snapshot), ERROR_LIMIT);
    assert_error(test_read(bytes, zlib.total_out / 4096, &snapshot), ERROR_CORRUPT);
    (void)deflateEnd(&zlib);
    free(zeros);
    free(bytes);
}

/* Writes SNAPSHOT. */
static struct error *test_write(const struct snapshot *snapshot, enum pprof_kind kind,
                                enum pprof_detail detail, struct string_builder *text)
{
    struct emit_sink sink;
    struct pprof_view view = {.snapshot = snapshot, .kind = kind, .detail = detail};
    string_builder_clear(text);
    TRY(emit_sink_init(&sink, emit_sink_write_builder, text));
    struct error *error = pprof_write(&view, &sink);
    emit_sink_deinit(&sink);
    return error;
}

/* Four goroutines: two equal ones that leaked, one with another label, one of the runtime's. */
static struct snapshot *test_program(void)
{
    struct string_builder file = {0};
    struct string_builder extra = {0};
    test_number(&file, 13, STRING_MARK);
    for (unsigned goid = 4; goid <= 6; goid++) {
        test_label(&extra, STRING_GOID, 0, goid);
        test_label(&extra, STRING_OP, goid == 6 ? STRING_GOPARK : STRING_FETCH, 0);
        test_label(&extra, STRING_STATE, STRING_RUNNING, 0);
        test_sample(&file, 7, 1, &extra);
    }
    test_tables(&file, STRING_GOROUTINE);
    struct snapshot *snapshot = NULL;
    assert_success(test_read(file.text, file.size, &snapshot));
    string_builder_deinit(&file);
    string_builder_deinit(&extra);
    return snapshot;
}

/* What is written is read back, equal goroutines counted; the same view gives the same bytes. */
static void test_round_trip(void **state)
{
    (void)state;
    struct snapshot *snapshot = test_program();
    struct string_builder text = {0};
    struct string_builder again = {0};
    const size_t entries[] = {[PPROF_COUNTS] = 2, [PPROF_STATES] = 2, [PPROF_EACH] = 3};
    for (int detail = PPROF_COUNTS; detail <= PPROF_EACH; detail++) {
        struct snapshot *copy = NULL;
        size_t count;
        assert_success(test_write(snapshot, PPROF_BOTH, (enum pprof_detail)detail, &text));
        assert_success(test_write(snapshot, PPROF_BOTH, (enum pprof_detail)detail, &again));
        assert_int_equal(text.size, again.size);
        assert_memory_equal(text.text, again.text, text.size);
        assert_success(test_read(text.text, text.size, &copy));
        const struct snapshot_goroutine *all = snapshot_goroutines(copy, &count);
        assert_int_equal(count, entries[detail]);
        assert_int_equal(all[0].count, detail == PPROF_EACH ? 1 : 2);
        assert_int_equal(all[0].id, detail == PPROF_EACH ? 4 : 1);
        assert_int_equal(all[0].status, detail == PPROF_COUNTS ? GOROUTINE_STATUS_UNKNOWN
                                                               : GOROUTINE_STATUS_RUNNING);
        assert_string_equal(test_name(copy, &all[0], 1), "main.f");
        snapshot_destroy(copy);
    }
    struct snapshot *none = NULL;
    assert_success(test_write(snapshot, PPROF_LEAKS, PPROF_COUNTS, &text));
    assert_error(test_read(text.text, text.size, &none), ERROR_NOT_FOUND);
    string_builder_deinit(&text);
    string_builder_deinit(&again);
    snapshot_destroy(snapshot);
}

/* Reads a counted text of SIZE bytes. */
static struct error *test_read_counted(const char *text, size_t size, struct snapshot **ret)
{
    struct snapshot_builder *builder;
    TRY(snapshot_builder_create(&builder));
    struct error *error = ingest_counted_read((const uint8_t *)text, size, builder);
    if (error != NULL) {
        snapshot_builder_destroy(builder);
        return error;
    }
    return snapshot_builder_finish(builder, ret);
}

static const char test_counted_text[] = "goroutine profile: total 3\n"
                                        "2 @ 0x401001 0x402001\n"
                                        "# labels: {\"a\\n\":\"\\u00e9\", \"op\":\"fetch\"}\n"
                                        "#\t0x402000\tmain.f+0x10\t\t/src/f.go:10\n"
                                        "#\t0x403000\tmain.longer+0x1f\t/src/f.go:200\n"
                                        "\n"
                                        "1 @ 0x401001\n"
                                        "#\t0x401000\truntime.gopark+0x0\t/src/proc.go:1\n"
                                        "\n";

/* Counted text, to the byte but for the addresses that were not named. */
static void test_counted(void **state)
{
    (void)state;
    struct snapshot *snapshot = NULL;
    assert_success(test_read_counted(test_counted_text, sizeof test_counted_text - 1, &snapshot));
    size_t count;
    const struct snapshot_goroutine *all = snapshot_goroutines(snapshot, &count);
    assert_int_equal(count, 2);
    assert_int_equal(all[0].count, 2);
    const uint32_t *frames = snapshot_stack(snapshot, all[0].stack, &count);
    assert_int_equal(count, 3);
    assert_int_equal(snapshot_frame(snapshot, frames[0])->flags, FRAME_ELIDED);
    assert_int_equal(snapshot_frame(snapshot, frames[0])->line, 1);
    assert_int_equal(snapshot_frame(snapshot, frames[1])->entry_offset, 0x11);
    const struct snapshot_label *labels = snapshot_labels(snapshot, all[0].labels, &count);
    assert_int_equal(count, 2);
    assert_string_equal(snapshot_string(snapshot, labels[0].key), "a\n");
    assert_string_equal(snapshot_string(snapshot, labels[0].value), "\xc3\xa9");
    (void)snapshot_notes(snapshot, &count);
    assert_int_equal(count, 0);
    struct string_builder text = {0};
    struct emit_sink sink;
    struct goroutine_counts_view view = {.snapshot = snapshot};
    assert_success(emit_sink_init(&sink, emit_sink_write_builder, &text));
    assert_success(counted_write(&view, &sink));
    assert_string_equal(text.text, "goroutine profile: total 3\n"
                                   "2 @ 0x402001 0x403001\n"
                                   "# labels: {\"a\\n\":\"\xc3\xa9\", \"op\":\"fetch\"}\n"
                                   "#\t?\t\t...1 frames elided...\t:0\n"
                                   "#\t0x402000\tmain.f+0x10\t\t/src/f.go:10\n"
                                   "#\t0x403000\tmain.longer+0x1f\t/src/f.go:200\n"
                                   "\n"
                                   "1 @ 0x401001\n"
                                   "#\t0x401000\truntime.gopark+0x0\t/src/proc.go:1\n"
                                   "\n");
    emit_sink_deinit(&sink);
    string_builder_deinit(&text);
    snapshot_destroy(snapshot);
}

/* Counted text that is cut, hostile or absurd. */
static void test_counted_hostile(void **state)
{
    (void)state;
    const size_t whole = sizeof test_counted_text - 1;
    for (size_t size = 0; size < whole; size++) {
        struct snapshot *snapshot = NULL;
        char *guarded = support_guarded(test_counted_text, size);
        error_destroy(test_read_counted(guarded, size, &snapshot));
        snapshot_destroy(snapshot);
        support_guarded_free(guarded, size);
    }
    static const struct {
        const char *text;
        enum error_code code;
    } texts[] = {
        {"", ERROR_CORRUPT},
        {"goroutine profile: total 0\n", ERROR_NOT_FOUND},
        {"goroutine profile: total 1\n99999999999 @ 0x1\n", ERROR_LIMIT},
        {"goroutine profile: total 1\n99999999999999999999999 @ 0x1\n", ERROR_NOT_FOUND},
        {"goroutine profile: total 1\n1 @ 0x1\n# labels: {\"\n#\t0xzz\n#\t0x1\t+0x\t:\n#\n# \n", 0},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct snapshot *snapshot = NULL;
        struct error *error = test_read_counted(texts[i].text, strlen(texts[i].text), &snapshot);
        if (texts[i].code == 0) {
            assert_success(error);
        } else {
            assert_error(error, texts[i].code);
        }
        snapshot_destroy(snapshot);
    }
}

/* Reads and writes, for running out of memory at every step. */
static struct error *test_exhaustible(void *context)
{
    const struct string_builder *file = context;
    struct snapshot *snapshot = NULL;
    struct string_builder text = {0};
    TRY(test_read(file->text, file->size, &snapshot));
    struct error *error = test_write(snapshot, PPROF_BOTH, PPROF_EACH, &text);
    string_builder_deinit(&text);
    snapshot_destroy(snapshot);
    return error;
}

/* Memory may end anywhere. */
static void test_exhaustion(void **state)
{
    (void)state;
    struct snapshot *snapshot = test_program();
    struct string_builder file = {0};
    assert_success(test_write(snapshot, PPROF_GOROUTINES, PPROF_EACH, &file));
    snapshot_destroy(snapshot);
    support_exhaust(test_exhaustible, &file);
    string_builder_deinit(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),           cmocka_unit_test(test_marks),
        cmocka_unit_test(test_refuses),         cmocka_unit_test(test_cut),
        cmocka_unit_test(test_long_stacks),     cmocka_unit_test(test_bomb),
        cmocka_unit_test(test_round_trip),      cmocka_unit_test(test_counted),
        cmocka_unit_test(test_counted_hostile), cmocka_unit_test(test_exhaustion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
