#include "goruntime_memory.h"

static const uint64_t pointer = 0x100100; /* g.labels */
static const uint64_t texts = 0x110000;
static const uint64_t buckets = 0x120000;

/* Writes a string header at ADDRESS; the text goes to a place of its own. */
static void put_string(struct goruntime_memory *memory, uint64_t address, const char *text,
                       uint64_t *at)
{
    goruntime_memory_put(memory, *at, text, strlen(text));
    goruntime_memory_word(memory, address, 0, *at);
    goruntime_memory_word(memory, address, 8, strlen(text));
    *at += strlen(text);
}

/* Resolves the labels at POINTER; returns how many there are, -1 when unknown. */
static long resolve(struct goruntime_memory *memory, const char **first, const char **last)
{
    uint32_t id = 0;
    bool known = true;
    assert_success(labels_resolve(&memory->state, pointer, &id, &known));
    uint32_t again = 0;
    bool known_again = !known;
    assert_success(labels_resolve(&memory->state, pointer, &again, &known_again));
    assert_int_equal(again, id);
    assert_int_equal(known_again, known);
    if (!known) {
        assert_int_equal(id, 0);
        return -1;
    }
    size_t count;
    const struct snapshot *snapshot = snapshot_builder_peek(memory->state.builder);
    const struct snapshot_label *labels = snapshot_labels(snapshot, id, &count);
    if (count > 0 && first != NULL) {
        *first = snapshot_string(snapshot, labels[0].key);
        *last = snapshot_string(snapshot, labels[count - 1].value);
    }
    return (long)count;
}

/* A slice of two, as Go 1.24 and newer have it. */
static void put_slice(struct goruntime_memory *memory, uint64_t count, uint64_t capacity)
{
    uint64_t at = texts;
    goruntime_memory_word(memory, pointer, 0, buckets);
    goruntime_memory_word(memory, pointer, 8, count);
    goruntime_memory_word(memory, pointer, 16, capacity);
    put_string(memory, buckets, "alpha", &at);
    put_string(memory, buckets + 16, "one", &at);
    put_string(memory, buckets + 32, "beta", &at);
    put_string(memory, buckets + 48, "two", &at);
}

static void test_slice(void **state)
{
    (void)state;
    struct goruntime_memory *memory = goruntime_memory_create(24);
    put_slice(memory, 2, 2);
    const char *first = NULL;
    const char *last = NULL;
    assert_int_equal(resolve(memory, &first, &last), 2);
    assert_string_equal(first, "alpha");
    assert_string_equal(last, "two");
    goruntime_memory_destroy(memory);
}

/* Counts, lengths and addresses that cannot be are unknown, not none. */
static void test_slice_absurd(void **state)
{
    (void)state;
    static const uint64_t counts[][2] = {
        {UINT64_MAX, UINT64_MAX}, {5000, 5000}, {2, 1}, {1ull << 40, 1ull << 40}, {100, 100}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct goruntime_memory *memory = goruntime_memory_create(27);
        put_slice(memory, counts[i][0], counts[i][1]);
        long expected = counts[i][0] == 100 ? 100 : -1; /* zeroed strings are empty ones */
        assert_int_equal(resolve(memory, NULL, NULL), expected);
        goruntime_memory_destroy(memory);
    }
    struct goruntime_memory *memory = goruntime_memory_create(27);
    put_slice(memory, 2, 2);
    goruntime_memory_word(memory, buckets, 8, UINT64_MAX); /* length of the first key */
    assert_int_equal(resolve(memory, NULL, NULL), -1);
    goruntime_memory_destroy(memory);
    memory = goruntime_memory_create(27);
    put_slice(memory, 2, 2);
    goruntime_memory_word(memory, buckets, 0, 0x10); /* its text */
    assert_int_equal(resolve(memory, NULL, NULL), -1);
    goruntime_memory_destroy(memory);
}

/* A map of COUNT entries (claimed) with 2^B buckets, as Go 1.23 and older have it. */
static void put_map(struct goruntime_memory *memory, uint64_t count, uint8_t b)
{
    uint64_t map = 0x100200;
    goruntime_memory_word(memory, pointer, 0, map);
    goruntime_memory_word(memory, map, 0, count);
    goruntime_memory_put(memory, map + 9, &b, 1);
    goruntime_memory_word(memory, map, 16, buckets);
}

/* Entry SLOT of the bucket at ADDRESS. */
static void put_entry(struct goruntime_memory *memory, uint64_t address, unsigned slot,
                      const char *key, const char *value, uint64_t *at)
{
    uint8_t tophash = 77;
    goruntime_memory_put(memory, address + slot, &tophash, 1);
    put_string(memory, address + 8 + slot * 16, key, at);
    put_string(memory, address + 136 + slot * 16, value, at);
}

/* Entries in a bucket, in an overflow bucket and in an old bucket that is not moved yet; moved old
 * ones do not count. */
static void test_map(void **state)
{
    (void)state;
    struct goruntime_memory *memory = goruntime_memory_create(22);
    uint64_t at = texts;
    uint64_t overflow = buckets + 0x2000;
    uint64_t old = buckets + 0x4000;
    put_map(memory, 4, 2); /* four buckets, two old ones */
    put_entry(memory, buckets, 7, "zeta", "1", &at);
    put_entry(memory, buckets + (uint64_t)3 * 272, 0, "beta", "2", &at);
    goruntime_memory_word(memory, buckets, 264, overflow);
    put_entry(memory, overflow, 3, "gamma", "3", &at);
    goruntime_memory_word(memory, 0x100200, 24, old);
    put_entry(memory, old, 1, "gone", "4", &at);
    uint8_t moved = 2;
    goruntime_memory_put(memory, old, &moved, 1);
    put_entry(memory, old + 272, 1, "alpha", "5", &at);
    const char *first = NULL;
    const char *last = NULL;
    assert_int_equal(resolve(memory, &first, &last), 4);
    assert_string_equal(first, "alpha"); /* a map is sorted by key */
    assert_string_equal(last, "1");
    goruntime_memory_destroy(memory);
}

/* Sizes that cannot be, an overflow chain that is a circle, counts that do not add up. */
static void test_map_absurd(void **state)
{
    (void)state;
    struct goruntime_memory *memory = goruntime_memory_create(18);
    put_map(memory, UINT64_MAX, 2);
    assert_int_equal(resolve(memory, NULL, NULL), -1);
    goruntime_memory_destroy(memory);
    memory = goruntime_memory_create(18);
    put_map(memory, 4, 200);
    assert_int_equal(resolve(memory, NULL, NULL), -1);
    goruntime_memory_destroy(memory);
    memory = goruntime_memory_create(23);
    uint64_t at = texts;
    put_map(memory, 1000, 0);
    put_entry(memory, buckets, 0, "a", "b", &at);
    goruntime_memory_word(memory, buckets, 264, buckets);
    assert_int_equal(resolve(memory, NULL, NULL), -1);
    goruntime_memory_destroy(memory);
    memory = goruntime_memory_create(23);
    put_map(memory, 3, 0);
    at = texts;
    put_entry(memory, buckets, 0, "a", "b", &at);
    assert_int_equal(resolve(memory, NULL, NULL), -1);
    goruntime_memory_destroy(memory);
}

/* A nil map has no labels, an unreadable one unknown ones. */
static void test_pointers(void **state)
{
    (void)state;
    struct goruntime_memory *memory = goruntime_memory_create(20);
    uint32_t id = 7;
    bool known = false;
    assert_success(labels_resolve(&memory->state, 0, &id, &known));
    assert_int_equal(id, 0);
    assert_true(known);
    assert_int_equal(resolve(memory, NULL, NULL), 0);
    assert_success(labels_resolve(&memory->state, 0x10, &id, &known));
    assert_int_equal(id, 0);
    assert_false(known);
    goruntime_memory_destroy(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slice),    cmocka_unit_test(test_slice_absurd),
        cmocka_unit_test(test_map),      cmocka_unit_test(test_map_absurd),
        cmocka_unit_test(test_pointers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
