/* Lists of waiters, sorted by g so that what the target says can be matched with them. */
#include "base/bytes.h"
#include "base/cleanup.h"
#include "goruntime/wait.h"
#include "target/gather.h"
#include <stdlib.h>

/* Sorted by g. */
struct error *wait_waiters_create(const struct wait_resolver *resolver, const uint32_t *indices,
                                  size_t count, struct wait_waiter **ret)
{
    CLEANUP_FREE struct gather_item *items = calloc(2 * count + 1, sizeof *items);
    struct wait_waiter *waiters = calloc(count + 1, sizeof *waiters);
    if (items == NULL || waiters == NULL) {
        free(waiters);
        return error_no_memory();
    }
    for (size_t i = 0; i < count; i++) {
        items[i] =
            (struct gather_item){.address = resolver->parked[indices[i]].g, .tag = indices[i]};
    }
    gather_sort(items, items + count, count);
    for (size_t i = 0; i < count; i++) {
        waiters[i].g = items[i].address;
        waiters[i].index = (uint32_t)items[i].tag;
    }
    *ret = waiters;
    return NULL;
}

/* Binary search. */
struct wait_waiter *wait_waiters_find(struct wait_waiter *waiters, size_t count, uint64_t g)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (waiters[middle].g < g) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < count && waiters[low].g == g ? &waiters[low] : NULL;
}

/* What the visitor needs. */
struct wait_waiters_visit {
    const struct layout *layout;
    struct wait_waiter *waiters;
};

/* gather_visitor of sudogs; tags are waiters. */
static struct error *wait_waiters_visit(void *context, const struct gather_item *item,
                                        const uint8_t *bytes)
{
    const struct wait_waiters_visit *visit = context;
    struct wait_waiter *waiter = &visit->waiters[item->tag];
    if (bytes != NULL && bytes_u64(bytes + visit->layout->sudog.g) == waiter->g) {
        uint64_t address = bytes_u64(bytes + visit->layout->sudog.elem);
        waiter->address = wait_is_pointer(address, 4) ? address : 0;
    }
    return NULL;
}

/* Gathers the sudogs. */
struct error *wait_waiters_by_waiting(struct wait_resolver *resolver, struct wait_waiter *waiters,
                                      size_t count)
{
    struct wait_waiters_visit visit = {resolver->layout, waiters};
    VECTOR(struct gather_item) items = {0};
    struct error *error = NULL;
    for (size_t i = 0; i < count && error == NULL; i++) {
        uint64_t waiting = resolver->parked[waiters[i].index].waiting;
        if (wait_is_pointer(waiting, 8)) {
            struct gather_item item = {.address = waiting, .tag = i};
            error = vector_append(&items, item);
        }
    }
    if (error == NULL && items.count > 0) {
        error = gather_visit(resolver->state->runtime->target, items.items, items.count,
                             (size_t)resolver->layout->sudog.size, wait_waiters_visit, &visit);
    }
    vector_deinit(&items);
    return error;
}
