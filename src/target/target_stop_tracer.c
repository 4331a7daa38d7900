/* The life of the thread that traces: it stops the target, waits to be told, lets go and ends. */
#include "target/target_stop.h"

#include "base/clock.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TARGET_STOP_REAP_NS = 10 * 1000 * 1000 /* between looks for ended threads */ };

/* Frees STOP, whose tracer has ended or never was. */
static void target_stop_free(struct target_stop *stop)
{
    pthread_mutex_destroy(&stop->lock);
    pthread_cond_destroy(&stop->changed);
    vector_deinit(&stop->threads);
    vector_deinit(&stop->resting);
    hash_map_deinit(&stop->index);
    free(stop);
}

/* Announces PHASE. */
static void target_stop_enter(struct target_stop *stop, enum target_stop_phase phase)
{
    pthread_mutex_lock(&stop->lock);
    stop->phase = phase;
    pthread_cond_broadcast(&stop->changed);
    pthread_mutex_unlock(&stop->lock);
}

/* Waits until the target is stopped or that failed; reaps meanwhile what an exec may be waiting
 * for. */
static enum target_stop_phase target_stop_await_phase(struct target_stop *stop)
{
    pthread_mutex_lock(&stop->lock);
    while (stop->phase == TARGET_STOP_PHASE_STOPPING) {
        uint64_t until = clock_now() + TARGET_STOP_REAP_NS;
        struct timespec time = {.tv_sec = (time_t)(until / 1000000000u),
                                .tv_nsec = (long)(until % 1000000000u)};
        if (pthread_cond_timedwait(&stop->changed, &stop->lock, &time) == ETIMEDOUT) {
            pthread_mutex_unlock(&stop->lock);
            target_stop_reap_ended(stop->pid);
            pthread_mutex_lock(&stop->lock);
        }
    }
    enum target_stop_phase phase = stop->phase;
    pthread_mutex_unlock(&stop->lock);
    return phase;
}

/* Waits until told to let go; in the tracer thread. */
static void target_stop_await_release(struct target_stop *stop)
{
    pthread_mutex_lock(&stop->lock);
    while (stop->phase != TARGET_STOP_PHASE_RELEASING) {
        pthread_cond_wait(&stop->changed, &stop->lock);
    }
    pthread_mutex_unlock(&stop->lock);
}

/* The tracer thread. */
static void *target_stop_main(void *context)
{
    struct target_stop *stop = context;
    stop->error = target_stop_hold(stop);
    if (stop->error != NULL) {
        target_stop_release(stop);
        target_stop_enter(stop, TARGET_STOP_PHASE_FAILED);
        return NULL;
    }
    target_stop_enter(stop, TARGET_STOP_PHASE_STOPPED);
    target_stop_await_release(stop);
    target_stop_release(stop);
    return NULL;
}

/* Starts the tracer with every signal blocked, as those are for the program's own threads. */
static struct error *target_stop_start(struct target_stop *stop)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&stop->tracer, NULL, target_stop_main, stop);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure == 0 ? NULL : error_errno(failure, "cannot start a thread");
}

/* Stops the target of STOP one way or the other. */
static struct error *target_stop_run(struct target_stop *stop)
{
    TRY(target_stop_passive_init(stop, &stop->passive));
    if (stop->passive) {
        return NULL;
    }
    TRY(target_stop_start(stop));
    if (target_stop_await_phase(stop) == TARGET_STOP_PHASE_FAILED) {
        pthread_join(stop->tracer, NULL);
        return stop->error;
    }
    return NULL;
}

struct error *target_stop_create(pid_t pid, int memory, uint64_t limit_ns, uint64_t *stopped_ns,
                                 struct target_stop **ret)
{
    struct target_stop *stop = calloc(1, sizeof *stop);
    if (stop == NULL) {
        return error_no_memory();
    }
    stop->pid = pid;
    stop->memory = memory;
    stop->limit_ns = limit_ns;
    stop->stopped_ns = stopped_ns;
    pthread_mutex_init(&stop->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&stop->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    struct error *error = target_stop_run(stop);
    if (error != NULL) {
        target_stop_free(stop);
        return error;
    }
    *ret = stop;
    return NULL;
}

void target_stop_destroy(struct target_stop *stop)
{
    if (!stop->passive) {
        target_stop_enter(stop, TARGET_STOP_PHASE_RELEASING);
        pthread_join(stop->tracer, NULL);
    }
    target_stop_free(stop);
}
