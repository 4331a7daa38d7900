#include "base/hash_map.h"
#include "support.h"

enum { TEST_MANY = 200000 };

/* An empty map answers without memory. */
static void test_empty(void **state)
{
    (void)state;
    struct hash_map map = {0};
    assert_null(hash_map_get(&map, 0));
    assert_null(hash_map_get(&map, 1));
    assert_int_equal(hash_map_count(&map), 0);
    hash_map_clear(&map);
    hash_map_deinit(&map);
}

/* The keys that a table of words could mistake for something else. */
static void test_special_keys(void **state)
{
    (void)state;
    struct hash_map map = {0};
    const uint64_t keys[] = {0, 1, UINT64_MAX, UINT64_C(1) << 63};
    for (size_t i = 0; i < 4; i++) {
        assert_null(hash_map_get(&map, keys[i]));
        assert_success(hash_map_put(&map, keys[i], 0));
        assert_non_null(hash_map_get(&map, keys[i]));
        assert_success(hash_map_put(&map, keys[i], i));
        assert_int_equal(*hash_map_get(&map, keys[i]), i);
        assert_int_equal(hash_map_count(&map), i + 1);
    }
    hash_map_clear(&map);
    for (size_t i = 0; i < 4; i++) {
        assert_null(hash_map_get(&map, keys[i]));
    }
    assert_int_equal(hash_map_count(&map), 0);
    hash_map_deinit(&map);
}

/* entry tells new from known and does not overwrite. */
static void test_entry(void **state)
{
    (void)state;
    struct hash_map map = {0};
    for (uint64_t key = 0; key < 2; key++) {
        bool added = false;
        uint64_t *value = NULL;
        assert_success(hash_map_entry(&map, key, 5, &added, &value));
        assert_true(added);
        assert_int_equal(*value, 5);
        *value = 6;
        assert_success(hash_map_entry(&map, key, 7, &added, &value));
        assert_false(added);
        assert_int_equal(*value, 6);
        assert_success(hash_map_entry(&map, key, 8, NULL, &value));
        assert_int_equal(*value, 6);
    }
    hash_map_deinit(&map);
}

/* Addresses as they come: aligned, dense, many; all found, none invented, load bounded. */
static void test_many(void **state)
{
    (void)state;
    struct hash_map map = {0};
    const uint64_t base = 0xc000000000;
    for (uint64_t i = 0; i < TEST_MANY; i++) {
        assert_success(hash_map_put(&map, base + i * 8192, i));
    }
    assert_int_equal(hash_map_count(&map), TEST_MANY);
    assert_true(map.count <= map.capacity / 4 * 3);
    assert_int_equal(map.capacity & (map.capacity - 1), 0);
    for (uint64_t i = 0; i < TEST_MANY; i++) {
        uint64_t *value = hash_map_get(&map, base + i * 8192);
        assert_true(value != NULL && *value == i);
        assert_null(hash_map_get(&map, base + i * 8192 + 8));
    }
    hash_map_deinit(&map);
}

/* Bytes that differ in anything hash differently; equal bytes equally; never past the end. */
static void test_hash_bytes(void **state)
{
    (void)state;
    struct hash_map seen = {0};
    for (size_t size = 0; size <= 40; size++) {
        uint8_t *bytes = support_guarded(NULL, size);
        for (size_t changed = 0; changed <= size; changed++) {
            if (changed > 0) {
                bytes[changed - 1] = 1;
            }
            bool added;
            uint64_t *value;
            assert_success(hash_map_entry(&seen, hash_bytes(bytes, size, 1), 0, &added, &value));
            assert_true(added);
            assert_true(hash_bytes(bytes, size, 1) == hash_bytes(bytes, size, 1));
            assert_true(hash_bytes(bytes, size, 1) != hash_bytes(bytes, size, 2));
            if (changed > 0) {
                bytes[changed - 1] = 0;
            }
        }
        support_guarded_free(bytes, size);
    }
    hash_map_deinit(&seen);
}

/* Grows a map a few times. */
static struct error *test_work(void *context)
{
    (void)context;
    struct hash_map map = {0};
    struct error *error = NULL;
    for (uint64_t i = 0; i < 100 && error == NULL; i++) {
        error = hash_map_put(&map, i, i);
        assert_int_equal(hash_map_count(&map), error == NULL ? i + 1 : i);
        assert_true(i == 0 || *hash_map_get(&map, i - 1) == i - 1);
    }
    hash_map_deinit(&map);
    return error;
}

/* A put that fails leaves the map as it was. */
static void test_exhaustion(void **state)
{
    (void)state;
    support_exhaust(test_work, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),      cmocka_unit_test(test_special_keys),
        cmocka_unit_test(test_entry),      cmocka_unit_test(test_many),
        cmocka_unit_test(test_hash_bytes), cmocka_unit_test(test_exhaustion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
