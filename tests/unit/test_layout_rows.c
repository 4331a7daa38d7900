#include "layout/layout.h"
#include "support.h"
#include <stdio.h>

enum { REASONS_EXPECTED_MIN = 27 };

/* Fails the test with ROW's version and machine when it does not HOLD. */
static void test_expect(const struct layout *row, bool holds, const char *group, const char *field)
{
    if (!holds) {
        fail_msg("%s %s: %s.%s", row->provenance,
                 row->machine == LAYOUT_MACHINE_AMD64 ? "amd64" : "arm64", group, field);
    }
}

/* Checks one group of one row: VALUES are its size and the COUNT - 1 offsets behind it. */
static void test_check_group(const struct layout *row, const char *group, const int32_t *values,
                             size_t count)
{
    int32_t size = values[0];
    test_expect(row, size == LAYOUT_ABSENT || size > 0, group, "size");
    size_t present = 0;
    for (size_t i = 1; i < count; i++) {
        char number[32];
        snprintf(number, sizeof number, "field %zu", i);
        if (values[i] == LAYOUT_ABSENT) {
            continue;
        }
        present++;
        test_expect(row, values[i] >= 0 && values[i] < size, group, number);
        for (size_t j = 1; j < i; j++) { /* a forgotten initialiser is a second field at 0 */
            test_expect(row, values[i] != values[j], group, number);
        }
    }
    test_expect(row, (present > 0) == (size != LAYOUT_ABSENT), group, "presence");
}

/* Offsets lie within their type, no two fields of a type at one place, and a type that a release
 * does not have has no fields. */
static void test_groups(void **state)
{
    (void)state;
    const struct layout *row;
    for (size_t i = 0; (row = layout_at(i)) != NULL; i++) {
#define LAYOUT_GROUP(name, type)                                                                   \
    test_check_group(row, #name, (const int32_t *)&row->name, sizeof row->name / sizeof(int32_t));
#define LAYOUT_FIELD(name, path)
#define LAYOUT_END(name)
#include "layout/fields.def"
#undef LAYOUT_GROUP
#undef LAYOUT_FIELD
#undef LAYOUT_END
    }
}

/* No line of fields.def or constants.def is absent from every release: its path would be wrong. */
static void test_each_field_somewhere(void **state)
{
    (void)state;
    struct layout seen = {0};
    const struct layout *row;
    for (size_t i = 0; (row = layout_at(i)) != NULL; i++) {
#define LAYOUT_GROUP(group, type)                                                                  \
    {                                                                                              \
        const __typeof__(row->group) *from = &row->group;                                          \
        __typeof__(seen.group) *to = &seen.group;
#define LAYOUT_FIELD(name, path) to->name |= from->name != LAYOUT_ABSENT;
#define LAYOUT_END(group) }
#include "layout/fields.def"
#undef LAYOUT_GROUP
#undef LAYOUT_FIELD
#undef LAYOUT_END
#define LAYOUT_CONSTANT(name, source) seen.name |= row->name != LAYOUT_ABSENT;
#include "layout/constants.def"
#undef LAYOUT_CONSTANT
    }
#define LAYOUT_GROUP(group, type)                                                                  \
    {                                                                                              \
        const char *in = #group;                                                                   \
        const __typeof__(seen.group) *of = &seen.group;
#define LAYOUT_FIELD(name, path) test_expect(layout_at(0), of->name == 1, in, #name);
#define LAYOUT_END(group) }
#include "layout/fields.def"
#undef LAYOUT_GROUP
#undef LAYOUT_FIELD
#undef LAYOUT_END
#define LAYOUT_CONSTANT(name, source) test_expect(layout_at(0), seen.name == 1, "constant", #name);
#include "layout/constants.def"
#undef LAYOUT_CONSTANT
}

/* What every reading needs is in every row, and the word size of our machines shows. */
static void test_required(void **state)
{
    (void)state;
    const struct layout *row;
    for (size_t i = 0; (row = layout_at(i)) != NULL; i++) {
#define REQUIRE(group, field)                                                                      \
    test_expect(row, row->group.field != LAYOUT_ABSENT && row->group.field % 8 == 0, #group, #field)
        REQUIRE(g, stack_lo);
        REQUIRE(g, stack_hi);
        REQUIRE(g, m);
        REQUIRE(g, sched_sp);
        REQUIRE(g, sched_pc);
        REQUIRE(g, sched_bp);
        REQUIRE(g, goid);
        REQUIRE(g, waitsince);
        REQUIRE(g, waitreason);
        REQUIRE(g, gopc);
        REQUIRE(g, startpc);
        REQUIRE(g, waiting);
        REQUIRE(sudog, g);
        REQUIRE(sudog, elem);
        REQUIRE(sudog, waitlink);
        REQUIRE(sudog, c);
        REQUIRE(hchan, recvq_first);
        REQUIRE(hchan, sendq_first);
        REQUIRE(m, curg);
        REQUIRE(m, alllink);
        REQUIRE(p, timers);
        REQUIRE(moduledata, text);
        REQUIRE(moduledata, gcdatamask);
        REQUIRE(moduledata, next);
        REQUIRE(mheap, allspans);
        REQUIRE(heap_arena, spans);
        REQUIRE(mspan, specials);
        REQUIRE(poll_desc, rg);
        REQUIRE(type, gcdata);
#undef REQUIRE
        test_expect(row, row->g.atomicstatus % 4 == 0, "g", "atomicstatus");
        test_expect(row, row->func_id_wrapper > 0, "constant", "func_id_wrapper");
        test_expect(row, row->special_kind_finalizer > 0, "constant", "special_kind_finalizer");
        test_expect(row, row->sema_root_stride == 64 || row->sema_root_stride == 128, "constant",
                    "sema_root_stride");
    }
}

/* Kinds of specials are numbers of their own in each release. */
static void test_special_kinds(void **state)
{
    (void)state;
    const struct layout *row;
    for (size_t i = 0; (row = layout_at(i)) != NULL; i++) {
        const int32_t kinds[] = {
            row->special_kind_tiny_block,  row->special_kind_finalizer,
            row->special_kind_weak_handle, row->special_kind_profile,
            row->special_kind_reachable,   row->special_kind_pin_counter,
            row->special_kind_cleanup,     row->special_kind_check_finalizer,
            row->special_kind_bubble,      row->special_kind_secret,
        };
        int32_t highest = 0; /* the runtime numbers them from 1 on, in this order */
        for (size_t j = 0; j < sizeof kinds / sizeof kinds[0]; j++) {
            test_expect(row, kinds[j] == LAYOUT_ABSENT || kinds[j] == highest + 1, "special",
                        "kind");
            highest = kinds[j] == LAYOUT_ABSENT ? highest : kinds[j];
        }
    }
}

/* How many of ROW's numbers mean REASON. */
static size_t test_count_reason(const struct layout *row, enum wait_reason reason)
{
    size_t count = 0;
    for (uint32_t i = 0; i < row->wait_reason_count; i++) {
        count += row->wait_reasons[i] == reason;
    }
    return count;
}

/* Number 0 is no reason, no reason has two numbers, and those that tell waits apart are there. */
static void test_wait_reasons(void **state)
{
    (void)state;
    static const enum wait_reason always[] = {
        WAIT_REASON_IO_WAIT,          WAIT_REASON_CHAN_RECEIVE_NIL, WAIT_REASON_CHAN_SEND_NIL,
        WAIT_REASON_SELECT,           WAIT_REASON_SELECT_NO_CASES,  WAIT_REASON_CHAN_RECEIVE,
        WAIT_REASON_CHAN_SEND,        WAIT_REASON_SEMACQUIRE,       WAIT_REASON_SLEEP,
        WAIT_REASON_SYNC_COND_WAIT,   WAIT_REASON_FINALIZER_WAIT,   WAIT_REASON_PREEMPTED,
        WAIT_REASON_GC_WORKER_IDLE,   WAIT_REASON_GC_SWEEP_WAIT,    WAIT_REASON_FORCE_GC_IDLE,
        WAIT_REASON_GC_ASSIST_MARKING};
    const struct layout *row;
    for (size_t i = 0; (row = layout_at(i)) != NULL; i++) {
        test_expect(row, row->wait_reason_count >= REASONS_EXPECTED_MIN, "wait reasons", "count");
        test_expect(row, row->wait_reasons[0] == WAIT_REASON_NONE, "wait reasons", "0");
        for (size_t j = 0; j < sizeof always / sizeof always[0]; j++) {
            test_expect(row, test_count_reason(row, always[j]) == 1, "wait reasons",
                        wait_reason_text(always[j]));
        }
        for (int reason = 0; reason < WAIT_REASON_COUNT; reason++) {
            test_expect(row, test_count_reason(row, (enum wait_reason)reason) <= 1, "wait reasons",
                        wait_reason_text((enum wait_reason)reason));
        }
        for (uint32_t j = 0; j < row->wait_reason_count; j++) {
            test_expect(row, row->wait_reasons[j] < WAIT_REASON_COUNT, "wait reasons", "range");
        }
        test_expect(
            row, (test_count_reason(row, WAIT_REASON_SYNC_MUTEX_LOCK) == 1) == (row->minor >= 20),
            "wait reasons", "sync.Mutex.Lock");
        test_expect(row,
                    (test_count_reason(row, WAIT_REASON_SYNC_WAITGROUP_WAIT) == 1) ==
                        (row->minor >= 24),
                    "wait reasons", "sync.WaitGroup.Wait");
        test_expect(row, (test_count_reason(row, WAIT_REASON_COROUTINE) == 1) == (row->minor >= 22),
                    "wait reasons", "coroutine");
    }
}

/* Rows come in order, each with the toolchain that it was made from. */
static void test_order(void **state)
{
    (void)state;
    const struct layout *row;
    long before = -1;
    for (size_t i = 0; (row = layout_at(i)) != NULL; i++) {
        long place = (row->minor * 1000L + row->patch) * 2 + (long)row->machine;
        assert_true(place > before);
        before = place;
        char release[32];
        int length = snprintf(release, sizeof release, "go1.%d", (int)row->minor);
        assert_memory_equal(row->provenance, release, (size_t)length);
        assert_ptr_equal(
            layout_find_version(row->provenance, strlen(row->provenance), row->machine), row);
    }
}

/* Every release that we claim has rows of both machines; none beside them. */
static void test_find(void **state)
{
    (void)state;
    for (int machine = LAYOUT_MACHINE_AMD64; machine <= LAYOUT_MACHINE_ARM64; machine++) {
        for (int minor = LAYOUT_MINOR_MIN; minor <= LAYOUT_MINOR_MAX; minor++) {
            const struct layout *row = layout_find(minor, (enum layout_machine)machine);
            assert_non_null(row);
            assert_int_equal(row->minor, minor);
            assert_int_equal(row->machine, machine);
        }
        assert_null(layout_find(LAYOUT_MINOR_MIN - 1, (enum layout_machine)machine));
        assert_null(layout_find(LAYOUT_MINOR_MAX + 1, (enum layout_machine)machine));
        assert_null(layout_find(LAYOUT_ABSENT, (enum layout_machine)machine));
    }
}

/* The row that holds for VERSION on amd64. */
static const struct layout *test_row_of(const char *version)
{
    return layout_find_version(version, strlen(version), LAYOUT_MACHINE_AMD64);
}

/* A version finds the row of its patch level: 1.23 changed what we read at .3, .4 and .12. */
static void test_find_version(void **state)
{
    (void)state;
    static const struct {
        const char *version;
        int minor, patch;
    } cases[] = {
        {"go1.23", 23, 0},       {"go1.23rc1", 23, 0},
        {"go1.23.0", 23, 0},     {"go1.23.1", 23, 0},
        {"go1.23.2", 23, 0},     {"go1.23.3 X:boringcrypto", 23, 3},
        {"go1.23.4", 23, 4},     {"go1.23.11-X:nocoverageredesign", 23, 4},
        {"go1.23.12", 23, 12},   {"go1.23.9999", 23, 12},
        {"go1.24.5", 24, 0},     {"go1.24.6 (Red Hat 1.24.6-1.el9)", 24, 6},
        {"go1.20.14", 20, 0},    {"go1.23.x", 23, 0},
        {"go1.23.99999", 23, 0}, {"devel go1.24-0ee7a4b Mon Jan 6 09:00:00 2025 +0000", 24, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct layout *row = test_row_of(cases[i].version);
        assert_non_null(row);
        assert_int_equal(row->minor, cases[i].minor);
        assert_int_equal(row->patch, cases[i].patch);
    }
    static const char *const none[] = {"",       "go",     "go1.",      "go1.17.13",
                                       "go1.28", "go2.20", "devel +abc"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_null(test_row_of(none[i]));
    }
    char *unended = support_guarded("go1.24.13", 9); /* the size is believed, not an end */
    assert_int_equal(layout_find_version(unended, 9, LAYOUT_MACHINE_ARM64)->patch, 6);
    support_guarded_free(unended, 9);
}

/* Places where releases differ, against numbers found independently of the generator. */
static void test_known_differences(void **state)
{
    (void)state;
    assert_int_equal(layout_find(24, LAYOUT_MACHINE_AMD64)->g.goid, 160);
    assert_int_equal(layout_find(25, LAYOUT_MACHINE_AMD64)->g.goid, 152);
    assert_int_equal(layout_find(25, LAYOUT_MACHINE_ARM64)->sudog.c, 80);
    assert_int_equal(layout_find(26, LAYOUT_MACHINE_ARM64)->sudog.c, 96);
    assert_int_equal(layout_find(27, LAYOUT_MACHINE_AMD64)->sudog.elem, 32);
    assert_int_equal(layout_find(20, LAYOUT_MACHINE_AMD64)->g.parent_goid, LAYOUT_ABSENT);
    assert_int_equal(layout_find(22, LAYOUT_MACHINE_AMD64)->mheap.arenas, 66008);
    assert_int_equal(layout_find(22, LAYOUT_MACHINE_ARM64)->mheap.arenas, 66072);
    assert_int_equal(test_row_of("go1.23.5")->m.alllink, 328);
    assert_int_equal(test_row_of("go1.23.12")->m.alllink, 352);
    assert_int_equal(test_row_of("go1.23.0")->poll_desc.rd, 152);
    assert_int_equal(test_row_of("go1.23.5")->poll_desc.rd, 160);
    assert_int_equal(test_row_of("go1.23.3")->wait_reason_count, 37);
    assert_int_equal(test_row_of("go1.23.5")->wait_reason_count, 38);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_each_field_somewhere),
        cmocka_unit_test(test_required),
        cmocka_unit_test(test_special_kinds),
        cmocka_unit_test(test_wait_reasons),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_find_version),
        cmocka_unit_test(test_known_differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
