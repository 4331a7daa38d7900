/* time.Sleep: g.timer is a runtime.timer; it goes off at its `when`, from Go 1.23 on at
 * g.sleepWhen. */
#include "goruntime/timer.h"
#include "base/bytes.h"
#include "target/gather.h"

/* Hands over one sleeper; WHEN is 0 when unknown. */
static struct error *timer_set(struct wait_resolver *resolver, uint32_t index, uint64_t when)
{
    struct snapshot_object object = {.address = resolver->parked[index].timer,
                                     .kind = OBJECT_TIMER};
    bool bubble = wait_goroutine(resolver, index)->bubble != 0; /* has a clock of its own */
    object.timer.due_ns = when == 0 || bubble ? SNAPSHOT_UNKNOWN : wait_from_now(resolver, when);
    return wait_set(resolver, index, &object, DIRECTION_WAIT);
}

/* gather_visitor of timer.when; tags are parked goroutines. */
static struct error *timer_visit(void *context, const struct gather_item *item,
                                 const uint8_t *bytes)
{
    return timer_set(context, (uint32_t)item->tag, bytes != NULL ? bytes_u64(bytes) : 0);
}

/* Only releases without g.sleepWhen need the timer itself. */
struct error *timer_resolve(struct wait_resolver *resolver, const uint32_t *indices, size_t count)
{
    VECTOR(struct gather_item) items = {0};
    struct error *error = NULL;
    for (size_t i = 0; i < count && error == NULL; i++) {
        const struct goruntime_parked *parked = &resolver->parked[indices[i]];
        if (parked->sleep_when != 0 || !wait_is_pointer(parked->timer, 8)) {
            error = timer_set(resolver, indices[i], parked->sleep_when);
            continue;
        }
        struct gather_item item = {
            .address = parked->timer + (uint64_t)resolver->layout->timer.when, .tag = indices[i]};
        error = vector_append(&items, item);
    }
    if (error == NULL && items.count > 0) {
        error = gather_visit(resolver->state->runtime->target, items.items, items.count, 8,
                             timer_visit, resolver);
    }
    vector_deinit(&items);
    return error;
}
