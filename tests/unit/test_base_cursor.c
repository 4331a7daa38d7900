#include "base/cursor.h"
#include "support.h"

/* Reads every width and ends exactly at the page boundary. */
static void test_reads(void **state)
{
    (void)state;
    const uint8_t data[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    uint8_t *bytes = support_guarded(data, sizeof data);
    struct cursor cursor;
    cursor_init(&cursor, bytes, sizeof data, "test", 0x1000);
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    assert_success(cursor_u8(&cursor, &u8));
    assert_success(cursor_u16(&cursor, &u16));
    assert_success(cursor_u32(&cursor, &u32));
    assert_success(cursor_u64(&cursor, &u64));
    assert_int_equal(u8, 1);
    assert_int_equal(u16, 0x0302);
    assert_int_equal(u32, 0x07060504);
    assert_int_equal(u64, 0x0f0e0d0c0b0a0908);
    assert_int_equal(cursor_left(&cursor), 0);
    assert_error(cursor_u8(&cursor, &u8), ERROR_CORRUPT);
    support_guarded_free(bytes, sizeof data);
}

/* A read that is one byte short changes neither the position nor the result. */
static void test_short(void **state)
{
    (void)state;
    uint8_t *bytes = support_guarded(NULL, 7);
    struct cursor cursor;
    cursor_init(&cursor, bytes, 7, "test", 0);
    uint64_t u64 = 42;
    const uint8_t *window = NULL;
    assert_error(cursor_u64(&cursor, &u64), ERROR_CORRUPT);
    assert_error(cursor_bytes(&cursor, 8, &window), ERROR_CORRUPT);
    assert_error(cursor_bytes(&cursor, UINT64_MAX, &window), ERROR_CORRUPT);
    assert_error(cursor_skip(&cursor, UINT64_MAX), ERROR_CORRUPT);
    assert_int_equal(u64, 42);
    assert_null(window);
    assert_int_equal(cursor_left(&cursor), 7);
    support_guarded_free(bytes, 7);
}

/* No bytes at all is a window like another. */
static void test_empty(void **state)
{
    (void)state;
    struct cursor cursor;
    cursor_init(&cursor, NULL, 0, "test", 0);
    const uint8_t *window;
    const char *text;
    uint8_t u8;
    assert_int_equal(cursor_left(&cursor), 0);
    assert_success(cursor_seek(&cursor, 0));
    assert_success(cursor_bytes(&cursor, 0, &window));
    assert_error(cursor_seek(&cursor, 1), ERROR_CORRUPT);
    assert_error(cursor_u8(&cursor, &u8), ERROR_CORRUPT);
    assert_error(cursor_string(&cursor, &text), ERROR_CORRUPT);
}

/* Seeking is allowed up to the end and not beyond. */
static void test_seek(void **state)
{
    (void)state;
    const uint8_t data[] = {1, 2, 3};
    struct cursor cursor;
    cursor_init(&cursor, data, sizeof data, "test", 0);
    uint8_t u8;
    assert_success(cursor_seek(&cursor, 3));
    assert_int_equal(cursor_left(&cursor), 0);
    assert_success(cursor_seek(&cursor, 1));
    assert_success(cursor_u8(&cursor, &u8));
    assert_int_equal(u8, 2);
    assert_error(cursor_seek(&cursor, 4), ERROR_CORRUPT);
    assert_error(cursor_seek(&cursor, UINT64_MAX), ERROR_CORRUPT);
    assert_int_equal(cursor_left(&cursor), 1);
}

/* Reads one number from a guarded copy of SIZE bytes. */
static struct error *test_uvarint_of(const void *data, size_t size, uint64_t *ret, size_t *left)
{
    void *bytes = support_guarded(data, size);
    struct cursor cursor;
    cursor_init(&cursor, bytes, size, "number", 0);
    struct error *error = cursor_uvarint(&cursor, ret);
    *left = cursor_left(&cursor);
    support_guarded_free(bytes, size);
    return error;
}

/* LEB128 numbers at their limits. */
static void test_uvarint(void **state)
{
    (void)state;
    uint64_t value = 7;
    size_t left;
    assert_success(test_uvarint_of("\x00", 1, &value, &left));
    assert_int_equal(value, 0);
    assert_success(test_uvarint_of("\xac\x02\x55", 3, &value, &left));
    assert_int_equal(value, 300);
    assert_int_equal(left, 1);
    assert_success(test_uvarint_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, &value, &left));
    assert_true(value == UINT64_MAX);
    value = 7;
    assert_error(test_uvarint_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, &value, &left),
                 ERROR_CORRUPT);
    assert_int_equal(left, 10);
    assert_error(test_uvarint_of("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", 11, &value, &left),
                 ERROR_CORRUPT);
    assert_error(test_uvarint_of("\x80", 1, &value, &left), ERROR_CORRUPT);
    assert_error(test_uvarint_of("", 0, &value, &left), ERROR_CORRUPT);
    assert_int_equal(value, 7);
}

/* Strings need their NUL inside the window. */
static void test_string(void **state)
{
    (void)state;
    const char data[] = {'a', 'b', 0, 0, 'c'};
    char *bytes = support_guarded(data, sizeof data);
    struct cursor cursor;
    cursor_init(&cursor, bytes, sizeof data, "test", 0);
    const char *text;
    assert_success(cursor_string(&cursor, &text));
    assert_string_equal(text, "ab");
    assert_success(cursor_string(&cursor, &text));
    assert_string_equal(text, "");
    assert_error(cursor_string(&cursor, &text), ERROR_CORRUPT);
    assert_int_equal(cursor_left(&cursor), 1);
    support_guarded_free(bytes, sizeof data);
}

/* A part knows its own bounds, name and origin; the whole moves behind it. */
static void test_sub(void **state)
{
    (void)state;
    const uint8_t data[] = {1, 2, 3, 4};
    struct cursor cursor;
    struct cursor part;
    uint16_t u16;
    uint8_t u8;
    cursor_init(&cursor, data, sizeof data, "whole", 0x100);
    assert_success(cursor_skip(&cursor, 1));
    assert_success(cursor_sub(&cursor, 2, "part", &part));
    assert_int_equal(cursor_left(&cursor), 1);
    assert_success(cursor_u16(&part, &u16));
    assert_int_equal(u16, 0x0302);
    struct error *error = cursor_u8(&part, &u8);
    assert_non_null(error);
    assert_string_equal(error_message(error), "part: 1 bytes wanted at 0x103, 0 left");
    error_destroy(error);
    assert_error(cursor_sub(&cursor, 2, "part", &part), ERROR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads), cmocka_unit_test(test_short),   cmocka_unit_test(test_empty),
        cmocka_unit_test(test_seek),  cmocka_unit_test(test_uvarint), cmocka_unit_test(test_string),
        cmocka_unit_test(test_sub),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
