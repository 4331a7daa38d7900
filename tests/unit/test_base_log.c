/* The log and the clock. */
#include "base/clock.h"
#include "base/log.h"
#include "support.h"

struct test_lines {
    size_t count;
    enum log_level level;
    char text[2048];
};

/* Keeps the last line. */
static void test_sink(enum log_level level, const char *text, void *context)
{
    struct test_lines *lines = context;
    lines->count++;
    lines->level = level;
    assert_true(strlen(text) < sizeof lines->text);
    strcpy(lines->text, text);
}

/* Levels pass or not; without a sink nothing happens. */
static void test_levels(void **state)
{
    (void)state;
    struct test_lines lines = {0};
    log_line(LOG_LEVEL_WARNING, "nobody listens");
    log_configure(LOG_LEVEL_INFO, test_sink, &lines);
    log_line(LOG_LEVEL_WARNING, "row %d", 18);
    assert_int_equal(lines.count, 1);
    assert_int_equal(lines.level, LOG_LEVEL_WARNING);
    assert_string_equal(lines.text, "row 18");
    log_line(LOG_LEVEL_INFO, "info");
    log_line(LOG_LEVEL_DEBUG, "debug");
    assert_int_equal(lines.count, 2);
    assert_string_equal(lines.text, "info");
    log_configure(LOG_LEVEL_DEBUG, NULL, NULL);
    log_line(LOG_LEVEL_WARNING, "nobody listens");
    assert_int_equal(lines.count, 2);
}

/* A line that is too long is cut; a line needs no memory. */
static void test_long_line(void **state)
{
    (void)state;
    struct test_lines lines = {0};
    log_configure(LOG_LEVEL_INFO, test_sink, &lines);
    support_fail_allocation(1, true);
    log_line(LOG_LEVEL_INFO, "%5000d", 1);
    bool failed = support_allocation_failed();
    support_fail_allocation(0, false);
    log_configure(LOG_LEVEL_WARNING, NULL, NULL);
    assert_false(failed);
    assert_int_equal(lines.count, 1);
    assert_int_equal(strlen(lines.text), 1023);
}

/* The clock runs forward from something. */
static void test_clock(void **state)
{
    (void)state;
    uint64_t before = clock_now();
    uint64_t after = clock_now();
    assert_true(before > 0);
    assert_true(after >= before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
