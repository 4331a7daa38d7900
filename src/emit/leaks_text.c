/* The report for people: findings, worst first, then what was looked at and what to do next. */
#include "base/cleanup.h"
#include "emit/describe.h"
#include "emit/leaks_text_internal.h"
#include <stdlib.h>
#include <string.h>

/* Sets TEXT up. */
static struct error *leaks_text_init(struct leaks_text *text, const struct leaks_view *view,
                                     struct emit_sink *sink)
{
    *text = (struct leaks_text){.view = view, .sink = sink};
    TRY(stack_text_init(&text->stacks, view->snapshot, &view->style, sink));
    text->stacks.user_frames = view->user_frames;
    return wait_summarizer_init(&text->waits, view->snapshot);
}

/* Frees what TEXT holds. */
static void leaks_text_deinit(struct leaks_text *text)
{
    stack_text_deinit(&text->stacks);
    wait_summarizer_deinit(&text->waits);
    string_builder_deinit(&text->line);
}

/* Appends "WHAT A to B" to LINE when both are known. */
static void leaks_text_add_change(struct string_builder *line, const char *what, int64_t first,
                                  int64_t last)
{
    if (first != SNAPSHOT_UNKNOWN && last != SNAPSHOT_UNKNOWN) {
        string_builder_format(line, "; %s: %lld at first, %lld at last", what, (long long)first,
                              (long long)last);
    }
}

/* Writes how a watch went. */
static void leaks_text_watch(struct leaks_text *text)
{
    const struct leaks_watch *watch = &text->view->watch;
    struct string_builder *line = &text->line;
    if (watch->looks == 0) {
        return;
    }
    string_builder_format(line, "%u %s", watch->looks, watch->looks == 1 ? "look" : "looks");
    if (watch->first_ns != SNAPSHOT_UNKNOWN && watch->last_ns != SNAPSHOT_UNKNOWN) {
        string_builder_add(line, " in ");
        describe_duration(line, watch->last_ns - watch->first_ns);
    }
    leaks_text_add_change(line, "open descriptors", watch->descriptors_first,
                          watch->descriptors_last);
    leaks_text_add_change(line, "threads", watch->threads_first, watch->threads_last);
    leaks_text_flush(text, EMIT_PLAIN);
    if (watch->proofs_lost > 0) {
        string_builder_format(line,
                              "WARNING: %llu goroutines left a wait that was proved to be for "
                              "ever: a debugger's doing, or a defect of unpark worth reporting",
                              (unsigned long long)watch->proofs_lost);
        leaks_text_flush(text, EMIT_BAD);
    }
    if (watch->cut != NULL) {
        string_builder_add(line, "the watch ended early: ");
        string_builder_add_escaped(line, watch->cut, strlen(watch->cut));
        leaks_text_flush(text, EMIT_WARNING);
    } else if (watch->interrupted) {
        string_builder_add(line, "the watch was interrupted; this is what was seen until then");
        leaks_text_flush(text, EMIT_WARNING);
    }
}

/* Writes what looking cost the program. */
static void leaks_text_cost(struct leaks_text *text)
{
    const struct leaks_view *view = text->view;
    struct string_builder *line = &text->line;
    if (view->stopped_ns == 0) {
        string_builder_add(line, "the program was not stopped");
    } else {
        string_builder_add(line, "the program was stopped for ");
        describe_duration(line, (int64_t)view->stopped_ns);
        if (view->stops > 1) {
            string_builder_format(line, " in %u stops", view->stops);
        }
    }
    if (view->copied_bytes > 0) {
        string_builder_format(line, "; %llu MiB copied, analysed in ",
                              (unsigned long long)(view->copied_bytes >> 20));
        describe_duration(line, (int64_t)view->analysis_ns);
    }
    leaks_text_flush(text, EMIT_DIM);
    if (view->obstacle != NULL) {
        string_builder_add(line, "nothing new could be proved: ");
        string_builder_add_escaped(line, view->obstacle, strlen(view->obstacle));
        leaks_text_flush(text, EMIT_WARNING);
    }
}

/* Writes how many goroutines there are of each verdict. */
static void leaks_text_summary(struct leaks_text *text, size_t hidden)
{
    const struct finding_list *findings = text->view->findings;
    struct string_builder *line = &text->line;
    string_builder_format(
        line, "%llu goroutines: %llu proved stuck, %llu suspected, %llu waiting",
        (unsigned long long)findings->goroutines, (unsigned long long)findings->proved,
        (unsigned long long)findings->suspected, (unsigned long long)findings->waiting);
    if (findings->unknown > 0) {
        string_builder_format(line, ", %llu unknown", (unsigned long long)findings->unknown);
    }
    string_builder_format(line, "; %llu of the runtime's own",
                          (unsigned long long)findings->system);
    if (hidden > 0) {
        string_builder_format(line, "; %zu finding%s not shown", hidden, hidden == 1 ? "" : "s");
    }
    if (text->stacks.hidden > 0) {
        string_builder_format(line, "; %llu frames hidden",
                              (unsigned long long)text->stacks.hidden);
    }
    leaks_text_flush(text, EMIT_HEADING);
    leaks_text_watch(text);
    leaks_text_cost(text);
}

/* Writes one command worth typing next. */
static void leaks_text_hint(struct leaks_text *text, const char *command, const char *meaning)
{
    string_builder_format(&text->line, "  %-44s  %s", command, meaning);
    leaks_text_flush(text, EMIT_DIM);
}

/* Writes what to type next, by FIRST, the first finding that is shown. */
static void leaks_text_next(struct leaks_text *text, const struct finding *first)
{
    const struct leaks_view *view = text->view;
    size_t count;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(view->snapshot, &count);
    const struct snapshot_goroutine *member = &goroutines[first->members[0]];
    CLEANUP(string_builder_deinit) struct string_builder command = {0};
    emit_sink_add(text->sink, "\nnext:\n");
    if (first->cause_count > 0) {
        string_builder_format(&command, "unpark causes %s", first->causes[0].cause->id);
        leaks_text_hint(text, string_builder_text(&command), "more about that cause");
    }
    if (view->target != NULL && (member->flags & GOROUTINE_ID_UNKNOWN) == 0) {
        string_builder_clear(&command);
        string_builder_add(&command, "unpark leaks ");
        string_builder_add_escaped(&command, view->target, strlen(view->target));
        string_builder_format(&command, " -g %llu", (unsigned long long)member->id);
        leaks_text_hint(text, string_builder_text(&command), "one goroutine alone");
    }
    if (view->target != NULL && view->watch.looks == 0 &&
        snapshot_program(view->snapshot)->taken_at_ns != SNAPSHOT_UNKNOWN) {
        string_builder_clear(&command);
        string_builder_add(&command, "unpark leaks ");
        string_builder_add_escaped(&command, view->target, strlen(view->target));
        string_builder_add(&command, " --watch 60s");
        leaks_text_hint(text, string_builder_text(&command), "does it grow?");
    }
}

/* Writes everything that SELECTION shows. */
static void leaks_text_all(struct leaks_text *text, const struct leaks_selection *selection)
{
    const struct finding *items = text->view->findings->items;
    for (size_t i = 0; i < selection->count && !emit_sink_failed(text->sink); i++) {
        size_t index = selection->items[i];
        bool behind =
            items[index].head != index && selection->places[items[index].head] != SIZE_MAX;
        leaks_text_finding(text, &items[index], behind);
    }
    leaks_text_summary(text, selection->hidden);
    if (selection->count > 0) {
        leaks_text_next(text, &items[selection->items[0]]);
    }
}

struct error *leaks_text_write(const struct leaks_view *view, struct emit_sink *sink)
{
    CLEANUP(leaks_selection_deinit) struct leaks_selection selection = {0};
    CLEANUP(leaks_text_deinit) struct leaks_text text = {0};
    TRY(leaks_selection_init(&selection, view));
    TRY(leaks_text_init(&text, view, sink));
    leaks_text_all(&text, &selection);
    return emit_sink_flush(sink);
}

/* Writes the witness path, a step a line. */
static void leaks_text_witness(struct leaks_text *text)
{
    const char *at = text->view->witness;
    if (at == NULL || at[0] == '\0') {
        return;
    }
    emit_sink_add(text->sink, "  reached from something alive:\n");
    for (size_t step = 0; *at != '\0'; step++) {
        size_t size = strcspn(at, "\n");
        emit_sink_add(text->sink, step == 0 ? "    " : "    -> ");
        emit_sink_add_escaped(text->sink, at, size);
        emit_sink_add(text->sink, "\n");
        at += size + (at[size] == '\n');
    }
}

/* Writes why the goroutine at INDEX, which is in no finding, is not called stuck. */
static void leaks_text_not_stuck(struct leaks_text *text, size_t index)
{
    size_t count;
    const struct leaks_view *view = text->view;
    const struct snapshot_goroutine *goroutine =
        &snapshot_goroutines(view->snapshot, &count)[index];
    const struct finding_verdict *verdict = &view->verdicts[index];
    uint32_t member = (uint32_t)index;
    struct finding alone = {.members = &member,
                            .count = 1,
                            .goroutines = goroutine->count,
                            .creator = goroutine->creator};
    struct stack_text_creator creator = leaks_text_creator(text, &alone);
    const char *what = verdict->verdict == LEAK_VERDICT_SYSTEM    ? "is the runtime's own"
                       : verdict->verdict == LEAK_VERDICT_UNKNOWN ? "cannot be judged"
                                                                  : "is not proved stuck";
    string_builder_format(&text->line, "goroutine %llu [%s] %s", (unsigned long long)goroutine->id,
                          leaks_text_state(goroutine->status, goroutine->wait_reason), what);
    if (verdict->verdict != LEAK_VERDICT_SYSTEM) {
        string_builder_format(&text->line, ": %s",
                              leak_reason_text((enum leak_reason)verdict->reason));
    }
    leaks_text_flush(text, verdict->verdict == LEAK_VERDICT_UNKNOWN ? EMIT_WARNING : EMIT_GOOD);
    leaks_text_objects(text, &alone);
    leaks_text_witness(text);
    emit_sink_add(text->sink, "  stack:\n");
    stack_text_write(&text->stacks, goroutine->stack, &creator, 4);
    emit_sink_add(text->sink, "\n");
    leaks_text_watch(text);
    leaks_text_cost(text);
}

/* The finding that the goroutine at INDEX belongs to, or NULL. */
static const struct finding *leaks_text_find(const struct leaks_view *view, size_t index)
{
    for (size_t i = 0; i < view->findings->count; i++) {
        const struct finding *finding = &view->findings->items[i];
        for (size_t j = 0; j < finding->count; j++) {
            if (finding->members[j] == index) {
                return finding;
            }
        }
    }
    return NULL;
}

struct error *leaks_text_write_goroutine(const struct leaks_view *view, size_t index,
                                         struct emit_sink *sink)
{
    CLEANUP(leaks_text_deinit) struct leaks_text text = {0};
    TRY(leaks_text_init(&text, view, sink));
    const struct finding *found = leaks_text_find(view, index);
    if (found == NULL) {
        leaks_text_not_stuck(&text, index);
        return emit_sink_flush(sink);
    }
    size_t count;
    const struct snapshot_goroutine *goroutine =
        &snapshot_goroutines(view->snapshot, &count)[index];
    if (found->goroutines > 1) {
        emit_sink_format(sink, "goroutine %llu is one of these:\n",
                         (unsigned long long)goroutine->id);
    }
    leaks_text_finding(&text, found, false);
    leaks_text_watch(&text);
    leaks_text_cost(&text);
    return emit_sink_flush(sink);
}
