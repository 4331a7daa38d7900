/* The index from objects to the goroutines that wait on them: a counting sort of all waits. */
#include "snapshot/snapshot.h"
#include "snapshot/snapshot_internal.h"
#include <stdlib.h>

enum { WAITERS_FEW = 24 }; /* objects whose waiters are counted without an index */

/* Gives each object its room: first[i] is the sum of the waits of the objects before it. */
static void snapshot_waiters_place(const struct snapshot *snapshot,
                                   struct snapshot_waiters *waiters)
{
    for (size_t i = 0; i < snapshot->goroutines.count; i++) {
        size_t count;
        const struct snapshot_wait *waits =
            snapshot_waits(snapshot, &snapshot->goroutines.items[i], &count);
        for (size_t k = 0; k < count; k++) {
            waiters->first[waits[k].object + 1]++;
        }
    }
    for (size_t i = 1; i <= snapshot->objects.count; i++) {
        waiters->first[i] += waiters->first[i - 1];
    }
}

/* Enters one wait unless it repeats the object's latest (a select may name a channel twice). */
static void snapshot_waiters_enter(struct snapshot_waiters *waiters, uint32_t goroutine,
                                   const struct snapshot_wait *wait)
{
    uint64_t at = waiters->first[wait->object] + waiters->count[wait->object];
    if (waiters->count[wait->object] > 0 && waiters->goroutines[at - 1] == goroutine &&
        waiters->directions[at - 1] == wait->direction) {
        return;
    }
    waiters->goroutines[at] = goroutine;
    waiters->directions[at] = (uint8_t)wait->direction;
    waiters->count[wait->object]++;
    waiters->senders[wait->object] += wait->direction == DIRECTION_SEND;
    waiters->receivers[wait->object] += wait->direction == DIRECTION_RECEIVE;
}

/* Obtains the arrays. */
static struct error *snapshot_waiters_allocate(const struct snapshot *snapshot,
                                               struct snapshot_waiters *waiters)
{
    size_t objects = snapshot->objects.count + 1;
    *waiters = (struct snapshot_waiters){
        .first = calloc(objects, sizeof *waiters->first),
        .count = calloc(objects, sizeof *waiters->count),
        .senders = calloc(objects, sizeof *waiters->senders),
        .receivers = calloc(objects, sizeof *waiters->receivers),
        .goroutines = malloc((snapshot->waits.count + 1) * sizeof *waiters->goroutines),
        .directions = malloc(snapshot->waits.count + 1),
    };
    if (waiters->first != NULL && waiters->count != NULL && waiters->senders != NULL &&
        waiters->receivers != NULL && waiters->goroutines != NULL && waiters->directions != NULL) {
        return NULL;
    }
    free(waiters->first);
    free(waiters->count);
    free(waiters->senders);
    free(waiters->receivers);
    free(waiters->goroutines);
    free(waiters->directions);
    *waiters = (struct snapshot_waiters){0};
    return error_no_memory();
}

/* Builds the index. */
static struct error *snapshot_waiters_build(struct snapshot *snapshot)
{
    struct snapshot_waiters *waiters = &snapshot->waiters;
    TRY(snapshot_waiters_allocate(snapshot, waiters));
    snapshot_waiters_place(snapshot, waiters);
    for (size_t i = 0; i < snapshot->goroutines.count; i++) {
        size_t wait_count;
        const struct snapshot_wait *waits =
            snapshot_waits(snapshot, &snapshot->goroutines.items[i], &wait_count);
        for (size_t k = 0; k < wait_count; k++) {
            snapshot_waiters_enter(waiters, (uint32_t)i, &waits[k]);
        }
    }
    return NULL;
}

/* The waiters of one object. */
struct error *snapshot_object_waiters(struct snapshot *snapshot, uint32_t index,
                                      const uint32_t **goroutines, const uint8_t **directions,
                                      size_t *count)
{
    if (snapshot->waiters.first == NULL) {
        TRY(snapshot_waiters_build(snapshot));
    }
    uint64_t first = snapshot->waiters.first[index];
    *goroutines = snapshot->waiters.goroutines + first;
    if (directions != NULL) {
        *directions = snapshot->waiters.directions + first;
    }
    *count = snapshot->waiters.count[index];
    return NULL;
}

/* Counts the waits for an object; for a few objects that is cheaper than the index. */
static void snapshot_waiters_count(const struct snapshot *snapshot, uint32_t index,
                                   size_t *senders_ret, size_t *receivers_ret)
{
    *senders_ret = 0;
    *receivers_ret = 0;
    for (size_t i = 0; i < snapshot->waits.count; i++) {
        if (snapshot->waits.items[i].object == index) {
            *senders_ret += snapshot->waits.items[i].direction == DIRECTION_SEND;
            *receivers_ret += snapshot->waits.items[i].direction == DIRECTION_RECEIVE;
        }
    }
}

/* The waiters of one object, counted. */
struct error *snapshot_object_queues(struct snapshot *snapshot, uint32_t index, size_t *senders_ret,
                                     size_t *receivers_ret)
{
    bool few = !snapshot->waits_repeat && snapshot->queues_asked++ < WAITERS_FEW;
    if (snapshot->waiters.first == NULL && few) {
        snapshot_waiters_count(snapshot, index, senders_ret, receivers_ret);
        return NULL;
    }
    if (snapshot->waiters.first == NULL) {
        TRY(snapshot_waiters_build(snapshot));
    }
    *senders_ret = snapshot->waiters.senders[index];
    *receivers_ret = snapshot->waiters.receivers[index];
    return NULL;
}
