/* Schema unpark.diff/1 (docs/json.md, docs/schema/diff-1.json). */
#include "base/cleanup.h"
#include "emit/diff.h"
#include "emit/dump_json_internal.h"
#include <stdlib.h>

/* One run. Frames are rendered by the dump's code, once for each side; whoever writes holds the
 * writer's state. */
struct diff_json {
    const struct diff_view *view;
    struct json_writer writer;
    struct dump_view views[2]; /* of before and after: the snapshots only */
    struct dump_json sides[2];
};

/* Sets a run up. */
static struct error *diff_json_init(struct diff_json *json, const struct diff_view *view,
                                    struct emit_sink *sink)
{
    json->view = view;
    json_writer_init(&json->writer, sink);
    for (size_t i = 0; i < 2; i++) {
        json->views[i].snapshot = i == 0 ? view->before : view->after;
        json->sides[i].view = &json->views[i];
        json->sides[i].frames = calloc(snapshot_frame_count(json->views[i].snapshot) + 1,
                                       sizeof *json->sides[i].frames);
        if (json->sides[i].frames == NULL) {
            return error_no_memory();
        }
    }
    return NULL;
}

/* Frees a run. */
static void diff_json_deinit(struct diff_json *json)
{
    for (size_t i = 0; i < 2; i++) {
        free(json->sides[i].frames);
        arena_deinit(&json->sides[i].texts);
        string_builder_deinit(&json->sides[i].scratch);
    }
}

/* Writes frame ID of SIDE as the value of NAME. */
static void diff_json_write_frame(struct diff_json *json, unsigned side, const char *name,
                                  uint32_t id)
{
    json->sides[side].writer = json->writer;
    dump_json_write_frame(&json->sides[side], name, id);
    json->writer = json->sides[side].writer;
}

/* Writes who one side is. */
static void diff_json_write_side(struct diff_json *json, unsigned side, uint64_t goroutines)
{
    struct json_writer *writer = &json->writer;
    size_t count;
    const char *const *notes = snapshot_notes(json->views[side].snapshot, &count);
    json_writer_begin_object(writer, side == 0 ? "before" : "after");
    dump_json_target(writer, json->views[side].snapshot);
    json_writer_u64(writer, "goroutines", goroutines);
    json_writer_begin_array(writer, "notes");
    for (size_t i = 0; i < count; i++) {
        json_writer_text(writer, NULL, notes[i]);
    }
    json_writer_end_array(writer);
    json_writer_end_object(writer);
}

/* Writes the age of one side's goroutines. */
static void diff_json_write_age(struct json_writer *writer, const char *name,
                                const struct difference_members *members)
{
    json_writer_begin_object(writer, name);
    json_writer_known(writer, "min_ns", members->age_min_ns);
    json_writer_known(writer, "max_ns", members->age_max_ns);
    json_writer_u64(writer, "unknown", members->age_unknown);
    json_writer_end_object(writer);
}

/* Writes the stack of GOROUTINE, null when unknown. */
static void diff_json_write_stack(struct diff_json *json, unsigned side,
                                  const struct snapshot_goroutine *goroutine)
{
    size_t count;
    const uint32_t *frames = snapshot_stack(json->views[side].snapshot, goroutine->stack, &count);
    if (goroutine->stack == 0) {
        json_writer_null(&json->writer, "stack");
        return;
    }
    json_writer_begin_array(&json->writer, "stack");
    for (size_t i = 0; i < count && !emit_sink_failed(json->writer.sink); i++) {
        diff_json_write_frame(json, side, NULL, frames[i]);
    }
    json_writer_end_array(&json->writer);
}

/* Writes a group. */
static void diff_json_write_item(struct diff_json *json, const struct difference_item *item)
{
    static const char *const words[DIFFERENCE_CHANGES] = {[DIFFERENCE_NEW] = "new",
                                                          [DIFFERENCE_GROWN] = "grown",
                                                          [DIFFERENCE_SHRUNK] = "shrunk",
                                                          [DIFFERENCE_GONE] = "gone",
                                                          [DIFFERENCE_UNCHANGED] = "unchanged"};
    struct json_writer *writer = &json->writer;
    unsigned side = item->after.first != UINT32_MAX;
    size_t all;
    const struct snapshot_goroutine *goroutine = &snapshot_goroutines(
        json->views[side].snapshot, &all)[side == 1 ? item->after.first : item->before.first];
    bool waits = goroutine->status == GOROUTINE_STATUS_WAITING ||
                 goroutine->status == GOROUTINE_STATUS_LEAKED;
    const char *reason = waits ? wait_reason_text((enum wait_reason)goroutine->wait_reason) : "";
    json_writer_begin_object(writer, NULL);
    json_writer_text(writer, "change", words[item->change]);
    json_writer_u64(writer, "before", item->before.goroutines);
    json_writer_u64(writer, "after", item->after.goroutines);
    json_writer_i64(writer, "growth", (int64_t)(item->after.goroutines - item->before.goroutines));
    if (json->view->difference->by_id) {
        json_writer_u64(writer, "stayed", item->stayed);
    } else {
        json_writer_null(writer, "stayed");
    }
    json_writer_text(writer, "status",
                     goroutine_status_text((enum goroutine_status)goroutine->status));
    json_writer_text(writer, "wait_reason", *reason == '\0' ? NULL : reason);
    diff_json_write_age(writer, "age_before", &item->before);
    diff_json_write_age(writer, "age_after", &item->after);
    diff_json_write_frame(json, side, "creator", goroutine->creator);
    diff_json_write_frame(json, side, "start", goroutine->start);
    diff_json_write_stack(json, side, goroutine);
    json_writer_end_object(writer);
}

/* Writes the groups within the limit. */
static void diff_json_write_items(struct diff_json *json)
{
    const struct difference *difference = json->view->difference;
    size_t shown = 0;
    json_writer_begin_array(&json->writer, "groups");
    for (size_t i = 0; i < difference->count && !emit_sink_failed(json->writer.sink); i++) {
        bool room = json->view->limit == 0 || shown < json->view->limit;
        if (room && diff_shows(json->view, &difference->items[i])) {
            diff_json_write_item(json, &difference->items[i]);
            shown++;
        }
    }
    json_writer_end_array(&json->writer);
}

/* Writes the summary. */
static void diff_json_write_summary(struct json_writer *writer, const struct difference *difference)
{
    json_writer_begin_object(writer, "summary");
    json_writer_u64(writer, "before", difference->before);
    json_writer_u64(writer, "after", difference->after);
    json_writer_u64(writer, "new", difference->changes[DIFFERENCE_NEW]);
    json_writer_u64(writer, "grown", difference->changes[DIFFERENCE_GROWN]);
    json_writer_u64(writer, "shrunk", difference->changes[DIFFERENCE_SHRUNK]);
    json_writer_u64(writer, "gone", difference->changes[DIFFERENCE_GONE]);
    json_writer_u64(writer, "unchanged", difference->changes[DIFFERENCE_UNCHANGED]);
    json_writer_u64(writer, "grown_by", difference->grown);
    json_writer_u64(writer, "shrunk_by", difference->shrunk);
    if (difference->by_id) {
        json_writer_u64(writer, "stayed", difference->stayed);
    } else {
        json_writer_null(writer, "stayed");
    }
    json_writer_known(writer, "elapsed_ns", difference->elapsed_ns);
    json_writer_end_object(writer);
}

/* Writes one object. */
struct error *diff_json_write(const struct diff_view *view, struct emit_sink *sink)
{
    CLEANUP(diff_json_deinit) struct diff_json json = {0};
    const char *notes[DIFF_NOTES_MAX];
    size_t count = diff_notes(view->difference, notes);
    TRY(diff_json_init(&json, view, sink));
    struct json_writer *writer = &json.writer;
    json_writer_begin_object(writer, NULL);
    json_writer_text(writer, "schema", "unpark.diff/1");
    diff_json_write_side(&json, 0, view->difference->before);
    diff_json_write_side(&json, 1, view->difference->after);
    json_writer_text(writer, "matched", view->difference->by_lines ? "lines" : "functions");
    json_writer_begin_array(writer, "notes");
    for (size_t i = 0; i < count; i++) {
        json_writer_text(writer, NULL, notes[i]);
    }
    json_writer_end_array(writer);
    diff_json_write_items(&json);
    diff_json_write_summary(writer, view->difference);
    json_writer_end_object(writer);
    emit_sink_add(sink, "\n");
    return emit_sink_flush(sink);
}
