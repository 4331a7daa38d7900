/* The span table behind struct heap, for heap*.c and mark.c. */
#ifndef UNPARK_GORUNTIME_HEAP_INTERNAL_H
#define UNPARK_GORUNTIME_HEAP_INTERNAL_H

#include "goruntime/heap.h"
#include "target/gather.h"
#include <pthread.h>

/* Sizes of Go's heap on 64-bit Linux, equal in 1.18 to 1.27 (runtime/malloc.go). */
enum {
    HEAP_PAGE_SHIFT = 13,
    HEAP_ARENA_SHIFT = 26,
    HEAP_ARENA_PAGES = 1 << (HEAP_ARENA_SHIFT - HEAP_PAGE_SHIFT),
    HEAP_SPAN_BITS_MAX = 512 /* largest element whose pointer bits stand in the span */
};

/* One page of the heap: all that marking needs to find the object that an address in it lies in. */
struct heap_page {
    uint64_t first : 46;   /* number of its span's first object */
    uint64_t before : 4;   /* pages of a span of several objects that come before it */
    uint64_t objects : 14; /* objects of the span - 1; of a span of one: words of it in the page */
    uint32_t span;         /* index of the span + 1, 0 none */
    uint32_t reciprocal;   /* of the span */
};

/* One 64 MiB arena. */
struct heap_arena {
    bool known;            /* what follows has been asked for */
    uint64_t metadata;     /* address of its heapArena; 0 unknown */
    const uint8_t *bitmap; /* pointer bitmap up to 1.21, in our memory, or NULL */
    uint8_t *owned;        /* the same when it had to be copied */
    uint8_t inline_marks[HEAP_ARENA_PAGES / 8]; /* pageUseSpanInlineMarkBits, 1.25 on */
    struct heap_page pages[HEAP_ARENA_PAGES];
};

struct heap {
    struct goruntime *runtime;
    struct heap_span *spans;
    size_t span_count, span_capacity;
    size_t odd_spans; /* left out: unreadable, senseless or overlapping */
    uint64_t object_count;
    uint64_t first_arena;       /* number (address >> 26) of arenas[0] */
    struct heap_arena **arenas; /* NULL where there is none */
    size_t arena_count;
    struct heap_arena *arena_store; /* those that there are, in one piece */
    size_t arena_store_count;
    uint64_t lowest, highest;  /* all spans lie within */
    pthread_mutex_t type_lock; /* image and target reads of types */
};

/* Where mheap_.allspans of RUNTIME is, and how many pointers to mspans it holds. */
NODISCARD struct error *heap_span_list(struct goruntime *runtime, uint64_t *ret, size_t *count_ret);

/* The pointers of mheap_.allspans, *COUNT of them, where the target shows them in place, else in
 * *OWNED_RET, which is the caller's. */
NODISCARD struct error *heap_span_pointers(struct goruntime *runtime, uint8_t **owned_ret,
                                           const uint8_t **ret, size_t *count_ret);

/* The addresses of all mspans of RUNTIME, in use or not, each with its place in mheap_.allspans as
 * the tag; *RET is the caller's array. */
NODISCARD struct error *heap_span_addresses(struct goruntime *runtime, struct gather_item **ret,
                                            size_t *count_ret);

/* What an mspan says. */
enum heap_span_state { HEAP_SPAN_FREE, HEAP_SPAN_IN_USE, HEAP_SPAN_ODD };

/* Decodes the mspan in BYTES into *RET, but for its address; only when it is in use and makes
 * sense.
 */
enum heap_span_state heap_decode_span(const struct layout *layout, const uint8_t *bytes,
                                      struct heap_span *ret);

/* The page that holds ADDRESS, which lies between the lowest and the highest span; NULL when its
 * arena holds no span. */
static inline const struct heap_page *heap_page_of(const struct heap *heap, uint64_t address)
{
    const struct heap_arena *arena =
        heap->arenas[(address >> HEAP_ARENA_SHIFT) - heap->first_arena];
    return arena == NULL ? NULL : &arena->pages[(address >> HEAP_PAGE_SHIFT) % HEAP_ARENA_PAGES];
}

/* The number of the object of PAGE, which has a span, that holds ADDRESS; false when none does. */
static inline bool heap_page_number(const struct heap_page *page, uint64_t address, uint64_t *ret)
{
    uint64_t offset = address % (1 << HEAP_PAGE_SHIFT);
    if (page->reciprocal == 0) {
        *ret = page->first;
        return offset / 8 < page->objects;
    }
    uint64_t index =
        (((uint64_t)page->before << HEAP_PAGE_SHIFT) + offset) * page->reciprocal >> 32;
    *ret = page->first + index;
    return index <= page->objects;
}

/* The span that holds ADDRESS, or NULL. */
static inline const struct heap_span *heap_span_of(const struct heap *heap, uint64_t address)
{
    if (address - heap->lowest >= heap->highest - heap->lowest) {
        return NULL;
    }
    const struct heap_page *page = heap_page_of(heap, address);
    return page == NULL || page->span == 0 ? NULL : &heap->spans[page->span - 1];
}

/* SIZE bytes at ADDRESS in our memory, or NULL when they do not lie in one span that is held there
 * in one piece: reading them may still succeed. */
static inline const uint8_t *heap_view(const struct heap *heap, uint64_t address, size_t size)
{
    const struct heap_span *span = heap_span_of(heap, address);
    if (span == NULL || span->view == NULL) {
        return NULL;
    }
    uint64_t offset = address - span->start;
    uint64_t bytes = (uint64_t)span->pages << HEAP_PAGE_SHIFT;
    return offset <= bytes && bytes - offset >= size ? span->view + offset : NULL;
}

/* The entry of the arena table for arena NUMBER (address >> 26): amd64 begins at the negative half.
 */
static inline uint64_t heap_arena_index(const struct layout *layout, uint64_t number)
{
    uint64_t base = layout->machine == LAYOUT_MACHINE_AMD64 ? UINT64_C(0xffff800000000000) : 0;
    return ((number << HEAP_ARENA_SHIFT) - base) >> HEAP_ARENA_SHIFT;
}

/* The index of the object of SPAN that holds ADDRESS (start <= address < limit). */
static inline uint64_t heap_index_in_span(const struct heap_span *span, uint64_t address)
{
    return (address - span->start) * span->reciprocal >> 32;
}

#endif
