#include "base/vector.h"

enum { VECTOR_FIRST_CAPACITY = 8 };

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
    *items = grown;
    *capacity = room;
    return NULL;
}
