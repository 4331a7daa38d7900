/* The physical floor for reading goroutines: only the system calls that move the bytes of every g
 * and every used stack into one reused buffer, nothing decoded. Two ways are timed, and the faster
 * counts: the ranges themselves in batches of 1,024, and the memory that they lie in read whole.
 * Where the ranges are is found beforehand with Unpark's own reader and is not timed. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "goruntime/goruntime.h"
#include "target/gather.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FLOOR_BATCH = 1024, FLOOR_PIECE = 4 << 20, FLOOR_JOIN = 64 << 10, FLOOR_MAX_THREADS = 16 };

struct floor_list {
    struct iovec *items;
    size_t count;
    size_t capacity;
    size_t bytes;
};

struct floor_job {
    const struct floor_list *list;
    pid_t pid;
    size_t batch;
    atomic_size_t next;
    atomic_size_t moved;
};

/* Ends the program with one line. */
static _Noreturn void floor_fail(const char *what)
{
    fprintf(stderr, "floor: %s\n", what);
    exit(1);
}

/* Adds SIZE bytes at ADDRESS to LIST. */
static void floor_add(struct floor_list *list, uint64_t address, size_t size)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 4096 : list->capacity * 2;
        list->items = realloc(list->items, list->capacity * sizeof *list->items);
        if (list->items == NULL) {
            floor_fail("out of memory");
        }
    }
    list->items[list->count++] = (struct iovec){(void *)(uintptr_t)address, size};
    list->bytes += size;
}

/* Orders two ranges by address. */
static int floor_compare(const void *left, const void *right)
{
    uintptr_t a = (uintptr_t)((const struct iovec *)left)->iov_base;
    uintptr_t b = (uintptr_t)((const struct iovec *)right)->iov_base;
    return a < b ? -1 : a > b;
}

/* Joins the sorted ranges of FROM whose gaps are short, in pieces of at most FLOOR_PIECE bytes. */
static void floor_join(const struct floor_list *from, struct floor_list *ret)
{
    for (size_t i = 0; i < from->count;) {
        uint64_t start = (uintptr_t)from->items[i].iov_base;
        uint64_t end = start + from->items[i].iov_len;
        for (i++; i < from->count; i++) {
            uint64_t next = (uintptr_t)from->items[i].iov_base;
            uint64_t next_end = next + from->items[i].iov_len;
            if (next > end + FLOOR_JOIN || next_end - start > FLOOR_PIECE) {
                break;
            }
            end = next_end > end ? next_end : end;
        }
        floor_add(ret, start, (size_t)(end - start));
    }
}

/* One reader: takes batches until none is left. */
static void *floor_reader(void *argument)
{
    struct floor_job *job = argument;
    uint8_t *buffer = malloc(FLOOR_PIECE);
    if (buffer == NULL) {
        floor_fail("out of memory");
    }
    memset(buffer, 1, FLOOR_PIECE);
    for (;;) {
        size_t first = atomic_fetch_add(&job->next, job->batch);
        if (first >= job->list->count) {
            break;
        }
        size_t left = job->list->count - first;
        size_t count = left < job->batch ? left : job->batch;
        while (count > 0) {
            size_t size = 0;
            size_t take = 0;
            while (take < count && size + job->list->items[first + take].iov_len <= FLOOR_PIECE) {
                size += job->list->items[first + take].iov_len;
                take++;
            }
            take = take == 0 ? 1 : take;
            struct iovec local = {buffer, FLOOR_PIECE};
            ssize_t got = process_vm_readv(job->pid, &local, 1, job->list->items + first, take, 0);
            if (got > 0) {
                atomic_fetch_add(&job->moved, (size_t)got);
            }
            first += take;
            count -= take;
        }
    }
    free(buffer);
    return NULL;
}

/* Seconds to read LIST from PID with THREADS readers, BATCH ranges a call; *MOVED is what arrived.
 */
static double floor_time(const struct floor_list *list, pid_t pid, size_t batch, unsigned threads,
                         size_t *moved)
{
    struct floor_job job = {.list = list, .pid = pid, .batch = batch};
    pthread_t workers[FLOOR_MAX_THREADS];
    uint64_t start = clock_now();
    for (unsigned i = 1; i < threads; i++) {
        if (pthread_create(&workers[i], NULL, floor_reader, &job) != 0) {
            floor_fail("no thread");
        }
    }
    floor_reader(&job);
    for (unsigned i = 1; i < threads; i++) {
        pthread_join(workers[i], NULL);
    }
    *moved = atomic_load(&job.moved);
    return (double)(clock_now() - start) / 1e9;
}

struct floor_context {
    struct floor_list *list;
    const struct layout *layout;
};

/* Adds one g and its used stack. */
static struct error *floor_visit(void *argument, const struct gather_item *item,
                                 const uint8_t *bytes)
{
    struct floor_context *context = argument;
    const struct layout *layout = context->layout;
    if (bytes == NULL) {
        return NULL;
    }
    uint64_t high;
    uint64_t sp;
    uint32_t status;
    memcpy(&high, bytes + layout->g.stack_hi, sizeof high);
    memcpy(&sp, bytes + layout->g.sched_sp, sizeof sp);
    memcpy(&status, bytes + layout->g.atomicstatus, sizeof status);
    floor_add(context->list, item->address, (size_t)layout->g.size);
    if ((status & 0xfff) == 4 && sp < high && high - sp < FLOOR_PIECE) {
        floor_add(context->list, sp, (size_t)(high - sp));
    }
    return NULL;
}

/* Collects the ranges of every g and stack of RUNTIME. */
static struct error *floor_collect(struct goruntime *runtime, struct floor_list *ret)
{
    const struct goruntime_globals *globals = goruntime_globals(runtime);
    struct target *target = goruntime_target(runtime);
    uint64_t count;
    uint64_t array;
    TRY(target_read(target, globals->allglen, &count, sizeof count));
    TRY(target_read(target, globals->allgptr, &array, sizeof array));
    if (count > 100000000) {
        return error_create(ERROR_CORRUPT, "%llu goroutines", (unsigned long long)count);
    }
    CLEANUP_FREE uint64_t *pointers = malloc(count * sizeof *pointers + 1);
    CLEANUP_FREE struct gather_item *items = malloc(count * sizeof *items + 1);
    if (pointers == NULL || items == NULL) {
        return error_no_memory();
    }
    TRY(target_read(target, array, pointers, count * sizeof *pointers));
    for (uint64_t i = 0; i < count; i++) {
        items[i] = (struct gather_item){pointers[i], i};
    }
    struct floor_context context = {ret, goruntime_layout(runtime)};
    return gather_visit(target, items, count, (size_t)context.layout->g.size, floor_visit,
                        &context);
}

/* Opens PID and collects its ranges. */
static struct error *floor_open(pid_t pid, struct floor_list *ret)
{
    struct target *target = NULL;
    struct image *image = NULL;
    struct goruntime *runtime = NULL;
    struct error *error = target_open_pid(pid, &target);
    if (error == NULL) {
        error = image_create(target, &image);
    }
    if (error == NULL) {
        error = goruntime_create(target, image, &runtime);
    }
    if (error == NULL) {
        error = floor_collect(runtime, ret);
    }
    goruntime_destroy(runtime);
    image_destroy(image);
    target_destroy(target);
    return error;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        floor_fail("usage: floor PID [THREADS]");
    }
    pid_t pid = (pid_t)atoi(argv[1]);
    unsigned threads = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
    threads = threads < 1 ? 1 : threads > FLOOR_MAX_THREADS ? FLOOR_MAX_THREADS : threads;
    struct floor_list small = {0};
    struct floor_list whole = {0};
    struct error *error = floor_open(pid, &small);
    if (error != NULL) {
        floor_fail(error_message(error));
    }
    qsort(small.items, small.count, sizeof *small.items, floor_compare);
    floor_join(&small, &whole);
    double best_small = 1e9;
    double best_whole = 1e9;
    size_t moved_small = 0;
    size_t moved_whole = 0;
    for (int round = 0; round < 5; round++) {
        double s = floor_time(&small, pid, FLOOR_BATCH, threads, &moved_small);
        double w = floor_time(&whole, pid, 1, threads, &moved_whole);
        best_small = s < best_small ? s : best_small;
        best_whole = w < best_whole ? w : best_whole;
    }
    printf("{\"ranges\": %zu, \"bytes\": %zu, \"batched_s\": %.6f, \"batched_moved\": %zu, "
           "\"whole_ranges\": %zu, \"whole_bytes\": %zu, \"whole_s\": %.6f, \"whole_moved\": %zu, "
           "\"threads\": %u, \"floor_s\": %.6f}\n",
           small.count, small.bytes, best_small, moved_small, whole.count, whole.bytes, best_whole,
           moved_whole, threads, best_small < best_whole ? best_small : best_whole);
    return 0;
}
