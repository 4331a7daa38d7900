/* Goroutines that wait for semaphores: where each semaphore is, what it is part of, and the state
 * of that.
 *
 * Format (sync/mutex.go, rwmutex.go, waitgroup.go, equal in Go 1.18 to 1.27): Mutex {state i32 0,
 * sema u32 4}, state bit 0 locked, 2 starving, waiters above bit 3. RWMutex {w Mutex 0, writerSem
 * 8, readerSem 12, readerCount i32 16, readerWait i32 20}, readerCount 2^30 less while a writer is
 * there. WaitGroup {state u64 0, sema 8}, counter in the high half, waiters in the low one without
 * its top bit (in Go 1.25 and newer it marks a synctest bubble; no earlier program has 2^31
 * waiters). */
#include "goruntime/semaphore.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "target/gather.h"
#include <stdlib.h>
#include <string.h>

enum { SEMAPHORE_STATE_SIZE = 24, SEMAPHORE_RWMUTEX_BIAS = 1 << 30 };

/* All waiters of one look. */
struct semaphore_batch {
    struct wait_resolver *resolver;
    struct semaphore_classifier classifier;
    struct wait_waiter *waiters; /* sorted by g */
    struct gather_item *items;   /* one per waiter */
    size_t count;
};

/* Frees what a batch holds. */
static void semaphore_batch_deinit(struct semaphore_batch *batch)
{
    semaphore_classifier_deinit(&batch->classifier);
    free(batch->waiters);
    free(batch->items);
}

/* Signed 32 bits at P. */
static int64_t semaphore_i32(const uint8_t *p)
{
    return bytes_i32(p);
}

/* A mutex. */
static void semaphore_decode_mutex(const uint8_t *bytes, struct snapshot_object *object)
{
    uint32_t state = bytes != NULL ? bytes_u32(bytes) : 0;
    object->mutex.locked = bytes == NULL ? -1 : (int8_t)(state & 1);
    object->mutex.starving = bytes == NULL ? -1 : (int8_t)(state >> 2 & 1);
    object->mutex.waiters = bytes == NULL ? SNAPSHOT_UNKNOWN : (int64_t)(state >> 3);
}

/* An RWMutex. Readers that came after a writer are counted, but hold nothing. */
static void semaphore_decode_rwmutex(const uint8_t *bytes, struct snapshot_object *object)
{
    object->rwmutex.readers = SNAPSHOT_UNKNOWN;
    object->rwmutex.readers_left = SNAPSHOT_UNKNOWN;
    object->rwmutex.writer = -1;
    object->rwmutex.locked = -1;
    if (bytes == NULL) {
        return;
    }
    int64_t count = semaphore_i32(bytes + 16);
    int64_t left = semaphore_i32(bytes + 20);
    bool writer = count < 0;
    if (count < -SEMAPHORE_RWMUTEX_BIAS || left < 0 || left > SEMAPHORE_RWMUTEX_BIAS) {
        return; /* between two steps of RLock and Lock, or no RWMutex any more */
    }
    object->rwmutex.readers = writer ? left : count;
    object->rwmutex.readers_left = writer ? left : 0;
    object->rwmutex.writer = writer;
    object->rwmutex.locked = (int8_t)(bytes[0] & 1);
}

/* A WaitGroup. */
static void semaphore_decode_wait_group(const uint8_t *bytes, struct snapshot_object *object)
{
    uint64_t state = bytes != NULL ? bytes_u64(bytes) : 0;
    int32_t counter = (int32_t)(uint32_t)(state >> 32);
    object->wait_group.counter = bytes == NULL ? SNAPSHOT_UNKNOWN : counter;
    object->wait_group.waiters = bytes == NULL ? SNAPSHOT_UNKNOWN : (int64_t)(state & 0x7fffffffu);
}

/* Decodes the object of USE at ADDRESS; BYTES are NULL when unreadable. */
static struct error *semaphore_decode(struct semaphore_batch *batch,
                                      const struct semaphore_use *use, uint64_t address,
                                      const uint8_t *bytes, struct snapshot_object *ret)
{
    *ret = (struct snapshot_object){.address = address, .kind = use->kind};
    switch (use->kind) {
    case OBJECT_MUTEX:
        semaphore_decode_mutex(bytes, ret);
        return NULL;
    case OBJECT_RWMUTEX:
        semaphore_decode_rwmutex(bytes, ret);
        return NULL;
    case OBJECT_WAIT_GROUP:
        semaphore_decode_wait_group(bytes, ret);
        return NULL;
    default:
        break;
    }
    ret->semaphore.value = bytes == NULL ? SNAPSHOT_UNKNOWN : (int64_t)bytes_u32(bytes);
    const char *role = semaphore_role_text(use->role);
    if (*role == '\0') {
        return NULL;
    }
    return snapshot_builder_string(batch->resolver->state->builder, role, strlen(role),
                                   &ret->semaphore.role);
}

/* gather_visitor of the primitives; tags are waiters. */
static struct error *semaphore_visit(void *context, const struct gather_item *item,
                                     const uint8_t *bytes)
{
    struct semaphore_batch *batch = context;
    uint32_t index = batch->waiters[item->tag].index;
    struct semaphore_use use;
    TRY(semaphore_classify(&batch->classifier, batch->resolver, index, &use));
    uint8_t storage[SEMAPHORE_STATE_SIZE] = {0};
    if (bytes == NULL) { /* at the end of memory the largest primitive may not fit */
        size_t size = use.kind == OBJECT_RWMUTEX      ? SEMAPHORE_STATE_SIZE
                      : use.kind == OBJECT_WAIT_GROUP ? 12
                                                      : 4;
        if (peek_read(&batch->resolver->peek, item->address, storage, size)) {
            bytes = storage;
        }
    }
    struct snapshot_object object;
    TRY(semaphore_decode(batch, &use, item->address, bytes, &object));
    return wait_set(batch->resolver, index, &object, use.direction);
}

/* Reads the primitives. */
static struct error *semaphore_read(struct semaphore_batch *batch)
{
    size_t count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct wait_waiter *waiter = &batch->waiters[i];
        struct semaphore_use use;
        TRY(semaphore_classify(&batch->classifier, batch->resolver, waiter->index, &use));
        if (waiter->address > use.offset) {
            batch->items[count++] =
                (struct gather_item){.address = waiter->address - use.offset, .tag = i};
        } else if (use.kind != OBJECT_SEMAPHORE) { /* what it is, but not where */
            struct snapshot_object object;
            TRY(semaphore_decode(batch, &use, 0, NULL, &object));
            TRY(wait_set(batch->resolver, waiter->index, &object, use.direction));
        }
    }
    return gather_visit(batch->resolver->state->runtime->target, batch->items, count,
                        SEMAPHORE_STATE_SIZE, semaphore_visit, batch);
}

/* Takes addresses from the table as it was read. Returns how many are missing. */
static size_t semaphore_look_up(struct semaphore_batch *batch)
{
    size_t missing = 0;
    for (size_t i = 0; i < batch->count; i++) {
        struct wait_waiter *waiter = &batch->waiters[i];
        if (waiter->address == 0) {
            const uint64_t *address = hash_map_get(&batch->resolver->memory->semaphores, waiter->g);
            waiter->address = address != NULL ? *address : 0;
            missing += address == NULL;
        }
    }
    return missing;
}

/* Finds the addresses that g.waiting does not lead to. The table is read once for a look, and again
 * when goroutines have come to wait since. */
static struct error *semaphore_by_table(struct semaphore_batch *batch)
{
    if (semaphore_look_up(batch) > 0) {
        TRY(semaphore_table_read(batch->resolver));
        (void)semaphore_look_up(batch); /* what is still missing stays unknown */
    }
    return NULL;
}

/* Finds, then reads. */
struct error *semaphore_resolve(struct wait_resolver *resolver, const uint32_t *indices,
                                size_t count)
{
    CLEANUP(semaphore_batch_deinit)
    struct semaphore_batch batch = {.resolver = resolver, .count = count};
    TRY(wait_waiters_create(resolver, indices, count, &batch.waiters));
    TRY(wait_waiters_by_waiting(resolver, batch.waiters, count));
    TRY(semaphore_by_table(&batch));
    batch.items = calloc(count, sizeof *batch.items);
    if (batch.items == NULL) {
        return error_no_memory();
    }
    return semaphore_read(&batch);
}
