/* A table whose columns are as wide as their widest cell. One record per column. */
#include "base/cleanup.h"
#include "emit/describe.h"
#include "emit/emit_width.h"
#include "emit/ps.h"

enum { PS_TEXT_REVISION = 12 };

/* Appends the cell of a process. */
typedef void ps_text_cell(struct string_builder *cell, const struct service_process *process);

/* Appends a string, "-" when unknown. */
static void ps_text_add(struct string_builder *cell, const char *text)
{
    if (text == NULL || *text == '\0') {
        string_builder_add_char(cell, '-');
        return;
    }
    string_builder_add_escaped(cell, text, strlen(text));
}

/* Appends a number, "-" when unknown. */
static void ps_text_add_number(struct string_builder *cell, int64_t number)
{
    if (number == SNAPSHOT_UNKNOWN) {
        string_builder_add_char(cell, '-');
    } else {
        string_builder_format(cell, "%lld", (long long)number);
    }
}

/* PID. */
static void ps_text_pid(struct string_builder *cell, const struct service_process *process)
{
    ps_text_add_number(cell, process->pid);
}

/* USER. */
static void ps_text_user(struct string_builder *cell, const struct service_process *process)
{
    ps_text_add(cell, process->user);
}

/* AGE. */
static void ps_text_age(struct string_builder *cell, const struct service_process *process)
{
    if (process->age_ns == SNAPSHOT_UNKNOWN) {
        string_builder_add_char(cell, '-');
    } else {
        describe_duration(cell, process->age_ns);
    }
}

/* GO. */
static void ps_text_go(struct string_builder *cell, const struct service_process *process)
{
    ps_text_add(cell, process->go_version);
}

/* THREADS. */
static void ps_text_threads(struct string_builder *cell, const struct service_process *process)
{
    ps_text_add_number(cell, process->threads);
}

/* GOROUTINES: the user's, and the runtime's behind a plus. */
static void ps_text_goroutines(struct string_builder *cell, const struct service_process *process)
{
    ps_text_add_number(cell, process->goroutines);
    if (process->goroutines != SNAPSHOT_UNKNOWN && process->system_goroutines != SNAPSHOT_UNKNOWN) {
        string_builder_format(cell, "+%lld", (long long)process->system_goroutines);
    }
}

/* COMMAND. */
static void ps_text_command(struct string_builder *cell, const struct service_process *process)
{
    ps_text_add(cell, process->command);
}

/* MODULE, or the import path where there is no module, and its version. */
static void ps_text_module(struct string_builder *cell, const struct service_process *process)
{
    bool module = process->module != NULL && *process->module != '\0';
    ps_text_add(cell, module ? process->module : process->path);
    if (process->module_version != NULL && *process->module_version != '\0') {
        string_builder_add_char(cell, ' ');
        ps_text_add(cell, process->module_version);
    }
}

/* REVISION, shortened; "+" marks a modified checkout. */
static void ps_text_revision(struct string_builder *cell, const struct service_process *process)
{
    if (process->revision == NULL || *process->revision == '\0') {
        string_builder_add_char(cell, '-');
        return;
    }
    string_builder_add_escaped(cell, process->revision,
                               strnlen(process->revision, PS_TEXT_REVISION));
    string_builder_add(cell, process->modified == 1 ? "+" : "");
}

/* REACHABLE: "ok", or why not. */
static void ps_text_reach(struct string_builder *cell, const struct service_process *process)
{
    ps_text_add(cell, process->reach);
}

static const struct {
    const char *heading;
    ps_text_cell *cell;
    bool right; /* numbers are aligned right */
} ps_text_columns[] = {
    {"PID", ps_text_pid, true},
    {"USER", ps_text_user, false},
    {"AGE", ps_text_age, true},
    {"GO", ps_text_go, false},
    {"THREADS", ps_text_threads, true},
    {"GOROUTINES", ps_text_goroutines, true},
    {"COMMAND", ps_text_command, false},
    {"MODULE", ps_text_module, false},
    {"REVISION", ps_text_revision, false},
    {"REACHABLE", ps_text_reach, false},
};

enum { PS_TEXT_COLUMNS = sizeof ps_text_columns / sizeof *ps_text_columns };

/* Finds the widths. */
static void ps_text_measure(const struct service_process *processes, size_t count,
                            struct string_builder *cell, size_t *widths)
{
    for (size_t column = 0; column < PS_TEXT_COLUMNS; column++) {
        widths[column] = strlen(ps_text_columns[column].heading);
        for (size_t i = 0; i < count; i++) {
            string_builder_clear(cell);
            ps_text_columns[column].cell(cell, &processes[i]);
            size_t width = emit_width(string_builder_text(cell), cell->size);
            widths[column] = width > widths[column] ? width : widths[column];
        }
    }
}

/* Writes a cell; the last one of a line is not filled up. */
static void ps_text_write_cell(struct emit_sink *sink, const struct string_builder *cell,
                               size_t column, const size_t *widths)
{
    size_t width = emit_width(string_builder_text(cell), cell->size);
    size_t fill = width < widths[column] ? widths[column] - width : 0;
    bool right = ps_text_columns[column].right;
    emit_sink_add(sink, column == 0 ? "" : "  ");
    emit_sink_add_spaces(sink, right ? fill : 0);
    emit_sink_add_builder(sink, cell);
    if (!right && column + 1 < PS_TEXT_COLUMNS) {
        emit_sink_add_spaces(sink, fill);
    }
}

/* Writes the table. */
struct error *ps_text_write(const struct service_process *processes, size_t count,
                            const struct emit_style *style, struct emit_sink *sink)
{
    CLEANUP(string_builder_deinit) struct string_builder cell = {0};
    size_t widths[PS_TEXT_COLUMNS];
    ps_text_measure(processes, count, &cell, widths);
    emit_style_begin(style, sink, EMIT_HEADING);
    for (size_t column = 0; column < PS_TEXT_COLUMNS; column++) {
        string_builder_clear(&cell);
        string_builder_add(&cell, ps_text_columns[column].heading);
        ps_text_write_cell(sink, &cell, column, widths);
    }
    emit_style_end(style, sink, EMIT_HEADING);
    emit_sink_add(sink, "\n");
    for (size_t i = 0; i < count; i++) {
        for (size_t column = 0; column < PS_TEXT_COLUMNS; column++) {
            string_builder_clear(&cell);
            ps_text_columns[column].cell(&cell, &processes[i]);
            ps_text_write_cell(sink, &cell, column, widths);
        }
        emit_sink_add(sink, "\n");
    }
    return emit_sink_flush(sink);
}
