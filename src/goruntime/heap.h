/* Go's heap from outside: which object holds an address, and which words of it are pointers. */
#ifndef UNPARK_GORUNTIME_HEAP_H
#define UNPARK_GORUNTIME_HEAP_H

#include "goruntime/goruntime.h"
#include "target/copy.h"

struct heap;

/* One span in use. */
struct heap_span {
    uint64_t start, limit;  /* objects lie in [start, limit) */
    uint64_t element_size;
    uint64_t address;       /* of the mspan */
    uint64_t specials;      /* head of its list of specials, 0 none */
    uint64_t large_type;    /* type of a one-object span (1.22 on), 0 unknown */
    uint64_t first_object;  /* number of its first object; objects are numbered through all spans */
    uint32_t object_count;
    uint32_t pages;
    bool noscan;
    bool user_arena;
    bool inline_mark_bits;  /* Green Tea: the pointer bitmap ends 128 bytes before the span's end */
};

/* One object. */
struct heap_object {
    uint64_t address;
    uint64_t size;
    uint64_t number; /* dense over the heap: index for mark bits */
    uint32_t span;   /* index of its span */
    bool noscan;
};

/* What a consistent view has to copy, from a first look without a stop: ranges of spans in use that hold
 * pointers, data and bss of every module, and used stacks. *RET is the caller's array; *BYTES_RET their sum
 * with a margin for growth. */
NODISCARD struct error *heap_survey(struct goruntime *runtime, struct copy_range **ret,
                                    size_t *count_ret, uint64_t *bytes_ret);

/* Reads the span table of RUNTIME (whose target is a copy, a core or a memory target that holds still).
 * ERROR_CORRUPT when spans contradict each other. */
NODISCARD struct error *heap_create(struct goruntime *runtime, struct heap **ret);
void heap_destroy(struct heap *heap);

/* All objects, in use or free: numbers run below this. */
uint64_t heap_object_count(const struct heap *heap);

const struct heap_span *heap_spans(const struct heap *heap, size_t *count);

/* The object that holds ADDRESS; false when it lies in no heap object (stack, global, freed span, the tail
 * of a span, garbage). An object that is not allocated counts as found: harmless for marking. */
bool heap_find(const struct heap *heap, uint64_t address, struct heap_object *ret);

/* Receives one pointer-sized word of an object or root: where it stands, and its value. */
typedef void heap_visitor(void *context, uint64_t slot, uint64_t value);

/* Visits every word of OBJECT that its type says is a pointer (non-nil); words whose type is not known
 * are visited all (conservative). False when bytes of it could not be read: what it points to is unknown. */
bool heap_scan(const struct heap *heap, const struct heap_object *object, heap_visitor *visitor,
               void *context);

#endif
