/* Frames and objects as JSON; frames are rendered once. */
#include "emit/describe.h"
#include "emit/dump_json_internal.h"

/* Writes a string or null. */
void dump_json_write_string(struct json_writer *writer, const struct snapshot *snapshot,
                            const char *name, uint32_t id)
{
    if (id == 0) {
        json_writer_null(writer, name);
        return;
    }
    json_writer_string(writer, name, snapshot_string(snapshot, id),
                       snapshot_string_size(snapshot, id));
}

/* The kind of a frame. */
static const char *dump_json_frame_kind(uint32_t flags)
{
    if ((flags & FRAME_ELIDED) != 0) {
        return "elided";
    }
    if ((flags & FRAME_NOT_GO) != 0) {
        return "foreign";
    }
    if ((flags & FRAME_RUNTIME) != 0) {
        return "runtime";
    }
    return (flags & FRAME_STANDARD_LIBRARY) != 0 ? "library" : "user";
}

/* Appends a key, and a quoted string or null. */
static void dump_json_add_string(struct dump_json *json, const char *key, uint32_t id)
{
    string_builder_add(&json->scratch, key);
    if (id == 0) {
        string_builder_add(&json->scratch, "null");
        return;
    }
    json_writer_quote(&json->scratch, snapshot_string(json->view->snapshot, id),
                      snapshot_string_size(json->view->snapshot, id));
}

/* Appends a key, and a number or null. */
static void dump_json_add_number(struct dump_json *json, const char *key, bool known,
                                 uint32_t number)
{
    string_builder_add(&json->scratch, key);
    if (known) {
        string_builder_add_u64(&json->scratch, number);
    } else {
        string_builder_add(&json->scratch, "null");
    }
}

/* Renders frame ID. */
static struct error *dump_json_render_frame(struct dump_json *json, uint32_t id)
{
    const struct snapshot_frame *frame = snapshot_frame(json->view->snapshot, id);
    bool elided = (frame->flags & FRAME_ELIDED) != 0;
    bool inlined = (frame->flags & FRAME_INLINED) != 0;
    string_builder_clear(&json->scratch);
    dump_json_add_string(json, "{\"function\":", frame->function);
    dump_json_add_string(json, ",\"file\":", frame->file);
    dump_json_add_number(json, ",\"line\":", frame->line != 0 && !elided, frame->line);
    string_builder_add(&json->scratch, ",\"pc\":");
    if (frame->pc == 0) {
        string_builder_add(&json->scratch, "null");
    } else {
        string_builder_add_char(&json->scratch, '"');
        string_builder_add_hex(&json->scratch, frame->pc);
        string_builder_add_char(&json->scratch, '"');
    }
    dump_json_add_number(json, ",\"offset\":", !inlined && frame->entry_offset != UINT32_MAX,
                         frame->entry_offset);
    string_builder_format(&json->scratch, ",\"inlined\":%s,\"kind\":\"%s\"",
                          inlined ? "true" : "false", dump_json_frame_kind(frame->flags));
    if (elided) {
        dump_json_add_number(json, ",\"elided\":", frame->line != 0, frame->line);
    }
    string_builder_add_char(&json->scratch, '}');
    TRY(string_builder_error(&json->scratch));
    char *copy;
    TRY(arena_copy(&json->texts, string_builder_text(&json->scratch), json->scratch.size, &copy));
    json->frames[id] = (struct dump_json_frame){.text = copy, .size = json->scratch.size};
    return NULL;
}

/* Writes a frame. */
void dump_json_write_frame(struct dump_json *json, const char *name, uint32_t id)
{
    if (id == 0) {
        json_writer_null(&json->writer, name);
        return;
    }
    if (json->frames[id].text == NULL) {
        emit_sink_fail(json->writer.sink, dump_json_render_frame(json, id));
    }
    json_writer_raw(&json->writer, name, json->frames[id].text, json->frames[id].size);
}

/* Writes a channel's fields. */
static void dump_json_write_channel(struct dump_json *json, const struct snapshot_object *object,
                                    uint32_t index)
{
    struct json_writer *writer = &json->writer;
    size_t senders = 0;
    size_t receivers = 0;
    emit_sink_fail(writer->sink,
                   snapshot_object_queues(json->view->snapshot, index, &senders, &receivers));
    dump_json_write_string(writer, json->view->snapshot, "element_type",
                           object->channel.element_type);
    json_writer_known(writer, "length", object->channel.length);
    json_writer_known(writer, "capacity", object->channel.capacity);
    json_writer_maybe(writer, "closed", object->channel.closed);
    json_writer_maybe(writer, "timer", object->channel.timer);
    json_writer_u64(writer, "senders", senders);
    json_writer_u64(writer, "receivers", receivers);
}

/* Writes a descriptor's fields; "deadline" tells whether there is one at all. */
static void dump_json_write_descriptor(struct dump_json *json, const struct snapshot_object *object)
{
    int64_t deadline = object->descriptor.deadline_ns;
    json_writer_known(&json->writer, "descriptor", object->descriptor.descriptor);
    dump_json_write_string(&json->writer, json->view->snapshot, "description",
                           object->descriptor.description);
    json_writer_maybe(&json->writer, "has_deadline",
                      deadline == SNAPSHOT_UNKNOWN ? -1 : deadline != INT64_MAX);
    json_writer_known(&json->writer, "deadline_ns",
                      deadline == INT64_MAX ? SNAPSHOT_UNKNOWN : deadline);
}

/* Writes the fields of locks. */
static void dump_json_write_lock(struct json_writer *writer, const struct snapshot_object *object)
{
    if (object->kind == OBJECT_MUTEX) {
        json_writer_maybe(writer, "locked", object->mutex.locked);
        json_writer_maybe(writer, "starving", object->mutex.starving);
        json_writer_known(writer, "waiters", object->mutex.waiters);
        return;
    }
    json_writer_known(writer, "readers", object->rwmutex.readers);
    json_writer_known(writer, "readers_left", object->rwmutex.readers_left);
    json_writer_maybe(writer, "writer", object->rwmutex.writer);
    json_writer_maybe(writer, "locked", object->rwmutex.locked);
}

/* Writes the fields of a kind. */
static void dump_json_write_fields(struct dump_json *json, const struct snapshot_object *object,
                                   uint32_t index)
{
    struct json_writer *writer = &json->writer;
    switch ((enum snapshot_object_kind)object->kind) {
    case OBJECT_CHANNEL:
        dump_json_write_channel(json, object, index);
        break;
    case OBJECT_MUTEX:
    case OBJECT_RWMUTEX:
        dump_json_write_lock(writer, object);
        break;
    case OBJECT_WAIT_GROUP:
        json_writer_known(writer, "counter", object->wait_group.counter);
        json_writer_known(writer, "waiters", object->wait_group.waiters);
        break;
    case OBJECT_COND:
        json_writer_known(writer, "waiters", object->cond.waiters);
        break;
    case OBJECT_SEMAPHORE:
        json_writer_known(writer, "value", object->semaphore.value);
        dump_json_write_string(writer, json->view->snapshot, "role", object->semaphore.role);
        break;
    case OBJECT_DESCRIPTOR:
        dump_json_write_descriptor(json, object);
        break;
    case OBJECT_TIMER:
        json_writer_known(writer, "due_ns", object->timer.due_ns);
        break;
    case OBJECT_SYSTEM_CALL:
        json_writer_known(writer, "number", object->system_call.number);
        dump_json_write_string(writer, json->view->snapshot, "text", object->system_call.text);
        break;
    case OBJECT_COROUTINE:
        if (object->coroutine.partner == 0) {
            json_writer_null(writer, "partner");
        } else {
            json_writer_u64(writer, "partner", object->coroutine.partner);
        }
        break;
    case OBJECT_NIL_CHANNEL:
    case OBJECT_EMPTY_SELECT:
    case OBJECT_UNKNOWN:
    case OBJECT_KIND_COUNT:
        break;
    }
}

/* Writes an object. */
void dump_json_write_object(struct dump_json *json, const char *name, uint32_t index)
{
    const struct snapshot_object *object = snapshot_object(json->view->snapshot, index);
    json_writer_begin_object(&json->writer, name);
    json_writer_text(&json->writer, "kind", describe_kind((enum snapshot_object_kind)object->kind));
    json_writer_address(&json->writer, "address", object->address);
    dump_json_write_fields(json, object, index);
    json_writer_end_object(&json->writer);
}
