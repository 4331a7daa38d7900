/* Evidence: growth, number and age, starters, resources; and what stays silent. */
#include "leak/evidence.h"
#include "snapshot_fixture.h"
#include <stdio.h>

/* Minutes of age. */
#define TEST_MINUTE INT64_C(60000000000)

/* One group of goroutines, and what is known besides. */
struct test_group {
    struct snapshot *snapshot;
    struct group_list groups;
    struct finding_history history;
    struct finding_input input;
};

/* COUNT goroutines that wait for REASON with a frame of FUNCTION, for AGE_NS, started by goroutine
 * PARENT. */
static void test_init(struct test_group *group, const char *function, enum wait_reason reason,
                      size_t count, int64_t age_ns, uint64_t parent)
{
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    const uint32_t frames[] = {
        snapshot_fixture_frame(fixture.builder, "runtime.gopark", "proc.go", 398, 0xce, NULL,
                               FRAME_RUNTIME),
        snapshot_fixture_frame(fixture.builder, function, "f.go", 10, 0x10, NULL, 0)};
    uint32_t stack = snapshot_fixture_stack(fixture.builder, frames, 2);
    for (size_t i = 0; i < count; i++) {
        size_t index;
        struct snapshot_goroutine *goroutine =
            snapshot_fixture_goroutine(&fixture, 100 + i, stack, reason, &index);
        goroutine->age_ns = age_ns;
        goroutine->parent = parent;
    }
    *group = (struct test_group){.snapshot = snapshot_fixture_end(&fixture)};
    assert_success(group_list_init(&group->groups, group->snapshot, NULL, 0, GROUP_BY_COUNT));
    assert_int_equal(group->groups.count, 1);
    group->input = (struct finding_input){
        .snapshot = group->snapshot,
        .descriptors = SNAPSHOT_UNKNOWN,
        .descriptors_before = SNAPSHOT_UNKNOWN,
        .threads_before = SNAPSHOT_UNKNOWN,
    };
}

/* Adds what earlier looks say: a growth from FIRST in three looks, of which STAYED stayed. */
static void test_grow(struct test_group *group, uint64_t first, uint32_t growths, uint64_t stayed)
{
    group->history = (struct finding_history){
        .key = finding_key(group->snapshot, 0),
        .first_count = first,
        .last_count = group->groups.items[0].count,
        .peak = group->groups.items[0].count,
        .growths = growths,
        .looks = 3,
        .stayed = stayed,
    };
    group->input.history = &group->history;
    group->input.history_count = 1;
}

/* Frees GROUP, whose evidence must be EXPECTED; NULL: none. */
static void test_expect(struct test_group *group, const char *expected)
{
    char *evidence = NULL;
    assert_success(evidence_weigh(&group->input, &group->groups.items[0], &evidence));
    if (expected == NULL) {
        assert_null(evidence);
    } else {
        assert_non_null(evidence);
        assert_string_equal(evidence, expected);
        assert_null(strstr(evidence, "prove"));
    }
    free(evidence);
    group_list_deinit(&group->groups);
    snapshot_destroy(group->snapshot);
}

/* Growth is suspicious when it goes on and what is new stays. */
static void test_growth(void **state)
{
    (void)state;
    static const struct {
        uint64_t first, stayed;
        uint32_t growths;
        bool suspected;
    } cases[] = {
        {2, 6, 2, true},  {6, 8, 2, true}, {2, 6, 1, false}, /* once may be chance */
        {7, 8, 2, false},                                    /* one more is nothing */
        {2, 2, 2, false},                                    /* a busy pool: others each time */
        {9, 8, 3, false},                                    /* fewer than at first */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct test_group group;
        char expected[96];
        test_init(&group, "main.work", WAIT_REASON_CHAN_RECEIVE, 8, SNAPSHOT_UNKNOWN, 0);
        test_grow(&group, cases[i].first, cases[i].growths, cases[i].stayed);
        snprintf(expected, sizeof expected, "it grew from %d to 8 goroutines over 3 looks",
                 (int)cases[i].first);
        test_expect(&group, cases[i].suspected ? expected : NULL);
    }
}

/* Another group's growth says nothing of this one. */
static void test_growth_of_another(void **state)
{
    (void)state;
    struct test_group group;
    test_init(&group, "main.work", WAIT_REASON_CHAN_RECEIVE, 8, SNAPSHOT_UNKNOWN, 0);
    test_grow(&group, 1, 2, 7);
    group.history.key++;
    test_expect(&group, NULL);
}

/* Very many at one place for long; either alone is normal. */
static void test_many_and_old(void **state)
{
    (void)state;
    struct test_group group;
    test_init(&group, "main.work", WAIT_REASON_SELECT, 1000, 10 * TEST_MINUTE, 0);
    test_expect(&group, "1000 goroutines stand at one place, the oldest for 10 minutes");
    test_init(&group, "main.work", WAIT_REASON_SELECT, 999, 10 * TEST_MINUTE, 0);
    test_expect(&group, NULL);
    test_init(&group, "main.work", WAIT_REASON_SELECT, 1000, 9 * TEST_MINUTE, 0);
    test_expect(&group, NULL);
    test_init(&group, "main.work", WAIT_REASON_SELECT, 1000, SNAPSHOT_UNKNOWN, 0);
    test_expect(&group, NULL);
}

/* Starters that ended, descriptors and threads that grew along. */
static void test_what_else_speaks(void **state)
{
    (void)state;
    struct test_group group;
    test_init(&group, "main.work", WAIT_REASON_IO_WAIT, 8, SNAPSHOT_UNKNOWN, 7);
    test_grow(&group, 1, 2, 7);
    group.input.descriptors_before = 10;
    group.input.descriptors = 17;
    group.input.threads_before = 11; /* 12 now */
    test_expect(&group, "it grew from 1 to 8 goroutines over 3 looks, the goroutines that started "
                        "them are gone, open descriptors grew from 10 to 17 along with them, "
                        "threads grew from 11 to 12 along with them");
    test_init(&group, "main.work", WAIT_REASON_IO_WAIT, 8, SNAPSHOT_UNKNOWN, 100);
    test_grow(&group, 1, 2, 7);
    group.input.descriptors_before = group.input.descriptors = 10;
    group.input.threads_before = 12;
    test_expect(&group, "it grew from 1 to 8 goroutines over 3 looks");
}

/* What idles by design is silent, however many and old; some of it may not grow. */
static void test_allowed(void **state)
{
    (void)state;
    static const struct {
        const char *function;
        enum wait_reason reason;
        bool grown_too;
    } cases[] = {
        {"net/http.(*connReader).backgroundRead", WAIT_REASON_IO_WAIT, true},
        {"internal/poll.(*FD).Accept", WAIT_REASON_IO_WAIT, true},
        {"net/http.(*persistConn).writeLoop", WAIT_REASON_SELECT, true},
        {"net/http.(*persistConn).readLoop", WAIT_REASON_SELECT, false},
        {"os/signal.loop", WAIT_REASON_CHAN_RECEIVE, true},
        {"database/sql.(*DB).connectionOpener", WAIT_REASON_SELECT, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct test_group group;
        test_init(&group, cases[i].function, cases[i].reason, 2000, 60 * TEST_MINUTE, 0);
        test_expect(&group, NULL);
        test_init(&group, cases[i].function, cases[i].reason, 8, SNAPSHOT_UNKNOWN, 0);
        test_grow(&group, 1, 2, 7);
        test_expect(&group,
                    cases[i].grown_too ? NULL : "it grew from 1 to 8 goroutines over 3 looks");
    }
}

/* Where no proof is possible, a nil channel speaks for itself. */
static void test_nil_channel(void **state)
{
    (void)state;
    struct test_group group;
    const struct finding_verdict waiting = {LEAK_VERDICT_WAITING, LEAK_CLASS_NONE,
                                            LEAK_REASON_REACHABLE};
    test_init(&group, "main.work", WAIT_REASON_CHAN_RECEIVE_NIL, 1, SNAPSHOT_UNKNOWN, 0);
    test_expect(&group, "a nil channel never lets anybody go on");
    test_init(&group, "main.work", WAIT_REASON_CHAN_RECEIVE_NIL, 1, SNAPSHOT_UNKNOWN, 0);
    group.input.verdicts = &waiting;
    test_expect(&group, NULL);
}

/* What runs is never suspected, whatever it did before. */
static void test_running(void **state)
{
    (void)state;
    struct test_group group;
    test_init(&group, "main.work", WAIT_REASON_NONE, 8, SNAPSHOT_UNKNOWN, 0);
    test_grow(&group, 1, 2, 7);
    group.groups.items[0].status = GOROUTINE_STATUS_RUNNABLE;
    test_expect(&group, NULL);
}

/* Weighs once. */
static struct error *test_weigh(void *context)
{
    const struct test_group *group = context;
    char *evidence = NULL;
    TRY(evidence_weigh(&group->input, &group->groups.items[0], &evidence));
    free(evidence);
    return NULL;
}

/* Every allocation may fail. */
static void test_exhaustion(void **state)
{
    (void)state;
    struct test_group group;
    test_init(&group, "main.work", WAIT_REASON_SELECT, 1000, 10 * TEST_MINUTE, 7);
    support_exhaust(test_weigh, &group);
    test_expect(&group, "1000 goroutines stand at one place, the oldest for 10 minutes, the "
                        "goroutines that started them are gone");
}

/* All tests. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growth),       cmocka_unit_test(test_growth_of_another),
        cmocka_unit_test(test_many_and_old), cmocka_unit_test(test_what_else_speaks),
        cmocka_unit_test(test_allowed),      cmocka_unit_test(test_nil_channel),
        cmocka_unit_test(test_running),      cmocka_unit_test(test_exhaustion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
