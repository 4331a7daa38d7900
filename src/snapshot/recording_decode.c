/* Payloads of records into a chain's tables: recording_internal.h has the format. Bytes are
 * hostile: counts end with the bytes, never size an allocation, and every id is checked against
 * its table. What a table holds is there once; a second time is an error. */
#include "base/cleanup.h"
#include "snapshot/recording_internal.h"

struct error *recording_state_begin(struct recording_state *state)
{
    recording_state_deinit(state);
    TRY(snapshot_builder_create(&state->tables));
    state->program = *snapshot_builder_program(state->tables);
    return NULL;
}

/* Frees the notes. */
static void recording_state_drop_notes(struct recording_state *state)
{
    for (size_t i = 0; i < state->notes.count; i++) {
        free(state->notes.items[i]);
    }
    state->notes.count = 0;
}

void recording_state_deinit(struct recording_state *state)
{
    recording_state_drop_notes(state);
    vector_deinit(&state->notes);
    vector_deinit(&state->goroutines);
    vector_deinit(&state->waits);
    vector_deinit(&state->objects);
    vector_deinit(&state->frame_ids);
    vector_deinit(&state->labels);
    snapshot_builder_destroy(state->tables);
    *state = (struct recording_state){0};
}

/* Reads a number of at most LIMIT. */
static struct error *recording_decode_number(struct cursor *cursor, uint64_t limit, uint32_t *ret)
{
    uint64_t value;
    TRY(cursor_uvarint(cursor, &value));
    if (value > limit) {
        return error_create(ERROR_CORRUPT, "a snapshot's number is out of range");
    }
    *ret = (uint32_t)value;
    return NULL;
}

/* Reads a step from *VALUE to another value between MIN and MAX. */
static struct error *recording_decode_step(struct cursor *cursor, uint32_t min, uint64_t max,
                                           uint32_t *value)
{
    uint64_t step;
    TRY(cursor_uvarint(cursor, &step));
    uint64_t next = *value + (uint64_t)recording_unzigzag(step);
    if (next < min || next > max) {
        return error_create(ERROR_CORRUPT, "a snapshot's number is out of range");
    }
    *value = (uint32_t)next;
    return NULL;
}

/* Reads a signed number that may be unknown. */
static struct error *recording_decode_known(struct cursor *cursor, int64_t *ret)
{
    uint64_t value;
    TRY(cursor_uvarint(cursor, &value));
    *ret = recording_unzigzag(value - 1); /* 0 - 1 is what SNAPSHOT_UNKNOWN is made of */
    return NULL;
}

/* Reads a yes (1), no (0) or unknown (-1). */
static struct error *recording_decode_maybe(struct cursor *cursor, int8_t *ret)
{
    uint32_t value;
    TRY(recording_decode_number(cursor, 2, &value));
    *ret = (int8_t)((int)value - 1);
    return NULL;
}

/* Refuses what is in its table already: ID is not the next one, WANT. */
static struct error *recording_decode_fresh(uint32_t id, size_t want)
{
    return id == want ? NULL : error_create(ERROR_CORRUPT, "a snapshot says a thing twice");
}

/* Reads strings. */
static struct error *recording_decode_strings(struct recording_state *state, struct cursor *cursor)
{
    uint64_t count;
    TRY(cursor_uvarint(cursor, &count));
    size_t have = snapshot_string_count(snapshot_builder_peek(state->tables));
    for (uint64_t i = 0; i < count; i++) {
        uint64_t size;
        const uint8_t *bytes;
        uint32_t id;
        TRY(cursor_uvarint(cursor, &size));
        TRY(cursor_bytes(cursor, size, &bytes));
        TRY(snapshot_builder_string(state->tables, (const char *)bytes, size, &id));
        TRY(recording_decode_fresh(id, ++have));
    }
    return NULL;
}

/* Reads frames. */
static struct error *recording_decode_frames(struct recording_state *state, struct cursor *cursor)
{
    uint64_t count;
    TRY(cursor_uvarint(cursor, &count));
    const struct snapshot *tables = snapshot_builder_peek(state->tables);
    size_t strings = snapshot_string_count(tables);
    size_t have = snapshot_frame_count(tables);
    struct snapshot_frame frame = {0};
    for (uint64_t i = 0; i < count; i++) {
        uint64_t step;
        uint32_t offset, id;
        TRY(cursor_uvarint(cursor, &step));
        frame.pc += (uint64_t)recording_unzigzag(step);
        TRY(recording_decode_number(cursor, strings, &frame.function));
        TRY(recording_decode_number(cursor, strings, &frame.file));
        TRY(recording_decode_step(cursor, 0, UINT32_MAX, &frame.line));
        TRY(recording_decode_number(cursor, UINT32_MAX, &offset));
        frame.entry_offset = offset - 1;
        TRY(recording_decode_number(cursor, strings, &frame.arguments));
        TRY(recording_decode_number(cursor, UINT16_MAX, &frame.flags));
        TRY(snapshot_builder_frame(state->tables, &frame, &id));
        TRY(recording_decode_fresh(id, ++have));
    }
    return NULL;
}

/* Reads stacks. */
static struct error *recording_decode_stacks(struct recording_state *state, struct cursor *cursor)
{
    uint64_t count;
    TRY(cursor_uvarint(cursor, &count));
    const struct snapshot *tables = snapshot_builder_peek(state->tables);
    size_t frames = snapshot_frame_count(tables);
    size_t have = snapshot_stack_count(tables);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t size;
        uint32_t frame = 0, id;
        state->frame_ids.count = 0;
        TRY(cursor_uvarint(cursor, &size));
        for (uint64_t k = 0; k < size; k++) {
            TRY(recording_decode_step(cursor, 1, frames, &frame));
            TRY(vector_append(&state->frame_ids, frame));
        }
        TRY(snapshot_builder_stack(state->tables, state->frame_ids.items, state->frame_ids.count,
                                   &id));
        TRY(recording_decode_fresh(id, ++have));
    }
    return NULL;
}

/* Reads label sets. */
static struct error *recording_decode_labels(struct recording_state *state, struct cursor *cursor)
{
    uint64_t count;
    TRY(cursor_uvarint(cursor, &count));
    size_t strings = snapshot_string_count(snapshot_builder_peek(state->tables));
    for (uint64_t i = 0; i < count; i++) {
        uint64_t size;
        uint32_t id;
        state->labels.count = 0;
        TRY(cursor_uvarint(cursor, &size));
        for (uint64_t k = 0; k < size; k++) {
            struct snapshot_label label;
            TRY(recording_decode_number(cursor, strings, &label.key));
            TRY(recording_decode_number(cursor, strings, &label.value));
            TRY(vector_append(&state->labels, label));
        }
        TRY(snapshot_builder_labels(state->tables, state->labels.items, state->labels.count, &id));
        TRY(recording_decode_fresh(id, ++state->label_sets));
    }
    return NULL;
}

/* Reads the fields of a lock or a counter. */
static struct error *recording_decode_lock(struct cursor *cursor, struct snapshot_object *object)
{
    switch (object->kind) {
    case OBJECT_MUTEX:
        TRY(recording_decode_maybe(cursor, &object->mutex.locked));
        TRY(recording_decode_maybe(cursor, &object->mutex.starving));
        return recording_decode_known(cursor, &object->mutex.waiters);
    case OBJECT_RWMUTEX:
        TRY(recording_decode_known(cursor, &object->rwmutex.readers));
        TRY(recording_decode_known(cursor, &object->rwmutex.readers_left));
        TRY(recording_decode_maybe(cursor, &object->rwmutex.writer));
        return recording_decode_maybe(cursor, &object->rwmutex.locked);
    case OBJECT_WAIT_GROUP:
        TRY(recording_decode_known(cursor, &object->wait_group.counter));
        return recording_decode_known(cursor, &object->wait_group.waiters);
    default:
        return recording_decode_known(cursor, &object->cond.waiters);
    }
}

/* Reads an object's fields; strings are ids up to STRINGS. */
static struct error *recording_decode_fields(struct cursor *cursor, size_t strings,
                                             struct snapshot_object *object)
{
    uint64_t partner;
    switch ((enum snapshot_object_kind)object->kind) {
    case OBJECT_CHANNEL:
        TRY(recording_decode_known(cursor, &object->channel.length));
        TRY(recording_decode_known(cursor, &object->channel.capacity));
        TRY(recording_decode_number(cursor, strings, &object->channel.element_type));
        TRY(recording_decode_maybe(cursor, &object->channel.closed));
        return recording_decode_maybe(cursor, &object->channel.timer);
    case OBJECT_MUTEX:
    case OBJECT_RWMUTEX:
    case OBJECT_WAIT_GROUP:
    case OBJECT_COND:
        return recording_decode_lock(cursor, object);
    case OBJECT_SEMAPHORE:
        TRY(recording_decode_known(cursor, &object->semaphore.value));
        return recording_decode_number(cursor, strings, &object->semaphore.role);
    case OBJECT_DESCRIPTOR:
        TRY(recording_decode_known(cursor, &object->descriptor.descriptor));
        TRY(recording_decode_number(cursor, strings, &object->descriptor.description));
        return recording_decode_known(cursor, &object->descriptor.deadline_ns);
    case OBJECT_TIMER:
        return recording_decode_known(cursor, &object->timer.due_ns);
    case OBJECT_SYSTEM_CALL:
        TRY(recording_decode_known(cursor, &object->system_call.number));
        return recording_decode_number(cursor, strings, &object->system_call.text);
    case OBJECT_COROUTINE:
        TRY(cursor_uvarint(cursor, &partner));
        object->coroutine.partner = partner;
        return NULL;
    case OBJECT_UNKNOWN:
    case OBJECT_NIL_CHANNEL:
    case OBJECT_EMPTY_SELECT:
    case OBJECT_KIND_COUNT:
        break;
    }
    return NULL;
}

/* Reads objects. */
static struct error *recording_decode_objects(struct recording_state *state, struct cursor *cursor)
{
    uint64_t count, step, address = 0;
    uint32_t id = 0;
    TRY(cursor_uvarint(cursor, &count));
    size_t strings = snapshot_string_count(snapshot_builder_peek(state->tables));
    for (uint64_t i = 0; i < count; i++) {
        struct snapshot_object object = {0};
        uint32_t kind;
        TRY(recording_decode_step(cursor, 0, state->objects.count, &id));
        TRY(recording_decode_number(cursor, OBJECT_KIND_COUNT - 1, &kind));
        TRY(cursor_uvarint(cursor, &step));
        address += (uint64_t)recording_unzigzag(step);
        object.kind = (uint8_t)kind;
        object.address = address;
        TRY(recording_decode_fields(cursor, strings, &object));
        if (id == state->objects.count) {
            TRY(vector_append(&state->objects, object));
        } else {
            state->objects.items[id] = object;
        }
    }
    return NULL;
}

/* Reads the program. */
static struct error *recording_decode_program(struct recording_state *state, struct cursor *cursor)
{
    struct snapshot_program *program = &state->program;
    size_t strings = snapshot_string_count(snapshot_builder_peek(state->tables));
    uint32_t *const ids[] = {&program->source,         &program->executable, &program->go_version,
                             &program->path,           &program->module,     &program->revision,
                             &program->module_version, &program->build_id,   &program->settings,
                             &program->machine};
    uint32_t differs;
    TRY(recording_decode_number(cursor, 1, &differs));
    if (differs != 0) {
        for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
            TRY(recording_decode_number(cursor, strings, ids[i]));
        }
        TRY(recording_decode_maybe(cursor, &program->modified));
        TRY(recording_decode_known(cursor, &program->pid));
    }
    TRY(recording_decode_known(cursor, &program->threads));
    TRY(recording_decode_known(cursor, &program->read_ns));
    TRY(recording_decode_known(cursor, &program->stopped_ns));
    return recording_decode_known(cursor, &program->age_basis);
}

/* Reads the notes. */
static struct error *recording_decode_notes(struct recording_state *state, struct cursor *cursor)
{
    uint64_t size;
    uint32_t count;
    const uint8_t *bytes;
    recording_state_drop_notes(state);
    TRY(recording_decode_number(cursor, RECORDING_NOTES_MAX, &count));
    for (uint32_t i = 0; i < count; i++) {
        TRY(cursor_uvarint(cursor, &size));
        TRY(cursor_bytes(cursor, size, &bytes));
        CLEANUP_FREE char *note = strndup((const char *)bytes, size);
        if (note == NULL) {
            return error_no_memory();
        }
        TRY(vector_append(&state->notes, note));
        note = NULL;
    }
    return NULL;
}

struct error *recording_state_apply(struct recording_state *state, const void *data, size_t size)
{
    struct cursor cursor;
    uint64_t advance;
    cursor_init(&cursor, data, size, "snapshot of a recording", 0);
    TRY(recording_decode_strings(state, &cursor));
    TRY(recording_decode_frames(state, &cursor));
    TRY(recording_decode_stacks(state, &cursor));
    TRY(recording_decode_labels(state, &cursor));
    TRY(recording_decode_objects(state, &cursor));
    TRY(recording_decode_program(state, &cursor));
    TRY(recording_decode_notes(state, &cursor));
    TRY(cursor_uvarint(&cursor, &advance));
    state->clock_ns = recording_plus(state->clock_ns, recording_unzigzag(advance));
    return recording_decode_goroutines(state, &cursor);
}
