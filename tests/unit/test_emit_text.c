/* Output for people: records, summaries, the table of processes; widths; sinks that fail. */
#include "emit/describe.h"
#include "emit/dump.h"
#include "emit/emit_width.h"
#include "emit/ps.h"
#include "snapshot_fixture.h"
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* What a view looks like; the text is the caller's. */
static char *test_text(const struct dump_view *view)
{
    struct string_builder text = {0};
    struct emit_sink sink;
    assert_success(emit_sink_init(&sink, emit_sink_write_builder, &text));
    assert_success(dump_text_write(view, &sink));
    emit_sink_deinit(&sink);
    char *taken;
    assert_success(string_builder_take(&text, &taken));
    return taken;
}

/* Two workers on one channel, one sender on it, a server in a select, a system goroutine. */
static struct snapshot *test_program(void)
{
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    struct snapshot_builder *builder = fixture.builder;
    const struct snapshot_label label = {snapshot_fixture_string(builder, "op"),
                                         snapshot_fixture_string(builder, "fetch")};
    uint32_t labels;
    assert_success(snapshot_builder_labels(builder, &label, 1, &labels));
    size_t index;
    uint32_t channel = 0;
    for (uint64_t id = 18; id <= 19; id++) {
        struct snapshot_goroutine *worker = snapshot_fixture_goroutine(
            &fixture, id, fixture.worker, WAIT_REASON_CHAN_RECEIVE, &index);
        worker->age_ns = (int64_t)(id - 17) * 60000000000;
        worker->parent = id;
        worker->labels = labels;
        channel = snapshot_fixture_channel(&fixture, index, 0xc000012345, DIRECTION_RECEIVE);
    }
    struct snapshot_goroutine *main =
        snapshot_fixture_goroutine(&fixture, 1, fixture.server, WAIT_REASON_SELECT, &index);
    main->creator = 0;
    struct snapshot_object other = {.address = 0xc000099999, .kind = OBJECT_CHANNEL};
    other.channel.length = 2;
    other.channel.capacity = 10;
    other.channel.closed = 1;
    struct snapshot_wait waits[] = {{channel, DIRECTION_SEND}, {0, DIRECTION_RECEIVE}};
    assert_success(snapshot_builder_object(builder, &other, &waits[1].object));
    assert_success(snapshot_builder_waits(builder, index, waits, 2));
    struct snapshot_goroutine *system =
        snapshot_fixture_goroutine(&fixture, 2, fixture.worker, WAIT_REASON_FORCE_GC_IDLE, &index);
    system->flags = GOROUTINE_SYSTEM;
    assert_success(snapshot_builder_note(builder, "1 goroutine moved"));
    return snapshot_fixture_end(&fixture);
}

/* The default output, to the byte. */
static void test_groups(void **state)
{
    (void)state;
    struct snapshot *snapshot = test_program();
    const uint32_t selection[] = {0, 2, 3};
    struct group_list list;
    assert_success(group_list_init(&list, snapshot, selection, 3, GROUP_BY_COUNT));
    struct dump_view view = {
        .snapshot = snapshot, .selection = selection, .count = 3, .groups = &list};
    char *text = test_text(&view);
    assert_string_equal(
        text, "process 4711: /usr/bin/api (example.com/api v1.2.3), go1.24.3, 12 threads\n"
              "\n"
              "2 goroutines: chan receive for 1m00s to 2m00s\n"
              "  waits to receive from chan int 0xc000012345 (cap 0, 1 sender, 2 receivers)\n"
              "  ids 18, 19\n"
              "  labels op=fetch\n"
              "    runtime.gopark       /go/src/runtime/proc.go:398\n"
              "    runtime.chanrecv1    /go/src/runtime/chan.go:442\n"
              "    main.receive         /src/pool.go:30\n"
              "    main.(*Pool).worker  /src/pool.go:41\n"
              "    runtime.goexit       /go/src/runtime/asm_amd64.s:1650\n"
              "    created by main.NewPool in several goroutines  /src/pool.go:22\n"
              "\n"
              "goroutine 1: select, age unknown\n"
              "  waits to send to chan int 0xc000012345 (cap 0, 1 sender, 2 receivers)\n"
              "     or to receive from chan ? 0xc000099999 (len 2, cap 10, closed, 0 senders, 1 "
              "receiver)\n"
              "    runtime.gopark          /go/src/runtime/proc.go:398\n"
              "    net/http.(*conn).serve  /go/src/net/http/server.go:2000\n"
              "    main.serve              /src/server.go:12\n"
              "\n"
              "note: 1 goroutine moved\n"
              "3 goroutines in 2 groups (3 waiting); hidden: 1 system goroutine; read in 12.3ms, "
              "target stopped for 0s\n");
    free(text);
    group_list_deinit(&list);
    snapshot_destroy(snapshot);
}

/* --user hides frames and says how many; the limit, and filters, say what they hide. */
static void test_hidden(void **state)
{
    (void)state;
    struct snapshot *snapshot = test_program();
    const uint32_t selection[] = {2, 3};
    struct dump_view view = {
        .snapshot = snapshot, .selection = selection, .count = 2, .limit = 1, .user_frames = true};
    char *text = test_text(&view);
    assert_non_null(strstr(text, "goroutine 18: chan receive for 1m00s\n"));
    assert_null(strstr(text, "runtime.gopark"));
    assert_non_null(strstr(text, "    main.(*Pool).worker  /src/pool.go:41\n"
                                 "    (3 runtime and library frames hidden)\n"
                                 "    created by main.NewPool in goroutine 18  /src/pool.go:22\n"));
    assert_non_null(strstr(
        text, "\n2 of 3 goroutines (2 waiting); hidden: 1 system goroutine, 1 goroutine that "
              "was not asked for, 1 goroutine beyond the limit, 3 frames; read in"));
    assert_null(strstr(text, "goroutine 19"));
    free(text);
    snapshot_destroy(snapshot);
}

/* Colours come only when asked for, and always end. */
static void test_color(void **state)
{
    (void)state;
    struct snapshot *snapshot = test_program();
    struct dump_view view = {.snapshot = snapshot};
    char *text = test_text(&view);
    assert_null(strchr(text, '\033'));
    free(text);
    view.style.color = true;
    text = test_text(&view);
    assert_non_null(strstr(text, "\033[2mruntime.gopark"));
    assert_non_null(strstr(text, "    main.receive"));
    size_t begun = 0;
    size_t ended = 0;
    for (const char *p = text; (p = strstr(p, "\033[")) != NULL; p++) {
        bool end = strncmp(p, "\033[0m", 4) == 0;
        begun += !end;
        ended += end;
    }
    assert_true(begun > 0);
    assert_int_equal(begun, ended);
    free(text);
    snapshot_destroy(snapshot);
}

/* One goroutine in detail: its g, its start, who else waits. */
static void test_goroutine(void **state)
{
    (void)state;
    struct snapshot *snapshot = test_program();
    struct dump_view view = {.snapshot = snapshot};
    struct string_builder text = {0};
    struct emit_sink sink;
    assert_success(emit_sink_init(&sink, emit_sink_write_builder, &text));
    assert_success(dump_text_write_goroutine(&view, 0, &sink));
    const char *got = string_builder_text(&text);
    assert_non_null(strstr(got, "goroutine 1: select"));
    assert_non_null(strstr(got, "  started as main.(*Pool).worker  /src/pool.go:41\n"));
    assert_non_null(strstr(got, "  others at chan int 0xc000012345 (cap 0, 1 sender, 2 receivers): "
                                "18 (receive), 19 (receive)\n"));
    assert_non_null(strstr(got, "1 receiver): none\n"));
    emit_sink_deinit(&sink);
    string_builder_deinit(&text);
    snapshot_destroy(snapshot);
}

/* A group's selects: what all share is told apart from what each has for itself; one goroutine's
 * select shows every case. */
static void test_selects(void **state)
{
    (void)state;
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    for (uint64_t id = 1; id <= 4; id++) {
        size_t index;
        struct snapshot_goroutine *goroutine =
            snapshot_fixture_goroutine(&fixture, id, fixture.server, WAIT_REASON_SELECT, &index);
        goroutine->creator = id < 4 ? fixture.creator : 0;
        struct snapshot_wait waits[3];
        for (uint64_t k = 0; k < 3; k++) {
            struct snapshot_object object = {.kind = OBJECT_CHANNEL};
            object.address = k == 1 ? 0xd0 : 0x1000 * id + 0x100 * k;
            assert_success(snapshot_builder_object(fixture.builder, &object, &waits[k].object));
            waits[k].direction = DIRECTION_RECEIVE;
        }
        assert_success(snapshot_builder_waits(fixture.builder, index, waits, 3));
    }
    struct snapshot *snapshot = snapshot_fixture_end(&fixture);
    struct group_list list;
    assert_success(group_list_init(&list, snapshot, NULL, 0, GROUP_BY_COUNT));
    struct dump_view view = {.snapshot = snapshot, .groups = &list};
    char *text = test_text(&view);
    assert_non_null(strstr(text, "3 goroutines: select, age unknown\n"
                                 "  waits to receive from 6 channels, e.g. chan ? 0x1000 (cap 0, 0 "
                                 "senders, 1 receiver)\n"
                                 "     or to receive from chan ? 0xd0 (cap 0, 0 senders, 4 "
                                 "receivers)\n"));
    assert_non_null(strstr(text, "goroutine 4: select, age unknown\n"
                                 "  waits to receive from chan ? 0x4000 (cap 0, 0 senders, 1 "
                                 "receiver)\n"
                                 "     or to receive from chan ? 0xd0 (cap 0, 0 senders, 4 "
                                 "receivers)\n"
                                 "     or to receive from chan ? 0x4200 (cap"));
    free(text);
    group_list_deinit(&list);
    snapshot_destroy(snapshot);
}

/* A running goroutine: no stack, but where it began and what would show more. */
static void test_no_stack(void **state)
{
    (void)state;
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    size_t index;
    struct snapshot_goroutine *goroutine =
        snapshot_fixture_goroutine(&fixture, 5, 0, WAIT_REASON_NONE, &index);
    goroutine->status = GOROUTINE_STATUS_RUNNING;
    goroutine->flags = GOROUTINE_STACK_UNKNOWN;
    goroutine->thread = 4713;
    snapshot_fixture_goroutine(&fixture, 6, fixture.worker, WAIT_REASON_CHAN_SEND, &index);
    struct snapshot *snapshot = snapshot_fixture_end(&fixture);
    struct dump_view view = {.snapshot = snapshot};
    char *text = test_text(&view);
    assert_non_null(strstr(text, "goroutine 5: running, thread 4713\n"
                                 "    stack not read: it was running (--stop reads it)\n"
                                 "    started as main.(*Pool).worker  /src/pool.go:41\n"
                                 "    created by main.NewPool  /src/pool.go:22\n"));
    assert_non_null(strstr(text, "goroutine 6: chan send, age unknown\n"
                                 "  waits on something unknown\n"));
    free(text);
    snapshot_destroy(snapshot);
}

/* Each kind of object in words. */
static void test_objects(void **state)
{
    (void)state;
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    uint32_t tcp = snapshot_fixture_string(fixture.builder, "tcp 10.0.0.7:5 -> 10.0.0.9:5432");
    const struct {
        struct snapshot_object object;
        const char *text;
    } cases[] = {
        {{.kind = OBJECT_NIL_CHANNEL}, "a nil channel, for ever"},
        {{.kind = OBJECT_EMPTY_SELECT}, "select {}, for ever"},
        {{.kind = OBJECT_MUTEX, .address = 16, .mutex = {1, 0, 12}},
         "Mutex 0x10 locked, 12 waiters"},
        {{.kind = OBJECT_MUTEX, .address = 32, .mutex = {-1, -1, SNAPSHOT_UNKNOWN}},
         "Mutex 0x20 state unknown, ? waiters"},
        {{.kind = OBJECT_RWMUTEX, .address = 16, .rwmutex = {3, 2, 1, 1}},
         "RWMutex 0x10 wanted by a writer, held by 2 readers"},
        {{.kind = OBJECT_RWMUTEX, .address = 32, .rwmutex = {0, 0, 1, 1}},
         "RWMutex 0x20 held by a writer"},
        {{.kind = OBJECT_RWMUTEX, .address = 48, .rwmutex = {1, 0, 0, 0}},
         "RWMutex 0x30 held by 1 reader"},
        {{.kind = OBJECT_WAIT_GROUP, .address = 16, .wait_group = {3, 1}},
         "WaitGroup 0x10 counter 3, 1 waiter"},
        {{.kind = OBJECT_COND, .address = 16, .cond = {2}}, "Cond 0x10 2 waiters"},
        {{.kind = OBJECT_SEMAPHORE, .address = 16, .semaphore = {0, tcp}},
         "semaphore 0x10 (tcp 10.0.0.7:5 -> 10.0.0.9:5432), value 0"},
        {{.kind = OBJECT_DESCRIPTOR, .descriptor = {7, tcp, INT64_MAX}},
         "tcp 10.0.0.7:5 -> 10.0.0.9:5432 (fd 7), no deadline"},
        {{.kind = OBJECT_DESCRIPTOR, .descriptor = {SNAPSHOT_UNKNOWN, 0, 1500000000}},
         "a descriptor, deadline in 1.5s"},
        {{.kind = OBJECT_DESCRIPTOR, .descriptor = {7, 0, SNAPSHOT_UNKNOWN}},
         "a descriptor (fd 7), deadline unknown"},
        {{.kind = OBJECT_TIMER, .timer = {12000000000}}, "due in 12s"},
        {{.kind = OBJECT_TIMER, .timer = {-3000000}}, "overdue by 3ms"},
        {{.kind = OBJECT_TIMER, .timer = {SNAPSHOT_UNKNOWN}}, "due at an unknown time"},
        {{.kind = OBJECT_SYSTEM_CALL, .system_call = {202, 0}}, "system call 202"},
        {{.kind = OBJECT_COROUTINE, .address = 16, .coroutine = {18}},
         "coroutine 0x10, partner goroutine 18"},
        {{.kind = OBJECT_UNKNOWN, .address = 16}, "something unknown 0x10"},
    };
    uint32_t indices[sizeof cases / sizeof *cases];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_success(snapshot_builder_object(fixture.builder, &cases[i].object, &indices[i]));
    }
    struct snapshot *snapshot = snapshot_fixture_end(&fixture);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct string_builder text = {0};
        assert_success(describe_object(&text, snapshot, indices[i]));
        assert_string_equal(string_builder_text(&text), cases[i].text);
        string_builder_deinit(&text);
    }
    snapshot_destroy(snapshot);
}

/* Durations. */
static void test_durations(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        {0, "0s"},
        {999, "999ns"},
        {640000, "640us"},
        {12300000, "12.3ms"},
        {850000000, "850ms"},
        {1000000000, "1s"},
        {59999999999, "59.9s"},
        {250000000000, "4m10s"},
        {11100000000000, "3h05m"},
        {187200000000000, "2d04h"},
        {-5000000000, "-5s"},
        {INT64_MIN, "-106751d23h"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct string_builder text = {0};
        describe_duration(&text, cases[i].ns);
        assert_string_equal(string_builder_text(&text), cases[i].text);
        string_builder_deinit(&text);
    }
}

/* Names of the target's cannot drive the terminal or forge lines. */
static void test_hostile_names(void **state)
{
    (void)state;
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1\033[31m");
    struct snapshot_builder *builder = fixture.builder;
    const char *evil = "x\033[2J\n\xff\xe2\x80\xae";
    uint32_t text_id = snapshot_fixture_string(builder, evil);
    snapshot_builder_program(builder)->executable = text_id;
    snapshot_builder_program(builder)->source = text_id;
    const struct snapshot_label label = {text_id, text_id};
    uint32_t labels;
    assert_success(snapshot_builder_labels(builder, &label, 1, &labels));
    uint32_t frame = snapshot_fixture_frame(builder, evil, evil, 3, 1, evil, 0);
    size_t index;
    struct snapshot_goroutine *goroutine = snapshot_fixture_goroutine(
        &fixture, 1, snapshot_fixture_stack(builder, &frame, 1), WAIT_REASON_IO_WAIT, &index);
    goroutine->labels = labels;
    goroutine->creator = frame;
    struct snapshot_object object = {.kind = OBJECT_DESCRIPTOR};
    object.descriptor.description = text_id;
    struct snapshot_wait wait = {.direction = DIRECTION_READ};
    assert_success(snapshot_builder_object(builder, &object, &wait.object));
    assert_success(snapshot_builder_waits(builder, index, &wait, 1));
    assert_success(snapshot_builder_note(builder, "%s", evil));
    struct snapshot *snapshot = snapshot_fixture_end(&fixture);
    struct dump_view view = {.snapshot = snapshot};
    char *text = test_text(&view);
    for (const char *p = text; *p != '\0'; p++) {
        assert_true((*p >= 0x20 && *p < 0x7f) || *p == '\n');
    }
    size_t lines = 0;
    for (const char *p = text; *p != '\0'; p++) {
        lines += *p == '\n';
    }
    assert_int_equal(lines, 10);
    free(text);
    snapshot_destroy(snapshot);
}

/* The table of processes. */
static void test_processes(void **state)
{
    (void)state;
    const struct service_process processes[] = {
        {.pid = 4711,
         .user = "alice",
         .command = "caf\xc3\xa9",
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
         .command = "x\ny",
         .path = "command-line-arguments",
         .modified = -1,
         .age_ns = SNAPSHOT_UNKNOWN,
         .threads = SNAPSHOT_UNKNOWN,
         .goroutines = SNAPSHOT_UNKNOWN,
         .system_goroutines = SNAPSHOT_UNKNOWN,
         .reach = "permission denied"},
    };
    const struct emit_style style = {0};
    struct string_builder text = {0};
    struct emit_sink sink;
    assert_success(emit_sink_init(&sink, emit_sink_write_builder, &text));
    assert_success(ps_text_write(processes, 2, &style, &sink));
    assert_string_equal(
        string_builder_text(&text),
        " PID  USER     AGE  GO        THREADS  GOROUTINES  COMMAND  MODULE                  "
        "REVISION       REACHABLE\n"
        "4711  alice  1m30s  go1.22.1        8       120+5  caf\xc3\xa9     example.com/api v1.0.0"
        "  0123456789ab+  ok\n"
        "   9  -          -  -               -           -  x\\x0ay   command-line-arguments"
        "  -              permission denied\n");
    emit_sink_deinit(&sink);
    string_builder_deinit(&text);
}

/* Columns of wide, combining and broken characters. */
static void test_width(void **state)
{
    (void)state;
    assert_int_equal(emit_width("abc", 3), 3);
    assert_int_equal(emit_width("\xc3\xa9", 2), 1);
    assert_int_equal(emit_width("e\xcc\x81", 3), 1);
    assert_int_equal(emit_width("\xe6\x97\xa5\xe6\x9c\xac", 6), 4);
    assert_int_equal(emit_width("\xf0\x9f\x98\x80", 4), 2);
    assert_int_equal(emit_width("\xff\xc3", 2), 2);
    assert_int_equal(emit_width("", 0), 0);
}

/* Fails from the second call on. */
static struct error *test_fail_second(void *context, const void *data, size_t size)
{
    (void)data;
    (void)size;
    int *calls = context;
    return ++*calls >= 2 ? error_create(ERROR_IO, "disk full") : NULL;
}

/* The first failure sticks, is reported once, and ends the writing. */
static void test_sink_failure(void **state)
{
    (void)state;
    static char block[100000];
    int calls = 0;
    struct emit_sink sink;
    assert_success(emit_sink_init(&sink, test_fail_second, &calls));
    for (int i = 0; i < 20; i++) {
        emit_sink_add_bytes(&sink, block, sizeof block);
    }
    assert_true(emit_sink_failed(&sink));
    assert_error(emit_sink_flush(&sink), ERROR_IO);
    assert_int_equal(calls, 2);
    emit_sink_deinit(&sink);
}

/* Large and small pieces arrive in order, whatever the buffer's state. */
static void test_sink_order(void **state)
{
    (void)state;
    enum { PIECES = 300 };
    struct string_builder text = {0};
    struct string_builder want = {0};
    struct emit_sink sink;
    assert_success(emit_sink_init(&sink, emit_sink_write_builder, &text));
    static char piece[200000];
    for (size_t i = 0; i < PIECES; i++) {
        size_t size = i % 17 == 0 ? sizeof piece : i * 131 % 3000;
        memset(piece, (int)('a' + i % 26), size);
        emit_sink_add_bytes(&sink, piece, size);
        string_builder_add_bytes(&want, piece, size);
        emit_sink_add_hex(&sink, i * 0x123456789abu);
        string_builder_add_hex(&want, i * 0x123456789abu);
        emit_sink_add_u64(&sink, i);
        string_builder_add_u64(&want, i);
        emit_sink_add_spaces(&sink, i);
        string_builder_format(&want, "%*s", (int)i, "");
    }
    emit_sink_add_hex(&sink, 0);
    emit_sink_add_hex(&sink, UINT64_MAX);
    string_builder_add(&want, "0x00xffffffffffffffff");
    assert_success(emit_sink_flush(&sink));
    assert_int_equal(text.size, want.size);
    assert_memory_equal(text.text, want.text, want.size);
    emit_sink_deinit(&sink);
    string_builder_deinit(&text);
    string_builder_deinit(&want);
}

/* A reader that went away has a code of its own. */
static void test_sink_pipe(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    struct emit_sink sink;
    assert_success(emit_sink_init(&sink, emit_sink_write_descriptor, &ends[1]));
    emit_sink_add(&sink, "hello");
    assert_success(emit_sink_flush(&sink));
    char read_back[8] = {0};
    assert_int_equal(read(ends[0], read_back, sizeof read_back), 5);
    assert_string_equal(read_back, "hello");
    close(ends[0]);
    emit_sink_add(&sink, "hello");
    assert_error(emit_sink_flush(&sink), ERROR_PIPE);
    emit_sink_deinit(&sink);
    close(ends[1]);
    signal(SIGPIPE, before);
}

/* Writes groups, single goroutines and one in detail. */
static struct error *test_write(void *context)
{
    struct group_list list;
    TRY(group_list_init(&list, context, NULL, 0, GROUP_BY_COUNT));
    struct dump_view view = {.snapshot = context, .groups = &list};
    struct string_builder text = {0};
    struct emit_sink sink;
    struct error *error = emit_sink_init(&sink, emit_sink_write_builder, &text);
    if (error == NULL) {
        error = dump_text_write(&view, &sink);
        view.groups = NULL;
        error = error != NULL ? error : dump_text_write(&view, &sink);
        error = error != NULL ? error : dump_text_write_goroutine(&view, 0, &sink);
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
/* A source that only counts: sums of what entries stand for, beyond 32 bits, and no ids anywhere.
 */
static void test_counted(void **state)
{
    (void)state;
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    size_t index;
    for (uint64_t ordinal = 1; ordinal <= 3; ordinal++) {
        struct snapshot_goroutine *sample = snapshot_fixture_goroutine(
            &fixture, ordinal, ordinal == 3 ? fixture.server : fixture.worker,
            WAIT_REASON_CHAN_RECEIVE, &index);
        sample->status = GOROUTINE_STATUS_UNKNOWN;
        sample->count = ordinal == 3 ? 1 : UINT32_MAX;
        sample->creator = 0;
        sample->start = 0;
        sample->flags = GOROUTINE_ID_UNKNOWN | GOROUTINE_CREATOR_UNKNOWN;
    }
    struct snapshot *snapshot = snapshot_fixture_end(&fixture);
    assert_null(snapshot_find_goroutine(snapshot, 1));
    struct group_list groups;
    assert_success(group_list_init(&groups, snapshot, NULL, 0, GROUP_BY_COUNT));
    struct dump_view view = {.snapshot = snapshot, .groups = &groups, .limit = 1};
    char *text = test_text(&view);
    assert_non_null(strstr(text, "\n8589934590 goroutines: state unknown\n    runtime.gopark"));
    assert_null(strstr(text, "ids "));
    assert_non_null(strstr(text, "8589934591 goroutines in 2 groups (8589934591 in unknown state); "
                                 "hidden: 1 goroutine beyond the limit"));
    free(text);
    view.limit = 0;
    view.groups = NULL;
    text = test_text(&view);
    assert_non_null(strstr(text, "\n4294967295 goroutines: state unknown\n"));
    assert_non_null(strstr(text, "\n1 goroutine: state unknown\n"));
    free(text);
    struct string_builder go = {0};
    struct emit_sink sink;
    assert_success(emit_sink_init(&sink, emit_sink_write_builder, &go));
    assert_error(dump_go_write(&view, &sink), ERROR_UNSUPPORTED);
    emit_sink_deinit(&sink);
    string_builder_deinit(&go);
    group_list_deinit(&groups);
    snapshot_destroy(snapshot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups),        cmocka_unit_test(test_hidden),
        cmocka_unit_test(test_color),         cmocka_unit_test(test_goroutine),
        cmocka_unit_test(test_no_stack),      cmocka_unit_test(test_selects),
        cmocka_unit_test(test_objects),       cmocka_unit_test(test_durations),
        cmocka_unit_test(test_hostile_names), cmocka_unit_test(test_processes),
        cmocka_unit_test(test_width),         cmocka_unit_test(test_sink_failure),
        cmocka_unit_test(test_sink_order),    cmocka_unit_test(test_sink_pipe),
        cmocka_unit_test(test_exhaustion),    cmocka_unit_test(test_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
