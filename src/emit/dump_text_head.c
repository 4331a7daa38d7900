/* The first lines of a record, and the lines at the top and the bottom. */
#include "emit/describe.h"
#include "emit/dump_text_internal.h"

enum { DUMP_TEXT_IDS = 6 };

/* Writes and empties the scratch text. */
void dump_text_flush_scratch(struct dump_text *text)
{
    emit_sink_add_builder(text->sink, &text->scratch);
    string_builder_clear(&text->scratch);
}

/* Appends "chan receive", or the status word. */
static void dump_text_add_state(struct string_builder *builder,
                                const struct snapshot_goroutine *goroutine)
{
    bool waits = goroutine->status == GOROUTINE_STATUS_WAITING ||
                 goroutine->status == GOROUTINE_STATUS_LEAKED;
    const char *reason = wait_reason_text((enum wait_reason)goroutine->wait_reason);
    if (waits && *reason != '\0') {
        string_builder_add(builder, reason);
    } else if (goroutine->status == GOROUTINE_STATUS_UNKNOWN) {
        string_builder_add(builder, "state unknown");
    } else {
        string_builder_add(builder,
                           goroutine_status_text((enum goroutine_status)goroutine->status));
    }
}

/* Whether an age belongs to the state. */
static bool dump_text_has_age(const struct snapshot_goroutine *goroutine)
{
    return goroutine->status == GOROUTINE_STATUS_WAITING ||
           goroutine->status == GOROUTINE_STATUS_LEAKED ||
           goroutine->status == GOROUTINE_STATUS_SYSCALL;
}

/* Appends " for 12m to 3h05m (5 unknown)". */
static void dump_text_add_age(const struct dump_text *text, struct string_builder *builder,
                              const struct dump_text_record *record)
{
    if (!dump_text_has_age(record->first) || text->no_ages) {
        return;
    }
    if (record->age_max_ns == SNAPSHOT_UNKNOWN) {
        string_builder_add(builder, ", age unknown");
        return;
    }
    string_builder_add(builder, " for ");
    size_t start = builder->size;
    describe_duration(builder, record->age_min_ns);
    size_t end = builder->size;
    string_builder_add(builder, " to ");
    size_t second = builder->size;
    describe_duration(builder, record->age_max_ns);
    if (!builder->failed && end - start == builder->size - second &&
        memcmp(builder->text + start, builder->text + second, end - start) == 0) {
        builder->size = end;
        builder->text[end] = '\0';
    }
    if (record->age_unknown > 0) {
        string_builder_format(builder, " (%zu unknown)", record->age_unknown);
    }
}

/* Appends what is special about all members. */
static void dump_text_add_flags(struct string_builder *builder,
                                const struct dump_text_record *record)
{
    static const struct {
        uint16_t flag;
        const char *text;
    } flags[] = {
        {GOROUTINE_SYSTEM, ", system"},
        {GOROUTINE_LOCKED, ", locked to thread"},
        {GOROUTINE_LEAKED, ", leaked by the program's own account"},
        {GOROUTINE_MOVED, ", moved while being read"},
        {GOROUTINE_STACK_CUT, ", stack incomplete"},
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if ((record->flags & flags[i].flag) != 0) {
            string_builder_add(builder, flags[i].text);
        }
    }
    const struct snapshot_goroutine *first = record->first;
    if (first->bubble != 0 && record->goroutines == 1 && first->bubble != UINT32_MAX) {
        string_builder_format(builder, ", synctest bubble %u", first->bubble);
    } else if (first->bubble != 0) {
        string_builder_add(builder, ", in a synctest bubble");
    }
    if (first->thread != 0 && record->goroutines == 1) {
        string_builder_format(builder, ", thread %d", first->thread);
    }
}

/* Writes "412 goroutines: chan receive for 12m". */
static void dump_text_write_title(struct dump_text *text, const struct dump_text_record *record)
{
    if (record->goroutines == 1 && (record->first->flags & GOROUTINE_ID_UNKNOWN) == 0) {
        string_builder_add(&text->scratch, "goroutine ");
        string_builder_add_u64(&text->scratch, record->first->id);
        string_builder_add(&text->scratch, ": ");
    } else {
        string_builder_add_u64(&text->scratch, record->goroutines);
        string_builder_add(&text->scratch,
                           record->goroutines == 1 ? " goroutine: " : " goroutines: ");
    }
    dump_text_add_state(&text->scratch, record->first);
    dump_text_add_age(text, &text->scratch, record);
    dump_text_add_flags(&text->scratch, record);
    emit_style_begin(&text->view->style, text->sink, EMIT_HEADING);
    dump_text_flush_scratch(text);
    emit_style_end(&text->view->style, text->sink, EMIT_HEADING);
    emit_sink_add(text->sink, "\n");
}

/* Writes "  ids 17, 18, 19 and 409 more". */
static void dump_text_write_ids(struct dump_text *text, const struct dump_text_record *record)
{
    size_t all;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(text->view->snapshot, &all);
    if (record->count == 1 || (record->first->flags & GOROUTINE_ID_UNKNOWN) != 0) {
        return;
    }
    emit_sink_add(text->sink, "  ids ");
    for (size_t i = 0; i < record->count && i < DUMP_TEXT_IDS; i++) {
        emit_sink_add(text->sink, i == 0 ? "" : ", ");
        emit_sink_add_u64(text->sink, goroutines[record->members[i]].id);
    }
    if (record->count > DUMP_TEXT_IDS) {
        emit_sink_format(text->sink, " and %zu more", record->count - DUMP_TEXT_IDS);
    }
    emit_sink_add(text->sink, "\n");
}

/* Writes labels that all members share, or that they differ. */
static void dump_text_write_labels(struct dump_text *text, const struct dump_text_record *record)
{
    const struct snapshot *snapshot = text->view->snapshot;
    size_t count;
    const struct snapshot_label *labels = snapshot_labels(snapshot, record->first->labels, &count);
    if (record->labels_differ) {
        emit_sink_add(text->sink, "  labels differ\n");
    } else if (count > 0) {
        string_builder_add(&text->scratch, "  labels");
        for (size_t i = 0; i < count; i++) {
            string_builder_add_char(&text->scratch, ' ');
            describe_string(&text->scratch, snapshot, labels[i].key);
            string_builder_add_char(&text->scratch, '=');
            describe_string(&text->scratch, snapshot, labels[i].value);
        }
        string_builder_add_char(&text->scratch, '\n');
        dump_text_flush_scratch(text);
    } else if ((record->flags & GOROUTINE_LABELS_UNKNOWN) != 0 && !text->no_labels) {
        emit_sink_add(text->sink, "  labels unknown\n");
    }
}

/* Writes a record's head. */
void dump_text_write_head(struct dump_text *text, const struct dump_text_record *record)
{
    dump_text_write_title(text, record);
    dump_text_write_waits(text, record);
    dump_text_write_ids(text, record);
    dump_text_write_labels(text, record);
}

/* Appends what is told of no goroutine. */
static void dump_text_add_untold(const struct dump_text *text, struct string_builder *line)
{
    static const char *const names[] = {"ages", "labels", "what is waited for"};
    const bool untold[] = {text->no_ages, text->no_labels, text->no_waits};
    const char *separator = "; not told there: ";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (untold[i]) {
            string_builder_add(line, separator);
            string_builder_add(line, names[i]);
            separator = ", ";
        }
    }
}

/* Writes who the program is. */
void dump_text_write_program(struct dump_text *text)
{
    const struct snapshot *snapshot = text->view->snapshot;
    const struct snapshot_program *program = snapshot_program(snapshot);
    struct string_builder *line = &text->scratch;
    describe_string(line, snapshot, program->source);
    if (program->executable != 0) {
        string_builder_add(line, ": ");
        describe_string(line, snapshot, program->executable);
    }
    uint32_t module = program->module != 0 ? program->module : program->path;
    if (module != 0) {
        string_builder_add(line, " (");
        describe_string(line, snapshot, module);
        if (program->module_version != 0) {
            string_builder_add_char(line, ' ');
            describe_string(line, snapshot, program->module_version);
        }
        string_builder_add_char(line, ')');
    }
    if (program->go_version != 0) {
        string_builder_add(line, ", ");
        describe_string(line, snapshot, program->go_version);
    }
    if (program->threads != SNAPSHOT_UNKNOWN) {
        string_builder_format(line, ", %lld thread%s", (long long)program->threads,
                              program->threads == 1 ? "" : "s");
    }
    dump_text_add_untold(text, line);
    string_builder_add(line, "\n\n");
    dump_text_flush_scratch(text);
}

/* Appends " (1000 waiting, 20 running)". */
static void dump_text_add_states(struct string_builder *line, const struct dump_counts *counts)
{
    const char *separator = " (";
    static const enum goroutine_status order[] = {
        GOROUTINE_STATUS_WAITING,   GOROUTINE_STATUS_RUNNING,   GOROUTINE_STATUS_RUNNABLE,
        GOROUTINE_STATUS_SYSCALL,   GOROUTINE_STATUS_PREEMPTED, GOROUTINE_STATUS_LEAKED,
        GOROUTINE_STATUS_COPYSTACK, GOROUTINE_STATUS_IDLE,      GOROUTINE_STATUS_DEAD,
        GOROUTINE_STATUS_UNKNOWN};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        if (counts->by_status[order[i]] > 0) {
            bool unknown = order[i] == GOROUTINE_STATUS_UNKNOWN;
            string_builder_format(line, "%s%llu %s", separator,
                                  (unsigned long long)counts->by_status[order[i]],
                                  unknown ? "in unknown state" : goroutine_status_text(order[i]));
            separator = ", ";
        }
    }
    if (counts->selected > 0) {
        string_builder_add_char(line, ')');
    }
}

/* Appends SEPARATOR, COUNT and what, unless it is 0; returns the next separator. */
static const char *dump_text_add_hidden(struct string_builder *line, const char *separator,
                                        uint64_t count, const char *one, const char *many)
{
    if (count == 0) {
        return separator;
    }
    string_builder_format(line, "%s%llu %s", separator, (unsigned long long)count,
                          count == 1 ? one : many);
    return ", ";
}

/* Appends what the view leaves out. */
static void dump_text_add_all_hidden(struct string_builder *line, const struct dump_counts *counts,
                                     uint64_t beyond, uint64_t frames)
{
    const char *next = "; hidden: ";
    next = dump_text_add_hidden(line, next, counts->system_hidden, "system goroutine",
                                "system goroutines");
    next = dump_text_add_hidden(line, next, counts->user_hidden, "goroutine that was not asked for",
                                "goroutines that were not asked for");
    next = dump_text_add_hidden(line, next, beyond, "goroutine beyond the limit",
                                "goroutines beyond the limit");
    (void)dump_text_add_hidden(line, next, frames, "frame", "frames");
}

/* Appends how long reading took and the target was stopped. */
static void dump_text_add_times(struct string_builder *line, const struct snapshot *snapshot)
{
    const struct snapshot_program *program = snapshot_program(snapshot);
    if (program->read_ns != SNAPSHOT_UNKNOWN) {
        string_builder_add(line, "; read in ");
        describe_duration(line, program->read_ns);
    }
    if (program->stopped_ns != SNAPSHOT_UNKNOWN && !dump_is_account(snapshot)) {
        string_builder_add(line, ", target stopped for ");
        describe_duration(line, program->stopped_ns);
    }
}

/* Writes notes and summary. */
void dump_text_write_summary(struct dump_text *text, uint64_t shown)
{
    struct dump_counts counts;
    dump_count(text->view, &counts);
    struct string_builder *line = &text->scratch;
    size_t note_count;
    const char *const *notes = snapshot_notes(text->view->snapshot, &note_count);
    for (size_t i = 0; i < note_count; i++) {
        string_builder_add(line, "note: ");
        string_builder_add_escaped(line, notes[i], strlen(notes[i]));
        string_builder_add_char(line, '\n');
    }
    if (counts.selected != counts.user + counts.system - counts.system_hidden) {
        string_builder_format(line, "%llu of ", (unsigned long long)counts.selected);
    }
    uint64_t total = counts.user + counts.system - counts.system_hidden;
    string_builder_format(line, "%llu goroutine%s", (unsigned long long)total,
                          total == 1 ? "" : "s");
    if (text->view->groups != NULL) {
        size_t groups = text->view->groups->count;
        string_builder_format(line, " in %zu group%s", groups, groups == 1 ? "" : "s");
    }
    dump_text_add_states(line, &counts);
    dump_text_add_all_hidden(line, &counts, counts.selected - shown, text->stacks.hidden);
    dump_text_add_times(line, text->view->snapshot);
    string_builder_add_char(line, '\n');
    dump_text_flush_scratch(text);
}
