/* Roots that hang on objects and in queues: finalizers, cleanups, weak handles, pins.
 *
 * Source: runtime/mheap.go (specials: a list per span, {next, offset, kind, ...}), mfinal.go
 * (finblock: 4 KiB, {alllink 0, next 8, cnt 16, entries of 40 bytes from 24: fn, arg, nret, fint,
 * ot}), mcleanup.go (cleanupBlock: 512 bytes), pinner.go (two bits an object). Kind numbers differ
 * between releases: rows. A kind that the row does not know is read conservatively. Lists are
 * bounded; a longer one is incomplete. */
#include "base/bytes.h"
#include "base/cleanup.h"
#include "goruntime/heap_internal.h"
#include "goruntime/internal.h"
#include "goruntime/roots.h"
#include "image/function.h"
#include <stdlib.h>

enum {
    ROOTS_SPECIALS_MAX = 1 << 28, /* in all */
    ROOTS_SPECIAL_BYTES = 64,     /* no special is larger */
    ROOTS_FINALIZER_BLOCK = 4096,
    ROOTS_FINALIZER_ENTRIES = 24,
    ROOTS_FINALIZER_ENTRY = 40,
    ROOTS_CLEANUP_BLOCK = 512,
    ROOTS_CLEANUP_ENTRIES = 32,
    ROOTS_BLOCKS_MAX = 1 << 20,
    ROOTS_CACHE_BYTES = 64 << 20
};

struct roots_walk {
    struct goruntime *runtime;
    const struct heap *heap;
    const struct layout *layout;
    struct block_cache *cache;
    struct heap_types *types;
    heap_visitor *visitor;
    void *context;
    bool complete;
    uint64_t left; /* specials that may still be walked */
};

CLEANUP_DEFINE(block_cache, struct block_cache, block_cache_destroy)
CLEANUP_DEFINE(heap_types, struct heap_types, heap_types_destroy)

/* Visits a word that may be a pointer. */
static void roots_word(struct roots_walk *walk, uint64_t slot, uint64_t value)
{
    if (value != 0) {
        walk->visitor(walk->context, slot, value);
    }
}

/* Visits every word of SIZE bytes that stand at ADDRESS. */
static void roots_words(struct roots_walk *walk, uint64_t address, const uint8_t *bytes,
                        size_t size)
{
    for (size_t i = 0; i + 8 <= size; i += 8) {
        roots_word(walk, address + i, bytes_u64(bytes + i));
    }
}

/* Reads through the cache; a failure makes the walk incomplete. */
static bool roots_fetch(struct roots_walk *walk, uint64_t address, uint8_t *bytes, size_t size)
{
    struct error *error = block_cache_read(walk->cache, address, bytes, size);
    if (error != NULL) {
        error_destroy(error);
        walk->complete = false;
        return false;
    }
    return true;
}

/* What the object at OFFSET of SPAN points to (it has a finalizer; it is no root itself). */
static void roots_pointees(struct roots_walk *walk, const struct heap_span *span, uint64_t offset)
{
    struct heap_object object;
    if (span->start + offset < span->limit &&
        heap_find(walk->heap, span->start + offset, &object) &&
        !heap_scan(walk->heap, walk->types, &object, walk->visitor, walk->context)) {
        walk->complete = false;
    }
}

/* Visits what one special keeps alive. BYTES holds SIZE of it. */
static void roots_special(struct roots_walk *walk, const struct heap_span *span, uint64_t address,
                          const uint8_t *bytes, size_t size)
{
    const struct layout *layout = walk->layout;
    int32_t kind = bytes[layout->special.kind];
    uint64_t offset = layout->minor >= 24 ? bytes_u64(bytes + layout->special.offset)
                                          : bytes_u16(bytes + layout->special.offset);
    size_t head = (size_t)layout->special.size;
    if (kind == layout->special_kind_profile || kind == layout->special_kind_reachable ||
        kind == layout->special_kind_pin_counter || kind == layout->special_kind_tiny_block ||
        kind == layout->special_kind_check_finalizer || kind == layout->special_kind_bubble ||
        kind == layout->special_kind_secret) {
        return;
    }
    if (kind == layout->special_kind_finalizer) {
        roots_pointees(walk, span, offset);
        size = (size_t)layout->special_finalizer.size;
    } else if (kind == layout->special_kind_weak_handle) {
        /* Whoever holds the handle may make it strong again: no collection runs before we judge. */
        roots_word(walk, address, span->start + offset);
        size = (size_t)layout->special_weak_handle.size;
    } else if (kind == layout->special_kind_cleanup) {
        size = (size_t)layout->special_cleanup.size;
    }
    if (size > head) {
        roots_words(walk, address + head, bytes + head, size - head);
    }
}

/* Walks the specials of one span. */
static void roots_span_specials(struct roots_walk *walk, const struct heap_span *span)
{
    uint8_t bytes[ROOTS_SPECIAL_BYTES];
    uint64_t at = span->specials;
    while (at != 0) {
        if (walk->left == 0) {
            walk->complete = false;
            return;
        }
        walk->left--;
        size_t size = sizeof bytes;
        if (!roots_fetch(walk, at, bytes, size)) {
            return;
        }
        roots_special(walk, span, at, bytes, size);
        at = bytes_u64(bytes + walk->layout->special.next);
    }
}

/* Visits the pinned objects of one span. */
static struct error *roots_span_pins(struct roots_walk *walk, const struct heap_span *span)
{
    if (span->pins == 0) {
        return NULL;
    }
    size_t size = ((size_t)span->object_count * 2 + 7) / 8;
    CLEANUP_FREE uint8_t *bits = malloc(size);
    if (bits == NULL) {
        return error_no_memory();
    }
    if (!roots_fetch(walk, span->pins, bits, size)) {
        return NULL;
    }
    for (uint32_t i = 0; i < span->object_count; i++) {
        if ((bits[i / 4] >> i % 4 * 2 & 1) != 0) {
            roots_word(walk, span->address, span->start + i * span->element_size);
        }
    }
    return NULL;
}

/* Visits the finalizers that are queued to run: every block ever made, through alllink. */
static void roots_finalizer_queue(struct roots_walk *walk)
{
    uint8_t block[ROOTS_FINALIZER_BLOCK];
    uint8_t word[8];
    if (walk->runtime->globals.allfin == 0) {
        walk->complete = false;
        return;
    }
    if (!roots_fetch(walk, walk->runtime->globals.allfin, word, sizeof word)) {
        return;
    }
    uint64_t at = bytes_u64(word);
    for (size_t blocks = 0; at != 0; blocks++) {
        if (blocks == ROOTS_BLOCKS_MAX || !roots_fetch(walk, at, block, sizeof block)) {
            walk->complete = false;
            return;
        }
        uint32_t count = bytes_u32(block + 16);
        uint32_t most = (ROOTS_FINALIZER_BLOCK - ROOTS_FINALIZER_ENTRIES) / ROOTS_FINALIZER_ENTRY;
        count = count > most ? most : count;
        for (uint32_t i = 0; i < count; i++) {
            size_t entry = ROOTS_FINALIZER_ENTRIES + (size_t)i * ROOTS_FINALIZER_ENTRY;
            roots_words(walk, at + entry, block + entry, ROOTS_FINALIZER_ENTRY);
        }
        at = bytes_u64(block);
    }
}

/* Visits the cleanups that are queued to run (1.25 on). */
static void roots_cleanup_queue(struct roots_walk *walk)
{
    const struct layout *layout = walk->layout;
    uint8_t block[ROOTS_CLEANUP_BLOCK];
    uint8_t word[8];
    if (layout->cleanup_queue.all == LAYOUT_ABSENT) {
        return;
    }
    if (walk->runtime->globals.gc_cleanups == 0) {
        /* A program that can never queue a cleanup does not hold the function that runs them. */
        struct function function;
        struct error *error =
            function_find_name(walk->runtime->image, "runtime.runCleanups", &function);
        walk->complete = walk->complete && error != NULL;
        error_destroy(error);
        return;
    }
    if (!roots_fetch(walk,
                     walk->runtime->globals.gc_cleanups +
                         (uint64_t)(uint32_t)layout->cleanup_queue.all,
                     word, sizeof word)) {
        return;
    }
    uint64_t at = bytes_u64(word);
    for (size_t blocks = 0; at != 0; blocks++) {
        if (blocks == ROOTS_BLOCKS_MAX || !roots_fetch(walk, at, block, sizeof block)) {
            walk->complete = false;
            return;
        }
        roots_words(walk, at + ROOTS_CLEANUP_ENTRIES, block + ROOTS_CLEANUP_ENTRIES,
                    sizeof block - ROOTS_CLEANUP_ENTRIES);
        at = bytes_u64(block + layout->cleanup_block.alllink);
    }
}

struct error *roots_specials(struct goruntime *runtime, const struct heap *heap,
                             heap_visitor *visitor, void *context, bool *complete_ret)
{
    CLEANUP(cleanup_block_cache) struct block_cache *cache = NULL;
    CLEANUP(cleanup_heap_types) struct heap_types *types = NULL;
    TRY(block_cache_create(runtime->target, ROOTS_CACHE_BYTES, &cache));
    TRY(heap_types_create(heap, &types));
    struct roots_walk walk = {
        .runtime = runtime,
        .heap = heap,
        .layout = runtime->layout,
        .cache = cache,
        .types = types,
        .visitor = visitor,
        .context = context,
        .complete = true,
        .left = ROOTS_SPECIALS_MAX,
    };
    for (size_t i = 0; i < heap->span_count; i++) {
        roots_span_specials(&walk, &heap->spans[i]);
        TRY(roots_span_pins(&walk, &heap->spans[i]));
    }
    roots_finalizer_queue(&walk);
    roots_cleanup_queue(&walk);
    *complete_ret = walk.complete;
    return NULL;
}
