/* A flat array of key-value pairs whose capacity is a power of two. A key lives in the first free
 * slot from its hash on; nothing is ever removed, so a search ends at the first free slot, of which
 * there is always one. */
#include "base/hash_map.h"
#include "base/bytes.h"
#include <stdlib.h>
#include <string.h>

enum { HASH_MAP_FIRST_CAPACITY = 16 };

/* Frees the slots. */
void hash_map_deinit(struct hash_map *map)
{
    free(map->slots);
    *map = (struct hash_map){0};
}

/* Empties all slots. */
void hash_map_clear(struct hash_map *map)
{
    if (map->count > 0) {
        memset(map->slots, 0, map->capacity * sizeof *map->slots);
    }
    map->count = 0;
    map->has_zero = false;
}

/* The slot of KEY, or the free slot where it belongs; KEY is not 0 and there is a free slot. */
static struct hash_map_slot *hash_map_slot_find(struct hash_map_slot *slots, size_t capacity,
                                                uint64_t key)
{
    size_t mask = capacity - 1;
    size_t index = (size_t)hash_u64(key) & mask;
    while (slots[index].key != key && slots[index].key != 0) {
        index = (index + 1) & mask;
    }
    return &slots[index];
}

/* Moves everything into CAPACITY slots, a power of two. */
static struct error *hash_map_resize(struct hash_map *map, size_t capacity)
{
    struct hash_map_slot *slots = calloc(capacity, sizeof *slots);
    if (slots == NULL) {
        return error_no_memory();
    }
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->slots[i].key != 0) {
            *hash_map_slot_find(slots, capacity, map->slots[i].key) = map->slots[i];
        }
    }
    free(map->slots);
    map->slots = slots;
    map->capacity = capacity;
    return NULL;
}

/* Doubles the capacity. */
static struct error *hash_map_double(struct hash_map *map)
{
    return hash_map_resize(map, map->capacity == 0 ? HASH_MAP_FIRST_CAPACITY : map->capacity * 2);
}

/* Rounds up to a power of two at which the load is right. */
struct error *hash_map_reserve(struct hash_map *map, size_t count)
{
    size_t capacity = HASH_MAP_FIRST_CAPACITY;
    while (capacity / 4 * 3 <= count) {
        if (capacity > SIZE_MAX / 2 / sizeof(struct hash_map_slot)) {
            return error_no_memory();
        }
        capacity *= 2;
    }
    return capacity > map->capacity ? hash_map_resize(map, capacity) : NULL;
}

/* Replaces or adds. */
struct error *hash_map_put(struct hash_map *map, uint64_t key, uint64_t value)
{
    uint64_t *slot;
    TRY(hash_map_entry(map, key, value, NULL, &slot));
    *slot = value;
    return NULL;
}

/* Looks a key up. */
uint64_t *hash_map_get(const struct hash_map *map, uint64_t key)
{
    if (key == 0) {
        return map->has_zero ? (uint64_t *)&map->zero_value : NULL;
    }
    if (map->count == 0) {
        return NULL;
    }
    struct hash_map_slot *slot = hash_map_slot_find(map->slots, map->capacity, key);
    return slot->key == key ? &slot->value : NULL;
}

/* The entry of the key that cannot be in a slot. */
static uint64_t *hash_map_zero_entry(struct hash_map *map, uint64_t initial, bool *added)
{
    *added = !map->has_zero;
    if (!map->has_zero) {
        map->has_zero = true;
        map->zero_value = initial;
    }
    return &map->zero_value;
}

/* Looks a key up and adds it when absent. */
struct error *hash_map_entry(struct hash_map *map, uint64_t key, uint64_t initial, bool *added,
                             uint64_t **ret)
{
    bool ignored;
    added = added == NULL ? &ignored : added;
    if (key == 0) {
        *ret = hash_map_zero_entry(map, initial, added);
        return NULL;
    }
    struct hash_map_slot *slot = NULL;
    if (map->capacity > 0) {
        slot = hash_map_slot_find(map->slots, map->capacity, key);
        if (slot->key == key) {
            *added = false;
            *ret = &slot->value;
            return NULL;
        }
    }
    if (map->count >= map->capacity / 4 * 3) {
        TRY(hash_map_double(map));
        slot = hash_map_slot_find(map->slots, map->capacity, key);
    }
    *slot = (struct hash_map_slot){.key = key, .value = initial};
    map->count++;
    *added = true;
    *ret = &slot->value;
    return NULL;
}

/* Counts entries. */
size_t hash_map_count(const struct hash_map *map)
{
    return map->count + (map->has_zero ? 1 : 0);
}

/* Folds the 128-bit product of two words into one. */
static uint64_t hash_fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Hashes eight bytes a step; the size is part of the hash, so zero-padding the tail is sound. */
uint64_t hash_bytes(const void *data, size_t size, uint64_t seed)
{
    const uint64_t odd = 0x9e3779b97f4a7c15u;
    const uint8_t *p = data;
    uint64_t hash = seed ^ hash_u64((uint64_t)size + odd);
    size_t left = size;
    if (left >= 64) { /* four chains, since each step of one waits for the step before */
        uint64_t lanes[4] = {hash, hash + odd, hash - odd, ~hash};
        for (; left >= 32; left -= 32, p += 32) {
            for (unsigned i = 0; i < 4; i++) {
                lanes[i] = hash_fold(lanes[i] ^ bytes_u64(p + (size_t)i * 8), odd) + odd;
            }
        }
        for (unsigned i = 0; i < 4; i++) {
            hash = hash_fold(hash ^ lanes[i], odd) + odd;
        }
    }
    for (; left >= 8; left -= 8, p += 8) {
        hash = hash_fold(hash ^ bytes_u64(p), odd) + odd;
    }
    if (left > 0) {
        uint64_t tail = 0;
        memcpy(&tail, p, left);
        hash = hash_fold(hash ^ tail, odd) + odd;
    }
    return hash_u64(hash);
}
