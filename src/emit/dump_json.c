/* Schema unpark.dump/1 (docs/json.md, docs/schema/dump-1.json), streamed: nothing grows with the
 * number of goroutines. */
#include "base/cleanup.h"
#include "emit/dump.h"
#include "emit/dump_json_internal.h"
#include <stdlib.h>
#include <time.h>

/* Sets a run up. */
static struct error *dump_json_init(struct dump_json *json, const struct dump_view *view,
                                    struct emit_sink *sink)
{
    *json = (struct dump_json){.view = view};
    json_writer_init(&json->writer, sink);
    json->frames = calloc(snapshot_frame_count(view->snapshot) + 1, sizeof *json->frames);
    if (json->frames == NULL) {
        return error_no_memory();
    }
    return wait_summarizer_init(&json->waits, view->snapshot);
}

/* Frees a run. */
static void dump_json_deinit(struct dump_json *json)
{
    free(json->frames);
    arena_deinit(&json->texts);
    string_builder_deinit(&json->scratch);
    wait_summarizer_deinit(&json->waits);
}

/* Writes a point in time as RFC 3339. */
void dump_json_write_time(struct json_writer *writer, const char *name, int64_t ns)
{
    const int64_t second = 1000000000;
    time_t seconds = (time_t)(ns / second);
    struct tm tm;
    char text[40];
    if (ns == SNAPSHOT_UNKNOWN || ns < 0 || gmtime_r(&seconds, &tm) == NULL ||
        strftime(text, sizeof text - 16, "%Y-%m-%dT%H:%M:%S", &tm) == 0) {
        json_writer_null(writer, name);
        return;
    }
    struct string_builder whole = {0};
    string_builder_format(&whole, "%s.%09lldZ", text, (long long)(ns % second));
    json_writer_string(writer, name, string_builder_text(&whole), whole.size);
    string_builder_deinit(&whole);
}

/* Writes "settings": the lines key=value as an object. */
static void dump_json_write_settings(struct json_writer *writer, const struct snapshot *snapshot,
                                     uint32_t id)
{
    if (id == 0) {
        json_writer_null(writer, "settings");
        return;
    }
    json_writer_begin_object(writer, "settings");
    const char *line = snapshot_string(snapshot, id);
    while (*line != '\0') {
        size_t size = strcspn(line, "\n");
        const char *equal = memchr(line, '=', size);
        if (equal != NULL && equal > line) {
            json_writer_key(writer, line, (size_t)(equal - line));
            json_writer_string(writer, NULL, equal + 1, size - (size_t)(equal - line) - 1);
        }
        line += size + (line[size] == '\n');
    }
    json_writer_end_object(writer);
}

/* Writes the target. */
void dump_json_target(struct json_writer *writer, const struct snapshot *snapshot)
{
    const struct snapshot_program *program = snapshot_program(snapshot);
    json_writer_begin_object(writer, "target");
    dump_json_write_string(writer, snapshot, "source", program->source);
    json_writer_known(writer, "pid", program->pid);
    dump_json_write_string(writer, snapshot, "executable", program->executable);
    dump_json_write_string(writer, snapshot, "go", program->go_version);
    dump_json_write_string(writer, snapshot, "path", program->path);
    dump_json_write_string(writer, snapshot, "module", program->module);
    dump_json_write_string(writer, snapshot, "version", program->module_version);
    dump_json_write_string(writer, snapshot, "revision", program->revision);
    json_writer_maybe(writer, "modified", program->modified);
    dump_json_write_string(writer, snapshot, "build_id", program->build_id);
    dump_json_write_string(writer, snapshot, "machine", program->machine);
    dump_json_write_settings(writer, snapshot, program->settings);
    dump_json_write_time(writer, "taken_at", program->taken_at_ns);
    json_writer_end_object(writer);
}

/* Writes the notes. */
static void dump_json_write_notes(struct json_writer *writer, const struct snapshot *snapshot)
{
    size_t count;
    const char *const *notes = snapshot_notes(snapshot, &count);
    json_writer_begin_array(writer, "notes");
    for (size_t i = 0; i < count; i++) {
        json_writer_text(writer, NULL, notes[i]);
    }
    json_writer_end_array(writer);
}

/* Writes the summary. */
static void dump_json_write_summary(struct json_writer *writer, const struct dump_view *view)
{
    const struct snapshot_program *program = snapshot_program(view->snapshot);
    struct dump_counts counts;
    dump_count(view, &counts);
    json_writer_begin_object(writer, "summary");
    json_writer_u64(writer, "goroutines", counts.user);
    json_writer_u64(writer, "system", counts.system);
    json_writer_known(writer, "threads", program->threads);
    json_writer_known(writer, "read_ns", program->read_ns);
    json_writer_known(writer, "stopped_ns", program->stopped_ns);
    json_writer_u64(writer, "selected", counts.selected);
    json_writer_u64(writer, "system_hidden", counts.system_hidden);
    json_writer_u64(writer, "user_hidden", counts.user_hidden);
    if (view->groups != NULL) {
        json_writer_u64(writer, "groups", view->groups->count);
    } else {
        json_writer_null(writer, "groups");
    }
    json_writer_begin_object(writer, "states");
    for (unsigned status = 0; status < GOROUTINE_STATUS_COUNT; status++) {
        if (counts.by_status[status] > 0) {
            json_writer_u64(writer, goroutine_status_text((enum goroutine_status)status),
                            counts.by_status[status]);
        }
    }
    json_writer_end_object(writer);
    json_writer_end_object(writer);
}

/* Writes one object. */
struct error *dump_json_write(const struct dump_view *view, struct emit_sink *sink)
{
    CLEANUP(dump_json_deinit) struct dump_json json = {0};
    TRY(dump_json_init(&json, view, sink));
    json_writer_begin_object(&json.writer, NULL);
    json_writer_text(&json.writer, "schema", "unpark.dump/1");
    dump_json_target(&json.writer, view->snapshot);
    dump_json_write_notes(&json.writer, view->snapshot);
    json_writer_begin_array(&json.writer, view->groups != NULL ? "groups" : "goroutines");
    dump_json_write_items(&json, false);
    json_writer_end_array(&json.writer);
    dump_json_write_summary(&json.writer, view);
    json_writer_end_object(&json.writer);
    emit_sink_add(sink, "\n");
    return emit_sink_flush(sink);
}

/* Writes lines. */
struct error *dump_json_write_lines(const struct dump_view *view, struct emit_sink *sink)
{
    CLEANUP(dump_json_deinit) struct dump_json json = {0};
    TRY(dump_json_init(&json, view, sink));
    dump_json_write_items(&json, true);
    json_writer_begin_object(&json.writer, NULL);
    json_writer_text(&json.writer, "schema", "unpark.dump/1");
    dump_json_target(&json.writer, view->snapshot);
    dump_json_write_notes(&json.writer, view->snapshot);
    dump_json_write_summary(&json.writer, view);
    json_writer_end_object(&json.writer);
    emit_sink_add(sink, "\n");
    return emit_sink_flush(sink);
}
