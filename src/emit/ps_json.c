/* Rows of docs/schema/ps-1.json. */
#include "emit/json_writer.h"
#include "emit/ps.h"

/* Writes a string, null when unknown. */
static void ps_json_string(struct json_writer *writer, const char *name, const char *text)
{
    json_writer_text(writer, name, text == NULL || *text == '\0' ? NULL : text);
}

/* Writes one process. */
static void ps_json_write_process(struct json_writer *writer, const struct service_process *process)
{
    bool reachable = process->reach != NULL && strcmp(process->reach, "ok") == 0;
    bool known = process->reach != NULL && *process->reach != '\0';
    json_writer_begin_object(writer, NULL);
    json_writer_known(writer, "pid", process->pid);
    ps_json_string(writer, "user", process->user);
    json_writer_known(writer, "age_ns", process->age_ns);
    ps_json_string(writer, "command", process->command);
    ps_json_string(writer, "executable", process->executable);
    ps_json_string(writer, "go", process->go_version);
    ps_json_string(writer, "path", process->path);
    ps_json_string(writer, "module", process->module);
    ps_json_string(writer, "version", process->module_version);
    ps_json_string(writer, "revision", process->revision);
    json_writer_maybe(writer, "modified", process->modified);
    json_writer_known(writer, "threads", process->threads);
    json_writer_known(writer, "goroutines", process->goroutines);
    json_writer_known(writer, "system_goroutines", process->system_goroutines);
    json_writer_maybe(writer, "reachable", known ? reachable : -1);
    ps_json_string(writer, "reason", reachable ? NULL : process->reach);
    json_writer_end_object(writer);
}

/* Writes an array. */
struct error *ps_json_write(const struct service_process *processes, size_t count,
                            struct emit_sink *sink)
{
    struct json_writer writer;
    json_writer_init(&writer, sink);
    json_writer_begin_array(&writer, NULL);
    for (size_t i = 0; i < count; i++) {
        emit_sink_add(sink, i == 0 ? "\n" : "");
        ps_json_write_process(&writer, &processes[i]);
        emit_sink_add(sink, "\n");
    }
    json_writer_end_array(&writer);
    emit_sink_add(sink, "\n");
    return emit_sink_flush(sink);
}
