#include "support.h"
#include "target/block_cache.h"
#include "target/gather.h"

enum { REGION = 1 << 20 };

/* Two readable regions with a hole between them, and one that may not be read. */
struct gather_fixture {
    uint8_t *low;
    uint8_t *high;
    struct target *target;
};

static const uint64_t gather_low = 0x10000;
static const uint64_t gather_high = 0x10000 + REGION + 0x1000;
static const uint64_t gather_closed = 0x900000;

static int setup(void **state)
{
    static struct gather_fixture fixture;
    fixture.low = malloc(REGION);
    fixture.high = malloc(REGION);
    for (size_t i = 0; i < REGION; i++) {
        fixture.low[i] = (uint8_t)(i * 7 + i / 256);
        fixture.high[i] = (uint8_t)(i * 13 + i / 256);
    }
    const struct target_mapping mappings[] = {
        {.start = gather_low,
         .end = gather_low + REGION,
         .permissions = TARGET_PERMISSION_READ,
         .path = ""},
        {.start = gather_high,
         .end = gather_high + REGION,
         .permissions = TARGET_PERMISSION_READ,
         .path = ""},
        {.start = gather_closed, .end = gather_closed + REGION, .path = ""}};
    const uint8_t *bytes[] = {fixture.low, fixture.high, fixture.low};
    assert_success(target_open_memory(TARGET_MACHINE_AMD64, mappings, bytes, 3, &fixture.target));
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct gather_fixture *fixture = *state;
    target_destroy(fixture->target);
    free(fixture->low);
    free(fixture->high);
    return 0;
}

/* What the visitor checks against. */
struct gather_check {
    struct gather_fixture *fixture;
    size_t size;
    size_t visited;
    size_t unreadable;
    uint64_t last;
    bool *seen;        /* by tag */
    size_t stop_after; /* 0: never */
};

/* The bytes at ADDRESS as they must be, or NULL when SIZE of them are not readable. */
static const uint8_t *gather_expected(struct gather_fixture *fixture, uint64_t address, size_t size)
{
    if (address >= gather_low && address < gather_low + REGION &&
        size <= gather_low + REGION - address) {
        return fixture->low + (address - gather_low);
    }
    if (address >= gather_high && address < gather_high + REGION &&
        size <= gather_high + REGION - address) {
        return fixture->high + (address - gather_high);
    }
    return NULL;
}

static struct error *gather_visit_one(void *context, const struct gather_item *item,
                                      const uint8_t *bytes)
{
    struct gather_check *check = context;
    const uint8_t *expected = gather_expected(check->fixture, item->address, check->size);
    assert_true(item->address >= check->last);
    assert_false(check->seen[item->tag]);
    check->seen[item->tag] = true;
    check->last = item->address;
    check->visited++;
    if (expected == NULL) {
        assert_null(bytes);
        check->unreadable++;
    } else {
        assert_non_null(bytes);
        assert_memory_equal(bytes, expected, check->size);
    }
    if (check->visited == check->stop_after) {
        return error_create(ERROR_LIMIT, "enough");
    }
    return NULL;
}

/* Visits COUNT items that address chooses from, of SIZE bytes; returns how many were unreadable. */
static size_t gather_run_check(struct gather_fixture *fixture, struct gather_item *items,
                               size_t count, size_t size)
{
    struct gather_check check = {
        .fixture = fixture, .size = size, .seen = calloc(count + 1, sizeof(bool))};
    for (size_t i = 0; i < count; i++) {
        items[i].tag = i;
    }
    assert_success(gather_visit(fixture->target, items, count, size, gather_visit_one, &check));
    assert_int_equal(check.visited, count);
    free(check.seen);
    return check.unreadable;
}

/* Dense, sparse, huge and equal objects, in every order, in and out of readable memory. */
static void test_gather(void **state)
{
    struct gather_fixture *fixture = *state;
    static const size_t sizes[] = {1, 8, 96, 440, 4096, 65536};
    enum { COUNT = 5000 };
    struct gather_item *items = calloc(COUNT, sizeof *items);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        uint64_t random = 88172645463325252u + s;
        size_t expected = 0;
        for (size_t i = 0; i < COUNT; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            items[i].address = gather_low - 0x2000 + random % (2 * REGION + 0x6000);
            if (i % 97 == 0) {
                items[i].address = gather_closed + random % REGION;
            }
            if (i % 501 == 0) {
                items[i].address = random;
            }
            if (i % 11 == 10) {
                items[i].address = items[i - 1].address;
            }
        }
        for (size_t i = 0; i < COUNT; i++) {
            expected += gather_expected(fixture, items[i].address, sizes[s]) == NULL;
        }
        assert_true(expected > 0 && expected < COUNT);
        assert_int_equal(gather_run_check(fixture, items, COUNT, sizes[s]), expected);
    }
    free(items);
}

/* Ends of the address space wrap nowhere. */
static void test_gather_extremes(void **state)
{
    struct gather_item items[] = {{UINT64_MAX, 0}, {UINT64_MAX - 8, 0}, {0, 0}, {gather_low, 0}};
    assert_int_equal(gather_run_check(*state, items, 4, 64), 3);
    assert_int_equal(gather_run_check(*state, items, 0, 64), 0);
}

/* The visitor's error ends the visit; absurd sizes are refused. */
static void test_gather_errors(void **state)
{
    struct gather_fixture *fixture = *state;
    bool seen[3] = {false};
    struct gather_check check = {.fixture = fixture, .size = 8, .seen = seen, .stop_after = 2};
    struct gather_item items[] = {{gather_low, 0}, {gather_low + 8, 1}, {gather_low + 16, 2}};
    assert_error(gather_visit(fixture->target, items, 3, 8, gather_visit_one, &check), ERROR_LIMIT);
    assert_int_equal(check.visited, 2);
    assert_error(gather_visit(fixture->target, items, 3, 0, gather_visit_one, &check),
                 ERROR_INTERNAL);
    assert_error(gather_visit(fixture->target, items, 3, 65537, gather_visit_one, &check),
                 ERROR_INTERNAL);
}

/* Sorting is by the whole address and stable. */
static void test_sort(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    struct gather_item items[COUNT];
    struct gather_item scratch[COUNT];
    static const uint64_t masks[] = {UINT64_MAX, 0xc000fff000, 0x8000000000000001, 0x10, 0};
    uint64_t random = 1;
    for (size_t c = 0; c < sizeof masks / sizeof *masks; c++) {
        for (size_t i = 0; i < COUNT; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            items[i] = (struct gather_item){(i % 3 == 0 ? random >> 60 : random) & masks[c], i};
        }
        gather_sort(items, scratch, COUNT);
        bool seen[COUNT] = {false};
        for (size_t i = 0; i < COUNT; i++) {
            assert_false(seen[items[i].tag]);
            seen[items[i].tag] = true;
            assert_true(
                i == 0 || items[i - 1].address < items[i].address ||
                (items[i - 1].address == items[i].address && items[i - 1].tag < items[i].tag));
        }
    }
    gather_sort(items, scratch, 0);
}

/* The cache gives what the target gives, also across blocks, holes and refusals. */
static void test_block_cache(void **state)
{
    struct gather_fixture *fixture = *state;
    struct block_cache *cache;
    assert_success(block_cache_create(fixture->target, 0, &cache));
    uint8_t bytes[20000];
    uint64_t random = 7;
    for (int i = 0; i < 20000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint64_t address = gather_low - 0x2000 + (random >> 33) % (2 * REGION + 0x6000);
        size_t size = (size_t)(random >> 20) % (i % 50 == 0 ? sizeof bytes : 64) + 1;
        const uint8_t *expected = gather_expected(fixture, address, size);
        if (expected == NULL) {
            assert_error(block_cache_read(cache, address, bytes, size), ERROR_FAULT);
        } else {
            assert_success(block_cache_read(cache, address, bytes, size));
            assert_memory_equal(bytes, expected, size);
        }
    }
    assert_error(block_cache_read(cache, UINT64_MAX - 3, bytes, 8), ERROR_FAULT);
    uint64_t word;
    uint64_t expected;
    memcpy(&expected, fixture->low + 3, sizeof expected);
    assert_success(block_cache_u64(cache, gather_low + 3, &word));
    assert_int_equal(word, expected);
    fixture->low[3] ^= 0xff;
    assert_success(block_cache_u64(cache, gather_low + 3, &word));
    assert_int_equal(word, expected);
    block_cache_clear(cache);
    assert_success(block_cache_u64(cache, gather_low + 3, &word));
    assert_int_not_equal(word, expected);
    fixture->low[3] ^= 0xff;
    block_cache_destroy(cache);
}

/* Any allocation may fail. */
static struct error *gather_work(void *context)
{
    struct gather_fixture *fixture = context;
    bool seen[3] = {false};
    struct gather_check check = {.fixture = fixture, .size = 64, .seen = seen};
    struct gather_item items[] = {
        {gather_high - 32, 0}, {gather_low + REGION - 32, 1}, {gather_low + REGION - 128, 2}};
    struct error *error = gather_visit(fixture->target, items, 3, 64, gather_visit_one, &check);
    struct block_cache *cache;
    if (error == NULL) {
        error = block_cache_create(fixture->target, 0, &cache);
    }
    if (error == NULL) {
        block_cache_destroy(cache);
    }
    return error;
}

static void test_memory(void **state)
{
    support_exhaust(gather_work, *state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gather),        cmocka_unit_test(test_gather_extremes),
        cmocka_unit_test(test_gather_errors), cmocka_unit_test(test_sort),
        cmocka_unit_test(test_block_cache),   cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
