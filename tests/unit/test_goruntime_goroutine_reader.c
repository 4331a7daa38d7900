#include "goruntime/goroutine_reader.h"
#include "goruntime_memory.h"

static const uint64_t g = 0x100100;
static const uint64_t list = 0x101000;
static const uint64_t globals = 0x102000;

/* A g that waits in a channel receive. */
static struct goruntime_memory *parked(int minor)
{
    struct goruntime_memory *memory = goruntime_memory_create(minor);
    const struct layout *layout = memory->runtime.layout;
    uint32_t status = 4;
    uint8_t reason = 0;
    while (layout->wait_reasons[reason] != WAIT_REASON_CHAN_RECEIVE) {
        reason++;
    }
    goruntime_memory_put(memory, g + (uint64_t)layout->g.atomicstatus, &status, sizeof status);
    goruntime_memory_put(memory, g + (uint64_t)layout->g.waitreason, &reason, sizeof reason);
    goruntime_memory_word(memory, g, layout->g.goid, 17);
    goruntime_memory_word(memory, g, layout->g.stack_lo, 0x108000);
    goruntime_memory_word(memory, g, layout->g.stack_hi, 0x109000);
    goruntime_memory_word(memory, g, layout->g.sched_pc, 0x401000);
    goruntime_memory_word(memory, g, layout->g.sched_sp, 0x108f00);
    return memory;
}

/* The bytes of the g. */
static const uint8_t *bytes_of(const struct goruntime_memory *memory)
{
    return memory->bytes + (g - goruntime_memory_start);
}

static void test_every_release_decodes(void **state)
{
    (void)state;
    for (int minor = LAYOUT_MINOR_MIN; minor <= LAYOUT_MINOR_MAX; minor++) {
        struct goruntime_memory *memory = parked(minor);
        struct goroutine_record record;
        goroutine_decode(memory->runtime.layout, bytes_of(memory), g, &record);
        assert_int_equal(record.goid, 17);
        assert_int_equal(record.status, GOROUTINE_STATUS_WAITING);
        assert_int_equal(record.wait_reason, WAIT_REASON_CHAN_RECEIVE);
        assert_int_equal(record.pc, 0x401000);
        assert_int_equal(record.sp, 0x108f00);
        assert_int_equal(record.origin, UNWIND_PARKED);
        assert_int_equal(record.flags, 0);
        assert_true(goroutine_is_alive(&record));
        goruntime_memory_destroy(memory);
    }
}

static void test_system_calls_come_first(void **state)
{
    (void)state;
    struct goruntime_memory *memory = parked(24);
    const struct layout *layout = memory->runtime.layout;
    struct goroutine_record record;
    uint32_t status = 0x1003;
    goruntime_memory_put(memory, g + (uint64_t)layout->g.atomicstatus, &status, sizeof status);
    goruntime_memory_word(memory, g, layout->g.syscallsp, 0x108e00);
    goruntime_memory_word(memory, g, layout->g.syscallpc, 0x402000);
    goroutine_decode(layout, bytes_of(memory), g, &record);
    assert_int_equal(record.status, GOROUTINE_STATUS_SYSCALL);
    assert_int_equal(record.flags, GOROUTINE_SCAN);
    assert_int_equal(record.sp, 0x108e00);
    assert_int_equal(record.pc, 0x402000);
    assert_int_equal(record.origin, UNWIND_SYSCALL);
    goruntime_memory_destroy(memory);
}

static void test_a_run_leaves_traces(void **state)
{
    (void)state;
    struct goruntime_memory *memory = parked(27);
    const struct layout *layout = memory->runtime.layout;
    struct goroutine_record then;
    uint32_t runnable = 1;
    uint32_t running = 2;
    uint8_t sequence = 1;
    goroutine_decode(layout, bytes_of(memory), g, &then);
    assert_false(goroutine_has_moved(layout, bytes_of(memory), &then));
    goruntime_memory_put(memory, g + (uint64_t)layout->g.atomicstatus, &runnable, sizeof runnable);
    assert_false(goroutine_has_moved(layout, bytes_of(memory), &then));
    goruntime_memory_put(memory, g + (uint64_t)layout->g.tracking_seq, &sequence, sizeof sequence);
    assert_true(goroutine_has_moved(layout, bytes_of(memory), &then));
    sequence = 0;
    goruntime_memory_put(memory, g + (uint64_t)layout->g.tracking_seq, &sequence, sizeof sequence);
    goruntime_memory_put(memory, g + (uint64_t)layout->g.atomicstatus, &running, sizeof running);
    assert_true(goroutine_has_moved(layout, bytes_of(memory), &then));
    goruntime_memory_put(memory, g + (uint64_t)layout->g.atomicstatus, &runnable, sizeof runnable);
    goruntime_memory_word(memory, g, layout->g.stack_lo, 0x107000);
    assert_true(goroutine_has_moved(layout, bytes_of(memory), &then));
    goruntime_memory_destroy(memory);
}

static void test_numbers_that_no_release_has_are_unknown(void **state)
{
    (void)state;
    struct goruntime_memory *memory = parked(27);
    const struct layout *layout = memory->runtime.layout;
    struct goroutine_record record;
    uint32_t status = 77;
    uint8_t reason = 250;
    goruntime_memory_put(memory, g + (uint64_t)layout->g.atomicstatus, &status, sizeof status);
    goruntime_memory_put(memory, g + (uint64_t)layout->g.waitreason, &reason, sizeof reason);
    goroutine_decode(layout, bytes_of(memory), g, &record);
    assert_int_equal(record.status, GOROUTINE_STATUS_UNKNOWN);
    assert_int_equal(record.wait_reason, WAIT_REASON_NONE);
    assert_false(goroutine_is_alive(&record));
    goruntime_memory_destroy(memory);
}

static void test_the_list_is_checked(void **state)
{
    (void)state;
    struct goruntime_memory *memory = parked(27);
    uint64_t *found = NULL;
    size_t count;
    memory->runtime.globals.allglen = globals;
    memory->runtime.globals.allgptr = globals + 8;
    goruntime_memory_word(memory, globals, 0, 4);
    goruntime_memory_word(memory, globals, 8, list);
    goruntime_memory_word(memory, list, 0, g);
    goruntime_memory_word(memory, list, 8, 0);
    goruntime_memory_word(memory, list, 16, g + 1);
    goruntime_memory_word(memory, list, 24, g + 0x400);
    assert_success(goroutine_list(&memory->runtime, &found, &count));
    assert_int_equal(count, 2);
    assert_int_equal(found[0], g);
    assert_int_equal(found[1], g + 0x400);
    free(found);
    goruntime_memory_word(memory, globals, 0, (uint64_t)1 << 40);
    assert_error(goroutine_list(&memory->runtime, &found, &count), ERROR_CORRUPT);
    goruntime_memory_word(memory, globals, 0, 1000000);
    assert_error(goroutine_list(&memory->runtime, &found, &count), ERROR_FAULT);
    goruntime_memory_destroy(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_release_decodes),
        cmocka_unit_test(test_system_calls_come_first),
        cmocka_unit_test(test_a_run_leaves_traces),
        cmocka_unit_test(test_numbers_that_no_release_has_are_unknown),
        cmocka_unit_test(test_the_list_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
