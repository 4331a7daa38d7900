/* Vectors, arenas and scope guards. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/vector.h"
#include "support.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Appends keep their order while the array grows. */
static void test_vector(void **state)
{
    (void)state;
    VECTOR(uint32_t) numbers = {0};
    for (uint32_t i = 0; i < 1000; i++) {
        assert_success(vector_append(&numbers, i * 3));
    }
    assert_int_equal(numbers.count, 1000);
    assert_true(numbers.capacity >= 1000 && numbers.capacity < 2000);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(numbers.items[i], i * 3);
    }
    vector_deinit(&numbers);
    assert_null(numbers.items);
    assert_int_equal(numbers.count, 0);
}

/* Sizes that overflow are refused and change nothing. */
static void test_vector_overflow(void **state)
{
    (void)state;
    VECTOR(uint64_t) numbers = {0};
    assert_success(vector_append(&numbers, 1u));
    size_t capacity = numbers.capacity;
    assert_error(vector_reserve(&numbers, SIZE_MAX), ERROR_OUT_OF_MEMORY);
    assert_error(vector_reserve(&numbers, SIZE_MAX / 8), ERROR_OUT_OF_MEMORY);
    assert_error(vector_reserve(&numbers, SIZE_MAX / 8 + 2), ERROR_OUT_OF_MEMORY);
    assert_int_equal(numbers.capacity, capacity);
    assert_int_equal(numbers.items[0], 1);
    vector_deinit(&numbers);
}

/* An append without memory changes nothing. */
static void test_vector_exhaustion(void **state)
{
    (void)state;
    VECTOR(uint64_t) numbers = {0};
    support_fail_allocation(1, true);
    struct error *error = vector_append(&numbers, 1u);
    support_fail_allocation(0, false);
    assert_error(error, ERROR_OUT_OF_MEMORY);
    assert_int_equal(numbers.count, 0);
    assert_success(vector_append(&numbers, 2u));
    assert_int_equal(numbers.items[0], 2);
    vector_deinit(&numbers);
}

/* Pieces of all sizes and alignments lie apart and stay as written. */
static void test_arena(void **state)
{
    (void)state;
    struct arena arena = {0};
    uint8_t *pieces[600];
    for (size_t i = 0; i < 600; i++) {
        size_t alignment = (size_t)1 << (i % 5);
        void *memory;
        assert_success(arena_allocate(&arena, i * 7, alignment, &memory));
        assert_int_equal((uintptr_t)memory % alignment, 0);
        memset(memory, (int)(i & 0xff), i * 7);
        pieces[i] = memory;
    }
    for (size_t i = 1; i < 600; i++) {
        assert_int_equal(pieces[i][0], i & 0xff);
        assert_int_equal(pieces[i][i * 7 - 1], i & 0xff);
    }
    arena_deinit(&arena);
    assert_null(arena.blocks);
    assert_int_equal(arena.total, 0);
}

/* A large piece gets its own block and the rest of the current one stays in use. */
static void test_arena_large(void **state)
{
    (void)state;
    struct arena arena = {0};
    char *small;
    char *next;
    void *large;
    assert_success(arena_copy(&arena, "a", 1, &small));
    assert_success(arena_allocate(&arena, 4 << 20, 16, &large));
    size_t total = arena.total;
    assert_true(total >= 4 << 20);
    memset(large, 1, 4 << 20);
    assert_success(arena_copy(&arena, "b", 1, &next));
    assert_ptr_equal(next, small + 2);
    assert_int_equal(arena.total, total);
    assert_string_equal(small, "a");
    assert_error(arena_allocate(&arena, SIZE_MAX, 1, &large), ERROR_OUT_OF_MEMORY);
    assert_error(arena_allocate(&arena, SIZE_MAX - 8, 1, &large), ERROR_OUT_OF_MEMORY);
    assert_error(arena_copy(&arena, "", SIZE_MAX, &next), ERROR_OUT_OF_MEMORY);
    arena_deinit(&arena);
}

/* Copies into an arena until it has several blocks. */
static struct error *test_arena_work(void *context)
{
    (void)context;
    struct arena arena = {0};
    struct error *error = NULL;
    for (size_t i = 0; i < 2000 && error == NULL; i++) {
        char *copy;
        error = arena_copy(&arena, "0123456789", i % 11, &copy);
    }
    arena_deinit(&arena);
    return error;
}

/* An arena without memory says so. */
static void test_arena_exhaustion(void **state)
{
    (void)state;
    support_exhaust(test_arena_work, NULL);
}

/* What the guards of one scope do when it ends. */
static char *test_scope(int descriptor, bool keep)
{
    CLEANUP_CLOSE int guarded = descriptor;
    CLEANUP_CLOSE int none = -1;
    CLEANUP_FREE char *text = strdup("text");
    (void)guarded;
    (void)none;
    errno = ENOTTY;
    return keep ? TAKE(text) : NULL;
}

/* Descriptors are closed, memory is freed unless taken, errno survives. */
static void test_cleanup(void **state)
{
    (void)state;
    int descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(descriptor >= 0);
    assert_null(test_scope(descriptor, false));
    assert_int_equal(errno, ENOTTY);
    assert_int_equal(fcntl(descriptor, F_GETFD), -1);
    char *text = test_scope(-1, true);
    assert_string_equal(text, "text");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vector),
        cmocka_unit_test(test_vector_overflow),
        cmocka_unit_test(test_vector_exhaustion),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_arena_large),
        cmocka_unit_test(test_arena_exhaustion),
        cmocka_unit_test(test_cleanup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
