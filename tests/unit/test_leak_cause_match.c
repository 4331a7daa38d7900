/* Causes: signatures against built findings; ranked, at most three, none when nothing fits. */
#include "leak/cause_match.h"
#include "snapshot_fixture.h"

/* What one goroutine of a group waits in. */
struct test_wait {
    enum wait_reason reason;
    enum snapshot_direction direction;
    const char *element; /* of the channel; NULL: no object */
    int64_t capacity, length;
};

/* COUNT goroutines with FUNCTION on the stack, below GUTS (a function of a library, or NULL), each
 * waiting for its own. */
static struct snapshot *test_snapshot(const char *function, const char *guts, size_t count,
                                      const struct test_wait *wait)
{
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    uint32_t frames[3];
    size_t depth = 0;
    frames[depth++] = snapshot_fixture_frame(fixture.builder, "runtime.gopark", "proc.go", 398,
                                             0xce, NULL, FRAME_RUNTIME);
    if (guts != NULL) {
        frames[depth++] = snapshot_fixture_frame(fixture.builder, guts, "guts.go", 20, 0x20, NULL,
                                                 FRAME_STANDARD_LIBRARY);
    }
    frames[depth++] =
        snapshot_fixture_frame(fixture.builder, function, "main.go", 10, 0x10, NULL, 0);
    uint32_t stack = snapshot_fixture_stack(fixture.builder, frames, depth);
    for (size_t i = 0; i < count; i++) {
        size_t index;
        struct snapshot_object object = {.address = 0xc000001000 + i * 96, .kind = OBJECT_CHANNEL};
        struct snapshot_wait one = {.direction = wait->direction};
        snapshot_fixture_goroutine(&fixture, 10 + i, stack, wait->reason, &index)->parent = 3;
        if (wait->element != NULL) {
            object.channel.element_type = snapshot_fixture_string(fixture.builder, wait->element);
            object.channel.capacity = wait->capacity;
            object.channel.length = wait->length;
            assert_success(snapshot_builder_object(fixture.builder, &object, &one.object));
            assert_success(snapshot_builder_waits(fixture.builder, index, &one, 1));
        }
    }
    return snapshot_fixture_end(&fixture);
}

/* Findings of SNAPSHOT, all of whose goroutines have VERDICT. */
static struct error *test_find(struct snapshot *snapshot, enum leak_verdict verdict,
                               enum leak_class class_, struct finding_list *ret)
{
    static struct finding_verdict verdicts[16];
    for (size_t i = 0; i < 16; i++) {
        verdicts[i] = (struct finding_verdict){(uint8_t)verdict, (uint8_t)class_, LEAK_REASON_NONE};
    }
    struct finding_input input = {
        .snapshot = snapshot,
        .verdicts = verdicts,
        .descriptors = SNAPSHOT_UNKNOWN,
        .descriptors_before = SNAPSHOT_UNKNOWN,
        .threads_before = SNAPSHOT_UNKNOWN,
    };
    return finding_list_init(ret, &input);
}

static const struct test_wait test_send = {WAIT_REASON_CHAN_SEND, DIRECTION_SEND, "error", 0, 0};
static const struct test_wait test_nil = {WAIT_REASON_CHAN_RECEIVE_NIL, DIRECTION_RECEIVE, NULL, 0,
                                          0};
static const struct test_wait test_empty = {WAIT_REASON_SELECT_NO_CASES, DIRECTION_WAIT, NULL, 0,
                                            0};
static const struct test_wait test_select = {WAIT_REASON_SELECT, DIRECTION_SEND, "[]uint8", 0, 0};
static const struct test_wait test_coroutine = {WAIT_REASON_COROUTINE, DIRECTION_WAIT, NULL, 0, 0};

/* The best cause of some findings. */
static void test_best(void **state)
{
    (void)state;
    static const struct {
        const char *function, *guts;
        const struct test_wait *wait;
        enum leak_class class_;
        const char *id; /* of the best cause; NULL: none fits */
    } cases[] = {
        {"main.price.func1", NULL, &test_send, LEAK_CLASS_CHANNEL, "abandoned-result"},
        {"main.follow", NULL, &test_nil, LEAK_CLASS_NIL_CHANNEL, "nil-channel"},
        {"main.run", NULL, &test_empty, LEAK_CLASS_EMPTY_SELECT, "empty-select"},
        {"main.export.func1", "io.(*pipe).write", &test_select, LEAK_CLASS_CHANNEL,
         "pipe-not-closed"},
        {"main.walk", NULL, &test_coroutine, LEAK_CLASS_COROUTINE, NULL},
        {"main.walk", "iter.Pull[...].func1.1", &test_coroutine, LEAK_CLASS_COROUTINE,
         "iterator-not-stopped"},
        {"main.walk", "iter.Pull[...].func2", &test_coroutine, LEAK_CLASS_COROUTINE, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct finding_list list;
        struct snapshot *snapshot =
            test_snapshot(cases[i].function, cases[i].guts, 1, cases[i].wait);
        assert_success(test_find(snapshot, LEAK_VERDICT_PROVED, cases[i].class_, &list));
        assert_int_equal(list.count, 1);
        const struct finding *finding = &list.items[0];
        if (cases[i].id == NULL) {
            assert_int_equal(finding->cause_count, 0);
        } else {
            assert_true(finding->cause_count > 0);
            assert_string_equal(finding->causes[0].cause->id, cases[i].id);
        }
        finding_list_deinit(&list);
        snapshot_destroy(snapshot);
    }
}

/* Ranked, each cause once, at most three, each with evidence that claims no proof. */
static void test_ranking(void **state)
{
    (void)state;
    static const struct test_wait *const waits[] = {&test_send, &test_nil, &test_empty,
                                                    &test_select};
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        for (size_t count = 1; count <= 8; count += 7) {
            struct finding_list list;
            struct snapshot *snapshot = test_snapshot("main.(*T).worker", NULL, count, waits[i]);
            assert_success(test_find(snapshot, LEAK_VERDICT_PROVED, LEAK_CLASS_CHANNEL, &list));
            const struct finding *finding = &list.items[0];
            assert_true(finding->cause_count <= FINDING_CAUSES_MAX);
            for (size_t j = 0; j < finding->cause_count; j++) {
                const struct finding_cause *cause = &finding->causes[j];
                assert_true(cause->score >= 1 && cause->score <= 100);
                assert_true(j == 0 || cause->score <= finding->causes[j - 1].score);
                assert_true(j == 0 || cause->cause != finding->causes[j - 1].cause);
                assert_non_null(cause->evidence);
                assert_true(cause->evidence[0] != '\0');
                assert_null(strstr(cause->evidence, "prove"));
                assert_true(cause->cause->proof != CAUSE_BENIGN);
            }
            finding_list_deinit(&list);
            snapshot_destroy(snapshot);
        }
    }
}

/* A function of a library is named as evidence. */
static void test_function_is_named(void **state)
{
    (void)state;
    struct finding_list list;
    struct snapshot *snapshot =
        test_snapshot("main.export.func1", "io.(*pipe).write", 1, &test_select);
    assert_success(test_find(snapshot, LEAK_VERDICT_PROVED, LEAK_CLASS_CHANNEL, &list));
    assert_non_null(strstr(list.items[0].causes[0].evidence, "io.(*pipe).write is in the stack"));
    finding_list_deinit(&list);
    snapshot_destroy(snapshot);
}

/* Makes findings once. */
static struct error *test_make(void *context)
{
    struct finding_list list;
    TRY(test_find(context, LEAK_VERDICT_PROVED, LEAK_CLASS_CHANNEL, &list));
    finding_list_deinit(&list);
    return NULL;
}

/* Every allocation may fail. */
static void test_exhaustion(void **state)
{
    (void)state;
    struct snapshot *snapshot =
        test_snapshot("main.export.func1", "io.(*pipe).write", 8, &test_select);
    support_exhaust(test_make, snapshot);
    snapshot_destroy(snapshot);
}

/* All tests. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_best),
        cmocka_unit_test(test_ranking),
        cmocka_unit_test(test_function_is_named),
        cmocka_unit_test(test_exhaustion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
