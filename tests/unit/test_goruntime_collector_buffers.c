#include "goruntime/collector_buffers.h"
#include "goruntime_memory.h"

static const uint64_t allp = 0x100100;
static const uint64_t array = 0x100200;
static const uint64_t nodes = 0x110000;
static const uint64_t rings = 0x120000;
enum { P_STRIDE = 0x8000, NODE_STRIDE = 0x100, RING_STRIDE = 0x1000, RING_WORDS = 512 };

static const uint64_t ps = 0x128000;
static const uint64_t scan_buffers = 0x102008; /* aligned as words are */

/* The address of a field. */
static uint64_t field(uint64_t base, uint64_t stride, uint64_t index, int32_t offset)
{
    return base + stride * index + (uint64_t)offset;
}

/* Node INDEX of the list of COUNT, with its ring. */
static void put_node(struct goruntime_memory *memory, uint64_t index, uint64_t count)
{
    const struct layout *layout = memory->runtime.layout;
    uint64_t next = index + 1 < count ? nodes + (index + 1) * NODE_STRIDE : 0;
    uint64_t prev = index > 0 ? nodes + (index - 1) * NODE_STRIDE : 0;
    uint32_t words = RING_WORDS;
    goruntime_memory_word(memory, field(nodes, NODE_STRIDE, index, layout->span_spmc.next), 0,
                          next);
    goruntime_memory_word(memory, field(nodes, NODE_STRIDE, index, layout->span_spmc.prev), 0,
                          prev);
    goruntime_memory_word(memory, field(nodes, NODE_STRIDE, index, layout->span_spmc.ring), 0,
                          rings + index * RING_STRIDE);
    goruntime_memory_put(memory, field(nodes, NODE_STRIDE, index, layout->span_spmc.cap), &words,
                         sizeof words);
}

/* A runtime of Go 1.27 with COUNT p's, each with a scan buffer; the queue of the last one leads to
 * the middle of three rings. */
static struct goruntime_memory *create(uint32_t count)
{
    struct goruntime_memory *memory = goruntime_memory_create(27);
    const struct layout *layout = memory->runtime.layout;
    memory->runtime.globals.allp = allp;
    goruntime_memory_word(memory, allp, 0, array);
    goruntime_memory_word(memory, allp, 8, count);
    for (uint32_t i = 0; i < count; i++) {
        goruntime_memory_word(memory, array, i * 8, ps + (uint64_t)i * P_STRIDE);
        goruntime_memory_put(memory, field(ps, P_STRIDE, i, layout->p.gcw_id), &i, sizeof i);
        goruntime_memory_word(memory, field(ps, P_STRIDE, i, layout->p.gcw_ptr_buf), 0,
                              scan_buffers + (uint64_t)i * 8192);
    }
    goruntime_memory_word(memory, field(ps, P_STRIDE, count - 1, layout->p.gcw_span_queue_head), 0,
                          nodes + NODE_STRIDE);
    for (uint64_t i = 0; i < 3; i++) {
        put_node(memory, i, 3);
    }
    return memory;
}

/* Searches, and frees MEMORY; bit I of *RINGS: ring I was found, *BUFFERS: how many scan buffers.
 */
static void find(struct goruntime_memory *memory, unsigned *rings_ret, unsigned *buffers_ret)
{
    struct copy_range *found = NULL;
    size_t count = 0;
    *rings_ret = *buffers_ret = 0;
    assert_success(collector_buffers_find(&memory->runtime, &found, &count));
    for (size_t i = 0; i < count; i++) {
        if (found[i].address >= rings && found[i].address < ps) {
            assert_int_equal(found[i].size, RING_WORDS * 8);
            *rings_ret |= 1u << (found[i].address - rings) / RING_STRIDE;
        } else {
            assert_int_equal(found[i].address, scan_buffers + *buffers_ret * UINT64_C(8192));
            assert_int_equal(found[i].size, 8192);
            ++*buffers_ret;
        }
    }
    free(found);
    goruntime_memory_destroy(memory);
}

/* Fails unless in MEMORY, which is freed, the rings of the bits RINGS and BUFFERS buffers are
 * found. */
static void expect(struct goruntime_memory *memory, unsigned expected_rings, unsigned buffers)
{
    unsigned found_rings;
    unsigned found_buffers;
    find(memory, &found_rings, &found_buffers);
    assert_int_equal(found_rings, expected_rings);
    assert_int_equal(found_buffers, buffers);
}

static void test_every_ring_and_scan_buffer_is_found(void **state)
{
    (void)state;
    expect(create(2), 7, 2);
    expect(create(1), 7, 1);
}

static void test_releases_before_have_none(void **state)
{
    (void)state;
    struct goruntime_memory *memory = create(2);
    memory->runtime.layout = layout_find(25, LAYOUT_MACHINE_AMD64);
    expect(memory, 0, 0);
}

static void test_nothing_is_a_buffer_when_ids_do_not_fit(void **state)
{
    (void)state;
    struct goruntime_memory *memory = create(2);
    uint32_t wrong = 7;
    goruntime_memory_put(memory, field(ps, P_STRIDE, 1, memory->runtime.layout->p.gcw_id), &wrong,
                         sizeof wrong);
    expect(memory, 0, 0);
}

/* Ids are where they should be also without this collector; what follows them is not. */
static void test_scan_buffers_are_believed_with_a_ring_only(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= 2; count++) {
        struct goruntime_memory *memory = create(count);
        uint64_t head =
            field(ps, P_STRIDE, count - 1, memory->runtime.layout->p.gcw_span_queue_head);
        goruntime_memory_word(memory, head, 0, 0);
        expect(memory, 0, 0);
        memory = create(count);
        goruntime_memory_word(memory, head, 0, scan_buffers); /* no node */
        expect(memory, 0, 0);
    }
}

static void test_a_list_that_does_not_hang_together_ends(void **state)
{
    (void)state;
    struct goruntime_memory *memory = create(2);
    const struct layout *layout = memory->runtime.layout;
    goruntime_memory_word(memory, field(nodes, NODE_STRIDE, 2, layout->span_spmc.prev), 0, nodes);
    expect(memory, 3, 2);
    memory = create(2); /* a circle */
    goruntime_memory_word(memory, field(nodes, NODE_STRIDE, 2, layout->span_spmc.next), 0, nodes);
    goruntime_memory_word(memory, field(nodes, NODE_STRIDE, 0, layout->span_spmc.prev), 0,
                          nodes + (uint64_t)2 * NODE_STRIDE);
    struct copy_range *found = NULL;
    size_t count = 0;
    assert_success(collector_buffers_find(&memory->runtime, &found, &count));
    assert_true(count >= 3);
    free(found);
    goruntime_memory_destroy(memory);
}

/* A ring that is none is not taken, nor what is behind it. */
static void test_absurd_rings_are_none(void **state)
{
    (void)state;
    static const uint32_t words[] = {0, 1, 256, 513, 1u << 27, UINT32_MAX};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct goruntime_memory *memory = create(2);
        const struct layout *layout = memory->runtime.layout;
        goruntime_memory_put(memory, field(nodes, NODE_STRIDE, 2, layout->span_spmc.cap), &words[i],
                             sizeof *words);
        expect(memory, 3, 2);
    }
    struct goruntime_memory *memory = create(2);
    uint64_t ring = field(nodes, NODE_STRIDE, 0, memory->runtime.layout->span_spmc.ring);
    goruntime_memory_word(memory, ring, 0, rings + 8);
    expect(memory, 6, 2);
}

static void test_unreadable_lists_are_no_error(void **state)
{
    (void)state;
    struct goruntime_memory *memory = create(2);
    goruntime_memory_word(memory, allp, 0, 0x10);
    expect(memory, 0, 0);
    memory = create(2);
    goruntime_memory_word(memory, allp, 8, UINT64_MAX);
    expect(memory, 0, 0);
    memory = create(2);
    goruntime_memory_word(memory, array, 8, 0x10);
    expect(memory, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_ring_and_scan_buffer_is_found),
        cmocka_unit_test(test_releases_before_have_none),
        cmocka_unit_test(test_nothing_is_a_buffer_when_ids_do_not_fit),
        cmocka_unit_test(test_scan_buffers_are_believed_with_a_ring_only),
        cmocka_unit_test(test_a_list_that_does_not_hang_together_ends),
        cmocka_unit_test(test_absurd_rings_are_none),
        cmocka_unit_test(test_unreadable_lists_are_no_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
