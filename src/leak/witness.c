/* A second, breadth-first trace that remembers how each object was reached, and stops at the first
 * one that the goroutine waits for. Breadth first, so that the path is a shortest one. */
#include "leak/witness.h"
#include "base/cleanup.h"
#include "base/hash_map.h"
#include "base/string_builder.h"
#include "base/vector.h"
#include "goruntime/sudogs.h"
#include "leak/proof_internal.h"
#include <stdlib.h>

enum { WITNESS_STEPS_MAX = 64 };

/* Where a trace begins. */
struct witness_root {
    uint32_t goroutine; /* index, UINT32_MAX: no goroutine */
    uint64_t slot;
    const char *function; /* frame of the slot, NULL unknown */
    const char *what;     /* for roots that are no goroutine */
};

struct witness {
    struct proof *proof;
    size_t subject; /* the goroutine to explain */
    uint32_t
        *parents; /* per object: 0 not reached, n: object n - 1, or root n with WITNESS_ROOT set */
    VECTOR(struct heap_object) queue;
    VECTOR(struct witness_root) roots;
    struct hash_map targets;  /* object numbers */
    struct hash_map sudogs;   /* object numbers whose channel and element are not looked through */
    uint64_t found;           /* object number + 1 of the target that was reached; 0 none */
    uint32_t parent;          /* for objects that are being reached now */
    struct witness_root root; /* the root that is being visited; its place in roots once used */
    uint64_t hidden;          /* address of the sudog that is being scanned, 0 none */
    struct error *error;
};

#define WITNESS_ROOT UINT32_C(0x80000000)

/* Takes VALUE as reached from the current parent. */
static void witness_reach(struct witness *witness, uint64_t value)
{
    struct heap_object object;
    if (witness->error != NULL || witness->found != 0 ||
        !heap_find(witness->proof->heap, value, &object) || witness->parents[object.number] != 0) {
        return;
    }
    witness->parents[object.number] = witness->parent;
    if (hash_map_get(&witness->targets, object.number) != NULL) {
        witness->found = object.number + 1;
    }
    witness->error = vector_append(&witness->queue, object);
}

/* Takes one word of a root. */
static void witness_visit_root(void *context, uint64_t slot, uint64_t value)
{
    struct witness *witness = context;
    size_t before = witness->queue.count;
    struct witness_root root = witness->root;
    root.slot = slot;
    witness->parent = WITNESS_ROOT | (uint32_t)witness->roots.count;
    witness_reach(witness, value);
    if (witness->error == NULL && witness->queue.count > before) {
        if (root.goroutine != UINT32_MAX) {
            root.function = roots_stacks_function(witness->proof->stacks, slot);
        }
        witness->error = vector_append(&witness->roots, root);
    }
}

/* Takes one word of an object. */
static void witness_visit_object(void *context, uint64_t slot, uint64_t value)
{
    struct witness *witness = context;
    const struct layout *layout = goruntime_layout(witness->proof->runtime);
    if (witness->hidden != 0) {
        int64_t offset = (int64_t)(slot - witness->hidden);
        int64_t pair = layout->minor >= 26 ? 8 : 0;
        if ((offset >= layout->sudog.elem - pair && offset <= layout->sudog.elem) ||
            (offset >= layout->sudog.c - pair && offset <= layout->sudog.c)) {
            return;
        }
    }
    witness_reach(witness, value);
}

/* Visits what no goroutine owns. */
static struct error *witness_add_globals(struct witness *witness)
{
    struct proof *proof = witness->proof;
    bool complete;
    witness->root = (struct witness_root){UINT32_MAX, 0, NULL, "global variable"};
    TRY(roots_globals(proof->runtime, witness_visit_root, witness, &complete));
    witness->root.what = "finalizer, cleanup or pinned object";
    TRY(roots_specials(proof->runtime, proof->heap, witness_visit_root, witness, &complete));
    witness->root.what = "register or system stack of a thread";
    return roots_threads(proof->runtime, witness_visit_root, witness, &complete);
}

/* Visits the stacks of the goroutines that are alive, but not the subject's own. */
static struct error *witness_add_stacks(struct witness *witness)
{
    struct proof *proof = witness->proof;
    for (size_t i = 0; i < proof->count && witness->found == 0; i++) {
        bool runs = proof->goroutines[i].status == GOROUTINE_STATUS_RUNNING;
        bool complete;
        if (i == witness->subject || proof->results[i].verdict == LEAK_VERDICT_PROVED) {
            continue;
        }
        witness->root = (struct witness_root){(uint32_t)i, 0, NULL, NULL};
        TRY(roots_stacks_visit(proof->stacks, proof->goroutines[i].address,
                               runs ? ROOTS_STACK_CONSERVATIVE : ROOTS_STACK_PRECISE,
                               witness_visit_root, witness, &complete));
    }
    return NULL;
}

/* Scans what was reached, in order, until a target is. */
static struct error *witness_trace(struct witness *witness)
{
    struct heap_types *types = NULL;
    TRY(heap_types_create(witness->proof->heap, &types));
    for (size_t i = 0; i < witness->queue.count && witness->found == 0 && witness->error == NULL;
         i++) {
        struct heap_object object = witness->queue.items[i];
        witness->parent = (uint32_t)object.number + 1;
        witness->hidden =
            hash_map_get(&witness->sudogs, object.number) != NULL ? object.address : 0;
        (void)heap_scan(witness->proof->heap, types, &object, witness_visit_object, witness);
    }
    heap_types_destroy(types);
    return TAKE(witness->error);
}

/* Collects the objects that the subject waits for and the sudogs that are not looked through. */
static struct error *witness_prepare(struct witness *witness)
{
    struct proof *proof = witness->proof;
    size_t count;
    const struct snapshot_wait *waits =
        snapshot_waits(proof->snapshot, &proof->goroutines[witness->subject], &count);
    struct heap_object object;
    for (size_t i = 0; i < count; i++) {
        uint64_t address = snapshot_object(proof->snapshot, waits[i].object)->address;
        if (heap_find(proof->heap, address, &object)) {
            TRY(hash_map_put(&witness->targets, object.number, 1));
        }
    }
    CLEANUP(sudogs_found_deinit) struct sudogs_found found = {0};
    TRY(sudogs_collect(proof->heap, proof->snapshot, &found));
    for (size_t i = 0; i < found.count; i++) {
        if (heap_find(proof->heap, found.sudogs[i], &object)) {
            TRY(hash_map_put(&witness->sudogs, object.number, 1));
        }
    }
    uint64_t objects = heap_object_count(proof->heap);
    if (objects >= WITNESS_ROOT - 1) {
        return error_create(ERROR_LIMIT, "a heap of %llu objects is too large to explain paths in",
                            (unsigned long long)objects);
    }
    witness->parents = calloc(objects + 1, sizeof *witness->parents);
    return witness->parents == NULL ? error_no_memory() : NULL;
}

/* The object with NUMBER. */
static struct heap_object witness_object(const struct heap *heap, uint64_t number)
{
    size_t count;
    const struct heap_span *spans = heap_spans(heap, &count);
    size_t low = 0;
    size_t high = count;
    while (low + 1 < high) {
        size_t middle = low + (high - low) / 2;
        if (spans[middle].first_object <= number) {
            low = middle;
        } else {
            high = middle;
        }
    }
    uint64_t address =
        spans[low].start + (number - spans[low].first_object) * spans[low].element_size;
    return (struct heap_object){
        .address = address, .size = spans[low].element_size, .number = number};
}

/* Describes ROOT in one line. */
static void witness_describe_root(const struct witness *witness, const struct witness_root *root,
                                  struct string_builder *builder)
{
    const struct proof *proof = witness->proof;
    if (root->goroutine == UINT32_MAX) {
        string_builder_format(builder, "%s at 0x%llx\n", root->what,
                              (unsigned long long)root->slot);
        return;
    }
    const struct snapshot_goroutine *goroutine = &proof->goroutines[root->goroutine];
    const char *state = goroutine->status == GOROUTINE_STATUS_WAITING
                            ? wait_reason_text((enum wait_reason)goroutine->wait_reason)
                            : goroutine_status_text((enum goroutine_status)goroutine->status);
    string_builder_format(builder, "goroutine %llu [%s]", (unsigned long long)goroutine->id, state);
    if (root->function != NULL) {
        string_builder_add(builder, ", a local variable of ");
        string_builder_add(builder, root->function);
    }
    string_builder_add_char(builder, '\n');
}

/* Writes the path to the target that was found. */
static void witness_describe(const struct witness *witness, struct string_builder *builder)
{
    uint64_t path[WITNESS_STEPS_MAX];
    size_t steps = 0;
    size_t skipped = 0;
    uint64_t number = witness->found - 1;
    while ((witness->parents[number] & WITNESS_ROOT) == 0) {
        if (steps < WITNESS_STEPS_MAX) {
            path[steps++] = number;
        } else {
            skipped++;
        }
        number = witness->parents[number] - 1;
    }
    witness_describe_root(witness, &witness->roots.items[witness->parents[number] & ~WITNESS_ROOT],
                          builder);
    struct heap_object first = witness_object(witness->proof->heap, number);
    string_builder_format(builder, "object 0x%llx (%llu bytes)\n",
                          (unsigned long long)first.address, (unsigned long long)first.size);
    if (skipped > 0) {
        string_builder_format(builder, "%zu more objects\n", skipped);
    }
    while (steps > 0) {
        struct heap_object object = witness_object(witness->proof->heap, path[--steps]);
        string_builder_format(builder, "object 0x%llx (%llu bytes)\n",
                              (unsigned long long)object.address, (unsigned long long)object.size);
    }
}

/* Traces and describes. */
static struct error *witness_run(struct witness *witness, struct string_builder *builder)
{
    TRY(witness_prepare(witness));
    TRY(witness_add_globals(witness));
    TRY(witness_trace(witness));
    if (witness->found == 0) {
        TRY(witness_add_stacks(witness));
        TRY(witness_trace(witness));
    }
    if (witness->found != 0) {
        witness_describe(witness, builder);
    }
    return string_builder_error(builder);
}

struct error *witness_find(struct proof *proof, uint64_t goid, char **ret)
{
    struct witness witness = {.proof = proof, .subject = SIZE_MAX};
    struct string_builder builder = {0};
    for (size_t i = 0; i < proof->count; i++) {
        if (proof->goroutines[i].id == goid) {
            witness.subject = i;
        }
    }
    struct error *error =
        witness.subject == SIZE_MAX
            ? error_create(ERROR_NOT_FOUND, "no goroutine %llu", (unsigned long long)goid)
            : witness_run(&witness, &builder);
    if (error == NULL) {
        error = string_builder_take(&builder, ret);
    }
    string_builder_deinit(&builder);
    free(witness.parents);
    vector_deinit(&witness.queue);
    vector_deinit(&witness.roots);
    hash_map_deinit(&witness.targets);
    hash_map_deinit(&witness.sudogs);
    error_destroy(witness.error);
    return error;
}
