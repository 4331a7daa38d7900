#include "support.h"
#include "target/copy.h"

enum { COPY_TEST_SIZE = 3 << 20 };

/* A writable region, a hole, another writable region, and constant bytes of a file. */
struct copy_fixture {
    uint8_t *low;
    uint8_t *high;
    uint8_t *constant;
    struct target *base;
    struct target *copy;
};

static const uint64_t copy_low = 0x100000;
static const uint64_t copy_high = 0x100000 + COPY_TEST_SIZE + 0x10000;
static const uint64_t copy_constant = 0x4000000;

static int setup(void **state)
{
    static struct copy_fixture fixture;
    fixture.low = malloc(COPY_TEST_SIZE);
    fixture.high = malloc(COPY_TEST_SIZE);
    fixture.constant = malloc(COPY_TEST_SIZE);
    for (size_t i = 0; i < COPY_TEST_SIZE; i++) {
        fixture.low[i] = (uint8_t)(i * 7 + i / 256);
        fixture.high[i] = (uint8_t)(i * 13 + i / 256);
        fixture.constant[i] = (uint8_t)(i * 3);
    }
    const uint32_t writable = TARGET_PERMISSION_READ | TARGET_PERMISSION_WRITE;
    const struct target_mapping mappings[] = {
        {.start = copy_low, .end = copy_low + COPY_TEST_SIZE, .permissions = writable, .path = ""},
        {.start = copy_high,
         .end = copy_high + COPY_TEST_SIZE,
         .permissions = writable,
         .path = ""},
        {.start = copy_constant,
         .end = copy_constant + COPY_TEST_SIZE,
         .permissions = TARGET_PERMISSION_READ,
         .path = "/bin/program"}};
    const uint8_t *bytes[] = {fixture.low, fixture.high, fixture.constant};
    assert_success(target_open_memory(TARGET_MACHINE_AMD64, mappings, bytes, 3, &fixture.base));
    assert_success(copy_create(fixture.base, &fixture.copy));
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct copy_fixture *fixture = *state;
    target_destroy(fixture->copy);
    target_destroy(fixture->base);
    free(fixture->low);
    free(fixture->high);
    free(fixture->constant);
    return 0;
}

/* Bytes that were fetched stay as they were, whatever the target writes afterwards. */
static void test_fetched_bytes_are_of_one_moment(void **state)
{
    struct copy_fixture *fixture = *state;
    const struct copy_range ranges[] = {{copy_high + 100, 5000}, {copy_low, COPY_TEST_SIZE}};
    uint8_t before[5000];
    uint8_t after[5000];
    memcpy(before, fixture->high + 100, sizeof before);
    assert_success(copy_reserve(fixture->copy, ranges, 2));
    assert_success(copy_fetch(fixture->copy, ranges, 2, 0));
    assert_success(copy_seal(fixture->copy));
    memset(fixture->high, 0xee, COPY_TEST_SIZE);
    assert_success(target_read(fixture->copy, copy_high + 100, after, sizeof after));
    assert_memory_equal(before, after, sizeof before);
}

/* What was reserved is fetched without being named again; what is named besides joins it. */
static void test_reserved_ranges_are_fetched(void **state)
{
    struct copy_fixture *fixture = *state;
    const struct copy_range ranges[] = {
        {copy_high + 0x4000, 0x1000}, {copy_low, 0x2000}, {copy_high, 10}, {copy_high + 5000, 300}};
    const struct copy_range more = {copy_low, 0x3000};
    uint8_t after[0x3000];
    assert_success(copy_reserve(fixture->copy, ranges, 4));
    assert_success(copy_fetch_reserved(fixture->copy, 0));
    assert_int_equal(copy_size(fixture->copy), 0x3000 + 310);
    assert_success(copy_fetch(fixture->copy, &more, 1, 0));
    assert_int_equal(copy_size(fixture->copy), 0x4000 + 310);
    assert_success(copy_seal(fixture->copy));
    assert_success(target_read(fixture->copy, copy_low, after, sizeof after));
    assert_memory_equal(after, fixture->low, sizeof after);
    assert_success(target_read(fixture->copy, copy_high + 5000, after, 300));
    assert_memory_equal(after, fixture->high + 5000, 300);
    assert_error(target_read(fixture->copy, copy_high + 5000, after, 301), ERROR_FAULT);
}

/* After sealing, what was not fetched faults; it is never read from the running target. */
static void test_sealed_copy_faults_on_what_it_lacks(void **state)
{
    struct copy_fixture *fixture = *state;
    const struct copy_range range = {copy_low, 0x1000};
    uint8_t byte;
    assert_success(copy_fetch(fixture->copy, &range, 1, 0));
    assert_success(copy_seal(fixture->copy));
    assert_success(target_read(fixture->copy, copy_low + 0xfff, &byte, 1));
    assert_error(target_read(fixture->copy, copy_low + 0x5000, &byte, 1), ERROR_FAULT);
    assert_error(target_read(fixture->copy, copy_high, &byte, 1), ERROR_FAULT);
}

/* While open, a read fetches and keeps its page. */
static void test_open_copy_keeps_what_was_read(void **state)
{
    struct copy_fixture *fixture = *state;
    uint8_t byte;
    uint8_t old = fixture->high[0x2345];
    assert_success(target_read(fixture->copy, copy_high + 0x2345, &byte, 1));
    assert_int_equal(byte, old);
    assert_success(copy_seal(fixture->copy));
    fixture->high[0x2345] = (uint8_t)(old + 1);
    assert_success(target_read(fixture->copy, copy_high + 0x2345, &byte, 1));
    assert_int_equal(byte, old);
}

/* What nobody can write is still read from the target after sealing. */
static void test_constant_file_bytes_come_from_the_base(void **state)
{
    struct copy_fixture *fixture = *state;
    uint8_t bytes[64];
    assert_success(copy_seal(fixture->copy));
    assert_success(target_read(fixture->copy, copy_constant + 1000, bytes, sizeof bytes));
    assert_memory_equal(bytes, fixture->constant + 1000, sizeof bytes);
}

/* A view is in place for fetched bytes, across neighbouring ranges, and absent across holes. */
static void test_views_lie_within_what_was_fetched(void **state)
{
    struct copy_fixture *fixture = *state;
    const struct copy_range ranges[] = {
        {copy_low, 0x3000}, {copy_low + 0x3000, 0x2000}, {copy_high, 0x1000}};
    assert_success(copy_fetch(fixture->copy, ranges, 3, 0));
    assert_success(copy_seal(fixture->copy));
    const uint8_t *view = target_view(fixture->copy, copy_low + 0x2ff0, 0x20);
    assert_non_null(view);
    assert_memory_equal(view, fixture->low + 0x2ff0, 0x20);
    assert_null(target_view(fixture->copy, copy_low + 0x4ff0, 0x20));
    assert_null(target_view(fixture->copy, copy_high + 0x1000, 1));
}

/* Ranges over a hole keep the bytes on both sides of it. */
static void test_fetch_keeps_both_sides_of_a_hole(void **state)
{
    struct copy_fixture *fixture = *state;
    const struct copy_range range = {copy_low + COPY_TEST_SIZE - 0x2000, 0x14000};
    uint8_t bytes[16];
    assert_success(copy_fetch(fixture->copy, &range, 1, 0));
    assert_success(copy_seal(fixture->copy));
    assert_success(target_read(fixture->copy, copy_low + COPY_TEST_SIZE - 16, bytes, 16));
    assert_memory_equal(bytes, fixture->low + COPY_TEST_SIZE - 16, 16);
    assert_success(target_read(fixture->copy, copy_high, bytes, 16));
    assert_memory_equal(bytes, fixture->high, 16);
    assert_error(target_read(fixture->copy, copy_low + COPY_TEST_SIZE, bytes, 1), ERROR_FAULT);
}

/* The same when they were reserved: what did not arrive is not there, and giving memory back takes
 * nothing from what did. */
static void test_reserving_a_hole_promises_nothing(void **state)
{
    struct copy_fixture *fixture = *state;
    const struct copy_range ranges[] = {{copy_low + COPY_TEST_SIZE - 0x2000, 0x14000},
                                        {copy_low, 0x1000}};
    uint8_t bytes[16];
    assert_success(copy_reserve(fixture->copy, ranges, 2));
    assert_success(copy_fetch_reserved(fixture->copy, 0));
    assert_int_equal(copy_size(fixture->copy), 0x14000 - 0x10000 + 0x1000);
    assert_success(copy_seal(fixture->copy));
    copy_trim(fixture->copy);
    assert_success(target_read(fixture->copy, copy_low + COPY_TEST_SIZE - 16, bytes, 16));
    assert_memory_equal(bytes, fixture->low + COPY_TEST_SIZE - 16, 16);
    assert_success(target_read(fixture->copy, copy_high + 0x1ff0, bytes, 16));
    assert_memory_equal(bytes, fixture->high + 0x1ff0, 16);
    assert_error(target_read(fixture->copy, copy_low + COPY_TEST_SIZE, bytes, 1), ERROR_FAULT);
    assert_success(target_read(fixture->copy, copy_low, bytes, 16));
    assert_memory_equal(bytes, fixture->low, 16);
}

/* Later ranges find their places before, between and behind those that are held. */
static void test_later_ranges_find_their_places(void **state)
{
    struct copy_fixture *fixture = *state;
    const struct copy_range first[] = {{copy_low + 0x4000, 0x100}, {copy_low + 0x8000, 0x100}};
    const struct copy_range later[] = {{copy_high, 0x100},
                                       {copy_low + 0x2000, 0x100},
                                       {copy_low + 0x6000, 0x100},
                                       {copy_low + 0x1000, 0x100}};
    const uint64_t all[] = {0x1000, 0x2000, 0x4000, 0x6000, 0x8000};
    uint8_t bytes[0x100];
    assert_success(copy_reserve(fixture->copy, first, 2));
    assert_success(copy_fetch_reserved(fixture->copy, 0));
    assert_success(copy_fetch(fixture->copy, later, 4, 0));
    assert_success(copy_seal(fixture->copy));
    for (size_t i = 0; i < 5; i++) {
        assert_success(target_read(fixture->copy, copy_low + all[i], bytes, sizeof bytes));
        assert_memory_equal(bytes, fixture->low + all[i], sizeof bytes);
        assert_error(target_read(fixture->copy, copy_low + all[i] + 0x100, bytes, 1), ERROR_FAULT);
    }
    assert_success(target_read(fixture->copy, copy_high, bytes, sizeof bytes));
    assert_memory_equal(bytes, fixture->high, sizeof bytes);
}

/* What is held is not fetched again: the first moment counts. */
static void test_second_fetch_leaves_the_first_alone(void **state)
{
    struct copy_fixture *fixture = *state;
    const struct copy_range first = {copy_low + 0x1000, 0x1000};
    const struct copy_range second = {copy_low, 0x4000};
    uint8_t old = fixture->low[0x1800];
    uint8_t byte;
    assert_success(copy_fetch(fixture->copy, &first, 1, 0));
    memset(fixture->low, 0xdd, 0x4000);
    assert_success(copy_fetch(fixture->copy, &second, 1, 0));
    assert_success(copy_seal(fixture->copy));
    assert_success(target_read(fixture->copy, copy_low + 0x1800, &byte, 1));
    assert_int_equal(byte, old);
    assert_success(target_read(fixture->copy, copy_low + 0x3000, &byte, 1));
    assert_int_equal(byte, 0xdd);
}

/* A deadline that has passed ends the fetch. */
static void test_deadline_ends_the_fetch(void **state)
{
    struct copy_fixture *fixture = *state;
    const struct copy_range range = {copy_low, COPY_TEST_SIZE};
    assert_error(copy_fetch(fixture->copy, &range, 1, 1), ERROR_LIMIT);
}

/* Fetches into a copy of its own. */
static struct error *copy_once(void *context)
{
    struct copy_fixture *fixture = context;
    const struct copy_range ranges[] = {{copy_high, 0x3000}, {copy_low, 0x3000}};
    struct target *copy = NULL;
    struct error *error = copy_create(fixture->base, &copy);
    if (error == NULL) {
        error = copy_fetch(copy, ranges, 2, 0);
    }
    if (error == NULL) {
        error = copy_seal(copy);
    }
    target_destroy(copy);
    return error;
}

/* Every allocation may fail. */
static void test_copies_survive_exhaustion(void **state)
{
    support_exhaust(copy_once, *state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fetched_bytes_are_of_one_moment, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reserved_ranges_are_fetched, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sealed_copy_faults_on_what_it_lacks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_open_copy_keeps_what_was_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_constant_file_bytes_come_from_the_base, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_views_lie_within_what_was_fetched, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fetch_keeps_both_sides_of_a_hole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_second_fetch_leaves_the_first_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deadline_ends_the_fetch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_copies_survive_exhaustion, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reserving_a_hole_promises_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_later_ranges_find_their_places, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
