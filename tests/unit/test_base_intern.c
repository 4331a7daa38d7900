#include "base/intern.h"
#include "support.h"
#include <stdio.h>

enum { TEST_MANY = 100000 };

/* Ids are dense from 1, equal bytes share one, 0 is no string. */
static void test_ids(void **state)
{
    (void)state;
    struct intern *table;
    assert_success(intern_create(&table));
    const struct {
        const char *text;
        size_t size;
        uint32_t id;
    } rows[] = {{"main", 4, 1}, {"", 0, 2},      {"main.x", 6, 3}, {"main.x", 4, 1},
                {NULL, 0, 2},   {"a\0b", 3, 4},  {"a\0c", 3, 5},   {"a", 1, 6},
                {"a\0b", 3, 4}, {"\xff\n", 2, 7}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t id = 0;
        assert_success(intern_add(table, rows[i].text, rows[i].size, &id));
        assert_int_equal(id, rows[i].id);
        assert_int_equal(intern_size(table, id), rows[i].size);
        assert_int_equal(intern_text(table, id)[rows[i].size], 0);
    }
    assert_int_equal(intern_count(table), 7);
    assert_string_equal(intern_text(table, 0), "");
    assert_int_equal(intern_size(table, 0), 0);
    assert_memory_equal(intern_text(table, 4), "a\0b", 4);
    intern_destroy(table);
    intern_destroy(NULL);
}

/* Many strings: found again under their ids, at addresses that never move. */
static void test_many(void **state)
{
    (void)state;
    struct intern *table;
    assert_success(intern_create(&table));
    uint32_t first;
    assert_success(intern_add(table, "first", 5, &first));
    const char *address = intern_text(table, first);
    char text[32];
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < TEST_MANY; i++) {
            int size = snprintf(text, sizeof text, "main.function%u", i);
            uint32_t id;
            assert_success(intern_add(table, text, (size_t)size, &id));
            assert_int_equal(id, i + 2);
        }
    }
    assert_int_equal(intern_count(table), TEST_MANY + 1);
    assert_string_equal(intern_text(table, TEST_MANY + 1), text);
    assert_ptr_equal(intern_text(table, first), address);
    intern_destroy(table);
}

/* Reads no byte behind the text. */
static void test_bounds(void **state)
{
    (void)state;
    struct intern *table;
    assert_success(intern_create(&table));
    for (size_t size = 0; size < 40; size++) {
        char *text = support_guarded(NULL, size);
        uint32_t id;
        uint32_t again;
        assert_success(intern_add(table, text, size, &id));
        assert_success(intern_add(table, text, size, &again));
        assert_int_equal(id, again);
        support_guarded_free(text, size);
    }
    assert_int_equal(intern_count(table), 40);
    intern_destroy(table);
}

/* Fills a table far enough that everything in it grows. */
static struct error *test_work(void *context)
{
    (void)context;
    struct intern *table;
    TRY(intern_create(&table));
    struct error *error = NULL;
    char text[32];
    for (uint32_t i = 0; i < 300 && error == NULL; i++) {
        int size = snprintf(text, sizeof text, "a rather long name %u", i);
        uint32_t id;
        error = intern_add(table, text, (size_t)size, &id);
        assert_int_equal(intern_count(table), error == NULL ? i + 1 : i);
    }
    intern_destroy(table);
    return error;
}

/* An add that fails leaves the table as it was. */
static void test_exhaustion(void **state)
{
    (void)state;
    support_exhaust(test_work, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_exhaustion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
