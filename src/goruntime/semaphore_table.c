/* The runtime's table of semaphores.
 *
 * Format (runtime/sema.go): 251 roots {lock 0, treap 8, nwait 16}; a root is a binary tree of
 * sudogs with different semaphore addresses (elem), children in prev and next; further waiters for
 * the same address hang on waitlink. sudog.g waits.
 *
 * Invariants: the trees change while they are read, and may be garbage: every sudog that is right
 * brings a g that was not seen before, so the walk ends when too many do not. Wide layers of the
 * trees are read with few calls, long lists through the cache. */
#include "base/bytes.h"
#include "goruntime/semaphore.h"
#include "target/gather.h"

enum {
    SEMAPHORE_ROOTS = 251,
    SEMAPHORE_STRIDE_MAX = 128,
    SEMAPHORE_MANY = 256, /* from so many sudogs on they are read together */
    SEMAPHORE_SPARE_STEPS = 4096,
    SEMAPHORE_SUDOG_MAX = 512
};

/* One walk. */
struct semaphore_walk {
    struct wait_resolver *resolver;
    uint64_t steps; /* sudogs that were read */
    VECTOR(uint64_t) work;
    VECTOR(struct gather_item) items;
};

/* Keeps a sudog to be read later. */
static struct error *semaphore_push(struct semaphore_walk *walk, uint64_t sudog)
{
    return wait_is_pointer(sudog, 8) ? vector_append(&walk->work, sudog) : NULL;
}

/* Takes one sudog. */
static struct error *semaphore_take(struct semaphore_walk *walk, const uint8_t *bytes)
{
    const struct layout *layout = walk->resolver->layout;
    uint64_t g = bytes_u64(bytes + layout->sudog.g);
    uint64_t address = bytes_u64(bytes + layout->sudog.elem);
    if (wait_is_pointer(g, 8) && wait_is_pointer(address, 4)) {
        TRY(hash_map_put(&walk->resolver->memory->semaphores, g, address));
    }
    TRY(semaphore_push(walk, bytes_u64(bytes + layout->sudog.prev)));
    TRY(semaphore_push(walk, bytes_u64(bytes + layout->sudog.next)));
    return semaphore_push(walk, bytes_u64(bytes + layout->sudog.waitlink));
}

/* gather_visitor of sudogs. */
static struct error *semaphore_visit(void *context, const struct gather_item *item,
                                     const uint8_t *bytes)
{
    (void)item;
    return bytes != NULL ? semaphore_take(context, bytes) : NULL;
}

/* How many more sudogs may be read. */
static uint64_t semaphore_allowance(const struct semaphore_walk *walk)
{
    uint64_t limit =
        2 * hash_map_count(&walk->resolver->memory->semaphores) + SEMAPHORE_SPARE_STEPS;
    return walk->steps < limit ? limit - walk->steps : 0;
}

/* Reads the last COUNT sudogs that are to be read. */
static struct error *semaphore_step_many(struct semaphore_walk *walk, size_t count)
{
    walk->items.count = 0;
    TRY(vector_reserve(&walk->items, count));
    walk->work.count -= count;
    for (size_t i = 0; i < count; i++) {
        walk->items.items[i] =
            (struct gather_item){.address = walk->work.items[walk->work.count + i]};
    }
    walk->steps += count;
    return gather_visit(walk->resolver->state->runtime->target, walk->items.items, count,
                        (size_t)walk->resolver->layout->sudog.size, semaphore_visit, walk);
}

/* Reads the last of the sudogs that are to be read. */
static struct error *semaphore_step_one(struct semaphore_walk *walk)
{
    uint8_t bytes[SEMAPHORE_SUDOG_MAX];
    uint64_t sudog = walk->work.items[--walk->work.count];
    walk->steps++;
    if (!peek_read(&walk->resolver->peek, sudog, bytes,
                   (size_t)walk->resolver->layout->sudog.size)) {
        return peek_error(&walk->resolver->peek);
    }
    return semaphore_take(walk, bytes);
}

/* Starts with the roots. */
static struct error *semaphore_roots(struct semaphore_walk *walk)
{
    uint8_t table[SEMAPHORE_ROOTS * SEMAPHORE_STRIDE_MAX];
    struct goruntime *runtime = walk->resolver->state->runtime;
    size_t stride = (size_t)walk->resolver->layout->sema_root_stride;
    struct peek peek = {.target = runtime->target}; /* the cache may be older than the goroutines */
    if (stride > SEMAPHORE_STRIDE_MAX || stride < 24 ||
        !peek_read(&peek, runtime->globals.semtable, table, SEMAPHORE_ROOTS * stride)) {
        return peek_error(&peek);
    }
    for (size_t i = 0; i < SEMAPHORE_ROOTS; i++) {
        TRY(semaphore_push(walk, bytes_u64(table + i * stride + 8)));
    }
    return NULL;
}

/* Until nothing is left or the steps are used up. */
static struct error *semaphore_walk_run(struct semaphore_walk *walk)
{
    TRY(semaphore_roots(walk));
    for (;;) {
        uint64_t allowance = semaphore_allowance(walk);
        if (walk->work.count == 0 || allowance == 0) {
            return NULL;
        }
        if (walk->work.count < SEMAPHORE_MANY) {
            TRY(semaphore_step_one(walk));
        } else {
            size_t count = walk->work.count < allowance ? walk->work.count : (size_t)allowance;
            TRY(semaphore_step_many(walk, count));
        }
    }
}

/* Walks all trees at once. */
struct error *semaphore_table_read(struct wait_resolver *resolver)
{
    struct semaphore_walk walk = {.resolver = resolver};
    hash_map_clear(&resolver->memory->semaphores);
    if (resolver->state->runtime->globals.semtable == 0 ||
        resolver->layout->sudog.size > SEMAPHORE_SUDOG_MAX) {
        return NULL;
    }
    struct error *error = semaphore_walk_run(&walk);
    vector_deinit(&walk.work);
    vector_deinit(&walk.items);
    return error;
}
