#include "goruntime/freeze_survey.h"
#include "goruntime_memory.h"

enum { GOROUTINES = 40, SELECTS = 3 };

static const uint64_t globals = 0x102000;
static const uint64_t list = 0x103000;

/* Where the things of goroutine NUMBER are. */
static uint64_t g_of(uint64_t number)
{
    return 0x104000 + number * 0x400;
}

static uint64_t stack_of(uint64_t number)
{
    return 0x110000 + number * 0x800;
}

static uint64_t sudog_of(uint64_t number, uint64_t which)
{
    return 0x128000 + number * 0x400 + which * 0x80;
}

static uint64_t channel_of(uint64_t number, uint64_t which)
{
    return 0x134000 + number * 0x400 + which * 0x80;
}

static uint64_t sp_of(uint64_t number)
{
    return stack_of(number) + 0x700 - number * 8;
}

/* Makes goroutine NUMBER wait: 0 for nothing, 1 on a channel, 2 in a select, 3 on a semaphore. */
static void park(struct goruntime_memory *memory, uint64_t number)
{
    const struct layout *layout = memory->runtime.layout;
    uint32_t status = 4;
    uint64_t g = g_of(number);
    uint64_t kind = number % 4;
    goruntime_memory_put(memory, g + (uint64_t)layout->g.atomicstatus, &status, sizeof status);
    goruntime_memory_word(memory, g, layout->g.goid, number + 1);
    goruntime_memory_word(memory, g, layout->g.stack_lo, stack_of(number));
    goruntime_memory_word(memory, g, layout->g.stack_hi, stack_of(number) + 0x800);
    goruntime_memory_word(memory, g, layout->g.sched_pc, 0x401000);
    goruntime_memory_word(memory, g, layout->g.sched_sp, sp_of(number));
    goruntime_memory_word(memory, g, layout->g.waiting, kind == 0 ? 0 : sudog_of(number, 0));
    for (uint64_t i = 0; kind != 0 && i < (kind == 2 ? SELECTS : 1); i++) {
        uint64_t sudog = sudog_of(number, i);
        goruntime_memory_word(memory, sudog, layout->sudog.c,
                              kind == 3 ? 0 : channel_of(number, i));
        goruntime_memory_word(memory, sudog, layout->sudog.elem, channel_of(number, 7));
        goruntime_memory_word(memory, sudog, layout->sudog.waitlink,
                              kind == 2 && i + 1 < SELECTS ? sudog_of(number, i + 1) : 0);
    }
    goruntime_memory_word(memory, list, (int64_t)number * 8, g);
}

/* A program whose goroutines all wait; the last one is not in the list yet. */
static struct goruntime_memory *program(int minor)
{
    struct goruntime_memory *memory = goruntime_memory_create(minor);
    assert_true(memory->runtime.layout->g.size <= 0x400);
    memory->runtime.globals.allglen = globals;
    memory->runtime.globals.allgptr = globals + 8;
    goruntime_memory_word(memory, globals, 0, GOROUTINES - 1);
    goruntime_memory_word(memory, globals, 8, list);
    for (uint64_t i = 0; i < GOROUTINES; i++) {
        park(memory, i);
    }
    return memory;
}

/* True when SURVEY has exactly this range; it is taken out. */
static bool take(struct freeze_survey *survey, uint64_t address, uint64_t size)
{
    for (size_t i = 0; i < survey->ranges.count; i++) {
        struct copy_range *range = &survey->ranges.items[i];
        if (range->address == address && range->size == size) {
            *range = survey->ranges.items[--survey->ranges.count];
            survey->bytes -= size;
            return true;
        }
    }
    return false;
}

/* Takes the ranges of goroutine NUMBER, whose used stack begins at LOW, out of SURVEY. */
static void take_goroutine(const struct goruntime_memory *memory, struct freeze_survey *survey,
                           uint64_t number, uint64_t low)
{
    uint64_t channel = (uint64_t)memory->runtime.layout->hchan.size;
    assert_true(take(survey, low, stack_of(number) + 0x800 - low));
    for (uint64_t i = 0; i < (number % 4 == 1 ? 1 : number % 4 == 2 ? SELECTS : 0); i++) {
        assert_true(take(survey, channel_of(number, i), channel));
    }
    assert_int_equal(take(survey, channel_of(number, 7) - 64, 128), number % 4 == 3);
}

/* Looks again; only the COUNT goroutines NUMBERS may be looked at. */
static void check_changes(struct goruntime_memory *memory, const struct freeze_survey *before,
                          const uint64_t *numbers, size_t count)
{
    struct freeze_survey survey = {0};
    assert_success(freeze_survey_changes(&memory->runtime, before, &survey));
    for (size_t i = 0; i < count; i++) {
        take_goroutine(memory, &survey, numbers[i], sp_of(numbers[i]));
    }
    assert_int_equal(survey.ranges.count, 0);
    assert_int_equal(survey.bytes, 0);
    freeze_survey_deinit(&survey);
}

static void test_all_that_goroutines_need(void **state)
{
    (void)state;
    for (int minor = LAYOUT_MINOR_MIN; minor <= LAYOUT_MINOR_MAX; minor++) {
        struct goruntime_memory *memory = program(minor);
        struct freeze_survey survey = {0};
        assert_success(freeze_survey_goroutines(&memory->runtime, &survey));
        assert_int_equal(survey.count, GOROUTINES - 1);
        for (uint64_t i = 0; i + 1 < GOROUTINES; i++) {
            take_goroutine(memory, &survey, i, sp_of(i));
        }
        assert_int_equal(survey.ranges.count, 0);
        assert_int_equal(survey.bytes, 0);
        freeze_survey_deinit(&survey);
        goruntime_memory_destroy(memory);
    }
}

static void test_only_what_changed_is_looked_at_again(void **state)
{
    (void)state;
    static const int minors[] = {18, 21, 24, 27};
    for (size_t i = 0; i < 4; i++) {
        struct goruntime_memory *memory = program(minors[i]);
        const struct layout *layout = memory->runtime.layout;
        struct freeze_survey before = {0};
        assert_success(freeze_survey_goroutines(&memory->runtime, &before));
        check_changes(memory, &before, NULL, 0);
        for (uint64_t number = 0; number + 1 < GOROUTINES; number++) {
            goruntime_memory_word(memory, g_of(number), layout->g.waitsince, 99);
            check_changes(memory, &before, &number, 1);
            goruntime_memory_word(memory, g_of(number), layout->g.waitsince, 0);
        }
        check_changes(memory, &before, NULL, 0);

        uint64_t fresh = GOROUTINES - 1; /* one more, and one that changed */
        goruntime_memory_word(memory, globals, 0, GOROUTINES);
        check_changes(memory, &before, &fresh, 1);
        goruntime_memory_word(memory, g_of(6), layout->g.waitsince, 99);
        check_changes(memory, &before, (const uint64_t[]){6, fresh}, 2);
        goruntime_memory_word(memory, g_of(6), layout->g.waitsince, 0);

        goruntime_memory_word(memory, globals, 0, GOROUTINES - 1);
        goruntime_memory_word(memory, list, 16, g_of(3)); /* at each other's place */
        goruntime_memory_word(memory, list, 24, g_of(2));
        check_changes(memory, &before, (const uint64_t[]){2, 3}, 2);
        freeze_survey_deinit(&before);
        goruntime_memory_destroy(memory);
    }
}

static void test_who_runs_or_ended_meanwhile(void **state)
{
    (void)state;
    struct goruntime_memory *memory = program(25);
    const struct layout *layout = memory->runtime.layout;
    struct freeze_survey before = {0};
    struct freeze_survey survey = {0};
    uint32_t running = 2;
    uint32_t dead = 6;
    assert_success(freeze_survey_goroutines(&memory->runtime, &before));
    goruntime_memory_put(memory, g_of(1) + (uint64_t)layout->g.atomicstatus, &running,
                         sizeof running);
    goruntime_memory_put(memory, g_of(2) + (uint64_t)layout->g.atomicstatus, &dead, sizeof dead);
    goruntime_memory_word(memory, g_of(3), layout->g.sched_sp, 0x10); /* outside of its stack */
    goruntime_memory_word(memory, g_of(5), layout->g.stack_hi, 0x10); /* no stack at all */
    goruntime_memory_word(memory, g_of(7), layout->g.waiting, 0xdead000);
    goruntime_memory_word(memory, list, 8 * 9, 0xdead000); /* a g that cannot be read */
    assert_success(freeze_survey_changes(&memory->runtime, &before, &survey));
    take_goroutine(memory, &survey, 1, stack_of(1)); /* the whole stack */
    take_goroutine(memory, &survey, 3, stack_of(3));
    assert_true(take(&survey, sp_of(7), stack_of(7) + 0x800 - sp_of(7)));
    assert_int_equal(survey.ranges.count, 0);
    freeze_survey_deinit(&survey);
    goruntime_memory_word(memory, globals, 0, UINT64_C(1) << 60);
    assert_error(freeze_survey_changes(&memory->runtime, &before, &survey), ERROR_CORRUPT);
    freeze_survey_deinit(&survey);
    freeze_survey_deinit(&before);
    goruntime_memory_destroy(memory);
}

static void test_ranges_that_are_none_or_held(void **state)
{
    (void)state;
    struct goruntime_memory *memory = program(24);
    struct freeze_survey survey = {0};
    assert_success(freeze_survey_add(&survey, 0x1000, 0));
    assert_success(freeze_survey_add(&survey, UINT64_MAX - 7, 16));
    assert_int_equal(survey.ranges.count, 0);
    survey.held = memory->target;
    assert_success(freeze_survey_add(&survey, stack_of(1), 8));
    assert_int_equal(survey.ranges.count, 0);
    assert_success(freeze_survey_add(&survey, goruntime_memory_start - 8, 16));
    assert_int_equal(survey.ranges.count, 1);
    assert_int_equal(survey.bytes, 16);
    freeze_survey_deinit(&survey);
    survey.held = memory->target; /* everything is: nothing of the goroutines is left */
    assert_success(freeze_survey_goroutines(&memory->runtime, &survey));
    assert_int_equal(survey.ranges.count, 0);
    freeze_survey_deinit(&survey);
    goruntime_memory_destroy(memory);
}

/* Lengths that only a forged table has ask for no memory; short ranges and what is mapped remain.
 */
static void test_long_ranges_are_cut_to_what_is_mapped(void **state)
{
    (void)state;
    struct goruntime_memory *memory = program(24);
    size_t count;
    const struct target_mapping *mappings = target_mappings(memory->target, &count);
    assert_in_range(count, 1, 1000);
    uint64_t end = mappings[0].end;
    for (size_t i = 1; i < count && mappings[i].start == end; i++) {
        end = mappings[i].end;
    }
    struct freeze_survey survey = {0};
    assert_success(freeze_survey_add(&survey, mappings[0].start + 8, UINT64_C(1) << 60));
    assert_success(freeze_survey_add(&survey, mappings[0].start - (1 << 20), UINT64_C(1) << 61));
    assert_success(freeze_survey_add(&survey, UINT64_C(1) << 62, UINT64_C(1) << 61));
    assert_success(freeze_survey_add(&survey, UINT64_C(1) << 62, 64));
    freeze_survey_clip(&survey, memory->target);
    assert_int_equal(survey.ranges.count, 3);
    assert_int_equal(survey.bytes, 2 * (end - mappings[0].start) - 8 + 64);
    assert_true(take(&survey, mappings[0].start + 8, end - mappings[0].start - 8));
    assert_true(take(&survey, mappings[0].start, end - mappings[0].start));
    assert_true(take(&survey, UINT64_C(1) << 62, 64));
    freeze_survey_deinit(&survey);
    goruntime_memory_destroy(memory);
}

/* A list of cases that leads into itself ends. */
static void test_a_circle_of_cases_ends(void **state)
{
    (void)state;
    struct goruntime_memory *memory = program(24);
    struct freeze_survey survey = {0};
    goruntime_memory_word(memory, globals, 0, 3);
    goruntime_memory_word(memory, sudog_of(2, 2), memory->runtime.layout->sudog.waitlink,
                          sudog_of(2, 1));
    assert_success(freeze_survey_goroutines(&memory->runtime, &survey));
    assert_in_range(survey.ranges.count, 6, 1 << 20);
    assert_true(take(&survey, channel_of(2, 2), (uint64_t)memory->runtime.layout->hchan.size));
    freeze_survey_deinit(&survey);
    goruntime_memory_destroy(memory);
}

static struct error *survey_work(void *context)
{
    struct goruntime_memory *memory = context;
    struct freeze_survey before = {0};
    struct freeze_survey survey = {0};
    int32_t waitsince = memory->runtime.layout->g.waitsince;
    goruntime_memory_word(memory, g_of(6), waitsince, 0);
    struct error *error = freeze_survey_goroutines(&memory->runtime, &before);
    goruntime_memory_word(memory, g_of(6), waitsince, 99);
    if (error == NULL) {
        error = freeze_survey_changes(&memory->runtime, &before, &survey);
    }
    assert_true(error != NULL || survey.ranges.count == 1 + SELECTS);
    freeze_survey_deinit(&before);
    freeze_survey_deinit(&survey);
    return error;
}

static void test_allocations_may_fail(void **state)
{
    (void)state;
    struct goruntime_memory *memory = program(26);
    support_exhaust(survey_work, memory);
    goruntime_memory_destroy(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_that_goroutines_need),
        cmocka_unit_test(test_only_what_changed_is_looked_at_again),
        cmocka_unit_test(test_who_runs_or_ended_meanwhile),
        cmocka_unit_test(test_ranges_that_are_none_or_held),
        cmocka_unit_test(test_long_ranges_are_cut_to_what_is_mapped),
        cmocka_unit_test(test_a_circle_of_cases_ends),
        cmocka_unit_test(test_allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
