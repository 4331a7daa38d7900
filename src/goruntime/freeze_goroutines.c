/* Which ranges the goroutines of a view need: their used stacks, and what they wait on when it may
 * lie in spans without pointers. Several threads share the list; each has its own reader and
 * ranges. Source: g and sudog by the layout row; a sudog's elem is a semaphore when it has no
 * channel (runtime/sema.go). */
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/hash_map.h"
#include "goruntime/freeze_survey.h"
#include "goruntime/goroutine_reader.h"
#include "goruntime/roots.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FREEZE_SUDOG_LEVELS = 1 << 16, /* cases of one select */
    FREEZE_SUDOGS_MAX = 1 << 26,
    FREEZE_AROUND_SEMAPHORE = 64, /* bytes before and behind: the primitive that holds it */
    FREEZE_BATCH = 1 << 12,
    FREEZE_AHEAD = 8, /* g's called up before they are compared */
    FREEZE_LINE = 64, /* of the processor's cache */
    FREEZE_THREADS_MAX = 8
};

/* What the threads share. */
struct freeze_job {
    struct goruntime *runtime;
    const uint64_t *list;
    uint64_t *hashes; /* to be filled in, or NULL */
    size_t count;
    atomic_size_t next;
    atomic_bool failed;
};

/* One thread. */
struct freeze_worker {
    struct freeze_job *job;
    struct freeze_survey survey;
    struct bulk *bulk;
    struct gather_item *items; /* two batches */
    size_t first;              /* of the batch under way */
    VECTOR(struct gather_item) sudogs;
    size_t sudogs_seen;
    struct error *error;
    pthread_t thread;
    bool started;
};

/* Adds what one sudog waits on, and queues the next case of a select. */
static struct error *freeze_visit_sudog(void *context, const struct gather_item *item,
                                        const uint8_t *bytes)
{
    struct freeze_worker *worker = context;
    const struct layout *layout = worker->job->runtime->layout;
    if (bytes == NULL || worker->sudogs_seen++ > FREEZE_SUDOGS_MAX) {
        return NULL;
    }
    uint64_t channel = bytes_u64(bytes + layout->sudog.c);
    uint64_t element = bytes_u64(bytes + layout->sudog.elem);
    uint64_t link = bytes_u64(bytes + layout->sudog.waitlink);
    if (channel != 0) {
        TRY(freeze_survey_add(&worker->survey, channel, (uint64_t)(uint32_t)layout->hchan.size));
        if (link != 0) {
            TRY(vector_append(&worker->sudogs, ((struct gather_item){link, item->tag})));
        }
    } else if (element > FREEZE_AROUND_SEMAPHORE) {
        TRY(freeze_survey_add(&worker->survey, element - FREEZE_AROUND_SEMAPHORE,
                              2 * FREEZE_AROUND_SEMAPHORE));
    }
    return NULL;
}

/* Follows the sudogs that are queued, one case of every select at a time. */
static struct error *freeze_follow_sudogs(struct freeze_worker *worker)
{
    const struct goruntime *runtime = worker->job->runtime;
    for (size_t level = 0; worker->sudogs.count > 0 && level < FREEZE_SUDOG_LEVELS; level++) {
        struct gather_item *items = worker->sudogs.items;
        size_t count = worker->sudogs.count;
        memset(&worker->sudogs, 0, sizeof worker->sudogs);
        struct error *error =
            gather_visit(runtime->target, items, count, (size_t)runtime->layout->sudog.size,
                         freeze_visit_sudog, worker);
        free(items);
        TRY(error);
    }
    return NULL;
}

/* Adds the used stack of one goroutine and queues its sudogs. */
static struct error *freeze_visit_goroutine(void *context, const struct gather_item *item,
                                            const uint8_t *bytes)
{
    struct freeze_worker *worker = context;
    const struct layout *layout = worker->job->runtime->layout;
    struct goroutine_record record;
    if (bytes == NULL) {
        return NULL;
    }
    if (worker->job->hashes != NULL) {
        worker->job->hashes[worker->first + bulk_index(item)] =
            hash_bytes(bytes, (size_t)layout->g.size, 0);
    }
    goroutine_decode(layout, bytes, item->address, &record);
    if (!goroutine_is_alive(&record) || record.stack_lo >= record.stack_hi) {
        return NULL;
    }
    /* Who has an m outside of system calls executes, whatever its status says. */
    bool parked = record.status != GOROUTINE_STATUS_RUNNING &&
                  record.status != GOROUTINE_STATUS_COPYSTACK &&
                  (record.m == 0 || record.status == GOROUTINE_STATUS_SYSCALL) &&
                  record.sp >= record.stack_lo && record.sp < record.stack_hi;
    uint64_t low = parked ? record.sp : record.stack_lo;
    TRY(freeze_survey_add(&worker->survey, low, record.stack_hi - low));
    if (record.x_regs != 0) {
        TRY(freeze_survey_add(&worker->survey, record.x_regs, roots_vector_size(layout)));
    }
    if (record.waiting != 0) {
        TRY(vector_append(&worker->sudogs, ((struct gather_item){record.waiting, 0})));
    }
    return NULL;
}

/* Takes batches until none is left. */
static struct error *freeze_work(struct freeze_worker *worker)
{
    struct freeze_job *job = worker->job;
    size_t size = (size_t)job->runtime->layout->g.size;
    TRY(bulk_create(job->runtime->target, &worker->bulk));
    worker->items = reallocarray(NULL, (size_t)2 * FREEZE_BATCH, sizeof *worker->items);
    if (worker->items == NULL) {
        return error_no_memory();
    }
    while (!atomic_load(&job->failed)) {
        worker->first = atomic_fetch_add(&job->next, FREEZE_BATCH);
        if (worker->first >= job->count) {
            break;
        }
        size_t left = job->count - worker->first;
        size_t count = left < FREEZE_BATCH ? left : FREEZE_BATCH;
        for (size_t i = 0; i < count; i++) {
            worker->items[i] = (struct gather_item){job->list[worker->first + i],
                                                    bulk_tag((uint32_t)size, (uint32_t)i)};
        }
        TRY(bulk_visit(worker->bulk, worker->items, worker->items + FREEZE_BATCH, count,
                       freeze_visit_goroutine, worker));
    }
    return freeze_follow_sudogs(worker);
}

/* A thread's function. */
static void *freeze_worker_main(void *argument)
{
    struct freeze_worker *worker = argument;
    worker->error = freeze_work(worker);
    if (worker->error != NULL) {
        atomic_store(&worker->job->failed, true);
    }
    return NULL;
}

/* Frees what WORKER holds. */
static void freeze_worker_deinit(struct freeze_worker *worker)
{
    freeze_survey_deinit(&worker->survey);
    bulk_destroy(worker->bulk);
    free(worker->items);
    vector_deinit(&worker->sudogs);
    error_destroy(worker->error);
}

/* Adds what WORKER found to SURVEY, or takes over its failure. */
static struct error *freeze_take_over(struct freeze_worker *worker, struct freeze_survey *survey)
{
    TRY(TAKE(worker->error));
    for (size_t i = 0; i < worker->survey.ranges.count; i++) {
        const struct copy_range *range = &worker->survey.ranges.items[i];
        TRY(freeze_survey_add(survey, range->address, range->size));
    }
    return NULL;
}

/* Looks at COUNT g's at LIST. */
static struct error *freeze_look(struct goruntime *runtime, const uint64_t *list, size_t count,
                                 uint64_t *hashes, struct freeze_survey *survey)
{
    struct freeze_job job = {.runtime = runtime, .list = list, .hashes = hashes, .count = count};
    struct freeze_worker workers[FREEZE_THREADS_MAX] = {{.job = &job}};
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    size_t useful = count / FREEZE_BATCH + 1;
    size_t threads = processors < 1 ? 1 : (size_t)processors;
    threads = threads < useful ? threads : useful;
    threads = threads < FREEZE_THREADS_MAX ? threads : FREEZE_THREADS_MAX;
    for (size_t i = 0; i < threads; i++) {
        workers[i].survey.held = survey->held;
    }
    for (size_t i = 1; i < threads; i++) {
        workers[i].job = &job;
        workers[i].started =
            pthread_create(&workers[i].thread, NULL, freeze_worker_main, &workers[i]) == 0;
    }
    (void)freeze_worker_main(&workers[0]);
    struct error *error = NULL;
    for (size_t i = 0; i < threads; i++) {
        if (workers[i].started) {
            (void)pthread_join(workers[i].thread, NULL);
        }
        if (error == NULL) {
            error = freeze_take_over(&workers[i], survey);
        }
        freeze_worker_deinit(&workers[i]);
    }
    return error;
}

struct error *freeze_survey_goroutines(struct goruntime *runtime, struct freeze_survey *survey)
{
    TRY(goroutine_list(runtime, &survey->list, &survey->count));
    survey->hashes = calloc(survey->count + 1, sizeof *survey->hashes);
    if (survey->hashes == NULL) {
        return error_no_memory();
    }
    return freeze_look(runtime, survey->list, survey->count, survey->hashes, survey);
}

/* What one thread compares. */
struct freeze_compare {
    const struct goruntime *runtime;
    const struct freeze_survey *before;
    const uint64_t *list;
    size_t first, end;
    uint8_t *same; /* by index */
    pthread_t thread;
    bool started;
};

/* The bytes of g number INDEX of the list when BEFORE saw it at the same place, and they are on
 * their way to the processor; else NULL. */
static const uint8_t *freeze_call_up(const struct freeze_compare *compare, size_t index)
{
    const struct freeze_survey *before = compare->before;
    size_t size = (size_t)compare->runtime->layout->g.size;
    if (index >= compare->end || index >= before->count ||
        before->list[index] != compare->list[index]) {
        return NULL;
    }
    const uint8_t *bytes = target_view(compare->runtime->target, compare->list[index], size);
    for (size_t i = 0; bytes != NULL && i < size; i += FREEZE_LINE) {
        __builtin_prefetch(bytes + i);
    }
    return bytes;
}

/* A thread's function. The copied bytes are in no cache: each g is called up while others are
 * compared. */
static void *freeze_compare_main(void *argument)
{
    const struct freeze_compare *compare = argument;
    size_t size = (size_t)compare->runtime->layout->g.size;
    const uint8_t *ahead[FREEZE_AHEAD];
    for (size_t i = 0; i < FREEZE_AHEAD; i++) {
        ahead[i] = freeze_call_up(compare, compare->first + i);
    }
    for (size_t i = compare->first; i < compare->end; i++) {
        const uint8_t **place = &ahead[(i - compare->first) % FREEZE_AHEAD];
        compare->same[i] =
            *place != NULL && hash_bytes(*place, size, 0) == compare->before->hashes[i];
        *place = freeze_call_up(compare, i + FREEZE_AHEAD);
    }
    return NULL;
}

/* Compares all g's, half of them each by two threads. */
static void freeze_compare_all(const struct goruntime *runtime, const struct freeze_survey *before,
                               const uint64_t *list, size_t count, uint8_t *same)
{
    struct freeze_compare halves[2] = {
        {.runtime = runtime, .before = before, .list = list, .end = count / 2, .same = same},
        {.runtime = runtime,
         .before = before,
         .list = list,
         .first = count / 2,
         .end = count,
         .same = same}};
    halves[0].started =
        count > FREEZE_BATCH &&
        pthread_create(&halves[0].thread, NULL, freeze_compare_main, &halves[0]) == 0;
    (void)freeze_compare_main(&halves[1]);
    if (halves[0].started) {
        (void)pthread_join(halves[0].thread, NULL);
    } else {
        (void)freeze_compare_main(&halves[0]);
    }
}

struct error *freeze_survey_changes(struct goruntime *runtime, const struct freeze_survey *before,
                                    struct freeze_survey *survey)
{
    CLEANUP_FREE uint64_t *list = NULL;
    size_t count = 0;
    TRY(goroutine_list(runtime, &list, &count));
    CLEANUP_FREE uint8_t *same = malloc(count + 1);
    if (same == NULL) {
        return error_no_memory();
    }
    freeze_compare_all(runtime, before, list, count, same);
    size_t changed = 0;
    for (size_t i = 0; i < count; i++) {
        if (!same[i]) {
            list[changed++] = list[i];
        }
    }
    return changed == 0 ? NULL : freeze_look(runtime, list, changed, NULL, survey);
}
