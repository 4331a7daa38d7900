/* The life of the thread that traces: it stops the target, waits to be told, lets go and ends. */
#include "target/target_stop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

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

/* Waits until the phase is no longer PHASE; returns the new one. */
static enum target_stop_phase target_stop_leave(struct target_stop *stop,
                                                enum target_stop_phase phase)
{
    pthread_mutex_lock(&stop->lock);
    while (stop->phase == phase) {
        pthread_cond_wait(&stop->changed, &stop->lock);
    }
    phase = stop->phase;
    pthread_mutex_unlock(&stop->lock);
    return phase;
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
    target_stop_leave(stop, TARGET_STOP_PHASE_STOPPED);
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
    if (target_stop_leave(stop, TARGET_STOP_PHASE_STOPPING) == TARGET_STOP_PHASE_FAILED) {
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
    pthread_cond_init(&stop->changed, NULL);
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
