/* Condition variables.
 *
 * Format (runtime/sema.go, sync/cond.go): Cond {L interface 0, notify 16, ...}; notifyList {wait
 * u32 0, notify u32 4, lock 8, head 16, tail 24}, a list of sudogs by next. From Go 1.26 on
 * g.waiting's elem is the notifyList; before, only the stack of the goroutine holds its address,
 * or that of the Cond.
 *
 * Invariants: a candidate counts for a waiter when its list holds the waiter's sudog; lists are
 * followed to their end or until they turn out to be circles, and once for all their waiters. */
#include "goruntime/cond.h"
#include "base/bytes.h"
#include "base/cleanup.h"

enum {
    COND_STACK_WORDS = 256,
    COND_NOTIFY = 16,
    COND_LIST_SIZE = 32,
    COND_WAITERS_MAX = 100000000,
    COND_SCHED_G = 72 /* of sched.g in g, in all releases: a g names itself there */
};

/* All waiters of one look. */
struct cond_batch {
    struct wait_resolver *resolver;
    struct wait_waiter *waiters;
    size_t count;
    struct hash_map followed; /* lists that were followed */
};

/* Gives the waiters on the list that starts at sudog HEAD, of at most LIMIT, the address LIST. */
static void cond_follow(struct cond_batch *batch, uint64_t list, uint64_t head, uint32_t limit)
{
    const struct layout *layout = batch->resolver->layout;
    uint64_t mark = 0; /* where step was a power of two: a circle comes by again */
    for (uint32_t step = 0; step <= limit && wait_is_pointer(head, 8) && head != mark; step++) {
        uint64_t g;
        uint64_t sudog = head;
        mark = (step & (step - 1)) == 0 ? sudog : mark;
        if (!peek_u64(&batch->resolver->peek, sudog + (uint64_t)layout->sudog.g, &g) ||
            !peek_u64(&batch->resolver->peek, sudog + (uint64_t)layout->sudog.next, &head)) {
            return;
        }
        struct wait_waiter *waiter = wait_waiters_find(batch->waiters, batch->count, g);
        if (waiter != NULL && waiter->address == 0) {
            waiter->address = list; /* others are not among those asked for */
        }
    }
}

/* True when a notifyList seems to be in BYTES: it has waiters, its list starts with a sudog of a g
 * and ends where it says. */
static bool cond_is_list(struct cond_batch *batch, const uint8_t *bytes)
{
    const struct layout *layout = batch->resolver->layout;
    struct peek *peek = &batch->resolver->peek;
    uint64_t head = bytes_u64(bytes + 16);
    uint64_t tail = bytes_u64(bytes + 24);
    uint64_t g;
    uint64_t self;
    uint64_t next;
    return bytes_u32(bytes) - bytes_u32(bytes + 4) - 1 < COND_WAITERS_MAX &&
           wait_is_pointer(head, 8) && wait_is_pointer(tail, 8) &&
           peek_u64(peek, head + (uint64_t)layout->sudog.g, &g) && wait_is_pointer(g, 8) &&
           peek_u64(peek, g + COND_SCHED_G, &self) && self == g &&
           peek_u64(peek, tail + (uint64_t)layout->sudog.next, &next) && next == 0;
}

/* If a notifyList is at LIST, its waiters get the address. */
static struct error *cond_try(struct cond_batch *batch, uint64_t list)
{
    uint8_t bytes[COND_LIST_SIZE];
    if (!peek_read(&batch->resolver->peek, list, bytes, sizeof bytes) ||
        !cond_is_list(batch, bytes) || hash_map_get(&batch->followed, list) != NULL) {
        return NULL;
    }
    cond_follow(batch, list, bytes_u64(bytes + 16), bytes_u32(bytes) - bytes_u32(bytes + 4));
    return hash_map_put(&batch->followed, list, 1);
}

/* Looks for the notifyList of one waiter on its stack. */
static struct error *cond_search(struct cond_batch *batch, const struct wait_waiter *waiter)
{
    uint64_t words[COND_STACK_WORDS];
    const struct goruntime_parked *parked = &batch->resolver->parked[waiter->index];
    size_t count = wait_stack(batch->resolver, waiter->index, words, COND_STACK_WORDS);
    for (size_t i = 0; i < count && waiter->address == 0; i++) {
        bool stack = words[i] >= parked->stack_lo && words[i] < parked->stack_hi;
        if (wait_is_pointer(words[i], 8) && !stack) {
            TRY(cond_try(batch, words[i] + COND_NOTIFY));
            TRY(cond_try(batch, words[i]));
        }
    }
    return peek_error(&batch->resolver->peek);
}

/* Decodes and hands over. */
static struct error *cond_set(struct cond_batch *batch, const struct wait_waiter *waiter)
{
    struct snapshot_object object = {.kind = OBJECT_COND};
    object.cond.waiters = SNAPSHOT_UNKNOWN;
    uint8_t bytes[8];
    if (waiter->address > COND_NOTIFY) {
        object.address = waiter->address - COND_NOTIFY;
        if (peek_read(&batch->resolver->peek, waiter->address, bytes, sizeof bytes)) {
            object.cond.waiters = (uint32_t)(bytes_u32(bytes) - bytes_u32(bytes + 4));
        }
    }
    return wait_set(batch->resolver, waiter->index, &object, DIRECTION_WAIT);
}

/* Frees what a batch holds. */
static void cond_batch_deinit(struct cond_batch *batch)
{
    free(batch->waiters);
    hash_map_deinit(&batch->followed);
}

/* By g.waiting, then by the stacks. */
struct error *cond_resolve(struct wait_resolver *resolver, const uint32_t *indices, size_t count)
{
    CLEANUP(cond_batch_deinit) struct cond_batch batch = {.resolver = resolver, .count = count};
    TRY(wait_waiters_create(resolver, indices, count, &batch.waiters));
    TRY(wait_waiters_by_waiting(resolver, batch.waiters, count));
    for (size_t i = 0; i < count; i++) {
        if (batch.waiters[i].address == 0) {
            TRY(cond_search(&batch, &batch.waiters[i]));
        }
    }
    for (size_t i = 0; i < count; i++) {
        TRY(cond_set(&batch, &batch.waiters[i]));
    }
    return NULL;
}
