#include "support.h"
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* No work under test allocates more often; a larger count means that it never ends. */
enum { SUPPORT_ALLOCATIONS_MAX = 100000 };

static atomic_size_t support_countdown; /* the allocation that fails when it reaches 0; 0: none */
static atomic_bool support_later;
static atomic_bool support_failed;

/* The linker directs calls of our code to __wrap_NAME; __real_NAME is the C library's. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_reallocarray(void *memory, size_t count, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);

/* Fails on an error. */
void support_assert_success(struct error *error, const char *file, int line)
{
    if (error != NULL) {
        print_error("unexpected error: %s\n", error_message(error));
        error_destroy(error);
        _fail(file, line);
    }
}

/* Fails on anything but the expected error. */
void support_assert_error(struct error *error, enum error_code code, const char *file, int line)
{
    if (error == NULL) {
        print_error("unexpected success, error %d was due\n", (int)code);
        _fail(file, line);
        return;
    }
    if (error_code(error) != code) {
        print_error("error %d, not %d: %s\n", (int)error_code(error), (int)code,
                    error_message(error));
        error_destroy(error);
        _fail(file, line);
        return;
    }
    error_destroy(error);
}

/* The bytes mapped for SIZE bytes, without the page behind. */
static size_t support_guarded_span(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size / page + 1) * page;
}

/* Maps a buffer and a hole behind it. */
void *support_guarded(const void *data, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t span = support_guarded_span(size);
    uint8_t *memory =
        mmap(NULL, span + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    assert_int_equal(mprotect(memory + span, page, PROT_NONE), 0);
    uint8_t *start = memory + span - size;
    if (data != NULL && size > 0) {
        memcpy(start, data, size);
    }
    return start;
}

/* Unmaps buffer and hole. */
void support_guarded_free(void *memory, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t span = support_guarded_span(size);
    assert_int_equal(munmap((uint8_t *)memory + size - span, span + page), 0);
}

/* Arms the allocator. */
void support_fail_allocation(size_t number, bool and_later)
{
    atomic_store(&support_failed, false);
    atomic_store(&support_later, and_later);
    atomic_store(&support_countdown, number);
}

/* Whether the armed failure happened. */
bool support_allocation_failed(void)
{
    return atomic_load(&support_failed);
}

/* Whether this allocation is to fail. */
static bool support_fails(void)
{
    size_t left = atomic_load(&support_countdown);
    if (left == 0) {
        return atomic_load(&support_failed) && atomic_load(&support_later);
    }
    if (atomic_fetch_sub(&support_countdown, 1) != 1) {
        return false;
    }
    atomic_store(&support_failed, true);
    return true;
}

/* Runs the work until no allocation is left to fail. */
static void support_exhaust_mode(support_work *work, void *context, bool and_later)
{
    for (size_t number = 1; number < SUPPORT_ALLOCATIONS_MAX; number++) {
        support_fail_allocation(number, and_later);
        struct error *error = work(context);
        bool failed = support_allocation_failed();
        support_fail_allocation(0, false);
        if (!failed) {
            assert_success(error);
            assert_true(number > 1); /* work that allocates nothing tests nothing */
            return;
        }
        if (error != NULL) {
            assert_error(error, ERROR_OUT_OF_MEMORY);
        }
    }
    fail_msg("the work allocates without end");
}

/* Lets every single allocation fail, alone and with all that follow. */
void support_exhaust(support_work *work, void *context)
{
    support_exhaust_mode(work, context, false);
    support_exhaust_mode(work, context, true);
}

/* malloc that fails on demand. */
void *__wrap_malloc(size_t size)
{
    return support_fails() ? NULL : __real_malloc(size);
}

/* calloc that fails on demand. */
void *__wrap_calloc(size_t count, size_t size)
{
    return support_fails() ? NULL : __real_calloc(count, size);
}

/* realloc that fails on demand. */
void *__wrap_realloc(void *memory, size_t size)
{
    return support_fails() ? NULL : __real_realloc(memory, size);
}

/* reallocarray that fails on demand. */
void *__wrap_reallocarray(void *memory, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        return NULL;
    }
    return __wrap_realloc(memory, bytes);
}

/* strdup that fails on demand. */
char *__wrap_strdup(const char *text)
{
    return __wrap_strndup(text, strlen(text));
}

/* strndup that fails on demand. */
char *__wrap_strndup(const char *text, size_t size)
{
    size_t length = strnlen(text, size);
    char *copy = __wrap_malloc(length + 1);
    if (copy != NULL) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}
