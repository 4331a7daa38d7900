/* Collecting sudogs by following the three places that link them.
 *
 * g.waiting: chained by waitlink. Semaphore table: 251 roots {lock 0, treap 8}, a tree by prev and
 * next, each node the head of a list by waitlink. notifyList at Cond+16: head at 16, chained by
 * next. (runtime/sema.go, chan.go, select.go; equal in 1.18 to 1.27.) Every walk is bounded: memory
 * may be garbage. */
#include "goruntime/sudogs.h"
#include "base/bytes.h"
#include "base/vector.h"
#include "goruntime/internal.h"
#include <stdlib.h>

enum {
    SUDOGS_MAX = 1 << 27,
    SUDOGS_SEMAPHORE_ROOTS = 251,
    SUDOGS_TREAP = 8,
    SUDOGS_COND_HEAD = 32
};

struct sudogs {
    struct goruntime *runtime;
    const struct layout *layout;
    VECTOR(uint64_t) found;
    VECTOR(uint64_t) tree; /* nodes of the treap still to visit */
    bool complete;
};

/* Reads a word at ADDRESS; 0, and incomplete, when it cannot. */
static uint64_t sudogs_word(struct sudogs *sudogs, uint64_t address)
{
    uint8_t word[8];
    struct error *error = target_read(sudogs->runtime->target, address, word, sizeof word);
    if (error != NULL) {
        error_destroy(error);
        sudogs->complete = false;
        return 0;
    }
    return bytes_u64(word);
}

/* Adds the sudogs from FIRST on along the link at LINK. */
static struct error *sudogs_chain(struct sudogs *sudogs, uint64_t first, int32_t link)
{
    while (first != 0) {
        if (sudogs->found.count >= SUDOGS_MAX) {
            sudogs->complete = false;
            return NULL;
        }
        TRY(vector_append(&sudogs->found, first));
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
            sudogs->complete = false;
            return NULL;
        }
        TRY(sudogs_chain(sudogs, node, layout->sudog.waitlink));
        TRY(vector_append(&sudogs->tree,
                          sudogs_word(sudogs, node + (uint64_t)(uint32_t)layout->sudog.prev)));
        TRY(vector_append(&sudogs->tree,
                          sudogs_word(sudogs, node + (uint64_t)(uint32_t)layout->sudog.next)));
    }
    return NULL;
}

/* Adds what the goroutines and conds of SNAPSHOT and the semaphore table link. */
static struct error *sudogs_walk(struct sudogs *sudogs, const struct snapshot *snapshot)
{
    const struct layout *layout = sudogs->layout;
    size_t count;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(snapshot, &count);
    for (size_t i = 0; i < count; i++) {
        if (goroutines[i].status == GOROUTINE_STATUS_WAITING ||
            goroutines[i].status == GOROUTINE_STATUS_LEAKED) {
            uint64_t at = goroutines[i].address + (uint64_t)(uint32_t)layout->g.waiting;
            TRY(sudogs_chain(sudogs, sudogs_word(sudogs, at), layout->sudog.waitlink));
        }
    }
    for (size_t i = 0; i < snapshot_object_count(snapshot); i++) {
        const struct snapshot_object *object = snapshot_object(snapshot, (uint32_t)i);
        if (object->kind == OBJECT_COND && object->address != 0) {
            TRY(sudogs_chain(sudogs, sudogs_word(sudogs, object->address + SUDOGS_COND_HEAD),
                             layout->sudog.next));
        }
    }
    uint64_t table = sudogs->runtime->globals.semtable;
    sudogs->complete = sudogs->complete && table != 0;
    for (size_t i = 0; table != 0 && i < SUDOGS_SEMAPHORE_ROOTS; i++) {
        uint64_t root = table + i * (uint64_t)(uint32_t)layout->sema_root_stride;
        TRY(sudogs_treap(sudogs, sudogs_word(sudogs, root + SUDOGS_TREAP)));
    }
    return NULL;
}

struct error *sudogs_collect(struct goruntime *runtime, const struct snapshot *snapshot,
                             uint64_t **ret, size_t *count_ret, bool *complete_ret)
{
    struct sudogs sudogs = {.runtime = runtime, .layout = runtime->layout, .complete = true};
    struct error *error = sudogs_walk(&sudogs, snapshot);
    vector_deinit(&sudogs.tree);
    if (error != NULL) {
        vector_deinit(&sudogs.found);
        return error;
    }
    *ret = sudogs.found.items;
    *count_ret = sudogs.found.count;
    *complete_ret = sudogs.complete;
    return NULL;
}
