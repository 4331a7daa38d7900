/* Findings for people: what is stuck, how many and since when, why, who should have woken it, what
 * to change. */
#include "emit/describe.h"
#include "emit/leaks.h"
#include "emit/stack_text.h"
#include "emit/wait_summary.h"
#include <stdlib.h>
#include <string.h>

enum { LEAKS_IDS_SHOWN = 8 };

/* One run. */
struct leaks_text {
    const struct leaks_view *view;
    struct emit_sink *sink;
    struct stack_text stacks;
    struct wait_summarizer waits;
    struct string_builder line;
};

bool leaks_shows(const struct leaks_view *view, const struct finding *finding)
{
    return !view->only_proved || finding->verdict == LEAK_VERDICT_PROVED;
}

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

/* Writes the line that was built, in ROLE, and empties it. */
static void leaks_text_flush(struct leaks_text *text, enum emit_role role)
{
    emit_style_begin(&text->view->style, text->sink, role);
    emit_sink_add_builder(text->sink, &text->line);
    emit_style_end(&text->view->style, text->sink, role);
    emit_sink_add(text->sink, "\n");
    string_builder_clear(&text->line);
}

/* What a goroutine does, in Go's words. */
static const char *leaks_text_state(uint8_t status, uint8_t wait_reason)
{
    bool waits = status == GOROUTINE_STATUS_WAITING || status == GOROUTINE_STATUS_LEAKED;
    const char *reason = waits ? wait_reason_text((enum wait_reason)wait_reason) : "";
    return *reason != '\0' ? reason
           : status == GOROUTINE_STATUS_UNKNOWN
               ? "a state not told"
               : goroutine_status_text((enum goroutine_status)status);
}

/* "for 2m03s to 5m10s", or nothing when no age is known. */
static void leaks_text_add_age(struct string_builder *line, const struct finding *finding)
{
    if (finding->age_max_ns == SNAPSHOT_UNKNOWN) {
        return;
    }
    string_builder_add(line, " for ");
    describe_duration(line, finding->age_min_ns);
    if (finding->age_max_ns != finding->age_min_ns) {
        string_builder_add(line, " to ");
        describe_duration(line, finding->age_max_ns);
    }
}

/* Writes the first line: verdict, count, state, age, class. */
static void leaks_text_title(struct leaks_text *text, const struct finding *finding)
{
    static const char *const words[LEAK_VERDICT_COUNT] = {
        [LEAK_VERDICT_PROVED] = "PROVED STUCK",
        [LEAK_VERDICT_SUSPECTED] = "SUSPECTED",
        [LEAK_VERDICT_UNKNOWN] = "UNKNOWN",
    };
    struct string_builder *line = &text->line;
    string_builder_format(line, "%s: %llu %s in %s", words[finding->verdict],
                          (unsigned long long)finding->goroutines,
                          finding->goroutines == 1 ? "goroutine" : "goroutines",
                          leaks_text_state(finding->status, finding->wait_reason));
    leaks_text_add_age(line, finding);
    if (finding->class_ != LEAK_CLASS_NONE) {
        string_builder_format(line, "  [%s]", leak_class_text(finding->class_));
    }
    leaks_text_flush(text, finding->verdict == LEAK_VERDICT_PROVED ? EMIT_BAD : EMIT_WARNING);
}

/* Writes what the goroutines of FINDING wait for. */
static void leaks_text_objects(struct leaks_text *text, const struct finding *finding)
{
    struct wait_summary summary;
    wait_summarizer_sum(&text->waits, finding->members, finding->count, &summary);
    for (size_t i = 0; i < summary.count; i++) {
        const struct wait_summary_item *item = &summary.items[i];
        string_builder_add(&text->line, i == 0 ? "  " : "     or ");
        string_builder_add(&text->line, describe_verb(item->kind, item->direction));
        if (item->objects > 1) {
            string_builder_format(&text->line, "%llu %s, e.g. ", (unsigned long long)item->objects,
                                  describe_plural(item->kind));
        }
        emit_sink_fail(text->sink,
                       describe_object(&text->line, text->view->snapshot, item->example));
        leaks_text_flush(text, EMIT_OBJECT);
    }
}

/* Writes the verdict's reason in one line. */
static void leaks_text_reason(struct leaks_text *text, const struct finding *finding)
{
    struct string_builder *line = &text->line;
    if (finding->verdict == LEAK_VERDICT_PROVED) {
        bool nothing =
            finding->class_ == LEAK_CLASS_NIL_CHANNEL || finding->class_ == LEAK_CLASS_EMPTY_SELECT;
        string_builder_add(line, nothing
                                     ? "  nothing can ever wake it"
                                     : "  nothing that can still run reaches what it waits for");
    } else if (finding->verdict == LEAK_VERDICT_UNKNOWN) {
        string_builder_format(line, "  it looks stuck, but there is doubt: %s",
                              leak_reason_text(finding->reason));
    } else {
        string_builder_add(line, "  because ");
        string_builder_add_escaped(line, finding->evidence == NULL ? "" : finding->evidence,
                                   finding->evidence == NULL ? 0 : strlen(finding->evidence));
    }
    leaks_text_flush(text, EMIT_PLAIN);
}

/* Writes who may hold or should have woken what is waited for. */
static void leaks_text_wakers(struct leaks_text *text, const struct finding *finding)
{
    size_t count;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(text->view->snapshot, &count);
    for (size_t i = 0; i < finding->waker_count; i++) {
        const struct finding_reference *waker = &finding->wakers[i];
        const struct snapshot_goroutine *goroutine = &goroutines[waker->goroutine];
        string_builder_format(&text->line, "%s goroutine %llu [%s]",
                              i == 0 ? "  may hold or wake it:" : "                      ",
                              (unsigned long long)goroutine->id,
                              leaks_text_state(goroutine->status, goroutine->wait_reason));
        if (waker->function[0] != '\0') {
            string_builder_add(&text->line, ", which refers to it in ");
            string_builder_add_escaped(&text->line, waker->function, strlen(waker->function));
        }
        leaks_text_flush(text, EMIT_PLAIN);
    }
}

/* Writes the causes, best first. */
static void leaks_text_causes(struct leaks_text *text, const struct finding *finding)
{
    for (size_t i = 0; i < finding->cause_count; i++) {
        const struct finding_cause *cause = &finding->causes[i];
        string_builder_format(&text->line, "  %s %s",
                              i == 0 ? "why: " : "or:  ", cause->cause->title);
        if (cause->evidence != NULL && cause->evidence[0] != '\0') {
            string_builder_add(&text->line, " (");
            string_builder_add_escaped(&text->line, cause->evidence, strlen(cause->evidence));
            string_builder_add_char(&text->line, ')');
        }
        leaks_text_flush(text, EMIT_HEADING);
        string_builder_format(&text->line, "       should have woken it: %s", cause->cause->waker);
        leaks_text_flush(text, EMIT_PLAIN);
        string_builder_format(&text->line, "       fix: %s  [%s]", cause->cause->fix,
                              cause->cause->id);
        leaks_text_flush(text, EMIT_GOOD);
    }
}

/* Writes the ids of the goroutines. */
static void leaks_text_ids(struct leaks_text *text, const struct finding *finding)
{
    size_t count;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(text->view->snapshot, &count);
    bool known = (goroutines[finding->members[0]].flags & GOROUTINE_ID_UNKNOWN) == 0;
    if (!known && finding->followers == 0) {
        return;
    }
    string_builder_add(&text->line, finding->count == 1 ? "  goroutine " : "  goroutines ");
    string_builder_add(&text->line, known ? "" : "of unknown id");
    for (size_t i = 0; known && i < finding->count && i < LEAKS_IDS_SHOWN; i++) {
        string_builder_format(&text->line, "%s%llu", i == 0 ? "" : ", ",
                              (unsigned long long)goroutines[finding->members[i]].id);
    }
    if (known && finding->count > LEAKS_IDS_SHOWN) {
        string_builder_format(&text->line, " and %zu more", finding->count - LEAKS_IDS_SHOWN);
    }
    if (finding->followers > 0) {
        string_builder_format(&text->line, "; %llu more wait behind %s",
                              (unsigned long long)finding->followers,
                              finding->goroutines == 1 ? "it" : "them");
    }
    leaks_text_flush(text, EMIT_DIM);
}

/* Who created the goroutines of FINDING. */
static struct stack_text_creator leaks_text_creator(const struct leaks_text *text,
                                                    const struct finding *finding)
{
    size_t count;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(text->view->snapshot, &count);
    const struct snapshot_goroutine *first = &goroutines[finding->members[0]];
    struct stack_text_creator creator = {.frame = finding->creator, .parent = first->parent};
    creator.unknown = (first->flags & GOROUTINE_CREATOR_UNKNOWN) != 0;
    for (size_t i = 1; i < finding->count && !creator.several; i++) {
        creator.several = goroutines[finding->members[i]].parent != creator.parent;
    }
    return creator;
}

/* Writes one finding. */
static void leaks_text_finding(struct leaks_text *text, const struct finding *finding)
{
    struct stack_text_creator creator = leaks_text_creator(text, finding);
    leaks_text_title(text, finding);
    leaks_text_objects(text, finding);
    leaks_text_reason(text, finding);
    leaks_text_wakers(text, finding);
    leaks_text_causes(text, finding);
    stack_text_write(&text->stacks, finding->stack, &creator, 4);
    leaks_text_ids(text, finding);
    emit_sink_add(text->sink, "\n");
}

/* Writes the last line. */
static void leaks_text_summary(struct leaks_text *text, size_t hidden)
{
    const struct leaks_view *view = text->view;
    const struct finding_list *findings = view->findings;
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
        string_builder_format(line, "; %zu findings not shown", hidden);
    }
    if (text->stacks.hidden > 0) {
        string_builder_format(line, "; %llu frames hidden",
                              (unsigned long long)text->stacks.hidden);
    }
    string_builder_add(line, "; target stopped for ");
    describe_duration(line, (int64_t)view->stopped_ns);
    string_builder_format(line, ", %llu MiB copied, analysed in ",
                          (unsigned long long)(view->copied_bytes >> 20));
    describe_duration(line, (int64_t)view->analysis_ns);
    leaks_text_flush(text, EMIT_PLAIN);
    if (view->obstacle != NULL) {
        string_builder_add(line, "nothing could be proved: ");
        string_builder_add_escaped(line, view->obstacle, strlen(view->obstacle));
        leaks_text_flush(text, EMIT_WARNING);
    }
}

/* Writes everything. */
static void leaks_text_all(struct leaks_text *text)
{
    const struct leaks_view *view = text->view;
    size_t shown = 0;
    size_t hidden = 0;
    for (size_t i = 0; i < view->findings->count && !emit_sink_failed(text->sink); i++) {
        const struct finding *finding = &view->findings->items[i];
        if (!leaks_shows(view, finding) || (view->limit != 0 && shown == view->limit)) {
            hidden++;
            continue;
        }
        leaks_text_finding(text, finding);
        shown++;
    }
    leaks_text_summary(text, hidden);
}

struct error *leaks_text_write(const struct leaks_view *view, struct emit_sink *sink)
{
    struct leaks_text text;
    struct error *error = leaks_text_init(&text, view, sink);
    if (error == NULL) {
        leaks_text_all(&text);
        error = emit_sink_flush(sink);
    }
    leaks_text_deinit(&text);
    return error;
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

struct error *leaks_text_write_goroutine(const struct leaks_view *view, size_t index,
                                         struct emit_sink *sink)
{
    struct leaks_text text;
    struct error *error = leaks_text_init(&text, view, sink);
    size_t count;
    const struct snapshot_goroutine *goroutine =
        &snapshot_goroutines(view->snapshot, &count)[index];
    const struct finding_verdict *verdict = &view->verdicts[index];
    const struct finding *found = NULL;
    for (size_t i = 0; i < view->findings->count; i++) {
        const struct finding *finding = &view->findings->items[i];
        for (size_t j = 0; j < finding->count; j++) {
            found = finding->members[j] == index ? finding : found;
        }
    }
    if (error == NULL && found != NULL) {
        leaks_text_finding(&text, found);
    } else if (error == NULL) {
        uint32_t member = (uint32_t)index;
        struct finding alone = {.members = &member,
                                .count = 1,
                                .goroutines = goroutine->count,
                                .creator = goroutine->creator};
        struct stack_text_creator creator = leaks_text_creator(&text, &alone);
        string_builder_format(&text.line, "goroutine %llu is not stuck: %s",
                              (unsigned long long)goroutine->id,
                              leak_verdict_text((enum leak_verdict)verdict->verdict));
        leaks_text_flush(&text, EMIT_GOOD);
        string_builder_format(&text.line, "  [%s] %s",
                              leaks_text_state(goroutine->status, goroutine->wait_reason),
                              leak_reason_text((enum leak_reason)verdict->reason));
        leaks_text_flush(&text, EMIT_PLAIN);
        leaks_text_objects(&text, &alone);
        leaks_text_witness(&text);
        stack_text_write(&text.stacks, goroutine->stack, &creator, 4);
    }
    if (error == NULL) {
        error = emit_sink_flush(sink);
    }
    leaks_text_deinit(&text);
    return error;
}
