/* What a watch remembers: the same goroutine in the same wait, proofs, agreement, stops in vain,
 * growth. */
#include "service/service_watch_internal.h"
#include "snapshot_fixture.h"

enum { TEST_COUNT = 4 };

/* How a look finds the goroutines 10, 11, ...: all alike but for what a test changes. */
struct test_look {
    int64_t at_ns; /* wall clock and monotonic */
    size_t count;
    struct {
        uint64_t id, address, channel;
        int64_t age_ns;
        uint16_t flags;
        bool elsewhere; /* at another place of the program */
        enum leak_verdict verdict;
        enum leak_reason reason;
    } goroutines[TEST_COUNT];
};

/* A look at AT_NS that finds COUNT goroutines and VERDICT for each. */
static struct test_look test_look_of(int64_t at_ns, size_t count, enum leak_verdict verdict)
{
    struct test_look look = {.at_ns = at_ns, .count = count};
    for (size_t i = 0; i < count; i++) {
        look.goroutines[i].id = 10 + i;
        look.goroutines[i].address = 0xc000100000 + i * 512;
        look.goroutines[i].channel = 0xc000200000 + i * 96;
        look.goroutines[i].age_ns = SNAPSHOT_UNKNOWN;
        look.goroutines[i].verdict = verdict;
    }
    return look;
}

/* What LOOK finds as a snapshot, and the verdicts. */
static struct snapshot *test_snapshot(const struct test_look *look,
                                      struct finding_verdict verdicts[TEST_COUNT])
{
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    snapshot_builder_program(fixture.builder)->taken_at_ns = look->at_ns;
    for (size_t i = 0; i < look->count; i++) {
        size_t index;
        struct snapshot_goroutine *goroutine = snapshot_fixture_goroutine(
            &fixture, look->goroutines[i].id,
            look->goroutines[i].elsewhere ? fixture.server : fixture.worker,
            WAIT_REASON_CHAN_RECEIVE, &index);
        goroutine->address = look->goroutines[i].address;
        goroutine->age_ns = look->goroutines[i].age_ns;
        goroutine->flags = look->goroutines[i].flags;
        snapshot_fixture_channel(&fixture, index, look->goroutines[i].channel, DIRECTION_RECEIVE);
        verdicts[i] =
            (struct finding_verdict){(uint8_t)look->goroutines[i].verdict, LEAK_CLASS_CHANNEL,
                                     (uint8_t)look->goroutines[i].reason};
    }
    return snapshot_fixture_end(&fixture);
}

/* Takes LOOK into WATCH; what was recognised comes back in MEMBERS, the verdicts in VERDICTS. */
static struct error *test_take(struct service_watch *watch, const struct test_look *look,
                               bool consistent, struct finding_verdict verdicts[TEST_COUNT],
                               struct service_watch_member members[TEST_COUNT])
{
    struct snapshot *snapshot = test_snapshot(look, verdicts);
    struct service_watch_look recognised = {0};
    struct service_watch_view view = {.snapshot = snapshot,
                                      .verdicts = verdicts,
                                      .moment_ns = (uint64_t)look->at_ns,
                                      .consistent = consistent,
                                      .stop_tried = consistent};
    struct error *error = service_watch_recognise(watch, NULL, &view, &recognised);
    if (error == NULL) {
        memcpy(members, recognised.items, recognised.count * sizeof *members);
        error = service_watch_keep(watch, &recognised, snapshot, consistent ? 5000 : 0, 7);
    }
    service_watch_look_deinit(&recognised);
    snapshot_destroy(snapshot);
    return error;
}

/* Seconds on both clocks. */
static int64_t test_second(int64_t number)
{
    return number * 1000000000;
}

/* A proof holds while the goroutine is in its wait, whatever a look without a stop says. */
static void test_proof_is_kept(void **state)
{
    (void)state;
    struct service_watch *watch;
    struct finding_verdict verdicts[TEST_COUNT];
    struct service_watch_member members[TEST_COUNT];
    assert_success(service_watch_create(&watch));
    struct test_look look = test_look_of(test_second(100), 3, LEAK_VERDICT_PROVED);
    assert_success(test_take(watch, &look, true, verdicts, members));
    assert_int_equal(members[0].proved_ns, test_second(100));
    look = test_look_of(test_second(110), 3, LEAK_VERDICT_WAITING);
    look.goroutines[1].flags = GOROUTINE_MOVED; /* torn: nothing to compare */
    look.goroutines[1].channel = 0xc000dead00;
    look.goroutines[1].elsewhere = true;
    assert_success(test_take(watch, &look, false, verdicts, members));
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(verdicts[i].verdict, LEAK_VERDICT_PROVED);
        assert_int_equal(verdicts[i].class_, LEAK_CLASS_CHANNEL);
        assert_int_equal(members[i].proved_ns, test_second(100));
        assert_int_equal(members[i].first_ns, test_second(100));
        assert_false(members[i].candidate);
    }
    const struct service_watch_summary *summary = service_watch_summary(watch);
    assert_int_equal(summary->looks, 2);
    assert_int_equal(summary->stops, 1);
    assert_int_equal(summary->stopped_ns, 5000);
    assert_int_equal(summary->proofs_kept, 3);
    assert_int_equal(summary->proofs_lost, 0);
    assert_int_equal(summary->descriptors_first, 7);
    assert_int_equal(summary->threads_last, 12);
    service_watch_destroy(watch);
}

/* It is lost with the goroutine, its g, its wait, its place, and when it parked anew. */
static void test_proof_is_lost(void **state)
{
    (void)state;
    for (int change = 0; change < 6; change++) {
        struct service_watch *watch;
        struct finding_verdict verdicts[TEST_COUNT];
        struct service_watch_member members[TEST_COUNT];
        assert_success(service_watch_create(&watch));
        struct test_look look = test_look_of(test_second(100), 2, LEAK_VERDICT_PROVED);
        look.goroutines[0].age_ns = test_second(60);
        assert_success(test_take(watch, &look, true, verdicts, members));
        look = test_look_of(test_second(110), 2, LEAK_VERDICT_WAITING);
        look.goroutines[0].age_ns = change == 4   ? test_second(5) /* since 105, not since 40 */
                                    : change == 5 ? SNAPSHOT_UNKNOWN
                                                  : test_second(70);
        look.goroutines[0].id = change == 0 ? 9 : 10;
        look.goroutines[0].address += change == 1 ? 512 : 0;
        look.goroutines[0].channel += change == 2 ? 96 : 0;
        look.goroutines[0].elsewhere = change == 3;
        assert_success(test_take(watch, &look, false, verdicts, members));
        assert_int_equal(verdicts[0].verdict, LEAK_VERDICT_WAITING);
        assert_int_equal(verdicts[1].verdict, LEAK_VERDICT_PROVED);
        assert_int_equal(members[0].proved_ns, SNAPSHOT_UNKNOWN);
        assert_int_equal(members[0].first_ns, test_second(110));
        assert_int_equal(service_watch_summary(watch)->proofs_lost, 1);
        assert_int_equal(service_watch_summary(watch)->proofs_kept, 1);
        service_watch_destroy(watch);
    }
}

/* A stop that finds it reachable refutes it. */
static void test_proof_is_refuted(void **state)
{
    (void)state;
    struct service_watch *watch;
    struct finding_verdict verdicts[TEST_COUNT];
    struct service_watch_member members[TEST_COUNT];
    assert_success(service_watch_create(&watch));
    struct test_look look = test_look_of(test_second(100), 1, LEAK_VERDICT_PROVED);
    assert_success(test_take(watch, &look, true, verdicts, members));
    look = test_look_of(test_second(110), 1, LEAK_VERDICT_WAITING);
    assert_success(test_take(watch, &look, true, verdicts, members));
    assert_int_equal(verdicts[0].verdict, LEAK_VERDICT_WAITING);
    assert_int_equal(service_watch_summary(watch)->proofs_lost, 1);
    service_watch_destroy(watch);
}

/* One step of looking without a stop: recognises LOOK after BEFORE (NULL: what was kept). */
static struct service_watch_look test_recognise(const struct service_watch *watch,
                                                const struct service_watch_look *before,
                                                const struct test_look *look, bool stopped)
{
    struct finding_verdict verdicts[TEST_COUNT];
    struct service_watch_look recognised = {0};
    struct snapshot *snapshot = test_snapshot(look, verdicts);
    struct service_watch_view view = {.snapshot = snapshot,
                                      .verdicts = verdicts,
                                      .moment_ns = (uint64_t)look->at_ns,
                                      .consistent = stopped,
                                      .stop_tried = stopped};
    assert_success(service_watch_recognise(watch, before, &view, &recognised));
    snapshot_destroy(snapshot);
    return recognised;
}

/* Views agree about the same goroutine in the same wait only. */
static void test_agreement(void **state)
{
    (void)state;
    struct service_watch *watch;
    assert_success(service_watch_create(&watch));
    struct test_look look = test_look_of(test_second(100), 2, LEAK_VERDICT_PROVED);
    look.goroutines[1].verdict = LEAK_VERDICT_UNKNOWN;
    look.goroutines[1].reason = LEAK_REASON_IN_TRANSIT; /* no reason for a stop */
    struct service_watch_look first = test_recognise(watch, NULL, &look, false);
    assert_true(first.items[0].candidate);
    assert_false(first.items[1].candidate);
    assert_true(service_watch_has_candidate(watch, &first, 0));
    assert_false(service_watch_has_candidate(watch, &first, 1));
    struct service_watch_look second = test_recognise(watch, &first, &look, false);
    assert_true(service_watch_has_candidate(watch, &second, 1));
    assert_false(second.items[0].stayed); /* both are of one look */
    look.goroutines[0].channel += 96;
    struct service_watch_look third = test_recognise(watch, &second, &look, false);
    assert_true(service_watch_has_candidate(watch, &third, 0));
    assert_false(service_watch_has_candidate(watch, &third, 1));
    service_watch_look_deinit(&first);
    service_watch_look_deinit(&second);
    service_watch_look_deinit(&third);
    service_watch_destroy(watch);
}

/* A stop in vain is not repeated soon; what it said is remembered. */
static void test_stop_in_vain(void **state)
{
    (void)state;
    struct service_watch *watch;
    assert_success(service_watch_create(&watch));
    struct test_look look = test_look_of(test_second(100), 1, LEAK_VERDICT_PROVED);
    struct test_look stopped = test_look_of(test_second(101), 1, LEAK_VERDICT_WAITING);
    stopped.goroutines[0].reason = LEAK_REASON_REACHABLE;
    uint32_t quiet[2] = {0, 0};
    for (int round = 0; round < 2; round++) {
        struct service_watch_look before = test_recognise(watch, NULL, &look, false);
        struct service_watch_look after = test_recognise(watch, &before, &stopped, true);
        assert_int_equal(after.items[0].strikes, round + 1);
        assert_int_equal(after.items[0].settled.verdict, LEAK_VERDICT_WAITING);
        assert_int_equal(after.items[0].settled.reason, LEAK_REASON_REACHABLE);
        service_watch_look_deinit(&before);
        do {
            struct finding_verdict verdicts[TEST_COUNT];
            struct snapshot *snapshot = test_snapshot(&look, verdicts);
            assert_success(service_watch_keep(watch, &after, snapshot, 0, SNAPSHOT_UNKNOWN));
            snapshot_destroy(snapshot);
            after = test_recognise(watch, NULL, &look, false);
            quiet[round]++;
        } while (!service_watch_has_candidate(watch, &after, 0));
        service_watch_look_deinit(&after);
    }
    assert_int_equal(quiet[0], 4);
    assert_int_equal(quiet[1], 8);
    service_watch_destroy(watch);
}

/* The history counts by key, over looks. */
static void test_growth(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 3, 2, 4};
    struct service_watch *watch;
    struct finding_verdict verdicts[TEST_COUNT];
    struct service_watch_member members[TEST_COUNT];
    assert_success(service_watch_create(&watch));
    for (int64_t i = 0; i < 4; i++) {
        struct test_look look = test_look_of(test_second(100 + i), counts[i], LEAK_VERDICT_WAITING);
        assert_success(test_take(watch, &look, false, verdicts, members));
    }
    size_t count;
    const struct finding_history *history = service_watch_history(watch, &count);
    assert_int_equal(count, 1);
    assert_int_equal(history->first_count, 1);
    assert_int_equal(history->last_count, 4);
    assert_int_equal(history->peak, 4);
    assert_int_equal(history->growths, 2); /* 3 and 4; 2 is none */
    assert_int_equal(history->looks, 4);
    assert_int_equal(history->stayed, 2); /* the look before had two */
    assert_int_equal(history->first_ns, test_second(100));
    assert_int_equal(history->last_ns, test_second(103));
    assert_int_equal(service_watch_seen(watch)[0].first_ns, test_second(100));
    assert_int_equal(service_watch_seen(watch)[3].first_ns, test_second(103));
    struct test_look other = test_look_of(test_second(104), 2, LEAK_VERDICT_WAITING);
    other.goroutines[1].elsewhere = true;
    assert_success(test_take(watch, &other, false, verdicts, members));
    history = service_watch_history(watch, &count);
    assert_int_equal(count, 2);
    assert_true(history[0].key < history[1].key);
    other.count = 0; /* forgotten with the last of them */
    assert_success(test_take(watch, &other, false, verdicts, members));
    (void)service_watch_history(watch, &count);
    assert_int_equal(count, 0);
    service_watch_destroy(watch);
}

/* What two looks need. */
struct test_pair {
    struct snapshot *snapshots[2];
    struct finding_verdict verdicts[2][TEST_COUNT];
};

/* Looks twice. */
static struct error *test_watch_twice(void *context)
{
    struct test_pair *pair = context;
    struct service_watch *watch = NULL;
    TRY(service_watch_create(&watch));
    struct error *error = NULL;
    for (size_t i = 0; error == NULL && i < 2; i++) {
        struct service_watch_look look = {0};
        struct service_watch_view view = {
            .snapshot = pair->snapshots[i], .verdicts = pair->verdicts[i], .consistent = true};
        error = service_watch_recognise(watch, NULL, &view, &look);
        if (error == NULL) {
            error = service_watch_keep(watch, &look, pair->snapshots[i], 0, 1);
        }
        service_watch_look_deinit(&look);
    }
    service_watch_destroy(watch);
    return error;
}

/* Every allocation may fail. */
static void test_exhaustion(void **state)
{
    (void)state;
    struct test_pair pair;
    struct test_look look = test_look_of(test_second(100), 3, LEAK_VERDICT_PROVED);
    pair.snapshots[0] = test_snapshot(&look, pair.verdicts[0]);
    pair.snapshots[1] = test_snapshot(&look, pair.verdicts[1]);
    support_exhaust(test_watch_twice, &pair);
    snapshot_destroy(pair.snapshots[0]);
    snapshot_destroy(pair.snapshots[1]);
}

/* All tests. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proof_is_kept),    cmocka_unit_test(test_proof_is_lost),
        cmocka_unit_test(test_proof_is_refuted), cmocka_unit_test(test_agreement),
        cmocka_unit_test(test_stop_in_vain),     cmocka_unit_test(test_growth),
        cmocka_unit_test(test_exhaustion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
