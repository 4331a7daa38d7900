/* Sorts goroutines by the kind of their wait and has each kind resolved. */
#include "goruntime/wait.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "goruntime/channel.h"
#include "goruntime/cond.h"
#include "goruntime/coroutine.h"
#include "goruntime/netpoll.h"
#include "goruntime/semaphore.h"
#include "goruntime/system_call.h"
#include "goruntime/timer.h"
#include <stdlib.h>

/* Kinds of waits that are found out the same way. */
enum wait_class {
    WAIT_CLASS_CHANNEL,
    WAIT_CLASS_SEMAPHORE,
    WAIT_CLASS_COND,
    WAIT_CLASS_DESCRIPTOR,
    WAIT_CLASS_SLEEP,
    WAIT_CLASS_SYSTEM_CALL,
    WAIT_CLASS_COUNT, /* the classes above have a resolver */
    WAIT_CLASS_COROUTINE,
    WAIT_CLASS_NIL_RECEIVE,
    WAIT_CLASS_NIL_SEND,
    WAIT_CLASS_EMPTY_SELECT,
    WAIT_CLASS_NONE
};

/* The goroutines of each class. */
struct wait_lists {
    VECTOR(uint32_t) lists[WAIT_CLASS_COUNT];
};

/* Frees the lists. */
static void wait_lists_deinit(struct wait_lists *lists)
{
    for (size_t i = 0; i < WAIT_CLASS_COUNT; i++) {
        vector_deinit(&lists->lists[i]);
    }
}

/* The class of a wait reason. */
static enum wait_class wait_classify_reason(enum wait_reason reason)
{
    switch (reason) {
    case WAIT_REASON_CHAN_RECEIVE:
    case WAIT_REASON_CHAN_RECEIVE_SYNCTEST:
    case WAIT_REASON_CHAN_RECEIVE_DURABLE:
    case WAIT_REASON_CHAN_SEND:
    case WAIT_REASON_CHAN_SEND_SYNCTEST:
    case WAIT_REASON_CHAN_SEND_DURABLE:
    case WAIT_REASON_SELECT:
    case WAIT_REASON_SELECT_SYNCTEST:
    case WAIT_REASON_SELECT_DURABLE:
        return WAIT_CLASS_CHANNEL;
    case WAIT_REASON_CHAN_RECEIVE_NIL:
        return WAIT_CLASS_NIL_RECEIVE;
    case WAIT_REASON_CHAN_SEND_NIL:
        return WAIT_CLASS_NIL_SEND;
    case WAIT_REASON_SELECT_NO_CASES:
        return WAIT_CLASS_EMPTY_SELECT;
    case WAIT_REASON_SEMACQUIRE:
    case WAIT_REASON_SYNC_MUTEX_LOCK:
    case WAIT_REASON_SYNC_RWMUTEX_RLOCK:
    case WAIT_REASON_SYNC_RWMUTEX_LOCK:
    case WAIT_REASON_SYNC_WAITGROUP_WAIT:
    case WAIT_REASON_SYNC_WAITGROUP_WAIT_DURABLE:
        return WAIT_CLASS_SEMAPHORE;
    case WAIT_REASON_SYNC_COND_WAIT:
        return WAIT_CLASS_COND;
    case WAIT_REASON_IO_WAIT:
        return WAIT_CLASS_DESCRIPTOR;
    case WAIT_REASON_SLEEP:
        return WAIT_CLASS_SLEEP;
    case WAIT_REASON_COROUTINE:
        return WAIT_CLASS_COROUTINE;
    default:
        return WAIT_CLASS_NONE;
    }
}

/* The class of a goroutine. */
static enum wait_class wait_classify(const struct goruntime_parked *parked)
{
    if (parked->status == GOROUTINE_STATUS_SYSCALL) {
        return WAIT_CLASS_SYSTEM_CALL;
    }
    if (parked->status != GOROUTINE_STATUS_WAITING && parked->status != GOROUTINE_STATUS_LEAKED) {
        return WAIT_CLASS_NONE;
    }
    return wait_classify_reason((enum wait_reason)parked->wait_reason);
}

/* By its class. */
bool wait_is_on_channel(const struct goruntime_parked *parked)
{
    return wait_classify(parked) == WAIT_CLASS_CHANNEL;
}

/* The entry in the builder. */
const struct snapshot_goroutine *wait_goroutine(const struct wait_resolver *resolver,
                                                uint32_t index)
{
    size_t count;
    return &snapshot_goroutines(resolver->snapshot, &count)[resolver->parked[index].index];
}

/* One object and the wait for it. */
struct error *wait_set(struct wait_resolver *resolver, uint32_t index,
                       const struct snapshot_object *object, uint32_t direction)
{
    struct snapshot_wait wait = {.direction = direction};
    TRY(snapshot_builder_object(resolver->state->builder, object, &wait.object));
    return snapshot_builder_waits(resolver->state->builder, resolver->parked[index].index, &wait,
                                  1);
}

/* Words from sp on. */
size_t wait_stack(struct wait_resolver *resolver, uint32_t index, uint64_t *words, size_t capacity)
{
    const struct goruntime_parked *parked = &resolver->parked[index];
    uint64_t sp = (parked->sp + 7) & ~7ull;
    if (sp < parked->stack_lo || sp >= parked->stack_hi) {
        return 0;
    }
    uint64_t count = (parked->stack_hi - sp) / 8;
    count = count < capacity ? count : capacity;
    if (!peek_read(&resolver->peek, sp, words, (size_t)count * 8)) {
        return 0;
    }
    return (size_t)count;
}

/* The difference of two unsigned times. */
int64_t wait_from_now(const struct wait_resolver *resolver, uint64_t when)
{
    if (resolver->state->now_ns == 0 || when > INT64_MAX) {
        return SNAPSHOT_UNKNOWN;
    }
    return (int64_t)when - (int64_t)resolver->state->now_ns;
}

/* Waits that need no look at the target. Every one gets an object of its own: goroutines on nil
 * channels have nothing in common. */
static struct error *wait_set_nothing(struct wait_resolver *resolver, uint32_t index,
                                      enum wait_class class)
{
    struct snapshot_object object = {.kind = OBJECT_NIL_CHANNEL};
    switch (class) {
    case WAIT_CLASS_NIL_RECEIVE:
        return wait_set(resolver, index, &object, DIRECTION_RECEIVE);
    case WAIT_CLASS_NIL_SEND:
        return wait_set(resolver, index, &object, DIRECTION_SEND);
    case WAIT_CLASS_EMPTY_SELECT:
        object.kind = OBJECT_EMPTY_SELECT;
        return wait_set(resolver, index, &object, DIRECTION_WAIT);
    default:
        return NULL;
    }
}

/* Sorts all goroutines into lists. */
static struct error *wait_sort(struct wait_resolver *resolver, struct wait_lists *lists)
{
    for (size_t i = 0; i < resolver->count; i++) {
        enum wait_class class = wait_classify(&resolver->parked[i]);
        TRY(coroutine_keep(resolver, (uint32_t)i, class == WAIT_CLASS_COROUTINE));
        if (class < WAIT_CLASS_COUNT) {
            TRY(vector_append(&lists->lists[class], (uint32_t)i));
        } else {
            TRY(wait_set_nothing(resolver, (uint32_t)i, class));
        }
    }
    return NULL;
}

/* Resolves class by class. */
struct error *wait_resolve(struct goruntime_look_state *state,
                           const struct goruntime_parked *parked, size_t count)
{
    typedef struct error *wait_class_resolver(struct wait_resolver *, const uint32_t *, size_t);
    static wait_class_resolver *const resolvers[WAIT_CLASS_COUNT] = {
        [WAIT_CLASS_CHANNEL] = channel_resolve, [WAIT_CLASS_SEMAPHORE] = semaphore_resolve,
        [WAIT_CLASS_COND] = cond_resolve,       [WAIT_CLASS_DESCRIPTOR] = netpoll_resolve,
        [WAIT_CLASS_SLEEP] = timer_resolve,     [WAIT_CLASS_SYSTEM_CALL] = system_call_resolve,
    };
    if (count > UINT32_MAX) {
        return error_create(ERROR_LIMIT, "too many goroutines: %zu", count);
    }
    if (state->waits == NULL) {
        state->waits = calloc(1, sizeof *state->waits);
        if (state->waits == NULL) {
            return error_no_memory();
        }
    }
    struct wait_resolver resolver = {
        .state = state,
        .layout = state->runtime->layout,
        .parked = parked,
        .count = count,
        .snapshot = snapshot_builder_peek(state->builder),
        .peek = {.target = state->runtime->target, .cache = state->cache},
        .memory = state->waits,
    };
    CLEANUP(wait_lists_deinit) struct wait_lists lists = {0};
    block_cache_clear(state->cache); /* what it holds may be older than these goroutines */
    TRY(wait_sort(&resolver, &lists));
    for (size_t i = 0; i < WAIT_CLASS_COUNT; i++) {
        if (lists.lists[i].count > 0) {
            TRY(resolvers[i](&resolver, lists.lists[i].items, lists.lists[i].count));
            TRY(peek_error(&resolver.peek));
        }
    }
    return NULL;
}

/* Once all goroutines are there. */
struct error *wait_resolve_rest(struct goruntime_look_state *state)
{
    return state->waits != NULL ? coroutine_resolve_rest(state) : NULL;
}

/* Frees what the look kept. */
void goruntime_look_state_deinit(struct goruntime_look_state *state)
{
    hash_map_deinit(&state->labels);
    struct wait_memory *memory = TAKE(state->waits);
    if (memory == NULL) {
        return;
    }
    hash_map_deinit(&memory->semaphores);
    process_descriptors_destroy(memory->descriptors);
    hash_map_deinit(&memory->descriptor_names);
    hash_map_deinit(&memory->threads);
    vector_deinit(&memory->coroutines);
    free(memory);
}
