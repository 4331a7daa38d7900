#include "support.h"
#include "target/target_internal.h"

/* Parses TEXT, which is copied. */
static struct error *mappings_parse(const char *text, struct target_mapping_list *ret)
{
    char *copy = strdup(text);
    return copy == NULL ? error_no_memory() : target_mappings_parse(copy, strlen(copy), ret);
}

/* Every part of a line arrives where it belongs. */
static void test_lines(void **state)
{
    (void)state;
    struct target_mapping_list list;
    assert_success(mappings_parse(
        "00400000-004ea000 r-xp 00001000 fe:03 131 /a b/prog\n"
        "004ea000-004eb000 rw-p 000ea000 00:2a 7                          /old (deleted)\n"
        "c000000000-c000400000 rw-p 00000000 00:00 0 \n"
        "c000400000-c004000000 ---p 00000000 00:00 0                      [anon: Go: heap]\n"
        "7fff00000000-7fff00001000 rw-p 00000000 00:00 0                  [stack]\n"
        "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0          [vsyscall]",
        &list));
    assert_int_equal(list.count, 6);
    assert_int_equal(list.items[0].start, 0x400000);
    assert_int_equal(list.items[0].end, 0x4ea000);
    assert_int_equal(list.items[0].file_offset, 0x1000);
    assert_int_equal(list.items[0].inode, 131);
    assert_int_equal(list.items[0].permissions, TARGET_PERMISSION_READ | TARGET_PERMISSION_EXECUTE);
    assert_string_equal(list.items[0].path, "/a b/prog");
    assert_false(list.items[0].deleted);
    assert_string_equal(list.items[1].path, "/old");
    assert_true(list.items[1].deleted);
    assert_string_equal(list.items[2].path, "");
    assert_int_equal(list.items[2].inode, 0);
    assert_string_equal(list.items[3].path, "[anon: Go: heap]");
    assert_int_equal(list.items[3].permissions, 0);
    assert_string_equal(list.items[4].path, "[stack]");
    assert_int_equal(list.items[5].end, 0xffffffffff601000);
    assert_ptr_equal(target_mappings_find(&list, 0x400000), &list.items[0]);
    assert_ptr_equal(target_mappings_find(&list, 0x4e9fff), &list.items[0]);
    assert_ptr_equal(target_mappings_find(&list, 0x4ea000), &list.items[1]);
    assert_null(target_mappings_find(&list, 0x4eb000));
    assert_null(target_mappings_find(&list, 0));
    assert_null(target_mappings_find(&list, UINT64_MAX));
    target_mappings_deinit(&list);
}

/* The kernel writes a newline in a path as \012; it comes back as one. */
static void test_escapes(void **state)
{
    (void)state;
    struct target_mapping_list list;
    assert_success(mappings_parse("1000-2000 r--p 0 0:1 9 /x\\012y\\012\\z\\01\n", &list));
    assert_int_equal(list.count, 1);
    assert_string_equal(list.items[0].path, "/x\ny\n\\z\\01");
    target_mappings_deinit(&list);
}

/* A list read in pieces may overlap; it is cut to be disjoint, offsets kept true. */
static void test_overlaps(void **state)
{
    (void)state;
    struct target_mapping_list list;
    assert_success(mappings_parse("1000-3000 r--p 0 0:1 9 /x\n"
                                  "2000-4000 r--p 5000 0:1 9 /y\n"
                                  "2000-3000 r--p 0 0:1 9 /inside\n",
                                  &list));
    assert_int_equal(list.count, 2);
    assert_int_equal(list.items[1].start, 0x3000);
    assert_int_equal(list.items[1].end, 0x4000);
    assert_int_equal(list.items[1].file_offset, 0x6000);
    target_mappings_deinit(&list);
}

/* What is no such line is refused as a whole. */
static void test_broken(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "x",
        "\n",
        "1000-2000",
        "1000-2000 r",
        "1000-2000 r--p 0 0:1",
        "2000-1000 r--p 0 0:1 9 /x",
        "1000-1000 r--p 0 0:1 9 /x",
        "1000-10000000000000000 r--p 0 0:1 9 /x",
        "1000-2000 r--p 0 0:1 99999999999999999999999 /x",
        "1000-2000 r--p 0 fffffffff:1 9 /x",
        "1000-2000 r--p 0 0:1 9x /x",
        "-2000 r--p 0 0:1 9 /x",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct target_mapping_list list;
        assert_error(mappings_parse(lines[i], &list), ERROR_CORRUPT);
        assert_null(list.items);
    }
}

/* An empty list is one. */
static void test_none(void **state)
{
    (void)state;
    struct target_mapping_list list;
    assert_success(mappings_parse("", &list));
    assert_int_equal(list.count, 0);
    assert_null(target_mappings_find(&list, 0));
    target_mappings_deinit(&list);
}

/* Any allocation may fail. */
static struct error *mappings_work(void *context)
{
    (void)context;
    struct target_mapping_list list;
    struct error *error =
        mappings_parse("1000-2000 r--p 0 0:1 9 /x\n3000-4000 r--p 0 0:0 0\n", &list);
    if (error == NULL) {
        target_mappings_deinit(&list);
    }
    return error;
}

static void test_memory(void **state)
{
    (void)state;
    support_exhaust(mappings_work, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),    cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_overlaps), cmocka_unit_test(test_broken),
        cmocka_unit_test(test_none),     cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
