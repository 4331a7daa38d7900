/* Large tables that are read at random: on huge pages, so that a read costs one miss and not two.
 */
#ifndef UNPARK_BASE_LARGE_H
#define UNPARK_BASE_LARGE_H

#include <stddef.h>

/* SIZE zeroed bytes, aligned as malloc does, on huge pages where they are many and the system lets
 * us; NULL without memory. */
void *large_allocate(size_t size);

/* Frees what large_allocate(SIZE) gave; NULL is fine. */
void large_free(void *memory, size_t size);

#endif
