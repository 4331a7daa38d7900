/* The fixpoint: what live roots reach wakes goroutines, whose stacks are then live roots, until
 * nothing changes.
 *
 * A candidate is a goroutine that only another goroutine can wake. Objects that candidates wait for
 * are watched while marking, so a round looks only at goroutines whose object was just reached; the
 * whole takes time linear in the heap. Rules: go-runtime.md 7.1 and 7.5. Any doubt turns "proved"
 * into "unknown". */
#include "leak/proof.h"
#include "base/cleanup.h"
#include "base/vector.h"
#include "goruntime/heap.h"
#include "goruntime/mark.h"
#include "goruntime/roots.h"
#include "goruntime/sudogs.h"
#include "leak/proof_internal.h"
#include <stdlib.h>

CLEANUP_DEFINE(proof, struct proof, proof_destroy)

/* What a wait reason means for the proof; NONE: the goroutine is a root. */
static enum leak_class proof_class_of(enum wait_reason reason)
{
    switch (reason) {
    case WAIT_REASON_CHAN_RECEIVE:
    case WAIT_REASON_CHAN_SEND:
    case WAIT_REASON_SELECT:
        return LEAK_CLASS_CHANNEL;
    case WAIT_REASON_CHAN_RECEIVE_NIL:
    case WAIT_REASON_CHAN_SEND_NIL:
        return LEAK_CLASS_NIL_CHANNEL;
    case WAIT_REASON_SELECT_NO_CASES:
        return LEAK_CLASS_EMPTY_SELECT;
    case WAIT_REASON_SYNC_MUTEX_LOCK:
    case WAIT_REASON_SYNC_RWMUTEX_LOCK:
    case WAIT_REASON_SYNC_RWMUTEX_RLOCK:
        return LEAK_CLASS_MUTEX;
    case WAIT_REASON_SYNC_WAITGROUP_WAIT:
        return LEAK_CLASS_WAIT_GROUP;
    case WAIT_REASON_SYNC_COND_WAIT:
        return LEAK_CLASS_CONDITION;
    case WAIT_REASON_SEMACQUIRE:
        return LEAK_CLASS_SEMAPHORE;
    case WAIT_REASON_COROUTINE:
        return LEAK_CLASS_COROUTINE;
    case WAIT_REASON_CHAN_RECEIVE_DURABLE:
    case WAIT_REASON_CHAN_SEND_DURABLE:
    case WAIT_REASON_SELECT_DURABLE:
    case WAIT_REASON_CHAN_RECEIVE_SYNCTEST:
    case WAIT_REASON_CHAN_SEND_SYNCTEST:
    case WAIT_REASON_SELECT_SYNCTEST:
    case WAIT_REASON_SYNC_WAITGROUP_WAIT_DURABLE:
        return LEAK_CLASS_DURABLE;
    default:
        return LEAK_CLASS_NONE;
    }
}

/* True for classes whose proof rests on an object that nothing reaches. */
static bool proof_needs_object(enum leak_class class_)
{
    return class_ != LEAK_CLASS_NIL_CHANNEL && class_ != LEAK_CLASS_EMPTY_SELECT;
}

/* True for waits in which the goroutine really executes on its system stack (go-runtime.md 4.1). */
static bool proof_is_suspended(enum wait_reason reason)
{
    switch (reason) {
    case WAIT_REASON_GC_ASSIST_MARKING:
    case WAIT_REASON_GARBAGE_COLLECTION:
    case WAIT_REASON_GARBAGE_COLLECTION_SCAN:
    case WAIT_REASON_GC_MARK_TERMINATION:
    case WAIT_REASON_STOPPING_THE_WORLD:
    case WAIT_REASON_GC_WORKER_ACTIVE:
    case WAIT_REASON_FLUSHING_PROC_CACHES:
    case WAIT_REASON_TRACE_GOROUTINE_STATUS:
    case WAIT_REASON_TRACE_PROC_STATUS:
    case WAIT_REASON_PAGE_TRACE_FLUSH:
        return true;
    default:
        return false;
    }
}

/* A semaphore wait by what the semaphore was found to be part of (1.18 to 1.23 do not say). */
static enum leak_class proof_refine(enum leak_class class_, enum snapshot_object_kind kind)
{
    if (class_ != LEAK_CLASS_SEMAPHORE) {
        return class_;
    }
    return kind == OBJECT_MUTEX || kind == OBJECT_RWMUTEX ? LEAK_CLASS_MUTEX
           : kind == OBJECT_WAIT_GROUP                    ? LEAK_CLASS_WAIT_GROUP
                                                          : LEAK_CLASS_SEMAPHORE;
}

/* True when what would contradict a wait on OBJECT in DIRECTION is not known. */
static bool proof_is_vague(const struct snapshot_object *object, uint32_t direction)
{
    return direction == DIRECTION_UNKNOWN ||
           (object->kind == OBJECT_CHANNEL && (object->channel.length == SNAPSHOT_UNKNOWN ||
                                               object->channel.capacity == SNAPSHOT_UNKNOWN));
}

/* True when a channel's own fields contradict that somebody waits on it in DIRECTION, or may: a
 * wake-up is under way. */
static bool proof_in_transit(const struct snapshot_object *object, uint32_t direction)
{
    if (proof_is_vague(object, direction)) {
        return true;
    }
    if (object->kind != OBJECT_CHANNEL) {
        return false;
    }
    int64_t length = object->channel.length;
    int64_t capacity = object->channel.capacity;
    return object->channel.closed != 0 ||
           (direction == DIRECTION_RECEIVE ? length > 0 : length < capacity);
}

/* True when it is certain, in a view of one moment, that GOROUTINE, which proof_classify found to
 * be in transit, is being woken: an object of its wait contradicts the wait, and none is vague. */
static bool proof_is_being_woken(const struct snapshot *snapshot,
                                 const struct snapshot_goroutine *goroutine)
{
    size_t count;
    bool woken = false;
    const struct snapshot_wait *waits = snapshot_waits(snapshot, goroutine, &count);
    if ((goroutine->flags & (GOROUTINE_MOVED | GOROUTINE_STACK_UNKNOWN)) != 0) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct snapshot_object *object = snapshot_object(snapshot, waits[i].object);
        if (proof_is_vague(object, waits[i].direction)) {
            return false;
        }
        woken = woken || proof_in_transit(object, waits[i].direction);
    }
    return woken;
}

/* Decides, without looking at reachability, what GOROUTINE is; candidates come back as PROVED. */
static struct proof_result proof_classify(const struct snapshot *snapshot,
                                          const struct snapshot_goroutine *goroutine)
{
    struct proof_result result = {LEAK_VERDICT_WAITING, LEAK_CLASS_NONE, LEAK_REASON_NOT_WAITING};
    if ((goroutine->flags & GOROUTINE_SYSTEM) != 0) {
        result.verdict = LEAK_VERDICT_SYSTEM;
        return result;
    }
    if (goroutine->status != GOROUTINE_STATUS_WAITING &&
        goroutine->status != GOROUTINE_STATUS_LEAKED) {
        return result;
    }
    enum leak_class class_ = proof_class_of((enum wait_reason)goroutine->wait_reason);
    result.reason = LEAK_REASON_WAKES_ITSELF;
    if (class_ == LEAK_CLASS_NONE) {
        return result;
    }
    size_t count;
    const struct snapshot_wait *waits = snapshot_waits(snapshot, goroutine, &count);
    bool needs_object = proof_needs_object(class_);
    bool moved = (goroutine->flags & (GOROUTINE_MOVED | GOROUTINE_STACK_UNKNOWN)) != 0;
    result.verdict = LEAK_VERDICT_UNKNOWN;
    result.reason = moved ? LEAK_REASON_IN_TRANSIT : LEAK_REASON_OBJECT_UNKNOWN;
    if (moved || (needs_object && count == 0)) {
        return result;
    }
    for (size_t i = 0; needs_object && i < count; i++) {
        const struct snapshot_object *object = snapshot_object(snapshot, waits[i].object);
        if (object->kind == OBJECT_UNKNOWN || object->address == 0) {
            return result;
        }
        if (proof_in_transit(object, waits[i].direction)) {
            result.reason = LEAK_REASON_IN_TRANSIT;
            return result;
        }
        class_ = proof_refine(class_, (enum snapshot_object_kind)object->kind);
    }
    return (struct proof_result){LEAK_VERDICT_PROVED, class_, LEAK_REASON_NONE};
}

struct proof_result proof_without_heap(const struct snapshot *snapshot,
                                       const struct snapshot_goroutine *goroutine,
                                       enum leak_reason reason)
{
    struct proof_result result = proof_classify(snapshot, goroutine);
    if (result.verdict == LEAK_VERDICT_PROVED || result.verdict == LEAK_VERDICT_UNKNOWN) {
        result.verdict = LEAK_VERDICT_UNKNOWN;
        result.reason = reason;
    }
    return result;
}

/* Marks VALUE as reached from a root. */
static void proof_visit_root(void *context, uint64_t slot, uint64_t value)
{
    (void)slot;
    mark_add(context, value);
}

/* Makes the stack of goroutine INDEX a root. */
static struct error *proof_add_stack(struct proof *proof, size_t index)
{
    const struct snapshot_goroutine *goroutine = &proof->goroutines[index];
    bool runs = goroutine->status == GOROUTINE_STATUS_RUNNING ||
                goroutine->status == GOROUTINE_STATUS_COPYSTACK ||
                (goroutine->status == GOROUTINE_STATUS_WAITING &&
                 proof_is_suspended((enum wait_reason)goroutine->wait_reason));
    bool complete;
    TRY(roots_stacks_visit(proof->stacks, goroutine->address,
                           runs ? ROOTS_STACK_CONSERVATIVE : ROOTS_STACK_PRECISE, proof_visit_root,
                           proof->mark, &complete));
    if (!complete || goroutine->status == GOROUTINE_STATUS_COPYSTACK) {
        proof->complete = false;
    }
    return NULL;
}

/* Notes everything that candidate INDEX waits for, to be watched. */
static struct error *proof_note_waits(struct proof *proof, size_t index)
{
    if (!proof_needs_object(proof->results[index].class_)) {
        return NULL;
    }
    size_t count;
    const struct snapshot_wait *waits =
        snapshot_waits(proof->snapshot, &proof->goroutines[index], &count);
    for (size_t i = 0; i < count; i++) {
        uint32_t object = waits[i].object;
        uint64_t address = snapshot_object(proof->snapshot, object)->address;
        TRY(proof_waiters_add(&proof->waiters, address, (uint32_t)index, object));
    }
    return NULL;
}

/* Takes goroutine INDEX, one of whose objects is not in the heap and thus reachable, from the
 * candidates. */
static void proof_take_outside(void *context, uint32_t index)
{
    struct proof *proof = context;
    proof->results[index] =
        (struct proof_result){LEAK_VERDICT_WAITING, LEAK_CLASS_NONE, LEAK_REASON_NOT_IN_HEAP};
}

/* True when candidate INDEX stands in the queue of what it waits for. Otherwise somebody has taken
 * it out and is about to wake it, and need not know the object any more. */
static bool proof_is_queued(const struct proof *proof, const struct sudogs_found *found,
                            size_t index)
{
    const struct snapshot_goroutine *goroutine = &proof->goroutines[index];
    size_t count;
    const struct snapshot_wait *waits = snapshot_waits(proof->snapshot, goroutine, &count);
    if (!proof_needs_object(proof->results[index].class_) || count == 0) {
        return true;
    }
    switch (snapshot_object(proof->snapshot, waits[0].object)->kind) {
    case OBJECT_COROUTINE:
        return true; /* the coroutine names it, which is how it was found */
    case OBJECT_CHANNEL:
        return sudogs_on_channels(proof->heap, goroutine->address);
    default:
        return sudogs_has_waiter(found, goroutine->address);
    }
}

/* True when GOROUTINE, of which no object was found, waits for a semaphore whose queue it is in no
 * more: whoever waits was queued before. */
static bool proof_has_left_semaphore(const struct sudogs_found *found,
                                     const struct snapshot_goroutine *goroutine)
{
    switch (proof_class_of((enum wait_reason)goroutine->wait_reason)) {
    case LEAK_CLASS_MUTEX:
    case LEAK_CLASS_WAIT_GROUP:
    case LEAK_CLASS_SEMAPHORE:
        return found->semaphores_known && !sudogs_has_waiter(found, goroutine->address);
    default:
        return false;
    }
}

/* True when RESULT, of GOROUTINE, is in doubt only because somebody is waking it. */
static bool proof_is_doubt_of_waking(const struct proof *proof, const struct sudogs_found *found,
                                     const struct proof_result *result,
                                     const struct snapshot_goroutine *goroutine)
{
    if (result->verdict != LEAK_VERDICT_UNKNOWN) {
        return false;
    }
    return result->reason == LEAK_REASON_IN_TRANSIT
               ? proof_is_being_woken(proof->snapshot, goroutine)
               : result->reason == LEAK_REASON_OBJECT_UNKNOWN &&
                     proof_has_left_semaphore(found, goroutine);
}

/* Takes from the candidates who is being woken; in a view of ONE_MOMENT that is no doubt: whoever
 * took it out of the queue goes on and wakes it. */
static void proof_take_woken(struct proof *proof, const struct sudogs_found *found, size_t index,
                             bool one_moment)
{
    struct proof_result *result = &proof->results[index];
    bool dequeued = result->verdict == LEAK_VERDICT_PROVED && !proof_is_queued(proof, found, index);
    bool certain = one_moment && (dequeued || proof_is_doubt_of_waking(proof, found, result,
                                                                       &proof->goroutines[index]));
    if (certain) {
        *result =
            (struct proof_result){LEAK_VERDICT_WAITING, LEAK_CLASS_NONE, LEAK_REASON_IN_TRANSIT};
    } else if (dequeued) {
        *result =
            (struct proof_result){LEAK_VERDICT_UNKNOWN, result->class_, LEAK_REASON_IN_TRANSIT};
    }
}

/* Sorts goroutines into roots and candidates, and watches what the candidates wait for. */
static struct error *proof_prepare(struct proof *proof, bool one_moment)
{
    CLEANUP(sudogs_found_deinit) struct sudogs_found found = {0};
    TRY(sudogs_collect(proof->heap, proof->snapshot, &found));
    for (size_t i = 0; i < proof->count; i++) {
        struct proof_result *result = &proof->results[i];
        *result = proof_classify(proof->snapshot, &proof->goroutines[i]);
        proof_take_woken(proof, &found, i, one_moment);
        if (result->verdict == LEAK_VERDICT_PROVED) {
            TRY(proof_note_waits(proof, i));
        }
    }
    TRY(proof_waiters_watch(&proof->waiters, proof->mark, proof_take_outside, proof));
    return mark_hide_sudogs(proof->mark, found.sudogs, found.count);
}

/* Adds every root that is no candidate. */
static struct error *proof_add_roots(struct proof *proof)
{
    struct goruntime *runtime = proof->runtime;
    bool complete[3] = {true, true, true};
    TRY(roots_globals(runtime, proof_visit_root, proof->mark, &complete[0]));
    TRY(roots_specials(runtime, proof->heap, proof_visit_root, proof->mark, &complete[1]));
    TRY(roots_threads(runtime, proof_visit_root, proof->mark, &complete[2]));
    proof->complete = complete[0] && complete[1] && complete[2];
    for (size_t i = 0; i < proof->count; i++) {
        if (proof->results[i].verdict != LEAK_VERDICT_PROVED) {
            TRY(proof_add_stack(proof, i));
        }
    }
    return NULL;
}

/* Takes one reached object: whoever waits for it can run again. */
static void proof_take_hit(void *context, uint64_t number)
{
    struct proof *proof = context;
    size_t count;
    const struct gather_item *waiters = proof_waiters_find(&proof->waiters, number, &count);
    for (size_t i = 0; i < count; i++) {
        uint32_t index = proof_waiter_goroutine(&waiters[i]);
        if (proof->results[index].verdict == LEAK_VERDICT_PROVED) {
            proof->results[index] =
                (struct proof_result){LEAK_VERDICT_WAITING, LEAK_CLASS_NONE, LEAK_REASON_REACHABLE};
            proof->woken.items[proof->woken.count++] = index;
        }
    }
}

/* Marks and wakes until nothing changes. */
static struct error *proof_run(struct proof *proof)
{
    TRY(vector_reserve(&proof->woken, proof->count + 1));
    do {
        proof->woken.count = 0;
        TRY(mark_run(proof->mark));
        mark_take_hits(proof->mark, proof_take_hit, proof);
        for (size_t i = 0; i < proof->woken.count; i++) {
            TRY(proof_add_stack(proof, proof->woken.items[i]));
        }
    } while (proof->woken.count > 0);
    if (mark_incomplete(proof->mark) > 0 || heap_odd_spans(proof->heap) > 0) {
        proof->complete = false;
    }
    return NULL;
}

/* Takes proofs back where there is doubt, and where the runtime's own rules do. */
static void proof_doubt(struct proof *proof, const struct proof_options *options)
{
    enum leak_reason doubt = !options->consistent                      ? LEAK_REASON_NOT_CONSISTENT
                             : !proof->complete                        ? LEAK_REASON_INCOMPLETE
                             : goruntime_doubt(proof->runtime) != NULL ? LEAK_REASON_LAYOUT_DOUBT
                                                                       : LEAK_REASON_NONE;
    for (size_t i = 0; i < proof->count; i++) {
        struct proof_result *result = &proof->results[i];
        if (result->verdict != LEAK_VERDICT_PROVED) {
            continue;
        }
        if (proof->goroutines[i].id == 1 && result->class_ == LEAK_CLASS_EMPTY_SELECT) {
            *result =
                (struct proof_result){LEAK_VERDICT_WAITING, LEAK_CLASS_NONE, LEAK_REASON_MAIN};
        } else if (doubt == LEAK_REASON_INCOMPLETE && !proof_needs_object(result->class_)) {
            continue; /* no memory could lead to what does not exist */
        } else if (doubt != LEAK_REASON_NONE) {
            *result = (struct proof_result){LEAK_VERDICT_UNKNOWN, result->class_, doubt};
        }
    }
}

struct error *proof_create(struct goruntime *runtime, const struct snapshot *snapshot,
                           const struct proof_options *options, struct proof **ret)
{
    CLEANUP(cleanup_proof) struct proof *proof = calloc(1, sizeof *proof);
    if (proof == NULL) {
        return error_no_memory();
    }
    proof->runtime = runtime;
    proof->snapshot = snapshot;
    proof->goroutines = snapshot_goroutines(snapshot, &proof->count);
    proof->results = calloc(proof->count + 1, sizeof *proof->results);
    if (proof->results == NULL) {
        return error_no_memory();
    }
    TRY(heap_create(runtime, &proof->heap));
    TRY(mark_create(proof->heap, options->threads, &proof->mark));
    TRY(roots_stacks_create(runtime, &proof->stacks));
    TRY(proof_prepare(proof, options->one_moment));
    TRY(proof_add_roots(proof));
    TRY(proof_run(proof));
    proof_doubt(proof, options);
    TRY(proof_find_references(proof, options->everyone));
    *ret = TAKE(proof);
    return NULL;
}

void proof_destroy(struct proof *proof)
{
    if (proof == NULL) {
        return;
    }
    roots_stacks_destroy(proof->stacks);
    mark_destroy(proof->mark);
    heap_destroy(proof->heap);
    hash_map_deinit(&proof->functions_by_name);
    proof_waiters_deinit(&proof->waiters);
    vector_deinit(&proof->woken);
    vector_deinit(&proof->references);
    vector_deinit(&proof->functions);
    free(proof->results);
    free(proof);
}

struct proof_result proof_result(const struct proof *proof, size_t index)
{
    return proof->results[index];
}

uint64_t proof_marked(const struct proof *proof)
{
    return mark_count(proof->mark);
}
