/* Collecting sudogs by following the three places that link them.
 *
 * g.waiting: chained by waitlink. Semaphore table: 251 roots {lock 0, treap 8}, a tree by prev and
 * next, each node the head of a list by waitlink. notifyList at Cond+16: head at 16, chained by
 * next. (runtime/sema.go, chan.go, select.go; equal in 1.18 to 1.27.) Every walk is bounded: memory
 * may be garbage. Nearly all of it lies in objects of the heap, which are looked at in place:
 * finding them by the page table costs a fraction of what reading a word from a copy of many pieces
 * does. */
#include "goruntime/sudogs.h"
#include "base/bytes.h"
#include "base/vector.h"
#include "goruntime/heap_internal.h"
#include "goruntime/internal.h"
#include <stdlib.h>

enum {
    SUDOGS_MAX = 1 << 27,
    SUDOGS_SEMAPHORE_ROOTS = 251,
    SUDOGS_TREAP = 8,
    SUDOGS_COND_HEAD = 32,
    SUDOGS_CASES_MAX = 1 << 16 /* of a select */
};

struct sudogs {
    const struct heap *heap;
    struct target *target;
    const struct layout *layout;
    VECTOR(uint64_t) found;
    VECTOR(uint64_t) waiters;
    VECTOR(uint64_t) tree; /* nodes of the treap still to visit */
    bool torn;             /* something could not be followed */
};

/* Reads a word at ADDRESS; 0 when it cannot. */
static inline uint64_t sudogs_word(struct sudogs *sudogs, uint64_t address)
{
    const uint8_t *view = heap_view(sudogs->heap, address, 8);
    if (view != NULL) {
        return bytes_u64(view);
    }
    uint8_t word[8];
    struct error *error = target_read(sudogs->target, address, word, sizeof word);
    if (error != NULL) {
        error_destroy(error);
        sudogs->torn = true;
        return 0;
    }
    return bytes_u64(word);
}

/* Adds the sudogs from FIRST on along the link at LINK; QUEUE: who waits there, too. */
static struct error *sudogs_chain(struct sudogs *sudogs, uint64_t first, int32_t link, bool queue)
{
    while (first != 0) {
        if (sudogs->found.count >= SUDOGS_MAX) {
            sudogs->torn = true;
            return NULL;
        }
        TRY(vector_append(&sudogs->found, first));
        if (queue) {
            uint64_t g = first + (uint64_t)(uint32_t)sudogs->layout->sudog.g;
            TRY(vector_append(&sudogs->waiters, sudogs_word(sudogs, g)));
        }
        first = sudogs_word(sudogs, first + (uint64_t)(uint32_t)link);
    }
    return NULL;
}

/* Adds the sudogs of one treap. */
static struct error *sudogs_treap(struct sudogs *sudogs, uint64_t root)
{
    const struct layout *layout = sudogs->layout;
    sudogs->tree.count = 0;
    TRY(vector_append(&sudogs->tree, root));
    for (size_t visited = 0; sudogs->tree.count > 0; visited++) {
        uint64_t node = sudogs->tree.items[--sudogs->tree.count];
        if (node == 0) {
            continue;
        }
        if (visited >= SUDOGS_MAX || sudogs->found.count >= SUDOGS_MAX) {
            sudogs->torn = true;
            return NULL;
        }
        TRY(sudogs_chain(sudogs, node, layout->sudog.waitlink, true));
        TRY(vector_append(&sudogs->tree,
                          sudogs_word(sudogs, node + (uint64_t)(uint32_t)layout->sudog.prev)));
        TRY(vector_append(&sudogs->tree,
                          sudogs_word(sudogs, node + (uint64_t)(uint32_t)layout->sudog.next)));
    }
    return NULL;
}

/* Adds what the semaphore table links; *RET: all of it. */
static struct error *sudogs_walk_semaphores(struct sudogs *sudogs, bool *ret)
{
    uint64_t table = sudogs->heap->runtime->globals.semtable;
    sudogs->torn = false;
    for (size_t i = 0; table != 0 && i < SUDOGS_SEMAPHORE_ROOTS; i++) {
        uint64_t root = table + i * (uint64_t)(uint32_t)sudogs->layout->sema_root_stride;
        bool locked = sudogs_word(sudogs, root) != 0; /* then a branch may hang nowhere */
        sudogs->torn = sudogs->torn || locked;
        TRY(sudogs_treap(sudogs, sudogs_word(sudogs, root + SUDOGS_TREAP)));
    }
    *ret = table != 0 && !sudogs->torn;
    return NULL;
}

/* Adds what the goroutines and conds of SNAPSHOT link. */
static struct error *sudogs_walk(struct sudogs *sudogs, const struct snapshot *snapshot)
{
    const struct layout *layout = sudogs->layout;
    size_t count;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(snapshot, &count);
    for (size_t i = 0; i < count; i++) {
        if (goroutines[i].status == GOROUTINE_STATUS_WAITING ||
            goroutines[i].status == GOROUTINE_STATUS_LEAKED) {
            uint64_t at = goroutines[i].address + (uint64_t)(uint32_t)layout->g.waiting;
            TRY(sudogs_chain(sudogs, sudogs_word(sudogs, at), layout->sudog.waitlink, false));
        }
    }
    for (size_t i = 0; i < snapshot_object_count(snapshot); i++) {
        const struct snapshot_object *object = snapshot_object(snapshot, (uint32_t)i);
        if (object->kind == OBJECT_COND && object->address != 0) {
            TRY(sudogs_chain(sudogs, sudogs_word(sudogs, object->address + SUDOGS_COND_HEAD),
                             layout->sudog.next, true));
        }
    }
    return NULL;
}

/* Orders words. */
static int sudogs_compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* What reads the sudogs of HEAP. */
static struct sudogs sudogs_of(const struct heap *heap)
{
    return (struct sudogs){
        .heap = heap, .target = heap->runtime->target, .layout = heap->runtime->layout};
}

struct error *sudogs_collect(const struct heap *heap, const struct snapshot *snapshot,
                             struct sudogs_found *ret)
{
    struct sudogs sudogs = sudogs_of(heap);
    bool known = false;
    struct error *error = sudogs_walk(&sudogs, snapshot);
    if (error == NULL) {
        error = sudogs_walk_semaphores(&sudogs, &known);
    }
    vector_deinit(&sudogs.tree);
    if (sudogs.waiters.count > 0) {
        qsort(sudogs.waiters.items, sudogs.waiters.count, sizeof(uint64_t), sudogs_compare);
    }
    *ret = (struct sudogs_found){sudogs.found.items, sudogs.found.count, sudogs.waiters.items,
                                 sudogs.waiters.count, known};
    return error;
}

void sudogs_found_deinit(struct sudogs_found *found)
{
    free(found->sudogs);
    free(found->waiters);
    *found = (struct sudogs_found){0};
}

bool sudogs_has_waiter(const struct sudogs_found *found, uint64_t g)
{
    return found->waiter_count > 0 &&
           bsearch(&g, found->waiters, found->waiter_count, sizeof g, sudogs_compare) != NULL;
}

/* True when SUDOG stands in a queue of its channel: the first is named by the channel, any other by
 * its predecessor. Who takes a sudog out of a queue clears both. */
static bool sudogs_is_queued(struct sudogs *sudogs, uint64_t sudog)
{
    const struct layout *layout = sudogs->layout;
    uint64_t channel = sudogs_word(sudogs, sudog + (uint64_t)(uint32_t)layout->sudog.c);
    uint64_t previous = sudogs_word(sudogs, sudog + (uint64_t)(uint32_t)layout->sudog.prev);
    if (channel == 0) {
        return false;
    }
    if (previous != 0) {
        return sudogs_word(sudogs, previous + (uint64_t)(uint32_t)layout->sudog.next) == sudog &&
               sudogs_word(sudogs, previous + (uint64_t)(uint32_t)layout->sudog.c) == channel;
    }
    return sudogs_word(sudogs, channel + (uint64_t)(uint32_t)layout->hchan.recvq_first) == sudog ||
           sudogs_word(sudogs, channel + (uint64_t)(uint32_t)layout->hchan.sendq_first) == sudog;
}

bool sudogs_on_channels(const struct heap *heap, uint64_t g)
{
    struct sudogs sudogs = sudogs_of(heap);
    const struct layout *layout = sudogs.layout;
    uint64_t sudog = sudogs_word(&sudogs, g + (uint64_t)(uint32_t)layout->g.waiting);
    size_t cases = 0;
    for (; sudog != 0; cases++) {
        if (cases == SUDOGS_CASES_MAX ||
            sudogs_word(&sudogs, sudog + (uint64_t)(uint32_t)layout->sudog.g) != g ||
            !sudogs_is_queued(&sudogs, sudog)) {
            return false;
        }
        sudog = sudogs_word(&sudogs, sudog + (uint64_t)(uint32_t)layout->sudog.waitlink);
    }
    return cases > 0;
}
