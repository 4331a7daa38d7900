#include "base/error.h"
#include "support.h"
#include <errno.h>

/* Code, message and defaults of a plain error. */
static void test_create(void **state)
{
    (void)state;
    struct error *error = error_create(ERROR_CORRUPT, "%s %d", "chunk", 7);
    assert_int_equal(error_code(error), ERROR_CORRUPT);
    assert_string_equal(error_message(error), "chunk 7");
    assert_null(error_advice(error));
    assert_int_equal(error_address(error), 0);
    error_destroy(error);
    error_destroy(NULL);
}

/* A fault remembers its address through a wrap. */
static void test_fault(void **state)
{
    (void)state;
    struct error *error = error_wrap(error_fault(0xc000123456, "hchan"), "goroutine %d", 18);
    assert_int_equal(error_code(error), ERROR_FAULT);
    assert_true(error_address(error) == 0xc000123456);
    assert_string_equal(error_message(error), "goroutine 18: hchan at 0xc000123456 cannot be read");
    error_destroy(error);
}

/* Which code an errno becomes, and that its text is in the message. */
static void test_errno(void **state)
{
    (void)state;
    const struct {
        int number;
        enum error_code code;
    } rows[] = {
        {EPERM, ERROR_PERMISSION},
        {EACCES, ERROR_PERMISSION},
        {ESRCH, ERROR_GONE},
        {ENOENT, ERROR_GONE},
        {ENOMEM, ERROR_OUT_OF_MEMORY},
        {EIO, ERROR_IO},
        {EINVAL, ERROR_IO},
        {0, ERROR_IO},
        {99999, ERROR_IO},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct error *error = error_errno(rows[i].number, "open %s", "/x");
        assert_int_equal(error_code(error), rows[i].code);
        assert_non_null(strstr(error_message(error), "open /x: "));
        error_destroy(error);
    }
    struct error *error = error_errno(ENOENT, "open");
    assert_string_equal(error_message(error), "open: No such file or directory");
    error_destroy(error);
}

/* Wraps nest outwards; the last advice stays. */
static void test_wrap_and_advise(void **state)
{
    (void)state;
    assert_null(error_wrap(NULL, "nowhere"));
    assert_null(error_advise(NULL, "nothing"));
    struct error *error = error_create(ERROR_PERMISSION, "denied");
    error = error_wrap(error, "process %d", 5);
    error = error_wrap(error, "dump");
    error = error_advise(error, "first");
    error = error_advise(error, "run as %s", "root");
    assert_string_equal(error_message(error), "dump: process 5: denied");
    assert_string_equal(error_advice(error), "run as root");
    assert_int_equal(error_code(error), ERROR_PERMISSION);
    error_destroy(error);
}

/* Only the expected kind is caught. */
static void test_catch(void **state)
{
    (void)state;
    struct error *error = NULL;
    assert_false(error_catch(&error, ERROR_GONE));
    error = error_create(ERROR_GONE, "gone");
    assert_false(error_catch(&error, ERROR_FAULT));
    assert_non_null(error);
    assert_true(error_catch(&error, ERROR_GONE));
    assert_null(error);
}

/* The static error takes part in everything without memory and without being changed. */
static void test_no_memory(void **state)
{
    (void)state;
    support_fail_allocation(1, true);
    struct error *error = error_create(ERROR_CORRUPT, "%s", "lost");
    error = error_wrap(error, "where");
    error = error_advise(error, "what");
    support_fail_allocation(0, false);
    assert_ptr_equal(error, error_no_memory());
    assert_int_equal(error_code(error), ERROR_OUT_OF_MEMORY);
    assert_string_equal(error_message(error), "out of memory");
    error_destroy(error);
    assert_true(error_catch(&error, ERROR_OUT_OF_MEMORY));
}

/* When memory is short, wrapping returns the error as it was. */
static void test_wrap_short_of_memory(void **state)
{
    (void)state;
    for (size_t number = 1; number <= 2; number++) {
        struct error *error = error_create(ERROR_IO, "disk");
        support_fail_allocation(number, true);
        struct error *wrapped = error_wrap(error, "file");
        struct error *advised = error_advise(wrapped, "later");
        support_fail_allocation(0, false);
        assert_ptr_equal(wrapped, error);
        assert_ptr_equal(advised, error);
        assert_string_equal(error_message(error), "disk");
        assert_null(error_advice(error));
        error_destroy(error);
    }
}

/* Makes an error of each kind. */
static struct error *test_work(void *context)
{
    (void)context;
    struct error *error = error_wrap(error_errno(EIO, "read"), "core");
    if (error_code(error) == ERROR_OUT_OF_MEMORY) {
        return error;
    }
    error_destroy(error);
    error = error_fault(1, "g");
    if (error_code(error) == ERROR_OUT_OF_MEMORY) {
        return error;
    }
    error_destroy(error);
    return NULL;
}

/* No allocation that fails loses an error. */
static void test_exhaustion(void **state)
{
    (void)state;
    support_exhaust(test_work, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),
        cmocka_unit_test(test_fault),
        cmocka_unit_test(test_errno),
        cmocka_unit_test(test_wrap_and_advise),
        cmocka_unit_test(test_catch),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_wrap_short_of_memory),
        cmocka_unit_test(test_exhaustion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
