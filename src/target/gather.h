/* Reading many small objects at scattered addresses: sorted, joined into long ranges, visited. */
#ifndef UNPARK_TARGET_GATHER_H
#define UNPARK_TARGET_GATHER_H

#include "target/target.h"

/* One object to visit: where it is, and the caller's word for it. */
struct gather_item {
    uint64_t address;
    uint64_t tag;
};

/* Called once per item in address order; BYTES (gather's size of them) is NULL when the object is
 * not readable. An error ends the gathering and is returned. */
typedef struct error *gather_visitor(void *context, const struct gather_item *item,
                                     const uint8_t *bytes);

/* Visits COUNT objects of SIZE bytes (at most 64 KiB). ITEMS is sorted by address in place. Gaps
 * shorter than a read is worth are read over. Buffers stay below 8 MiB. */
NODISCARD struct error *gather_visit(struct target *target, struct gather_item *items, size_t count,
                                     size_t size, gather_visitor *visitor, void *context);

/* Sorts COUNT items by address (stable radix sort; SCRATCH has room for COUNT items). */
void gather_sort(struct gather_item *items, struct gather_item *scratch, size_t count);

#endif
