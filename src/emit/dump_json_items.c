/* Groups and goroutines as JSON. */
#include "emit/describe.h"
#include "emit/dump_json_internal.h"

/* Writes status and wait reason. */
static void dump_json_write_state(struct json_writer *writer, uint8_t status, uint8_t wait_reason)
{
    bool waits = status == GOROUTINE_STATUS_WAITING || status == GOROUTINE_STATUS_LEAKED;
    const char *reason = waits ? wait_reason_text((enum wait_reason)wait_reason) : "";
    json_writer_text(writer, "status", goroutine_status_text((enum goroutine_status)status));
    json_writer_text(writer, "wait_reason", *reason == '\0' ? NULL : reason);
}

/* Writes the flags of a goroutine, or those that a group shares. */
static void dump_json_write_flags(struct json_writer *writer, uint16_t flags, uint8_t status)
{
    bool leaked = (flags & GOROUTINE_LEAKED) != 0 || status == GOROUTINE_STATUS_LEAKED;
    json_writer_bool(writer, "system", (flags & GOROUTINE_SYSTEM) != 0);
    json_writer_bool(writer, "locked", (flags & GOROUTINE_LOCKED) != 0);
    json_writer_bool(writer, "leaked", leaked);
    json_writer_bool(writer, "moved", (flags & GOROUTINE_MOVED) != 0);
    json_writer_bool(writer, "stack_cut", (flags & GOROUTINE_STACK_CUT) != 0);
    json_writer_bool(writer, "creator_unknown", (flags & GOROUTINE_CREATOR_UNKNOWN) != 0);
}

/* Whether the label at AT repeats an earlier key. */
static bool dump_json_repeats(const struct snapshot_label *labels, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (labels[i].key == labels[at].key) {
            return true;
        }
    }
    return false;
}

/* Writes "labels": an object, null when unknown. */
static void dump_json_write_labels(struct dump_json *json, uint32_t id, uint16_t flags)
{
    struct json_writer *writer = &json->writer;
    const struct snapshot *snapshot = json->view->snapshot;
    if (id == 0 && (flags & GOROUTINE_LABELS_UNKNOWN) != 0) {
        json_writer_null(writer, "labels");
        return;
    }
    size_t count;
    const struct snapshot_label *labels = snapshot_labels(snapshot, id, &count);
    json_writer_begin_object(writer, "labels");
    for (size_t i = 0; i < count; i++) {
        if (!dump_json_repeats(labels, i)) {
            json_writer_key(writer, snapshot_string(snapshot, labels[i].key),
                            snapshot_string_size(snapshot, labels[i].key));
            json_writer_string(writer, NULL, snapshot_string(snapshot, labels[i].value),
                               snapshot_string_size(snapshot, labels[i].value));
        }
    }
    json_writer_end_object(writer);
}

/* Writes an id, null for 0. */
static void dump_json_write_id(struct json_writer *writer, const char *name, uint64_t id)
{
    if (id == 0) {
        json_writer_null(writer, name);
    } else {
        json_writer_u64(writer, name, id);
    }
}

/* Writes "stack", null when unknown. */
static void dump_json_write_stack(struct dump_json *json, uint32_t stack)
{
    if (stack == 0) {
        json_writer_null(&json->writer, "stack");
        return;
    }
    size_t count;
    const uint32_t *frames = snapshot_stack(json->view->snapshot, stack, &count);
    json_writer_begin_array(&json->writer, "stack");
    for (size_t i = 0; i < count && !emit_sink_failed(json->writer.sink); i++) {
        dump_json_write_frame(json, NULL, frames[i]);
    }
    json_writer_end_array(&json->writer);
}

/* Writes the summed waits of a group. */
static void dump_json_write_group_waits(struct dump_json *json, const struct group *group)
{
    struct json_writer *writer = &json->writer;
    struct wait_summary summary;
    wait_summarizer_sum(&json->waits, group->members, group->count, &summary);
    json_writer_begin_array(writer, "waits");
    for (size_t i = 0; i < summary.count; i++) {
        const struct wait_summary_item *item = &summary.items[i];
        json_writer_begin_object(writer, NULL);
        json_writer_text(writer, "direction", describe_direction(item->direction));
        json_writer_u64(writer, "objects", item->objects);
        dump_json_write_object(json, "example", item->example);
        json_writer_end_object(writer);
    }
    json_writer_end_array(writer);
    json_writer_u64(writer, "waits_more", summary.more);
    json_writer_u64(writer, "waits_unknown", summary.without);
}

/* Writes "goroutine_ids", null where the source does not tell them. */
static void dump_json_write_ids(struct dump_json *json, const struct group *group)
{
    size_t all;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(json->view->snapshot, &all);
    if ((goroutines[group->members[0]].flags & GOROUTINE_ID_UNKNOWN) != 0) {
        json_writer_null(&json->writer, "goroutine_ids");
        return;
    }
    json_writer_begin_array(&json->writer, "goroutine_ids");
    for (size_t i = 0; i < group->count; i++) {
        json_writer_u64(&json->writer, NULL, goroutines[group->members[i]].id);
    }
    json_writer_end_array(&json->writer);
}

/* Writes a group. */
static void dump_json_write_group(struct dump_json *json, const struct group *group)
{
    struct json_writer *writer = &json->writer;
    size_t all;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(json->view->snapshot, &all);
    json_writer_begin_object(writer, NULL);
    json_writer_u64(writer, "count", group->goroutines);
    dump_json_write_state(writer, group->status, group->wait_reason);
    json_writer_begin_object(writer, "age");
    json_writer_known(writer, "min_ns", group->age_min_ns);
    json_writer_known(writer, "max_ns", group->age_max_ns);
    json_writer_u64(writer, "unknown", group->age_unknown);
    json_writer_end_object(writer);
    dump_json_write_flags(writer, group->flags, group->status);
    if (group->labels_differ) {
        json_writer_null(writer, "labels");
    } else {
        dump_json_write_labels(json, group->labels, group->flags);
    }
    json_writer_bool(writer, "labels_differ", group->labels_differ);
    dump_json_write_frame(json, "creator", group->creator);
    dump_json_write_id(writer, "parent", group->parents_differ ? 0 : group->parent);
    json_writer_bool(writer, "parents_differ", group->parents_differ);
    dump_json_write_frame(json, "start", goroutines[group->members[0]].start);
    dump_json_write_group_waits(json, group);
    dump_json_write_stack(json, group->stack);
    dump_json_write_ids(json, group);
    json_writer_end_object(writer);
}

/* Writes the waits of a goroutine. */
static void dump_json_write_waits(struct dump_json *json,
                                  const struct snapshot_goroutine *goroutine)
{
    size_t count;
    const struct snapshot_wait *waits = snapshot_waits(json->view->snapshot, goroutine, &count);
    json_writer_begin_array(&json->writer, "waits");
    for (size_t i = 0; i < count; i++) {
        json_writer_begin_object(&json->writer, NULL);
        json_writer_text(&json->writer, "direction",
                         describe_direction((enum snapshot_direction)waits[i].direction));
        dump_json_write_object(json, "object", waits[i].object);
        json_writer_end_object(&json->writer);
    }
    json_writer_end_array(&json->writer);
}

/* Writes a goroutine. */
static void dump_json_write_goroutine(struct dump_json *json, size_t index)
{
    struct json_writer *writer = &json->writer;
    size_t all;
    const struct snapshot_goroutine *goroutine =
        &snapshot_goroutines(json->view->snapshot, &all)[index];
    json_writer_begin_object(writer, NULL);
    bool known = (goroutine->flags & GOROUTINE_ID_UNKNOWN) == 0;
    dump_json_write_id(writer, "id", known ? goroutine->id : 0);
    json_writer_u64(writer, "count", goroutine->count);
    dump_json_write_state(writer, goroutine->status, goroutine->wait_reason);
    json_writer_known(writer, "age_ns", goroutine->age_ns);
    json_writer_address(writer, "address", goroutine->address);
    json_writer_known(writer, "thread",
                      goroutine->thread == 0 ? SNAPSHOT_UNKNOWN : goroutine->thread);
    json_writer_bool(writer, "in_bubble", goroutine->bubble != 0);
    json_writer_known(writer, "bubble",
                      goroutine->bubble == 0 || goroutine->bubble == UINT32_MAX
                          ? SNAPSHOT_UNKNOWN
                          : (int64_t)goroutine->bubble);
    dump_json_write_flags(writer, goroutine->flags, goroutine->status);
    dump_json_write_labels(json, goroutine->labels, goroutine->flags);
    dump_json_write_frame(json, "creator", goroutine->creator);
    dump_json_write_id(writer, "parent", goroutine->parent);
    dump_json_write_frame(json, "start", goroutine->start);
    dump_json_write_waits(json, goroutine);
    dump_json_write_stack(json, goroutine->stack);
    json_writer_end_object(writer);
}

/* Writes the items; a line of its own starts a new top-level value each time. */
void dump_json_write_items(struct dump_json *json, bool lines)
{
    const struct dump_view *view = json->view;
    size_t count =
        dump_limit(view, view->groups != NULL ? view->groups->count : dump_view_count(view));
    for (size_t i = 0; i < count && !emit_sink_failed(json->writer.sink); i++) {
        if (view->groups != NULL) {
            dump_json_write_group(json, &view->groups->items[i]);
        } else {
            dump_json_write_goroutine(json, dump_view_index(view, i));
        }
        emit_sink_add(json->writer.sink, "\n");
        if (lines) {
            json_writer_init(&json->writer, json->writer.sink);
        }
    }
}
