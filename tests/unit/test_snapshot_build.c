/* Building and reading snapshots. */
#include "snapshot_fixture.h"

/* Equal strings, frames, stacks, label sets and objects are stored once. */
static void test_interning(void **state)
{
    (void)state;
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    struct snapshot_builder *builder = fixture.builder;
    assert_int_equal(snapshot_fixture_string(builder, "a"), snapshot_fixture_string(builder, "a"));
    assert_int_not_equal(snapshot_fixture_string(builder, "a"),
                         snapshot_fixture_string(builder, "b"));
    uint32_t one = snapshot_fixture_frame(builder, "f", "x.go", 1, 0, NULL, 0);
    uint32_t two = snapshot_fixture_frame(builder, "f", "x.go", 2, 0, NULL, 0);
    assert_int_equal(snapshot_fixture_frame(builder, "f", "x.go", 1, 0, NULL, 0), one);
    assert_int_not_equal(one, two);
    uint32_t frames[] = {one, two, one};
    uint32_t stack = snapshot_fixture_stack(builder, frames, 3);
    assert_int_equal(snapshot_fixture_stack(builder, frames, 3), stack);
    assert_int_not_equal(snapshot_fixture_stack(builder, frames, 2), stack);
    assert_int_equal(snapshot_fixture_stack(builder, frames, 0), 0);
    struct snapshot_label labels[] = {{one, two}, {two, one}};
    uint32_t set = 0;
    uint32_t again = 0;
    assert_success(snapshot_builder_labels(builder, labels, 2, &set));
    assert_success(snapshot_builder_labels(builder, labels, 2, &again));
    assert_int_equal(set, again);
    assert_success(snapshot_builder_labels(builder, labels, 0, &again));
    assert_int_equal(again, 0);
    struct snapshot *snapshot = snapshot_fixture_end(&fixture);
    size_t count;
    const uint32_t *read = snapshot_stack(snapshot, stack, &count);
    assert_int_equal(count, 3);
    assert_memory_equal(read, frames, sizeof frames);
    const struct snapshot_label *read_labels = snapshot_labels(snapshot, set, &count);
    assert_int_equal(count, 2);
    assert_memory_equal(read_labels, labels, sizeof labels);
    assert_string_equal(snapshot_string(snapshot, 0), "");
    assert_int_equal(snapshot_frame(snapshot, two)->line, 2);
    snapshot_destroy(snapshot);
}

/* No goroutines are none, wherever. */
static void test_no_goroutines(void **state)
{
    (void)state;
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    struct snapshot_goroutine *goroutines;
    size_t first = 1;
    assert_success(snapshot_builder_goroutines(fixture.builder, 0, &goroutines, &first));
    assert_null(goroutines);
    assert_int_equal(first, 0);
    snapshot_destroy(snapshot_fixture_end(&fixture));
}

/* Strings may hold NULs. */
static void test_string_bytes(void **state)
{
    (void)state;
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    uint32_t id;
    assert_success(snapshot_builder_string(fixture.builder, "a\0b", 3, &id));
    struct snapshot *snapshot = snapshot_fixture_end(&fixture);
    assert_int_equal(snapshot_string_size(snapshot, id), 3);
    assert_memory_equal(snapshot_string(snapshot, id), "a\0b", 4);
    snapshot_destroy(snapshot);
}

/* Objects are one by address and kind; without an address each is its own; the first stays. */
static void test_objects(void **state)
{
    (void)state;
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    struct snapshot_object object = {.address = 0x10, .kind = OBJECT_MUTEX};
    uint32_t ids[5];
    object.mutex.waiters = 1;
    assert_success(snapshot_builder_object(fixture.builder, &object, &ids[0]));
    object.mutex.waiters = 2;
    assert_success(snapshot_builder_object(fixture.builder, &object, &ids[1]));
    object.kind = OBJECT_COND;
    assert_success(snapshot_builder_object(fixture.builder, &object, &ids[2]));
    object.address = 0;
    assert_success(snapshot_builder_object(fixture.builder, &object, &ids[3]));
    assert_success(snapshot_builder_object(fixture.builder, &object, &ids[4]));
    assert_int_equal(ids[0], ids[1]);
    assert_int_not_equal(ids[0], ids[2]);
    assert_int_not_equal(ids[3], ids[4]);
    struct snapshot *snapshot = snapshot_fixture_end(&fixture);
    assert_int_equal(snapshot_object_count(snapshot), 4);
    assert_int_equal(snapshot_object(snapshot, ids[0])->mutex.waiters, 1);
    snapshot_destroy(snapshot);
}

/* Ids come in any order and leave sorted with what belongs to them; id 0 is dropped. */
static void test_sorting(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    for (uint64_t i = 0; i < COUNT; i++) {
        uint64_t id = i % 10 == 0 ? 0 : (i * 7919) % COUNT + (i % 2 == 0 ? 1ull << 40 : 0);
        size_t index;
        snapshot_fixture_goroutine(&fixture, id, fixture.worker, WAIT_REASON_CHAN_RECEIVE, &index);
        snapshot_fixture_channel(&fixture, index, 0x1000 + id * 16, DIRECTION_RECEIVE);
        uint64_t words[] = {id, 7, ~id};
        assert_success(snapshot_builder_arguments(fixture.builder, index, words, 3));
    }
    struct snapshot *snapshot = snapshot_fixture_end(&fixture);
    size_t count;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(snapshot, &count);
    assert_int_equal(count, COUNT - COUNT / 10);
    for (size_t i = 0; i < count; i++) {
        uint64_t id = goroutines[i].id;
        assert_true(i == 0 || id > goroutines[i - 1].id);
        assert_ptr_equal(snapshot_find_goroutine(snapshot, id), &goroutines[i]);
        size_t waits;
        const struct snapshot_wait *wait = snapshot_waits(snapshot, &goroutines[i], &waits);
        assert_int_equal(waits, 1);
        assert_int_equal(snapshot_object(snapshot, wait->object)->address, 0x1000 + id * 16);
        uint64_t words[3];
        size_t word_count;
        snapshot_arguments(snapshot, &goroutines[i], words, 3, &word_count);
        assert_int_equal(word_count, 3);
        assert_int_equal(words[0], id);
        assert_int_equal(words[2], ~id);
    }
    assert_null(snapshot_find_goroutine(snapshot, 12345678));
    assert_null(snapshot_find_goroutine(snapshot, 0));
    snapshot_destroy(snapshot);
}

/* Long runs of ascending ids are merged, whether they follow on each other, overlap or interleave;
 * goroutines of equal ids (of texts without them) keep their order. */
static void test_sorting_of_runs(void **state)
{
    (void)state;
    enum { RUN = 400, RUNS = 5, COUNT = RUN * RUNS };
    static const struct {
        uint64_t first[RUNS];
        uint64_t step;
    } cases[] = {
        {{1601, 1, 1201, 401, 801}, 1},   /* blocks in another order */
        {{5, 1, 3, 2, 4}, 5},             /* one each in turn */
        {{600, 1, 300, 900, 450}, 1},     /* overlapping, with equal ids */
        {{7, 7, 7, 7, 7}, 0},             /* all equal: one run */
        {{1, 401, 801, 1201, 1601}, 1},   /* nothing to do */
        {{1000000, 1, 1000001, 2, 3}, 7}, /* two groups */
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
        struct snapshot_goroutine *added;
        assert_success(snapshot_builder_goroutines(fixture.builder, COUNT, &added, NULL));
        for (size_t i = 0; i < COUNT; i++) {
            added[i].id = cases[c].first[i / RUN] + i % RUN * cases[c].step;
            added[i].address = i; /* where it was */
            added[i].parent = added[i].id;
        }
        struct snapshot *snapshot = snapshot_fixture_end(&fixture);
        size_t count;
        const struct snapshot_goroutine *goroutines = snapshot_goroutines(snapshot, &count);
        uint8_t seen[COUNT] = {0};
        assert_int_equal(count, COUNT);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(goroutines[i].parent, goroutines[i].id);
            assert_int_equal(seen[goroutines[i].address]++, 0);
            assert_true(i == 0 || goroutines[i].id > goroutines[i - 1].id ||
                        (goroutines[i].id == goroutines[i - 1].id &&
                         goroutines[i].address > goroutines[i - 1].address));
        }
        snapshot_destroy(snapshot);
    }
}

/* What was not said is unknown. */
static void test_unknown(void **state)
{
    (void)state;
    struct snapshot_builder *builder;
    assert_success(snapshot_builder_create(&builder));
    struct snapshot_goroutine *goroutine;
    assert_success(snapshot_builder_goroutines(builder, 1, &goroutine, NULL));
    assert_int_equal(goroutine->age_ns, SNAPSHOT_UNKNOWN);
    goroutine->id = 9;
    struct snapshot *snapshot;
    assert_success(snapshot_builder_finish(builder, &snapshot));
    const struct snapshot_program *program = snapshot_program(snapshot);
    assert_int_equal(program->pid, SNAPSHOT_UNKNOWN);
    assert_int_equal(program->stopped_ns, SNAPSHOT_UNKNOWN);
    assert_int_equal(program->modified, -1);
    size_t count;
    uint64_t word;
    snapshot_arguments(snapshot, snapshot_find_goroutine(snapshot, 9), &word, 1, &count);
    assert_int_equal(count, 0);
    assert_null(snapshot_stack(snapshot, 0, &count));
    assert_int_equal(snapshot_user_frame(snapshot, 0), 0);
    snapshot_destroy(snapshot);
}

/* Who waits on an object, ascending, with directions; a select that names a channel twice counts
 * once. */
static void test_waiters(void **state)
{
    (void)state;
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    size_t index;
    uint32_t object = 0;
    for (uint64_t id = 30; id > 0; id -= 10) {
        snapshot_fixture_goroutine(&fixture, id, fixture.worker, WAIT_REASON_CHAN_RECEIVE, &index);
        object = snapshot_fixture_channel(&fixture, index, 0x50,
                                          id == 20 ? DIRECTION_SEND : DIRECTION_RECEIVE);
    }
    snapshot_fixture_goroutine(&fixture, 40, fixture.server, WAIT_REASON_SELECT, &index);
    struct snapshot_wait twice[] = {{object, DIRECTION_RECEIVE}, {object, DIRECTION_RECEIVE}};
    assert_success(snapshot_builder_waits(fixture.builder, index, twice, 2));
    struct snapshot *snapshot = snapshot_fixture_end(&fixture);
    const uint32_t *goroutines;
    const uint8_t *directions;
    size_t count;
    assert_success(snapshot_object_waiters(snapshot, object, &goroutines, &directions, &count));
    assert_int_equal(count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(goroutines[i], i);
        assert_int_equal(directions[i], i == 1 ? DIRECTION_SEND : DIRECTION_RECEIVE);
    }
    size_t senders;
    size_t receivers;
    assert_success(snapshot_object_queues(snapshot, object, &senders, &receivers));
    assert_int_equal(senders, 1);
    assert_int_equal(receivers, 3);
    snapshot_destroy(snapshot);
}

/* However many objects are asked about, and whatever was asked before, the numbers are the same;
 * waits that were set anew do not count. */
static void test_queues(void **state)
{
    (void)state;
    enum { OBJECTS = 60 };
    for (int again = 0; again < 2; again++) {
        struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
        uint32_t objects[OBJECTS];
        size_t index;
        for (uint64_t i = 0; i < OBJECTS; i++) {
            for (uint64_t waiter = 0; waiter <= i % 4; waiter++) {
                snapshot_fixture_goroutine(&fixture, 1 + i * 8 + waiter, fixture.worker,
                                           WAIT_REASON_CHAN_RECEIVE, &index);
                objects[i] =
                    snapshot_fixture_channel(&fixture, index, 0x1000 + i * 16,
                                             waiter < 2 ? DIRECTION_SEND : DIRECTION_RECEIVE);
            }
        }
        if (again > 0) { /* the last one waits for something else now */
            snapshot_fixture_channel(&fixture, index, 0x1000, DIRECTION_RECEIVE);
        }
        struct snapshot *snapshot = snapshot_fixture_end(&fixture);
        for (size_t i = 0; i < OBJECTS; i++) {
            size_t expected = 1 + i % 4;
            size_t senders;
            size_t receivers;
            assert_success(snapshot_object_queues(snapshot, objects[i], &senders, &receivers));
            size_t more = again > 0 && i == 0;
            size_t fewer = again > 0 && i == OBJECTS - 1;
            assert_int_equal(senders, expected < 2 ? expected : 2);
            assert_int_equal(receivers, (expected < 2 ? 0 : expected - 2) + more - fewer);
        }
        snapshot_destroy(snapshot);
    }
}

/* A pseudo-random word, often small or like its neighbours. */
static uint64_t test_word(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    uint64_t value = *seed >> 33;
    switch (value % 5) {
    case 0:
        return 0;
    case 1:
        return value % 7;
    case 2:
        return 0xc000000000 + value * 8;
    case 3:
        return ~value;
    default:
        return *seed;
    }
}

/* Words come back whatever they are, however many, whatever the template was. */
static void test_argument_words(void **state)
{
    (void)state;
    enum { COUNT = 400, WORDS = 300 };
    static uint64_t words[COUNT][WORDS];
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    uint64_t seed = 42;
    for (size_t i = 0; i < COUNT; i++) {
        size_t index;
        uint32_t stack = i % 3 == 0 ? 0 : i % 3 == 1 ? fixture.worker : fixture.server;
        snapshot_fixture_goroutine(&fixture, i + 1, stack, WAIT_REASON_SELECT, &index);
        for (size_t k = 0; k < WORDS; k++) {
            words[i][k] = i % 4 == 0 && i >= 4 ? words[i - 3][k] : test_word(&seed);
        }
        assert_success(
            snapshot_builder_arguments(fixture.builder, index, words[i], i % (WORDS + 1)));
    }
    struct snapshot *snapshot = snapshot_fixture_end(&fixture);
    size_t all;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(snapshot, &all);
    for (size_t i = 0; i < COUNT; i++) {
        uint64_t read[WORDS] = {0};
        size_t count;
        snapshot_arguments(snapshot, &goroutines[i], read, WORDS, &count);
        assert_int_equal(count, i % (WORDS + 1));
        assert_memory_equal(read, words[i], count * sizeof *read);
        uint64_t few[3] = {1, 2, 3};
        snapshot_arguments(snapshot, &goroutines[i], few, 2, &count);
        assert_int_equal(count, i % (WORDS + 1));
        assert_int_equal(few[2], 3);
        assert_true(count < 2 || memcmp(few, words[i], 2 * sizeof *few) == 0);
    }
    snapshot_destroy(snapshot);
}

/* The frame that names a stack is the user's own. */
static void test_user_frame(void **state)
{
    (void)state;
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    uint32_t runtime = snapshot_fixture_frame(fixture.builder, "runtime.bgsweep", NULL, 0, 0, NULL,
                                              FRAME_RUNTIME | FRAME_HIDDEN);
    uint32_t only = snapshot_fixture_stack(fixture.builder, &runtime, 1);
    struct snapshot *snapshot = snapshot_fixture_end(&fixture);
    uint32_t frame = snapshot_user_frame(snapshot, fixture.server);
    assert_string_equal(snapshot_string(snapshot, snapshot_frame(snapshot, frame)->function),
                        "main.serve");
    assert_int_equal(snapshot_user_frame(snapshot, only), runtime);
    snapshot_destroy(snapshot);
}

/* Notes are formatted, and bounded in number. */
static void test_notes(void **state)
{
    (void)state;
    struct snapshot_builder *builder;
    assert_success(snapshot_builder_create(&builder));
    for (int i = 0; i < 2000; i++) {
        assert_success(snapshot_builder_note(builder, "%d goroutines moved", i));
    }
    struct snapshot *snapshot;
    assert_success(snapshot_builder_finish(builder, &snapshot));
    size_t count;
    const char *const *notes = snapshot_notes(snapshot, &count);
    assert_int_equal(count, 1000);
    assert_string_equal(notes[3], "3 goroutines moved");
    snapshot_destroy(snapshot);
}

/* Adds goroutines with everything, for the failing allocator. */
static struct error *test_fill(struct snapshot_builder *builder)
{
    uint32_t function;
    TRY(snapshot_builder_string(builder, "main.f", 6, &function));
    for (uint32_t i = 0; i < 200; i++) {
        struct snapshot_frame frame = {.function = function, .line = i};
        struct snapshot_object object = {.address = 16 + i, .kind = OBJECT_COND};
        struct snapshot_label label = {.key = i + 1, .value = i};
        struct snapshot_wait wait = {.direction = DIRECTION_WAIT};
        struct snapshot_goroutine *goroutine;
        uint64_t words[] = {i, i};
        uint32_t id;
        uint32_t stack;
        uint32_t labels;
        size_t index;
        TRY(snapshot_builder_frame(builder, &frame, &id));
        TRY(snapshot_builder_stack(builder, &id, 1, &stack));
        TRY(snapshot_builder_labels(builder, &label, 1, &labels));
        TRY(snapshot_builder_object(builder, &object, &wait.object));
        TRY(snapshot_builder_goroutines(builder, 1, &goroutine, &index));
        goroutine->id = 1000 - i;
        goroutine->stack = stack;
        TRY(snapshot_builder_waits(builder, index, &wait, 1));
        TRY(snapshot_builder_arguments(builder, index, words, 2));
    }
    return snapshot_builder_note(builder, "done");
}

/* Builds and reads once. */
static struct error *test_build(void *context)
{
    (void)context;
    struct snapshot_builder *builder;
    TRY(snapshot_builder_create(&builder));
    struct error *error = test_fill(builder);
    if (error != NULL) {
        snapshot_builder_destroy(builder);
        return error;
    }
    struct snapshot *snapshot;
    TRY(snapshot_builder_finish(builder, &snapshot));
    const uint32_t *goroutines;
    size_t count;
    error = snapshot_object_waiters(snapshot, 7, &goroutines, NULL, &count);
    snapshot_destroy(snapshot);
    return error;
}

/* Every allocation may fail. */
static void test_exhaustion(void **state)
{
    (void)state;
    support_exhaust(test_build, NULL);
}

/* All tests. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interning),    cmocka_unit_test(test_no_goroutines),
        cmocka_unit_test(test_string_bytes), cmocka_unit_test(test_objects),
        cmocka_unit_test(test_sorting),      cmocka_unit_test(test_sorting_of_runs),
        cmocka_unit_test(test_unknown),      cmocka_unit_test(test_waiters),
        cmocka_unit_test(test_queues),       cmocka_unit_test(test_argument_words),
        cmocka_unit_test(test_user_frame),   cmocka_unit_test(test_notes),
        cmocka_unit_test(test_exhaustion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
