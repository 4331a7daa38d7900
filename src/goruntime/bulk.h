/* Reading many pieces of target memory of different sizes: neighbours are joined into long ranges,
 * and each piece is visited in a buffer that is used again for the next ones. */
#ifndef UNPARK_GORUNTIME_BULK_H
#define UNPARK_GORUNTIME_BULK_H

#include "target/gather.h"

/* The largest piece. */
enum { BULK_PIECE_MAX = 256 << 10 };

/* The tag of a gather_item that is a piece of SIZE bytes, and the caller's number for it. */
static inline uint64_t bulk_tag(uint32_t size, uint32_t index)
{
    return (uint64_t)size << 32 | index;
}

/* The number in a tag. */
static inline uint32_t bulk_index(const struct gather_item *item)
{
    return (uint32_t)item->tag;
}

struct bulk;

/* A reader of TARGET (not owned) with its buffers, about 0.6 MiB. One thread uses it at a time. */
NODISCARD struct error *bulk_create(struct target *target, struct bulk **ret);
void bulk_destroy(struct bulk *bulk);

/* Called once per piece in address order; BYTES (as many as the tag says) is NULL when they are not
 * readable. An error ends the visit and is returned. */
typedef struct error *bulk_visitor(void *context, const struct gather_item *item,
                                   const uint8_t *bytes);

/* Sorts ITEMS by address (SCRATCH has room for COUNT) and visits them. A size is at most
 * BULK_PIECE_MAX, larger ones are cut. Errors as target_read_ranges. */
NODISCARD struct error *bulk_visit(struct bulk *bulk, struct gather_item *items,
                                   struct gather_item *scratch, size_t count, bulk_visitor *visitor,
                                   void *context);

#endif
