/* Facts about who else is stuck: what they make of the causes of built findings. */
#include "leak/finding.h"
#include "snapshot_fixture.h"

enum { TEST_GOROUTINES_MAX = 8 };

/* A program all of whose goroutines are proved stuck. */
struct test_program {
    struct snapshot_fixture fixture;
    struct snapshot *snapshot;
    struct finding_verdict verdicts[TEST_GOROUTINES_MAX];
    struct finding_reference references[TEST_GOROUTINES_MAX];
    size_t reference_count;
    struct finding_list findings;
};

/* Begins one. */
static void test_begin(struct test_program *program)
{
    *program = (struct test_program){.fixture = snapshot_fixture_begin("go1.24.3")};
}

/* Adds goroutine ID, started by PARENT, that stands in FUNCTION and below it in GUTS (NULL: in
 * nothing of the library) for REASON. */
static size_t test_add(struct test_program *program, uint64_t id, uint64_t parent,
                       const char *function, const char *guts, enum wait_reason reason)
{
    uint32_t frames[2];
    size_t depth = 0, index;
    struct snapshot_builder *builder = program->fixture.builder;
    if (guts != NULL) {
        frames[depth++] = snapshot_fixture_frame(builder, guts, "guts.go", 20, 0x20, NULL,
                                                 FRAME_STANDARD_LIBRARY);
    }
    frames[depth++] = snapshot_fixture_frame(builder, function, "main.go", 10, 0x10, NULL, 0);
    uint32_t stack = snapshot_fixture_stack(builder, frames, depth);
    snapshot_fixture_goroutine(&program->fixture, id, stack, reason, &index)->parent = parent;
    return index;
}

/* Lets goroutine INDEX wait in DIRECTION for OBJECT; the object's number. */
static uint32_t test_wait(struct test_program *program, size_t index,
                          const struct snapshot_object *object, enum snapshot_direction direction)
{
    struct snapshot_wait wait = {.direction = direction};
    assert_success(snapshot_builder_object(program->fixture.builder, object, &wait.object));
    assert_success(snapshot_builder_waits(program->fixture.builder, index, &wait, 1));
    return wait.object;
}

/* Makes the findings. */
static void test_end(struct test_program *program)
{
    program->snapshot = snapshot_fixture_end(&program->fixture);
    for (size_t i = 0; i < TEST_GOROUTINES_MAX; i++) {
        program->verdicts[i] =
            (struct finding_verdict){LEAK_VERDICT_PROVED, LEAK_CLASS_MUTEX, LEAK_REASON_NONE};
    }
    struct finding_input input = {
        .snapshot = program->snapshot,
        .verdicts = program->verdicts,
        .references = program->references,
        .reference_count = program->reference_count,
        .descriptors = SNAPSHOT_UNKNOWN,
        .descriptors_before = SNAPSHOT_UNKNOWN,
        .threads_before = SNAPSHOT_UNKNOWN,
    };
    assert_success(finding_list_init(&program->findings, &input));
}

/* Frees it. */
static void test_deinit(struct test_program *program)
{
    finding_list_deinit(&program->findings);
    snapshot_destroy(program->snapshot);
}

/* The place of cause ID, from 1, among those of the finding that waits for REASON; 0: not there. */
static size_t test_rank(const struct test_program *program, enum wait_reason reason, const char *id)
{
    for (size_t i = 0; i < program->findings.count; i++) {
        const struct finding *finding = &program->findings.items[i];
        for (size_t j = 0; finding->wait_reason == reason && j < finding->cause_count; j++) {
            if (strcmp(finding->causes[j].cause->id, id) == 0) {
                return j + 1;
            }
        }
    }
    return 0;
}

/* That the caller gave up, or the collector returned, is not said of one who is stuck itself. */
static void test_creator(void **state)
{
    (void)state;
    for (int stuck = 0; stuck < 2; stuck++) {
        struct test_program program;
        const struct snapshot_object channel = {.address = 0xc000001000, .kind = OBJECT_CHANNEL};
        test_begin(&program);
        (void)test_add(&program, stuck ? 3 : 4, 1, "main.ask", NULL, WAIT_REASON_SELECT_NO_CASES);
        size_t sender = test_add(&program, 9, 3, "main.ask.func1", NULL, WAIT_REASON_CHAN_SEND);
        test_wait(&program, sender, &channel, DIRECTION_SEND);
        test_end(&program);
        assert_int_equal(test_rank(&program, WAIT_REASON_CHAN_SEND, "abandoned-result"),
                         stuck ? 0 : 1);
        assert_int_equal(test_rank(&program, WAIT_REASON_CHAN_SEND, "first-error-wins") != 0,
                         !stuck);
        assert_true(test_rank(&program, WAIT_REASON_CHAN_SEND, "partner-left") != 0);
        test_deinit(&program);
    }
}

/* An RWMutex whose words could not be read: a reader that waits with a writer that waits for
 * readers met it between two read locks; without one, a writer has it; a writer that waits for
 * another writer tells nothing. */
static void test_unread_rwmutex(void **state)
{
    (void)state;
    static const char *const guts[] = {NULL, "sync.(*RWMutex).Lock", "sync.(*Mutex).lockSlow"};
    for (size_t i = 0; i < sizeof guts / sizeof *guts; i++) {
        struct test_program program;
        const struct snapshot_object lock = {
            .address = 0xc000001000,
            .kind = OBJECT_RWMUTEX,
            .rwmutex = {SNAPSHOT_UNKNOWN, SNAPSHOT_UNKNOWN, -1, -1}};
        test_begin(&program);
        size_t reader = test_add(&program, 9, 3, "main.(*T).get", "sync.(*RWMutex).RLock",
                                 WAIT_REASON_SYNC_RWMUTEX_RLOCK);
        test_wait(&program, reader, &lock, DIRECTION_READ_LOCK);
        if (guts[i] != NULL) {
            size_t writer =
                test_add(&program, 10, 3, "main.(*T).set", guts[i], WAIT_REASON_SYNC_RWMUTEX_LOCK);
            test_wait(&program, writer, &lock, DIRECTION_LOCK);
        }
        test_end(&program);
        assert_int_equal(
            test_rank(&program, WAIT_REASON_SYNC_RWMUTEX_RLOCK, "recursive-read-lock") == 1,
            i == 1);
        test_deinit(&program);
    }
}

/* Who merely has the lock and joins those who want it is no holder when another stands in a method
 * of the lock's type; alone it is. */
static void test_nearer_holder(void **state)
{
    (void)state;
    for (size_t references = 1; references <= 2; references++) {
        struct test_program program;
        const struct snapshot_object lock = {.address = 0xc000001000, .kind = OBJECT_MUTEX};
        const struct snapshot_object other = {.address = 0xc000002000, .kind = OBJECT_MUTEX};
        const struct snapshot_object group = {.address = 0xc000003000, .kind = OBJECT_WAIT_GROUP};
        test_begin(&program);
        size_t want = test_add(&program, 5, 3, "main.(*T).get", NULL, WAIT_REASON_SYNC_MUTEX_LOCK);
        uint32_t wanted = test_wait(&program, want, &lock, DIRECTION_LOCK);
        size_t join = test_add(&program, 6, 3, "main.run", NULL, WAIT_REASON_SYNC_WAITGROUP_WAIT);
        test_wait(&program, join, &group, DIRECTION_WAIT);
        size_t hold =
            test_add(&program, 7, 3, "main.(*T).put", NULL, WAIT_REASON_SYNC_RWMUTEX_LOCK);
        test_wait(&program, hold, &other, DIRECTION_LOCK);
        program.references[0] = (struct finding_reference){wanted, (uint32_t)join, "main.run"};
        program.references[1] = (struct finding_reference){wanted, (uint32_t)hold, "main.(*T).put"};
        program.reference_count = references;
        test_end(&program);
        assert_int_equal(test_rank(&program, WAIT_REASON_SYNC_MUTEX_LOCK, "wait-inside-lock") != 0,
                         references == 1);
        test_deinit(&program);
    }
}

/* A sender whose end another waits for was left by its reader: the caller did not give up. */
static void test_joined(void **state)
{
    (void)state;
    struct test_program program;
    const struct snapshot_object channel = {.address = 0xc000001000, .kind = OBJECT_CHANNEL};
    const struct snapshot_object group = {.address = 0xc000003000, .kind = OBJECT_WAIT_GROUP};
    test_begin(&program);
    size_t join = test_add(&program, 5, 3, "main.(*S).Stop", NULL, WAIT_REASON_SYNC_WAITGROUP_WAIT);
    uint32_t joined = test_wait(&program, join, &group, DIRECTION_WAIT);
    size_t sender = test_add(&program, 9, 3, "main.feed.func1", NULL, WAIT_REASON_CHAN_SEND);
    test_wait(&program, sender, &channel, DIRECTION_SEND);
    program.references[0] = (struct finding_reference){joined, (uint32_t)sender, "main.feed.func1"};
    program.reference_count = 1;
    test_end(&program);
    assert_true(test_rank(&program, WAIT_REASON_CHAN_SEND, "cancelled-reader") != 0);
    assert_int_equal(test_rank(&program, WAIT_REASON_CHAN_SEND, "abandoned-result"), 0);
    /* who joins it waits behind it, for the same cause, and nobody forgot to call Done */
    assert_true(test_rank(&program, WAIT_REASON_SYNC_WAITGROUP_WAIT, "cancelled-reader") != 0);
    assert_int_equal(test_rank(&program, WAIT_REASON_SYNC_WAITGROUP_WAIT, "missing-done"), 0);
    test_deinit(&program);
}

/* All tests. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_creator),
        cmocka_unit_test(test_unread_rwmutex),
        cmocka_unit_test(test_nearer_holder),
        cmocka_unit_test(test_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
