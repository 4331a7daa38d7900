/* The index from objects to the goroutines that wait on them: a counting sort of all waits. */
#include "snapshot/snapshot.h"
#include "snapshot/snapshot_internal.h"
#include <stdlib.h>

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
}

/* Builds the index. */
static struct error *snapshot_waiters_build(struct snapshot *snapshot)
{
    struct snapshot_waiters *waiters = &snapshot->waiters;
    uint64_t *first = calloc(snapshot->objects.count + 1, sizeof *first);
    uint32_t *count = calloc(snapshot->objects.count + 1, sizeof *count);
    uint32_t *goroutines = malloc((snapshot->waits.count + 1) * sizeof *goroutines);
    uint8_t *directions = malloc(snapshot->waits.count + 1);
    if (first == NULL || count == NULL || goroutines == NULL || directions == NULL) {
        free(first);
        free(count);
        free(goroutines);
        free(directions);
        return error_no_memory();
    }
    *waiters = (struct snapshot_waiters){
        .first = first, .count = count, .goroutines = goroutines, .directions = directions};
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
