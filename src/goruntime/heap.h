/* Go's heap from outside: which object holds an address, and which words of it are pointers. */
#ifndef UNPARK_GORUNTIME_HEAP_H
#define UNPARK_GORUNTIME_HEAP_H

#include "goruntime/goruntime.h"
#include "target/copy.h"

struct heap;

/* How the pointer words of a span's objects are known. */
enum heap_map {
    HEAP_MAP_NONE,         /* no pointers at all (noscan) */
    HEAP_MAP_CONSERVATIVE, /* nothing known: every word may be one */
    HEAP_MAP_SPAN_BITS,    /* 1.22 on, small: one bit a word at the span's end */
    HEAP_MAP_HEADER,       /* 1.22 on, middle: the object's first word is its type */
    HEAP_MAP_LARGE_TYPE,   /* 1.22 on, one object: mspan.largeType */
    HEAP_MAP_ARENA_BITS,   /* 1.20 and 1.21: heapArena.bitmap, one bit a word, with noMorePtrs */
    HEAP_MAP_ARENA_PAIRS   /* 1.18 and 1.19: heapArena.bitmap, two bits a word */
};

/* One span in use. What marking needs comes first and fills one line of the processor's cache. */
struct heap_span {
    _Alignas(64) uint64_t start;
    uint64_t limit; /* objects lie in [start, limit) */
    uint64_t element_size;
    uint64_t first_object; /* number of its first object; objects are numbered through all spans */
    const uint8_t *view;   /* its bytes [start, end of its pages) in our memory, or NULL */
    const uint8_t *bits;   /* HEAP_MAP_SPAN_BITS: its pointer bits in our memory */
    uint32_t object_count;
    uint32_t pages;
    uint32_t reciprocal; /* ceil(2^32 / element_size); 0 for a span of one object */
    uint8_t map;         /* enum heap_map */
    uint64_t address;    /* of the mspan */
    uint64_t specials;   /* head of its list of specials, 0 none */
    uint64_t pins;       /* bits of its pinned objects, 0 none */
    uint64_t large_type; /* type of a one-object span (1.22 on), 0 unknown */
};

/* One object. */
struct heap_object {
    uint64_t address;
    uint64_t size;
    uint64_t number; /* dense over the heap: index for mark bits */
    uint32_t span;   /* index of its span */
    bool noscan;
};

/* Reads the span table of RUNTIME, whose target should be a copy, a core or a memory target (bytes
 * that hold still and can be viewed). Spans that make no sense are left out and counted. */
NODISCARD struct error *heap_create(struct goruntime *runtime, struct heap **ret);
void heap_destroy(struct heap *heap);

/* All objects, in use or free: numbers run below this. */
uint64_t heap_object_count(const struct heap *heap);

/* Spans that were left out; not 0 means that the heap is not wholly known. */
size_t heap_odd_spans(const struct heap *heap);

/* The spans in order of address, *COUNT of them; live as long as HEAP. */
const struct heap_span *heap_spans(const struct heap *heap, size_t *count);

/* The object that holds ADDRESS; false when it lies in no heap object (stack, global, freed span,
 * the tail of a span, garbage). An object that is not allocated counts as found: harmless for
 * marking. */
bool heap_find(const struct heap *heap, uint64_t address, struct heap_object *ret);

/* Receives one pointer-sized word of an object or root: where it stands, and its value. */
typedef void heap_visitor(void *context, uint64_t slot, uint64_t value);

/* The types that one thread has met while scanning; a cache. */
struct heap_types;
NODISCARD struct error *heap_types_create(const struct heap *heap, struct heap_types **ret);
void heap_types_destroy(struct heap_types *types);

/* Visits every word of OBJECT that its type says is a pointer (non-nil); words whose type is not
 * known are visited all (conservative). False when bytes of it could not be read: what it points to
 * is unknown. TYPES belongs to the calling thread. */
bool heap_scan(const struct heap *heap, struct heap_types *types, const struct heap_object *object,
               heap_visitor *visitor, void *context);

#endif
