/* What leaves as a file: sums, order, bounds and hostile names of each format. The files' own
 * consumers are asked in tests/program/test_export.py. */
#include "emit/export_format.h"
#include "emit/flame_svg.h"
#include "emit/flame_tree.h"
#include "emit/markup.h"
#include "snapshot_fixture.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* Everything that any format could take at its word, XML's forbidden characters among it. */
static const char test_evil[] =
    "=main.</script>]]>\"'&,;\033[2J\r\n\t\xff\xef\xbf\xbf<img src=x onerror=alert(1)>";

/* A view of a whole snapshot in groups. */
struct test_view {
    struct snapshot *snapshot;
    struct group_list groups;
    struct export_view view;
};

/* Opens a view of SNAPSHOT, which it takes. */
static void test_open(struct test_view *test, struct snapshot *snapshot)
{
    *test = (struct test_view){.snapshot = snapshot};
    assert_success(group_list_init(&test->groups, snapshot, NULL, 0, GROUP_BY_COUNT));
    test->view.dump = (struct dump_view){.snapshot = snapshot, .groups = &test->groups};
}

/* Closes it. */
static void test_close(struct test_view *test)
{
    group_list_deinit(&test->groups);
    snapshot_destroy(test->snapshot);
}

/* What FORMAT writes, as a heap string. */
static char *test_write(const struct test_view *test, const char *format)
{
    struct string_builder text = {0};
    struct emit_sink sink;
    char *ret = NULL;
    assert_success(emit_sink_init(&sink, emit_sink_write_builder, &text));
    assert_success(export_format_find(format)->write(&test->view, &sink));
    assert_success(emit_sink_flush(&sink));
    assert_success(string_builder_take(&text, &ret));
    emit_sink_deinit(&sink);
    return ret;
}

/* Three workers, one of which stands for ten; a server; one whose stack is not known. */
static struct snapshot *test_program(void)
{
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.27.4");
    size_t index;
    for (uint64_t id = 1; id <= 3; id++) {
        struct snapshot_goroutine *goroutine = snapshot_fixture_goroutine(
            &fixture, id, fixture.worker, WAIT_REASON_CHAN_RECEIVE, &index);
        goroutine->age_ns = (int64_t)id * 1000000000;
        goroutine->count = id == 3 ? 10 : 1;
        (void)snapshot_fixture_channel(&fixture, index, 0xc000001000, DIRECTION_RECEIVE);
    }
    snapshot_fixture_goroutine(&fixture, 4, fixture.server, WAIT_REASON_SELECT, &index);
    snapshot_fixture_goroutine(&fixture, 5, 0, WAIT_REASON_NONE, &index)->status =
        GOROUTINE_STATUS_RUNNING;
    return snapshot_fixture_end(&fixture);
}

/* A program whose every name is an attack. */
static struct snapshot *test_hostile(void)
{
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.27.4");
    struct snapshot_builder *builder = fixture.builder;
    struct snapshot_program *program = snapshot_builder_program(builder);
    program->path = snapshot_fixture_string(builder, test_evil);
    program->source = program->path;
    program->executable = program->path;
    program->revision = program->path;
    uint32_t frame = snapshot_fixture_frame(builder, test_evil, test_evil, 3, 1, test_evil, 0);
    const struct snapshot_label label = {snapshot_fixture_string(builder, test_evil),
                                         snapshot_fixture_string(builder, test_evil)};
    size_t index;
    struct snapshot_goroutine *goroutine = snapshot_fixture_goroutine(
        &fixture, 1, snapshot_fixture_stack(builder, &frame, 1), WAIT_REASON_CHAN_RECEIVE, &index);
    goroutine->creator = frame;
    goroutine->start = frame;
    assert_success(snapshot_builder_labels(builder, &label, 1, &goroutine->labels));
    struct snapshot_object object = {.address = 0x1000, .kind = OBJECT_CHANNEL};
    object.channel.element_type = snapshot_fixture_string(builder, test_evil);
    struct snapshot_wait wait = {.direction = DIRECTION_SEND};
    assert_success(snapshot_builder_object(builder, &object, &wait.object));
    assert_success(snapshot_builder_waits(builder, index, &wait, 1));
    assert_success(snapshot_builder_note(builder, "%s", test_evil));
    return snapshot_fixture_end(&fixture);
}

/* Markup: every character that means something is a reference, every control character \xNN. */
static void test_markup(void **state)
{
    (void)state;
    static const struct {
        const char *text, *markup;
    } cases[] = {
        {"", ""},
        {"a<b>&\"'", "a&lt;b&gt;&amp;&quot;&#39;"},
        {"\033]0;x\a\n", "\\x1b]0;x\\x07\\x0a"},
        {"\xff\xc3", "\\xff\\xc3"},
        {"\xef\xbf\xbe|\xef\xbf\xbd|\xef\xbf\xbf", "\\xef\\xbf\\xbe|\xef\xbf\xbd|\\xef\\xbf\\xbe"},
        {"\xe2\x80\xae"
         "a",
         "\\xe2\\x80\\xaea"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct string_builder text = {0};
        struct emit_sink sink;
        assert_success(emit_sink_init(&sink, emit_sink_write_builder, &text));
        markup_add_text(&sink, cases[i].text);
        assert_success(emit_sink_flush(&sink));
        assert_string_equal(string_builder_text(&text), cases[i].markup);
        emit_sink_deinit(&sink);
        string_builder_deinit(&text);
    }
}

/* A long name is cut between characters. */
static void test_markup_name(void **state)
{
    (void)state;
    char name[MARKUP_NAME_MAX + 9];
    memset(name, 'x', sizeof name);
    memcpy(name + MARKUP_NAME_MAX - 1, "\xc3\xa9", 2);
    struct string_builder text = {0};
    struct emit_sink sink;
    assert_success(emit_sink_init(&sink, emit_sink_write_builder, &text));
    markup_add_name(&sink, name, sizeof name);
    markup_add_count(&sink, 1234567);
    markup_add_share(&sink, 1, 8);
    assert_success(emit_sink_flush(&sink));
    assert_int_equal(text.size, MARKUP_NAME_MAX - 1 + 3 + 9 + 5);
    assert_string_equal(string_builder_text(&text) + MARKUP_NAME_MAX - 1, "...1,234,56712.5%");
    emit_sink_deinit(&sink);
    string_builder_deinit(&text);
}

/* Folded stacks: weights, order, the state as the last frame, no runtime.goexit. */
static void test_folded(void **state)
{
    (void)state;
    struct test_view test;
    test_open(&test, test_program());
    char *text = test_write(&test, "folded");
    assert_string_equal(text, "main.(*Pool).worker;[running] 1\n"
                              "main.(*Pool).worker;main.receive;runtime.chanrecv1;runtime.gopark;"
                              "[chan receive] 12\n"
                              "main.serve;net/http.(*conn).serve;runtime.gopark;[select] 1\n");
    free(text);
    test.view.dump.user_frames = true;
    text = test_write(&test, "folded");
    assert_string_equal(text, "main.(*Pool).worker;[running] 1\n"
                              "main.(*Pool).worker;main.receive;[chan receive] 12\n"
                              "main.serve;[select] 1\n");
    free(text);
    test_close(&test);
}

/* The tree: sums, a mark where it is cut, heavier children first. */
static void test_tree(void **state)
{
    (void)state;
    struct test_view test;
    struct flame_tree tree;
    test_open(&test, test_program());
    assert_success(flame_tree_init(&tree, &test.view.dump, FLAME_BY_WEIGHT, 2));
    const struct flame_node *nodes = tree.nodes.items;
    assert_int_equal(nodes[FLAME_TREE_ROOT].total, 14);
    const struct flame_node *worker = &nodes[nodes[FLAME_TREE_ROOT].first_child];
    assert_int_equal(worker->total, 13);
    const struct flame_node *receive = &nodes[worker->first_child];
    assert_int_equal(receive->total, 12);
    assert_true(receive->cut);
    assert_int_equal(nodes[receive->first_child].kind, FLAME_STATE);
    assert_int_equal(nodes[receive->first_child].total, 12);
    flame_tree_deinit(&tree);
    test_close(&test);
}

/* speedscope's JSON parses and adds up. */
static void test_speedscope(void **state)
{
    (void)state;
    struct test_view test;
    test_open(&test, test_program());
    char *text = test_write(&test, "speedscope");
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    const json_t *profile = json_array_get(json_object_get(json, "profiles"), 0);
    const json_t *weights = json_object_get(profile, "weights");
    json_int_t sum = 0;
    for (size_t i = 0; i < json_array_size(weights); i++) {
        sum += json_integer_value(json_array_get(weights, i));
    }
    assert_int_equal(sum, 14);
    assert_int_equal(json_integer_value(json_object_get(profile, "endValue")), 14);
    assert_int_equal(json_array_size(json_object_get(profile, "samples")), 3);
    json_decref(json);
    free(text);
    test_close(&test);
}

/* The table: one line each under the headings, numbers and ages. */
static void test_csv(void **state)
{
    (void)state;
    struct test_view test;
    test_open(&test, test_program());
    char *text = test_write(&test, "csv");
    const char *line = strstr(text, "\r\n");
    assert_non_null(line);
    static const char start[] =
        "\r\n12,1 2 3 and 9 more,waiting,chan receive,1000000000,3000000000,\"waits to receive "
        "from chan int 0xc000001000 (cap 0, 0 senders, 3 receivers)\",main.receive,/src/pool.go,"
        "30,main.NewPool,/src/pool.go,22,main.(*Pool).worker,,runtime.gopark /go/";
    assert_memory_equal(line, start, sizeof start - 1);
    free(text);
    test_close(&test);
}

/* No format lets a name out of its place. */
static void test_hostile_names(void **state)
{
    (void)state;
    struct test_view test;
    test_open(&test, test_hostile());
    static const char *const formats[] = {"html", "flamegraph", "folded", "csv", "speedscope"};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        char *text = test_write(&test, formats[i]);
        assert_null(strchr(text, '\033'));
        assert_null(strchr(text, '\xff'));
        assert_null(i < 2 ? strstr(text, "\xef\xbf\xbf") : NULL);
        assert_null(i < 2 ? strstr(text, "<img") : NULL);
        assert_null(i < 2 ? strstr(text, "main.</script") : NULL);
        assert_null(i == 1 ? strstr(text, "]]>\"") : NULL);
        assert_null(i == 3 ? strstr(text, ",=") : NULL);
        free(text);
    }
    char *folded = test_write(&test, "folded");
    assert_ptr_equal(strchr(folded, '\n'), folded + strlen(folded) - 1);
    const char *separator = strchr(folded, ';');
    assert_non_null(separator);
    assert_string_equal(separator, ";[chan receive] 1\n");
    free(folded);
    test_close(&test);
}

/* Two million goroutines in a hundred thousand stacks make a small picture that still adds up. */
static void test_flame_graph_is_bounded(void **state)
{
    (void)state;
    enum { TEST_STACKS = 100000 };
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.27.4");
    for (uint32_t i = 0; i < TEST_STACKS; i++) {
        char name[40];
        snprintf(name, sizeof name, "main.f%u", i);
        const uint32_t frames[] = {
            snapshot_fixture_frame(fixture.builder, name, "/src/a.go", i + 1, 1, NULL, 0),
            fixture.creator};
        size_t index;
        snapshot_fixture_goroutine(&fixture, i + 1,
                                   snapshot_fixture_stack(fixture.builder, frames, 2),
                                   WAIT_REASON_SELECT, &index)
            ->count = i % 10 == 0 ? 100 : 10;
    }
    struct test_view test;
    test_open(&test, snapshot_fixture_end(&fixture));
    char *text = test_write(&test, "flamegraph");
    assert_in_range(strlen(text), 100000, 4000000);
    assert_non_null(strstr(text, "data-n=\"1900000\""));
    assert_non_null(strstr(text, "more, too small to draw"));
    free(text);
    test_close(&test);
}

/* Every format of an empty view is well. */
static void test_nothing(void **state)
{
    (void)state;
    struct test_view test;
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.27.4");
    test_open(&test, snapshot_fixture_end(&fixture));
    size_t count;
    const struct export_format *formats = export_formats(&count);
    for (size_t i = 0; i < count; i++) {
        free(test_write(&test, formats[i].name));
    }
    test_close(&test);
}

/* Names of files. */
static void test_formats(void **state)
{
    (void)state;
    assert_string_equal(export_format_of_file("a.json")->name, "json");
    assert_string_equal(export_format_of_file("x/a.speedscope.json")->name, "speedscope");
    assert_string_equal(export_format_of_file("A.SVG")->name, "flamegraph");
    assert_null(export_format_of_file(".svg"));
    assert_null(export_format_of_file("svg"));
    assert_null(export_format_find("SVG"));
    size_t count;
    const struct export_format *formats = export_formats(&count);
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(export_format_find(formats[i].name), &formats[i]);
        assert_non_null(formats[i].extensions[0]);
    }
}

/* What test_exhaustion does again and again. */
struct test_work {
    const struct test_view *test;
    const char *format;
};

/* Writes one format. */
static struct error *test_export_once(void *context)
{
    const struct test_work *work = context;
    struct string_builder text = {0};
    struct emit_sink sink;
    struct error *error = emit_sink_init(&sink, emit_sink_write_builder, &text);
    if (error == NULL) {
        error = export_format_find(work->format)->write(&work->test->view, &sink);
        emit_sink_deinit(&sink);
    }
    string_builder_deinit(&text);
    return error;
}

/* Memory that runs out anywhere is an error like another. */
static void test_exhaustion(void **state)
{
    (void)state;
    static const char *const formats[] = {"html", "flamegraph", "folded", "csv", "speedscope"};
    struct test_view test;
    test_open(&test, test_program());
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct test_work work = {&test, formats[i]};
        support_exhaust(test_export_once, &work);
    }
    test_close(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_markup),        cmocka_unit_test(test_markup_name),
        cmocka_unit_test(test_folded),        cmocka_unit_test(test_tree),
        cmocka_unit_test(test_speedscope),    cmocka_unit_test(test_csv),
        cmocka_unit_test(test_hostile_names), cmocka_unit_test(test_flame_graph_is_bounded),
        cmocka_unit_test(test_nothing),       cmocka_unit_test(test_formats),
        cmocka_unit_test(test_exhaustion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
