/* Groups and orders. */
#include "snapshot/group.h"
#include "snapshot_fixture.h"

/* Workers 10..13 (chan receive, ages 1..4 m, two parents), servers 2 and 30 (select, one of unknown
 * age), 40: a worker that sends. */
static struct snapshot *test_program(void)
{
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    size_t index;
    for (uint64_t i = 0; i < 4; i++) {
        struct snapshot_goroutine *worker = snapshot_fixture_goroutine(
            &fixture, 10 + i, fixture.worker, WAIT_REASON_CHAN_RECEIVE, &index);
        worker->age_ns = (int64_t)(i + 1) * 60;
        worker->parent = i < 2 ? 1 : 7;
        worker->flags = (uint16_t)(GOROUTINE_LOCKED | (i == 0 ? GOROUTINE_SCAN : 0));
    }
    snapshot_fixture_goroutine(&fixture, 2, fixture.server, WAIT_REASON_SELECT, &index)->age_ns =
        1000;
    snapshot_fixture_goroutine(&fixture, 30, fixture.server, WAIT_REASON_SELECT, &index);
    snapshot_fixture_goroutine(&fixture, 40, fixture.worker, WAIT_REASON_CHAN_SEND, &index);
    return snapshot_fixture_end(&fixture);
}

/* The smallest id of a group. */
static uint64_t test_first_id(const struct snapshot *snapshot, const struct group *group)
{
    size_t count;
    return snapshot_goroutines(snapshot, &count)[group->members[0]].id;
}

/* Members, ages, shared flags. */
static void test_groups(void **state)
{
    (void)state;
    struct snapshot *snapshot = test_program();
    struct group_list list;
    assert_success(group_list_init(&list, snapshot, NULL, 0, GROUP_BY_COUNT));
    assert_int_equal(list.count, 3);
    const struct group *workers = &list.items[0];
    assert_int_equal(workers->count, 4);
    assert_int_equal(test_first_id(snapshot, workers), 10);
    assert_int_equal(workers->age_min_ns, 60);
    assert_int_equal(workers->age_max_ns, 240);
    assert_int_equal(workers->age_unknown, 0);
    assert_int_equal(workers->flags, GOROUTINE_LOCKED);
    assert_true(workers->parents_differ);
    assert_false(workers->labels_differ);
    const struct group *servers = &list.items[1];
    assert_int_equal(servers->count, 2);
    assert_int_equal(servers->age_unknown, 1);
    assert_int_equal(servers->age_min_ns, 1000);
    assert_int_equal(servers->age_max_ns, 1000);
    assert_int_equal(list.items[2].age_max_ns, SNAPSHOT_UNKNOWN);
    group_list_deinit(&list);
    snapshot_destroy(snapshot);
}

/* The order of the groups, by the ids of their first members. */
static void test_orders(void **state)
{
    (void)state;
    static const struct {
        enum group_order order;
        uint64_t first[3];
    } cases[] = {
        {GROUP_BY_COUNT, {10, 2, 40}},
        {GROUP_BY_AGE, {2, 10, 40}},
        {GROUP_BY_ID, {2, 10, 40}},
        {GROUP_BY_NAME, {10, 40, 2}}, /* main.receive before main.serve */
    };
    struct snapshot *snapshot = test_program();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct group_list list;
        assert_success(group_list_init(&list, snapshot, NULL, 0, cases[i].order));
        for (size_t k = 0; k < 3; k++) {
            assert_int_equal(test_first_id(snapshot, &list.items[k]), cases[i].first[k]);
        }
        group_list_deinit(&list);
    }
    snapshot_destroy(snapshot);
}

/* Only the selection is grouped. */
static void test_selection(void **state)
{
    (void)state;
    struct snapshot *snapshot = test_program();
    const uint32_t selection[] = {0, 2};
    struct group_list list;
    assert_success(group_list_init(&list, snapshot, selection, 2, GROUP_BY_COUNT));
    assert_int_equal(list.count, 2);
    assert_int_equal(list.items[0].count + list.items[1].count, 2);
    assert_int_equal(list.items[0].members[0], 0);
    assert_int_equal(list.items[1].members[0], 2);
    group_list_deinit(&list);
    assert_success(group_list_init(&list, snapshot, selection, 0, GROUP_BY_AGE));
    assert_int_equal(list.count, 0);
    group_list_deinit(&list);
    snapshot_destroy(snapshot);
}

/* Single goroutines by each order. */
static void test_sort_selection(void **state)
{
    (void)state;
    struct snapshot *snapshot = test_program();
    static const struct {
        enum group_order order;
        uint64_t ids[7];
    } cases[] = {
        {GROUP_BY_COUNT, {10, 11, 12, 13, 2, 30, 40}},
        {GROUP_BY_AGE, {2, 13, 12, 11, 10, 30, 40}},
        {GROUP_BY_ID, {2, 10, 11, 12, 13, 30, 40}},
        {GROUP_BY_NAME, {10, 11, 12, 13, 40, 2, 30}},
    };
    size_t all;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(snapshot, &all);
    for (size_t i = 0; i < 4; i++) {
        uint32_t selection[] = {6, 5, 4, 3, 2, 1, 0};
        assert_success(group_sort_selection(snapshot, selection, 7, cases[i].order));
        for (size_t k = 0; k < 7; k++) {
            assert_int_equal(goroutines[selection[k]].id, cases[i].ids[k]);
        }
    }
    snapshot_destroy(snapshot);
}

/* Names of orders. */
static void test_parse_order(void **state)
{
    (void)state;
    enum group_order order;
    assert_success(group_parse_order("age", &order));
    assert_int_equal(order, GROUP_BY_AGE);
    assert_success(group_parse_order("name", &order));
    assert_int_equal(order, GROUP_BY_NAME);
    assert_error(group_parse_order("size", &order), ERROR_USAGE);
}

/* Many groups: the table grows, no goroutine is lost. */
static void test_many(void **state)
{
    (void)state;
    enum { COUNT = 20000, KINDS = 3000 };
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    static uint32_t stacks[KINDS];
    for (uint32_t i = 0; i < KINDS; i++) {
        uint32_t frame =
            snapshot_fixture_frame(fixture.builder, "main.f", "f.go", i + 1, 0, NULL, 0);
        stacks[i] = snapshot_fixture_stack(fixture.builder, &frame, 1);
    }
    size_t index;
    for (uint64_t i = 0; i < COUNT; i++) {
        snapshot_fixture_goroutine(&fixture, i + 1, stacks[i * 7 % KINDS], WAIT_REASON_SLEEP,
                                   &index);
    }
    struct snapshot *snapshot = snapshot_fixture_end(&fixture);
    struct group_list list;
    assert_success(group_list_init(&list, snapshot, NULL, 0, GROUP_BY_COUNT));
    assert_int_equal(list.count, KINDS);
    size_t all;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(snapshot, &all);
    size_t sum = 0;
    for (size_t i = 0; i < list.count; i++) {
        for (size_t k = 0; k < list.items[i].count; k++) {
            assert_int_equal(goroutines[list.items[i].members[k]].stack, list.items[i].stack);
        }
        sum += list.items[i].count;
    }
    assert_int_equal(sum, COUNT);
    group_list_deinit(&list);
    snapshot_destroy(snapshot);
}

/* What a goroutine that does not wait waited for last splits no group. */
static void test_stale_reason(void **state)
{
    (void)state;
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    uint32_t frame = snapshot_fixture_frame(fixture.builder, "main.f", "f.go", 1, 0, NULL, 0);
    uint32_t stack = snapshot_fixture_stack(fixture.builder, &frame, 1);
    static const uint8_t reasons[] = {WAIT_REASON_SLEEP, WAIT_REASON_SELECT};
    static const uint8_t statuses[] = {GOROUTINE_STATUS_SYSCALL, GOROUTINE_STATUS_WAITING};
    for (uint64_t i = 0; i < 4; i++) {
        size_t index;
        snapshot_fixture_goroutine(&fixture, i + 1, stack, reasons[i % 2], &index);
        snapshot_builder_goroutine(fixture.builder, index)->status = statuses[i / 2];
    }
    struct snapshot *snapshot = snapshot_fixture_end(&fixture);
    struct group_list list;
    assert_success(group_list_init(&list, snapshot, NULL, 0, GROUP_BY_ID));
    assert_int_equal(list.count, 3);
    assert_int_equal(list.items[0].count, 2);
    assert_int_equal(list.items[0].wait_reason, WAIT_REASON_NONE);
    group_list_deinit(&list);
    snapshot_destroy(snapshot);
}

/* Groups and sorts once. */
static struct error *test_group_all(void *context)
{
    struct group_list list;
    uint32_t selection[] = {3, 2, 1, 0};
    TRY(group_list_init(&list, context, NULL, 0, GROUP_BY_NAME));
    group_list_deinit(&list);
    TRY(group_sort_selection(context, selection, 4, GROUP_BY_AGE));
    return group_sort_selection(context, selection, 4, GROUP_BY_COUNT);
}

/* Every allocation may fail. */
static void test_exhaustion(void **state)
{
    (void)state;
    struct snapshot *snapshot = test_program();
    support_exhaust(test_group_all, snapshot);
    snapshot_destroy(snapshot);
}

/* All tests. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups),      cmocka_unit_test(test_orders),
        cmocka_unit_test(test_selection),   cmocka_unit_test(test_sort_selection),
        cmocka_unit_test(test_parse_order), cmocka_unit_test(test_many),
        cmocka_unit_test(test_exhaustion),  cmocka_unit_test(test_stale_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
