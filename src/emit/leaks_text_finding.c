/* One finding for people: what is stuck, how many and since when, where, where it was started, why,
 * who should have woken it, what to change. */
#include "emit/describe.h"
#include "emit/leaks_text_internal.h"
#include <string.h>

enum { LEAKS_IDS_SHOWN = 8, LEAKS_TEXT_WIDTH = 88 };

/* Writes the line that was built, in ROLE, and empties it. */
void leaks_text_flush(struct leaks_text *text, enum emit_role role)
{
    emit_style_begin(&text->view->style, text->sink, role);
    emit_sink_add_builder(text->sink, &text->line);
    emit_style_end(&text->view->style, text->sink, role);
    emit_sink_add(text->sink, "\n");
    string_builder_clear(&text->line);
}

/* What a goroutine does, in Go's words. */
const char *leaks_text_state(uint8_t status, uint8_t wait_reason)
{
    bool waits = status == GOROUTINE_STATUS_WAITING || status == GOROUTINE_STATUS_LEAKED;
    const char *reason = waits ? wait_reason_text((enum wait_reason)wait_reason) : "";
    return *reason != '\0' ? reason
           : waits         ? "a wait not told"
           : status == GOROUTINE_STATUS_UNKNOWN
               ? "a state not told"
               : goroutine_status_text((enum goroutine_status)status);
}

/* ", for 2m03s to 5m10s", or ", age unknown". */
static void finding_add_age(struct string_builder *line, const struct finding *finding)
{
    if (finding->age_max_ns == SNAPSHOT_UNKNOWN) {
        string_builder_add(line, ", age unknown");
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
static void finding_write_title(struct leaks_text *text, const struct finding *finding, bool behind)
{
    static const char *const words[LEAK_VERDICT_COUNT] = {
        [LEAK_VERDICT_PROVED] = "PROVED STUCK",
        [LEAK_VERDICT_SUSPECTED] = "SUSPECTED",
        [LEAK_VERDICT_UNKNOWN] = "UNKNOWN",
    };
    struct string_builder *line = &text->line;
    const char *where = finding->circle ? "in one deadlock with it, " : "behind it, ";
    string_builder_format(line, "%s%s: %llu %s in %s", behind ? where : "", words[finding->verdict],
                          (unsigned long long)finding->goroutines,
                          finding->goroutines == 1 ? "goroutine" : "goroutines",
                          leaks_text_state(finding->status, finding->wait_reason));
    finding_add_age(line, finding);
    if (finding->class_ != LEAK_CLASS_NONE) {
        string_builder_format(line, "  [%s]", leak_class_text(finding->class_));
    }
    leaks_text_flush(text, finding->verdict == LEAK_VERDICT_PROVED ? EMIT_BAD : EMIT_WARNING);
}

/* Writes the places of interest: where the user's code stands, and where it was started. */
static void finding_write_places(struct leaks_text *text, const struct finding *finding)
{
    uint32_t at = snapshot_user_frame(text->view->snapshot, finding->stack);
    if (at != 0) {
        emit_sink_add(text->sink, "  at:       ");
        stack_text_write_frame(&text->stacks, at);
        emit_sink_add(text->sink, "\n");
    }
    if (finding->creator != 0) {
        emit_sink_add(text->sink, "  started:  ");
        stack_text_write_frame(&text->stacks, finding->creator);
        emit_sink_add(text->sink, "\n");
    }
}

void leaks_text_objects(struct leaks_text *text, const struct finding *finding)
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
static void finding_write_reason(struct leaks_text *text, const struct finding *finding)
{
    struct string_builder *line = &text->line;
    const char *they = finding->goroutines == 1 ? "it" : "they";
    if (finding->verdict == LEAK_VERDICT_PROVED && finding->reason != LEAK_REASON_NONE) {
        string_builder_format(line, "  %s", leak_reason_text(finding->reason));
    } else if (finding->verdict == LEAK_VERDICT_PROVED) {
        bool nothing =
            finding->class_ == LEAK_CLASS_NIL_CHANNEL || finding->class_ == LEAK_CLASS_EMPTY_SELECT;
        if (nothing) {
            string_builder_format(line, "  nothing can ever wake %s",
                                  finding->goroutines == 1 ? "it" : "them");
        } else {
            string_builder_format(line, "  nothing that can still run reaches what %s %s for", they,
                                  finding->goroutines == 1 ? "waits" : "wait");
        }
    } else if (finding->verdict == LEAK_VERDICT_UNKNOWN) {
        string_builder_format(line, "  %s %s stuck, but there is doubt: %s", they,
                              finding->goroutines == 1 ? "looks" : "look",
                              leak_reason_text(finding->reason));
    } else {
        string_builder_add(line, "  because ");
        string_builder_add_escaped(line, finding->evidence == NULL ? "" : finding->evidence,
                                   finding->evidence == NULL ? 0 : strlen(finding->evidence));
    }
    leaks_text_flush(text, EMIT_PLAIN);
}

/* Appends ", WHAT 50s ago" for a time before the latest look; "" when it is unknown. */
static void finding_add_ago(struct leaks_text *text, const char *what, int64_t ns)
{
    int64_t now = text->view->watch.last_ns;
    if (ns == SNAPSHOT_UNKNOWN || now == SNAPSHOT_UNKNOWN || ns > now) {
        return;
    }
    string_builder_format(&text->line, ", %s ", what);
    if (ns == now) {
        string_builder_add(&text->line, "in the last look");
    } else {
        describe_duration(&text->line, now - ns);
        string_builder_add(&text->line, " ago");
    }
}

/* Writes how the group developed from look to look. */
static void finding_write_growth(struct leaks_text *text, const struct finding *finding)
{
    const struct finding_history *growth = &finding->growth;
    const struct leaks_watch *watch = &text->view->watch;
    struct string_builder *line = &text->line;
    if (watch->looks < 2 || growth->looks == 0) {
        return;
    }
    if (growth->looks == 1) {
        string_builder_add(line, "  new in the last look");
    } else if (growth->last_count == growth->first_count && growth->growths == 0) {
        string_builder_format(line, "  not growing: %llu at this place in each of the %u looks",
                              (unsigned long long)growth->last_count, growth->looks);
    } else {
        const char *how = growth->last_count > growth->first_count   ? "GROWING"
                          : growth->last_count < growth->first_count ? "shrinking"
                                                                     : "not growing";
        string_builder_format(line, "  %s: from %llu to %llu at this place in ", how,
                              (unsigned long long)growth->first_count,
                              (unsigned long long)growth->last_count);
        describe_duration(line, growth->last_ns - growth->first_ns);
        string_builder_format(line, " (%u looks)", growth->looks);
    }
    if (growth->looks < watch->looks) {
        finding_add_ago(text, "first seen", growth->first_ns);
    }
    finding_add_ago(text, "proved", finding->proved_ns);
    leaks_text_flush(text, growth->last_count > growth->first_count ? EMIT_WARNING : EMIT_PLAIN);
}

/* What one who refers to WAKER's object may be to those who wait for it; equally long. */
static const char *finding_waker_label(const struct leaks_text *text,
                                       const struct finding_reference *waker)
{
    switch ((enum snapshot_object_kind)snapshot_object(text->view->snapshot, waker->object)->kind) {
    case OBJECT_MUTEX:
    case OBJECT_RWMUTEX:
        return "  may hold it:        ";
    case OBJECT_CHANNEL:
    case OBJECT_COND:
        return "  could have woken it:";
    case OBJECT_WAIT_GROUP:
        return "  is to finish it:    ";
    default:
        return "  may hold or wake it:";
    }
}

/* Writes who may hold or should have woken what is waited for. */
static void finding_write_wakers(struct leaks_text *text, const struct finding *finding)
{
    size_t count;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(text->view->snapshot, &count);
    for (size_t i = 0; i < finding->waker_count; i++) {
        const struct finding_reference *waker = &finding->wakers[i];
        const struct snapshot_goroutine *goroutine = &goroutines[waker->goroutine];
        string_builder_format(&text->line, "%s goroutine %llu [%s], itself stuck",
                              i == 0 ? finding_waker_label(text, waker) : "                      ",
                              (unsigned long long)goroutine->id,
                              leaks_text_state(goroutine->status, goroutine->wait_reason));
        if (waker->function[0] != '\0') {
            string_builder_add(&text->line, ", refers to it in ");
            string_builder_add_escaped(&text->line, waker->function, strlen(waker->function));
        }
        leaks_text_flush(text, EMIT_PLAIN);
    }
}

/* Writes "LABEL TEXT" of a cause in as many lines as it takes. */
static void finding_write_cause_line(struct leaks_text *text, const char *label, const char *words,
                                     enum emit_role role)
{
    while (words != NULL && *words != '\0') {
        size_t size = strlen(words);
        for (size_t i = LEAKS_TEXT_WIDTH; size > LEAKS_TEXT_WIDTH && i > 0; i--) {
            if (words[i] == ' ') {
                size = i;
            }
        }
        string_builder_format(&text->line, "  %-9s ", label);
        string_builder_add_escaped(&text->line, words, size);
        leaks_text_flush(text, role);
        label = "";
        words += size + (words[size] == ' ');
    }
}

/* Writes the causes, best first. */
static void finding_write_causes(struct leaks_text *text, const struct finding *finding)
{
    for (size_t i = 0; i < finding->cause_count; i++) {
        const struct finding_cause *cause = &finding->causes[i];
        string_builder_format(&text->line, "  %-9s %s  [%s]",
                              i == 0 ? "why:" : "or:", cause->cause->title, cause->cause->id);
        leaks_text_flush(text, i == 0 ? EMIT_HEADING : EMIT_PLAIN);
        finding_write_cause_line(text, "  seen:", cause->evidence, EMIT_PLAIN);
        if (i == 0) {
            finding_write_cause_line(text, "  waker:", cause->cause->waker, EMIT_PLAIN);
        }
        finding_write_cause_line(text, "  fix:", cause->cause->fix,
                                 i == 0 ? EMIT_GOOD : EMIT_PLAIN);
    }
}

/* Writes the ids of the goroutines. */
static void finding_write_ids(struct leaks_text *text, const struct finding *finding)
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
        string_builder_format(
            &text->line, "; %llu more wait %s %s", (unsigned long long)finding->followers,
            finding->circle ? "with" : "behind", finding->goroutines == 1 ? "it" : "them");
    }
    leaks_text_flush(text, EMIT_DIM);
}

/* Who created the goroutines of FINDING. */
struct stack_text_creator leaks_text_creator(const struct leaks_text *text,
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
void leaks_text_finding(struct leaks_text *text, const struct finding *finding, bool behind)
{
    struct stack_text_creator creator = leaks_text_creator(text, finding);
    finding_write_title(text, finding, behind);
    finding_write_places(text, finding);
    leaks_text_objects(text, finding);
    finding_write_reason(text, finding);
    finding_write_growth(text, finding);
    finding_write_wakers(text, finding);
    finding_write_causes(text, finding);
    emit_sink_add(text->sink, "  stack:\n");
    stack_text_write(&text->stacks, finding->stack, &creator, 4);
    finding_write_ids(text, finding);
    emit_sink_add(text->sink, "\n");
}

struct error *leaks_text_describe(struct string_builder *builder, const struct snapshot *snapshot,
                                  const struct finding *finding)
{
    string_builder_format(builder, "%llu %s in %s", (unsigned long long)finding->goroutines,
                          finding->goroutines == 1 ? "goroutine" : "goroutines",
                          leaks_text_state(finding->status, finding->wait_reason));
    uint32_t at = snapshot_user_frame(snapshot, finding->stack);
    if (at != 0) {
        const struct snapshot_frame *frame = snapshot_frame(snapshot, at);
        string_builder_add(builder, " at ");
        describe_string(builder, snapshot, frame->function);
        if (frame->file != 0) {
            string_builder_add_char(builder, ' ');
            describe_string(builder, snapshot, frame->file);
            string_builder_format(builder, ":%u", frame->line);
        }
    }
    return string_builder_error(builder);
}
