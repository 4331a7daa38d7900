#include "base/vector.h"
#include <stdint.h>
#include <sys/mman.h>

enum { VECTOR_FIRST_CAPACITY = 8, VECTOR_HUGE = 16 << 20, VECTOR_PAGE = 4096 };

/* Makes room, by half of what there is, so that appending stays linear in all. */
struct error *vector_grow(void **items, size_t *capacity, size_t want, size_t size)
{
    if (want <= *capacity) {
        return NULL;
    }
    size_t room = *capacity + *capacity / 2;
    if (room < VECTOR_FIRST_CAPACITY) {
        room = VECTOR_FIRST_CAPACITY;
    }
    if (room < want) {
        room = want;
    }
    size_t bytes;
    if (__builtin_mul_overflow(room, size, &bytes)) {
        return error_no_memory();
    }
    void *grown = realloc(*items, bytes);
    if (grown == NULL) {
        return error_no_memory();
    }
    if (bytes >= VECTOR_HUGE) {
        uintptr_t start = ((uintptr_t)grown + VECTOR_PAGE - 1) & ~(uintptr_t)(VECTOR_PAGE - 1);
        (void)madvise((void *)start, bytes - VECTOR_PAGE, MADV_HUGEPAGE);
    }
    *items = grown;
    *capacity = room;
    return NULL;
}
