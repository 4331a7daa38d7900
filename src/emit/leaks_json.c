/* Findings as JSON, schema "unpark.leaks/1" (docs/json.md, docs/schema/leaks-1.json). */
#include "emit/dump_json_internal.h"
#include "emit/leaks.h"
#include <stdio.h>
#include <stdlib.h>

/* Writes the stack as an array of frames. */
static void leaks_json_stack(struct dump_json *json, uint32_t stack)
{
    size_t count;
    const uint32_t *frames = snapshot_stack(json->view->snapshot, stack, &count);
    json_writer_begin_array(&json->writer, "stack");
    for (size_t i = 0; i < count; i++) {
        dump_json_write_frame(json, NULL, frames[i]);
    }
    json_writer_end_array(&json->writer);
}

/* Writes the causes, best first. */
static void leaks_json_causes(struct json_writer *writer, const struct finding *finding)
{
    json_writer_begin_array(writer, "causes");
    for (size_t i = 0; i < finding->cause_count; i++) {
        const struct finding_cause *cause = &finding->causes[i];
        json_writer_begin_object(writer, NULL);
        json_writer_text(writer, "id", cause->cause->id);
        json_writer_i64(writer, "number", cause->cause->number);
        json_writer_i64(writer, "score", cause->score);
        json_writer_text(writer, "title", cause->cause->title);
        json_writer_text(writer, "waker", cause->cause->waker);
        json_writer_text(writer, "fix", cause->cause->fix);
        json_writer_text(writer, "evidence", cause->evidence);
        json_writer_end_object(writer);
    }
    json_writer_end_array(writer);
}

/* Writes who may hold or should have woken it. */
static void leaks_json_wakers(struct json_writer *writer,
                              const struct snapshot_goroutine *goroutines,
                              const struct finding *finding)
{
    json_writer_begin_array(writer, "wakers");
    for (size_t i = 0; i < finding->waker_count; i++) {
        const struct finding_reference *waker = &finding->wakers[i];
        json_writer_begin_object(writer, NULL);
        json_writer_u64(writer, "goroutine", goroutines[waker->goroutine].id);
        json_writer_text(writer, "function", waker->function[0] == '\0' ? NULL : waker->function);
        json_writer_end_object(writer);
    }
    json_writer_end_array(writer);
}

/* Writes "goroutines", the ids, null where the source does not tell them. */
static void leaks_json_ids(struct json_writer *writer, const struct snapshot_goroutine *goroutines,
                           const struct finding *finding)
{
    if ((goroutines[finding->members[0]].flags & GOROUTINE_ID_UNKNOWN) != 0) {
        json_writer_null(writer, "goroutines");
        return;
    }
    json_writer_begin_array(writer, "goroutines");
    for (size_t i = 0; i < finding->count; i++) {
        json_writer_u64(writer, NULL, goroutines[finding->members[i]].id);
    }
    json_writer_end_array(writer);
}

/* Writes one finding. */
static void leaks_json_finding(struct dump_json *json, const struct leaks_view *view,
                               const struct finding *finding)
{
    struct json_writer *writer = &json->writer;
    size_t count;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(view->snapshot, &count);
    char key[24];
    snprintf(key, sizeof key, "%016llx", (unsigned long long)finding->key);
    json_writer_begin_object(writer, NULL);
    json_writer_text(writer, "key", key);
    json_writer_text(writer, "verdict", leak_verdict_text(finding->verdict));
    json_writer_text(writer, "class",
                     finding->class_ == LEAK_CLASS_NONE ? NULL : leak_class_text(finding->class_));
    json_writer_text(writer, "reason",
                     finding->reason == LEAK_REASON_NONE ? NULL
                                                         : leak_reason_text(finding->reason));
    json_writer_text(writer, "status",
                     goroutine_status_text((enum goroutine_status)finding->status));
    json_writer_text(writer, "wait_reason",
                     wait_reason_text((enum wait_reason)finding->wait_reason));
    json_writer_u64(writer, "count", finding->goroutines);
    json_writer_known(writer, "age_min_ns", finding->age_min_ns);
    json_writer_known(writer, "age_max_ns", finding->age_max_ns);
    leaks_json_ids(writer, goroutines, finding);
    json_writer_u64(writer, "objects", finding->object_count);
    if (finding->object == UINT32_MAX) {
        json_writer_null(writer, "object");
    } else {
        dump_json_write_object(json, "object", finding->object);
    }
    json_writer_text(writer, "evidence", finding->evidence);
    leaks_json_causes(writer, finding);
    leaks_json_wakers(writer, goroutines, finding);
    json_writer_u64(writer, "head", finding->head);
    json_writer_u64(writer, "followers", finding->followers);
    dump_json_write_frame(json, "creator", finding->creator);
    leaks_json_stack(json, finding->stack);
    json_writer_end_object(writer);
}

/* Writes the summary. */
static void leaks_json_summary(struct json_writer *writer, const struct leaks_view *view)
{
    const struct finding_list *findings = view->findings;
    json_writer_begin_object(writer, "summary");
    json_writer_u64(writer, "goroutines", findings->goroutines);
    json_writer_u64(writer, "proved", findings->proved);
    json_writer_u64(writer, "suspected", findings->suspected);
    json_writer_u64(writer, "waiting", findings->waiting);
    json_writer_u64(writer, "system", findings->system);
    json_writer_u64(writer, "unknown", findings->unknown);
    json_writer_u64(writer, "stopped_ns", view->stopped_ns);
    json_writer_u64(writer, "copied_bytes", view->copied_bytes);
    json_writer_u64(writer, "analysis_ns", view->analysis_ns);
    json_writer_bool(writer, "consistent", view->consistent);
    json_writer_text(writer, "obstacle", view->obstacle);
    json_writer_text(writer, "witness", view->witness);
    json_writer_end_object(writer);
}

struct error *leaks_json_write(const struct leaks_view *view, struct emit_sink *sink)
{
    struct dump_view dump = {.snapshot = view->snapshot, .style = view->style};
    struct dump_json json = {.view = &dump};
    json_writer_init(&json.writer, sink);
    json.frames = calloc(snapshot_frame_count(view->snapshot) + 1, sizeof *json.frames);
    if (json.frames == NULL) {
        return error_no_memory();
    }
    json_writer_begin_object(&json.writer, NULL);
    json_writer_text(&json.writer, "schema", "unpark.leaks/1");
    dump_json_target(&json.writer, view->snapshot);
    json_writer_begin_array(&json.writer, "findings");
    for (size_t i = 0; i < view->findings->count; i++) {
        if (leaks_shows(view, &view->findings->items[i])) {
            leaks_json_finding(&json, view, &view->findings->items[i]);
        }
    }
    json_writer_end_array(&json.writer);
    leaks_json_summary(&json.writer, view);
    json_writer_end_object(&json.writer);
    emit_sink_add(sink, "\n");
    free(json.frames);
    arena_deinit(&json.texts);
    string_builder_deinit(&json.scratch);
    return emit_sink_flush(sink);
}
