/* Fetching a copy's bytes in bulk: memory made ready beforehand, pieces of a few MiB taken by one
 * reader per processor from a shared counter (freezing.md, section 2). */
#include "base/cleanup.h"
#include "base/clock.h"
#include "target/copy_internal.h"
#include "target/gather.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum {
    COPY_PIECE = 4 << 20,
    COPY_PIECE_RANGES = 1024,
    COPY_READERS_MAX = 8,
    COPY_BLOCK_MIN = 4 << 20,
    COPY_MARGIN_SHARE = 16, /* what may be new inside the stop: a share of all, */
    COPY_MARGIN = 16 << 20, /* and this much besides */
    COPY_JOIN = 64,         /* a gap up to this costs less to keep than to remember */
    COPY_POPULATE = 64 << 20,
    COPY_LATER_SEGMENTS = 1 << 12 /* that find room in the table without its being moved */
};

/* Readers that the machine has processors for. */
static unsigned copy_readers(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > COPY_READERS_MAX ? COPY_READERS_MAX : (unsigned)count;
}

/* The number after NAME in the file at PATH (NULL: its first number), or UINT64_MAX. */
static uint64_t copy_read_number(const char *path, const char *name)
{
    char line[256];
    uint64_t value = UINT64_MAX;
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        size_t skip = name == NULL ? 0 : strlen(name);
        unsigned long long number;
        if ((name == NULL || strncmp(line, name, skip) == 0) &&
            sscanf(line + skip, "%llu", &number) == 1) {
            value = number;
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return value;
}

/* The smaller of ROOM and what resource limit KIND leaves when the field NAME of our status, in
 * KiB, counts against it. */
static uint64_t copy_limit(uint64_t room, __rlimit_resource_t kind, const char *name)
{
    struct rlimit limit;
    if (getrlimit(kind, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return room;
    }
    uint64_t used = copy_read_number("/proc/self/status", name);
    if (used == UINT64_MAX) {
        return room;
    }
    uint64_t left = limit.rlim_cur / 1024 > used ? limit.rlim_cur - used * 1024 : 0;
    return left < room ? left : room;
}

/* Bytes that may still be used: the machine's available memory, our cgroup's headroom and that of
 * our resource limits. */
static uint64_t copy_headroom(void)
{
    uint64_t room = copy_read_number("/proc/meminfo", "MemAvailable:");
    room = room == UINT64_MAX ? room : room * 1024;
    room = copy_limit(room, RLIMIT_AS, "VmSize:");
    room = copy_limit(room, RLIMIT_DATA, "VmData:");
    char line[512];
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "0::", 3) != 0) {
            continue;
        }
        line[strcspn(line, "\n")] = 0;
        char path[640];
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", line + 3);
        uint64_t limit = copy_read_number(path, NULL);
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.current", line + 3);
        uint64_t used = copy_read_number(path, NULL);
        if (limit != UINT64_MAX && used != UINT64_MAX) {
            uint64_t left = limit > used ? limit - used : 0;
            room = left < room ? left : room;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return room;
}

struct copy_populate_job {
    uint8_t *memory;
    size_t size;
    atomic_size_t next;
};

/* Makes pages present, a stretch at a time. */
static void *copy_populate(void *argument)
{
    struct copy_populate_job *job = argument;
    for (;;) {
        size_t at = atomic_fetch_add(&job->next, COPY_POPULATE);
        if (at >= job->size) {
            return NULL;
        }
        size_t size = job->size - at < COPY_POPULATE ? job->size - at : COPY_POPULATE;
        if (madvise(job->memory + at, size, MADV_POPULATE_WRITE) != 0) {
            for (size_t i = 0; i < size; i += COPY_PAGE) { /* kernels before 5.14 */
                ((volatile uint8_t *)job->memory)[at + i] = 0;
            }
        }
    }
}

/* Runs WORK on up to READERS threads, this one included. */
static void copy_run(void *(*work)(void *), void *argument, unsigned readers)
{
    pthread_t threads[COPY_READERS_MAX];
    unsigned started = 1;
    for (; started < readers; started++) {
        if (pthread_create(&threads[started], NULL, work, argument) != 0) {
            break;
        }
    }
    work(argument);
    for (unsigned i = 1; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
}

/* What to do when memory does not suffice. */
static const char copy_advice[] =
    "give Unpark more memory (ulimit -v, the container's limit), or write a core file and read "
    "that elsewhere";

struct error *copy_explain_memory(struct error *error, const char *deed, uint64_t size)
{
    if (error == NULL || error_code(error) != ERROR_OUT_OF_MEMORY || error_advice(error) != NULL) {
        return error;
    }
    error_destroy(error);
    uint64_t room = copy_headroom();
    char need[64] = "";
    char free_text[64] = "there is";
    if (size > 0) {
        (void)snprintf(need, sizeof need, "about %llu MiB and some for itself, ",
                       (unsigned long long)((size + (1 << 20) - 1) >> 20));
    }
    if (room != UINT64_MAX) {
        (void)snprintf(free_text, sizeof free_text, "the %llu MiB that are free",
                       (unsigned long long)(room >> 20));
    }
    return error_advise(error_create(ERROR_OUT_OF_MEMORY, "out of memory: %s needs %smore than %s",
                                     deed, need, free_text),
                        "%s", copy_advice);
}

struct error *copy_add_block(struct copy *copy, size_t size)
{
    if (size > (SIZE_MAX >> 1)) {
        return error_no_memory();
    }
    size = (size + COPY_PAGE - 1) & ~(size_t)(COPY_PAGE - 1);
    uint64_t room = copy_headroom();
    if (size > COPY_BLOCK_MIN && room != UINT64_MAX && size > room / 10 * 9) {
        return error_advise(
            error_create(ERROR_LIMIT, "a copy needs %llu MiB of memory and %llu MiB are free",
                         (unsigned long long)(size >> 20), (unsigned long long)(room >> 20)),
            "%s", copy_advice);
    }
    struct copy_block block = {.size = size};
    block.memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block.memory == MAP_FAILED) {
        return copy_explain_memory(error_no_memory(), "a copy", size);
    }
    if (size >= COPY_BLOCK_MIN) {
        madvise(block.memory, size, MADV_HUGEPAGE);
        struct copy_populate_job job = {.memory = block.memory, .size = size};
        copy_run(copy_populate, &job, copy_readers());
    }
    struct error *error = vector_append(&copy->blocks, block);
    if (error != NULL) {
        munmap(block.memory, size);
    }
    return error;
}

struct error *copy_allocate(struct copy *copy, size_t size, uint8_t **ret)
{
    for (size_t i = copy->blocks.count; i-- > 0;) {
        struct copy_block *block = &copy->blocks.items[i];
        if (block->size - block->used >= size) {
            *ret = block->memory + block->used;
            block->used += size;
            return NULL;
        }
        if (copy->blocks.count - i > 4) {
            break;
        }
    }
    TRY(copy_add_block(copy, size < COPY_BLOCK_MIN ? COPY_BLOCK_MIN : size));
    struct copy_block *block = &copy->blocks.items[copy->blocks.count - 1];
    *ret = block->memory;
    block->used = size;
    return NULL;
}

struct copy_job {
    struct copy *copy;
    const struct copy_plan *plan;
    atomic_size_t next;
    uint64_t deadline;
    atomic_bool late;
    atomic_bool missing; /* something could not be read */
    _Atomic(struct error *) error;
};

/* Reads COUNT ranges, and notes when not all of them can be read. */
static struct error *copy_read_ranges(struct copy_job *job, struct target_range *ranges,
                                      size_t count)
{
    TRY(target_read_ranges(job->copy->base, ranges, count));
    for (size_t i = 0; i < count; i++) {
        if (ranges[i].done < ranges[i].size) {
            atomic_store(&job->missing, true);
        }
    }
    return NULL;
}

/* One reader: takes pieces until none is left. */
static void *copy_read_pieces(void *argument)
{
    struct copy_job *job = argument;
    for (;;) {
        size_t piece = atomic_fetch_add(&job->next, 1);
        if (piece + 1 >= job->plan->pieces.count || atomic_load(&job->error) != NULL) {
            return NULL;
        }
        if (job->deadline != 0 && clock_now() > job->deadline) {
            atomic_store(&job->late, true);
            return NULL;
        }
        const size_t *pieces = job->plan->pieces.items + piece;
        struct error *error =
            copy_read_ranges(job, job->plan->ranges.items + pieces[0], pieces[1] - pieces[0]);
        if (error != NULL) {
            struct error *none = NULL;
            if (!atomic_compare_exchange_strong(&job->error, &none, error)) {
                error_destroy(error);
            }
            return NULL;
        }
    }
}

void copy_plan_deinit(struct copy_plan *plan)
{
    vector_deinit(&plan->ranges);
    vector_deinit(&plan->pieces);
    vector_deinit(&plan->segments);
    plan->size = 0;
}

/* The first segment from FIRST on that ends behind ADDRESS. */
static size_t copy_first_behind(const struct copy *copy, size_t first, uint64_t address)
{
    const struct copy_segment *items = copy->segments.items;
    size_t low = first;
    size_t high = copy->segments.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (items[middle].address + items[middle].size <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Adds [start, end) to PLAN in parts of at most a piece, leaving out what segments hold already. */
static struct error *copy_plan_range(const struct copy *copy, uint64_t start, uint64_t end,
                                     size_t *segment, struct copy_plan *plan)
{
    while (start < end) {
        *segment = copy_first_behind(copy, *segment, start);
        uint64_t stop = end;
        if (*segment < copy->segments.count) {
            const struct copy_segment *held = &copy->segments.items[*segment];
            if (held->address <= start) {
                start = held->address + held->size;
                continue;
            }
            stop = held->address < stop ? held->address : stop;
        }
        stop = stop - start > COPY_PIECE ? start + COPY_PIECE : stop;
        struct target_range range = {.address = start, .size = (size_t)(stop - start)};
        TRY(vector_append(&plan->ranges, range));
        plan->size += range.size;
        start = stop;
    }
    return NULL;
}

/* Sorts RANGES and turns them into disjoint parts that are not held yet. */
static struct error *copy_plan_ranges(const struct copy *copy, const struct copy_range *ranges,
                                      size_t count, struct copy_plan *plan)
{
    CLEANUP_FREE struct gather_item *sorted = reallocarray(NULL, 2 * count + 1, sizeof *sorted);
    if (sorted == NULL) {
        return error_no_memory();
    }
    bool in_order = true;
    for (size_t i = 0; i < count; i++) {
        sorted[i] = (struct gather_item){ranges[i].address, ranges[i].size};
        in_order = in_order && (i == 0 || ranges[i - 1].address <= ranges[i].address);
    }
    if (!in_order) {
        gather_sort(sorted, sorted + count, count);
    }
    uint64_t done = 0;
    size_t segment = 0;
    for (size_t i = 0; i < count;) {
        uint64_t start = sorted[i].address < done ? done : sorted[i].address;
        uint64_t end = sorted[i].address + sorted[i].tag;
        for (i++; i < count && sorted[i].address <= end + COPY_JOIN; i++) {
            uint64_t next = sorted[i].address + sorted[i].tag;
            end = next > end ? next : end;
        }
        if (end > start) {
            TRY(copy_plan_range(copy, start, end, &segment, plan));
            done = end;
        }
    }
    return NULL;
}

/* Gives every planned range its place and cuts the list into pieces. */
static struct error *copy_plan_place(struct copy *copy, struct copy_plan *plan)
{
    uint8_t *memory = NULL;
    TRY(copy_allocate(copy, plan->size, &memory));
    size_t size = COPY_PIECE + 1;
    for (size_t i = 0; i < plan->ranges.count; i++) {
        struct target_range *range = &plan->ranges.items[i];
        range->destination = memory;
        memory += range->size;
        if (size + range->size > COPY_PIECE ||
            i - plan->pieces.items[plan->pieces.count - 1] == COPY_PIECE_RANGES) {
            TRY(vector_append(&plan->pieces, i));
            size = 0;
        }
        size += range->size;
    }
    return vector_append(&plan->pieces, plan->ranges.count);
}

/* Adds SIZE bytes at ADDRESS to the segments of PLAN, joined with the last where they adjoin. */
static struct error *copy_plan_segment(struct copy_plan *plan, uint64_t address, uint64_t size,
                                       const uint8_t *bytes)
{
    if (plan->segments.count > 0) {
        struct copy_segment *last = &plan->segments.items[plan->segments.count - 1];
        if (address == last->address + last->size && bytes == last->bytes + last->size) {
            last->size += size;
            return NULL;
        }
    }
    struct copy_segment segment = {address, size, bytes};
    return vector_append(&plan->segments, segment);
}

struct error *copy_reserve(struct target *target, const struct copy_range *ranges, size_t count)
{
    struct copy *copy = (struct copy *)target;
    struct copy_plan *plan = &copy->reserved;
    copy_plan_deinit(plan);
    TRY(copy_plan_ranges(copy, ranges, count, plan));
    TRY(copy_add_block(copy, plan->size + COPY_BLOCK_MIN));
    TRY(copy_plan_place(copy, plan));
    TRY(vector_reserve(&plan->segments, plan->ranges.count + COPY_LATER_SEGMENTS));
    for (size_t i = 0; i < plan->ranges.count; i++) { /* here, because it takes its time */
        const struct target_range *range = &plan->ranges.items[i];
        TRY(copy_plan_segment(plan, range->address, range->size, range->destination));
    }
    return copy_add_block(copy, plan->size / COPY_MARGIN_SHARE + COPY_MARGIN);
}

/* Takes the readable pages behind the first unreadable byte of RANGE. */
static struct error *copy_keep_rest(const struct copy *copy, struct copy_plan *plan,
                                    const struct target_range *range)
{
    uint64_t end = range->address + range->size;
    uint64_t at = ((range->address + range->done) | (COPY_PAGE - 1)) + 1;
    while (at < end) {
        size_t size = end - at < COPY_PAGE ? (size_t)(end - at) : COPY_PAGE;
        struct target_range page = {at, size, range->destination + (at - range->address), 0};
        TRY(target_read_ranges(copy->base, &page, 1));
        if (page.done > 0) {
            TRY(copy_plan_segment(plan, at, page.done, page.destination));
        }
        at += size;
    }
    return NULL;
}

/* Makes the segments of PLAN what really arrived. */
static struct error *copy_plan_arrived(const struct copy *copy, struct copy_plan *plan)
{
    plan->segments.count = 0;
    for (size_t i = 0; i < plan->ranges.count; i++) {
        const struct target_range *range = &plan->ranges.items[i];
        if (range->done > 0) {
            TRY(copy_plan_segment(plan, range->address, range->done, range->destination));
        }
        if (range->done < range->size) {
            TRY(copy_keep_rest(copy, plan, range));
        }
    }
    return NULL;
}

/* Takes the segments of PLAN, which are in order as the copy's are, and not among them. */
static struct error *copy_keep(struct copy *copy, struct copy_plan *plan)
{
    size_t new = plan->segments.count;
    for (size_t i = 0; i < new; i++) {
        copy->held += plan->segments.items[i].size;
    }
    if (copy->segments.count == 0) {
        vector_deinit(&copy->segments);
        copy->segments.items = TAKE(plan->segments.items);
        copy->segments.count = new;
        copy->segments.capacity = plan->segments.capacity;
        plan->segments.count = plan->segments.capacity = 0;
        return NULL;
    }
    TRY(vector_reserve(&copy->segments, copy->segments.count + new));
    size_t old = copy->segments.count;
    copy->segments.count += new;
    for (size_t to = copy->segments.count; new > 0;) { /* those behind the last new one stay */
        struct copy_segment *items = copy->segments.items;
        const struct copy_segment *last = &plan->segments.items[new - 1];
        bool keeps = old > 0 && items[old - 1].address > last->address;
        items[--to] = keeps ? items[--old] : plan->segments.items[--new];
    }
    return NULL;
}

/* Fetches what PLAN says and keeps it. */
static struct error *copy_fetch_plan(struct copy *copy, struct copy_plan *plan,
                                     uint64_t deadline_ns)
{
    struct copy_job job = {.copy = copy, .plan = plan, .deadline = deadline_ns};
    unsigned readers = copy_readers();
    size_t pieces = plan->pieces.count - 1;
    copy_run(copy_read_pieces, &job, pieces < readers ? (unsigned)pieces : readers);
    TRY(atomic_load(&job.error));
    if (atomic_load(&job.late)) {
        return error_create(ERROR_LIMIT, "copying took longer than the stop may last");
    }
    if (atomic_load(&job.missing) || plan->segments.count == 0) {
        TRY(copy_plan_arrived(copy, plan));
    }
    return copy_keep(copy, plan);
}

struct error *copy_fetch_reserved(struct target *target, uint64_t deadline_ns)
{
    struct copy *copy = (struct copy *)target;
    if (copy->reserved.ranges.count == 0) {
        return NULL;
    }
    struct error *error = copy_fetch_plan(copy, &copy->reserved, deadline_ns);
    copy_plan_deinit(&copy->reserved);
    return error;
}

struct error *copy_fetch(struct target *target, const struct copy_range *ranges, size_t count,
                         uint64_t deadline_ns)
{
    struct copy *copy = (struct copy *)target;
    CLEANUP(copy_plan_deinit) struct copy_plan plan = {0};
    TRY(copy_plan_ranges(copy, ranges, count, &plan));
    if (plan.ranges.count == 0) {
        return NULL;
    }
    TRY(copy_plan_place(copy, &plan));
    return copy_fetch_plan(copy, &plan, deadline_ns);
}
