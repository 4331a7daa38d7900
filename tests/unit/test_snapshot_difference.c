/* Differences: what two snapshots say is compared, whatever they call it by. */
#include "snapshot/difference.h"
#include "snapshot_fixture.h"

/* How a program is made up. */
struct test_shape {
    unsigned workers, servers; /* goroutines */
    unsigned shift;            /* of ids */
    unsigned moved;            /* lines that the worker's stack moved by */
    const char *build;         /* build id, or NULL */
    bool counts;               /* as a profile: no states, no creators */
    int64_t pid;               /* 0: that of the fixture */
};

/* The worker's stack with other ids and, perhaps, other lines; without the runtime's frames. */
static uint32_t test_worker(struct snapshot_fixture *fixture, unsigned moved)
{
    const uint32_t frames[] = {snapshot_fixture_frame(fixture->builder, "main.receive",
                                                      "/src/pool.go", 30 + moved, UINT32_MAX, NULL,
                                                      FRAME_INLINED),
                               snapshot_fixture_frame(fixture->builder, "main.(*Pool).worker",
                                                      "/src/pool.go", 41 + moved, 7, NULL, 0)};
    return snapshot_fixture_stack(fixture->builder, frames, 2);
}

/* Makes a program. */
static struct snapshot *test_program(const struct test_shape *shape)
{
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    struct snapshot_program *program = snapshot_builder_program(fixture.builder);
    if (shape->build != NULL) {
        program->build_id = snapshot_fixture_string(fixture.builder, shape->build);
    }
    program->pid = shape->pid != 0 ? shape->pid : program->pid;
    uint32_t worker = shape->moved == 0 ? fixture.worker : test_worker(&fixture, shape->moved);
    for (unsigned i = 0; i < shape->workers + shape->servers; i++) {
        size_t index;
        bool serves = i >= shape->workers;
        struct snapshot_goroutine *goroutine = snapshot_fixture_goroutine(
            &fixture, 1 + i + (serves ? 1000 : shape->shift), serves ? fixture.server : worker,
            serves ? WAIT_REASON_SELECT : WAIT_REASON_CHAN_RECEIVE, &index);
        goroutine->age_ns = 100 + i;
        if (shape->counts) {
            goroutine->status = GOROUTINE_STATUS_UNKNOWN;
            goroutine->wait_reason = 0;
            goroutine->creator = 0;
            goroutine->flags = GOROUTINE_CREATOR_UNKNOWN | GOROUTINE_ID_UNKNOWN;
        }
    }
    return snapshot_fixture_end(&fixture);
}

/* Compares two programs. */
static struct difference test_compare(const struct test_shape *before,
                                      const struct test_shape *after, enum difference_match match)
{
    struct difference difference;
    struct snapshot *a = test_program(before), *b = test_program(after);
    struct difference_side sides[] = {{.snapshot = a}, {.snapshot = b}};
    assert_success(difference_init(&difference, &sides[0], &sides[1], match, DIFFERENCE_BY_GROWTH));
    snapshot_destroy(a);
    snapshot_destroy(b);
    return difference;
}

/* Asserts what became of groups. */
static void test_changes(struct difference *difference, size_t new, size_t grown, size_t shrunk,
                         size_t gone, size_t unchanged)
{
    assert_int_equal(difference->changes[DIFFERENCE_NEW], new);
    assert_int_equal(difference->changes[DIFFERENCE_GROWN], grown);
    assert_int_equal(difference->changes[DIFFERENCE_SHRUNK], shrunk);
    assert_int_equal(difference->changes[DIFFERENCE_GONE], gone);
    assert_int_equal(difference->changes[DIFFERENCE_UNCHANGED], unchanged);
    assert_int_equal(difference->count, new + grown + shrunk + gone + unchanged);
    assert_int_equal(difference_has_growth(difference), new + grown > 0);
}

/* The kinds of change, and how much. */
static void test_kinds(void **state)
{
    (void)state;
    struct difference d =
        test_compare(&(struct test_shape){.workers = 4, .servers = 2},
                     &(struct test_shape){.workers = 9, .servers = 2}, DIFFERENCE_MATCH_AUTO);
    test_changes(&d, 0, 1, 0, 0, 1);
    assert_int_equal(d.before, 6);
    assert_int_equal(d.after, 11);
    assert_int_equal(d.grown, 5);
    assert_int_equal(d.shrunk, 0);
    assert_int_equal(d.items[0].before.goroutines, 4);
    assert_int_equal(d.items[0].after.goroutines, 9);
    assert_int_equal(d.items[0].change, DIFFERENCE_GROWN);
    assert_int_equal(d.elapsed_ns, 0);
    difference_deinit(&d);
    d = test_compare(&(struct test_shape){.workers = 4, .servers = 2},
                     &(struct test_shape){.workers = 3}, DIFFERENCE_MATCH_AUTO);
    test_changes(&d, 0, 0, 1, 1, 0);
    assert_int_equal(d.shrunk, 3);
    assert_int_equal(d.items[0].change, DIFFERENCE_GONE); /* by two, the other by one */
    difference_deinit(&d);
    d = test_compare(&(struct test_shape){.servers = 1},
                     &(struct test_shape){.workers = 1, .servers = 1}, DIFFERENCE_MATCH_AUTO);
    test_changes(&d, 1, 0, 0, 0, 1);
    difference_deinit(&d);
}

/* Who stayed: the same id in the same group, whose age did not fall. */
static void test_stayed(void **state)
{
    (void)state;
    const struct test_shape six = {.workers = 4, .servers = 2};
    struct difference d = test_compare(&six, &six, DIFFERENCE_MATCH_AUTO);
    test_changes(&d, 0, 0, 0, 0, 2);
    assert_int_equal(d.stayed, 6);
    difference_deinit(&d);
    d = test_compare(&six, &(struct test_shape){.workers = 4, .servers = 2, .shift = 2},
                     DIFFERENCE_MATCH_AUTO); /* workers 3 to 6, of ages 100 to 103, not 102 on */
    assert_int_equal(d.stayed, 2);
    difference_deinit(&d);
    d = test_compare(&six, &(struct test_shape){.workers = 4, .servers = 2, .pid = 1},
                     DIFFERENCE_MATCH_AUTO);
    assert_false(d.by_id);
    assert_int_equal(d.stayed, 0);
    difference_deinit(&d);
}

/* Lines decide, unless the builds differ or somebody says otherwise. The runtime's frames never do.
 */
static void test_lines(void **state)
{
    (void)state;
    const struct test_shape old = {.workers = 4, .build = "a/b"};
    const struct test_shape moved = {.workers = 4, .moved = 3, .build = "a/b"};
    const struct test_shape rebuilt = {.workers = 4, .moved = 3, .build = "a/c"};
    const struct test_shape gnu = {.workers = 4, .build = "0123abcd"};
    struct difference d = test_compare(&old, &moved, DIFFERENCE_MATCH_AUTO);
    test_changes(&d, 1, 0, 0, 1, 0);
    assert_true(d.by_lines);
    difference_deinit(&d);
    d = test_compare(&old, &moved, DIFFERENCE_MATCH_FUNCTIONS);
    test_changes(&d, 0, 0, 0, 0, 1);
    difference_deinit(&d);
    d = test_compare(&old, &rebuilt, DIFFERENCE_MATCH_AUTO);
    test_changes(&d, 0, 0, 0, 0, 1);
    assert_true(d.builds_differ);
    assert_false(d.by_lines || d.by_id);
    difference_deinit(&d);
    d = test_compare(&old, &rebuilt, DIFFERENCE_MATCH_LINES);
    test_changes(&d, 1, 0, 0, 1, 0);
    difference_deinit(&d);
    d = test_compare(&old, &gnu, DIFFERENCE_MATCH_AUTO); /* ids of different kinds say nothing */
    assert_false(d.builds_differ);
    test_changes(&d, 0, 0, 0, 0, 1);
    difference_deinit(&d);
}

/* What one side does not know is not compared. */
static void test_unknown(void **state)
{
    (void)state;
    struct difference d =
        test_compare(&(struct test_shape){.workers = 4, .servers = 2, .counts = true},
                     &(struct test_shape){.workers = 5, .servers = 2}, DIFFERENCE_MATCH_AUTO);
    test_changes(&d, 0, 1, 0, 0, 1);
    assert_false(d.by_state || d.by_creator || d.by_id);
    difference_deinit(&d);
    d = test_compare(&(struct test_shape){0}, &(struct test_shape){.workers = 2},
                     DIFFERENCE_MATCH_AUTO);
    test_changes(&d, 1, 0, 0, 0, 0);
    assert_true(d.by_state && d.by_creator);
    difference_deinit(&d);
}

/* Only selected goroutines count. */
static void test_selection(void **state)
{
    (void)state;
    struct snapshot *a = test_program(&(struct test_shape){.workers = 4, .servers = 2});
    struct snapshot *b = test_program(&(struct test_shape){.workers = 9, .servers = 2});
    const uint32_t servers[] = {4, 5}, others[] = {0, 9};
    struct difference_side sides[] = {{a, servers, 2}, {b, others, 2}};
    struct difference d;
    assert_success(
        difference_init(&d, &sides[0], &sides[1], DIFFERENCE_MATCH_AUTO, DIFFERENCE_BY_NAME));
    test_changes(&d, 1, 0, 1, 0, 0);
    assert_int_equal(d.before, 2);
    assert_int_equal(d.after, 2);
    assert_int_equal(d.stayed, 0);                       /* the servers have other ids */
    assert_int_equal(d.items[0].change, DIFFERENCE_NEW); /* main.receive before main.serve */
    assert_int_equal(d.items[0].after.first, 0);
    assert_int_equal(d.items[1].before.first, 4);
    difference_deinit(&d);
    snapshot_destroy(a);
    snapshot_destroy(b);
}

/* Work for support_exhaust. */
static struct error *test_work(void *context)
{
    struct snapshot **programs = context;
    struct difference_side sides[] = {{.snapshot = programs[0]}, {.snapshot = programs[1]}};
    struct difference difference;
    struct error *error = difference_init(&difference, &sides[0], &sides[1], DIFFERENCE_MATCH_AUTO,
                                          DIFFERENCE_BY_COUNT);
    difference_deinit(&difference);
    return error;
}

/* Memory may run out anywhere. */
static void test_no_memory(void **state)
{
    (void)state;
    struct snapshot *programs[] = {
        test_program(&(struct test_shape){.workers = 4, .servers = 2}),
        test_program(&(struct test_shape){.workers = 5, .servers = 2, .moved = 1})};
    support_exhaust(test_work, programs);
    snapshot_destroy(programs[0]);
    snapshot_destroy(programs[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),     cmocka_unit_test(test_stayed),
        cmocka_unit_test(test_lines),     cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_selection), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
