/* Open-addressing map from 64-bit keys to 64-bit values, linear probing, load at most 3/4. */
#ifndef UNPARK_BASE_HASH_MAP_H
#define UNPARK_BASE_HASH_MAP_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One slot; a slot is free when used is 0. */
struct hash_map_slot {
    uint64_t key;
    uint64_t value;
};

/* The map; zero is empty. Every key is allowed: key 0 is kept apart. */
struct hash_map {
    struct hash_map_slot *slots; /* capacity of them; key 0 = free */
    size_t capacity;             /* a power of two, or 0 */
    size_t count;                /* without the zero key */
    bool has_zero;
    uint64_t zero_value;
};

/* Frees the slots; the map is empty afterwards. */
void hash_map_deinit(struct hash_map *map);

/* Forgets every entry and keeps the memory. */
void hash_map_clear(struct hash_map *map);

/* Makes room for COUNT entries in all, so that adding them moves none. */
NODISCARD struct error *hash_map_reserve(struct hash_map *map, size_t count);

/* Sets KEY to VALUE, replacing. */
NODISCARD struct error *hash_map_put(struct hash_map *map, uint64_t key, uint64_t value);

/* The value slot of KEY, or NULL; valid until the next put. */
uint64_t *hash_map_get(const struct hash_map *map, uint64_t key);

/* The value slot of KEY, added with INITIAL when absent (*ADDED says so; ADDED may be NULL). */
NODISCARD struct error *hash_map_entry(struct hash_map *map, uint64_t key, uint64_t initial,
                                       bool *added, uint64_t **ret);

/* Entries in all. */
size_t hash_map_count(const struct hash_map *map);

/* A well-mixed 64-bit hash of a word. */
static inline uint64_t hash_u64(uint64_t word)
{
    word ^= word >> 32;
    word *= 0xd6e8feb86659fd93u;
    word ^= word >> 32;
    word *= 0xd6e8feb86659fd93u;
    return word ^ (word >> 32);
}

/* A 64-bit hash of SIZE bytes, chained from SEED. */
uint64_t hash_bytes(const void *data, size_t size, uint64_t seed);

#endif
