/* Type descriptors as pointer masks.
 *
 * Format: runtime._type / internal/abi.Type. ptrdata bytes of each element hold pointers, gcdata
 * has a bit per word of them. Kind bit 6 (up to 1.23): gcdata is a program, not a mask. TFlag bit 4
 * (1.24 on): gcdata points to a pointer to a mask that is built on demand. Source: runtime/type.go,
 * internal/abi/type.go. */
#include "goruntime/heap_types.h"
#include "base/arena.h"
#include "base/bytes.h"
#include "base/hash_map.h"
#include "base/vector.h"
#include "goruntime/heap_internal.h"
#include "goruntime/internal.h"
#include <stdlib.h>

enum {
    HEAP_TYPE_KIND_GC_PROGRAM = 1 << 6,
    HEAP_TYPE_FLAG_MASK_ON_DEMAND = 1 << 4,
    HEAP_TYPE_PROGRAM_LAST = 23,
    HEAP_TYPE_ON_DEMAND_FIRST = 24,
    HEAP_TYPE_MASK_MAX = 64 << 20, /* bytes of a mask that we are willing to hold */
    HEAP_TYPE_CACHE_MAX = 1 << 20  /* types; garbage pointers must not fill our memory */
};

struct heap_types {
    const struct heap *heap;
    struct hash_map index; /* address -> position in items */
    VECTOR(struct heap_type) items;
    struct arena masks;
    struct heap_type unknown;
};

struct error *heap_types_create(const struct heap *heap, struct heap_types **ret)
{
    struct heap_types *types = calloc(1, sizeof *types);
    if (types == NULL) {
        return error_no_memory();
    }
    types->heap = heap;
    *ret = types;
    return NULL;
}

void heap_types_destroy(struct heap_types *types)
{
    if (types == NULL) {
        return;
    }
    hash_map_deinit(&types->index);
    vector_deinit(&types->items);
    arena_deinit(&types->masks);
    free(types);
}

/* Reads SIZE bytes that hold still: type data of a module, or the heap for types made by reflect.
 */
static struct error *heap_types_read(struct heap_types *types, uint64_t address, void *destination,
                                     size_t size)
{
    struct goruntime *runtime = types->heap->runtime;
    struct error *error = image_read_static(runtime->image, address, destination, size);
    if (error != NULL && error_catch(&error, ERROR_FAULT)) {
        error = target_read(runtime->target, address, destination, size);
    }
    return error;
}

/* Reads the descriptor at ADDRESS into RET; its size stays 0 when it cannot serve as a mask. */
static struct error *heap_types_load(struct heap_types *types, uint64_t address,
                                     struct heap_type *ret)
{
    const struct layout *layout = types->heap->runtime->layout;
    uint8_t bytes[64];
    *ret = (struct heap_type){.address = address};
    TRY(heap_types_read(types, address, bytes, (size_t)layout->type.size));
    uint64_t size = bytes_u64(bytes + layout->type.bytes);
    uint64_t pointers = bytes_u64(bytes + layout->type.ptrdata);
    uint64_t mask = bytes_u64(bytes + layout->type.gcdata);
    bool program = layout->minor <= HEAP_TYPE_PROGRAM_LAST &&
                   (bytes[layout->type.kind] & HEAP_TYPE_KIND_GC_PROGRAM) != 0;
    bool on_demand = layout->minor >= HEAP_TYPE_ON_DEMAND_FIRST &&
                     (bytes[layout->type.tflag] & HEAP_TYPE_FLAG_MASK_ON_DEMAND) != 0;
    if (size == 0 || size % 8 != 0 || pointers > size || pointers % 8 != 0 || program ||
        pointers / 64 > HEAP_TYPE_MASK_MAX) {
        return NULL;
    }
    if (on_demand) {
        uint8_t word[8];
        TRY(target_read(types->heap->runtime->target, mask, word, sizeof word));
        mask = bytes_u64(word);
        if (mask == 0) {
            return NULL;
        }
    }
    size_t mask_size = (size_t)((pointers / 8 + 7) / 8);
    void *copy = NULL;
    TRY(arena_allocate(&types->masks, mask_size + 8, 8, &copy));
    TRY(heap_types_read(types, mask, copy, mask_size));
    memset((uint8_t *)copy + mask_size, 0, 8);
    ret->mask = copy;
    ret->words = pointers / 8;
    ret->size = size;
    return NULL;
}

/* Loads and remembers the type at ADDRESS; what fails is remembered as unknown. */
static const struct heap_type *heap_types_add(struct heap_types *types, uint64_t address)
{
    struct heap_type type = {.address = address};
    pthread_mutex_lock(&((struct heap *)types->heap)->type_lock);
    struct error *error = heap_types_load(types, address, &type);
    pthread_mutex_unlock(&((struct heap *)types->heap)->type_lock);
    if (error != NULL) {
        error_destroy(error);
        type = (struct heap_type){.address = address};
    }
    if (types->items.count >= HEAP_TYPE_CACHE_MAX) {
        types->unknown = type;
        return &types->unknown;
    }
    error = vector_append(&types->items, type);
    if (error == NULL) {
        error = hash_map_put(&types->index, address, types->items.count - 1);
    }
    if (error != NULL) {
        error_destroy(error);
        types->unknown = (struct heap_type){.address = address};
        return &types->unknown;
    }
    return &types->items.items[types->items.count - 1];
}

const struct heap_type *heap_types_find(struct heap_types *types, uint64_t address)
{
    const uint64_t *position = hash_map_get(&types->index, address);
    if (position != NULL) {
        return &types->items.items[*position];
    }
    return heap_types_add(types, address);
}
