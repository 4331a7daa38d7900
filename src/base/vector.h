/* Growing arrays: VECTOR(type) is a struct of items, count and capacity; zero is empty. */
#ifndef UNPARK_BASE_VECTOR_H
#define UNPARK_BASE_VECTOR_H

#include "base/error.h"
#include <stddef.h>
#include <stdlib.h>

#define VECTOR(type)                                                                               \
    struct {                                                                                       \
        type *items;                                                                               \
        size_t count;                                                                              \
        size_t capacity;                                                                           \
    }

/* Makes room for WANT items of SIZE bytes at *ITEMS, growing by half, on huge pages where it is
 * much and the system lets us; overflow and exhaustion are ERROR_OUT_OF_MEMORY and change nothing.
 * Use the macros. */
NODISCARD struct error *vector_grow(void **items, size_t *capacity, size_t want, size_t size);

/* Makes room for at least WANT items. */
#define vector_reserve(vector, want)                                                               \
    vector_grow((void **)&(vector)->items, &(vector)->capacity, (want), sizeof *(vector)->items)

/* Appends VALUE; returns a struct error *. */
#define vector_append(vector, value)                                                               \
    ({                                                                                             \
        struct error *append_error_ = vector_reserve(vector, (vector)->count + 1);                 \
        if (append_error_ == NULL) {                                                               \
            (vector)->items[(vector)->count++] = (value);                                          \
        }                                                                                          \
        append_error_;                                                                             \
    })

/* Frees the items and empties the vector. */
#define vector_deinit(vector)                                                                      \
    do {                                                                                           \
        free((vector)->items);                                                                     \
        (vector)->items = NULL;                                                                    \
        (vector)->count = 0;                                                                       \
        (vector)->capacity = 0;                                                                    \
    } while (0)

#endif
