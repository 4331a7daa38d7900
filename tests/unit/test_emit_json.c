/* JSON: the writer itself, then dumps and process lists, all parsed back by another library. */
#include "emit/dump.h"
#include "emit/json_writer.h"
#include "emit/ps.h"
#include "snapshot_fixture.h"
#include <jansson.h>

/* A sink into a string. */
struct test_output {
    struct string_builder text;
    struct emit_sink sink;
};

/* Opens OUTPUT. */
static void test_open(struct test_output *output)
{
    *output = (struct test_output){0};
    assert_success(emit_sink_init(&output->sink, emit_sink_write_builder, &output->text));
}

/* Parses what is in OUTPUT, strictly, and closes it. */
static json_t *test_close(struct test_output *output)
{
    assert_success(emit_sink_flush(&output->sink));
    json_error_t error;
    json_t *json = json_loadb(string_builder_text(&output->text), output->text.size,
                              JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (json == NULL) {
        print_error("%s in %s\n", error.text, string_builder_text(&output->text));
    }
    assert_non_null(json);
    emit_sink_deinit(&output->sink);
    string_builder_deinit(&output->text);
    return json;
}

/* Strings come back as they were; what is no UTF-8 comes back replaced. */
static void test_strings(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        const char *back;
        size_t back_size;
    } cases[] = {
        {"plain", 5, "plain", 5},
        {"", 0, "", 0},
        {"\"\\/\b\f\n\r\t\x01\x1f\x7f<!--", 15, "\"\\/\b\f\n\r\t\x01\x1f\x7f<!--", 15},
        {"a\0b", 3, "a\0b", 3},
        {"\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80", 9, "\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80", 9},
        {"x\xffy\xc3", 4, "x\xef\xbf\xbdy\xef\xbf\xbd", 8},
        {"\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", 9},
        {"\xc0\x80", 2, "\xef\xbf\xbd\xef\xbf\xbd", 6},
    };
    struct test_output output;
    test_open(&output);
    struct json_writer writer;
    json_writer_init(&writer, &output.sink);
    json_writer_begin_array(&writer, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_writer_string(&writer, NULL, cases[i].text, cases[i].size);
    }
    json_writer_end_array(&writer);
    json_t *json = test_close(&output);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const json_t *string = json_array_get(json, i);
        assert_int_equal(json_string_length(string), cases[i].back_size);
        assert_memory_equal(json_string_value(string), cases[i].back, cases[i].back_size);
    }
    json_decref(json);
}

/* What a terminal, a script element or JavaScript would obey never appears raw. */
static void test_escapes(void **state)
{
    (void)state;
    struct string_builder text = {0};
    json_writer_quote(&text, "\033[2J</script>\xe2\x80\xa9", 16);
    assert_string_equal(string_builder_text(&text), "\"\\u001b[2J\\u003c/script>\\u2029\"");
    string_builder_clear(&text);
    static const char controls[] = "\xc2\x9b|\xe2\x80\xae|\xe2\x81\xa6|\xc3\xa9|\x7f";
    json_writer_quote(&text, controls, sizeof controls - 1);
    assert_string_equal(string_builder_text(&text), "\"\\u009b|\\u202e|\\u2066|\xc3\xa9|\\u007f\"");
    string_builder_deinit(&text);
}

/* Numbers: exact below 2^53, strings from there on; unknown is null. */
static void test_numbers(void **state)
{
    (void)state;
    struct test_output output;
    test_open(&output);
    struct json_writer writer;
    json_writer_init(&writer, &output.sink);
    json_writer_begin_object(&writer, NULL);
    json_writer_u64(&writer, "exact", ((uint64_t)1 << 53) - 1);
    json_writer_u64(&writer, "large", UINT64_MAX);
    json_writer_i64(&writer, "negative", -5);
    json_writer_i64(&writer, "smallest", INT64_MIN);
    json_writer_known(&writer, "unknown", SNAPSHOT_UNKNOWN);
    json_writer_known(&writer, "known", -1);
    json_writer_address(&writer, "address", 0xc000012345);
    json_writer_address(&writer, "none", 0);
    json_writer_maybe(&writer, "yes", 1);
    json_writer_maybe(&writer, "maybe", -1);
    json_writer_text(&writer, "null", NULL);
    json_writer_begin_array(&writer, "empty");
    json_writer_end_array(&writer);
    json_writer_key(&writer, "k\"\n", 3);
    json_writer_bool(&writer, NULL, false);
    json_writer_end_object(&writer);
    json_t *json = test_close(&output);
    assert_int_equal(json_integer_value(json_object_get(json, "exact")), 9007199254740991);
    assert_string_equal(json_string_value(json_object_get(json, "large")), "18446744073709551615");
    assert_int_equal(json_integer_value(json_object_get(json, "negative")), -5);
    assert_string_equal(json_string_value(json_object_get(json, "smallest")),
                        "-9223372036854775808");
    assert_true(json_is_null(json_object_get(json, "unknown")));
    assert_int_equal(json_integer_value(json_object_get(json, "known")), -1);
    assert_string_equal(json_string_value(json_object_get(json, "address")), "0xc000012345");
    assert_true(json_is_null(json_object_get(json, "none")));
    assert_true(json_is_true(json_object_get(json, "yes")));
    assert_true(json_is_null(json_object_get(json, "maybe")));
    assert_true(json_is_null(json_object_get(json, "null")));
    assert_int_equal(json_array_size(json_object_get(json, "empty")), 0);
    assert_true(json_is_false(json_object_get(json, "k\"\n")));
    json_decref(json);
}

/* Nesting to the limit stays well-formed. */
static void test_nesting(void **state)
{
    (void)state;
    struct test_output output;
    test_open(&output);
    struct json_writer writer;
    json_writer_init(&writer, &output.sink);
    for (int i = 0; i < JSON_WRITER_DEPTH_MAX - 1; i++) {
        json_writer_begin_array(&writer, NULL);
        json_writer_u64(&writer, NULL, 1);
    }
    for (int i = 0; i < JSON_WRITER_DEPTH_MAX - 1; i++) {
        json_writer_end_array(&writer);
    }
    json_decref(test_close(&output));
}

/* Adds an object of KIND that the goroutine at INDEX waits for. */
static void test_wait_on(struct snapshot_fixture *fixture, size_t index,
                         const struct snapshot_object *object)
{
    struct snapshot_wait wait = {.direction = DIRECTION_WAIT};
    assert_success(snapshot_builder_object(fixture->builder, object, &wait.object));
    assert_success(snapshot_builder_waits(fixture->builder, index, &wait, 1));
}

/* Goroutines with one object of every kind, hostile names and labels, and a system goroutine. */
static struct snapshot *test_program(void)
{
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.27.4");
    struct snapshot_builder *builder = fixture.builder;
    const char *evil = "\033]0;x\a\n\xff\"<";
    const struct snapshot_label label[] = {
        {snapshot_fixture_string(builder, evil), snapshot_fixture_string(builder, evil)},
        {snapshot_fixture_string(builder, evil), snapshot_fixture_string(builder, "again")}};
    uint32_t labels;
    assert_success(snapshot_builder_labels(builder, label, 2, &labels));
    snapshot_builder_program(builder)->settings =
        snapshot_fixture_string(builder, "GOOS=linux\nbroken\n-ldflags=-X a=b");
    size_t index;
    for (uint8_t kind = 0; kind < OBJECT_KIND_COUNT; kind++) {
        struct snapshot_object object = {.address = 0x1000u * kind, .kind = kind};
        snapshot_fixture_goroutine(&fixture, kind + 1u, fixture.server, WAIT_REASON_SELECT, &index)
            ->labels = kind == 3 ? labels : 0;
        test_wait_on(&fixture, index, &object);
    }
    uint32_t frame = snapshot_fixture_frame(builder, evil, evil, 3, 1, evil, FRAME_NOT_GO);
    snapshot_fixture_goroutine(&fixture, (1ull << 53) + 1,
                               snapshot_fixture_stack(builder, &frame, 1), WAIT_REASON_NONE, &index)
        ->flags = GOROUTINE_SYSTEM | GOROUTINE_LABELS_UNKNOWN;
    assert_success(snapshot_builder_note(builder, "note %s", evil));
    return snapshot_fixture_end(&fixture);
}

/* What scripts rely on. */
static void test_assert_summary(const json_t *json)
{
    const json_t *summary = json_object_get(json, "summary");
    assert_string_equal(json_string_value(json_object_get(json, "schema")), "unpark.dump/1");
    assert_int_equal(json_integer_value(json_object_get(summary, "goroutines")), OBJECT_KIND_COUNT);
    assert_int_equal(json_integer_value(json_object_get(summary, "system")), 1);
    assert_int_equal(json_integer_value(json_object_get(summary, "threads")), 12);
    assert_int_equal(json_integer_value(json_object_get(summary, "read_ns")), 12300000);
    assert_true(json_is_integer(json_object_get(summary, "stopped_ns")));
    const json_t *target = json_object_get(json, "target");
    assert_int_equal(json_integer_value(json_object_get(target, "pid")), 4711);
    assert_string_equal(json_string_value(json_object_get(target, "taken_at")),
                        "2023-11-14T22:13:20.123456789Z");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(target, "settings"), "-ldflags")),
        "-X a=b");
}

/* Single goroutines. */
static void test_dump_goroutines(void **state)
{
    (void)state;
    struct snapshot *snapshot = test_program();
    struct dump_view view = {.snapshot = snapshot};
    struct test_output output;
    test_open(&output);
    assert_success(dump_json_write(&view, &output.sink));
    json_t *json = test_close(&output);
    test_assert_summary(json);
    const json_t *goroutines = json_object_get(json, "goroutines");
    assert_int_equal(json_array_size(goroutines), OBJECT_KIND_COUNT + 1);
    const json_t *channel = json_array_get(goroutines, OBJECT_CHANNEL);
    const json_t *wait = json_array_get(json_object_get(channel, "waits"), 0);
    const json_t *object = json_object_get(wait, "object");
    assert_string_equal(json_string_value(json_object_get(object, "kind")), "channel");
    assert_string_equal(json_string_value(json_object_get(object, "address")), "0x1000");
    assert_int_equal(json_array_size(json_object_get(channel, "stack")), 3);
    const json_t *system = json_array_get(goroutines, OBJECT_KIND_COUNT);
    assert_string_equal(json_string_value(json_object_get(system, "id")), "9007199254740993");
    assert_true(json_is_null(json_object_get(system, "labels")));
    assert_true(json_is_null(json_object_get(system, "wait_reason")));
    const json_t *frame = json_array_get(json_object_get(system, "stack"), 0);
    assert_string_equal(json_string_value(json_object_get(frame, "function")),
                        "\033]0;x\a\n\xef\xbf\xbd\"<");
    assert_int_equal(json_object_size(json_object_get(json_array_get(goroutines, 3), "labels")), 1);
    json_decref(json);
    snapshot_destroy(snapshot);
}

/* Groups. */
static void test_dump_groups(void **state)
{
    (void)state;
    struct snapshot *snapshot = test_program();
    struct group_list list;
    assert_success(group_list_init(&list, snapshot, NULL, 0, GROUP_BY_COUNT));
    struct dump_view view = {.snapshot = snapshot, .groups = &list, .limit = 1};
    struct test_output output;
    test_open(&output);
    assert_success(dump_json_write(&view, &output.sink));
    json_t *json = test_close(&output);
    test_assert_summary(json);
    const json_t *groups = json_object_get(json, "groups");
    assert_int_equal(json_array_size(groups), 1);
    const json_t *group = json_array_get(groups, 0);
    assert_int_equal(json_integer_value(json_object_get(group, "count")), OBJECT_KIND_COUNT);
    assert_int_equal(json_array_size(json_object_get(group, "goroutine_ids")), OBJECT_KIND_COUNT);
    assert_int_equal(json_array_size(json_object_get(group, "waits")), 8);
    assert_int_equal(json_integer_value(json_object_get(group, "waits_more")),
                     OBJECT_KIND_COUNT - 8);
    assert_true(json_is_true(json_object_get(group, "labels_differ")));
    const json_t *summary = json_object_get(json, "summary");
    assert_int_equal(json_integer_value(json_object_get(summary, "groups")), 2);
    group_list_deinit(&list);
    json_decref(json);
    snapshot_destroy(snapshot);
}

/* Lines: each an object, the last the summary. */
static void test_dump_lines(void **state)
{
    (void)state;
    struct snapshot *snapshot = test_program();
    struct dump_view view = {.snapshot = snapshot};
    struct test_output output;
    test_open(&output);
    assert_success(dump_json_write_lines(&view, &output.sink));
    size_t lines = 0;
    json_t *last = NULL;
    for (const char *line = string_builder_text(&output.text); *line != '\0';) {
        size_t size = strcspn(line, "\n");
        json_decref(last);
        last = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
        assert_true(json_is_object(last));
        assert_int_equal(line[size], '\n');
        line += size + 1;
        lines++;
    }
    assert_int_equal(lines, OBJECT_KIND_COUNT + 2);
    test_assert_summary(last);
    json_decref(last);
    emit_sink_deinit(&output.sink);
    string_builder_deinit(&output.text);
    snapshot_destroy(snapshot);
}

/* A list of processes: known, and not reachable. */
static void test_processes(void **state)
{
    (void)state;
    const struct service_process processes[] = {
        {.pid = 7,
         .user = "alice",
         .command = "api\033[1m",
         .go_version = "go1.22.1",
         .module = "example.com/api",
         .module_version = "v1.0.0",
         .revision = "0123456789abcdef",
         .modified = 1,
         .age_ns = 90000000000,
         .threads = 8,
         .goroutines = 120,
         .system_goroutines = 5,
         .reach = "ok"},
        {.pid = 9,
         .modified = -1,
         .age_ns = SNAPSHOT_UNKNOWN,
         .threads = SNAPSHOT_UNKNOWN,
         .goroutines = SNAPSHOT_UNKNOWN,
         .system_goroutines = SNAPSHOT_UNKNOWN,
         .reach = "permission denied"},
    };
    struct test_output output;
    test_open(&output);
    assert_success(ps_json_write(processes, 2, &output.sink));
    json_t *json = test_close(&output);
    const json_t *first = json_array_get(json, 0);
    assert_int_equal(json_integer_value(json_object_get(first, "pid")), 7);
    assert_string_equal(json_string_value(json_object_get(first, "go")), "go1.22.1");
    assert_string_equal(json_string_value(json_object_get(first, "module")), "example.com/api");
    assert_int_equal(json_integer_value(json_object_get(first, "goroutines")), 120);
    assert_true(json_is_true(json_object_get(first, "reachable")));
    assert_true(json_is_null(json_object_get(first, "reason")));
    const json_t *second = json_array_get(json, 1);
    assert_true(json_is_null(json_object_get(second, "goroutines")));
    assert_true(json_is_null(json_object_get(second, "module")));
    assert_true(json_is_false(json_object_get(second, "reachable")));
    assert_string_equal(json_string_value(json_object_get(second, "reason")), "permission denied");
    json_decref(json);
    test_open(&output);
    assert_success(ps_json_write(NULL, 0, &output.sink));
    json = test_close(&output);
    assert_int_equal(json_array_size(json), 0);
    json_decref(json);
}

/* Writes groups and lines once. */
static struct error *test_write(void *context)
{
    struct group_list list;
    TRY(group_list_init(&list, context, NULL, 0, GROUP_BY_COUNT));
    struct dump_view view = {.snapshot = context, .groups = &list};
    struct string_builder text = {0};
    struct emit_sink sink;
    struct error *error = emit_sink_init(&sink, emit_sink_write_builder, &text);
    if (error == NULL) {
        error = dump_json_write(&view, &sink);
        view.groups = NULL;
        if (error == NULL) {
            error = dump_json_write_lines(&view, &sink);
        }
        emit_sink_deinit(&sink);
    }
    string_builder_deinit(&text);
    group_list_deinit(&list);
    return error;
}

/* Every allocation may fail. */
static void test_exhaustion(void **state)
{
    (void)state;
    struct snapshot *snapshot = test_program();
    support_exhaust(test_write, snapshot);
    snapshot_destroy(snapshot);
}

/* All tests. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),         cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_numbers),         cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_dump_goroutines), cmocka_unit_test(test_dump_groups),
        cmocka_unit_test(test_dump_lines),      cmocka_unit_test(test_processes),
        cmocka_unit_test(test_exhaustion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
