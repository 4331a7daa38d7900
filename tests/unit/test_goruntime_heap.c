#include "goruntime/heap.h"
#include "heap_fixture.h"

enum { SEEN_MAX = 4096 };

/* What a scan visited. */
struct seen {
    uint64_t slots[SEEN_MAX];
    uint64_t values[SEEN_MAX];
    size_t count;
};

static void see(void *context, uint64_t slot, uint64_t value)
{
    struct seen *seen = context;
    assert_true(seen->count < SEEN_MAX);
    seen->slots[seen->count] = slot;
    seen->values[seen->count++] = value;
}

/* Scans the object at ADDRESS; whether it could be read. */
static bool scan(const struct heap *heap, uint64_t address, struct seen *seen)
{
    struct heap_types *types = NULL;
    struct heap_object object;
    seen->count = 0;
    assert_true(heap_find(heap, address, &object));
    assert_success(heap_types_create(heap, &types));
    bool complete = heap_scan(heap, types, &object, see, seen);
    struct seen *again = calloc(1, sizeof *again);
    assert_int_equal(heap_scan(heap, types, &object, see, again), complete);
    assert_int_equal(again->count, seen->count); /* types come from the cache now */
    free(again);
    heap_types_destroy(types);
    return complete;
}

/* Fills the words of the object at ADDRESS with their own numbers + 1. */
static void fill(struct heap_fixture *fixture, uint64_t address, uint64_t size)
{
    for (uint64_t i = 0; i < size / 8; i++) {
        heap_fixture_store(fixture, address + i * 8, i + 1);
    }
}

static void test_objects_are_found_by_any_address_in_them(void **state)
{
    (void)state;
    static const int minors[] = {18, 19, 20, 21, 22, 24, 25, 27};
    for (size_t i = 0; i < sizeof minors / sizeof *minors; i++) {
        struct heap_fixture *fixture = heap_fixture_create(minors[i]);
        struct heap *heap = NULL;
        struct heap_object object;
        size_t count;
        /* Listed out of order, with an entry that is nil and one whose span is free. */
        heap_fixture_span(fixture, 20, 1, 48, 150, 2 << 1);
        heap_fixture_span(fixture, 10, 3, 3 << HEAP_PAGE_SHIFT, 1, 1);
        fixture->list[heap_fixture_span(fixture, 30, 1, 16, 512, 3 << 1)] = 0;
        *heap_fixture_mspan(fixture, heap_fixture_span(fixture, 31, 1, 16, 512, 3 << 1),
                            fixture->runtime.layout->mspan.state) = 0;
        heap_fixture_span(fixture, 511, 2, 1024, 16, 4 << 1 | 1); /* over the border */
        heap_fixture_open(fixture);
        assert_success(heap_create(&fixture->runtime, &heap));
        assert_int_equal(heap_odd_spans(heap), 0);
        assert_int_equal(heap_object_count(heap), 1 + 150 + 16);
        const struct heap_span *spans = heap_spans(heap, &count);
        assert_int_equal(count, 3);
        assert_int_equal(spans[0].start, heap_fixture_page(10));
        assert_int_equal(spans[1].start, heap_fixture_page(20));
        assert_int_equal(spans[2].start, heap_fixture_page(511));

        for (uint64_t byte = 0; byte < (uint64_t)150 * 48; byte++) {
            assert_true(heap_find(heap, heap_fixture_page(20) + byte, &object));
            assert_int_equal(object.address, heap_fixture_page(20) + byte / 48 * 48);
            assert_int_equal(object.number, 1 + byte / 48);
            assert_int_equal(object.size, 48);
            assert_int_equal(object.span, 1);
            assert_false(object.noscan);
        }
        assert_false(heap_find(heap, heap_fixture_page(20) + (uint64_t)150 * 48, &object));
        assert_false(heap_find(heap, heap_fixture_page(21), &object));
        assert_false(heap_find(heap, heap_fixture_page(20) - 1, &object));
        assert_true(heap_find(heap, heap_fixture_page(13) - 1, &object));
        assert_int_equal(object.address, heap_fixture_page(10));
        assert_true(object.noscan);
        assert_true(heap_find(heap, HEAP_FIXTURE_BORDER, &object));
        assert_int_equal(object.address, HEAP_FIXTURE_BORDER);
        assert_int_equal(object.number, 1 + 150 + 8);
        assert_true(heap_find(heap, HEAP_FIXTURE_BORDER - 1, &object));
        assert_int_equal(object.number, 1 + 150 + 7);
        const uint64_t nowhere[] = {0,
                                    1,
                                    heap_fixture_page(9),
                                    heap_fixture_page(30),
                                    heap_fixture_page(31),
                                    heap_fixture_page(513),
                                    UINT64_MAX,
                                    UINT64_C(0x800000c004000000),
                                    HEAP_FIXTURE_BORDER + (UINT64_C(1) << HEAP_ARENA_SHIFT)};
        for (size_t j = 0; j < sizeof nowhere / sizeof *nowhere; j++) {
            assert_false(heap_find(heap, nowhere[j], &object));
        }
        heap_destroy(heap);
        heap_fixture_destroy(fixture);
    }
}

static void test_every_size_of_element_divides_right(void **state)
{
    (void)state;
    struct heap_fixture *fixture = heap_fixture_create(24);
    uint64_t page = 0;
    size_t spans = 0;
    for (uint64_t size = 8; size <= 32768; size += size < 256 ? 8 : size / 16 / 8 * 8) {
        uint64_t pages = size <= 1024 ? 1 : size <= 8192 ? 4 : 16;
        if (page + pages > HEAP_FIXTURE_PAGES) {
            break;
        }
        heap_fixture_span(fixture, page, pages, size, (pages << HEAP_PAGE_SHIFT) / size, 3);
        page += pages;
        spans++;
    }
    heap_fixture_open(fixture);
    struct heap *heap = NULL;
    size_t count;
    assert_success(heap_create(&fixture->runtime, &heap));
    const struct heap_span *span = heap_spans(heap, &count);
    assert_int_equal(count, spans);
    assert_true(count > 60);
    for (size_t i = 0; i < count; i++) {
        for (uint64_t j = 0; j < span[i].object_count; j++) {
            struct heap_object object;
            uint64_t address = span[i].start + j * span[i].element_size;
            assert_true(heap_find(heap, address, &object));
            assert_int_equal(object.number, span[i].first_object + j);
            assert_true(heap_find(heap, address + span[i].element_size - 1, &object));
            assert_int_equal(object.number, span[i].first_object + j);
        }
    }
    heap_destroy(heap);
    heap_fixture_destroy(fixture);
}

/* Changes a good span so that it makes no sense. */
struct oddity {
    uint64_t page, pages, size, count;
    int64_t limit; /* added to what is right */
};

static void test_odd_spans_are_left_out_and_counted(void **state)
{
    (void)state;
    static const struct oddity oddities[] = {
        {100, 0, 48, 100, 0},
        {100, UINT64_C(1) << 32, 48, 100, 0},
        {100, UINT64_C(1) << 51, 48, 1, 0}, /* its bytes are 0 again */
        {100, UINT64_MAX, 48, 100, 0},
        {100, 1, 0, 100, 0},
        {100, 1, 8200, 1, 0},
        {100, 1, 48, 0, 0},
        {100, 1, 48, 171, 0},
        {100, 17, 48, 100, 0},  /* several objects in a span that large */
        {100, 16, 65528, 2, 0}, /* several objects that large */
        {100, 1, 44, 100, 0},   /* no size of an object */
        {100, 1, 48, 100, -4801},
        {100, 1, 48, 100, 8192},
    };
    for (size_t i = 0; i < sizeof oddities / sizeof *oddities; i++) {
        struct heap_fixture *fixture = heap_fixture_create(i % 2 == 0 ? 24 : 21);
        const struct layout *layout = fixture->runtime.layout;
        const struct oddity *odd = &oddities[i];
        struct heap *heap = NULL;
        struct heap_object object;
        heap_fixture_span(fixture, 5, 1, 48, 100, 2);
        size_t index = heap_fixture_span(fixture, odd->page, odd->pages, odd->size, odd->count, 2);
        uint64_t limit =
            heap_fixture_page(odd->page) + odd->size * odd->count + (uint64_t)odd->limit;
        memcpy(heap_fixture_mspan(fixture, index, layout->mspan.limit), &limit, 8);
        heap_fixture_open(fixture);
        assert_success(heap_create(&fixture->runtime, &heap));
        if (heap_odd_spans(heap) != 1) {
            fail_msg("oddity %zu was taken for a span", i);
        }
        assert_int_equal(heap_object_count(heap), 100);
        assert_false(heap_find(heap, heap_fixture_page(100), &object));
        assert_true(heap_find(heap, heap_fixture_page(5), &object));
        heap_destroy(heap);
        heap_fixture_destroy(fixture);
    }
}

static void test_spans_at_odd_places_are_left_out(void **state)
{
    (void)state;
    static const uint64_t starts[] = {UINT64_C(0xc004000001),       UINT64_C(0xc004001000),
                                      UINT64_C(0x1000000000000),    UINT64_C(0xffffffffffffe000),
                                      UINT64_C(0xffff80c004000000), 0};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        struct heap_fixture *fixture = heap_fixture_create(23);
        const struct layout *layout = fixture->runtime.layout;
        struct heap *heap = NULL;
        heap_fixture_span(fixture, 5, 1, 48, 100, 2);
        size_t index = heap_fixture_span(fixture, 6, 1, 48, 100, 2);
        uint64_t limit = starts[i] + 4800;
        memcpy(heap_fixture_mspan(fixture, index, layout->mspan.start_addr), &starts[i], 8);
        memcpy(heap_fixture_mspan(fixture, index, layout->mspan.limit), &limit, 8);
        heap_fixture_open(fixture);
        assert_success(heap_create(&fixture->runtime, &heap));
        assert_int_equal(heap_odd_spans(heap), 1);
        assert_int_equal(heap_object_count(heap), 100);
        heap_destroy(heap);
        heap_fixture_destroy(fixture);
    }
}

static void test_overlapping_and_unreadable_spans_are_counted(void **state)
{
    (void)state;
    struct heap_fixture *fixture = heap_fixture_create(22);
    struct heap *heap = NULL;
    struct heap_object object;
    size_t count;
    heap_fixture_span(fixture, 50, 4, 4 << HEAP_PAGE_SHIFT, 1, 1);
    heap_fixture_span(fixture, 53, 2, 1024, 16, 3); /* begins inside of the first */
    heap_fixture_span(fixture, 51, 1, 1024, 8, 3);  /* lies in it */
    heap_fixture_span(fixture, 54, 1, 1024, 8, 3);  /* overlaps only one that was left out */
    heap_fixture_span(fixture, 54, 1, 512, 8, 3);   /* at the same place as another */
    fixture->list[heap_fixture_span(fixture, 60, 1, 1024, 8, 3)] = 0x10; /* no mspan there */
    fixture->list[heap_fixture_span(fixture, 61, 1, 1024, 8, 3)] =
        HEAP_FIXTURE_MSPANS + sizeof fixture->mspans - 8; /* the end of one is missing */
    heap_fixture_open(fixture);
    assert_success(heap_create(&fixture->runtime, &heap));
    assert_int_equal(heap_odd_spans(heap), 5);
    (void)heap_spans(heap, &count);
    assert_int_equal(count, 2);
    assert_true(heap_find(heap, heap_fixture_page(53), &object));
    assert_int_equal(object.address, heap_fixture_page(50));
    assert_true(heap_find(heap, heap_fixture_page(54), &object));
    assert_int_equal(object.size, 1024);
    assert_int_equal(object.number, 1);
    heap_destroy(heap);
    heap_fixture_destroy(fixture);
}

static void test_absurd_tables_are_refused(void **state)
{
    (void)state;
    struct heap_fixture *fixture = heap_fixture_create(24);
    const struct layout *layout = fixture->runtime.layout;
    struct heap *heap = NULL;
    uint64_t count = UINT64_MAX;
    size_t far = heap_fixture_span(fixture, 5, 1, 48, 100, 2);
    heap_fixture_open(fixture);
    uint8_t *number = fixture->mheap + layout->mheap.allspans + 8;
    memcpy(number, &count, 8);
    assert_error(heap_create(&fixture->runtime, &heap), ERROR_CORRUPT);
    count = (1 << 27) + 1;
    memcpy(number, &count, 8);
    assert_error(heap_create(&fixture->runtime, &heap), ERROR_CORRUPT);
    count = HEAP_FIXTURE_SPANS + 1; /* the list ends before */
    memcpy(number, &count, 8);
    assert_error(heap_create(&fixture->runtime, &heap), ERROR_FAULT);
    count = 0;
    memcpy(number, &count, 8);
    assert_success(heap_create(&fixture->runtime, &heap));
    struct heap_object object;
    assert_int_equal(heap_object_count(heap), 0);
    assert_false(heap_find(heap, heap_fixture_page(5), &object));
    assert_false(heap_find(heap, 0, &object));
    heap_destroy(heap);
    count = 1; /* in an arena that the runtime knows nothing of */
    memcpy(number, &count, 8);
    fixture->l2[0] = 0;
    assert_error(heap_create(&fixture->runtime, &heap), ERROR_CORRUPT);
    uint64_t address = UINT64_C(0x7fffffffe000);
    memcpy(heap_fixture_mspan(fixture, far, layout->mspan.start_addr), &address, 8);
    address += 4800;
    memcpy(heap_fixture_mspan(fixture, far, layout->mspan.limit), &address, 8);
    assert_error(heap_create(&fixture->runtime, &heap), ERROR_FAULT);
    fixture->runtime.globals.mheap = 0;
    assert_error(heap_create(&fixture->runtime, &heap), ERROR_NOT_FOUND);
    heap_fixture_destroy(fixture);
}

static void test_pairs_of_bits(void **state)
{
    (void)state;
    struct heap_fixture *fixture = heap_fixture_create(19);
    struct heap *heap = NULL;
    struct seen seen;
    uint64_t first = heap_fixture_page(7) + 48;
    uint64_t over = HEAP_FIXTURE_BORDER - 1024; /* half of it in the second arena */
    heap_fixture_span(fixture, 7, 1, 48, 170, 5 << 1);
    heap_fixture_span(fixture, 511, 2, 2048, 8, 20 << 1);
    heap_fixture_span(fixture, 9, 1, 48, 170, 5 << 1 | 1);
    for (uint64_t i = 0; i < 3; i++) {
        fill(fixture, first - 48 + i * 48, 48);
    }
    fill(fixture, heap_fixture_page(9), 48);
    /* Words 0, 2, 3 of the second object: 0 and 3 pointers, and no more behind. */
    heap_fixture_arena_bit(fixture, first, true);
    heap_fixture_arena_bit(fixture, first + 8, false);
    heap_fixture_arena_bit(fixture, first + 16, false);
    heap_fixture_arena_bit(fixture, first + 24, true);
    heap_fixture_arena_bit(fixture, first + 40, true); /* behind the last one */
    over -= over % 2048;
    fill(fixture, over, 2048);
    for (uint64_t i = 0; i < 256; i++) {
        heap_fixture_arena_bit(fixture, over + i * 8, i % 3 == 0);
    }
    heap_fixture_open(fixture);
    assert_success(heap_create(&fixture->runtime, &heap));
    assert_true(scan(heap, first, &seen));
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.slots[0], first);
    assert_int_equal(seen.values[0], 1);
    assert_int_equal(seen.slots[1], first + 24);
    assert_int_equal(seen.values[1], 4);
    assert_true(scan(heap, first - 48, &seen)); /* its neighbours have no bits */
    assert_int_equal(seen.count, 0);
    assert_true(scan(heap, first + 48, &seen));
    assert_int_equal(seen.count, 0);
    assert_true(scan(heap, over, &seen));
    assert_int_equal(seen.count, 86);
    for (size_t i = 0; i < seen.count; i++) {
        assert_int_equal(seen.values[i], i * 3 + 1);
    }
    assert_true(scan(heap, heap_fixture_page(9), &seen)); /* noscan */
    assert_int_equal(seen.count, 0);
    heap_destroy(heap);
    heap_fixture_destroy(fixture);
}

static void test_bits_of_arenas(void **state)
{
    (void)state;
    struct heap_fixture *fixture = heap_fixture_create(21);
    struct heap *heap = NULL;
    struct seen seen;
    const uint64_t size = 4 << HEAP_PAGE_SHIFT;
    uint64_t large = HEAP_FIXTURE_BORDER - size / 2; /* one object in two arenas */
    uint64_t small = heap_fixture_page(7) + 144;     /* its words lie in two words of the bitmap */
    heap_fixture_span(fixture, 510, 4, size, 1, 0);
    heap_fixture_span(fixture, 7, 1, 720, 11, 5 << 1);
    small = heap_fixture_page(7) + 720;
    fill(fixture, large, size);
    fill(fixture, small - 720, (uint64_t)3 * 720);
    uint64_t expected = 0;
    for (uint64_t i = 0; i < size / 8; i++) {
        bool pointer = i % 7 == 0;
        heap_fixture_arena_bit(fixture, large + i * 8, pointer);
        expected += pointer;
    }
    for (uint64_t i = 0; i < 90; i++) {
        heap_fixture_arena_bit(fixture, small + i * 8, i % 2 == 0);
    }
    heap_fixture_open(fixture);
    assert_success(heap_create(&fixture->runtime, &heap));
    assert_true(scan(heap, large + 5000, &seen));
    assert_int_equal(seen.count, expected);
    for (size_t i = 0; i < seen.count; i++) {
        assert_int_equal(seen.slots[i], large + i * 56);
        assert_int_equal(seen.values[i], i * 7 + 1);
    }
    assert_true(scan(heap, small, &seen));
    assert_int_equal(seen.count, 45);
    assert_true(scan(heap, small - 720, &seen));
    assert_int_equal(seen.count, 0);
    /* noMorePtrs ends an object where the group of 64 words ends. */
    uint64_t word = small % (UINT64_C(1) << HEAP_ARENA_SHIFT) / 8;
    uint64_t group = word / 64;
    fixture->meta[0][fixture->runtime.layout->heap_arena.no_more_ptrs + (int32_t)(group / 8)] |=
        (uint8_t)(1 << group % 8);
    assert_true(scan(heap, small, &seen));
    assert_int_equal(seen.count, (64 - word % 64 + 1) / 2);
    heap_destroy(heap);
    heap_fixture_destroy(fixture);
}

static void test_bits_in_spans(void **state)
{
    (void)state;
    static const int minors[] = {22, 24, 25, 27};
    for (size_t i = 0; i < 4; i++) {
        for (unsigned inline_marks = 0; inline_marks <= (minors[i] >= 25); inline_marks++) {
            struct heap_fixture *fixture = heap_fixture_create(minors[i]);
            struct heap *heap = NULL;
            struct seen seen;
            uint64_t tail = inline_marks ? 128 : 0;
            uint64_t pages = 2;
            uint64_t object = heap_fixture_page(600) + 48 * 200;
            uint64_t count =
                ((pages << HEAP_PAGE_SHIFT) - (pages << HEAP_PAGE_SHIFT) / 64 - tail) / 48;
            heap_fixture_span(fixture, 600, pages, 48, count, 5 << 1);
            fill(fixture, object - 48, 144);
            heap_fixture_span_bit(fixture, 600, pages, tail, object);
            heap_fixture_span_bit(fixture, 600, pages, tail, object + 40);
            heap_fixture_span_bit(fixture, 600, pages, tail, object + 48);
            if (inline_marks) {
                uint64_t page = heap_fixture_page(600) >> HEAP_PAGE_SHIFT;
                page %= HEAP_ARENA_PAGES;
                fixture->meta[1][(uint64_t)fixture->runtime.layout->heap_arena
                                     .page_use_span_inline_mark_bits +
                                 page / 8] |= (uint8_t)(1 << page % 8);
            }
            heap_fixture_open(fixture);
            assert_success(heap_create(&fixture->runtime, &heap));
            assert_true(scan(heap, object, &seen));
            assert_int_equal(seen.count, 2);
            assert_int_equal(seen.slots[0], object);
            assert_int_equal(seen.slots[1], object + 40);
            assert_true(scan(heap, object - 1, &seen));
            assert_int_equal(seen.count, 0);
            assert_true(scan(heap, object + 48, &seen));
            assert_int_equal(seen.count, 1);
            heap_destroy(heap);
            heap_fixture_destroy(fixture);
        }
    }
}

static void test_a_span_whose_objects_cover_its_bits_is_conservative(void **state)
{
    (void)state;
    struct heap_fixture *fixture = heap_fixture_create(24);
    struct heap *heap = NULL;
    struct seen seen;
    heap_fixture_span(fixture, 600, 1, 64, 128, 5 << 1);
    heap_fixture_store(fixture, heap_fixture_page(600) + 16, 77);
    heap_fixture_open(fixture);
    assert_success(heap_create(&fixture->runtime, &heap));
    assert_true(scan(heap, heap_fixture_page(600), &seen));
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.values[0], 77);
    heap_destroy(heap);
    heap_fixture_destroy(fixture);
}

static void test_types_of_objects(void **state)
{
    (void)state;
    struct heap_fixture *fixture = heap_fixture_create(23);
    const struct layout *layout = fixture->runtime.layout;
    struct heap *heap = NULL;
    struct seen seen;
    const uint8_t mask[] = {0x05}; /* words 0 and 2 of three; the fourth is no pointer */
    uint64_t type = heap_fixture_type(fixture, 32, 3, mask);
    uint64_t odd = heap_fixture_type(fixture, 33, 3, mask); /* makes no sense */
    uint64_t program = heap_fixture_type(fixture, 32, 3, mask);
    fixture->types[program - HEAP_FIXTURE_TYPES + (uint64_t)layout->type.kind] |= 1 << 6;
    uint64_t page = heap_fixture_page(40);
    heap_fixture_span(fixture, 40, 2, 1024, 16, 30 << 1);
    fill(fixture, page, 5 * 1024);
    const uint64_t headers[] = {type, 0, odd, program, 0xdead000};
    for (size_t i = 0; i < 5; i++) {
        heap_fixture_store(fixture, page + i * 1024, headers[i]);
    }
    const uint64_t size = 3 << HEAP_PAGE_SHIFT;
    size_t large = heap_fixture_span(fixture, 50, 3, size, 1, 0);
    memcpy(heap_fixture_mspan(fixture, large, layout->mspan.large_type), &type, 8);
    fill(fixture, heap_fixture_page(50), size);
    heap_fixture_span(fixture, 60, 3, size, 1, 0); /* no type is known */
    fill(fixture, heap_fixture_page(60), size);
    heap_fixture_open(fixture);
    assert_success(heap_create(&fixture->runtime, &heap));
    /* 127 words behind the header: 31 elements, and words 0 and 2 of what is left. */
    assert_true(scan(heap, page, &seen));
    assert_int_equal(seen.count, 64);
    for (size_t i = 0; i < seen.count; i++) {
        assert_int_equal(seen.slots[i], page + 8 + i / 2 * 32 + i % 2 * 16);
    }
    assert_true(scan(heap, page + 1024, &seen)); /* not initialised yet */
    assert_int_equal(seen.count, 0);
    for (uint64_t i = 2; i < 5; i++) { /* whatever is not understood is conservative */
        assert_true(scan(heap, page + i * 1024, &seen));
        assert_int_equal(seen.count, 127);
    }
    assert_true(scan(heap, heap_fixture_page(50), &seen));
    assert_int_equal(seen.count, size / 16);
    assert_int_equal(seen.slots[1], heap_fixture_page(50) + 16);
    assert_true(scan(heap, heap_fixture_page(60), &seen));
    assert_int_equal(seen.count, size / 8);
    heap_destroy(heap);
    heap_fixture_destroy(fixture);
}

static void test_masks_on_demand(void **state)
{
    (void)state;
    struct heap_fixture *fixture = heap_fixture_create(27);
    const struct layout *layout = fixture->runtime.layout;
    struct heap *heap = NULL;
    struct seen seen;
    const uint8_t mask[] = {0x05};
    uint64_t plain = heap_fixture_type(fixture, 32, 3, mask);
    uint64_t built = heap_fixture_type(fixture, 32, 3, (const uint8_t[]){0});
    uint64_t unbuilt = heap_fixture_type(fixture, 32, 3, (const uint8_t[]){0});
    uint8_t *slot = fixture->types + HEAP_FIXTURE_SMALL - 16;
    uint64_t slot_address = HEAP_FIXTURE_TYPES + HEAP_FIXTURE_SMALL - 16;
    uint64_t mask_address = plain + 64;
    memcpy(slot, &mask_address, 8);
    for (size_t i = 0; i < 2; i++) {
        uint8_t *type = fixture->types + ((i == 0 ? built : unbuilt) - HEAP_FIXTURE_TYPES);
        uint64_t at = slot_address + i * 8;
        type[layout->type.tflag] |= 1 << 4;
        memcpy(type + layout->type.gcdata, &at, 8);
    }
    uint64_t page = heap_fixture_page(40);
    heap_fixture_span(fixture, 40, 2, 1024, 16, 30 << 1);
    fill(fixture, page, 2 * 1024);
    heap_fixture_store(fixture, page, built);
    heap_fixture_store(fixture, page + 1024, unbuilt);
    heap_fixture_open(fixture);
    assert_success(heap_create(&fixture->runtime, &heap));
    assert_true(scan(heap, page, &seen));
    assert_int_equal(seen.count, 64);
    assert_true(scan(heap, page + 1024, &seen));
    assert_int_equal(seen.count, 127);
    heap_destroy(heap);
    heap_fixture_destroy(fixture);
}

/* Objects in two mappings, and objects with a hole. */
static void test_objects_without_a_view(void **state)
{
    (void)state;
    struct heap_fixture *fixture = heap_fixture_create(24);
    const struct layout *layout = fixture->runtime.layout;
    struct heap *heap = NULL;
    struct seen seen;
    const uint64_t size = 20 << HEAP_PAGE_SHIFT; /* three pieces */
    uint8_t mask[256] = {1};
    mask[100] = 0x10;
    uint64_t type = heap_fixture_type(fixture, 200 * 8 * 8, 100 * 8 + 5, mask);
    for (uint64_t i = 0; i < 3; i++) {
        size_t large = heap_fixture_span(fixture, 100 + i * 20, 20, size, 1, 0);
        memcpy(heap_fixture_mspan(fixture, large, layout->mspan.large_type), &type, 8);
        fill(fixture, heap_fixture_page(100 + i * 20), size);
    }
    heap_fixture_span(fixture, 300, 1, 64, 100, 5 << 1);
    heap_fixture_store(fixture, heap_fixture_page(300) + 8, 99);
    uint64_t page = 1 << HEAP_PAGE_SHIFT;
    const struct heap_fixture_piece pieces[] = {
        {0, true},           {103 * page + 8, true}, {135 * page, false},       {136 * page, true},
        {140 * page, false}, {141 * page, true},     {300 * page + 4096, true},
    };
    memcpy(fixture->pieces, pieces, sizeof pieces);
    fixture->piece_count = sizeof pieces / sizeof *pieces;
    heap_fixture_open(fixture);
    assert_success(heap_create(&fixture->runtime, &heap));
    uint64_t start = heap_fixture_page(100);
    assert_true(scan(heap, start, &seen));
    assert_int_equal(seen.count, 26); /* 12.8 elements of two pointers */
    for (size_t i = 0; i < seen.count; i++) {
        assert_int_equal(seen.slots[i], start + i / 2 * 12800 + i % 2 * 804 * 8);
    }
    assert_false(scan(heap, heap_fixture_page(120), &seen)); /* the last piece is missing */
    assert_int_equal(seen.slots[0], heap_fixture_page(120));
    assert_int_equal(seen.values[0], 1);
    assert_in_range(seen.count, 16, 24);
    assert_false(scan(heap, heap_fixture_page(140), &seen)); /* the first piece is missing */
    /* Bits that cannot be viewed: conservative. */
    assert_true(scan(heap, heap_fixture_page(300), &seen));
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.values[0], 99);
    heap_destroy(heap);
    heap_fixture_destroy(fixture);
}

static struct error *create_work(void *context)
{
    struct heap *heap = NULL;
    TRY(heap_create(context, &heap));
    heap_destroy(heap);
    return NULL;
}

static void test_allocations_may_fail(void **state)
{
    (void)state;
    static const int minors[] = {19, 21, 27};
    for (size_t i = 0; i < 3; i++) {
        struct heap_fixture *fixture = heap_fixture_create(minors[i]);
        heap_fixture_span(fixture, 511, 2, 1024, 16, 6);
        heap_fixture_span(fixture, 5, 1, 48, 100, 2);
        heap_fixture_open(fixture);
        support_exhaust(create_work, &fixture->runtime);
        heap_fixture_destroy(fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects_are_found_by_any_address_in_them),
        cmocka_unit_test(test_every_size_of_element_divides_right),
        cmocka_unit_test(test_odd_spans_are_left_out_and_counted),
        cmocka_unit_test(test_spans_at_odd_places_are_left_out),
        cmocka_unit_test(test_overlapping_and_unreadable_spans_are_counted),
        cmocka_unit_test(test_absurd_tables_are_refused),
        cmocka_unit_test(test_pairs_of_bits),
        cmocka_unit_test(test_bits_of_arenas),
        cmocka_unit_test(test_bits_in_spans),
        cmocka_unit_test(test_a_span_whose_objects_cover_its_bits_is_conservative),
        cmocka_unit_test(test_types_of_objects),
        cmocka_unit_test(test_masks_on_demand),
        cmocka_unit_test(test_objects_without_a_view),
        cmocka_unit_test(test_allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
