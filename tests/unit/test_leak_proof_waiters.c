#include "heap_fixture.h"
#include "leak/proof_waiters.h"

enum { SPANS = 40, PER_SPAN = 100, GOROUTINES = 3000, OUTSIDE_EVERY = 7 };

static size_t outside_count;
static bool outside[GOROUTINES];

static void take_outside(void *context, uint32_t index)
{
    (void)context;
    outside_count += outside[index] ? 0 : 1;
    outside[index] = true;
}

/* Whoever waits for an object is found by its number, and nobody else; who waits for what is not in
 * the heap is named. */
static void test_finds_all(void **state)
{
    (void)state;
    struct heap_fixture *fixture = heap_fixture_create(27);
    for (size_t i = 0; i < SPANS; i++) {
        (void)heap_fixture_span(fixture, i * 3, 1, 64, PER_SPAN, 6 << 1 | 1);
    }
    heap_fixture_open(fixture);
    struct heap *heap = NULL;
    struct mark *mark = NULL;
    struct proof_waiters waiters = {0};
    assert_null(heap_create(&fixture->runtime, &heap));
    assert_null(mark_create(heap, 1, &mark));
    size_t objects = (size_t)heap_object_count(heap);
    size_t *wanted = calloc(objects, sizeof *wanted);
    size_t *sum = calloc(objects, sizeof *sum);
    assert_non_null(wanted);
    assert_non_null(sum);
    memset(outside, 0, sizeof outside);
    outside_count = 0;
    uint64_t random = 1;
    for (uint32_t i = 0; i < GOROUTINES; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t object = (size_t)(random >> 33) % (objects / 2) * 2; /* every other has nobody */
        uint64_t address = heap_fixture_page(object / PER_SPAN * 3) + object % PER_SPAN * 64 + 8;
        if (i % OUTSIDE_EVERY == 0) {
            address = heap_fixture_page(1); /* between spans */
        } else {
            wanted[object]++;
            sum[object] += i;
        }
        assert_null(proof_waiters_add(&waiters, address, i, ~i));
    }
    assert_null(proof_waiters_watch(&waiters, mark, take_outside, NULL));
    assert_int_equal(outside_count, (GOROUTINES + OUTSIDE_EVERY - 1) / OUTSIDE_EVERY);
    for (size_t i = 0; i < objects + 10; i++) {
        size_t count;
        size_t total = 0;
        const struct gather_item *found = proof_waiters_find(&waiters, i, &count);
        for (size_t j = 0; j < count; j++) {
            assert_int_equal(found[j].address, i);
            assert_int_equal(proof_waiter_object(&found[j]), ~proof_waiter_goroutine(&found[j]));
            assert_false(outside[proof_waiter_goroutine(&found[j])]);
            total += proof_waiter_goroutine(&found[j]);
        }
        assert_int_equal(count, i < objects ? wanted[i] : 0);
        assert_int_equal(total, i < objects ? sum[i] : 0);
    }
    proof_waiters_deinit(&waiters);
    mark_destroy(mark);
    heap_destroy(heap);
    heap_fixture_destroy(fixture);
    free(wanted);
    free(sum);
}

/* Nobody waits: nothing is found. */
static void test_finds_nothing(void **state)
{
    (void)state;
    struct proof_waiters waiters = {0};
    size_t count = 1;
    (void)proof_waiters_find(&waiters, 0, &count);
    assert_int_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_all),
        cmocka_unit_test(test_finds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
