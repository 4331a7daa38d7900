/* Pointer masks of types, met while scanning objects; one cache per thread. */
#ifndef UNPARK_GORUNTIME_HEAP_TYPES_H
#define UNPARK_GORUNTIME_HEAP_TYPES_H

#include "goruntime/heap.h"

/* The mask of one type: bit i of mask says that word i of each element is a pointer. */
struct heap_type {
    uint64_t address;
    uint64_t size;  /* of one element, a multiple of 8; 0: nothing known, read conservatively */
    uint64_t words; /* words with mask bits (pointer-bearing prefix); at most size / 8 */
    const uint8_t *mask; /* ceil(words / 8) bytes */
};

/* The type at ADDRESS; never NULL (a type of size 0 when it cannot be read or makes no sense).
 * Valid until the next call on TYPES. */
const struct heap_type *heap_types_find(struct heap_types *types, uint64_t address);

#endif
