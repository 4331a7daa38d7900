/* The other side of coroutines (iter.Pull).
 *
 * Format (runtime/coro.go): coro {gp 0, f 8, ...}; gp is the side that is parked. The goroutine
 * that was made for a coroutine starts in runtime.corostart, whose frame, the outermost but
 * goexit, keeps the coro; before it first ran, g.coroarg does. A side that resumed the coroutine
 * waits with gp = itself, while the coroutine's goroutine runs or blocks elsewhere: that goroutine
 * is its partner. A coroutine's goroutine parked in yield has gp = itself and may be resumed by
 * anyone who holds the coro: its creator is named as the partner when its stack leads to the coro.
 *
 * Invariant: a word counts as the coro only when gp there is a goroutine that waits for a
 * coroutine. */
#include "goruntime/coroutine.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include <stdlib.h>
#include <string.h>

enum {
    COROUTINE_BOTTOM_WORDS = 64,  /* of a stack, searched for the coro */
    COROUTINE_STACK_WORDS = 1024, /* of a creator's stack, searched for the coro */
    COROUTINE_CLOSURE_WORDS = 8,  /* of what its words point at, likewise */
    COROUTINE_SEARCHES_MAX = 1000 /* creators that are searched */
};

/* All of one look. */
struct coroutine_rest {
    struct goruntime_look_state *state;
    const struct snapshot *snapshot;
    struct peek peek;
    struct wait_coroutine *items;
    size_t count;
    struct hash_map waiting;    /* g: index of its item */
    struct hash_map goroutines; /* goid of a creator: its index in the builder + 1 */
    size_t searches;
};

/* Frees what was made for the search. */
static void coroutine_rest_deinit(struct coroutine_rest *rest)
{
    hash_map_deinit(&rest->waiting);
    hash_map_deinit(&rest->goroutines);
    peek_deinit(&rest->peek);
}

/* Goroutine INDEX of the builder. */
static const struct snapshot_goroutine *coroutine_goroutine(const struct coroutine_rest *rest,
                                                            size_t index)
{
    size_t count;
    return &snapshot_goroutines(rest->snapshot, &count)[index];
}

/* By the name of its first function. */
bool coroutine_is_start(const struct snapshot *snapshot, uint32_t start)
{
    if (start == 0) {
        return false;
    }
    const struct snapshot_frame *frame = snapshot_frame(snapshot, start);
    return strcmp(snapshot_string(snapshot, frame->function), "runtime.corostart") == 0;
}

/* Keeps what has to do with coroutines. */
struct error *coroutine_keep(struct wait_resolver *resolver, uint32_t index, bool waits)
{
    const struct goruntime_parked *parked = &resolver->parked[index];
    if (resolver->layout->coro.gp == LAYOUT_ABSENT) {
        return NULL;
    }
    bool made = coroutine_is_start(resolver->snapshot, wait_goroutine(resolver, index)->start);
    if (!waits && !made) {
        return NULL;
    }
    struct wait_coroutine item = {.index = parked->index,
                                  .stack_lo = parked->stack_lo,
                                  .stack_hi = parked->stack_hi,
                                  .sp = parked->sp,
                                  .coroarg = parked->coroarg,
                                  .waits = waits,
                                  .made = made};
    return vector_append(&resolver->memory->coroutines, item);
}

/* The goroutine that waits in the coro at ADDRESS, or NULL when that is none. */
static struct wait_coroutine *coroutine_waiter(struct coroutine_rest *rest, uint64_t address)
{
    uint64_t g;
    uint64_t offset = (uint64_t)rest->state->runtime->layout->coro.gp;
    if (!wait_is_pointer(address, 8) || !peek_u64(&rest->peek, address + offset, &g)) {
        return NULL;
    }
    const uint64_t *item = hash_map_get(&rest->waiting, g);
    return item != NULL ? &rest->items[*item] : NULL;
}

/* Reads the end of ITEM's stack to the end of WORDS; returns how many bytes of it. Of a copy, what
 * is below the stack pointer may not be there. */
static uint64_t coroutine_read_bottom(struct coroutine_rest *rest,
                                      const struct wait_coroutine *item,
                                      uint8_t words[COROUTINE_BOTTOM_WORDS * 8])
{
    uint64_t most = COROUTINE_BOTTOM_WORDS * 8;
    if (item->stack_hi <= item->stack_lo) {
        return 0;
    }
    uint64_t size = item->stack_hi - item->stack_lo;
    size = size < most ? size & ~7ull : most;
    if (peek_read(&rest->peek, item->stack_hi - size, words + most - size, (size_t)size)) {
        return size;
    }
    uint64_t got = 0;
    while (got < size &&
           peek_read(&rest->peek, item->stack_hi - got - 8, words + most - got - 8, 8)) {
        got += 8;
    }
    return got;
}

/* Finds the coro that ITEM was made for and who waits in it, or NULL. */
static struct wait_coroutine *coroutine_find(struct coroutine_rest *rest,
                                             struct wait_coroutine *item)
{
    struct wait_coroutine *waiter = coroutine_waiter(rest, item->coroarg);
    item->coro = item->coroarg;
    if (waiter != NULL) {
        return waiter;
    }
    uint8_t words[COROUTINE_BOTTOM_WORDS * 8];
    uint64_t size = coroutine_read_bottom(rest, item, words);
    for (uint64_t got = 8; got <= size && waiter == NULL; got += 8) {
        item->coro = bytes_u64(words + sizeof words - got);
        bool stack = item->coro >= item->stack_lo && item->coro < item->stack_hi;
        waiter = stack ? NULL : coroutine_waiter(rest, item->coro);
    }
    return waiter;
}

/* True when one of COUNT words at BYTES is CORO. */
static bool coroutine_among(const uint8_t *bytes, size_t count, uint64_t coro)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes_u64(bytes + i * 8) == coro) {
            return true;
        }
    }
    return false;
}

/* True when the stack of the goroutine at index CREATOR leads to CORO, directly or by a closure. */
static bool coroutine_is_held(struct coroutine_rest *rest, size_t creator, uint64_t coro)
{
    const struct layout *layout = rest->state->runtime->layout;
    uint64_t g = coroutine_goroutine(rest, creator)->address;
    uint64_t sp;
    uint64_t hi;
    uint8_t words[COROUTINE_STACK_WORDS * 8];
    if (rest->searches++ >= COROUTINE_SEARCHES_MAX ||
        !peek_u64(&rest->peek, g + (uint64_t)layout->g.sched_sp, &sp) ||
        !peek_u64(&rest->peek, g + (uint64_t)layout->g.stack_hi, &hi) || sp >= hi) {
        return false;
    }
    size_t size = hi - sp < sizeof words ? (size_t)(hi - sp) & ~(size_t)7 : sizeof words;
    if (!peek_read(&rest->peek, sp, words, size)) {
        return false;
    }
    bool held = coroutine_among(words, size / 8, coro);
    for (size_t i = 0; i + 8 <= size && !held; i += 8) {
        uint64_t word = bytes_u64(words + i);
        uint8_t closure[COROUTINE_CLOSURE_WORDS * 8];
        held = wait_is_pointer(word, 8) && peek_read(&rest->peek, word, closure, sizeof closure) &&
               coroutine_among(closure, COROUTINE_CLOSURE_WORDS, coro);
    }
    return held;
}

/* Says what WAITER waits for. */
static struct error *coroutine_set(struct coroutine_rest *rest, const struct wait_coroutine *waiter,
                                   uint64_t partner)
{
    struct snapshot_object object = {.address = waiter->coro, .kind = OBJECT_COROUTINE};
    object.coroutine.partner = partner;
    struct snapshot_wait wait = {.direction = DIRECTION_WAIT};
    TRY(snapshot_builder_object(rest->state->builder, &object, &wait.object));
    return snapshot_builder_waits(rest->state->builder, waiter->index, &wait, 1);
}

/* Tells the side that waits in the coroutine of ITEM who the other is. */
static struct error *coroutine_pair(struct coroutine_rest *rest, struct wait_coroutine *item)
{
    struct wait_coroutine *waiter = coroutine_find(rest, item);
    if (waiter == NULL || !waiter->waits) {
        return NULL;
    }
    waiter->waits = false; /* told once */
    waiter->coro = item->coro;
    const struct snapshot_goroutine *made = coroutine_goroutine(rest, item->index);
    if (waiter != item) {
        return coroutine_set(rest, waiter, made->id);
    }
    uint64_t parent = made->parent;
    const uint64_t *creator = parent != 0 ? hash_map_get(&rest->goroutines, parent) : NULL;
    bool held = creator != NULL && *creator != 0 &&
                coroutine_is_held(rest, (size_t)*creator - 1, item->coro);
    return coroutine_set(rest, waiter, held ? parent : 0);
}

/* Indexes who waits, and the creators of who was made. */
static struct error *coroutine_index(struct coroutine_rest *rest)
{
    for (size_t i = 0; i < rest->count; i++) {
        const struct snapshot_goroutine *goroutine =
            coroutine_goroutine(rest, rest->items[i].index);
        if (rest->items[i].waits) {
            TRY(hash_map_put(&rest->waiting, goroutine->address, i));
        }
        if (rest->items[i].made) {
            TRY(hash_map_put(&rest->goroutines, goroutine->parent, 0));
        }
    }
    size_t count;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(rest->snapshot, &count);
    for (size_t i = 0; i < count; i++) {
        uint64_t *creator = hash_map_get(&rest->goroutines, goroutines[i].id);
        if (creator != NULL) {
            *creator = i + 1;
        }
    }
    return NULL;
}

/* Pairs the goroutines; those without a pair wait for an unknown partner. */
struct error *coroutine_resolve_rest(struct goruntime_look_state *state)
{
    CLEANUP(coroutine_rest_deinit)
    struct coroutine_rest rest = {
        .state = state,
        .snapshot = snapshot_builder_peek(state->builder),
        .peek = {.target = state->runtime->target, .cache = state->cache},
        .items = state->waits->coroutines.items,
        .count = state->waits->coroutines.count,
    };
    if (rest.count == 0) {
        return NULL;
    }
    TRY(coroutine_index(&rest));
    for (size_t i = 0; i < rest.count; i++) {
        if (rest.items[i].made) {
            TRY(coroutine_pair(&rest, &rest.items[i]));
        }
    }
    for (size_t i = 0; i < rest.count; i++) {
        if (rest.items[i].waits) {
            rest.items[i].coro = 0;
            TRY(coroutine_set(&rest, &rest.items[i], 0));
        }
    }
    return peek_error(&rest.peek);
}
