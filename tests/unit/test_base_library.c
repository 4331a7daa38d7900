/* Libraries loaded at run time: one that is there, one that is not, and one that lacks a function.
 */
#include "base/library.h"
#include "support.h"
#include <string.h>
#include <zlib.h>

struct table {
    __typeof__(zlibVersion) *version;
    __typeof__(crc32) *crc32;
};

static const struct library_function functions[] = {
    {"zlibVersion", offsetof(struct table, version)},
    {"crc32", offsetof(struct table, crc32)},
    {"no_such_function", 0},
};

/* The functions of the first file that is there can be called. */
static void test_load(void **state)
{
    (void)state;
    static const char *const files[] = {"libunpark-no-such.so.1", "libz.so.1", NULL};
    struct table table = {0};
    assert_null(library_load(files, functions, 2, &table));
    assert_string_equal(table.version(), zlibVersion());
    assert_int_equal(table.crc32(0, (const unsigned char *)"123456789", 9), 0xcbf43926);
}

/* What is missing is named, with advice. */
static void test_missing(void **state)
{
    (void)state;
    static const char *const none[] = {"libunpark-no-such.so.1", NULL};
    static const char *const zlib[] = {"libz.so.1", NULL};
    struct table table = {0};
    struct error *error = library_load(none, functions, 2, &table);
    assert_int_equal(error_code(error), ERROR_IO);
    assert_non_null(strstr(error_message(error), "libunpark-no-such.so.1"));
    assert_non_null(strstr(error_advice(error), "libunpark-no-such.so.1"));
    error_destroy(error);
    assert_null(table.version);
    error = library_load(zlib, functions, 3, &table);
    assert_non_null(strstr(error_message(error), "no_such_function"));
    error_destroy(error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
