/* Version strings and wait reasons. */
#include "layout/layout.h"
#include "support.h"

/* Strings as releases, vendors and source builds write them, and strings that are none. */
static void test_parse_minor(void **state)
{
    (void)state;
    const struct {
        const char *version;
        int minor;
    } rows[] = {
        {"go1.18", 18},
        {"go1.24.4", 24},
        {"go1.24.4-fips", 24},
        {"go1.25.1 X:synctest,jsonv2", 25},
        {"go1.27rc1", 27},
        {"go1.21beta2", 21},
        {"go1.22.3 (Red Hat 1.22.3-1.el9)", 22},
        {"go1.20-20230317-RC00 cl/517000000", 20},
        {"devel go1.28-abc", 28},
        {"devel go1.23-1a2b3c4d Tue Jan 2 15:04:05 2024 +0000", 23},
        {"go1.5", 5},
        {"go1.130", 130},
        {"", LAYOUT_ABSENT},
        {"go", LAYOUT_ABSENT},
        {"go1", LAYOUT_ABSENT},
        {"go1.", LAYOUT_ABSENT},
        {"go1.x", LAYOUT_ABSENT},
        {"go1.-1", LAYOUT_ABSENT},
        {"go2.18", LAYOUT_ABSENT},
        {"go11.8", LAYOUT_ABSENT},
        {"1.18", LAYOUT_ABSENT},
        {"Go1.18", LAYOUT_ABSENT},
        {" go1.18", LAYOUT_ABSENT},
        {"devel", LAYOUT_ABSENT},
        {"devel ", LAYOUT_ABSENT},
        {"devel +0123abcd Mon Jan 2", LAYOUT_ABSENT},
        {"devel devel go1.18", LAYOUT_ABSENT},
        {"go1.12345", LAYOUT_ABSENT},
        {"go1.99999999999999999999", LAYOUT_ABSENT},
        {"tinygo1.18", LAYOUT_ABSENT},
        {"go1.18.1 gccgo", 18},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t size = strlen(rows[i].version);
        char *version = support_guarded(rows[i].version, size);
        assert_int_equal(layout_parse_minor(version, size), rows[i].minor);
        support_guarded_free(version, size);
    }
    assert_int_equal(layout_parse_minor(NULL, 0), LAYOUT_ABSENT);
    assert_int_equal(layout_parse_minor("go1.189", 6), 18);
}

/* Every text leads back to its reason, and no text is used twice. */
static void test_wait_reasons(void **state)
{
    (void)state;
    for (int i = 0; i < WAIT_REASON_COUNT; i++) {
        const char *text = wait_reason_text((enum wait_reason)i);
        size_t size = strlen(text);
        assert_true(size > 0 || i == WAIT_REASON_NONE);
        char *bytes = support_guarded(text, size);
        assert_int_equal(wait_reason_parse(bytes, size), i);
        support_guarded_free(bytes, size);
    }
    assert_string_equal(wait_reason_text(WAIT_REASON_CHAN_RECEIVE), "chan receive");
    assert_string_equal(wait_reason_text(WAIT_REASON_CLEANUP_WAIT), "cleanup wait");
}

/* Numbers and texts that are none, parts and extensions of real ones included. */
static void test_wait_reason_unknown(void **state)
{
    (void)state;
    const char *const texts[] = {"chan", "chan receive ", "Chan receive", "runnable",
                                 "chan receiv"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(wait_reason_parse(texts[i], strlen(texts[i])), WAIT_REASON_COUNT);
    }
    assert_int_equal(wait_reason_parse("select\0", 7), WAIT_REASON_COUNT);
    assert_string_equal(wait_reason_text(WAIT_REASON_COUNT), "");
    assert_string_equal(wait_reason_text((enum wait_reason)1000), "");
    assert_string_equal(wait_reason_text((enum wait_reason) - 1), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_minor),
        cmocka_unit_test(test_wait_reasons),
        cmocka_unit_test(test_wait_reason_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
