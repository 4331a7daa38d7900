#include "base/cleanup.h"
#include "emit/describe.h"
#include "emit/diff.h"
#include "emit/stack_text.h"

enum { DIFF_TEXT_INDENT = 4 };

/* One run. */
struct diff_text {
    const struct diff_view *view;
    struct emit_sink *sink;
    struct stack_text stacks[2]; /* of before and after */
    struct string_builder line;
    size_t beyond; /* groups that the limit hides */
};

/* Frees a run. */
static void diff_text_deinit(struct diff_text *text)
{
    stack_text_deinit(&text->stacks[0]);
    stack_text_deinit(&text->stacks[1]);
    string_builder_deinit(&text->line);
}

/* Writes and empties the line. */
static void diff_text_flush(struct diff_text *text)
{
    emit_sink_add_builder(text->sink, &text->line);
    string_builder_clear(&text->line);
}

bool diff_shows(const struct diff_view *view, const struct difference_item *item)
{
    return view->unchanged || item->change != DIFFERENCE_UNCHANGED;
}

size_t diff_notes(const struct difference *difference, const char **texts)
{
    size_t count = 0;
    if (difference->programs_differ) {
        texts[count++] = "the two are different programs";
    }
    if (difference->builds_differ) {
        texts[count++] = difference->by_lines
                             ? "the two are different builds: lines may have moved"
                             : "the two are different builds: functions are compared, not lines";
    }
    if (!difference->by_state) {
        texts[count++] = "one of the two does not say what goroutines wait for: not compared";
    }
    if (!difference->by_creator) {
        texts[count++] = "one of the two does not say who created goroutines: not compared";
    }
    if (difference->elapsed_ns != SNAPSHOT_UNKNOWN && difference->elapsed_ns < 0) {
        texts[count++] = "the second one is older than the first";
    }
    return count;
}

/* Appends "1 goroutine", "7 goroutines". */
static void diff_text_add_count(struct string_builder *line, uint64_t count, const char *what)
{
    string_builder_add_u64(line, count);
    string_builder_format(line, " %s%s", what, count == 1 ? "" : "s");
}

/* Writes what one side is. */
static void diff_text_write_side(struct diff_text *text, const char *title,
                                 const struct snapshot *snapshot, uint64_t goroutines)
{
    const struct snapshot_program *program = snapshot_program(snapshot);
    struct string_builder *line = &text->line;
    string_builder_add(line, title);
    describe_string(line, snapshot, program->source);
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
    string_builder_add(line, ": ");
    diff_text_add_count(line, goroutines, "goroutine");
    diff_text_flush(text);
}

/* Writes the two lines at the top. */
static void diff_text_write_head(struct diff_text *text)
{
    const struct difference *difference = text->view->difference;
    diff_text_write_side(text, "before: ", text->view->before, difference->before);
    emit_sink_add(text->sink, "\n");
    diff_text_write_side(text, "after:  ", text->view->after, difference->after);
    if (difference->elapsed_ns != SNAPSHOT_UNKNOWN && difference->elapsed_ns >= 0) {
        string_builder_add(&text->line, ", ");
        describe_duration(&text->line, difference->elapsed_ns);
        string_builder_add(&text->line, " later");
        diff_text_flush(text);
    }
    emit_sink_add(text->sink, "\n\n");
}

/* Appends " for 2s to 5m (7 unknown)". */
static void diff_text_add_age(struct string_builder *line, const struct difference_members *members)
{
    if (members->age_max_ns == SNAPSHOT_UNKNOWN) {
        return;
    }
    string_builder_add(line, " for ");
    size_t start = line->size;
    describe_duration(line, members->age_min_ns);
    size_t end = line->size;
    string_builder_add(line, " to ");
    size_t second = line->size;
    describe_duration(line, members->age_max_ns);
    if (!line->failed && end - start == line->size - second &&
        memcmp(line->text + start, line->text + second, end - start) == 0) {
        line->size = end;
        line->text[end] = '\0';
    }
    if (members->age_unknown > 0) {
        string_builder_format(line, " (%llu unknown)", (unsigned long long)members->age_unknown);
    }
}

/* Appends "chan receive", or the status word. */
static void diff_text_add_state(struct string_builder *line,
                                const struct snapshot_goroutine *goroutine)
{
    bool waits = goroutine->status == GOROUTINE_STATUS_WAITING ||
                 goroutine->status == GOROUTINE_STATUS_LEAKED;
    const char *reason = wait_reason_text((enum wait_reason)goroutine->wait_reason);
    string_builder_add(line, waits && *reason != '\0' ? reason
                             : goroutine->status == GOROUTINE_STATUS_UNKNOWN
                                 ? "state unknown"
                                 : goroutine_status_text((enum goroutine_status)goroutine->status));
}

/* Appends "+120 (4 -> 124): ". */
static void diff_text_add_change(struct string_builder *line, const struct difference_item *item)
{
    static const char *const words[DIFFERENCE_CHANGES] = {
        [DIFFERENCE_NEW] = "new, ", [DIFFERENCE_GONE] = "gone, "};
    unsigned long long before = item->before.goroutines, after = item->after.goroutines;
    const char *word = words[item->change] == NULL ? "" : words[item->change];
    if (after == before) {
        string_builder_format(line, "=%llu: ", after);
    } else if (after > before) {
        string_builder_format(line, "+%llu (%s%llu -> %llu): ", after - before, word, before,
                              after);
    } else {
        string_builder_format(line, "-%llu (%s%llu -> %llu): ", before - after, word, before,
                              after);
    }
}

/* True when some frame of STACK is the program's own. */
static bool diff_text_has_user_frame(const struct snapshot *snapshot, uint32_t stack)
{
    uint32_t frame = snapshot_user_frame(snapshot, stack);
    return frame != 0 && (snapshot_frame(snapshot, frame)->flags &
                          (FRAME_RUNTIME | FRAME_STANDARD_LIBRARY | FRAME_ELIDED)) == 0;
}

/* Writes the stack of GOROUTINE, one of MEMBERS of the second side (AFTER) or the first; where the
 * program has no frame of its own, all frames. */
static void diff_text_write_stack(struct diff_text *text, bool after,
                                  const struct difference_members *members,
                                  const struct snapshot_goroutine *goroutine)
{
    struct stack_text *stacks = &text->stacks[after];
    if (goroutine->stack == 0 && goroutine->start != 0) {
        emit_sink_add(text->sink, "    stack not read; started as ");
        stack_text_write_frame(stacks, goroutine->start);
        emit_sink_add(text->sink, "\n");
    }
    struct stack_text_creator creator = {
        .frame = goroutine->creator,
        .parent = goroutine->parent,
        .several = members->parents_differ,
        .unknown = (goroutine->flags & GOROUTINE_CREATOR_UNKNOWN) != 0,
    };
    stacks->user_frames =
        !text->view->all_frames && diff_text_has_user_frame(stacks->snapshot, goroutine->stack);
    stack_text_write(stacks, goroutine->stack, &creator, DIFF_TEXT_INDENT);
    emit_sink_add(text->sink, "\n");
}

/* Writes one group. */
static void diff_text_write_item(struct diff_text *text, const struct difference_item *item)
{
    bool after = item->after.first != UINT32_MAX;
    const struct difference_members *members = after ? &item->after : &item->before;
    size_t all;
    const struct snapshot_goroutine *goroutine =
        &snapshot_goroutines(after ? text->view->after : text->view->before, &all)[members->first];
    enum emit_role role = item->change == DIFFERENCE_NEW || item->change == DIFFERENCE_GROWN
                              ? EMIT_WARNING
                              : EMIT_HEADING;
    diff_text_add_change(&text->line, item);
    diff_text_add_state(&text->line, goroutine);
    diff_text_add_age(&text->line, members);
    emit_style_begin(&text->view->style, text->sink, role);
    diff_text_flush(text);
    emit_style_end(&text->view->style, text->sink, role);
    emit_sink_add(text->sink, "\n");
    if (item->stayed > 0) {
        string_builder_add(&text->line, "  ");
        string_builder_add_u64(&text->line, item->stayed);
        string_builder_add(&text->line, item->stayed == 1
                                            ? " has been in the same wait all the time\n"
                                            : " have been in the same wait all the time\n");
        diff_text_flush(text);
    }
    diff_text_write_stack(text, after, members, goroutine);
}

/* Writes the groups. */
static void diff_text_write_items(struct diff_text *text)
{
    const struct difference *difference = text->view->difference;
    size_t shown = 0;
    for (size_t i = 0; i < difference->count && !emit_sink_failed(text->sink); i++) {
        if (!diff_shows(text->view, &difference->items[i])) {
            continue;
        }
        if (text->view->limit != 0 && shown == text->view->limit) {
            text->beyond++;
            continue;
        }
        diff_text_write_item(text, &difference->items[i]);
        shown++;
    }
}

/* Appends "2 groups grew by 121 goroutines (1 is new)". */
static void diff_text_add_sum(struct string_builder *line, size_t all, size_t special,
                              uint64_t goroutines, const char *verb, const char *word)
{
    diff_text_add_count(line, all, "group");
    string_builder_format(line, " %s", verb);
    if (all > 0) {
        string_builder_add(line, " by ");
        diff_text_add_count(line, goroutines, "goroutine");
    }
    if (special > 0) {
        string_builder_format(line, " (%zu %s)", special, word);
    }
}

/* Writes notes and the summary line. */
static void diff_text_write_summary(struct diff_text *text)
{
    const struct difference *difference = text->view->difference;
    const size_t *changes = difference->changes;
    struct string_builder *line = &text->line;
    const char *notes[DIFF_NOTES_MAX];
    size_t count = diff_notes(difference, notes);
    for (size_t i = 0; i < count; i++) {
        string_builder_format(line, "note: %s\n", notes[i]);
    }
    diff_text_add_sum(line, changes[DIFFERENCE_NEW] + changes[DIFFERENCE_GROWN],
                      changes[DIFFERENCE_NEW], difference->grown, "grew", "new");
    string_builder_add(line, ", ");
    diff_text_add_sum(line, changes[DIFFERENCE_GONE] + changes[DIFFERENCE_SHRUNK],
                      changes[DIFFERENCE_GONE], difference->shrunk, "shrank", "gone");
    string_builder_format(line, ", %zu did not change", changes[DIFFERENCE_UNCHANGED]);
    if (difference->by_id) {
        string_builder_add(line, "; ");
        diff_text_add_count(line, difference->stayed, "goroutine");
        string_builder_add(line, " stayed in the same wait");
    }
    if (text->beyond > 0) {
        string_builder_add(line, "; hidden: ");
        diff_text_add_count(line, text->beyond, "group");
        string_builder_add(line, " beyond the limit");
    }
    string_builder_add_char(line, '\n');
    diff_text_flush(text);
}

struct error *diff_text_write(const struct diff_view *view, struct emit_sink *sink)
{
    CLEANUP(diff_text_deinit) struct diff_text text = {.view = view, .sink = sink};
    TRY(stack_text_init(&text.stacks[0], view->before, &view->style, sink));
    TRY(stack_text_init(&text.stacks[1], view->after, &view->style, sink));
    diff_text_write_head(&text);
    diff_text_write_items(&text);
    diff_text_write_summary(&text);
    return emit_sink_flush(sink);
}
