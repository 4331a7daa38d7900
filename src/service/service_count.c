/* Counting the goroutines of many processes at once, in bounded time.
 *
 * A read of another process can block in the kernel for as long as that process holds its address
 * space locked, and no thread can be told to give up. So jobs run on detached threads; the caller
 * waits for each at most SERVICE_COUNT_LIMIT_NS, then marks the job abandoned and starts a thread
 * in place of the one that hangs. The pool is counted by references: whoever leaves last frees it.
 * Invariant: a job's results are written by its worker before it says DONE under the lock, and read
 * by the caller after. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/string_builder.h"
#include "goruntime/goruntime.h"
#include "image/image.h"
#include "service/service_internal.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

CLEANUP_DEFINE(target, struct target, target_destroy)
CLEANUP_DEFINE(image, struct image, image_destroy)
CLEANUP_DEFINE(runtime, struct goruntime, goruntime_destroy)

#define SERVICE_COUNT_LIMIT_NS UINT64_C(2000000000)

enum { SERVICE_COUNT_THREADS_MAX = 8 };

enum service_count_state {
    SERVICE_COUNT_WAITING,
    SERVICE_COUNT_RUNNING,
    SERVICE_COUNT_DONE,
    SERVICE_COUNT_ABANDONED
};

/* What a look at a process tells. */
struct service_count {
    uint64_t user;
    uint64_t system;
    char go_version[64]; /* what the runtime itself says; cut when longer */
};

/* One process to look at. */
struct service_count_job {
    pid_t pid;
    enum service_count_state state;
    uint64_t deadline; /* clock_now of its end while running */
    struct service_count found;
    struct error *error; /* why there are no counts */
};

/* The jobs and their workers. */
struct service_count_pool {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t references; /* the caller and every thread */
    size_t working;    /* threads that are not left behind */
    size_t count;
    size_t next; /* first job that nobody took */
    struct service_count_job jobs[];
};

/* Counts the goroutines of PID. */
static struct error *service_count_process(pid_t pid, struct service_count *ret)
{
    CLEANUP(cleanup_target) struct target *target = NULL;
    TRY(target_open_pid(pid, &target));
    CLEANUP(cleanup_image) struct image *image = NULL;
    TRY(image_create(target, &image));
    CLEANUP(cleanup_runtime) struct goruntime *runtime = NULL;
    TRY(goruntime_create(target, image, &runtime));
    (void)snprintf(ret->go_version, sizeof ret->go_version, "%s", image_go_version(image));
    return goruntime_count(runtime, &ret->user, &ret->system);
}

/* Leaves POOL, whose lock is held, and frees it when nobody else is there. */
static void service_count_leave(struct service_count_pool *pool)
{
    bool last = --pool->references == 0;
    (void)pthread_mutex_unlock(&pool->lock);
    if (!last) {
        return;
    }
    for (size_t i = 0; i < pool->count; i++) {
        error_destroy(pool->jobs[i].error);
    }
    (void)pthread_cond_destroy(&pool->changed);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool);
}

/* Does one job with the lock held, which is released meanwhile; false when the job was abandoned.
 */
static bool service_count_do(struct service_count_pool *pool, struct service_count_job *job)
{
    job->state = SERVICE_COUNT_RUNNING;
    job->deadline = clock_now() + SERVICE_COUNT_LIMIT_NS;
    (void)pthread_cond_signal(&pool->changed);
    (void)pthread_mutex_unlock(&pool->lock);
    struct service_count found = {0};
    struct error *error = service_count_process(job->pid, &found);
    (void)pthread_mutex_lock(&pool->lock);
    if (job->state == SERVICE_COUNT_ABANDONED) {
        error_destroy(error);
        return false;
    }
    job->found = found;
    job->error = error;
    job->state = SERVICE_COUNT_DONE;
    return true;
}

/* A thread of the pool: does jobs until there are none. */
static void *service_count_work(void *argument)
{
    struct service_count_pool *pool = argument;
    (void)pthread_mutex_lock(&pool->lock);
    bool kept = true;
    while (kept && pool->next < pool->count) {
        kept = service_count_do(pool, &pool->jobs[pool->next++]);
    }
    pool->working -= kept;
    (void)pthread_cond_signal(&pool->changed);
    service_count_leave(pool);
    return NULL;
}

/* Starts a thread, with the lock held; false when the system has none left. */
static bool service_count_start(struct service_count_pool *pool)
{
    pthread_attr_t attributes;
    pthread_t thread;
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pool->references++;
    pool->working++;
    bool started = pthread_create(&thread, &attributes, service_count_work, pool) == 0;
    if (!started) {
        pool->references--;
        pool->working--;
    }
    (void)pthread_attr_destroy(&attributes);
    return started;
}

/* Abandons jobs that are over their time, and gives the time of the next one's end (0: none runs).
 */
static uint64_t service_count_check(struct service_count_pool *pool, uint64_t now)
{
    uint64_t next = 0;
    for (size_t i = 0; i < pool->next; i++) {
        struct service_count_job *job = &pool->jobs[i];
        if (job->state != SERVICE_COUNT_RUNNING) {
            continue;
        }
        if (job->deadline <= now) {
            job->state = SERVICE_COUNT_ABANDONED;
            job->error = error_create(ERROR_LIMIT, "not read within 2 seconds");
            pool->working--;
            (void)service_count_start(pool);
        } else if (next == 0 || job->deadline < next) {
            next = job->deadline;
        }
    }
    return next;
}

/* Waits until every worker is done or left behind. */
static void service_count_wait(struct service_count_pool *pool)
{
    while (pool->working > 0) {
        uint64_t until = service_count_check(pool, clock_now());
        if (until == 0) {
            until = clock_now() + SERVICE_COUNT_LIMIT_NS;
        }
        struct timespec time = {.tv_sec = (time_t)(until / 1000000000),
                                .tv_nsec = (long)(until % 1000000000)};
        if (pool->working > 0) {
            (void)pthread_cond_timedwait(&pool->changed, &pool->lock, &time);
        }
    }
}

/* A pool for COUNT jobs, with the caller as its only reference. */
static struct error *service_count_create(size_t count, struct service_count_pool **ret)
{
    struct service_count_pool *pool = NULL;
    size_t size;
    if (!__builtin_mul_overflow(count, sizeof pool->jobs[0], &size) &&
        !__builtin_add_overflow(size, sizeof *pool, &size)) {
        pool = calloc(1, size);
    }
    if (pool == NULL) {
        return error_no_memory();
    }
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&pool->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)pthread_mutex_init(&pool->lock, NULL);
    pool->references = 1;
    pool->count = count;
    *ret = pool;
    return NULL;
}

/* MESSAGE without the process's name in front, which the row tells already. */
static const char *service_count_cut_name(const char *message, pid_t pid)
{
    char prefix[32];
    int size = snprintf(prefix, sizeof prefix, "process %d (", (int)pid);
    const char *end = strstr(message, "): ");
    return end != NULL && strncmp(message, prefix, (size_t)size) == 0 ? end + 3 : message;
}

/* The reason in JOB's error as one line of its own in *RET. */
static struct error *service_count_reason(const struct service_count_job *job, char **ret)
{
    const char *advice = error_advice(job->error);
    struct string_builder line = {0};
    string_builder_add(&line, service_count_cut_name(error_message(job->error), job->pid));
    if (advice != NULL) {
        string_builder_format(&line, " (%s)", advice);
    }
    struct error *failure = string_builder_take(&line, ret);
    string_builder_deinit(&line);
    return failure;
}

/* Takes the Go version of a program whose file does not state it from what runs. */
static struct error *service_count_version(const struct service_count *found,
                                           struct service_process *process)
{
    if (process->go_version[0] != '\0') {
        return NULL;
    }
    free(process->go_version);
    process->go_version = strdup(found->go_version);
    return process->go_version == NULL ? error_no_memory() : NULL;
}

/* Writes what JOB found into PROCESS. */
static struct error *service_count_report(struct service_count_job *job,
                                          struct service_process *process)
{
    free(process->reach);
    process->reach = NULL;
    if (job->error == NULL && job->state == SERVICE_COUNT_DONE) {
        process->goroutines = (int64_t)job->found.user;
        process->system_goroutines = (int64_t)job->found.system;
        TRY(service_count_version(&job->found, process));
        process->reach = strdup("ok");
        return process->reach == NULL ? error_no_memory() : NULL;
    }
    if (job->error == NULL) {
        process->reach = strdup("not looked at: no threads left");
        return process->reach == NULL ? error_no_memory() : NULL;
    }
    if (error_code(job->error) == ERROR_GONE) {
        process->pid = 0;
    }
    return service_count_reason(job, &process->reach);
}

/* Counts the goroutines of many processes. */
struct error *service_count_goroutines(struct service_process *processes, size_t count)
{
    struct service_count_pool *pool;
    TRY(service_count_create(count, &pool));
    for (size_t i = 0; i < count; i++) {
        pool->jobs[i].pid = (pid_t)processes[i].pid;
    }
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    size_t threads = processors < 1 ? 2 : (size_t)processors * 2;
    threads = threads > SERVICE_COUNT_THREADS_MAX ? SERVICE_COUNT_THREADS_MAX : threads;
    (void)pthread_mutex_lock(&pool->lock);
    for (size_t i = 0; i < threads && i < count; i++) {
        (void)service_count_start(pool);
    }
    service_count_wait(pool);
    struct error *error = NULL;
    for (size_t i = 0; i < count && error == NULL; i++) {
        error = service_count_report(&pool->jobs[i], &processes[i]);
    }
    service_count_leave(pool);
    return error;
}
