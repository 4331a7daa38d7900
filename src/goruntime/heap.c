/* The span table: every mspan in use, where its objects are, and where their pointer maps are.
 *
 * Source: runtime/mheap.go and mbitmap.go of Go 1.18 to 1.27; offsets from the layout rows.
 * mheap_.allspans is a slice of *mspan that only grows; entries of freed spans have state 0. A span
 * lies within arenas of 64 MiB; heapArena structs hold the pointer bitmaps up to Go 1.21.
 * Invariants checked here: spans do not overlap, objects lie inside their pages, counts are bounded
 * by pages. */
#include "goruntime/heap.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/hash_map.h"
#include "base/large.h"
#include "base/vector.h"
#include "goruntime/heap_internal.h"
#include "goruntime/internal.h"
#include "target/gather.h"
#include <stdlib.h>

enum {
    HEAP_SPAN_STATE_IN_USE = 1,
    HEAP_SPANS_MAX = 1 << 27,       /* 1 TiB of 8 KiB spans */
    HEAP_ARENAS_MAX = 1 << 22,      /* the whole 48-bit address space */
    HEAP_SHARED_SPAN = 128 << 10,   /* a span of several objects is no larger, and */
    HEAP_SHARED_ELEMENT = 32 << 10, /* neither are they: the reciprocal is exact up to here */
    HEAP_INLINE_MARK_BYTES = 128    /* sizeof(spanInlineMarkBits), 1.25 on */
};

struct heap_reading {
    struct heap *heap;
    const struct layout *layout;
    size_t capacity;
};

/* The reciprocal that replaces division by ELEMENT_SIZE, as runtime/sizeclasses.go does it. */
static uint32_t heap_reciprocal(uint64_t element_size, uint64_t count)
{
    return count <= 1 ? 0 : (uint32_t)((UINT64_C(0xffffffff) / element_size) + 1);
}

/* How objects of a span of RELEASE with this class and element size say where pointers are. */
static enum heap_map heap_map_of(int release, uint8_t spanclass, uint64_t element_size,
                                 bool user_arena)
{
    if ((spanclass & 1) != 0) {
        return HEAP_MAP_NONE;
    }
    if (user_arena) {
        return HEAP_MAP_CONSERVATIVE;
    }
    if (release <= 19) {
        return HEAP_MAP_ARENA_PAIRS;
    }
    if (release <= 21) {
        return HEAP_MAP_ARENA_BITS;
    }
    if (element_size <= HEAP_SPAN_BITS_MAX) {
        return HEAP_MAP_SPAN_BITS;
    }
    return spanclass >> 1 == 0 ? HEAP_MAP_LARGE_TYPE : HEAP_MAP_HEADER;
}

/* True when the numbers of SPAN, COUNT objects on PAGES pages, make sense. */
static bool heap_is_span(const struct heap_span *span, uint64_t pages, uint64_t count)
{
    uint64_t size = pages << HEAP_PAGE_SHIFT;
    return pages != 0 && pages <= UINT32_MAX && span->start != 0 &&
           span->start % (1 << HEAP_PAGE_SHIFT) == 0 && span->start >> 48 == 0 &&
           span->element_size != 0 && span->element_size % 8 == 0 && span->element_size <= size &&
           count != 0 && count <= size / span->element_size &&
           (count == 1 ||
            (size <= HEAP_SHARED_SPAN && span->element_size <= HEAP_SHARED_ELEMENT)) &&
           span->limit >= span->start && span->limit <= span->start + size;
}

enum heap_span_state heap_decode_span(const struct layout *layout, const uint8_t *bytes,
                                      struct heap_span *ret)
{
    if (bytes[layout->mspan.state] != HEAP_SPAN_STATE_IN_USE) {
        return HEAP_SPAN_FREE;
    }
    uint64_t pages = bytes_u64(bytes + layout->mspan.npages);
    uint64_t count = layout->minor >= 22 ? bytes_u16(bytes + layout->mspan.nelems)
                                         : bytes_u64(bytes + layout->mspan.nelems);
    ret->start = bytes_u64(bytes + layout->mspan.start_addr);
    ret->element_size = bytes_u64(bytes + layout->mspan.elemsize);
    ret->limit = bytes_u64(bytes + layout->mspan.limit);
    ret->specials = bytes_u64(bytes + layout->mspan.specials);
    bool user_arena = layout->mspan.is_user_arena_chunk != LAYOUT_ABSENT &&
                      bytes[layout->mspan.is_user_arena_chunk] != 0;
    if (layout->mspan.large_type != LAYOUT_ABSENT) {
        ret->large_type = bytes_u64(bytes + layout->mspan.large_type);
    }
    if (layout->mspan.pinner_bits != LAYOUT_ABSENT) {
        ret->pins = bytes_u64(bytes + layout->mspan.pinner_bits);
    }
    if (!heap_is_span(ret, pages, count)) {
        return HEAP_SPAN_ODD;
    }
    ret->pages = (uint32_t)pages;
    ret->object_count = (uint32_t)count;
    ret->limit = ret->start + count * ret->element_size;
    ret->reciprocal = heap_reciprocal(ret->element_size, count);
    ret->map = (uint8_t)heap_map_of(layout->minor, bytes[layout->mspan.spanclass],
                                    ret->element_size, user_arena);
    return HEAP_SPAN_IN_USE;
}

/* Decodes one mspan into the table when it is in use and makes sense. */
static struct error *heap_visit_span(void *context, const struct gather_item *item,
                                     const uint8_t *bytes)
{
    struct heap_reading *reading = context;
    struct heap *heap = reading->heap;
    struct heap_span span = {.address = item->address};
    enum heap_span_state state =
        bytes == NULL ? HEAP_SPAN_ODD : heap_decode_span(reading->layout, bytes, &span);
    if (state == HEAP_SPAN_ODD) {
        heap->odd_spans++;
    } else if (state == HEAP_SPAN_IN_USE && heap->span_count < reading->capacity) {
        heap->spans[heap->span_count++] = span;
    }
    return NULL;
}

struct error *heap_span_list(struct goruntime *runtime, uint64_t *ret, size_t *count_ret)
{
    const struct layout *layout = runtime->layout;
    if (runtime->globals.mheap == 0) {
        return error_create(ERROR_NOT_FOUND, "the runtime's heap (mheap_) was not found");
    }
    uint8_t slice[16];
    TRY(target_read(runtime->target,
                    runtime->globals.mheap + (uint64_t)(uint32_t)layout->mheap.allspans, slice,
                    sizeof slice));
    uint64_t count = bytes_u64(slice + 8);
    if (count > HEAP_SPANS_MAX) {
        return error_create(ERROR_CORRUPT, "mheap_.allspans holds %llu spans",
                            (unsigned long long)count);
    }
    *ret = bytes_u64(slice);
    *count_ret = (size_t)count;
    return NULL;
}

struct error *heap_span_pointers(struct goruntime *runtime, uint8_t **owned_ret,
                                 const uint8_t **ret, size_t *count_ret)
{
    uint64_t array = 0;
    size_t count = 0;
    TRY(heap_span_list(runtime, &array, &count));
    *owned_ret = NULL;
    *ret = target_view(runtime->target, array, count * 8);
    if (*ret == NULL) {
        CLEANUP_FREE uint8_t *owned = malloc(count * 8 + 1);
        if (owned == NULL) {
            return error_no_memory();
        }
        TRY(target_read(runtime->target, array, owned, count * 8));
        *ret = *owned_ret = TAKE(owned);
    }
    *count_ret = count;
    return NULL;
}

struct error *heap_span_addresses(struct goruntime *runtime, struct gather_item **ret,
                                  size_t *count_ret)
{
    CLEANUP_FREE uint8_t *owned = NULL;
    const uint8_t *pointers = NULL;
    size_t count = 0;
    TRY(heap_span_pointers(runtime, &owned, &pointers, &count));
    struct gather_item *items = malloc(count * sizeof *items + 1);
    if (items == NULL) {
        return error_no_memory();
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t address = bytes_u64(pointers + i * 8);
        if (address != 0) {
            items[kept++] = (struct gather_item){address, i};
        }
    }
    *ret = items;
    *count_ret = kept;
    return NULL;
}

/* Frees the table of spans. */
static void heap_free_spans(struct heap *heap)
{
    large_free(heap->spans, heap->span_capacity * sizeof *heap->spans);
    heap->spans = NULL;
}

/* Orders the spans by address, leaves out those that overlap one before, numbers their objects. */
static struct error *heap_order_spans(struct heap *heap)
{
    size_t count = heap->span_count;
    CLEANUP_FREE struct gather_item *order = reallocarray(NULL, 2 * count + 1, sizeof *order);
    struct heap_span *spans = large_allocate((count + 1) * sizeof *spans);
    if (order == NULL || spans == NULL) {
        large_free(spans, (count + 1) * sizeof *spans);
        return error_no_memory();
    }
    for (size_t i = 0; i < count; i++) {
        order[i] = (struct gather_item){heap->spans[i].start, i};
    }
    gather_sort(order, order + count, count);
    uint64_t end = 0;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct heap_span span = heap->spans[order[i].tag];
        if (span.start < end) {
            heap->odd_spans++;
            continue;
        }
        end = span.start + ((uint64_t)span.pages << HEAP_PAGE_SHIFT);
        span.first_object = heap->object_count;
        heap->object_count += span.object_count;
        spans[kept++] = span;
    }
    heap_free_spans(heap);
    heap->spans = spans;
    heap->span_capacity = count + 1;
    heap->span_count = kept;
    if (kept > 0) {
        heap->lowest = spans[0].start;
        heap->highest = end;
    }
    return NULL;
}

/* Reads all spans in use into HEAP, sorted by address and numbered. */
static struct error *heap_read_spans(struct heap *heap)
{
    struct goruntime *runtime = heap->runtime;
    CLEANUP_FREE struct gather_item *items = NULL;
    size_t count = 0;
    TRY(heap_span_addresses(runtime, &items, &count));
    heap->span_capacity = count + 1;
    heap->spans = large_allocate(heap->span_capacity * sizeof *heap->spans);
    if (heap->spans == NULL) {
        return error_no_memory();
    }
    struct heap_reading reading = {heap, runtime->layout, count};
    TRY(gather_visit(runtime->target, items, count, (size_t)runtime->layout->mspan.size,
                     heap_visit_span, &reading));
    return heap_order_spans(heap);
}

/* Fetches the heapArena of ARENA (number NUMBER): its address, and its bitmap up to 1.21. */
static struct error *heap_read_arena(struct heap *heap, uint64_t l2, uint64_t number,
                                     struct heap_arena *arena)
{
    const struct layout *layout = heap->runtime->layout;
    struct target *target = heap->runtime->target;
    uint64_t index = heap_arena_index(layout, number);
    uint8_t word[8];
    TRY(target_read(target, l2 + index * 8, word, sizeof word));
    arena->metadata = bytes_u64(word);
    if (arena->metadata == 0) {
        return error_create(ERROR_CORRUPT, "a span lies in arena 0x%llx, which the heap has not",
                            (unsigned long long)(number << HEAP_ARENA_SHIFT));
    }
    int32_t marks = layout->heap_arena.page_use_span_inline_mark_bits;
    if (marks != LAYOUT_ABSENT) {
        TRY(target_read(target, arena->metadata + (uint64_t)(uint32_t)marks, arena->inline_marks,
                        sizeof arena->inline_marks));
    }
    if (layout->heap_arena.bitmap == LAYOUT_ABSENT || layout->minor > 21) {
        return NULL;
    }
    size_t size = (size_t)layout->heap_arena.spans; /* bitmaps stand before spans */
    arena->bitmap = target_view(target, arena->metadata, size);
    if (arena->bitmap == NULL) {
        arena->owned = malloc(size);
        if (arena->owned == NULL) {
            return error_no_memory();
        }
        TRY(target_read(target, arena->metadata, arena->owned, size));
        arena->bitmap = arena->owned;
    }
    return NULL;
}

/* Counts the arenas that hold spans; with ASSIGN also gives each its place. */
static size_t heap_count_arenas(struct heap *heap, bool assign)
{
    uint64_t next = 0;
    size_t count = 0;
    for (size_t i = 0; i < heap->span_count; i++) {
        const struct heap_span *span = &heap->spans[i];
        uint64_t end = span->start + ((uint64_t)span->pages << HEAP_PAGE_SHIFT) - 1;
        uint64_t number = (span->start >> HEAP_ARENA_SHIFT) - heap->first_arena;
        uint64_t last = (end >> HEAP_ARENA_SHIFT) - heap->first_arena;
        for (number = number < next ? next : number; number <= last; number++) {
            if (assign) {
                heap->arenas[number] = &heap->arena_store[count];
            }
            count++;
            next = number + 1;
        }
    }
    return count;
}

/* Makes room for the arenas that hold spans. */
static struct error *heap_place_arenas(struct heap *heap)
{
    heap->arena_store_count = heap_count_arenas(heap, false);
    heap->arena_store = large_allocate(heap->arena_store_count * sizeof *heap->arena_store);
    if (heap->arena_store == NULL) {
        return error_no_memory();
    }
    (void)heap_count_arenas(heap, true);
    return NULL;
}

/* Page PAGE of SPAN, number INDEX. What heap_visit_span lets pass fits the fields: a span of
 * several objects has at most HEAP_SHARED_SPAN bytes, and an address space less than 2^46 words. */
static struct heap_page heap_page_make(const struct heap_span *span, uint32_t index, uint64_t page)
{
    struct heap_page made = {.first = span->first_object & ((UINT64_C(1) << 46) - 1),
                             .span = index + 1,
                             .reciprocal = span->reciprocal};
    if (span->reciprocal != 0) {
        made.before = page & 15;
        made.objects = (span->object_count - 1) & 0x3fff;
        return made;
    }
    uint64_t words = (span->limit - span->start) / 8;
    uint64_t before = page << (HEAP_PAGE_SHIFT - 3);
    uint64_t left = words > before ? words - before : 0;
    made.objects = left < 1 << (HEAP_PAGE_SHIFT - 3) ? left & 0x3fff : 1 << (HEAP_PAGE_SHIFT - 3);
    return made;
}

/* Builds the page table over all spans. */
static struct error *heap_index_pages(struct heap *heap)
{
    const struct layout *layout = heap->runtime->layout;
    if (heap->span_count == 0) {
        return NULL;
    }
    heap->first_arena = heap->lowest >> HEAP_ARENA_SHIFT;
    uint64_t count = ((heap->highest - 1) >> HEAP_ARENA_SHIFT) - heap->first_arena + 1;
    if (count > HEAP_ARENAS_MAX) {
        return error_create(ERROR_CORRUPT, "spans lie %llu arenas apart",
                            (unsigned long long)count);
    }
    heap->arenas = calloc(count, sizeof *heap->arenas);
    if (heap->arenas == NULL) {
        return error_no_memory();
    }
    heap->arena_count = count;
    TRY(heap_place_arenas(heap));
    uint8_t word[8];
    TRY(target_read(heap->runtime->target,
                    heap->runtime->globals.mheap + (uint64_t)(uint32_t)layout->mheap.arenas, word,
                    sizeof word));
    uint64_t l2 = bytes_u64(word);
    for (size_t i = 0; i < heap->span_count; i++) {
        const struct heap_span *span = &heap->spans[i];
        for (uint64_t page = 0; page < span->pages; page++) {
            uint64_t address = span->start + (page << HEAP_PAGE_SHIFT);
            uint64_t number = (address >> HEAP_ARENA_SHIFT) - heap->first_arena;
            if (!heap->arenas[number]->known) {
                heap->arenas[number]->known = true;
                TRY(heap_read_arena(heap, l2, number + heap->first_arena, heap->arenas[number]));
            }
            heap->arenas[number]->pages[(address >> HEAP_PAGE_SHIFT) % HEAP_ARENA_PAGES] =
                heap_page_make(span, (uint32_t)i, page);
        }
    }
    return NULL;
}

/* True when the span's first page is marked as holding inline mark bits (Green Tea, 1.25 on). */
static bool heap_has_inline_marks(const struct heap *heap, const struct heap_span *span)
{
    const struct heap_arena *arena =
        heap->arenas[(span->start >> HEAP_ARENA_SHIFT) - heap->first_arena];
    uint64_t page = (span->start >> HEAP_PAGE_SHIFT) % HEAP_ARENA_PAGES;
    return (arena->inline_marks[page / 8] >> page % 8 & 1) != 0;
}

/* Points every span at its bytes and pointer bits in our memory; without bits it becomes
 * conservative. */
static void heap_attach_views(struct heap *heap)
{
    for (size_t i = 0; i < heap->span_count; i++) {
        struct heap_span *span = &heap->spans[i];
        size_t size = (size_t)span->pages << HEAP_PAGE_SHIFT;
        if (span->map != HEAP_MAP_NONE) {
            span->view = target_view(heap->runtime->target, span->start, size);
        }
        if (span->map != HEAP_MAP_SPAN_BITS) {
            continue;
        }
        size_t bitmap = size / 64;
        size_t tail = bitmap + (heap_has_inline_marks(heap, span) ? HEAP_INLINE_MARK_BYTES : 0);
        if (span->view == NULL || tail >= size || span->limit > span->start + size - tail) {
            span->map = HEAP_MAP_CONSERVATIVE;
            continue;
        }
        span->bits = span->view + size - tail;
    }
}

struct error *heap_create(struct goruntime *runtime, struct heap **ret)
{
    struct heap *heap = calloc(1, sizeof *heap);
    if (heap == NULL) {
        return error_no_memory();
    }
    heap->runtime = runtime;
    pthread_mutex_init(&heap->type_lock, NULL);
    struct error *error = heap_read_spans(heap);
    if (error == NULL) {
        error = heap_index_pages(heap);
    }
    if (error != NULL) {
        heap_destroy(heap);
        return error_wrap(error, "heap");
    }
    heap_attach_views(heap);
    *ret = heap;
    return NULL;
}

void heap_destroy(struct heap *heap)
{
    if (heap == NULL) {
        return;
    }
    for (size_t i = 0; heap->arena_store != NULL && i < heap->arena_store_count; i++) {
        free(heap->arena_store[i].owned);
    }
    large_free(heap->arena_store, heap->arena_store_count * sizeof *heap->arena_store);
    pthread_mutex_destroy(&heap->type_lock);
    free(heap->arenas);
    heap_free_spans(heap);
    free(heap);
}

uint64_t heap_object_count(const struct heap *heap)
{
    return heap->object_count;
}

const struct heap_span *heap_spans(const struct heap *heap, size_t *count)
{
    *count = heap->span_count;
    return heap->spans;
}

size_t heap_odd_spans(const struct heap *heap)
{
    return heap->odd_spans;
}

bool heap_find(const struct heap *heap, uint64_t address, struct heap_object *ret)
{
    const struct heap_span *span = heap_span_of(heap, address);
    if (span == NULL || address >= span->limit) {
        return false;
    }
    uint64_t index = heap_index_in_span(span, address);
    *ret = (struct heap_object){
        .address = span->start + index * span->element_size,
        .size = span->element_size,
        .number = span->first_object + index,
        .span = (uint32_t)(span - heap->spans),
        .noscan = span->map == HEAP_MAP_NONE,
    };
    return true;
}
