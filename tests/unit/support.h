/* What unit tests share: asserting on errors, memory that ends at an unmapped page, an allocator
 * that fails on demand. Includes cmocka and what cmocka wants before it. */
#ifndef UNPARK_TESTS_UNIT_SUPPORT_H
#define UNPARK_TESTS_UNIT_SUPPORT_H

#include "base/error.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Fails the test with the message when ERROR is one; takes it. */
#define assert_success(error) support_assert_success((error), __FILE__, __LINE__)

/* Fails the test unless ERROR is of CODE; takes it. */
#define assert_error(error, code) support_assert_error((error), (code), __FILE__, __LINE__)

/* Behind assert_success. */
void support_assert_success(struct error *error, const char *file, int line);

/* Behind assert_error. */
void support_assert_error(struct error *error, enum error_code code, const char *file, int line);

/* A copy of SIZE bytes at DATA (NULL: zeros) that ends where an unmapped page begins: reading one
 * byte too many faults. Released by support_guarded_free with the same size. */
void *support_guarded(const void *data, size_t size);

/* Unmaps what support_guarded returned. */
void support_guarded_free(void *memory, size_t size);

/* Lets the allocation with this number from now on fail, and every later one when AND_LATER; 0:
 * none fails. Counts malloc, calloc, realloc, reallocarray, strdup and strndup of our own code, in
 * all threads. */
void support_fail_allocation(size_t number, bool and_later);

/* True when an allocation was made to fail since support_fail_allocation. */
bool support_allocation_failed(void);

/* A piece of work that must survive any allocation failing; frees what it made itself. */
typedef struct error *support_work(void *context);

/* Runs WORK with its first allocation failing, then its second, and so on until a run needs no
 * more; then all over with every allocation from that one on failing. A run must either succeed
 * (it could do without) or return ERROR_OUT_OF_MEMORY; what leaks, the sanitizer build reports. */
void support_exhaust(support_work *work, void *context);

#endif
