#include "base/string_builder.h"
#include "support.h"

/* Every kind of append, and the terminating NUL after each. */
static void test_appends(void **state)
{
    (void)state;
    struct string_builder builder = {0};
    assert_string_equal(string_builder_text(&builder), "");
    string_builder_add(&builder, "goroutine ");
    string_builder_add_u64(&builder, 0);
    string_builder_add_char(&builder, ' ');
    string_builder_add_u64(&builder, UINT64_MAX);
    string_builder_add_char(&builder, ' ');
    string_builder_add_hex(&builder, 0);
    string_builder_add_char(&builder, ' ');
    string_builder_add_hex(&builder, 0xc000ABCDEF);
    string_builder_add_char(&builder, ' ');
    string_builder_add_hex(&builder, UINT64_MAX);
    string_builder_format(&builder, " [%s, %d minutes]", "select", 5);
    string_builder_add_bytes(&builder, "", 0);
    assert_string_equal(string_builder_text(&builder),
                        "goroutine 0 18446744073709551615 0x0 0xc000abcdef 0xffffffffffffffff "
                        "[select, 5 minutes]");
    assert_int_equal(builder.size, strlen(builder.text));
    assert_success(string_builder_error(&builder));
    string_builder_clear(&builder);
    assert_string_equal(string_builder_text(&builder), "");
    string_builder_deinit(&builder);
}

/* Formatted text larger than the room there is. */
static void test_format_grows(void **state)
{
    (void)state;
    struct string_builder builder = {0};
    for (int width = 0; width < 2000; width += 7) {
        string_builder_clear(&builder);
        string_builder_add(&builder, "x");
        string_builder_format(&builder, "%*d", width, 5);
        assert_int_equal(builder.size, 1 + (width == 0 ? 1 : width));
        assert_int_equal(builder.text[builder.size - 1], '5');
    }
    string_builder_deinit(&builder);
}

/* Nothing that a terminal obeys comes through; what people read does. */
static void test_escaped(void **state)
{
    (void)state;
    const struct {
        const char *bytes;
        size_t size;
        const char *expected;
    } rows[] = {
        {"", 0, ""},
        {"main.(*T).run", 13, "main.(*T).run"},
        {"a\tb\r\n", 5, "a\\x09b\\x0d\\x0a"},
        {"\x1b[31m", 5, "\\x1b[31m"},
        {"\0", 1, "\\x00"},
        {"\x7f", 1, "\\x7f"},
        {"\xc2\x9b"
         "31m",
         5, "\\xc2\\x9b31m"},
        {"\xc2\xa0", 2, "\xc2\xa0"},
        {"gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f"},
        {"\xe4\xb8\x96", 3, "\xe4\xb8\x96"},
        {"\xf0\x9f\x98\x80", 4, "\xf0\x9f\x98\x80"},
        {"\xe2\x80\xae"
         "evil",
         7, "\\xe2\\x80\\xaeevil"},
        {"\xe2\x81\xa6", 3, "\\xe2\\x81\\xa6"},
        {"\xe2\x80\xa8", 3, "\\xe2\\x80\\xa8"},
        {"\xc0\x80", 2, "\\xc0\\x80"},
        {"\xe0\x80\x80", 3, "\\xe0\\x80\\x80"},
        {"\xed\xa0\x80", 3, "\\xed\\xa0\\x80"},
        {"\xf4\x90\x80\x80", 4, "\\xf4\\x90\\x80\\x80"},
        {"\xf0\x80\x80\x80", 4, "\\xf0\\x80\\x80\\x80"},
        {"\x80", 1, "\\x80"},
        {"\xff\xfe", 2, "\\xff\\xfe"},
        {"\xe4\xb8", 2, "\\xe4\\xb8"},
        {"\xe4"
         "ab",
         3,
         "\\xe4"
         "ab"},
        {"\xf0\x9f\x98", 3, "\\xf0\\x9f\\x98"},
    };
    struct string_builder builder = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *bytes = support_guarded(rows[i].bytes, rows[i].size);
        string_builder_clear(&builder);
        string_builder_add_escaped(&builder, bytes, rows[i].size);
        assert_string_equal(string_builder_text(&builder), rows[i].expected);
        support_guarded_free(bytes, rows[i].size);
    }
    string_builder_deinit(&builder);
}

/* Every single byte, alone: printable ASCII stays, the rest is escaped. */
static void test_escaped_bytes(void **state)
{
    (void)state;
    struct string_builder builder = {0};
    for (int byte = 0; byte < 256; byte++) {
        char character = (char)byte;
        string_builder_clear(&builder);
        string_builder_add_escaped(&builder, &character, 1);
        assert_int_equal(builder.size, byte >= 0x20 && byte < 0x7f ? 1 : 4);
    }
    string_builder_deinit(&builder);
}

/* The text changes hands and the builder starts anew. */
static void test_take(void **state)
{
    (void)state;
    struct string_builder builder = {0};
    char *text = NULL;
    assert_success(string_builder_take(&builder, &text));
    assert_string_equal(text, "");
    free(text);
    string_builder_add(&builder, "one");
    assert_success(string_builder_take(&builder, &text));
    assert_string_equal(text, "one");
    free(text);
    assert_null(builder.text);
    string_builder_add(&builder, "two");
    assert_string_equal(string_builder_text(&builder), "two");
    string_builder_deinit(&builder);
}

/* The first failure sticks, through more appends and a clear, until deinit. */
static void test_failure_sticks(void **state)
{
    (void)state;
    struct string_builder builder = {0};
    string_builder_add(&builder, "before");
    support_fail_allocation(1, false);
    for (int i = 0; i < 100; i++) {
        string_builder_add(&builder, "0123456789");
    }
    support_fail_allocation(0, false);
    assert_true(builder.failed);
    string_builder_clear(&builder);
    string_builder_add(&builder, "after");
    string_builder_format(&builder, "%d", 1);
    string_builder_add_char(&builder, 'x');
    assert_string_equal(string_builder_text(&builder), "");
    assert_error(string_builder_error(&builder), ERROR_OUT_OF_MEMORY);
    char *text = NULL;
    assert_error(string_builder_take(&builder, &text), ERROR_OUT_OF_MEMORY);
    assert_null(text);
    string_builder_add(&builder, "anew");
    assert_string_equal(string_builder_text(&builder), "anew");
    string_builder_deinit(&builder);
}

/* Uses all appends, growing by each. */
static struct error *test_work(void *context)
{
    (void)context;
    struct string_builder builder = {0};
    string_builder_format(&builder, "%300d", 1);
    for (int i = 0; i < 100; i++) {
        string_builder_add(&builder, "text");
        string_builder_add_escaped(&builder, "\n\n", 2);
        string_builder_add_u64(&builder, 12345678);
    }
    string_builder_format(&builder, "%3000d", 1);
    char *text;
    TRY(string_builder_take(&builder, &text));
    free(text);
    return NULL;
}

/* A builder without memory says so in the end. */
static void test_exhaustion(void **state)
{
    (void)state;
    support_exhaust(test_work, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends),    cmocka_unit_test(test_format_grows),
        cmocka_unit_test(test_escaped),    cmocka_unit_test(test_escaped_bytes),
        cmocka_unit_test(test_take),       cmocka_unit_test(test_failure_sticks),
        cmocka_unit_test(test_exhaustion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
