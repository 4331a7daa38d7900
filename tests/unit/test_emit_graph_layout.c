#include "emit/graph.h"
#include "emit/graph_layout.h"
#include "snapshot_fixture.h"
#include <jansson.h>

enum { NODES_MAX = 64 };

/* A graph of plain numbers. */
struct plain {
    struct wait_graph graph;
    struct wait_graph_wait waits[2 * NODES_MAX];
    struct wait_graph_reach reaches[2 * NODES_MAX];
};

static void plain_init(struct plain *plain, size_t groups, size_t objects)
{
    *plain = (struct plain){.graph = {.group_count = groups, .object_count = objects}};
    plain->graph.waits = plain->waits;
    plain->graph.reaches = plain->reaches;
}

static void add_wait(struct plain *plain, uint32_t group, uint32_t object)
{
    plain->waits[plain->graph.wait_count++] =
        (struct wait_graph_wait){group, object, DIRECTION_RECEIVE, 1};
}

static void add_reach(struct plain *plain, uint32_t object, uint32_t group)
{
    plain->reaches[plain->graph.reach_count++] =
        (struct wait_graph_reach){object, group, 1, "main.f"};
}

/* Checks what holds for every layout: no two nodes at one place, all within the counts, no row or
 * column left out. */
static void check_layout(const struct graph_layout *layout)
{
    bool *taken = calloc((size_t)layout->column_count * layout->row_count + 1, 1);
    for (size_t i = 0; i < layout->count; i++) {
        assert_true(layout->columns[i] < layout->column_count);
        assert_true(layout->rows[i] < layout->row_count);
        size_t place = (size_t)layout->columns[i] * layout->row_count + layout->rows[i];
        assert_false(taken[place]);
        taken[place] = true;
    }
    for (uint32_t column = 0; column < layout->column_count; column++) {
        assert_true(taken[(size_t)column * layout->row_count]);
    }
    free(taken);
}

static void test_a_chain_goes_from_left_to_right(void **state)
{
    (void)state;
    struct plain plain;
    struct graph_layout layout;
    plain_init(&plain, 10, 10);
    for (uint32_t i = 10; i-- > 0;) { /* the edges are in no order that helps */
        add_wait(&plain, i, i);
        if (i > 0) {
            add_reach(&plain, i - 1, i);
        }
    }
    assert_success(graph_layout_init(&layout, &plain.graph));
    check_layout(&layout);
    assert_int_equal(layout.column_count, 20);
    assert_int_equal(layout.row_count, 1);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(layout.columns[i], 2 * i);
        assert_int_equal(layout.columns[10 + i], 2 * i + 1);
    }
    graph_layout_deinit(&layout);
}

static void test_circles_are_cut_somewhere(void **state)
{
    (void)state;
    for (uint32_t length = 1; length <= 20; length++) {
        struct plain plain;
        struct graph_layout layout;
        plain_init(&plain, length + 1, length);
        for (uint32_t i = 0; i < length; i++) {
            add_wait(&plain, i, i);
            add_reach(&plain, i, (i + 1) % length);
        }
        add_wait(&plain, length, 0); /* one that waits for the circle stands left of what it asks */
        add_wait(&plain, length, 0); /* twice, for another reason */
        assert_success(graph_layout_init(&layout, &plain.graph));
        check_layout(&layout);
        uint32_t back = 0;
        for (uint32_t i = 0; i < length; i++) {
            back += layout.columns[i] >= layout.columns[length + 1 + i];
            back += layout.columns[length + 1 + i] >= layout.columns[(i + 1) % length];
        }
        assert_int_equal(back, 1);
        assert_true(layout.columns[length] < layout.columns[length + 1]);
        graph_layout_deinit(&layout);
    }
}

static void test_layouts_of_any_graph(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252u;
    for (size_t round = 0; round < 200; round++) {
        struct plain plain;
        struct graph_layout layout;
        uint32_t groups = 1 + (uint32_t)(round % NODES_MAX);
        uint32_t objects = 1 + (uint32_t)(round * 7 % NODES_MAX);
        plain_init(&plain, groups, objects);
        for (size_t i = 0; i < round % (2 * NODES_MAX); i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            add_wait(&plain, (uint32_t)(random >> 33) % groups, (uint32_t)(random >> 40) % objects);
            add_reach(&plain, (uint32_t)(random >> 45) % objects,
                      (uint32_t)(random >> 35) % groups);
        }
        assert_success(graph_layout_init(&layout, &plain.graph));
        assert_int_equal(layout.count, groups + objects);
        check_layout(&layout);
        graph_layout_deinit(&layout);
    }
}

static void test_the_layout_of_nothing(void **state)
{
    (void)state;
    struct wait_graph graph = {0};
    struct graph_layout layout;
    assert_success(graph_layout_init(&layout, &graph));
    assert_int_equal(layout.count + layout.column_count + layout.row_count, 0);
    graph_layout_deinit(&layout);
}

/* Writes VIEW in the format with this NUMBER. */
static struct error *write_format(const struct graph_view *view, size_t number,
                                  struct string_builder *text)
{
    struct emit_sink sink;
    size_t count;
    const struct graph_format *formats = graph_formats(&count);
    TRY(emit_sink_init(&sink, emit_sink_write_builder, text));
    struct error *error = formats[number].write(view, &sink);
    emit_sink_deinit(&sink);
    return error;
}

/* Checks that TEXT is what the format NAME calls one: quotes, brackets and lines are its own. */
static void check_text(const char *name, const char *text, size_t size)
{
    assert_int_equal(strlen(text), size); /* no NUL */
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 && c != '\n') {
            fail_msg("%s: byte 0x%02x at %zu", name, c, i);
        }
    }
    json_t *string = json_stringn(text, size);
    assert_non_null(string); /* else it is no UTF-8 */
    json_decref(string);
    bool markup = strcmp(name, "svg") == 0 || strcmp(name, "mermaid") == 0;
    assert_true(!markup || strstr(text, "<script") == NULL);
    if (strcmp(name, "json") == 0) {
        json_error_t error;
        json_t *json = json_loadb(text, size, 0, &error);
        assert_non_null(json);
        assert_string_equal(json_string_value(json_object_get(json, "schema")), "unpark.graph/1");
        json_decref(json);
        return;
    }
    bool quoted = false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\\' && quoted && strcmp(name, "dot") == 0) {
            i++;
        } else if (text[i] == '"') {
            quoted = !quoted;
        } else {
            assert_false(text[i] == '\n' && quoted); /* a line ends no string of ours */
        }
    }
    assert_false(quoted);
    if (strcmp(name, "svg") == 0) {
        size_t open = 0;
        for (size_t i = 0; i < size; i++) {
            assert_true(text[i] != '<' || open == 0);
            assert_true(text[i] != '&' || memchr(text + i, ';', 7) != NULL);
            assert_true(text[i] != '>' || open == 1 || i == 0);
            open += text[i] == '<';
            open -= text[i] == '>';
        }
        assert_int_equal(open, 0);
    }
}

static void check_formats(const struct graph_view *view)
{
    size_t count;
    const struct graph_format *formats = graph_formats(&count);
    assert_int_equal(count, 4);
    for (size_t i = 0; i < count; i++) {
        struct string_builder text = {0};
        assert_success(write_format(view, i, &text));
        assert_true(text.size > 0);
        check_text(formats[i].name, string_builder_text(&text), text.size);
        string_builder_deinit(&text);
    }
}

static void test_every_format_of_nothing(void **state)
{
    (void)state;
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    struct snapshot *snapshot = snapshot_fixture_end(&fixture);
    struct wait_graph graph = {0};
    struct graph_view view = {.snapshot = snapshot, .graph = &graph};
    check_formats(&view);
    view.obstacle = "\"quoted\" \\ <script>alert(1)</script>\n]]> & \x1b[31m";
    view.groups_cut = view.objects_cut = view.edges_cut = SIZE_MAX;
    check_formats(&view);
    snapshot_destroy(snapshot);
}

/* A graph whose names are NAME; the caller frees it all. */
struct named {
    struct snapshot *snapshot;
    struct group_list groups;
    struct wait_graph graph;
};

static void named_init(struct named *named, const char *name)
{
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    snapshot_builder_program(fixture.builder)->executable =
        snapshot_fixture_string(fixture.builder, name);
    snapshot_builder_program(fixture.builder)->source =
        snapshot_fixture_string(fixture.builder, name);
    uint32_t frame = snapshot_fixture_frame(fixture.builder, name, name, 1, 8, NULL, 0);
    uint32_t stack = snapshot_fixture_stack(fixture.builder, &frame, 1);
    struct snapshot_object object = {.address = 0xc000001000, .kind = OBJECT_CHANNEL};
    object.channel.element_type = snapshot_fixture_string(fixture.builder, name);
    size_t index = 0;
    uint32_t id = 0;
    (void)snapshot_fixture_goroutine(&fixture, 1, stack, WAIT_REASON_CHAN_RECEIVE, &index);
    assert_success(snapshot_builder_object(fixture.builder, &object, &id));
    const struct snapshot_wait wait = {.object = id, .direction = DIRECTION_RECEIVE};
    assert_success(snapshot_builder_waits(fixture.builder, index, &wait, 1));
    named->snapshot = snapshot_fixture_end(&fixture);
    assert_success(group_list_init(&named->groups, named->snapshot, NULL, 0, GROUP_BY_COUNT));
    const struct finding_reference reference = {id, (uint32_t)index, name};
    const struct wait_graph_input input = {.snapshot = named->snapshot,
                                           .groups = &named->groups,
                                           .references = &reference,
                                           .reference_count = 1};
    assert_success(wait_graph_init(&named->graph, &input));
    assert_int_equal(named->graph.reach_count, 1);
}

static void named_deinit(struct named *named)
{
    wait_graph_deinit(&named->graph);
    group_list_deinit(&named->groups);
    snapshot_destroy(named->snapshot);
}

static void test_every_format_with_names_that_want_out(void **state)
{
    (void)state;
    char large[5000];
    memset(large, '"', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    const char *const names[] = {"\"];\nevil -> g0 [label=\"",
                                 "\\",
                                 "\\\"",
                                 "main.f[go.shape.*uint8]\\l\\n",
                                 "</title><script>alert(1)</script>",
                                 "]]>&lt;&#34;'>",
                                 "\"]\n  click g0 \"javascript:alert(1)\"",
                                 "g0 -->|x| o0; %% `code` **bold** #quot;",
                                 "\x1b[31m\x07\x01\x7f",
                                 "\xff\xfe\xc3\xe2\x82",
                                 "\xc3\xa4\xe2\x80\xae\xf0\x9f\x98\x80",
                                 "",
                                 large};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct named named;
        named_init(&named, names[i]);
        const struct graph_view view = {
            .snapshot = named.snapshot, .graph = &named.graph, .obstacle = names[i]};
        check_formats(&view);
        named_deinit(&named);
    }
}

static struct error *write_work(void *context)
{
    for (size_t i = 0; i < 4; i++) {
        struct string_builder text = {0};
        struct error *error = write_format(context, i, &text);
        string_builder_deinit(&text);
        TRY(error);
    }
    return NULL;
}

static void test_allocations_may_fail(void **state)
{
    (void)state;
    struct named named;
    named_init(&named, "main.f");
    struct graph_view view = {.snapshot = named.snapshot, .graph = &named.graph};
    support_exhaust(write_work, &view);
    named_deinit(&named);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_chain_goes_from_left_to_right),
        cmocka_unit_test(test_circles_are_cut_somewhere),
        cmocka_unit_test(test_layouts_of_any_graph),
        cmocka_unit_test(test_the_layout_of_nothing),
        cmocka_unit_test(test_every_format_of_nothing),
        cmocka_unit_test(test_every_format_with_names_that_want_out),
        cmocka_unit_test(test_allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
