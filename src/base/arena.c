#include "base/arena.h"
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    ARENA_ALIGNMENT = 16,
    ARENA_FIRST_BLOCK = 4096,
    ARENA_LARGEST_BLOCK = 1 << 20 /* larger requests get a block of their own */
};

struct arena_block {
    struct arena_block *next;
    size_t capacity;
    size_t used;
    alignas(ARENA_ALIGNMENT) uint8_t data[];
};

/* Frees all blocks. */
void arena_deinit(struct arena *arena)
{
    struct arena_block *block = arena->blocks;
    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    *arena = (struct arena){0};
}

/* A new block with room for SIZE bytes; a block for one large request goes behind the first, whose
 * rest stays in use. */
static struct error *arena_add_block(struct arena *arena, size_t size, struct arena_block **ret)
{
    struct arena_block *first = arena->blocks;
    size_t capacity = first == NULL ? ARENA_FIRST_BLOCK : first->capacity * 2;
    if (capacity > ARENA_LARGEST_BLOCK) {
        capacity = ARENA_LARGEST_BLOCK;
    }
    bool large = size > capacity / 4;
    if (large) {
        capacity = size;
    }
    size_t bytes;
    if (__builtin_add_overflow(capacity, sizeof(struct arena_block), &bytes)) {
        return error_no_memory();
    }
    struct arena_block *block = malloc(bytes);
    if (block == NULL) {
        return error_no_memory();
    }
    *block = (struct arena_block){.capacity = capacity};
    if (large && first != NULL) {
        block->next = first->next;
        first->next = block;
    } else {
        block->next = first;
        arena->blocks = block;
    }
    arena->total += bytes;
    *ret = block;
    return NULL;
}

/* Memory from the first block, or from a new one. */
struct error *arena_allocate(struct arena *arena, size_t size, size_t alignment, void **ret)
{
    struct arena_block *block = arena->blocks;
    size_t offset = 0;
    if (block != NULL) {
        offset = (block->used + alignment - 1) & ~(alignment - 1);
    }
    if (block == NULL || offset > block->capacity || size > block->capacity - offset) {
        TRY(arena_add_block(arena, size, &block));
        offset = 0;
    }
    block->used = offset + size;
    *ret = block->data + offset;
    return NULL;
}

/* A NUL-terminated copy. */
struct error *arena_copy(struct arena *arena, const void *data, size_t size, char **ret)
{
    size_t bytes;
    if (__builtin_add_overflow(size, 1, &bytes)) {
        return error_no_memory();
    }
    void *memory;
    TRY(arena_allocate(arena, bytes, 1, &memory));
    char *text = memory;
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    *ret = text;
    return NULL;
}
