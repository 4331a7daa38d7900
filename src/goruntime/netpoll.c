/* Descriptors that goroutines wait for in the network poller.
 *
 * Format (runtime/netpoll.go): pollDesc {..., fd, rg, wg, ..., rd, ..., wd}; rg and wg hold the g
 * that waits to read and to write; rd and wd are deadlines in nanotime, 0 none, negative passed.
 * Nothing leads from a g to its pollDesc but its stack, where the frames of netpollblock and
 * runtime_pollWait keep it.
 *
 * Invariant: a word counts as the pollDesc only when rg or wg there is the g. Stacks of equal
 * frames keep it at equal places, so where it was found before is looked at first. */
#include "goruntime/netpoll.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/hash_map.h"
#include "target/gather.h"
#include "target/process.h"
#include <string.h>

enum {
    NETPOLL_STACK_WORDS = 512,
    NETPOLL_TOP_SIZE = 512, /* bytes of each stack that are read for them */
    NETPOLL_BATCH = 1 << 16,
    NETPOLL_STRUCT_MAX = 512,
    NETPOLL_FD_MAX = 1 << 30
};

/* All waiters of one look. */
struct netpoll_batch {
    struct wait_resolver *resolver;
    struct wait_memory *memory;
    VECTOR(struct gather_item) stacks;
    VECTOR(struct gather_item) candidates;
    uint8_t *done; /* by waiter of the batch */
    const uint32_t *indices;
};

/* Frees what a batch holds. */
static void netpoll_batch_deinit(struct netpoll_batch *batch)
{
    vector_deinit(&batch->stacks);
    vector_deinit(&batch->candidates);
    free(batch->done);
}

/* The text of a descriptor; 0 unknown. */
static struct error *netpoll_describe(struct netpoll_batch *batch, int64_t descriptor,
                                      uint32_t *ret)
{
    *ret = 0;
    if (batch->memory->descriptors == NULL || descriptor < 0) {
        return NULL;
    }
    uint64_t *id;
    bool added;
    TRY(hash_map_entry(&batch->memory->descriptor_names, (uint64_t)descriptor, 0, &added, &id));
    if (added) {
        struct string_builder text = {0};
        struct error *error =
            process_descriptors_describe(batch->memory->descriptors, (int)descriptor, &text);
        uint32_t string = 0;
        if (error == NULL && text.size > 0) {
            error = snapshot_builder_string(batch->resolver->state->builder,
                                            string_builder_text(&text), text.size, &string);
        }
        string_builder_deinit(&text);
        if (error != NULL && error_code(error) == ERROR_OUT_OF_MEMORY) {
            return error;
        }
        error_destroy(error); /* closed meanwhile, or not ours to see: unknown */
        *id = string;
    }
    *ret = (uint32_t)*id;
    return NULL;
}

/* A deadline as nanoseconds from now. */
static int64_t netpoll_deadline(const struct wait_resolver *resolver, int64_t deadline)
{
    if (deadline == 0) {
        return INT64_MAX;
    }
    return deadline > 0 ? wait_from_now(resolver, (uint64_t)deadline) : SNAPSHOT_UNKNOWN;
}

/* Takes the pollDesc of BYTES at ADDRESS if waiter INDEX waits there; *GOOD says so. */
static struct error *netpoll_take(struct netpoll_batch *batch, uint32_t index, uint64_t address,
                                  const uint8_t *bytes, bool *good)
{
    const struct layout *layout = batch->resolver->layout;
    uint64_t g = batch->resolver->parked[index].g;
    bool reads = bytes_u64(bytes + layout->poll_desc.rg) == g;
    bool writes = bytes_u64(bytes + layout->poll_desc.wg) == g;
    uint64_t descriptor = bytes_u64(bytes + layout->poll_desc.fd);
    *good = (reads || writes) && descriptor <= NETPOLL_FD_MAX;
    if (!*good) {
        return NULL;
    }
    struct snapshot_object object = {.address = address, .kind = OBJECT_DESCRIPTOR};
    object.descriptor.descriptor = (int64_t)descriptor;
    int32_t deadline = reads ? layout->poll_desc.rd : layout->poll_desc.wd;
    object.descriptor.deadline_ns =
        netpoll_deadline(batch->resolver, (int64_t)bytes_u64(bytes + deadline));
    TRY(netpoll_describe(batch, (int64_t)descriptor, &object.descriptor.description));
    return wait_set(batch->resolver, index, &object, reads ? DIRECTION_READ : DIRECTION_WRITE);
}

/* Remembers that the pollDesc was found at OFFSET from sp. */
static void netpoll_remember(struct wait_memory *memory, size_t offset)
{
    if (offset + 8 > NETPOLL_TOP_SIZE) {
        return;
    }
    size_t *places = memory->poll_places;
    size_t at = 0;
    while (at < memory->poll_place_count && places[at] != offset) {
        at++;
    }
    if (at == memory->poll_place_count) {
        at = at < WAIT_POLL_PLACES ? memory->poll_place_count++ : WAIT_POLL_PLACES - 1;
    }
    memmove(places + 1, places, at * sizeof *places);
    places[0] = offset;
}

/* Looks at every word of the stack of waiter INDEX. */
static struct error *netpoll_search(struct netpoll_batch *batch, uint32_t index)
{
    struct wait_resolver *resolver = batch->resolver;
    const struct goruntime_parked *parked = &resolver->parked[index];
    uint64_t words[NETPOLL_STACK_WORDS];
    uint8_t bytes[NETPOLL_STRUCT_MAX];
    size_t count = wait_stack(resolver, index, words, NETPOLL_STACK_WORDS);
    for (size_t i = 0; i < count; i++) {
        bool stack = words[i] >= parked->stack_lo && words[i] < parked->stack_hi;
        if (stack || !wait_is_pointer(words[i], 8) ||
            !peek_read(&resolver->peek, words[i], bytes,
                       (size_t)resolver->layout->poll_desc.size)) {
            continue;
        }
        bool good;
        TRY(netpoll_take(batch, index, words[i], bytes, &good));
        if (good) {
            netpoll_remember(batch->memory, ((parked->sp + 7) & ~7ull) + i * 8 - parked->sp);
            return NULL;
        }
    }
    return peek_error(&resolver->peek);
}

/* gather_visitor of the tops of stacks; tags are waiters of the batch. */
static struct error *netpoll_visit_stack(void *context, const struct gather_item *item,
                                         const uint8_t *bytes)
{
    struct netpoll_batch *batch = context;
    for (size_t i = 0; i < batch->memory->poll_place_count && bytes != NULL; i++) {
        uint64_t word = bytes_u64(bytes + batch->memory->poll_places[i]);
        if (wait_is_pointer(word, 8)) {
            struct gather_item candidate = {.address = word, .tag = item->tag};
            TRY(vector_append(&batch->candidates, candidate));
        }
    }
    return NULL;
}

/* gather_visitor of candidates for pollDescs; tags are waiters of the batch. */
static struct error *netpoll_visit(void *context, const struct gather_item *item,
                                   const uint8_t *bytes)
{
    struct netpoll_batch *batch = context;
    if (bytes == NULL || batch->done[item->tag]) {
        return NULL;
    }
    bool good;
    TRY(netpoll_take(batch, batch->indices[item->tag], item->address, bytes, &good));
    batch->done[item->tag] = good;
    return NULL;
}

/* Tries the remembered places for COUNT waiters, then every word of those that are left. */
static struct error *netpoll_run(struct netpoll_batch *batch, const uint32_t *indices, size_t count)
{
    struct wait_resolver *resolver = batch->resolver;
    struct target *target = resolver->state->runtime->target;
    batch->indices = indices;
    memset(batch->done, 0, count);
    batch->stacks.count = 0;
    batch->candidates.count = 0;
    for (size_t i = 0; i < count && batch->memory->poll_place_count > 0; i++) {
        const struct goruntime_parked *parked = &resolver->parked[indices[i]];
        if (wait_is_pointer(parked->sp, 1)) {
            struct gather_item item = {.address = parked->sp, .tag = i};
            TRY(vector_append(&batch->stacks, item));
        }
    }
    TRY(gather_visit(target, batch->stacks.items, batch->stacks.count, NETPOLL_TOP_SIZE,
                     netpoll_visit_stack, batch));
    TRY(gather_visit(target, batch->candidates.items, batch->candidates.count,
                     (size_t)resolver->layout->poll_desc.size, netpoll_visit, batch));
    for (size_t i = 0; i < count; i++) {
        if (!batch->done[i]) {
            TRY(netpoll_search(batch, indices[i]));
        }
    }
    return NULL;
}

/* Opens the descriptors of a live process, once. */
static struct error *netpoll_open(struct wait_resolver *resolver)
{
    struct target *target = resolver->state->runtime->target;
    struct wait_memory *memory = resolver->memory;
    if (memory->descriptors_tried || target_kind(target) != TARGET_KIND_LIVE) {
        return NULL;
    }
    memory->descriptors_tried = true;
    struct error *error = process_descriptors_create(target_pid(target), &memory->descriptors);
    if (error != NULL && error_code(error) == ERROR_OUT_OF_MEMORY) {
        return error;
    }
    error_destroy(error); /* without them descriptors are numbers */
    return NULL;
}

/* A few waiters teach the places for the rest. */
struct error *netpoll_resolve(struct wait_resolver *resolver, const uint32_t *indices, size_t count)
{
    CLEANUP(netpoll_batch_deinit)
    struct netpoll_batch batch = {.resolver = resolver, .memory = resolver->memory};
    if (resolver->layout->poll_desc.size > NETPOLL_STRUCT_MAX) {
        return error_create(ERROR_INTERNAL, "the layout row has an impossible pollDesc");
    }
    batch.done = calloc(NETPOLL_BATCH, 1);
    if (batch.done == NULL) {
        return error_no_memory();
    }
    TRY(netpoll_open(resolver));
    size_t taught = count < 16 ? count : 16;
    TRY(netpoll_run(&batch, indices, taught));
    for (size_t i = taught; i < count; i += NETPOLL_BATCH) {
        size_t size = count - i < NETPOLL_BATCH ? count - i : NETPOLL_BATCH;
        TRY(netpoll_run(&batch, indices + i, size));
    }
    return NULL;
}
