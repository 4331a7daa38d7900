/* Workers take batches of g's from the list, read and unwind them on their own, and move
 * them into the builder one at a time. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "goruntime/look_internal.h"
#include <stdlib.h>
#include <unistd.h>

enum {
    LOOK_BATCH_MIN = 512,
    LOOK_BATCH_MAX = 1024, /* whose records stay in the nearest caches while they are worked on */
    LOOK_BATCHES_PER_WORKER = 8,
    LOOK_WORKERS_MAX = 16,
    LOOK_PARKED_MAX = 1 << 14, /* waits that are resolved at once */
    LOOK_CACHE_SIZE = 1 << 20
};

/* Sets up what workers share, but for the list. */
static struct error *look_init(struct look *look, struct goruntime *runtime,
                               const struct goruntime_look *wanted,
                               struct snapshot_builder *builder)
{
    *look = (struct look){.runtime = runtime, .wanted = wanted, .builder = builder};
    if (pthread_mutex_init(&look->lock, NULL) != 0) {
        return error_create(ERROR_INTERNAL, "cannot make a lock");
    }
    look->frozen = wanted->stop || target_kind(runtime->target) != TARGET_KIND_LIVE;
    unwind_rules_init(&look->rules, runtime->image, target_machine(runtime->target));
    look->state =
        (struct goruntime_look_state){.runtime = runtime, .look = wanted, .builder = builder};
    if (!target_monotonic_now(runtime->target, &look->state.now_ns)) {
        look->state.now_ns = 0;
    }
    TRY(block_cache_create(runtime->target, LOOK_CACHE_SIZE, &look->state.cache));
    TRY(running_init(&look->running, runtime, look->frozen));
    return symbols_init(&look->symbols, runtime->image, builder, wanted->arguments);
}

/* Frees what workers shared. */
static void look_deinit(struct look *look)
{
    running_deinit(&look->running);
    free(look->list);
    error_destroy(look->error);
    symbols_deinit(&look->symbols);
    goruntime_look_state_deinit(&look->state);
    block_cache_destroy(look->state.cache);
    hash_map_deinit(&look->bubbles);
    vector_deinit(&look->parked);
    vector_deinit(&look->deferred);
    (void)pthread_mutex_destroy(&look->lock);
}

/* Sets WORKER up for batches of look->batch. */
static struct error *look_worker_init(struct look_worker *worker, struct look *look)
{
    *worker = (struct look_worker){.look = look};
    TRY(bulk_create(look->runtime->target, &worker->bulk));
    worker->records = calloc(look->batch, sizeof *worker->records);
    worker->items = calloc(look->batch, sizeof *worker->items);
    worker->scratch = calloc(look->batch, sizeof *worker->scratch);
    worker->moved = calloc(look->batch, sizeof *worker->moved);
    if (worker->records == NULL || worker->items == NULL || worker->scratch == NULL ||
        worker->moved == NULL) {
        return error_no_memory();
    }
    if (!look->frozen) {
        TRY(process_rest_create(target_pid(look->runtime->target), &worker->rest));
    }
    TRY(channel_reader_create(look->runtime->target, look->runtime->layout, &worker->channels));
    return stack_reader_init(&worker->reader, look->runtime->target, worker->bulk, &look->rules,
                             look->wanted->arguments);
}

/* Frees what WORKER had. */
static void look_worker_deinit(struct look_worker *worker)
{
    stack_reader_deinit(&worker->reader);
    channel_reader_destroy(worker->channels);
    process_rest_destroy(worker->rest);
    vector_deinit(&worker->parked);
    bulk_destroy(worker->bulk);
    free(worker->records);
    free(worker->items);
    free(worker->scratch);
    free(worker->moved);
}

/* Takes those of the COUNT records that run, or ran while being read, out of the batch when they
 * can be read in a stop later. The caller holds the lock. */
static struct error *look_defer(struct look_worker *worker, size_t count)
{
    struct look *look = worker->look;
    for (size_t i = 0; look->defers && i < count; i++) {
        struct goroutine_record *record = &worker->records[i];
        bool runs = record->status == GOROUTINE_STATUS_RUNNING ||
                    record->status == GOROUTINE_STATUS_COPYSTACK ||
                    (record->flags & GOROUTINE_MOVED) != 0;
        if (runs && goroutine_is_alive(record)) {
            TRY(vector_append(&look->deferred, record->g));
            record->goid = 0;
        }
    }
    return NULL;
}

/* Moves the COUNT records of a batch into the builder. */
static struct error *look_worker_publish(struct look_worker *worker, size_t count)
{
    struct look *look = worker->look;
    (void)pthread_mutex_lock(&look->lock);
    struct error *error = look_defer(worker, count);
    if (error == NULL) {
        error = look_publish(worker, count);
    }
    (void)pthread_mutex_unlock(&look->lock);
    return error;
}

/* Finds out what those of the batch wait for that wait on channels; only adding it to the builder
 * keeps the others waiting. */
static struct error *look_worker_wait(struct look_worker *worker)
{
    struct look *look = worker->look;
    if (worker->parked.count == 0) {
        return NULL;
    }
    TRY(channel_read(worker->channels, worker->parked.items, NULL, worker->parked.count));
    (void)pthread_mutex_lock(&look->lock);
    struct error *error = channel_publish(worker->channels, &look->state);
    (void)pthread_mutex_unlock(&look->lock);
    return error;
}

/* Works batches off until none is left or somebody failed. */
static struct error *look_worker_run(struct look *look)
{
    struct look_worker worker CLEANUP(look_worker_deinit);
    TRY(look_worker_init(&worker, look));
    while (!atomic_load(&look->failed)) {
        size_t first = atomic_fetch_add(&look->next, look->batch);
        if (first >= look->count) {
            break;
        }
        size_t left = look->count - first;
        size_t count = left < look->batch ? left : look->batch;
        TRY(look_batch_read(&worker, first, count));
        TRY(look_worker_publish(&worker, count));
        TRY(look_worker_wait(&worker));
    }
    return NULL;
}

/* A worker's thread; keeps the first error of all. */
static void *look_worker_main(void *argument)
{
    struct look *look = argument;
    struct error *error = look_worker_run(look);
    if (error != NULL) {
        atomic_store(&look->failed, true);
        (void)pthread_mutex_lock(&look->lock);
        if (look->error == NULL) {
            look->error = TAKE(error);
        }
        (void)pthread_mutex_unlock(&look->lock);
        error_destroy(error);
    }
    return NULL;
}

/* How many workers pay off. */
static unsigned look_choose_workers(const struct look *look)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    size_t workers = look->wanted->threads;
    if (workers == 0) {
        workers = processors < 1 ? 1 : (size_t)processors;
    }
    size_t useful = look->count / (2 * LOOK_BATCH_MIN) + 1;
    workers = workers < useful ? workers : useful;
    return (unsigned)(workers < LOOK_WORKERS_MAX ? workers : LOOK_WORKERS_MAX);
}

/* Runs WORKERS workers, one of them in this thread. */
static struct error *look_run(struct look *look, unsigned workers)
{
    pthread_t threads[LOOK_WORKERS_MAX];
    unsigned started = 0;
    while (started + 1 < workers &&
           pthread_create(&threads[started], NULL, look_worker_main, look) == 0) {
        started++;
    }
    (void)look_worker_main(look);
    for (unsigned i = 0; i < started; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    return TAKE(look->error);
}

/* Says what degraded the look. */
static struct error *look_note(const struct look *look)
{
    struct snapshot_builder *builder = look->builder;
    if (look->runtime->doubt != NULL) {
        TRY(snapshot_builder_note(builder, "%s", look->runtime->doubt));
    }
    if (look->moved > 0) {
        TRY(snapshot_builder_note(builder, "%zu goroutine%s ran while being read", look->moved,
                                  look->moved == 1 ? "" : "s"));
    }
    if (look->cut > 0) {
        TRY(snapshot_builder_note(builder, "%zu stack%s could not be unwound to the end", look->cut,
                                  look->cut == 1 ? "" : "s"));
    }
    if (look->unreadable > 0) {
        TRY(snapshot_builder_note(builder, "%zu stack%s could not be read", look->unreadable,
                                  look->unreadable == 1 ? "" : "s"));
    }
    return NULL;
}

/* Reads the deferred g's; FROZEN: in a stop. */
static struct error *look_read_again(struct look *look, bool frozen)
{
    if (frozen) {
        running_deinit(&look->running);
        look->running = (struct running){0};
        look->frozen = true;
        TRY(running_init(&look->running, look->runtime, true));
    }
    free(look->list);
    look->count = look->deferred.count;
    look->list = TAKE(look->deferred.items);
    look->deferred.count = look->deferred.capacity = 0;
    look->done -= look->count < look->done ? look->count : look->done;
    look->parked_max = SIZE_MAX; /* waits are resolved after the stop */
    atomic_store(&look->next, 0);
    TRY(snapshot_builder_reserve(look->builder, look->count));
    return look_run(look, 1);
}

/* Stops the target for what was deferred, if anything was. */
static struct error *look_read_deferred(struct look *look)
{
    look->defers = false;
    if (look->deferred.count == 0) {
        return NULL;
    }
    struct error *error = look->wanted->freeze(look->wanted->freeze_context);
    bool frozen = error == NULL;
    if (error_catch(&error, ERROR_LIMIT)) {
        error = snapshot_builder_note(look->builder, "the program could not be stopped in time: "
                                                     "running goroutines have no stacks");
    }
    if (error == NULL) {
        error = look_read_again(look, frozen);
    }
    if (frozen) {
        look->wanted->thaw(look->wanted->freeze_context);
    }
    return error;
}

/* Reads everything. */
static struct error *look_read(struct look *look)
{
    TRY(goroutine_list(look->runtime, &look->list, &look->count));
    unsigned workers = look_choose_workers(look);
    size_t batch = look->count / (workers * LOOK_BATCHES_PER_WORKER) + 1;
    batch = batch < LOOK_BATCH_MIN ? LOOK_BATCH_MIN : batch;
    look->batch = batch < LOOK_BATCH_MAX ? batch : LOOK_BATCH_MAX;
    look->parked_max = LOOK_PARKED_MAX;
    look->defers = look->wanted->freeze != NULL && !look->frozen;
    TRY(snapshot_builder_reserve(look->builder, look->count));
    TRY(look_run(look, workers));
    TRY(look_read_deferred(look));
    TRY(look_publish_waits(look));
    TRY(wait_resolve_rest(&look->state));
    return look_note(look);
}

/* Looks. */
struct error *goruntime_look(struct goruntime *runtime, const struct goruntime_look *look,
                             struct snapshot_builder *builder)
{
    struct look state CLEANUP(look_deinit);
    uint64_t start = clock_now();
    TRY(look_init(&state, runtime, look, builder));
    TRY(look_read(&state));
    struct snapshot_program *program = snapshot_builder_program(builder);
    program->threads = (int64_t)state.running.thread_count;
    program->read_ns = (int64_t)(clock_now() - start);
    program->age_basis = state.state.now_ns != 0;
    return NULL;
}
