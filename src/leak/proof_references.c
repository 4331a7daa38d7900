/* Who, among the stuck, refers to what others wait for: the ones that should have woken them, and
 * sets that wait for each other.
 *
 * A Go mutex has no owner; a reference from the stack of another stuck goroutine is only a possible
 * holder. Equal goroutines tell the same, so of each stack only some are looked at. Cycles:
 * strongly connected sets of "waits for an object that the other's stack refers to" with a lock
 * among them (Tarjan, without recursion). */
#include "base/cleanup.h"
#include "leak/proof_internal.h"
#include <stdlib.h>

enum { REFERENCES_PER_STACK = 64, REFERENCES_MAX = 1 << 20, REFERENCES_PER_OBJECT = 32 };

struct references {
    struct proof *proof;
    struct hash_map objects; /* heap object number -> snapshot object index */
    struct hash_map seen;    /* stack id -> goroutines looked at */
    size_t visiting;         /* goroutine */
    struct error *error;
};

/* The number for a linker name, which lives as long as the image. */
static struct error *references_function(struct proof *proof, const char *name, uint32_t *ret)
{
    bool added;
    uint64_t *number;
    *ret = 0;
    if (name == NULL) {
        return NULL;
    }
    TRY(hash_map_entry(&proof->functions_by_name, (uint64_t)(uintptr_t)name,
                       proof->functions.count + 1, &added, &number));
    *ret = (uint32_t)*number;
    return added ? vector_append(&proof->functions, name) : NULL;
}

/* True when goroutine INDEX itself waits for OBJECT. */
static bool references_waits_for(const struct proof *proof, size_t index, uint32_t object)
{
    size_t count;
    const struct snapshot_wait *waits =
        snapshot_waits(proof->snapshot, &proof->goroutines[index], &count);
    for (size_t i = 0; i < count; i++) {
        if (waits[i].object == object) {
            return true;
        }
    }
    return false;
}

/* Takes one word of a stuck goroutine's stack. */
static void references_visit(void *context, uint64_t slot, uint64_t value)
{
    struct references *references = context;
    struct proof *proof = references->proof;
    struct heap_object object;
    if (references->error != NULL || !heap_find(proof->heap, value, &object)) {
        return;
    }
    const uint64_t *index = hash_map_get(&references->objects, object.number);
    if (index == NULL || proof->references.count >= REFERENCES_MAX ||
        references_waits_for(proof, references->visiting, (uint32_t)*index)) {
        return;
    }
    struct proof_reference reference = {(uint32_t)*index, (uint32_t)references->visiting, 0};
    if (proof->references.count > 0) {
        const struct proof_reference *last = &proof->references.items[proof->references.count - 1];
        if (last->object == reference.object && last->goroutine == reference.goroutine) {
            return;
        }
    }
    references->error =
        references_function(proof, roots_stacks_function(proof->stacks, slot), &reference.function);
    if (references->error == NULL) {
        references->error = vector_append(&proof->references, reference);
    }
}

/* Indexes the heap objects that proved goroutines wait for. */
static struct error *references_index(struct references *references)
{
    struct proof *proof = references->proof;
    for (size_t i = 0; i < proof->count; i++) {
        size_t count;
        const struct snapshot_wait *waits =
            snapshot_waits(proof->snapshot, &proof->goroutines[i], &count);
        for (size_t j = 0; proof->results[i].verdict == LEAK_VERDICT_PROVED && j < count; j++) {
            struct heap_object object;
            uint64_t address = snapshot_object(proof->snapshot, waits[j].object)->address;
            if (heap_find(proof->heap, address, &object)) {
                TRY(hash_map_put(&references->objects, object.number, waits[j].object));
            }
        }
    }
    return NULL;
}

/* Looks at the stacks of proved goroutines, some of each kind. */
static struct error *references_look(struct references *references)
{
    struct proof *proof = references->proof;
    for (size_t i = 0; i < proof->count; i++) {
        uint64_t *seen;
        bool complete;
        if (proof->results[i].verdict != LEAK_VERDICT_PROVED) {
            continue;
        }
        TRY(hash_map_entry(&references->seen, proof->goroutines[i].stack, 0, NULL, &seen));
        if ((*seen)++ >= REFERENCES_PER_STACK) {
            continue;
        }
        references->visiting = i;
        TRY(roots_stacks_visit(proof->stacks, proof->goroutines[i].address, ROOTS_STACK_PRECISE,
                               references_visit, references, &complete));
        if (references->error != NULL) {
            return TAKE(references->error);
        }
    }
    return NULL;
}

/* Orders references by object, then goroutine. */
static int references_compare(const void *left, const void *right)
{
    const struct proof_reference *a = left;
    const struct proof_reference *b = right;
    if (a->object != b->object) {
        return a->object < b->object ? -1 : 1;
    }
    return a->goroutine < b->goroutine ? -1 : a->goroutine > b->goroutine;
}

/* The first reference to OBJECT. */
static size_t references_first(const struct proof *proof, uint32_t object)
{
    size_t low = 0;
    size_t high = proof->references.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (proof->references.items[middle].object < object) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* One goroutine on the way of the search for cycles. */
struct references_step {
    uint32_t goroutine;
    uint32_t wait;    /* next wait to follow */
    size_t reference; /* next reference of that wait */
    uint32_t fanout;  /* references of that wait that were followed */
};

struct references_search {
    struct proof *proof;
    uint32_t *order; /* per goroutine: when it was found, 0 not yet */
    uint32_t *low;
    bool *open;
    uint32_t next;
    VECTOR(struct references_step) path;
    VECTOR(uint32_t) stack;
};

/* True for classes that are locks, or wait for those who hold them. */
static bool references_is_lock(enum leak_class class_)
{
    return class_ == LEAK_CLASS_MUTEX;
}

/* Ends the set whose root is GOROUTINE: two or more with a lock among them are a cycle. */
static void references_close(struct references_search *search, uint32_t goroutine)
{
    size_t first = search->stack.count;
    bool lock = false;
    do {
        first--;
        uint32_t member = search->stack.items[first];
        search->open[member] = false;
        lock = lock || references_is_lock(search->proof->results[member].class_);
    } while (search->stack.items[first] != goroutine);
    for (size_t i = first; lock && search->stack.count - first > 1 && i < search->stack.count;
         i++) {
        search->proof->results[search->stack.items[i]].class_ = LEAK_CLASS_CYCLE;
    }
    search->stack.count = first;
}

/* Opens GOROUTINE. */
static struct error *references_open(struct references_search *search, uint32_t goroutine)
{
    search->order[goroutine] = search->low[goroutine] = ++search->next;
    search->open[goroutine] = true;
    TRY(vector_append(&search->stack, goroutine));
    return vector_append(&search->path, ((struct references_step){.goroutine = goroutine}));
}

/* The next goroutine that may wake the one of STEP; false when there is none. */
static bool references_next(const struct references_search *search, struct references_step *step,
                            uint32_t *ret)
{
    const struct proof *proof = search->proof;
    size_t count;
    const struct snapshot_wait *waits =
        snapshot_waits(proof->snapshot, &proof->goroutines[step->goroutine], &count);
    for (; step->wait < count; step->wait++, step->reference = 0, step->fanout = 0) {
        uint32_t object = waits[step->wait].object;
        if (step->reference == 0) {
            step->reference = references_first(proof, object) + 1;
        }
        while (step->reference <= proof->references.count &&
               proof->references.items[step->reference - 1].object == object &&
               step->fanout < REFERENCES_PER_OBJECT) {
            step->fanout++;
            *ret = proof->references.items[step->reference++ - 1].goroutine;
            return true;
        }
    }
    return false;
}

/* Searches from goroutine FIRST. */
static struct error *references_search_from(struct references_search *search, uint32_t first)
{
    TRY(references_open(search, first));
    while (search->path.count > 0) {
        struct references_step *step = &search->path.items[search->path.count - 1];
        uint32_t from = step->goroutine;
        uint32_t to;
        if (references_next(search, step, &to)) {
            if (search->order[to] == 0) {
                TRY(references_open(search, to));
            } else if (search->open[to] && search->order[to] < search->low[from]) {
                search->low[from] = search->order[to];
            }
            continue;
        }
        search->path.count--;
        if (search->low[from] == search->order[from]) {
            references_close(search, from);
        }
        if (search->path.count > 0) {
            uint32_t parent = search->path.items[search->path.count - 1].goroutine;
            if (search->low[from] < search->low[parent]) {
                search->low[parent] = search->low[from];
            }
        }
    }
    return NULL;
}

/* Finds the sets that wait for each other. */
static struct error *references_find_cycles(struct proof *proof)
{
    struct references_search search = {.proof = proof};
    struct error *error = NULL;
    search.order = calloc(proof->count + 1, sizeof *search.order);
    search.low = calloc(proof->count + 1, sizeof *search.low);
    search.open = calloc(proof->count + 1, sizeof *search.open);
    if (search.order == NULL || search.low == NULL || search.open == NULL) {
        error = error_no_memory();
    }
    for (size_t i = 0; error == NULL && i < proof->references.count; i++) {
        uint32_t goroutine = proof->references.items[i].goroutine;
        if (search.order[goroutine] == 0) {
            error = references_search_from(&search, goroutine);
        }
    }
    free(search.order);
    free(search.low);
    free(search.open);
    vector_deinit(&search.path);
    vector_deinit(&search.stack);
    return error;
}

struct error *proof_find_references(struct proof *proof)
{
    struct references references = {.proof = proof};
    struct error *error = references_index(&references);
    if (error == NULL) {
        error = references_look(&references);
    }
    hash_map_deinit(&references.objects);
    hash_map_deinit(&references.seen);
    error_destroy(references.error);
    TRY(error);
    if (proof->references.count > 0) {
        qsort(proof->references.items, proof->references.count, sizeof *proof->references.items,
              references_compare);
    }
    return references_find_cycles(proof);
}

const struct proof_reference *proof_references(const struct proof *proof, size_t *count)
{
    *count = proof->references.count;
    return proof->references.items;
}

const char *proof_function_name(const struct proof *proof, uint32_t function)
{
    return function == 0 ? "" : proof->functions.items[function - 1];
}
