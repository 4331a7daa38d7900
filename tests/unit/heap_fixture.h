/* A made-up Go heap for tests of the goruntime room: spans, their mspans and pointer maps as a row
 * of the layout table wants them, in a memory target. The heap's pages lie around a border between
 * two arenas. heap_fixture_create, heap_fixture_span and so on, then heap_fixture_open. */
#ifndef UNPARK_TESTS_UNIT_HEAP_FIXTURE_H
#define UNPARK_TESTS_UNIT_HEAP_FIXTURE_H

#include "goruntime/heap_internal.h"
#include "goruntime/internal.h"
#include "image/module.h"
#include "support.h"

#define HEAP_FIXTURE_TYPES UINT64_C(0x500000)
#define HEAP_FIXTURE_MHEAP UINT64_C(0x600000)
#define HEAP_FIXTURE_LIST UINT64_C(0x700000)
#define HEAP_FIXTURE_MSPANS UINT64_C(0x800000)
#define HEAP_FIXTURE_BORDER UINT64_C(0xc004000000)
#define HEAP_FIXTURE_START (HEAP_FIXTURE_BORDER - (HEAP_FIXTURE_PAGES / 2 << HEAP_PAGE_SHIFT))
#define HEAP_FIXTURE_L2 UINT64_C(0x7e0000000000)
#define HEAP_FIXTURE_META UINT64_C(0x7f0000000000)

enum {
    HEAP_FIXTURE_PAGES = 1024,
    HEAP_FIXTURE_SPANS = 2048,
    HEAP_FIXTURE_MSPAN = 256,          /* bytes from one mspan to the next */
    HEAP_FIXTURE_SMALL = 0x20000,      /* bytes of each of the small regions */
    HEAP_FIXTURE_META_SIZE = 16 << 20, /* room for one heapArena */
    HEAP_FIXTURE_PIECES = 8
};

/* From this offset into the heap's bytes on it is mapped so. */
struct heap_fixture_piece {
    uint64_t offset;
    bool readable;
};

struct heap_fixture {
    uint8_t types[HEAP_FIXTURE_SMALL];
    uint8_t mheap[HEAP_FIXTURE_SMALL];
    uint64_t list[HEAP_FIXTURE_SPANS];
    uint8_t mspans[HEAP_FIXTURE_SPANS * HEAP_FIXTURE_MSPAN];
    uint64_t l2[2];
    uint8_t heap[HEAP_FIXTURE_PAGES << HEAP_PAGE_SHIFT];
    uint8_t *meta[2]; /* heapArenas */
    size_t type_bytes;
    size_t span_count;
    struct heap_fixture_piece pieces[HEAP_FIXTURE_PIECES]; /* by offset; none: all readable */
    size_t piece_count;
    struct target *target;
    struct image image;
    struct goruntime runtime;
};

/* The address of heap page NUMBER. */
static inline uint64_t heap_fixture_page(uint64_t number)
{
    return HEAP_FIXTURE_START + (number << HEAP_PAGE_SHIFT);
}

/* Our bytes behind heap ADDRESS, SIZE of them. */
static inline uint8_t *heap_fixture_bytes(struct heap_fixture *fixture, uint64_t address,
                                          size_t size)
{
    uint64_t offset = address - HEAP_FIXTURE_START;
    if (offset > sizeof fixture->heap || size > sizeof fixture->heap - offset) {
        fail_msg("0x%llx is outside of the heap", (unsigned long long)address);
        return fixture->heap;
    }
    return fixture->heap + offset;
}

/* Writes one word of the heap. */
static inline void heap_fixture_store(struct heap_fixture *fixture, uint64_t slot, uint64_t value)
{
    memcpy(heap_fixture_bytes(fixture, slot, 8), &value, 8);
}

/* An empty heap as Go 1.MINOR lays it out. */
static inline struct heap_fixture *heap_fixture_create(int minor)
{
    struct heap_fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    const struct layout *layout = layout_find(minor, LAYOUT_MACHINE_AMD64);
    assert_non_null(layout);
    assert_true(layout->mheap.arenas + 8 <= HEAP_FIXTURE_SMALL);
    assert_true(layout->mspan.size <= HEAP_FIXTURE_MSPAN);
    fixture->runtime.layout = layout;
    fixture->runtime.globals.mheap = HEAP_FIXTURE_MHEAP;
    for (size_t i = 0; i < 2; i++) {
        fixture->meta[i] = calloc(1, HEAP_FIXTURE_META_SIZE);
        assert_non_null(fixture->meta[i]);
        fixture->l2[i] = HEAP_FIXTURE_META + i * HEAP_FIXTURE_META_SIZE;
    }
    return fixture;
}

/* Our byte for field OFFSET of the mspan with this INDEX. */
static inline uint8_t *heap_fixture_mspan(struct heap_fixture *fixture, size_t index,
                                          int32_t offset)
{
    assert_true(offset >= 0);
    return fixture->mspans + index * HEAP_FIXTURE_MSPAN + offset;
}

/* Adds a span in use: COUNT elements of SIZE bytes from page PAGE on. Returns its index. */
static inline size_t heap_fixture_span(struct heap_fixture *fixture, uint64_t page, uint64_t pages,
                                       uint64_t size, uint64_t count, uint8_t spanclass)
{
    const struct layout *layout = fixture->runtime.layout;
    size_t index = fixture->span_count++;
    assert_true(index < HEAP_FIXTURE_SPANS);
    uint64_t start = heap_fixture_page(page);
    uint64_t limit = start + size * count;
    fixture->list[index] = HEAP_FIXTURE_MSPANS + index * HEAP_FIXTURE_MSPAN;
    memcpy(heap_fixture_mspan(fixture, index, layout->mspan.start_addr), &start, 8);
    memcpy(heap_fixture_mspan(fixture, index, layout->mspan.npages), &pages, 8);
    memcpy(heap_fixture_mspan(fixture, index, layout->mspan.nelems), &count,
           layout->minor >= 22 ? 2 : 8);
    memcpy(heap_fixture_mspan(fixture, index, layout->mspan.limit), &limit, 8);
    memcpy(heap_fixture_mspan(fixture, index, layout->mspan.elemsize), &size, 8);
    *heap_fixture_mspan(fixture, index, layout->mspan.spanclass) = spanclass;
    *heap_fixture_mspan(fixture, index, layout->mspan.state) = 1;
    return index;
}

/* Says in the arena's bitmap (up to 1.21) that the word at ADDRESS belongs to an object's
 * pointer-bearing part, and whether it is a pointer. */
static inline void heap_fixture_arena_bit(struct heap_fixture *fixture, uint64_t address,
                                          bool pointer)
{
    uint8_t *bitmap = fixture->meta[address >= HEAP_FIXTURE_BORDER];
    uint64_t word = address % (UINT64_C(1) << HEAP_ARENA_SHIFT) / 8;
    if (fixture->runtime.layout->minor <= 19) {
        uint8_t bits = pointer ? 0x11 : 0x10;
        bitmap[word / 4] |= (uint8_t)(bits << word % 4);
    } else if (pointer) {
        bitmap[word / 8] |= (uint8_t)(1 << word % 8);
    }
}

/* Says in the bits at the span's end (1.22 on) that the word at ADDRESS is a pointer; the span has
 * PAGES pages from page PAGE on, of which the last TAIL bytes hold something else. */
static inline void heap_fixture_span_bit(struct heap_fixture *fixture, uint64_t page,
                                         uint64_t pages, uint64_t tail, uint64_t address)
{
    uint64_t start = heap_fixture_page(page);
    uint64_t size = pages << HEAP_PAGE_SHIFT;
    uint64_t word = (address - start) / 8;
    *heap_fixture_bytes(fixture, start + size - tail - size / 64 + word / 8, 1) |=
        (uint8_t)(1 << word % 8);
}

/* Adds a type of SIZE bytes whose first WORDS words are pointers where MASK has bits. */
static inline uint64_t heap_fixture_type(struct heap_fixture *fixture, uint64_t size,
                                         uint64_t words, const uint8_t *mask)
{
    const struct layout *layout = fixture->runtime.layout;
    uint8_t *bytes = fixture->types + fixture->type_bytes;
    uint64_t address = HEAP_FIXTURE_TYPES + fixture->type_bytes;
    uint64_t mask_address = address + 64;
    uint64_t pointers = words * 8;
    size_t mask_size = (size_t)(words + 7) / 8;
    fixture->type_bytes += (64 + mask_size + 7) & ~(size_t)7;
    assert_true(fixture->type_bytes <= sizeof fixture->types);
    memcpy(bytes + layout->type.bytes, &size, 8);
    memcpy(bytes + layout->type.ptrdata, &pointers, 8);
    memcpy(bytes + layout->type.gcdata, &mask_address, 8);
    memcpy(bytes + 64, mask, mask_size);
    return address;
}

/* Appends one mapping. */
static inline void heap_fixture_map(struct target_mapping *mappings, const uint8_t **bytes,
                                    size_t *count, uint64_t start, const void *data, size_t size,
                                    bool readable)
{
    mappings[*count] = (struct target_mapping){
        .start = start,
        .end = start + size,
        .permissions = readable ? TARGET_PERMISSION_READ | TARGET_PERMISSION_WRITE : 0,
        .path = ""};
    bytes[(*count)++] = data;
}

/* Opens the target over what was built, all spans listed. */
static inline void heap_fixture_open(struct heap_fixture *fixture)
{
    struct target_mapping mappings[HEAP_FIXTURE_PIECES + 8];
    const uint8_t *bytes[HEAP_FIXTURE_PIECES + 8];
    size_t count = 0;
    const struct layout *layout = fixture->runtime.layout;
    const uint64_t slice[3] = {HEAP_FIXTURE_LIST, fixture->span_count, HEAP_FIXTURE_SPANS};
    const uint64_t l2 = HEAP_FIXTURE_L2;
    memcpy(fixture->mheap + layout->mheap.allspans, slice, sizeof slice);
    memcpy(fixture->mheap + layout->mheap.arenas, &l2, sizeof l2);
    heap_fixture_map(mappings, bytes, &count, HEAP_FIXTURE_TYPES, fixture->types,
                     sizeof fixture->types, true);
    heap_fixture_map(mappings, bytes, &count, HEAP_FIXTURE_MHEAP, fixture->mheap,
                     sizeof fixture->mheap, true);
    heap_fixture_map(mappings, bytes, &count, HEAP_FIXTURE_LIST, fixture->list,
                     sizeof fixture->list, true);
    heap_fixture_map(mappings, bytes, &count, HEAP_FIXTURE_MSPANS, fixture->mspans,
                     sizeof fixture->mspans, true);
    if (fixture->piece_count == 0) {
        fixture->pieces[fixture->piece_count++] = (struct heap_fixture_piece){0, true};
    }
    for (size_t i = 0; i < fixture->piece_count; i++) {
        uint64_t from = fixture->pieces[i].offset;
        uint64_t to =
            i + 1 < fixture->piece_count ? fixture->pieces[i + 1].offset : sizeof fixture->heap;
        heap_fixture_map(mappings, bytes, &count, HEAP_FIXTURE_START + from, fixture->heap + from,
                         to - from, fixture->pieces[i].readable);
    }
    uint64_t index = heap_arena_index(layout, (HEAP_FIXTURE_BORDER >> HEAP_ARENA_SHIFT) - 1);
    heap_fixture_map(mappings, bytes, &count, HEAP_FIXTURE_L2 + index * 8, fixture->l2,
                     sizeof fixture->l2, true);
    for (size_t i = 0; i < 2; i++) {
        heap_fixture_map(mappings, bytes, &count, HEAP_FIXTURE_META + i * HEAP_FIXTURE_META_SIZE,
                         fixture->meta[i], HEAP_FIXTURE_META_SIZE, true);
    }
    assert_success(
        target_open_memory(TARGET_MACHINE_AMD64, mappings, bytes, count, &fixture->target));
    fixture->image.target = fixture->target;
    assert_success(memory_init(&fixture->image.memory, fixture->target));
    fixture->runtime.target = fixture->target;
    fixture->runtime.image = &fixture->image;
}

/* Frees everything. */
static inline void heap_fixture_destroy(struct heap_fixture *fixture)
{
    memory_deinit(&fixture->image.memory);
    target_destroy(fixture->target);
    free(fixture->meta[0]);
    free(fixture->meta[1]);
    free(fixture);
}

#endif
