/* Blocks of target memory kept for walks that follow pointers; one moment is as good as another
 * within one look, so a cache lives for one look and is cleared for the next. Not thread-safe. */
#ifndef UNPARK_TARGET_BLOCK_CACHE_H
#define UNPARK_TARGET_BLOCK_CACHE_H

#include "target/target.h"

struct block_cache;

/* A cache over TARGET (not owned) that holds at most LIMIT bytes (at least 1 MiB). */
NODISCARD struct error *block_cache_create(struct target *target, size_t limit,
                                           struct block_cache **ret);

/* Frees CACHE; NULL is fine. */
void block_cache_destroy(struct block_cache *cache);

/* Forgets every block. */
void block_cache_clear(struct block_cache *cache);

/* Reads SIZE bytes at ADDRESS through the cache; errors as target_read. */
NODISCARD struct error *block_cache_read(struct block_cache *cache, uint64_t address,
                                         void *destination, size_t size);

/* A little-endian word at ADDRESS. */
NODISCARD struct error *block_cache_u64(struct block_cache *cache, uint64_t address, uint64_t *ret);

#endif
