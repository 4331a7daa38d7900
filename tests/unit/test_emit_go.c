/* Go's own text: the header forms of each release, frames, elision. What is expected here was read
 * off goroutineheader, traceback1 and printcreatedby of each release's runtime/traceback.go. */
#include "emit/dump.h"
#include "snapshot_fixture.h"

/* Writes SNAPSHOT with LABELS; the text is the caller's. */
static char *test_text(struct snapshot *snapshot, enum dump_labels labels, const uint8_t *leaked)
{
    struct dump_view view = {.snapshot = snapshot, .labels = labels, .leaked = leaked};
    struct string_builder text = {0};
    struct emit_sink sink;
    assert_success(emit_sink_init(&sink, emit_sink_write_builder, &text));
    assert_success(dump_go_write(&view, &sink));
    emit_sink_deinit(&sink);
    char *taken;
    assert_success(string_builder_take(&text, &taken));
    return taken;
}

/* The first line of what test_text gives. */
static void test_assert_header(struct snapshot *snapshot, enum dump_labels labels,
                               const char *header)
{
    char *text = test_text(snapshot, labels, NULL);
    text[strcspn(text, "\n")] = '\0';
    assert_string_equal(text, header);
    free(text);
}

/* One worker: arguments filled in, inlined frames, hidden ones left out, the creator. */
static void test_frames(void **state)
{
    (void)state;
    static const char before[] = "goroutine 18 [chan receive, 3 minutes, locked to thread]:\n"
                                 "main.receive(...)\n\t/src/pool.go:30\n"
                                 "main.(*Pool).worker(0xc000010000, {0x7, ...})\n"
                                 "\t/src/pool.go:41 +0x1d\n"
                                 "created by main.NewPool";
    static const char *const releases[] = {"go1.18.10", "go1.20.14", "go1.21.13", "go1.27.4"};
    for (size_t i = 0; i < 4; i++) {
        struct snapshot_fixture fixture = snapshot_fixture_begin(releases[i]);
        size_t index;
        struct snapshot_goroutine *goroutine = snapshot_fixture_goroutine(
            &fixture, 18, fixture.worker, WAIT_REASON_CHAN_RECEIVE, &index);
        goroutine->age_ns = 200000000000;
        goroutine->flags = GOROUTINE_LOCKED;
        goroutine->parent = 1;
        const uint64_t words[] = {1, 2, 3, 0xc000010000, 7};
        assert_success(snapshot_builder_arguments(fixture.builder, index, words, 5));
        struct snapshot *snapshot = snapshot_fixture_end(&fixture);
        char *text = test_text(snapshot, DUMP_LABELS_AS_TARGET, NULL);
        assert_memory_equal(text, before, sizeof before - 1);
        assert_string_equal(text + sizeof before - 1,
                            i < 2 ? "\n\t/src/pool.go:22 +0x45\n"
                                  : " in goroutine 1\n\t/src/pool.go:22 +0x45\n");
        free(text);
        snapshot_destroy(snapshot);
    }
}

/* Argument words that were not collected leave an ellipsis. */
static void test_no_arguments(void **state)
{
    (void)state;
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    size_t index;
    snapshot_fixture_goroutine(&fixture, 1, fixture.server, WAIT_REASON_SELECT, &index);
    struct snapshot *snapshot = snapshot_fixture_end(&fixture);
    char *text = test_text(snapshot, DUMP_LABELS_AS_TARGET, NULL);
    assert_string_equal(text, "goroutine 1 [select]:\n"
                              "net/http.(*conn).serve()\n\t/go/src/net/http/server.go:2000 +0x5d\n"
                              "main.serve(...)\n\t/src/server.go:12 +0x2a\n");
    free(text);
    snapshot_destroy(snapshot);
}

/* Status words. */
static void test_status(void **state)
{
    (void)state;
    static const struct {
        enum goroutine_status status;
        enum wait_reason reason;
        uint16_t flags;
        const char *header;
    } cases[] = {
        {GOROUTINE_STATUS_WAITING, WAIT_REASON_NONE, 0, "goroutine 7 [waiting]:"},
        {GOROUTINE_STATUS_WAITING, WAIT_REASON_SELECT_NO_CASES, 0,
         "goroutine 7 [select (no cases)]:"},
        {GOROUTINE_STATUS_RUNNABLE, WAIT_REASON_SLEEP, 0, "goroutine 7 [runnable]:"},
        {GOROUTINE_STATUS_SYSCALL, WAIT_REASON_NONE, GOROUTINE_LOCKED,
         "goroutine 7 [syscall, locked to thread]:"},
        {GOROUTINE_STATUS_COPYSTACK, WAIT_REASON_NONE, GOROUTINE_SCAN,
         "goroutine 7 [copystack (scan)]:"},
        {GOROUTINE_STATUS_UNKNOWN, WAIT_REASON_NONE, 0, "goroutine 7 [???]:"},
        {GOROUTINE_STATUS_LEAKED, WAIT_REASON_CHAN_SEND, 0, "goroutine 7 [chan send (leaked)]:"},
        {GOROUTINE_STATUS_PREEMPTED, WAIT_REASON_NONE, 0, "goroutine 7 [preempted]:"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct snapshot_fixture fixture = snapshot_fixture_begin("go1.26.1");
        size_t index;
        struct snapshot_goroutine *goroutine =
            snapshot_fixture_goroutine(&fixture, 7, fixture.worker, cases[i].reason, &index);
        goroutine->status = (uint8_t)cases[i].status;
        goroutine->flags = cases[i].flags;
        struct snapshot *snapshot = snapshot_fixture_end(&fixture);
        test_assert_header(snapshot, DUMP_LABELS_AS_TARGET, cases[i].header);
        snapshot_destroy(snapshot);
    }
}

/* Minutes: for waiting and system calls only, from one minute on. */
static void test_minutes(void **state)
{
    (void)state;
    static const struct {
        enum goroutine_status status;
        int64_t age_ns;
        const char *header;
    } cases[] = {
        {GOROUTINE_STATUS_WAITING, 59999999999, "goroutine 7 [sleep]:"},
        {GOROUTINE_STATUS_WAITING, 60000000000, "goroutine 7 [sleep, 1 minutes]:"},
        {GOROUTINE_STATUS_SYSCALL, 7200000000000, "goroutine 7 [syscall, 120 minutes]:"},
        {GOROUTINE_STATUS_RUNNABLE, 7200000000000, "goroutine 7 [runnable]:"},
        {GOROUTINE_STATUS_LEAKED, 7200000000000, "goroutine 7 [sleep (leaked)]:"},
        {GOROUTINE_STATUS_WAITING, SNAPSHOT_UNKNOWN, "goroutine 7 [sleep]:"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct snapshot_fixture fixture = snapshot_fixture_begin("go1.27.4");
        size_t index;
        struct snapshot_goroutine *goroutine =
            snapshot_fixture_goroutine(&fixture, 7, fixture.worker, WAIT_REASON_SLEEP, &index);
        goroutine->status = (uint8_t)cases[i].status;
        goroutine->age_ns = cases[i].age_ns;
        struct snapshot *snapshot = snapshot_fixture_end(&fixture);
        test_assert_header(snapshot, DUMP_LABELS_AS_TARGET, cases[i].header);
        snapshot_destroy(snapshot);
    }
}

/* Bubbles of testing/synctest. */
static void test_bubbles(void **state)
{
    (void)state;
    static const struct {
        const char *release;
        enum wait_reason reason;
        uint32_t bubble;
        const char *header;
    } cases[] = {
        {"go1.24.3", WAIT_REASON_SLEEP, 5, "goroutine 7 [sleep, synctest group 5]:"},
        {"go1.24.3", WAIT_REASON_CHAN_RECEIVE_SYNCTEST, 5,
         "goroutine 7 [chan receive (synctest), synctest group 5]:"},
        {"go1.25.1", WAIT_REASON_SLEEP, 5, "goroutine 7 [sleep (durable), synctest bubble 5]:"},
        {"go1.25.1", WAIT_REASON_CHAN_RECEIVE_DURABLE, 5,
         "goroutine 7 [chan receive (durable), synctest bubble 5]:"},
        {"go1.27.4", WAIT_REASON_SYNC_MUTEX_LOCK, 2,
         "goroutine 7 [sync.Mutex.Lock, synctest bubble 2]:"},
        {"go1.27.4", WAIT_REASON_SELECT_NO_CASES, UINT32_MAX,
         "goroutine 7 [select (no cases) (durable), synctest bubble]:"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct snapshot_fixture fixture = snapshot_fixture_begin(cases[i].release);
        size_t index;
        snapshot_fixture_goroutine(&fixture, 7, fixture.worker, cases[i].reason, &index)->bubble =
            cases[i].bubble;
        struct snapshot *snapshot = snapshot_fixture_end(&fixture);
        test_assert_header(snapshot, DUMP_LABELS_AS_TARGET, cases[i].header);
        snapshot_destroy(snapshot);
    }
}

/* Labels: by release, built-in GODEBUG and wish; quoting of Go 1.26 and 1.27. */
static void test_labels(void **state)
{
    (void)state;
    static const char on[] = "-buildmode=exe\nDefaultGODEBUG=panicnil=1,tracebacklabels=1\nx=y";
    static const char off[] = "DefaultGODEBUG=tracebacklabels=0\nGOOS=linux";
    static const char plain[] = "goroutine 7 [sleep]:";
    static const char bare[] = "goroutine 7 [sleep] {op/x: t_0, \"a b\": "
                               "\"\\n\\\"\\u00e9\\U0001f600\\xff\\x01\\u007f\"}:";
    static const char inside[] = "goroutine 7 [sleep labels:{\"op/x\": \"t_0\", \"a b\": "
                                 "\"\\n\\\"\\u00e9\\U0001f600\\ufffd\\x01\\u007f\"}]:";
    static const struct {
        const char *release, *settings;
        enum dump_labels labels;
        const char *header;
    } cases[] = {
        {"go1.25.1", on, DUMP_LABELS_AS_TARGET, plain},
        {"go1.26.1", "", DUMP_LABELS_AS_TARGET, plain},
        {"go1.26.1", on, DUMP_LABELS_AS_TARGET, inside},
        {"go1.26.1", "", DUMP_LABELS_ALWAYS, inside},
        {"go1.27.4", "", DUMP_LABELS_AS_TARGET, bare},
        {"go1.27.4", off, DUMP_LABELS_AS_TARGET, plain},
        {"go1.27.4", "", DUMP_LABELS_NEVER, plain},
        {"go1.18.1", "", DUMP_LABELS_ALWAYS, bare},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct snapshot_fixture fixture = snapshot_fixture_begin(cases[i].release);
        struct snapshot_builder *builder = fixture.builder;
        snapshot_builder_program(builder)->settings =
            snapshot_fixture_string(builder, cases[i].settings);
        const struct snapshot_label labels[] = {
            {snapshot_fixture_string(builder, "op/x"), snapshot_fixture_string(builder, "t_0")},
            {snapshot_fixture_string(builder, "a b"),
             snapshot_fixture_string(builder, "\n\"\xc3\xa9\xf0\x9f\x98\x80\xff\x01\x7f")},
        };
        uint32_t set;
        assert_success(snapshot_builder_labels(builder, labels, 2, &set));
        size_t index;
        snapshot_fixture_goroutine(&fixture, 7, fixture.worker, WAIT_REASON_SLEEP, &index)->labels =
            set;
        struct snapshot *snapshot = snapshot_fixture_end(&fixture);
        test_assert_header(snapshot, cases[i].labels, cases[i].header);
        snapshot_destroy(snapshot);
    }
}

/* Counts the lines of TEXT that begin with START. */
static size_t test_count(const char *text, const char *start)
{
    size_t count = 0;
    for (const char *line = text; line != NULL && *line != '\0';) {
        count += strncmp(line, start, strlen(start)) == 0;
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    return count;
}

/* Deep stacks: 300 frames, of which the first 3 are hidden. */
static void test_elision(void **state)
{
    (void)state;
    static const char *const releases[] = {"go1.20.14", "go1.21.13"};
    for (size_t i = 0; i < 2; i++) {
        struct snapshot_fixture fixture = snapshot_fixture_begin(releases[i]);
        size_t index;
        snapshot_fixture_goroutine(&fixture, 7, fixture.recursion, WAIT_REASON_SLEEP, &index);
        struct snapshot *snapshot = snapshot_fixture_end(&fixture);
        char *text = test_text(snapshot, DUMP_LABELS_AS_TARGET, NULL);
        if (i == 0) {
            /* 100 physical frames were walked, 97 printed: then no line tells of the rest. */
            assert_int_equal(test_count(text, "main.down("), 97);
            assert_int_equal(test_count(text, "..."), 0);
        } else {
            assert_int_equal(test_count(text, "main.down("), 100);
            assert_int_equal(test_count(text, "...197 frames elided..."), 1);
            const char *line = strstr(text, "...197");
            assert_non_null(line);
            assert_int_equal(test_count(line, "main.down("), 50);
            assert_non_null(strstr(line, "/src/deep.go:1299 +0x10"));
            assert_non_null(strstr(text, "/src/deep.go:1052 +0x10\n...197"));
        }
        free(text);
        snapshot_destroy(snapshot);
    }
}

/* Exactly 100 printed frames up to Go 1.20: the line follows; 100 from 1.21: nothing is elided. */
static void test_elision_edge(void **state)
{
    (void)state;
    static const char *const releases[] = {"go1.19.13", "go1.22.12"};
    for (size_t i = 0; i < 2; i++) {
        struct snapshot_fixture fixture = snapshot_fixture_begin(releases[i]);
        uint32_t frames[100];
        for (uint32_t k = 0; k < 100; k++) {
            frames[k] = snapshot_fixture_frame(fixture.builder, "main.f", "f.go", k + 1, 1, "", 0);
        }
        size_t index;
        snapshot_fixture_goroutine(&fixture, 7,
                                   snapshot_fixture_stack(fixture.builder, frames, 100),
                                   WAIT_REASON_SLEEP, &index);
        struct snapshot *snapshot = snapshot_fixture_end(&fixture);
        char *text = test_text(snapshot, DUMP_LABELS_AS_TARGET, NULL);
        assert_int_equal(test_count(text, "main.f()"), 100);
        assert_int_equal(test_count(text, "...additional frames elided..."), i == 0);
        assert_int_equal(test_count(text, "..."), i == 0);
        free(text);
        snapshot_destroy(snapshot);
    }
}

/* A goroutine all of whose frames are hidden shows them all; panic is hidden when it comes first;
 * lines that the source elided stay; C code; an unknown stack; main has no creator. */
static void test_special_stacks(void **state)
{
    (void)state;
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    struct snapshot_builder *builder = fixture.builder;
    uint32_t gopark = snapshot_fixture_frame(builder, "runtime.gopark", "p.go", 9, 1, "\1",
                                             FRAME_RUNTIME | FRAME_HIDDEN);
    uint32_t panic =
        snapshot_fixture_frame(builder, "panic", "panic.go", 5, 2, "{\1, \1}", FRAME_RUNTIME);
    uint32_t user = snapshot_fixture_frame(builder, "main.f", "f.go", 3, 0, "", 0);
    uint32_t elided = snapshot_fixture_frame(builder, NULL, NULL, 12, 0, NULL, FRAME_ELIDED);
    uint32_t foreign = snapshot_fixture_frame(builder, NULL, NULL, 0, 0, NULL, FRAME_NOT_GO);
    const uint32_t stacks[][4] = {
        {gopark}, {gopark, panic, user}, {user, panic, user}, {user, elided, foreign, user}};
    static const size_t sizes[] = {1, 3, 3, 4};
    size_t index;
    for (size_t i = 0; i < 4; i++) {
        uint32_t stack = snapshot_fixture_stack(builder, stacks[i], sizes[i]);
        snapshot_fixture_goroutine(&fixture, i + 1, stack, WAIT_REASON_SLEEP, &index)->creator = 0;
    }
    struct snapshot_goroutine *running =
        snapshot_fixture_goroutine(&fixture, 9, 0, WAIT_REASON_NONE, &index);
    running->status = GOROUTINE_STATUS_RUNNING;
    running->flags = GOROUTINE_STACK_UNKNOWN;
    struct snapshot *snapshot = snapshot_fixture_end(&fixture);
    char *text = test_text(snapshot, DUMP_LABELS_AS_TARGET, NULL);
    assert_string_equal(
        text, "goroutine 1 [sleep]:\nruntime.gopark(...)\n\tp.go:9 +0x1\n\n"
              "goroutine 2 [sleep]:\nmain.f()\n\tf.go:3\n\n"
              "goroutine 3 [sleep]:\nmain.f()\n\tf.go:3\npanic(...)\n\tpanic.go:5 +0x2\n"
              "main.f()\n\tf.go:3\n\n"
              "goroutine 4 [sleep]:\nmain.f()\n\tf.go:3\n...12 frames elided...\n"
              "non-Go function at pc=0x401000\nmain.f()\n\tf.go:3\n\n"
              "goroutine 9 [running]:\n\tgoroutine running on other thread; stack unavailable\n"
              "created by main.NewPool\n\t/src/pool.go:22 +0x45\n");
    free(text);
    snapshot_destroy(snapshot);
}

/* Verdicts mark goroutines (leaked) in any release. */
static void test_leaked(void **state)
{
    (void)state;
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.18.10");
    size_t index;
    snapshot_fixture_goroutine(&fixture, 1, fixture.worker, WAIT_REASON_SLEEP, &index);
    snapshot_fixture_goroutine(&fixture, 2, fixture.worker, WAIT_REASON_CHAN_SEND, &index);
    struct snapshot *snapshot = snapshot_fixture_end(&fixture);
    const uint8_t leaked[] = {0, 1};
    char *text = test_text(snapshot, DUMP_LABELS_AS_TARGET, leaked);
    assert_int_equal(test_count(text, "goroutine 1 [sleep]:"), 1);
    assert_int_equal(test_count(text, "goroutine 2 [chan send (leaked)]:"), 1);
    free(text);
    snapshot_destroy(snapshot);
}

/* Names with control characters, line ends and invalid UTF-8 stay in their lines. */
static void test_hostile_names(void **state)
{
    (void)state;
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    uint32_t frame = snapshot_fixture_frame(fixture.builder, "main.\033[2Jf\n\001goroutine 9 [x]:",
                                            "/a\xff\r\xe2\x80\xae.go", 3, 1, "\1, \033", 0);
    size_t index;
    snapshot_fixture_goroutine(&fixture, 1, snapshot_fixture_stack(fixture.builder, &frame, 1),
                               WAIT_REASON_SLEEP, &index);
    const uint64_t word = 0xdeadbeefcafe1234;
    assert_success(snapshot_builder_arguments(fixture.builder, index, &word, 1));
    struct snapshot *snapshot = snapshot_fixture_end(&fixture);
    char *text = test_text(snapshot, DUMP_LABELS_AS_TARGET, NULL);
    assert_string_equal(text,
                        "goroutine 1 [sleep]:\n"
                        "main.\\x1b[2Jf\\x0a\\x01goroutine 9 [x]:(0xdeadbeefcafe1234, \\x1b)\n"
                        "\t/a\\xff\\x0d\\xe2\\x80\\xae.go:3 +0x1\n");
    free(text);
    snapshot_destroy(snapshot);
}

/* Writes once, to a builder of its own. */
static struct error *test_write(void *context)
{
    struct dump_view view = {.snapshot = context, .labels = DUMP_LABELS_ALWAYS};
    struct string_builder text = {0};
    struct emit_sink sink;
    struct error *error = emit_sink_init(&sink, emit_sink_write_builder, &text);
    if (error == NULL) {
        error = dump_go_write(&view, &sink);
        emit_sink_deinit(&sink);
    }
    string_builder_deinit(&text);
    return error;
}

/* Every allocation may fail. */
static void test_exhaustion(void **state)
{
    (void)state;
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    static const uint64_t words[300];
    size_t index;
    snapshot_fixture_goroutine(&fixture, 1, fixture.worker, WAIT_REASON_SLEEP, &index);
    snapshot_fixture_goroutine(&fixture, 2, fixture.recursion, WAIT_REASON_SLEEP, &index);
    assert_success(snapshot_builder_arguments(fixture.builder, index, words, 300));
    struct snapshot *snapshot = snapshot_fixture_end(&fixture);
    support_exhaust(test_write, snapshot);
    snapshot_destroy(snapshot);
}

/* All tests. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames),         cmocka_unit_test(test_no_arguments),
        cmocka_unit_test(test_status),         cmocka_unit_test(test_minutes),
        cmocka_unit_test(test_bubbles),        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_elision),        cmocka_unit_test(test_elision_edge),
        cmocka_unit_test(test_special_stacks), cmocka_unit_test(test_leaked),
        cmocka_unit_test(test_hostile_names),  cmocka_unit_test(test_exhaustion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
