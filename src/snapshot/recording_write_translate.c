/* A snapshot into the chain of a recording: what it calls by its own ids is interned into the
 * chain's tables, so that equal things have equal numbers, objects get the slots that they had, and
 * the goroutines are compared with those of the last record. */
#include "base/cleanup.h"
#include "snapshot/recording_write_internal.h"
#include <stdlib.h>

/* A snapshot on its way into the chain. */
struct recording_translation {
    struct recording_writer *writer;
    const struct snapshot *snapshot;
    uint32_t *strings, *frames, *stacks, *labels; /* by the snapshot's ids; 0: not yet */
    uint32_t *objects;                            /* slot + 1 */
    VECTOR(uint32_t) changed;                     /* slots to be written */
    struct recording_state after;                 /* goroutines and waits */
    VECTOR(uint32_t) ids;                         /* scratch */
    VECTOR(struct snapshot_label) pairs;          /* scratch */
};

/* Frees a translation. */
static void recording_translation_deinit(struct recording_translation *translation)
{
    free(translation->strings);
    free(translation->frames);
    free(translation->stacks);
    free(translation->labels);
    free(translation->objects);
    vector_deinit(&translation->changed);
    vector_deinit(&translation->ids);
    vector_deinit(&translation->pairs);
    recording_state_deinit(&translation->after);
}

/* The chain's number of string ID. */
static struct error *recording_translate_string(struct recording_translation *translation,
                                                uint32_t id, uint32_t *ret)
{
    *ret = id == 0 ? 0 : translation->strings[id];
    if (id == 0 || *ret != 0) {
        return NULL;
    }
    TRY(snapshot_builder_string(translation->writer->tables,
                                snapshot_string(translation->snapshot, id),
                                snapshot_string_size(translation->snapshot, id), ret));
    translation->strings[id] = *ret;
    return NULL;
}

/* The chain's number of frame ID. */
static struct error *recording_translate_frame(struct recording_translation *translation,
                                               uint32_t id, uint32_t *ret)
{
    *ret = id == 0 ? 0 : translation->frames[id];
    if (id == 0 || *ret != 0) {
        return NULL;
    }
    struct snapshot_frame frame = *snapshot_frame(translation->snapshot, id);
    TRY(recording_translate_string(translation, frame.function, &frame.function));
    TRY(recording_translate_string(translation, frame.file, &frame.file));
    TRY(recording_translate_string(translation, frame.arguments, &frame.arguments));
    TRY(snapshot_builder_frame(translation->writer->tables, &frame, ret));
    translation->frames[id] = *ret;
    return NULL;
}

/* The chain's number of stack ID. */
static struct error *recording_translate_stack(struct recording_translation *translation,
                                               uint32_t id, uint32_t *ret)
{
    *ret = id == 0 ? 0 : translation->stacks[id];
    if (id == 0 || *ret != 0) {
        return NULL;
    }
    size_t count;
    const uint32_t *frames = snapshot_stack(translation->snapshot, id, &count);
    TRY(vector_reserve(&translation->ids, count));
    for (size_t i = 0; i < count; i++) {
        TRY(recording_translate_frame(translation, frames[i], &translation->ids.items[i]));
    }
    TRY(snapshot_builder_stack(translation->writer->tables, translation->ids.items, count, ret));
    translation->stacks[id] = *ret;
    return NULL;
}

/* The chain's number of label set ID. */
static struct error *recording_translate_labels(struct recording_translation *translation,
                                                uint32_t id, uint32_t *ret)
{
    struct recording_writer *writer = translation->writer;
    *ret = id == 0 ? 0 : translation->labels[id];
    if (id == 0 || *ret != 0) {
        return NULL;
    }
    size_t count;
    const struct snapshot_label *labels = snapshot_labels(translation->snapshot, id, &count);
    TRY(vector_reserve(&translation->pairs, count));
    for (size_t i = 0; i < count; i++) {
        TRY(recording_translate_string(translation, labels[i].key,
                                       &translation->pairs.items[i].key));
        TRY(recording_translate_string(translation, labels[i].value,
                                       &translation->pairs.items[i].value));
    }
    TRY(snapshot_builder_labels(writer->tables, translation->pairs.items, count, ret));
    writer->label_sets = *ret > writer->label_sets ? *ret : writer->label_sets;
    translation->labels[id] = *ret;
    return NULL;
}

/* NS from the snapshot's own moment as the chain keeps it. */
static int64_t recording_translate_time(const struct recording_writer *writer, int64_t ns)
{
    return ns == SNAPSHOT_UNKNOWN || ns == INT64_MAX ? ns
                                                     : recording_plus(ns, writer->state.clock_ns);
}

/* OBJECT with the chain's strings and times. */
static struct error *recording_translate_content(struct recording_translation *translation,
                                                 struct snapshot_object *object)
{
    switch ((enum snapshot_object_kind)object->kind) {
    case OBJECT_CHANNEL:
        return recording_translate_string(translation, object->channel.element_type,
                                          &object->channel.element_type);
    case OBJECT_SEMAPHORE:
        return recording_translate_string(translation, object->semaphore.role,
                                          &object->semaphore.role);
    case OBJECT_DESCRIPTOR:
        object->descriptor.deadline_ns =
            recording_translate_time(translation->writer, object->descriptor.deadline_ns);
        return recording_translate_string(translation, object->descriptor.description,
                                          &object->descriptor.description);
    case OBJECT_TIMER:
        object->timer.due_ns = recording_translate_time(translation->writer, object->timer.due_ns);
        return NULL;
    case OBJECT_SYSTEM_CALL:
        return recording_translate_string(translation, object->system_call.text,
                                          &object->system_call.text);
    default:
        return NULL;
    }
}

/* The key of an object with an address; others may have the same, so what is found is compared. */
static uint64_t recording_address_key(const struct snapshot_object *object)
{
    return (object->address << 4 | object->address >> 60) ^ object->kind;
}

/* The slot that OBJECT had in the last record: by its address, or by HINT (a slot + 1, 0: none),
 * what the same goroutine waited for then; -1: none. */
static int64_t recording_find_slot(const struct recording_writer *writer,
                                   const struct snapshot_object *object, uint32_t hint)
{
    uint64_t slot = hint;
    if (object->address != 0) {
        const uint64_t *found = hash_map_get(&writer->by_address, recording_address_key(object));
        slot = found == NULL ? 0 : *found + 1;
    }
    if (slot == 0) {
        return -1;
    }
    const struct recording_slot *have = &writer->slots.items[slot - 1];
    bool same = have->object.kind == object->kind && have->object.address == object->address;
    return same && have->used != writer->number ? (int64_t)slot - 1 : -1;
}

/* A slot for an object that had none. */
static struct error *recording_new_slot(struct recording_writer *writer,
                                        const struct snapshot_object *object, uint32_t *ret)
{
    if (writer->free_slots.count > 0) {
        *ret = writer->free_slots.items[--writer->free_slots.count];
    } else {
        struct recording_slot slot = {0};
        *ret = (uint32_t)writer->slots.count;
        TRY(vector_append(&writer->slots, slot));
    }
    return object->address == 0
               ? NULL
               : hash_map_put(&writer->by_address, recording_address_key(object), *ret);
}

/* The slot of object INDEX; HINT as for recording_find_slot. */
static struct error *recording_translate_object(struct recording_translation *translation,
                                                uint32_t index, uint32_t hint, uint32_t *ret)
{
    struct recording_writer *writer = translation->writer;
    if (translation->objects[index] != 0) {
        *ret = translation->objects[index] - 1;
        return NULL;
    }
    struct snapshot_object object = *snapshot_object(translation->snapshot, index);
    TRY(recording_translate_content(translation, &object));
    int64_t found = recording_find_slot(writer, &object, hint);
    uint32_t slot = (uint32_t)found;
    if (found < 0) {
        TRY(recording_new_slot(writer, &object, &slot));
    }
    if (found < 0 || !recording_objects_equal(&writer->slots.items[slot].object, &object)) {
        TRY(vector_append(&translation->changed, slot));
    }
    writer->slots.items[slot] = (struct recording_slot){.object = object, .used = writer->number};
    translation->objects[index] = slot + 1;
    *ret = slot;
    return NULL;
}

/* Translates the waits of GOROUTINE; BEFORE (may be NULL) is the goroutine in the last record. */
static struct error *recording_translate_waits(struct recording_translation *translation,
                                               const struct snapshot_goroutine *before,
                                               struct snapshot_goroutine *goroutine)
{
    const struct recording_state *last = &translation->writer->state;
    size_t count;
    const struct snapshot_wait *waits = snapshot_waits(translation->snapshot, goroutine, &count);
    goroutine->first_wait = (uint32_t)translation->after.waits.count;
    for (size_t i = 0; i < count; i++) {
        struct snapshot_wait wait = waits[i];
        uint32_t hint = before != NULL && i < before->wait_count
                            ? last->waits.items[before->first_wait + i].object + 1
                            : 0;
        TRY(recording_translate_object(translation, wait.object, hint, &wait.object));
        TRY(vector_append(&translation->after.waits, wait));
    }
    return NULL;
}

/* Interns the text of a goroutine's wait reason. */
static struct error *recording_translate_reason(struct recording_writer *writer, uint8_t reason)
{
    const char *text = wait_reason_text((enum wait_reason)reason);
    if (writer->reasons[reason] != 0 || *text == '\0') {
        return NULL;
    }
    return snapshot_builder_string(writer->tables, text, strlen(text), &writer->reasons[reason]);
}

/* Translates one goroutine. */
static struct error *recording_translate_goroutine(struct recording_translation *translation,
                                                   const struct snapshot_goroutine *before,
                                                   const struct snapshot_goroutine *from)
{
    struct snapshot_goroutine goroutine = *from;
    goroutine.arguments = 0;
    if (goroutine.age_ns != SNAPSHOT_UNKNOWN) {
        goroutine.age_ns = recording_minus(goroutine.age_ns, translation->writer->state.clock_ns);
    }
    TRY(recording_translate_reason(translation->writer, goroutine.wait_reason));
    TRY(recording_translate_stack(translation, goroutine.stack, &goroutine.stack));
    TRY(recording_translate_frame(translation, goroutine.creator, &goroutine.creator));
    TRY(recording_translate_frame(translation, goroutine.start, &goroutine.start));
    TRY(recording_translate_labels(translation, goroutine.labels, &goroutine.labels));
    TRY(recording_translate_waits(translation, before, &goroutine));
    return vector_append(&translation->after.goroutines, goroutine);
}

/* How far ages have advanced since the last record: what most goroutines that were there agree on
 * (by majority vote in one pass), else the time between the snapshots. */
static int64_t recording_advance(const struct recording_writer *writer,
                                 const struct snapshot *snapshot, int64_t taken_at_ns)
{
    size_t count, b = 0, votes = 0;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(snapshot, &count);
    const struct recording_state *last = &writer->state;
    int64_t advance = writer->number == 1 ? 0 : taken_at_ns - last->program.taken_at_ns;
    for (size_t i = 0; i < count; i++) {
        while (b < last->goroutines.count && last->goroutines.items[b].id < goroutines[i].id) {
            b++;
        }
        if (b == last->goroutines.count) {
            break;
        }
        const struct snapshot_goroutine *before = &last->goroutines.items[b];
        if (before->id != goroutines[i].id || before->age_ns == SNAPSHOT_UNKNOWN ||
            goroutines[i].age_ns == SNAPSHOT_UNKNOWN) {
            continue;
        }
        int64_t age = recording_plus(before->age_ns, last->clock_ns);
        int64_t vote = recording_minus(goroutines[i].age_ns, age);
        advance = votes == 0 ? vote : advance;
        votes = vote == advance ? votes + 1 : votes - 1;
    }
    return advance;
}

/* Translates all goroutines. */
static struct error *recording_translate_goroutines(struct recording_translation *translation)
{
    const struct recording_state *last = &translation->writer->state;
    size_t count, b = 0;
    const struct snapshot_goroutine *goroutines =
        snapshot_goroutines(translation->snapshot, &count);
    TRY(vector_reserve(&translation->after.goroutines, count));
    for (size_t i = 0; i < count; i++) {
        while (b < last->goroutines.count && last->goroutines.items[b].id < goroutines[i].id) {
            b++;
        }
        bool there = b < last->goroutines.count && last->goroutines.items[b].id == goroutines[i].id;
        TRY(recording_translate_goroutine(translation, there ? &last->goroutines.items[b] : NULL,
                                          &goroutines[i]));
    }
    return NULL;
}

/* Translates the program's strings. */
static struct error *recording_translate_program(struct recording_translation *translation,
                                                 struct snapshot_program *program)
{
    uint32_t *const ids[] = {&program->source,         &program->executable, &program->go_version,
                             &program->path,           &program->module,     &program->revision,
                             &program->module_version, &program->build_id,   &program->settings,
                             &program->machine};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        TRY(recording_translate_string(translation, *ids[i], ids[i]));
    }
    return NULL;
}

/* True when A and B are who the program is, whatever the look was like. */
static bool recording_same_program(const struct snapshot_program *a,
                                   const struct snapshot_program *b)
{
    return a->source == b->source && a->executable == b->executable &&
           a->go_version == b->go_version && a->path == b->path && a->module == b->module &&
           a->revision == b->revision && a->module_version == b->module_version &&
           a->build_id == b->build_id && a->settings == b->settings && a->machine == b->machine &&
           a->modified == b->modified && a->pid == b->pid;
}

/* Appends the objects that changed. */
static void recording_encode_changed(const struct recording_translation *translation,
                                     struct string_builder *out)
{
    uint32_t last = 0;
    uint64_t address = 0;
    recording_put(out, translation->changed.count);
    for (size_t i = 0; i < translation->changed.count; i++) {
        uint32_t slot = translation->changed.items[i];
        recording_encode_object(out, &translation->writer->slots.items[slot].object, slot, &last,
                                &address);
    }
}

/* Appends the notes. */
static void recording_encode_notes(const struct snapshot *snapshot, struct string_builder *out)
{
    size_t count;
    const char *const *notes = snapshot_notes(snapshot, &count);
    count = count > RECORDING_NOTES_MAX ? RECORDING_NOTES_MAX : count;
    recording_put(out, count);
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(notes[i]);
        recording_put(out, size);
        string_builder_add_bytes(out, notes[i], size);
    }
}

/* Gives the translation its tables. */
static struct error *recording_translation_init(struct recording_translation *translation,
                                                struct recording_writer *writer,
                                                const struct snapshot *snapshot)
{
    size_t sets = 0, count;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(snapshot, &count);
    for (size_t i = 0; i < count; i++) {
        sets = goroutines[i].labels > sets ? goroutines[i].labels : sets;
    }
    translation->writer = writer;
    translation->snapshot = snapshot;
    translation->strings = calloc(snapshot_string_count(snapshot) + 1, sizeof(uint32_t));
    translation->frames = calloc(snapshot_frame_count(snapshot) + 1, sizeof(uint32_t));
    translation->stacks = calloc(snapshot_stack_count(snapshot) + 1, sizeof(uint32_t));
    translation->labels = calloc(sets + 1, sizeof(uint32_t));
    translation->objects = calloc(snapshot_object_count(snapshot) + 1, sizeof(uint32_t));
    return translation->strings == NULL || translation->frames == NULL ||
                   translation->stacks == NULL || translation->labels == NULL ||
                   translation->objects == NULL
               ? error_no_memory()
               : NULL;
}

/* Frees the slots that the last snapshot did not name. */
static struct error *recording_writer_sweep(struct recording_writer *writer)
{
    size_t freed = writer->free_slots.count;
    for (size_t i = 0; i < writer->slots.count; i++) {
        struct recording_slot *slot = &writer->slots.items[i];
        if (slot->used != 0 && slot->used != writer->number) {
            slot->used = 0;
            TRY(vector_append(&writer->free_slots, (uint32_t)i));
        }
    }
    if (writer->free_slots.count == freed) {
        return NULL;
    }
    hash_map_clear(&writer->by_address);
    for (size_t i = 0; i < writer->slots.count; i++) {
        const struct recording_slot *slot = &writer->slots.items[i];
        if (slot->used != 0 && slot->object.address != 0) {
            TRY(hash_map_put(&writer->by_address, recording_address_key(&slot->object), i));
        }
    }
    return NULL;
}

/* Makes the result of TRANSLATION what the next record builds on. */
static void recording_writer_keep(struct recording_writer *writer,
                                  struct recording_translation *translation,
                                  const struct snapshot_program *program)
{
    struct recording_state *state = &writer->state;
    struct recording_state old = *state;
    *state = translation->after;
    state->program = *program;
    state->clock_ns = old.clock_ns;
    old.tables = NULL;
    translation->after = old;
}

/* Makes a payload. */
struct error *recording_writer_encode(struct recording_writer *writer,
                                      const struct snapshot *snapshot,
                                      struct snapshot_program *program, struct string_builder *out)
{
    CLEANUP(recording_translation_deinit) struct recording_translation translation = {0};
    TRY(recording_translation_init(&translation, writer, snapshot));
    int64_t advance = recording_advance(writer, snapshot, program->taken_at_ns);
    writer->state.clock_ns = recording_plus(writer->state.clock_ns, advance);
    TRY(recording_translate_program(&translation, program));
    TRY(recording_translate_goroutines(&translation));
    bool identity = writer->number == 1 || !recording_same_program(program, &writer->state.program);
    recording_encode_tables(out, snapshot_builder_peek(writer->tables), writer->label_sets,
                            &writer->done);
    recording_encode_changed(&translation, out);
    recording_encode_program(out, program, identity);
    recording_encode_notes(snapshot, out);
    recording_put(out, recording_zigzag(advance));
    TRY(recording_encode_goroutines(out, &writer->state, &translation.after, writer->reasons));
    recording_writer_keep(writer, &translation, program);
    return recording_writer_sweep(writer);
}
