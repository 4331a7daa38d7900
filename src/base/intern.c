/* Strings live in an arena and never move; an array maps ids to them; an open-addressing table of
 * (hash, id) finds them by content. Ids follow the order of adding, not the hash, so the hash can
 * be seeded per process against crafted collisions without changing a result. */
#include "base/intern.h"
#include "base/arena.h"
#include "base/hash_map.h"
#include "base/vector.h"
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

enum { INTERN_FIRST_CAPACITY = 64 };

/* One place of the table; id 0 is free. */
struct intern_slot {
    uint32_t id;
    uint32_t hash;
};

struct intern_entry {
    const char *text;
    size_t size;
};

struct intern {
    struct arena arena;
    VECTOR(struct intern_entry) entries; /* id 1 is at index 0 */
    struct intern_slot *slots;
    size_t capacity; /* a power of two */
    uint64_t seed;
};

/* A number that differs between processes, from the 16 random bytes that the kernel provides. */
static uint64_t intern_seed(void)
{
    uint64_t seed = 0;
    const void *random = (const void *)getauxval(AT_RANDOM);
    if (random != NULL) {
        memcpy(&seed, random, sizeof seed);
    }
    return seed;
}

/* A new empty table. */
struct error *intern_create(struct intern **ret)
{
    struct intern *table = calloc(1, sizeof *table);
    if (table == NULL) {
        return error_no_memory();
    }
    table->slots = calloc(INTERN_FIRST_CAPACITY, sizeof *table->slots);
    if (table->slots == NULL) {
        free(table);
        return error_no_memory();
    }
    table->capacity = INTERN_FIRST_CAPACITY;
    table->seed = intern_seed();
    *ret = table;
    return NULL;
}

/* Frees a table. */
void intern_destroy(struct intern *table)
{
    if (table == NULL) {
        return;
    }
    arena_deinit(&table->arena);
    vector_deinit(&table->entries);
    free(table->slots);
    free(table);
}

/* Doubles the table of slots. */
static struct error *intern_double(struct intern *table)
{
    size_t capacity = table->capacity * 2;
    size_t mask = capacity - 1;
    struct intern_slot *slots = calloc(capacity, sizeof *slots);
    if (slots == NULL) {
        return error_no_memory();
    }
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->slots[i].id == 0) {
            continue;
        }
        size_t index = table->slots[i].hash & mask;
        while (slots[index].id != 0) {
            index = (index + 1) & mask;
        }
        slots[index] = table->slots[i];
    }
    free(table->slots);
    table->slots = slots;
    table->capacity = capacity;
    return NULL;
}

/* The slot of the string, or the free slot where it belongs. */
static struct intern_slot *intern_find(const struct intern *table, const char *text, size_t size,
                                       uint32_t hash)
{
    size_t mask = table->capacity - 1;
    size_t index = hash & mask;
    for (;;) {
        struct intern_slot *slot = &table->slots[index];
        if (slot->id == 0) {
            return slot;
        }
        if (slot->hash == hash) {
            const struct intern_entry *entry = &table->entries.items[slot->id - 1];
            if (entry->size == size && (size == 0 || memcmp(entry->text, text, size) == 0)) {
                return slot;
            }
        }
        index = (index + 1) & mask;
    }
}

/* Finds a string or adds it. */
struct error *intern_add(struct intern *table, const char *text, size_t size, uint32_t *ret)
{
    uint32_t hash = (uint32_t)hash_bytes(text, size, table->seed);
    struct intern_slot *slot = intern_find(table, text, size, hash);
    if (slot->id != 0) {
        *ret = slot->id;
        return NULL;
    }
    if (table->entries.count >= UINT32_MAX - 1) {
        return error_create(ERROR_LIMIT, "more than %u different strings", UINT32_MAX - 1);
    }
    if (table->entries.count >= table->capacity / 4 * 3) {
        TRY(intern_double(table));
        slot = intern_find(table, text, size, hash);
    }
    TRY(vector_reserve(&table->entries, table->entries.count + 1));
    char *copy;
    TRY(arena_copy(&table->arena, text, size, &copy));
    table->entries.items[table->entries.count++] =
        (struct intern_entry){.text = copy, .size = size};
    *slot = (struct intern_slot){.id = (uint32_t)table->entries.count, .hash = hash};
    *ret = slot->id;
    return NULL;
}

/* The string of an id. */
const char *intern_text(const struct intern *table, uint32_t id)
{
    return id == 0 ? "" : table->entries.items[id - 1].text;
}

/* The size of the string of an id. */
size_t intern_size(const struct intern *table, uint32_t id)
{
    return id == 0 ? 0 : table->entries.items[id - 1].size;
}

/* Counts strings. */
uint32_t intern_count(const struct intern *table)
{
    return (uint32_t)table->entries.count;
}
