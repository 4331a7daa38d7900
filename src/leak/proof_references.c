/* Who, among the stuck, refers to what others wait for: the ones that should have woken them, and
 * sets that wait for each other.
 *
 * A Go mutex has no owner; a reference from the stack of another stuck goroutine is only a possible
 * holder. Channels are mostly fields, so what a stack refers to is looked through once for
 * channels, wait groups and conditions. Equal goroutines tell the same, so of each stack only some
 * are looked at. Cycles: strongly connected sets of "waits for an object that the other's stack
 * refers to" with a lock among them (Tarjan, without recursion). */
/* A call without an error has set its result, which the analyser cannot see through errors as
 * values. NOLINTBEGIN(clang-analyzer-core.NullDereference) */
#include "base/cleanup.h"
#include "goruntime/heap.h"
#include "leak/proof_internal.h"
#include <stdlib.h>

enum {
    REFERENCES_PER_STACK = 64,
    REFERENCES_MAX = 1 << 20,
    REFERENCES_PER_OBJECT = 32,
    REFERENCES_NEAR_MAX = 64,    /* objects of one stack that are looked through */
    REFERENCES_NEAR_BYTES = 4096 /* larger ones are tables, not the fields of a receiver */
};

/* A heap object that a stack refers to. */
struct references_near {
    struct heap_object object;
    uint32_t function;
};

struct references {
    struct proof *proof;
    bool everyone; /* not only who is proved stuck */
    struct heap_types *types;
    VECTOR(struct gather_item)
    targets;              /* what is waited for: by number of the heap's object, which
                             may hold several; the tag is the snapshot's object */
    uint8_t *indexed;     /* by object of the snapshot: it was looked at as a target */
    struct hash_map seen; /* stack id -> goroutines looked at */
    VECTOR(struct references_near) near;
    size_t visiting;   /* goroutine */
    uint32_t function; /* of the frame that leads to what is being looked through */
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

/* The first target whose number is not below NUMBER. */
static size_t references_first_target(const struct references *references, uint64_t number)
{
    size_t low = 0;
    size_t high = references->targets.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (references->targets.items[middle].address < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Notes that the goroutine refers, by FUNCTION, to what others wait for in heap object NUMBER;
 * INDIRECT: only through a field, where a lock says nothing. */
static struct error *references_note(struct references *references, uint64_t number,
                                     uint32_t function, bool indirect)
{
    struct proof *proof = references->proof;
    const struct gather_item *items = references->targets.items;
    for (size_t at = references_first_target(references, number);
         at < references->targets.count && items[at].address == number &&
         proof->references.count < REFERENCES_MAX;
         at++) {
        uint32_t object = (uint32_t)items[at].tag;
        uint8_t kind = snapshot_object(proof->snapshot, object)->kind;
        bool lock = kind == OBJECT_MUTEX || kind == OBJECT_RWMUTEX || kind == OBJECT_SEMAPHORE;
        if ((indirect && lock) || references_waits_for(proof, references->visiting, object)) {
            continue;
        }
        struct proof_reference reference = {object, (uint32_t)references->visiting, function};
        TRY(vector_append(&proof->references, reference));
    }
    return NULL;
}

/* Takes one word of a stuck goroutine's stack. */
static void references_visit(void *context, uint64_t slot, uint64_t value)
{
    struct references *references = context;
    struct proof *proof = references->proof;
    struct references_near near;
    if (references->error != NULL || !heap_find(proof->heap, value, &near.object)) {
        return;
    }
    references->error =
        references_function(proof, roots_stacks_function(proof->stacks, slot), &near.function);
    if (references->error == NULL) {
        references->error = references_note(references, near.object.number, near.function, false);
    }
    if (references->error == NULL && !near.object.noscan &&
        near.object.size <= REFERENCES_NEAR_BYTES && references->near.count < REFERENCES_NEAR_MAX) {
        references->error = vector_append(&references->near, near);
    }
}

/* Takes one word of an object that the stack refers to. */
static void references_visit_near(void *context, uint64_t slot, uint64_t value)
{
    struct references *references = context;
    struct heap_object object;
    (void)slot;
    if (references->error == NULL && heap_find(references->proof->heap, value, &object)) {
        references->error = references_note(references, object.number, references->function, true);
    }
}

/* True when goroutine INDEX counts, as one that waits and as one that refers. */
static bool references_counts(const struct references *references, size_t index)
{
    const struct proof *proof = references->proof;
    return proof->results[index].verdict == LEAK_VERDICT_PROVED ||
           (references->everyone && (proof->goroutines[index].flags & GOROUTINE_SYSTEM) == 0);
}

/* Notes that OBJECT of the snapshot, which lies in object NUMBER of the heap, is waited for. */
static struct error *references_add_target(struct references *references, uint64_t number,
                                           uint32_t object)
{
    if (references->indexed[object] != 0) {
        return NULL;
    }
    references->indexed[object] = 1;
    return vector_append(&references->targets, ((struct gather_item){number, object}));
}

/* Indexes what those wait for who are proved stuck, which is in order already. */
static struct error *references_index_proved(struct references *references)
{
    const struct proof *proof = references->proof;
    for (size_t i = 0; i < proof->waiters.items.count; i++) {
        const struct gather_item *item = &proof->waiters.items.items[i];
        if (proof->results[proof_waiter_goroutine(item)].verdict == LEAK_VERDICT_PROVED) {
            TRY(references_add_target(references, item->address, proof_waiter_object(item)));
        }
    }
    return NULL;
}

/* Indexes what anybody waits for. */
static struct error *references_index_everyone(struct references *references)
{
    const struct proof *proof = references->proof;
    for (size_t i = 0; i < proof->count; i++) {
        size_t count;
        const struct snapshot_wait *waits =
            snapshot_waits(proof->snapshot, &proof->goroutines[i], &count);
        for (size_t j = 0; references_counts(references, i) && j < count; j++) {
            struct heap_object object;
            if (heap_find(proof->heap, snapshot_object(proof->snapshot, waits[j].object)->address,
                          &object)) {
                TRY(references_add_target(references, object.number, waits[j].object));
            }
        }
    }
    size_t count = references->targets.count;
    CLEANUP_FREE struct gather_item *scratch = reallocarray(NULL, count + 1, sizeof *scratch);
    if (scratch == NULL) {
        return error_no_memory();
    }
    gather_sort(references->targets.items, scratch, count);
    return NULL;
}

/* Indexes what the goroutines that count wait for. */
static struct error *references_index(struct references *references)
{
    references->indexed = calloc(snapshot_object_count(references->proof->snapshot) + 1, 1);
    if (references->indexed == NULL) {
        return error_no_memory();
    }
    return references->everyone ? references_index_everyone(references)
                                : references_index_proved(references);
}

/* Looks at the stack of goroutine INDEX, and through what it refers to. */
static struct error *references_look_at(struct references *references, size_t index)
{
    struct proof *proof = references->proof;
    bool complete;
    references->visiting = index;
    references->near.count = 0;
    TRY(roots_stacks_visit(proof->stacks, proof->goroutines[index].address, ROOTS_STACK_PRECISE,
                           references_visit, references, &complete));
    for (size_t i = 0; references->error == NULL && i < references->near.count; i++) {
        const struct references_near *near = &references->near.items[i];
        references->function = near->function;
        (void)heap_scan(proof->heap, references->types, &near->object, references_visit_near,
                        references);
    }
    return TAKE(references->error);
}

/* Looks at the stacks of the goroutines that count, some of each kind. */
static struct error *references_look(struct references *references)
{
    struct proof *proof = references->proof;
    for (size_t i = 0; i < proof->count; i++) {
        uint64_t *seen;
        if (!references_counts(references, i)) {
            continue;
        }
        TRY(hash_map_entry(&references->seen, proof->goroutines[i].stack, 0, NULL, &seen));
        if ((*seen)++ < REFERENCES_PER_STACK) {
            TRY(references_look_at(references, i));
        }
    }
    return NULL;
}

/* Orders references by object, then goroutine; one whose function is known goes first. */
static int references_compare(const void *left, const void *right)
{
    const struct proof_reference *a = left;
    const struct proof_reference *b = right;
    if (a->object != b->object) {
        return a->object < b->object ? -1 : 1;
    }
    if (a->goroutine != b->goroutine) {
        return a->goroutine < b->goroutine ? -1 : 1;
    }
    return (a->function == 0) - (b->function == 0);
}

/* Sorts the references and keeps one for each object and goroutine. */
static void references_sort(struct proof *proof)
{
    struct proof_reference *items = proof->references.items;
    size_t kept = 0;
    if (proof->references.count == 0) {
        return;
    }
    qsort(items, proof->references.count, sizeof *items, references_compare);
    for (size_t i = 1; i < proof->references.count; i++) {
        if (items[i].object != items[kept].object || items[i].goroutine != items[kept].goroutine) {
            items[++kept] = items[i];
        }
    }
    proof->references.count = kept + 1;
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

/* Collects and sorts the references of those who count. */
static struct error *references_collect(struct proof *proof, bool everyone)
{
    struct references references = {.proof = proof, .everyone = everyone};
    proof->references.count = 0;
    struct error *error = heap_types_create(proof->heap, &references.types);
    if (error == NULL) {
        error = references_index(&references);
    }
    if (error == NULL) {
        error = references_look(&references);
    }
    heap_types_destroy(references.types);
    free(references.indexed);
    hash_map_deinit(&references.seen);
    vector_deinit(&references.targets);
    vector_deinit(&references.near);
    error_destroy(references.error);
    TRY(error);
    references_sort(proof);
    return NULL;
}

struct error *proof_find_references(struct proof *proof, bool everyone)
{
    TRY(references_collect(proof, false));
    TRY(references_find_cycles(proof));
    return everyone ? references_collect(proof, true) : NULL;
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

/* NOLINTEND(clang-analyzer-core.NullDereference) */
