#include "goruntime/freeze_survey.h"
#include "heap_fixture.h"

static const int minors[] = {18, 21, 22, 24, 27};

/* A heap with two spans that hold pointers, one without, and one that is free. */
static struct heap_fixture *program(int minor)
{
    struct heap_fixture *fixture = heap_fixture_create(minor);
    heap_fixture_span(fixture, 10, 1, 64, 100, 10);
    heap_fixture_span(fixture, 600, 2, 128, 100, 12); /* in the second arena */
    heap_fixture_span(fixture, 20, 1, 64, 100, 11);
    size_t free_one = heap_fixture_span(fixture, 30, 1, 64, 100, 10);
    *heap_fixture_mspan(fixture, free_one, fixture->runtime.layout->mspan.state) = 0;
    heap_fixture_open(fixture);
    return fixture;
}

/* How many ranges of SURVEY hold ADDRESS. */
static size_t holds(const struct freeze_survey *survey, uint64_t address)
{
    size_t found = 0;
    for (size_t i = 0; i < survey->ranges.count; i++) {
        found += address - survey->ranges.items[i].address < survey->ranges.items[i].size;
    }
    return found;
}

/* What is new since BEFORE. */
static struct freeze_survey look_again(struct heap_fixture *fixture,
                                       const struct freeze_survey *before)
{
    struct freeze_survey again = {0};
    assert_success(freeze_survey_new_spans(&fixture->runtime, before, &again));
    return again;
}

/* Checks that of the spans exactly the one at PAGE (0: none) is new. */
static void check_new(struct heap_fixture *fixture, const struct freeze_survey *before,
                      uint64_t page)
{
    struct freeze_survey again = look_again(fixture, before);
    static const uint64_t pages[] = {10, 600, 20, 30, 40, 41, 700};
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        assert_int_equal(holds(&again, heap_fixture_page(pages[i])), pages[i] == page);
    }
    freeze_survey_deinit(&again);
}

static void test_all_that_spans_need(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof minors / sizeof *minors; i++) {
        struct heap_fixture *fixture = program(minors[i]);
        const struct layout *layout = fixture->runtime.layout;
        struct freeze_survey survey = {0};
        assert_success(freeze_survey_spans(&fixture->runtime, &survey));
        assert_int_equal(holds(&survey, heap_fixture_page(10)), 1);
        assert_int_equal(holds(&survey, heap_fixture_page(601) + 8191), 1);
        assert_int_equal(holds(&survey, heap_fixture_page(602)), 0);
        assert_int_equal(holds(&survey, heap_fixture_page(20)), 0);
        assert_int_equal(holds(&survey, heap_fixture_page(30)), 0);
        assert_int_equal(holds(&survey, HEAP_FIXTURE_LIST + 24), 1);
        for (size_t j = 0; j < 4; j++) {
            assert_int_equal(holds(&survey, HEAP_FIXTURE_MSPANS + j * HEAP_FIXTURE_MSPAN), 1);
        }
        for (size_t j = 0; j < 2; j++) {
            uint64_t arena = HEAP_FIXTURE_META + j * HEAP_FIXTURE_META_SIZE;
            int32_t marks = layout->heap_arena.page_use_span_inline_mark_bits;
            uint64_t number = (HEAP_FIXTURE_BORDER >> HEAP_ARENA_SHIFT) - 1 + j;
            assert_int_equal(holds(&survey, HEAP_FIXTURE_L2 + heap_arena_index(layout, number) * 8),
                             1);
            assert_int_equal(holds(&survey, arena), minors[i] <= 21);
            if (marks != LAYOUT_ABSENT) {
                assert_int_equal(holds(&survey, arena + (uint64_t)marks + 1023), 1);
            }
        }
        freeze_survey_deinit(&survey);
        heap_fixture_destroy(fixture);
    }
}

static void test_only_spans_that_changed_are_copied_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof minors / sizeof *minors; i++) {
        struct heap_fixture *fixture = program(minors[i]);
        const struct layout *layout = fixture->runtime.layout;
        struct freeze_survey before = {0};
        uint64_t pages = 2;
        uint64_t start = heap_fixture_page(40);
        uint64_t limit = start + 6400;
        assert_success(freeze_survey_spans(&fixture->runtime, &before));
        check_new(fixture, &before, 0);

        *heap_fixture_mspan(fixture, 3, layout->mspan.state) = 1; /* taken into use */
        check_new(fixture, &before, 30);
        *heap_fixture_mspan(fixture, 3, layout->mspan.state) = 0;

        *heap_fixture_mspan(fixture, 2, layout->mspan.spanclass) = 10; /* now with pointers */
        check_new(fixture, &before, 20);
        *heap_fixture_mspan(fixture, 2, layout->mspan.spanclass) = 11;

        memcpy(heap_fixture_mspan(fixture, 0, layout->mspan.npages), &pages, 8); /* longer */
        check_new(fixture, &before, 10);
        memcpy(heap_fixture_mspan(fixture, 0, layout->mspan.start_addr), &start, 8); /* elsewhere */
        memcpy(heap_fixture_mspan(fixture, 0, layout->mspan.limit), &limit, 8);
        struct freeze_survey again = look_again(fixture, &before);
        assert_int_equal(holds(&again, heap_fixture_page(41)), 1);
        freeze_survey_deinit(&again);

        freeze_survey_deinit(&before);
        heap_fixture_destroy(fixture);
    }
}

/* One more at the end of the list, one at another's place in it, one that cannot be read. */
static void test_lists_that_grew_or_moved(void **state)
{
    (void)state;
    struct heap_fixture *fixture = program(27);
    const struct layout *layout = fixture->runtime.layout;
    struct freeze_survey before = {0};
    assert_success(freeze_survey_spans(&fixture->runtime, &before));
    heap_fixture_span(fixture, 700, 1, 64, 100, 10);
    uint64_t count = fixture->span_count;
    memcpy(fixture->mheap + layout->mheap.allspans + 8, &count, 8);
    check_new(fixture, &before, 700);
    uint64_t first = fixture->list[0];
    fixture->list[0] = fixture->list[1];
    fixture->list[1] = first;
    struct freeze_survey again = look_again(fixture, &before);
    assert_int_equal(holds(&again, heap_fixture_page(10)), 1);
    assert_int_equal(holds(&again, heap_fixture_page(600)), 1);
    freeze_survey_deinit(&again);
    fixture->list[0] = 0x10;
    fixture->list[1] = 0;
    check_new(fixture, &before, 700);
    count = UINT64_C(1) << 40;
    memcpy(fixture->mheap + layout->mheap.allspans + 8, &count, 8);
    assert_error(freeze_survey_new_spans(&fixture->runtime, &before, &again), ERROR_CORRUPT);
    assert_error(freeze_survey_spans(&fixture->runtime, &again), ERROR_CORRUPT);
    freeze_survey_deinit(&again);
    freeze_survey_deinit(&before);
    heap_fixture_destroy(fixture);
}

/* Whether a span holds pointers or not, its specials and pinned objects are found in the stop. */
static void test_spans_with_lists_are_collected(void **state)
{
    (void)state;
    struct heap_fixture *fixture = program(27);
    const struct layout *layout = fixture->runtime.layout;
    struct freeze_survey before = {0};
    uint64_t list = 0x123000;
    assert_success(freeze_survey_spans(&fixture->runtime, &before));
    struct freeze_survey again = look_again(fixture, &before);
    assert_int_equal(again.hung.count, 0);
    freeze_survey_deinit(&again);
    memcpy(heap_fixture_mspan(fixture, 2, layout->mspan.specials), &list, 8);
    memcpy(heap_fixture_mspan(fixture, 1, layout->mspan.pinner_bits), &list, 8);
    memcpy(heap_fixture_mspan(fixture, 3, layout->mspan.specials), &list, 8); /* it is free */
    again = look_again(fixture, &before);
    assert_int_equal(again.hung.count, 2);
    assert_int_equal(again.hung.items[0].start, heap_fixture_page(600));
    assert_int_equal(again.hung.items[0].pins, list);
    assert_int_equal(again.hung.items[1].start, heap_fixture_page(20));
    assert_int_equal(again.hung.items[1].specials, list);
    freeze_survey_deinit(&again);
    freeze_survey_deinit(&before);
    heap_fixture_destroy(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_that_spans_need),
        cmocka_unit_test(test_only_spans_that_changed_are_copied_again),
        cmocka_unit_test(test_lists_that_grew_or_moved),
        cmocka_unit_test(test_spans_with_lists_are_collected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
