#include "base/clock.h"
#include "support.h"
#include "target/target.h"
#include "target/target_live.h"
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Reading many ranges of a live process at once must give what reading them one by one gives, near
 * or far from each other, whatever lies between them. */

enum { PAGES = 256, RANGES_MAX = 6000, CANARY = 0xa5 };

static atomic_int *ready; /* shared with the child */
static uint8_t *region;   /* the same bytes in the child, but for the holes */
static size_t page;
static pid_t child;
static struct target *target;
static bool readable[PAGES + 1]; /* by page, as single reads find it; the last is never */

/* Ranges to read, and where to. */
struct plan {
    struct target_range ranges[RANGES_MAX];
    size_t count;
    uint8_t *bytes;
    size_t used, capacity;
};

static int setup(void **state)
{
    (void)state;
    page = (size_t)sysconf(_SC_PAGESIZE);
    ready = mmap(NULL, sizeof *ready, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    region = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ready == MAP_FAILED || region == MAP_FAILED) {
        return 1;
    }
    for (size_t i = 0; i < PAGES * page; i++) {
        region[i] = (uint8_t)(i * 31 + i / page * 7 + 1);
    }
    return 0;
}

/* Makes holes: unmapped, and mapped without any right. The region's last page is one. */
static void punch(void)
{
    static const size_t unmapped[] = {20, 22, 41, 42, 100, PAGES - 1};
    static const size_t forbidden[] = {10, 12, 13, 101, 140};
    for (size_t i = 0; i < sizeof unmapped / sizeof *unmapped; i++) {
        munmap(region + unmapped[i] * page, page);
    }
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
        mprotect(region + forbidden[i] * page, page, PROT_NONE);
    }
}

/* Starts the child and learns by single reads which pages can be read. */
static void begin(bool through_file)
{
    atomic_store(ready, 0);
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        punch();
        atomic_store(ready, 1);
        for (;;) {
            pause();
        }
    }
    uint64_t deadline = clock_now() + 60000000000u;
    while (atomic_load(ready) == 0) {
        assert_true(clock_now() < deadline);
        sched_yield();
    }
    assert_success(target_open_pid(child, &target));
    atomic_store(&((struct target_live *)target)->through_file, through_file);
    for (size_t i = 0; i < PAGES; i++) {
        uint8_t byte;
        struct error *error = target_read(target, (uintptr_t)region + i * page, &byte, 1);
        readable[i] = error == NULL;
        error_destroy(error);
    }
    assert_true(readable[0]);
    assert_false(readable[20]);
    assert_false(readable[PAGES - 1]);
    assert_int_equal(readable[10], through_file); /* the file reads what the owner may not */
}

static void end(void)
{
    target_destroy(target);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static struct plan *plan_create(void)
{
    struct plan *plan = calloc(1, sizeof *plan);
    plan->capacity = 8 * PAGES * page;
    plan->bytes = malloc(plan->capacity);
    memset(plan->bytes, CANARY, plan->capacity);
    return plan;
}

static void plan_destroy(struct plan *plan)
{
    free(plan->bytes);
    free(plan);
}

/* Plans to read SIZE bytes at OFFSET of the region. */
static void add(struct plan *plan, uint64_t offset, size_t size)
{
    assert_true(plan->count < RANGES_MAX && size < plan->capacity - plan->used - 1);
    plan->ranges[plan->count++] = (struct target_range){.address = (uintptr_t)region + offset,
                                                        .size = size,
                                                        .destination = plan->bytes + plan->used,
                                                        .done = 4711};
    plan->used += size + 1;
}

/* How much of SIZE bytes at OFFSET can be read, by what the pages are. */
static size_t expect(uint64_t offset, size_t size)
{
    size_t done = 0;
    while (done < size && offset + done < PAGES * page && readable[(offset + done) / page]) {
        size_t left = page - (offset + done) % page;
        done += left < size - done ? left : size - done;
    }
    return done;
}

/* Reads all of PLAN at once and checks each range by its bytes. */
static void check(struct plan *plan)
{
    assert_success(target_read_ranges(target, plan->ranges, plan->count));
    for (size_t i = 0; i < plan->count; i++) {
        const struct target_range *range = &plan->ranges[i];
        uint64_t offset = range->address - (uintptr_t)region;
        size_t expected = expect(offset, range->size);
        if (range->done != expected) {
            fail_msg("range %zu (%zu bytes at page %llu + %llu): %zu read, not %zu", i, range->size,
                     (unsigned long long)(offset / page), (unsigned long long)(offset % page),
                     range->done, expected);
        }
        assert_memory_equal(range->destination, region + offset, expected);
        assert_int_equal(range->destination[range->size], CANARY);
    }
    plan_destroy(plan);
}

/* Ranges with what lies GAP bytes behind them. */
static void check_gaps(void)
{
    static const size_t gaps[] = {0, 1, 8, 4088, 4095, 4096, 4097, 8192, 100000};
    for (size_t i = 0; i < sizeof gaps / sizeof *gaps; i++) {
        struct plan *plan = plan_create();
        for (uint64_t offset = 3; offset + 100 < PAGES * page; offset += 24 + gaps[i]) {
            if (plan->count == RANGES_MAX) {
                break;
            }
            add(plan, offset, 24);
        }
        check(plan);
        plan = plan_create(); /* the same downwards */
        for (uint64_t offset = PAGES * page - 200; offset > 100000 + 24; offset -= 24 + gaps[i]) {
            if (plan->count == RANGES_MAX) {
                break;
            }
            add(plan, offset, 24);
        }
        check(plan);
    }
}

/* Holes between, before and in ranges that lie close to each other. */
static void check_holes(void)
{
    for (size_t hole = 8; hole < 48; hole++) {
        uint64_t start = hole * page;
        struct plan *plan = plan_create();
        add(plan, start - 64, 64); /* exactly the page lies between */
        add(plan, start + page, 64);
        add(plan, start + page + 100, 64);
        check(plan);
        plan = plan_create();
        add(plan, start - 200, 100); /* the gap leads into it, the next begins in it */
        add(plan, start + 50, 100);
        add(plan, start + page - 8, 16);
        add(plan, start + page + 8, 100);
        check(plan);
        plan = plan_create();
        add(plan, start - 50, 100); /* ends in it */
        add(plan, start + 100, 8);
        add(plan, start + page, 8);
        add(plan, start + page + 8, 2 * page);
        add(plan, start - 3 * page, 8 * page); /* over it, and overlapping the others */
        add(plan, start + 3 * page, 8);
        check(plan);
        plan = plan_create();
        add(plan, start, 1); /* the first of all is unreadable */
        add(plan, start + 1, 1);
        add(plan, start + page, 1);
        add(plan, start + page, 0);
        add(plan, start + 2 * page, 1);
        check(plan);
    }
}

/* Random ranges, sorted or not, empty ones among them, many more than one call takes. */
static void check_random(void)
{
    uint64_t random = 88172645463325252u;
    for (size_t round = 0; round < 40; round++) {
        struct plan *plan = plan_create();
        uint64_t offset = 0;
        size_t count = round % 4 == 0 ? RANGES_MAX : 1 + round * 30;
        for (size_t i = 0; i < count; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            size_t size = random % 5 == 0 ? 0 : (size_t)(random >> 8) % 700;
            uint64_t step = (random >> 20) % (round % 2 == 0 ? 300 : 9000);
            offset = round % 3 == 0 ? (random >> 20) % (PAGES * page - 1000)
                                    : (offset + step) % (PAGES * page - 1000);
            add(plan, offset, size);
        }
        check(plan);
    }
}

/* Addresses that no program has. */
static void check_nowhere(void)
{
    uint8_t bytes[64];
    static const uint64_t nowhere[] = {0,
                                       1,
                                       UINT64_MAX - 7,
                                       UINT64_C(1) << 63,
                                       UINT64_C(0x7ffffffff000),
                                       UINT64_C(0xffffffffff600000)};
    struct target_range ranges[2 * sizeof nowhere / sizeof *nowhere];
    size_t count = sizeof nowhere / sizeof *nowhere;
    for (size_t i = 0; i < count; i++) {
        ranges[2 * i] =
            (struct target_range){.address = nowhere[i], .size = 8, .destination = bytes};
        ranges[2 * i + 1] = (struct target_range){
            .address = (uintptr_t)region + i, .size = 8, .destination = bytes + 8};
    }
    assert_success(target_read_ranges(target, ranges, 2 * count));
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(ranges[2 * i].done, 0);
        assert_int_equal(ranges[2 * i + 1].done, 8);
    }
    assert_success(target_read_ranges(target, ranges, 0));
    ranges[0].size = 0;
    assert_success(target_read_ranges(target, ranges, 1));
    assert_int_equal(ranges[0].done, 0);
}

static void check_all(bool through_file)
{
    begin(through_file);
    check_gaps();
    check_holes();
    check_random();
    check_nowhere();
    end();
}

static void test_ranges_by_one_call(void **state)
{
    (void)state;
    check_all(false);
}

static void test_ranges_through_the_file(void **state)
{
    (void)state;
    check_all(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges_by_one_call),
        cmocka_unit_test(test_ranges_through_the_file),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
