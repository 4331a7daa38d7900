/* RFC 4180: lines end with CRLF, cells with a quote, comma or line end are quoted, quotes doubled.
 * Control characters of names are written \xNN, so no cell has a line end. A cell that begins with
 * one of = + - @ would be a formula to a spreadsheet: it gets an apostrophe in front. */
#include "base/cleanup.h"
#include "emit/describe.h"
#include "emit/describe_waits.h"
#include "emit/dump_internal.h"
#include "emit/export.h"

enum { CSV_IDS = 10 };

/* One run. */
struct csv {
    struct snapshot *snapshot;
    struct emit_sink *sink;
    struct wait_summarizer waits;
    struct string_builder cell, stack;
    uint32_t stack_id; /* whose text STACK is */
    bool first;        /* no cell of the line was written yet */
};

/* Frees a run. */
static void csv_deinit(struct csv *csv)
{
    wait_summarizer_deinit(&csv->waits);
    string_builder_deinit(&csv->cell);
    string_builder_deinit(&csv->stack);
}

/* Whether a spreadsheet would compute TEXT. */
static bool csv_is_formula(const char *text)
{
    text += strspn(text, " ");
    return *text != '\0' && strchr("=+-@\t\r", *text) != NULL;
}

/* Writes SIZE bytes with every quote doubled. */
static void csv_add_doubled(struct csv *csv, const char *text, size_t size)
{
    while (size > 0) {
        const char *quote = memchr(text, '"', size);
        size_t part = quote == NULL ? size : (size_t)(quote - text) + 1;
        emit_sink_add_bytes(csv->sink, text, part);
        emit_sink_add(csv->sink, quote == NULL ? "" : "\"");
        text += part;
        size -= part;
    }
}

/* Writes the text of CELL, which is escaped already, as the next cell. */
static void csv_add_builder(struct csv *csv, const struct string_builder *cell)
{
    emit_sink_fail(csv->sink, string_builder_error(cell));
    const char *text = string_builder_text(cell);
    bool quoted = strpbrk(text, "\",\r\n") != NULL;
    emit_sink_add(csv->sink, csv->first ? "" : ",");
    csv->first = false;
    emit_sink_add(csv->sink, quoted ? "\"" : "");
    emit_sink_add(csv->sink, csv_is_formula(text) ? "'" : "");
    csv_add_doubled(csv, text, cell->size);
    emit_sink_add(csv->sink, quoted ? "\"" : "");
}

/* Writes the scratch cell and empties it. */
static void csv_end_cell(struct csv *csv)
{
    csv_add_builder(csv, &csv->cell);
    string_builder_clear(&csv->cell);
}

/* Writes a word of our own. */
static void csv_word(struct csv *csv, const char *word)
{
    string_builder_add(&csv->cell, word);
    csv_end_cell(csv);
}

/* Writes a number, nothing when it is unknown. */
static void csv_number(struct csv *csv, int64_t number)
{
    if (number != SNAPSHOT_UNKNOWN) {
        string_builder_format(&csv->cell, "%lld", (long long)number);
    }
    csv_end_cell(csv);
}

/* Appends string ID of the target's, nothing for 0. */
static void csv_add_string(struct csv *csv, struct string_builder *builder, uint32_t id)
{
    string_builder_add_escaped(builder, snapshot_string(csv->snapshot, id),
                               snapshot_string_size(csv->snapshot, id));
}

/* Writes function, file and line of frame ID, three cells. */
static void csv_frame(struct csv *csv, uint32_t id)
{
    struct snapshot_frame frame = {0};
    if (id != 0) {
        frame = *snapshot_frame(csv->snapshot, id);
    }
    csv_add_string(csv, &csv->cell, frame.function);
    csv_end_cell(csv);
    csv_add_string(csv, &csv->cell, frame.file);
    csv_end_cell(csv);
    csv_number(csv, frame.line == 0 ? SNAPSHOT_UNKNOWN : (int64_t)frame.line);
}

/* Appends one frame to the stack's cell. */
static void csv_add_frame(struct csv *csv, const struct snapshot_frame *frame)
{
    string_builder_add(&csv->stack, csv->stack.size > 0 ? " | " : "");
    if ((frame->flags & FRAME_ELIDED) != 0) {
        string_builder_add(&csv->stack, "(frames that the source left out)");
    } else if (frame->function == 0) {
        string_builder_add(&csv->stack, "?");
    } else {
        csv_add_string(csv, &csv->stack, frame->function);
    }
    if (frame->file != 0) {
        string_builder_add_char(&csv->stack, ' ');
        csv_add_string(csv, &csv->stack, frame->file);
        string_builder_format(&csv->stack, ":%u", frame->line);
    }
}

/* Writes a stack, innermost first. */
static void csv_stack(struct csv *csv, uint32_t id, bool user_frames)
{
    const uint32_t hidden = user_frames ? FRAME_RUNTIME | FRAME_STANDARD_LIBRARY : 0;
    if (id != csv->stack_id) {
        size_t count;
        const uint32_t *frames = snapshot_stack(csv->snapshot, id, &count);
        string_builder_clear(&csv->stack);
        for (size_t i = 0; i < count; i++) {
            const struct snapshot_frame *frame = snapshot_frame(csv->snapshot, frames[i]);
            if ((frame->flags & hidden) == 0) {
                csv_add_frame(csv, frame);
            }
        }
        csv->stack_id = id;
    }
    csv_add_builder(csv, &csv->stack);
}

/* Writes the ids of some members. */
static void csv_ids(struct csv *csv, const struct group *group)
{
    size_t all;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(csv->snapshot, &all);
    size_t shown = 0;
    for (size_t i = 0; i < group->count && shown < CSV_IDS; i++) {
        const struct snapshot_goroutine *goroutine = &goroutines[group->members[i]];
        if ((goroutine->flags & GOROUTINE_ID_UNKNOWN) == 0) {
            string_builder_add(&csv->cell, shown++ > 0 ? " " : "");
            string_builder_add_u64(&csv->cell, goroutine->id);
        }
    }
    if (shown > 0 && group->goroutines > shown) {
        string_builder_format(&csv->cell, " and %llu more",
                              (unsigned long long)(group->goroutines - shown));
    }
    csv_end_cell(csv);
}

/* Writes the labels that all members share. */
static void csv_labels(struct csv *csv, const struct group *group)
{
    size_t count = 0;
    const struct snapshot_label *labels =
        group->labels_differ ? NULL : snapshot_labels(csv->snapshot, group->labels, &count);
    for (size_t i = 0; i < count; i++) {
        string_builder_add(&csv->cell, i > 0 ? "; " : "");
        csv_add_string(csv, &csv->cell, labels[i].key);
        string_builder_add_char(&csv->cell, '=');
        csv_add_string(csv, &csv->cell, labels[i].value);
    }
    string_builder_add(&csv->cell, group->labels_differ ? "(they differ)" : "");
    csv_end_cell(csv);
}

/* Writes the line of a group. */
static void csv_group(struct csv *csv, const struct group *group, bool user_frames)
{
    size_t all;
    uint32_t start = snapshot_goroutines(csv->snapshot, &all)[group->members[0]].start;
    bool waits =
        group->status == GOROUTINE_STATUS_WAITING || group->status == GOROUTINE_STATUS_LEAKED;
    struct wait_summary summary;
    wait_summarizer_sum(&csv->waits, group->members, group->count, &summary);
    csv->first = true;
    csv_number(csv, (int64_t)group->goroutines);
    csv_ids(csv, group);
    csv_word(csv, goroutine_status_text((enum goroutine_status)group->status));
    csv_word(csv, waits ? wait_reason_text((enum wait_reason)group->wait_reason) : "");
    csv_number(csv, group->age_min_ns);
    csv_number(csv, group->age_max_ns);
    emit_sink_fail(csv->sink, describe_waits_line(&csv->cell, csv->snapshot, &summary));
    csv_end_cell(csv);
    csv_frame(csv, snapshot_user_frame(csv->snapshot, group->stack));
    csv_frame(csv, group->creator);
    csv_add_string(csv, &csv->cell,
                   start == 0 ? 0 : snapshot_frame(csv->snapshot, start)->function);
    csv_end_cell(csv);
    csv_labels(csv, group);
    csv_stack(csv, group->stack, user_frames);
    emit_sink_add(csv->sink, "\r\n");
}

/* The group that the goroutine at INDEX is by itself. */
static struct group csv_single(const struct snapshot *snapshot, const uint32_t *index)
{
    size_t all;
    const struct snapshot_goroutine *goroutine = &snapshot_goroutines(snapshot, &all)[*index];
    return (struct group){.stack = goroutine->stack,
                          .creator = goroutine->creator,
                          .status = goroutine->status,
                          .wait_reason = goroutine->wait_reason,
                          .count = 1,
                          .goroutines = goroutine->count,
                          .members = index,
                          .age_min_ns = goroutine->age_ns,
                          .age_max_ns = goroutine->age_ns,
                          .labels = goroutine->labels};
}

/* Writes every line. */
static void csv_lines(struct csv *csv, const struct dump_view *view)
{
    const struct group_list *groups = view->groups;
    size_t count = dump_limit(view, groups != NULL ? groups->count : dump_view_count(view));
    for (size_t i = 0; i < count && !emit_sink_failed(csv->sink); i++) {
        if (groups != NULL) {
            csv_group(csv, &groups->items[i], view->user_frames);
        } else {
            uint32_t index = (uint32_t)dump_view_index(view, i);
            struct group group = csv_single(view->snapshot, &index);
            csv_group(csv, &group, view->user_frames);
        }
    }
}

/* Writes the table. */
struct error *export_csv_write(const struct export_view *view, struct emit_sink *sink)
{
    CLEANUP(csv_deinit) struct csv csv = {.snapshot = view->dump.snapshot, .sink = sink};
    TRY(wait_summarizer_init(&csv.waits, csv.snapshot));
    emit_sink_add(sink, "goroutines,ids,status,wait_reason,age_min_ns,age_max_ns,waits_for,"
                        "function,file,line,creator,creator_file,creator_line,start,labels,"
                        "stack\r\n");
    csv_lines(&csv, &view->dump);
    return emit_sink_flush(sink);
}
