/* Sorting by address makes the marks of one place be set together, and the numbers of the objects
 * ascend as well, which is the order that looking them up needs. */
#include "leak/proof_waiters.h"
#include "base/cleanup.h"
#include <stdlib.h>

void proof_waiters_deinit(struct proof_waiters *waiters)
{
    vector_deinit(&waiters->items);
    free(waiters->starts);
    *waiters = (struct proof_waiters){0};
}

struct error *proof_waiters_add(struct proof_waiters *waiters, uint64_t address, uint32_t index,
                                uint32_t object)
{
    if (waiters->items.count >= UINT32_MAX) {
        return error_create(ERROR_LIMIT, "goroutines wait for more than %llu objects",
                            (unsigned long long)UINT32_MAX);
    }
    return vector_append(&waiters->items,
                         ((struct gather_item){address, (uint64_t)object << 32 | index}));
}

/* Notes where each stretch of numbers begins; there are about as many stretches as items. */
static struct error *proof_waiters_index(struct proof_waiters *waiters)
{
    size_t count = waiters->items.count;
    if (count == 0) {
        return NULL;
    }
    uint64_t last = waiters->items.items[count - 1].address;
    while (last >> waiters->shift > count) {
        waiters->shift++;
    }
    waiters->start_count = (size_t)(last >> waiters->shift) + 2;
    waiters->starts = calloc(waiters->start_count, sizeof *waiters->starts);
    if (waiters->starts == NULL) {
        return error_no_memory();
    }
    size_t next = 0;
    for (size_t i = 0; i < waiters->start_count; i++) {
        while (next < count && waiters->items.items[next].address >> waiters->shift < i) {
            next++;
        }
        waiters->starts[i] = (uint32_t)next;
    }
    return NULL;
}

struct error *proof_waiters_watch(struct proof_waiters *waiters, struct mark *mark,
                                  void (*outside)(void *context, uint32_t index), void *context)
{
    size_t count = waiters->items.count;
    CLEANUP_FREE struct gather_item *scratch = reallocarray(NULL, count + 1, sizeof *scratch);
    if (scratch == NULL) {
        return error_no_memory();
    }
    gather_sort(waiters->items.items, scratch, count);
    size_t kept = 0;
    bool ascending = true;
    for (size_t i = 0; i < count; i++) {
        struct gather_item item = waiters->items.items[i];
        bool in_heap;
        TRY(mark_watch(mark, item.address, &in_heap, &item.address));
        if (in_heap) {
            ascending =
                ascending && (kept == 0 || waiters->items.items[kept - 1].address <= item.address);
            waiters->items.items[kept++] = item;
        } else {
            outside(context, proof_waiter_goroutine(&item));
        }
    }
    waiters->items.count = kept;
    if (!ascending) { /* a waiter not found would be a false proof: nothing rests on the order */
        gather_sort(waiters->items.items, scratch, kept);
    }
    return proof_waiters_index(waiters);
}

const struct gather_item *proof_waiters_find(const struct proof_waiters *waiters, uint64_t number,
                                             size_t *count)
{
    *count = 0;
    if (waiters->starts == NULL || (number >> waiters->shift) + 1 >= waiters->start_count) {
        return NULL;
    }
    size_t at = waiters->starts[number >> waiters->shift];
    size_t end = waiters->starts[(number >> waiters->shift) + 1];
    while (at < end && waiters->items.items[at].address < number) {
        at++;
    }
    while (at + *count < end && waiters->items.items[at + *count].address == number) {
        ++*count;
    }
    return waiters->items.items + at;
}
