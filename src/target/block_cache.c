/* Blocks of target memory in a 4-way set-associative table: the oldest of a set gives way. A block
 * that cannot be read to its end is kept as far as it goes; bytes behind that are asked of the
 * target. */
#include "target/block_cache.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/hash_map.h"
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK_CACHE_BLOCK = 8192, /* a page of Go's heap, in which equal small objects lie together */
    BLOCK_CACHE_WAYS = 4,
    BLOCK_CACHE_LIMIT_MIN = 1 << 20
};

/* One block's place. */
struct block_cache_slot {
    uint64_t number; /* address / BLOCK_CACHE_BLOCK */
    uint32_t size;   /* bytes that are there */
    bool used;
};

struct block_cache {
    struct target *target;
    size_t sets;                    /* a power of two */
    struct block_cache_slot *slots; /* sets * BLOCK_CACHE_WAYS */
    uint8_t *next;                  /* per set, the way to replace next */
    uint8_t *bytes;                 /* slots * BLOCK_CACHE_BLOCK */
};

struct error *block_cache_create(struct target *target, size_t limit, struct block_cache **ret)
{
    struct block_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL) {
        return error_no_memory();
    }
    limit = limit < BLOCK_CACHE_LIMIT_MIN ? BLOCK_CACHE_LIMIT_MIN : limit;
    cache->target = target;
    cache->sets = 1;
    while (cache->sets * 2 <= limit / ((size_t)BLOCK_CACHE_BLOCK * BLOCK_CACHE_WAYS)) {
        cache->sets *= 2;
    }
    size_t slots = cache->sets * BLOCK_CACHE_WAYS;
    cache->slots = calloc(slots, sizeof *cache->slots);
    cache->next = calloc(cache->sets, 1);
    cache->bytes = malloc(slots * BLOCK_CACHE_BLOCK);
    if (cache->slots == NULL || cache->next == NULL || cache->bytes == NULL) {
        block_cache_destroy(cache);
        return error_no_memory();
    }
    *ret = cache;
    return NULL;
}

void block_cache_destroy(struct block_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    free(cache->slots);
    free(cache->next);
    free(cache->bytes);
    free(cache);
}

void block_cache_clear(struct block_cache *cache)
{
    memset(cache->slots, 0, cache->sets * BLOCK_CACHE_WAYS * sizeof *cache->slots);
}

/* The slot of block NUMBER, filled when it was not there. */
static struct error *block_cache_find(struct block_cache *cache, uint64_t number,
                                      struct block_cache_slot **ret)
{
    size_t set = (size_t)(hash_u64(number) & (cache->sets - 1));
    struct block_cache_slot *slots = &cache->slots[set * BLOCK_CACHE_WAYS];
    for (size_t way = 0; way < BLOCK_CACHE_WAYS; way++) {
        if (slots[way].used && slots[way].number == number) {
            *ret = &slots[way];
            return NULL;
        }
    }
    size_t way = cache->next[set];
    cache->next[set] = (uint8_t)((way + 1) % BLOCK_CACHE_WAYS);
    struct block_cache_slot *slot = &slots[way];
    slot->used = false;
    struct target_range range = {.address = number * BLOCK_CACHE_BLOCK,
                                 .size = BLOCK_CACHE_BLOCK,
                                 .destination = cache->bytes +
                                                (size_t)(slot - cache->slots) * BLOCK_CACHE_BLOCK};
    TRY(target_read_ranges(cache->target, &range, 1));
    slot->number = number;
    slot->size = (uint32_t)range.done;
    slot->used = true;
    *ret = slot;
    return NULL;
}

struct error *block_cache_read(struct block_cache *cache, uint64_t address, void *destination,
                               size_t size)
{
    uint8_t *to = destination;
    if (size > BLOCK_CACHE_BLOCK || address > UINT64_MAX - size) {
        return target_read(cache->target, address, destination, size);
    }
    while (size > 0) {
        struct block_cache_slot *slot;
        size_t offset = (size_t)(address % BLOCK_CACHE_BLOCK);
        size_t part = BLOCK_CACHE_BLOCK - offset < size ? BLOCK_CACHE_BLOCK - offset : size;
        TRY(block_cache_find(cache, address / BLOCK_CACHE_BLOCK, &slot));
        if (offset + part > slot->size) {
            TRY(target_read(cache->target, address, to, part));
        } else {
            memcpy(to, cache->bytes + (size_t)(slot - cache->slots) * BLOCK_CACHE_BLOCK + offset,
                   part);
        }
        address += part;
        to += part;
        size -= part;
    }
    return NULL;
}

struct error *block_cache_u64(struct block_cache *cache, uint64_t address, uint64_t *ret)
{
    uint8_t bytes[8];
    TRY(block_cache_read(cache, address, bytes, sizeof bytes));
    *ret = bytes_u64(bytes);
    return NULL;
}
