#include "http/pprof_look.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "snapshot/scrub.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A proof may stop the target: whoever asks without pause gets the last answer again. */
#define PPROF_LOOK_REST_NS UINT64_C(1000000000)

CLEANUP_DEFINE(leaks, struct service_leaks, service_leaks_destroy)

/* Frees a look that nobody uses. */
static void pprof_look_destroy(struct pprof_look *look)
{
    snapshot_destroy(look->snapshot);
    free(look->leaked);
    free(look->message);
    free(look);
}

/* Takes a look that proves leaks. One that could not prove anything is a failure: it is not known
 * that nothing leaks. */
static struct error *pprof_look_prove(const struct pprof_endpoint_options *options,
                                      struct pprof_look *look)
{
    CLEANUP(cleanup_leaks) struct service_leaks *leaks = NULL;
    struct service_leaks_options request = {.freeze = SERVICE_FREEZE_AUTO,
                                            .max_stop_ns = options->max_stop_ns};
    TRY(service_find_leaks(options->service, &request, &leaks));
    size_t count;
    (void)snapshot_goroutines(leaks->snapshot, &count);
    bool proved = false;
    look->leaked = calloc(count + 1, sizeof *look->leaked);
    if (look->leaked == NULL) {
        return error_no_memory();
    }
    for (size_t i = 0; i < count; i++) {
        look->leaked[i] = leaks->verdicts[i].verdict == LEAK_VERDICT_PROVED;
        proved = proved || look->leaked[i] != 0;
    }
    if (leaks->obstacle != NULL && !proved) {
        return error_create(ERROR_UNSUPPORTED, "nothing can be proved: %s", leaks->obstacle);
    }
    look->snapshot = TAKE(leaks->snapshot);
    return NULL;
}

/* Takes a look. */
static struct error *pprof_look_take(const struct pprof_endpoint_options *options,
                                     enum pprof_look_kind kind, struct pprof_look *look)
{
    if (kind == PPROF_LOOK_LEAKS) {
        TRY(pprof_look_prove(options, look));
    } else {
        struct service_look request = {.labels = true,
                                       .arguments = kind == PPROF_LOOK_TEXT && !options->scrub,
                                       .stop = options->stop,
                                       .max_stop_ns = options->max_stop_ns};
        TRY(service_snapshot(options->service, &request, &look->snapshot));
    }
    return options->scrub ? snapshot_scrub(look->snapshot) : NULL;
}

/* Keeps what ERROR says. */
static void pprof_look_fail(struct pprof_look *look, struct error *error)
{
    const char *advice = error_advice(error);
    look->code = error_code(error);
    if (asprintf(&look->message, "%s%s%s%s\n", error_message(error), advice == NULL ? "" : " (",
                 advice == NULL ? "" : advice, advice == NULL ? "" : ")") < 0) {
        look->message = NULL;
    }
    snapshot_destroy(look->snapshot);
    look->snapshot = NULL;
    error_destroy(error);
}

/* Takes the lock. */
static void pprof_looks_lock(struct pprof_looks *looks)
{
    (void)pthread_mutex_lock(&looks->lock);
}

/* Gives the lock back. */
static void pprof_looks_unlock(struct pprof_looks *looks)
{
    (void)pthread_mutex_unlock(&looks->lock);
}

/* One user less, under the lock. */
static void pprof_looks_drop(struct pprof_look *look)
{
    if (look != NULL && --look->users == 0) {
        pprof_look_destroy(look);
    }
}

/* Lets SLOT keep its last look no longer, under the lock. */
static void pprof_looks_forget(struct pprof_look_slot *slot)
{
    pprof_looks_drop(slot->last);
    slot->last = NULL;
}

/* Waits, under the lock, for the look being taken. */
static struct pprof_look *pprof_looks_join(struct pprof_looks *looks, enum pprof_look_kind kind)
{
    struct pprof_look_slot *slot = &looks->slots[kind];
    uint64_t number = slot->number;
    slot->waiting++;
    while (slot->number == number) {
        (void)pthread_cond_wait(&looks->taken, &looks->lock);
    }
    struct pprof_look *look = slot->last;
    if (look != NULL) {
        look->users++;
    }
    if (--slot->waiting == 0 && kind != PPROF_LOOK_LEAKS) {
        pprof_looks_forget(slot);
    }
    return look;
}

/* Takes a look for oneself and all who come meanwhile; under the lock, which is not held while
 * looking. */
static struct pprof_look *pprof_looks_take(struct pprof_looks *looks, enum pprof_look_kind kind)
{
    struct pprof_look_slot *slot = &looks->slots[kind];
    struct pprof_look *look = calloc(1, sizeof *look);
    pprof_looks_forget(slot);
    slot->taking = true;
    pprof_looks_unlock(looks);
    if (look != NULL) {
        struct error *error = pprof_look_take(&looks->options, kind, look);
        if (error != NULL) {
            pprof_look_fail(look, error);
        }
    }
    pprof_looks_lock(looks);
    slot->taking = false;
    slot->number++;
    slot->finished = clock_now();
    if (look != NULL) {
        look->users = 1;
    }
    if (look != NULL && (slot->waiting > 0 || kind == PPROF_LOOK_LEAKS)) {
        look->users++;
        slot->last = look;
    }
    (void)pthread_cond_broadcast(&looks->taken);
    return look;
}

struct pprof_look *pprof_looks_get(struct pprof_looks *looks, enum pprof_look_kind kind)
{
    struct pprof_look_slot *slot = &looks->slots[kind];
    struct pprof_look *look;
    pprof_looks_lock(looks);
    bool rests = kind == PPROF_LOOK_LEAKS && clock_now() - slot->finished < PPROF_LOOK_REST_NS;
    bool fresh = slot->last != NULL && (rests || slot->waiting > 0);
    if (slot->taking) {
        look = pprof_looks_join(looks, kind);
    } else if (fresh) {
        look = slot->last;
        look->users++;
    } else {
        look = pprof_looks_take(looks, kind);
    }
    pprof_looks_unlock(looks);
    return look;
}

void pprof_looks_return(struct pprof_looks *looks, struct pprof_look *look)
{
    pprof_looks_lock(looks);
    pprof_looks_drop(look);
    pprof_looks_unlock(looks);
}

void pprof_looks_init(struct pprof_looks *looks, const struct pprof_endpoint_options *options)
{
    *looks = (struct pprof_looks){.options = *options};
    (void)pthread_mutex_init(&looks->lock, NULL);
    (void)pthread_cond_init(&looks->taken, NULL);
}

void pprof_looks_deinit(struct pprof_looks *looks)
{
    for (size_t i = 0; i < PPROF_LOOK_KINDS; i++) {
        pprof_looks_forget(&looks->slots[i]);
    }
    (void)pthread_mutex_destroy(&looks->lock);
    (void)pthread_cond_destroy(&looks->taken);
}
