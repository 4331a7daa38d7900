/* Findings from built snapshots: groups, order, heads and followers, counts, history. */
#include "leak/finding.h"
#include "snapshot_fixture.h"

enum { TEST_GOROUTINES_MAX = 64 };

/* A program and what is known of its goroutines. */
struct test_program {
    struct snapshot *snapshot;
    struct finding_verdict verdicts[TEST_GOROUTINES_MAX];
    struct finding_reference references[TEST_GOROUTINES_MAX];
    struct finding_seen seen[TEST_GOROUTINES_MAX];
    struct finding_input input;
};

/* Gives all goroutines one verdict and sets the input up. */
static void test_init(struct test_program *program, struct snapshot *snapshot)
{
    size_t count;
    *program = (struct test_program){.snapshot = snapshot};
    (void)snapshot_goroutines(snapshot, &count);
    assert_true(count <= TEST_GOROUTINES_MAX);
    for (size_t i = 0; i < count; i++) {
        program->seen[i] = (struct finding_seen){SNAPSHOT_UNKNOWN, SNAPSHOT_UNKNOWN};
    }
    program->input = (struct finding_input){
        .snapshot = snapshot,
        .verdicts = program->verdicts,
        .descriptors = SNAPSHOT_UNKNOWN,
        .descriptors_before = SNAPSHOT_UNKNOWN,
        .threads_before = SNAPSHOT_UNKNOWN,
    };
}

/* Sets the verdict on goroutine INDEX. */
static void test_judge(struct test_program *program, size_t index, enum leak_verdict verdict,
                       enum leak_class class_, enum leak_reason reason)
{
    program->verdicts[index] =
        (struct finding_verdict){(uint8_t)verdict, (uint8_t)class_, (uint8_t)reason};
}

/* Workers 10..13 receive from a channel each, 20 and 21 (other stack) select, 30 is the runtime's,
 * 40 and 41 lock what 10 holds. Indices: 0..3, 4, 5, 6, 7, 8. */
static struct snapshot *test_snapshot(void)
{
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    size_t index;
    for (uint64_t i = 0; i < 4; i++) {
        snapshot_fixture_goroutine(&fixture, 10 + i, fixture.worker, WAIT_REASON_CHAN_RECEIVE,
                                   &index)
            ->age_ns = (int64_t)(i + 1) * 1000;
        snapshot_fixture_channel(&fixture, index, 0xc000001000 + i * 96, DIRECTION_RECEIVE);
    }
    for (uint64_t i = 0; i < 2; i++) {
        snapshot_fixture_goroutine(&fixture, 20 + i, fixture.server, WAIT_REASON_SELECT, &index);
    }
    snapshot_fixture_goroutine(&fixture, 30, fixture.server, WAIT_REASON_SELECT, &index)->flags =
        GOROUTINE_SYSTEM;
    struct snapshot_object mutex = {.address = 0xc000009000, .kind = OBJECT_MUTEX};
    struct snapshot_wait wait = {.direction = DIRECTION_LOCK};
    assert_success(snapshot_builder_object(fixture.builder, &mutex, &wait.object));
    for (uint64_t i = 0; i < 2; i++) {
        snapshot_fixture_goroutine(&fixture, 40 + i, fixture.recursion, WAIT_REASON_SYNC_MUTEX_LOCK,
                                   &index);
        assert_success(snapshot_builder_waits(fixture.builder, index, &wait, 1));
    }
    return snapshot_fixture_end(&fixture);
}

/* All proved but the servers: 20 in doubt, 21 just moving. */
static void test_program_init(struct test_program *program)
{
    test_init(program, test_snapshot());
    for (size_t i = 0; i < 4; i++) {
        test_judge(program, i, LEAK_VERDICT_PROVED, LEAK_CLASS_CHANNEL, LEAK_REASON_NONE);
    }
    test_judge(program, 4, LEAK_VERDICT_UNKNOWN, LEAK_CLASS_CHANNEL, LEAK_REASON_INCOMPLETE);
    test_judge(program, 5, LEAK_VERDICT_UNKNOWN, LEAK_CLASS_CHANNEL, LEAK_REASON_IN_TRANSIT);
    test_judge(program, 6, LEAK_VERDICT_SYSTEM, LEAK_CLASS_NONE, LEAK_REASON_NOT_WAITING);
    test_judge(program, 7, LEAK_VERDICT_PROVED, LEAK_CLASS_MUTEX, LEAK_REASON_NONE);
    test_judge(program, 8, LEAK_VERDICT_PROVED, LEAK_CLASS_MUTEX, LEAK_REASON_NONE);
}

/* Worst and largest first, members and counts. */
static void test_groups(void **state)
{
    (void)state;
    struct test_program program;
    struct finding_list list;
    test_program_init(&program);
    assert_success(finding_list_init(&list, &program.input));
    assert_int_equal(list.count, 3);
    assert_int_equal(list.goroutines, 8);
    assert_int_equal(list.proved, 6);
    assert_int_equal(list.unknown, 2);
    assert_int_equal(list.system, 1);
    assert_int_equal(list.waiting, 0);
    assert_int_equal(list.suspected, 0);
    const struct finding *workers = &list.items[0];
    assert_int_equal(workers->verdict, LEAK_VERDICT_PROVED);
    assert_int_equal(workers->count, 4);
    assert_int_equal(workers->goroutines, 4);
    assert_int_equal(workers->object_count, 4);
    assert_int_equal(workers->age_min_ns, 1000);
    assert_int_equal(workers->age_max_ns, 4000);
    assert_int_equal(workers->key, finding_key(program.snapshot, 0));
    assert_int_equal(workers->growth.looks, 0);
    assert_int_equal(workers->proved_ns, SNAPSHOT_UNKNOWN);
    const struct finding *lockers = &list.items[1];
    assert_int_equal(lockers->count, 2);
    assert_int_equal(lockers->object_count, 1);
    assert_int_equal(lockers->head, 1); /* nobody is known to hold it */
    const struct finding *doubt = &list.items[2];
    assert_int_equal(doubt->verdict, LEAK_VERDICT_UNKNOWN);
    assert_int_equal(doubt->reason, LEAK_REASON_INCOMPLETE);
    assert_int_equal(doubt->count, 1); /* without the one that was just moving */
    finding_list_deinit(&list);
    snapshot_destroy(program.snapshot);
}

/* The object that goroutine INDEX waits for. */
static uint32_t test_object_of(const struct test_program *program, size_t index)
{
    size_t count;
    const struct snapshot_goroutine *goroutine =
        &snapshot_goroutines(program->snapshot, &count)[index];
    return snapshot_waits(program->snapshot, goroutine, &count)[0].object;
}

/* Who waits for what one stuck goroutine holds comes directly behind it. */
static void test_followers(void **state)
{
    (void)state;
    struct test_program program;
    struct finding_list list;
    test_program_init(&program);
    program.references[0] =
        (struct finding_reference){test_object_of(&program, 7), 2, "main.(*Pool).worker"};
    program.input.references = program.references;
    program.input.reference_count = 1;
    assert_success(finding_list_init(&list, &program.input));
    assert_int_equal(list.items[0].head, 0);
    assert_int_equal(list.items[0].followers, 2);
    assert_int_equal(list.items[1].head, 0);
    assert_int_equal(list.items[1].followers, 0);
    assert_int_equal(list.items[1].waker_count, 1);
    assert_int_equal(list.items[1].wakers[0].goroutine, 2);
    finding_list_deinit(&list);
    /* of a cycle, too, those that want the lock are behind the one that waits for a channel */
    for (size_t i = 0; i < 4; i++) {
        test_judge(&program, i, LEAK_VERDICT_PROVED, LEAK_CLASS_CYCLE, LEAK_REASON_NONE);
    }
    test_judge(&program, 7, LEAK_VERDICT_PROVED, LEAK_CLASS_CYCLE, LEAK_REASON_NONE);
    test_judge(&program, 8, LEAK_VERDICT_PROVED, LEAK_CLASS_CYCLE, LEAK_REASON_NONE);
    assert_success(finding_list_init(&list, &program.input));
    assert_int_equal(list.items[1].head, 0);
    assert_int_equal(list.items[0].head, 0);
    finding_list_deinit(&list);
    snapshot_destroy(program.snapshot);
}

/* Two goroutines of a cycle, 1 at STACKS[0] and 2 at STACKS[1], each of which waits for a mutex, at
 * 0xc000001000 and GAP bytes behind it, and refers to the other's. */
static void test_pair_init(struct test_program *program, struct snapshot_fixture *fixture,
                           const uint32_t *stacks, uint64_t gap)
{
    uint32_t objects[2];
    for (uint64_t i = 0; i < 2; i++) {
        size_t index;
        struct snapshot_object mutex = {.address = 0xc000001000 + i * gap, .kind = OBJECT_MUTEX};
        struct snapshot_wait wait = {.direction = DIRECTION_LOCK};
        snapshot_fixture_goroutine(fixture, 1 + i, stacks[i], WAIT_REASON_SYNC_MUTEX_LOCK, &index);
        assert_success(snapshot_builder_object(fixture->builder, &mutex, &objects[i]));
        wait.object = objects[i];
        assert_success(snapshot_builder_waits(fixture->builder, index, &wait, 1));
    }
    test_init(program, snapshot_fixture_end(fixture));
    for (size_t i = 0; i < 2; i++) {
        test_judge(program, i, LEAK_VERDICT_PROVED, LEAK_CLASS_CYCLE, LEAK_REASON_NONE);
        program->references[i] =
            (struct finding_reference){objects[i], (uint32_t)(1 - i), "main.f"};
    }
    program->input.references = program->references;
    program->input.reference_count = 2;
}

/* True when FINDING's first cause is ID. */
static bool test_is_caused_by(const struct finding *finding, const char *id)
{
    return finding->cause_count > 0 && strcmp(finding->causes[0].cause->id, id) == 0;
}

/* Two that hold what the other wants are one deadlock: the second comes with the first. */
static void test_circle(void **state)
{
    (void)state;
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    const uint32_t stacks[] = {fixture.worker, fixture.server};
    struct test_program program;
    struct finding_list list;
    test_pair_init(&program, &fixture, stacks, 8);
    assert_success(finding_list_init(&list, &program.input));
    assert_int_equal(list.count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(list.items[i].head, 0);
        assert_int_equal(list.items[i].followers, 1 - i);
        assert_true(list.items[i].circle);
        assert_true(test_is_caused_by(&list.items[i], "lock-order"));
    }
    finding_list_deinit(&list);
    snapshot_destroy(program.snapshot);
}

/* Two at one place whose small mutexes share a block of the allocator seem to refer to each
 * other's: no cycle. Farther apart they do. */
static void test_neighbours(void **state)
{
    (void)state;
    for (uint64_t gap = 8; gap <= 16; gap += 8) {
        struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
        const uint32_t stacks[] = {fixture.worker, fixture.worker};
        struct test_program program;
        struct finding_list list;
        test_pair_init(&program, &fixture, stacks, gap);
        assert_success(finding_list_init(&list, &program.input));
        assert_int_equal(list.count, 1);
        const struct finding *both = &list.items[0];
        assert_int_equal(both->class_, gap == 8 ? LEAK_CLASS_MUTEX : LEAK_CLASS_CYCLE);
        assert_int_equal(both->waker_count, gap == 8 ? 0 : 1);
        assert_int_equal(test_is_caused_by(both, "lock-order"), gap != 8);
        finding_list_deinit(&list);
        snapshot_destroy(program.snapshot);
    }
}

/* Some of a group in a cycle, others not known to be: one finding, of the class cycle. */
static void test_classes_of_a_group(void **state)
{
    (void)state;
    struct test_program program;
    struct finding_list list;
    test_program_init(&program);
    test_judge(&program, 2, LEAK_VERDICT_PROVED, LEAK_CLASS_CYCLE, LEAK_REASON_NONE);
    assert_success(finding_list_init(&list, &program.input));
    assert_int_equal(list.count, 3);
    assert_int_equal(list.items[0].count, 4);
    assert_int_equal(list.items[0].class_, LEAK_CLASS_CYCLE);
    finding_list_deinit(&list);
    snapshot_destroy(program.snapshot);
}

/* Who receives from a channel that only one stuck goroutine still refers to waits behind that one,
 * and for its cause: that the sender failed would be false. With a second one elsewhere that may
 * send, it does not. */
static void test_behind_a_channel(void **state)
{
    (void)state;
    for (size_t references = 1; references <= 2; references++) {
        struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
        struct snapshot_object cond = {.address = 0xc000005000, .kind = OBJECT_COND};
        struct snapshot_wait wait = {.direction = DIRECTION_WAIT};
        size_t index;
        snapshot_fixture_goroutine(&fixture, 1, fixture.worker, WAIT_REASON_CHAN_RECEIVE, &index);
        snapshot_fixture_channel(&fixture, index, 0xc000001000, DIRECTION_RECEIVE);
        snapshot_fixture_goroutine(&fixture, 2, fixture.server, WAIT_REASON_SYNC_COND_WAIT, &index);
        assert_success(snapshot_builder_object(fixture.builder, &cond, &wait.object));
        assert_success(snapshot_builder_waits(fixture.builder, index, &wait, 1));
        snapshot_fixture_goroutine(&fixture, 3, fixture.recursion, WAIT_REASON_SELECT_NO_CASES,
                                   &index);
        struct test_program program;
        struct finding_list list;
        test_init(&program, snapshot_fixture_end(&fixture));
        test_judge(&program, 0, LEAK_VERDICT_PROVED, LEAK_CLASS_CHANNEL, LEAK_REASON_NONE);
        test_judge(&program, 1, LEAK_VERDICT_PROVED, LEAK_CLASS_CONDITION, LEAK_REASON_NONE);
        test_judge(&program, 2, LEAK_VERDICT_PROVED, LEAK_CLASS_EMPTY_SELECT, LEAK_REASON_NONE);
        uint32_t channel = test_object_of(&program, 0);
        program.references[0] = (struct finding_reference){channel, 1, "main.f"};
        program.references[1] = (struct finding_reference){channel, 2, "main.g"};
        program.input.references = program.references;
        program.input.reference_count = references;
        assert_success(finding_list_init(&list, &program.input));
        for (size_t i = 0; i < list.count; i++) {
            const struct finding *finding = &list.items[i];
            bool receives = finding->wait_reason == WAIT_REASON_CHAN_RECEIVE;
            bool follows = receives && references == 1;
            assert_int_equal(finding->head != i, follows);
            assert_false(finding->circle);
            assert_false(follows && !test_is_caused_by(finding, "missed-signal"));
            assert_false(receives && !follows && test_is_caused_by(finding, "missed-signal"));
        }
        finding_list_deinit(&list);
        snapshot_destroy(program.snapshot);
    }
}

/* A circle that others lead into: all of them behind its head, those of the circle first. */
static void test_tail_of_a_circle(void **state)
{
    (void)state;
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    const uint32_t stacks[] = {fixture.worker, fixture.server};
    size_t index;
    struct test_program program;
    struct finding_list list;
    struct snapshot_object group = {.address = 0xc000000500, .kind = OBJECT_WAIT_GROUP};
    struct snapshot_wait wait = {.direction = DIRECTION_WAIT};
    for (uint64_t i = 0; i < 3; i++) {
        snapshot_fixture_goroutine(&fixture, 10 + i, fixture.recursion,
                                   WAIT_REASON_SYNC_WAITGROUP_WAIT, &index);
        assert_success(snapshot_builder_object(fixture.builder, &group, &wait.object));
        assert_success(snapshot_builder_waits(fixture.builder, index, &wait, 1));
    }
    test_pair_init(&program, &fixture, stacks, 64);
    for (size_t i = 2; i < 5; i++) {
        test_judge(&program, i, LEAK_VERDICT_PROVED, LEAK_CLASS_WAIT_GROUP, LEAK_REASON_NONE);
    }
    program.references[0] = (struct finding_reference){test_object_of(&program, 2), 1, "main.f"};
    program.references[1] = (struct finding_reference){test_object_of(&program, 0), 1, "main.f"};
    program.references[2] = (struct finding_reference){test_object_of(&program, 1), 0, "main.f"};
    program.input.reference_count = 3;
    assert_success(finding_list_init(&list, &program.input));
    assert_int_equal(list.count, 3);
    assert_int_equal(list.items[0].followers, 4);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(list.items[i].head, 0);
        assert_int_equal(list.items[i].circle, i < 2);
        assert_true(test_is_caused_by(&list.items[i], "lock-order"));
    }
    assert_int_equal(list.items[2].count, 3);
    finding_list_deinit(&list);
    snapshot_destroy(program.snapshot);
}

/* What earlier looks say is found by key and by goroutine. */
static void test_recall(void **state)
{
    (void)state;
    struct test_program program;
    struct finding_list list;
    test_program_init(&program);
    uint64_t key = finding_key(program.snapshot, 0);
    const struct finding_history history[] = {
        {.key = key - 1, .looks = 9},
        {.key = key, .looks = 3, .first_count = 2, .last_count = 4, .peak = 4, .growths = 1},
        {.key = key + 1, .looks = 8},
    };
    program.input.history = history;
    program.input.history_count = 3;
    program.input.seen = program.seen;
    program.seen[1] = (struct finding_seen){700, 900};
    program.seen[2] = (struct finding_seen){500, SNAPSHOT_UNKNOWN};
    program.seen[3] = (struct finding_seen){600, 800};
    program.seen[4] = (struct finding_seen){400, 300};
    assert_success(finding_list_init(&list, &program.input));
    assert_int_equal(list.items[0].growth.looks, 3);
    assert_int_equal(list.items[0].growth.first_count, 2);
    assert_int_equal(list.items[0].first_seen_ns, 500);
    assert_int_equal(list.items[0].proved_ns, 800);
    assert_int_equal(list.items[1].growth.looks, 0);
    assert_int_equal(list.items[1].first_seen_ns, SNAPSHOT_UNKNOWN);
    assert_int_equal(list.items[2].first_seen_ns, 400);
    assert_int_equal(list.items[2].proved_ns, SNAPSHOT_UNKNOWN); /* it is not proved now */
    finding_list_deinit(&list);
    snapshot_destroy(program.snapshot);
}

/* The key depends on functions, creator and wait, and on nothing else. */
static void test_key(void **state)
{
    (void)state;
    struct snapshot *one = test_snapshot();
    struct snapshot *other = test_snapshot();
    assert_int_equal(finding_key(one, 0), finding_key(other, 3));
    assert_int_not_equal(finding_key(one, 0), finding_key(one, 4));
    assert_int_not_equal(finding_key(one, 0), finding_key(one, 7));
    snapshot_destroy(one);
    snapshot_destroy(other);
}

/* Without a proof nobody is proved stuck, and what waits is not suspected for that. */
static void test_no_verdicts(void **state)
{
    (void)state;
    struct test_program program;
    struct finding_list list;
    test_program_init(&program);
    program.input.verdicts = NULL;
    assert_success(finding_list_init(&list, &program.input));
    assert_int_equal(list.count, 0);
    assert_int_equal(list.waiting, 8);
    assert_int_equal(list.system, 1);
    finding_list_deinit(&list);
    snapshot_destroy(program.snapshot);
}

/* Makes findings once. */
static struct error *test_make(void *context)
{
    struct finding_list list;
    TRY(finding_list_init(&list, context));
    finding_list_deinit(&list);
    return NULL;
}

/* Every allocation may fail. */
static void test_exhaustion(void **state)
{
    (void)state;
    struct test_program program;
    test_program_init(&program);
    program.references[0] = (struct finding_reference){test_object_of(&program, 7), 2, "main.f"};
    program.input.references = program.references;
    program.input.reference_count = 1;
    support_exhaust(test_make, &program.input);
    snapshot_destroy(program.snapshot);
}

/* All tests. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_followers),
        cmocka_unit_test(test_circle),
        cmocka_unit_test(test_neighbours),
        cmocka_unit_test(test_classes_of_a_group),
        cmocka_unit_test(test_behind_a_channel),
        cmocka_unit_test(test_tail_of_a_circle),
        cmocka_unit_test(test_recall),
        cmocka_unit_test(test_key),
        cmocka_unit_test(test_no_verdicts),
        cmocka_unit_test(test_exhaustion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
