/* Building a snapshot: equal frames, stacks, label sets and objects are found by open-addressing
 * tables of (hash, id) beside the arrays, which are freed when building ends. Hashes are seeded,
 * for what is hashed comes from targets. */
#include "base/clock.h"
#include "base/hash_map.h"
#include "base/large.h"
#include "snapshot/snapshot.h"
#include "snapshot/snapshot_internal.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUILDER_FIRST_CAPACITY = 64, BUILDER_NOTE_SIZE = 512, BUILDER_NOTES_MAX = 1000 };

/* One entry; id 0 is free. */
struct snapshot_builder_slot {
    uint32_t hash;
    uint32_t id;
};

/* A set of ids. */
struct snapshot_builder_index {
    struct snapshot_builder_slot *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
};

struct snapshot_builder {
    struct snapshot *snapshot;
    struct snapshot_builder_index frames, stacks, labels, objects;
    uint64_t seed;
};

/* Tells whether what ID names equals the candidate. */
typedef bool snapshot_builder_equal(const struct snapshot *snapshot, uint32_t id,
                                    const void *candidate, size_t count);

/* A snapshot that says nothing yet. */
static struct error *snapshot_builder_begin(struct snapshot **ret)
{
    struct snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (snapshot == NULL) {
        return error_no_memory();
    }
    snapshot->program = (struct snapshot_program){.modified = -1,
                                                  .pid = SNAPSHOT_UNKNOWN,
                                                  .threads = SNAPSHOT_UNKNOWN,
                                                  .taken_at_ns = SNAPSHOT_UNKNOWN,
                                                  .read_ns = SNAPSHOT_UNKNOWN,
                                                  .stopped_ns = SNAPSHOT_UNKNOWN};
    struct error *error = intern_create(&snapshot->strings);
    if (error != NULL) {
        snapshot_destroy(snapshot);
        return error;
    }
    *ret = snapshot;
    return NULL;
}

/* A new builder. */
struct error *snapshot_builder_create(struct snapshot_builder **ret)
{
    struct snapshot_builder *builder = calloc(1, sizeof *builder);
    if (builder == NULL) {
        return error_no_memory();
    }
    builder->seed = hash_u64(clock_now() ^ (uint64_t)(uintptr_t)builder);
    struct error *error = snapshot_builder_begin(&builder->snapshot);
    if (error != NULL) {
        free(builder);
        return error;
    }
    *ret = builder;
    return NULL;
}

/* Frees the slots of a table. */
static void snapshot_builder_index_free(struct snapshot_builder_index *index)
{
    large_free(index->slots, index->capacity * sizeof *index->slots);
}

/* Frees the builder's own tables, which are empty afterwards. */
static void snapshot_builder_free_tables(struct snapshot_builder *builder)
{
    snapshot_builder_index_free(&builder->frames);
    snapshot_builder_index_free(&builder->stacks);
    snapshot_builder_index_free(&builder->labels);
    snapshot_builder_index_free(&builder->objects);
    builder->frames = builder->stacks = (struct snapshot_builder_index){0};
    builder->labels = builder->objects = (struct snapshot_builder_index){0};
}

/* Frees the builder without what was built. */
static void snapshot_builder_free(struct snapshot_builder *builder)
{
    snapshot_builder_free_tables(builder);
    free(builder);
}

/* Begins anew. */
struct error *snapshot_builder_clear(struct snapshot_builder *builder)
{
    struct snapshot *snapshot;
    TRY(snapshot_builder_begin(&snapshot));
    snapshot_destroy(builder->snapshot);
    snapshot_builder_free_tables(builder);
    builder->snapshot = snapshot;
    return NULL;
}

/* Frees a builder and what was built. */
void snapshot_builder_destroy(struct snapshot_builder *builder)
{
    if (builder == NULL) {
        return;
    }
    snapshot_destroy(builder->snapshot);
    snapshot_builder_free(builder);
}

/* The snapshot under construction. */
const struct snapshot *snapshot_builder_peek(const struct snapshot_builder *builder)
{
    return builder->snapshot;
}

/* The identity. */
struct snapshot_program *snapshot_builder_program(struct snapshot_builder *builder)
{
    return &builder->snapshot->program;
}

/* Doubles a table. */
static struct error *snapshot_builder_index_double(struct snapshot_builder_index *index)
{
    size_t capacity = index->capacity == 0 ? BUILDER_FIRST_CAPACITY : index->capacity * 2;
    struct snapshot_builder_slot *slots = large_allocate(capacity * sizeof *slots);
    if (slots == NULL) {
        return error_no_memory();
    }
    for (size_t i = 0; i < index->capacity; i++) {
        if (index->slots[i].id == 0) {
            continue;
        }
        size_t at = index->slots[i].hash & (capacity - 1);
        while (slots[at].id != 0) {
            at = (at + 1) & (capacity - 1);
        }
        slots[at] = index->slots[i];
    }
    snapshot_builder_index_free(index);
    index->slots = slots;
    index->capacity = capacity;
    return NULL;
}

/* The slot that holds the candidate's equal, or a free one where it belongs (id 0). */
static struct error *snapshot_builder_index_find(struct snapshot_builder *builder,
                                                 struct snapshot_builder_index *index,
                                                 uint32_t hash, snapshot_builder_equal *equal,
                                                 const void *candidate, size_t count,
                                                 struct snapshot_builder_slot **ret)
{
    if (index->count >= index->capacity / 4 * 3) {
        TRY(snapshot_builder_index_double(index));
    }
    size_t at = hash & (index->capacity - 1);
    for (;; at = (at + 1) & (index->capacity - 1)) {
        struct snapshot_builder_slot *slot = &index->slots[at];
        if (slot->id == 0 ||
            (slot->hash == hash && equal(builder->snapshot, slot->id, candidate, count))) {
            *ret = slot;
            return NULL;
        }
    }
}

/* Takes a free slot for a new ID. */
static void snapshot_builder_index_take(struct snapshot_builder_index *index,
                                        struct snapshot_builder_slot *slot, uint32_t hash,
                                        size_t id)
{
    *slot = (struct snapshot_builder_slot){.hash = hash, .id = (uint32_t)id};
    index->count++;
}

/* Refuses a table that would outgrow its 32-bit ids. */
static struct error *snapshot_builder_check_room(size_t count, const char *what)
{
    if (count >= UINT32_MAX - 1) {
        return error_create(ERROR_LIMIT, "more than %u different %s", UINT32_MAX - 1, what);
    }
    return NULL;
}

/* Finds or adds a string. */
struct error *snapshot_builder_string(struct snapshot_builder *builder, const char *text,
                                      size_t size, uint32_t *ret)
{
    return intern_add(builder->snapshot->strings, text, size, ret);
}

/* Compares frames; they have no padding. */
static bool snapshot_builder_frame_equal(const struct snapshot *snapshot, uint32_t id,
                                         const void *candidate, size_t count)
{
    (void)count;
    _Static_assert(sizeof(struct snapshot_frame) == 32, "frames are compared as bytes");
    return memcmp(&snapshot->frames.items[id - 1], candidate, sizeof(struct snapshot_frame)) == 0;
}

/* Finds or adds a frame. */
struct error *snapshot_builder_frame(struct snapshot_builder *builder,
                                     const struct snapshot_frame *frame, uint32_t *ret)
{
    struct snapshot *snapshot = builder->snapshot;
    uint32_t hash = (uint32_t)hash_bytes(frame, sizeof *frame, builder->seed);
    struct snapshot_builder_slot *slot;
    TRY(snapshot_builder_index_find(builder, &builder->frames, hash, snapshot_builder_frame_equal,
                                    frame, 1, &slot));
    if (slot->id == 0) {
        TRY(snapshot_builder_check_room(snapshot->frames.count, "frames"));
        TRY(vector_append(&snapshot->frames, *frame));
        snapshot_builder_index_take(&builder->frames, slot, hash, snapshot->frames.count);
    }
    *ret = slot->id;
    return NULL;
}

/* Compares a stack's frame ids. */
static bool snapshot_builder_stack_equal(const struct snapshot *snapshot, uint32_t id,
                                         const void *candidate, size_t count)
{
    size_t have;
    const uint32_t *frames = snapshot_stack(snapshot, id, &have);
    return have == count && memcmp(frames, candidate, count * sizeof *frames) == 0;
}

/* Finds or adds a stack. */
struct error *snapshot_builder_stack(struct snapshot_builder *builder, const uint32_t *frames,
                                     size_t count, uint32_t *ret)
{
    struct snapshot *snapshot = builder->snapshot;
    if (count == 0) {
        *ret = 0;
        return NULL;
    }
    uint32_t hash = (uint32_t)hash_bytes(frames, count * sizeof *frames, builder->seed);
    struct snapshot_builder_slot *slot;
    TRY(snapshot_builder_index_find(builder, &builder->stacks, hash, snapshot_builder_stack_equal,
                                    frames, count, &slot));
    if (slot->id == 0) {
        TRY(snapshot_builder_check_room(snapshot->stacks.count, "stacks"));
        TRY(vector_reserve(&snapshot->stack_frames, snapshot->stack_frames.count + count));
        struct snapshot_span span = {.first = snapshot->stack_frames.count, .count = count};
        TRY(vector_append(&snapshot->stacks, span));
        memcpy(snapshot->stack_frames.items + span.first, frames, count * sizeof *frames);
        snapshot->stack_frames.count += count;
        snapshot_builder_index_take(&builder->stacks, slot, hash, snapshot->stacks.count);
    }
    *ret = slot->id;
    return NULL;
}

/* Compares a label set. */
static bool snapshot_builder_labels_equal(const struct snapshot *snapshot, uint32_t id,
                                          const void *candidate, size_t count)
{
    size_t have;
    const struct snapshot_label *labels = snapshot_labels(snapshot, id, &have);
    return have == count && memcmp(labels, candidate, count * sizeof *labels) == 0;
}

/* Finds or adds a label set. */
struct error *snapshot_builder_labels(struct snapshot_builder *builder,
                                      const struct snapshot_label *labels, size_t count,
                                      uint32_t *ret)
{
    struct snapshot *snapshot = builder->snapshot;
    if (count == 0) {
        *ret = 0;
        return NULL;
    }
    uint32_t hash = (uint32_t)hash_bytes(labels, count * sizeof *labels, builder->seed);
    struct snapshot_builder_slot *slot;
    TRY(snapshot_builder_index_find(builder, &builder->labels, hash, snapshot_builder_labels_equal,
                                    labels, count, &slot));
    if (slot->id == 0) {
        TRY(snapshot_builder_check_room(snapshot->labels.count, "label sets"));
        TRY(vector_reserve(&snapshot->label_items, snapshot->label_items.count + count));
        struct snapshot_span span = {.first = snapshot->label_items.count, .count = count};
        TRY(vector_append(&snapshot->labels, span));
        memcpy(snapshot->label_items.items + span.first, labels, count * sizeof *labels);
        snapshot->label_items.count += count;
        snapshot_builder_index_take(&builder->labels, slot, hash, snapshot->labels.count);
    }
    *ret = slot->id;
    return NULL;
}

/* Compares an object's identity. */
static bool snapshot_builder_object_equal(const struct snapshot *snapshot, uint32_t id,
                                          const void *candidate, size_t count)
{
    (void)count;
    const struct snapshot_object *have = &snapshot->objects.items[id - 1];
    const struct snapshot_object *want = candidate;
    return have->address == want->address && have->kind == want->kind;
}

/* Hashes what makes an object one. */
static inline uint32_t snapshot_builder_object_hash(const struct snapshot_builder *builder,
                                                    uint64_t address, uint8_t kind)
{
    return (uint32_t)hash_u64(address + builder->seed + kind);
}

/* Asks for the slot where finding an object will begin. */
void snapshot_builder_prefetch_object(const struct snapshot_builder *builder, uint64_t address,
                                      enum snapshot_object_kind kind)
{
    uint32_t hash = snapshot_builder_object_hash(builder, address, (uint8_t)kind);
    if (builder->objects.capacity > 0) {
        __builtin_prefetch(&builder->objects.slots[hash & (builder->objects.capacity - 1)]);
    }
}

/* Finds or adds an object. */
struct error *snapshot_builder_object(struct snapshot_builder *builder,
                                      const struct snapshot_object *object, uint32_t *ret)
{
    struct snapshot *snapshot = builder->snapshot;
    struct snapshot_builder_slot *slot = NULL;
    uint32_t hash = snapshot_builder_object_hash(builder, object->address, object->kind);
    if (object->address != 0) {
        TRY(snapshot_builder_index_find(builder, &builder->objects, hash,
                                        snapshot_builder_object_equal, object, 1, &slot));
        if (slot->id != 0) {
            *ret = slot->id - 1;
            return NULL;
        }
    }
    TRY(snapshot_builder_check_room(snapshot->objects.count, "objects"));
    TRY(vector_append(&snapshot->objects, *object));
    if (slot != NULL) {
        snapshot_builder_index_take(&builder->objects, slot, hash, snapshot->objects.count);
    }
    *ret = (uint32_t)(snapshot->objects.count - 1);
    return NULL;
}

/* Makes room for goroutines. */
struct error *snapshot_builder_reserve(struct snapshot_builder *builder, size_t count)
{
    struct snapshot *snapshot = builder->snapshot;
    if (count > UINT32_MAX - 1 - snapshot->goroutines.count) {
        return error_create(ERROR_LIMIT, "more than %u goroutines", UINT32_MAX - 1);
    }
    return vector_reserve(&snapshot->goroutines, snapshot->goroutines.count + count);
}

/* Takes room for goroutines. */
struct error *snapshot_builder_claim(struct snapshot_builder *builder, size_t count, size_t *ret)
{
    TRY(snapshot_builder_reserve(builder, count));
    *ret = builder->snapshot->goroutines.count;
    builder->snapshot->goroutines.count += count;
    return NULL;
}

/* Empties claimed goroutines. */
struct snapshot_goroutine *snapshot_builder_empty(struct snapshot_builder *builder, size_t first,
                                                  size_t count)
{
    struct snapshot_goroutine *goroutines = builder->snapshot->goroutines.items + first;
    for (size_t i = 0; i < count; i++) {
        goroutines[i] = (struct snapshot_goroutine){.age_ns = SNAPSHOT_UNKNOWN, .count = 1};
    }
    return goroutines;
}

/* Adds empty goroutines. */
struct error *snapshot_builder_goroutines(struct snapshot_builder *builder, size_t count,
                                          struct snapshot_goroutine **ret, size_t *first_ret)
{
    size_t first;
    TRY(snapshot_builder_claim(builder, count, &first));
    *ret = count == 0 ? NULL : snapshot_builder_empty(builder, first, count);
    if (first_ret != NULL) {
        *first_ret = first;
    }
    return NULL;
}

/* One of those that were added. */
struct snapshot_goroutine *snapshot_builder_goroutine(struct snapshot_builder *builder,
                                                      size_t index)
{
    return &builder->snapshot->goroutines.items[index];
}

/* True when WAITS may name an object twice in one direction. */
static bool snapshot_builder_repeats(const struct snapshot_wait *waits, size_t count)
{
    enum { LOOK_AT = 32 }; /* cases of a select */
    if (count > LOOK_AT) {
        return true;
    }
    for (size_t i = 1; i < count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (waits[i].object == waits[k].object && waits[i].direction == waits[k].direction) {
                return true;
            }
        }
    }
    return false;
}

/* Sets the waits of a goroutine. */
struct error *snapshot_builder_waits(struct snapshot_builder *builder, size_t index,
                                     const struct snapshot_wait *waits, size_t count)
{
    struct snapshot *snapshot = builder->snapshot;
    if (count > UINT32_MAX - 1 - snapshot->waits.count) {
        return error_create(ERROR_LIMIT, "more than %u waits", UINT32_MAX - 1);
    }
    if (count > 0) {
        TRY(vector_reserve(&snapshot->waits, snapshot->waits.count + count));
        memcpy(snapshot->waits.items + snapshot->waits.count, waits, count * sizeof *waits);
    }
    snapshot->waits_repeat = snapshot->waits_repeat || snapshot_builder_repeats(waits, count) ||
                             snapshot->goroutines.items[index].wait_count > 0;
    snapshot->goroutines.items[index].first_wait = (uint32_t)snapshot->waits.count;
    snapshot->goroutines.items[index].wait_count = (uint32_t)count;
    snapshot->waits.count += count;
    return NULL;
}

/* Sets the argument words of a goroutine. */
struct error *snapshot_builder_arguments(struct snapshot_builder *builder, size_t index,
                                         const uint64_t *words, size_t count)
{
    struct snapshot_goroutine *goroutine = &builder->snapshot->goroutines.items[index];
    return snapshot_words_add(&builder->snapshot->words, goroutine->stack, words, count,
                              &goroutine->arguments);
}

/* Adds a note. */
struct error *snapshot_builder_note(struct snapshot_builder *builder, const char *format, ...)
{
    char text[BUILDER_NOTE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size < 0) {
        return error_create(ERROR_INTERNAL, "a note cannot be formatted");
    }
    if (builder->snapshot->notes.count >= BUILDER_NOTES_MAX) {
        return NULL;
    }
    char *copy = strdup(text);
    if (copy == NULL) {
        return error_no_memory();
    }
    struct error *error = vector_append(&builder->snapshot->notes, copy);
    if (error != NULL) {
        free(copy);
    }
    return error;
}

/* Drops the entries that were never filled in, and collects the flags and IDS of the others. */
static void snapshot_builder_drop_unused(struct snapshot *snapshot, uint64_t *ids)
{
    size_t kept = 0;
    for (size_t i = 0; i < snapshot->goroutines.count; i++) {
        const struct snapshot_goroutine *goroutine = &snapshot->goroutines.items[i];
        if (goroutine->id == 0) {
            snapshot->waits_repeat |= goroutine->wait_count > 0;
            continue;
        }
        ids[kept] = goroutine->id;
        snapshot->flags |= goroutine->flags;
        if (kept != i) {
            snapshot->goroutines.items[kept] = *goroutine;
        }
        kept++;
    }
    snapshot->goroutines.count = kept;
}

/* Ends building. */
struct error *snapshot_builder_finish(struct snapshot_builder *builder, struct snapshot **ret)
{
    struct snapshot *snapshot = builder->snapshot;
    snapshot_builder_free(builder);
    uint64_t *ids = malloc((snapshot->goroutines.count + 1) * sizeof *ids);
    struct error *error = ids == NULL ? error_no_memory() : NULL;
    if (error == NULL) {
        snapshot_builder_drop_unused(snapshot, ids);
        error = snapshot_sort(snapshot->goroutines.items, ids, snapshot->goroutines.count);
    }
    free(ids);
    if (error != NULL) {
        snapshot_destroy(snapshot);
        return error;
    }
    *ret = snapshot;
    return NULL;
}
