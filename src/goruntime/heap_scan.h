/* Walking the pointer words of one object; inline, so that marking pays no call per word. */
#ifndef UNPARK_GORUNTIME_HEAP_SCAN_H
#define UNPARK_GORUNTIME_HEAP_SCAN_H

#include "base/bytes.h"
#include "goruntime/heap_internal.h"
#include "goruntime/heap_types.h"

enum { HEAP_SCAN_PIECE = 64 << 10 };

/* Bytes of an object that is being scanned: in place, or read piece by piece into a buffer. */
struct heap_scan_bytes {
    const uint8_t *data;
    uint64_t address; /* of data */
    uint64_t size;
};

/* Eight mask bits at BIT of MASK, which has 8 readable bytes behind its last. */
static inline uint64_t heap_scan_bits(const uint8_t *mask, uint64_t bit)
{
    return bytes_u64(mask + bit / 8) >> bit % 8;
}

/* Visits word INDEX of BYTES unless it is nil. */
static inline void heap_scan_word(const struct heap_scan_bytes *bytes, uint64_t index,
                                  heap_visitor *visitor, void *context)
{
    uint64_t value = bytes_u64(bytes->data + index * 8);
    if (value != 0) {
        visitor(context, bytes->address + index * 8, value);
    }
}

/* Visits every word of BYTES. */
static inline void heap_scan_all(const struct heap_scan_bytes *bytes, heap_visitor *visitor,
                                 void *context)
{
    for (uint64_t i = 0; i < bytes->size / 8; i++) {
        heap_scan_word(bytes, i, visitor, context);
    }
}

/* Visits the words of BYTES by the bit mask whose bit FIRST stands for its first word. MASK_BYTES
 * bounds the mask. */
static inline void heap_scan_mask(const struct heap_scan_bytes *bytes, const uint8_t *mask,
                                  uint64_t mask_bytes, uint64_t first, heap_visitor *visitor,
                                  void *context)
{
    uint64_t words = bytes->size / 8;
    for (uint64_t i = 0; i < words;) {
        uint64_t bit = first + i;
        uint64_t step;
        uint64_t bits;
        if (bit / 8 + 8 <= mask_bytes) {
            bits = heap_scan_bits(mask, bit);
            step = 64 - bit % 8;
        } else if (bit / 8 < mask_bytes) {
            bits = (uint64_t)mask[bit / 8] >> bit % 8;
            step = 8 - bit % 8;
        } else {
            return;
        }
        step = step > words - i ? words - i : step;
        if (step < 64) {
            bits &= (UINT64_C(1) << step) - 1;
        }
        for (; bits != 0; bits &= bits - 1) {
            heap_scan_word(bytes, i + (uint64_t)__builtin_ctzll(bits), visitor, context);
        }
        i += step;
    }
}

/* Visits the words of BYTES, which start OFFSET bytes into a run of elements of TYPE. */
static inline void heap_scan_typed(const struct heap_scan_bytes *bytes,
                                   const struct heap_type *type, uint64_t offset,
                                   heap_visitor *visitor, void *context)
{
    if (type->size == 0) {
        heap_scan_all(bytes, visitor, context);
        return;
    }
    uint64_t end = bytes->size;
    uint64_t mask_bytes = (type->words + 7) / 8 + 8;
    for (uint64_t at = 0; at < end;) {
        uint64_t inside = (offset + at) % type->size;
        uint64_t left = type->size - inside;
        left = left > end - at ? end - at : left;
        uint64_t pointers = type->words * 8 > inside ? type->words * 8 - inside : 0;
        struct heap_scan_bytes element = {bytes->data + at, bytes->address + at,
                                          pointers > left ? left : pointers};
        heap_scan_mask(&element, type->mask, mask_bytes, inside / 8, visitor, context);
        at += left;
    }
}

#endif
