/* Findings as JSON, schema "unpark.leaks/1" (docs/json.md, docs/schema/leaks-1.json). */
#include "base/cleanup.h"
#include "emit/describe.h"
#include "emit/dump_json_internal.h"
#include "emit/leaks.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Writes verdict, class and reason. */
static void leaks_json_verdict(struct json_writer *writer, enum leak_verdict verdict,
                               enum leak_class class_, enum leak_reason reason)
{
    json_writer_text(writer, "verdict", leak_verdict_text(verdict));
    json_writer_text(writer, "class", class_ == LEAK_CLASS_NONE ? NULL : leak_class_text(class_));
    json_writer_text(writer, "reason",
                     reason == LEAK_REASON_NONE ? NULL : leak_reason_text(reason));
}

/* Writes status and wait reason, which is null for who does not wait. */
static void leaks_json_state(struct json_writer *writer, uint8_t status, uint8_t wait_reason)
{
    bool waits = status == GOROUTINE_STATUS_WAITING || status == GOROUTINE_STATUS_LEAKED;
    const char *reason = waits ? wait_reason_text((enum wait_reason)wait_reason) : "";
    json_writer_text(writer, "status", goroutine_status_text((enum goroutine_status)status));
    json_writer_text(writer, "wait_reason", *reason == '\0' ? NULL : reason);
}

/* Writes the goroutine that started those of FINDING: null when unknown, or several did. */
static void leaks_json_parent(struct json_writer *writer,
                              const struct snapshot_goroutine *goroutines,
                              const struct finding *finding)
{
    uint64_t parent = goroutines[finding->members[0]].parent;
    bool differ = false;
    for (size_t i = 1; i < finding->count && !differ; i++) {
        differ = goroutines[finding->members[i]].parent != parent;
    }
    if (differ || parent == 0) {
        json_writer_null(writer, "parent");
    } else {
        json_writer_u64(writer, "parent", parent);
    }
    json_writer_bool(writer, "parents_differ", differ);
}

/* Writes what the goroutines of FINDING wait for, as groups of a dump do. */
static void leaks_json_waits(struct dump_json *json, const uint32_t *members, size_t count)
{
    struct json_writer *writer = &json->writer;
    struct wait_summary summary;
    wait_summarizer_sum(&json->waits, members, count, &summary);
    json_writer_begin_array(writer, "waits");
    for (size_t i = 0; i < summary.count; i++) {
        const struct wait_summary_item *item = &summary.items[i];
        json_writer_begin_object(writer, NULL);
        json_writer_text(writer, "direction", describe_direction(item->direction));
        json_writer_u64(writer, "objects", item->objects);
        dump_json_write_object(json, "example", item->example);
        json_writer_end_object(writer);
    }
    json_writer_end_array(writer);
}

/* Writes how FINDING's group developed, null after one look. */
static void leaks_json_growth(struct json_writer *writer, const struct leaks_view *view,
                              const struct finding *finding)
{
    const struct finding_history *growth = &finding->growth;
    if (view->watch.looks == 0 || growth->looks == 0) {
        json_writer_null(writer, "growth");
        return;
    }
    json_writer_begin_object(writer, "growth");
    dump_json_write_time(writer, "first_seen", growth->first_ns);
    json_writer_u64(writer, "looks", growth->looks);
    json_writer_u64(writer, "first_count", growth->first_count);
    json_writer_u64(writer, "last_count", growth->last_count);
    json_writer_u64(writer, "peak", growth->peak);
    json_writer_u64(writer, "stayed", growth->stayed);
    json_writer_u64(writer, "growths", growth->growths);
    bool known = growth->first_ns != SNAPSHOT_UNKNOWN && growth->last_ns != SNAPSHOT_UNKNOWN;
    json_writer_known(writer, "span_ns",
                      known ? growth->last_ns - growth->first_ns : SNAPSHOT_UNKNOWN);
    json_writer_end_object(writer);
}

/* Writes one finding as the value of NAME; HEAD: place of the finding that it waits behind among
 * those that are shown, SIZE_MAX none. */
static void leaks_json_finding(struct dump_json *json, const char *name,
                               const struct leaks_view *view, const struct finding *finding,
                               size_t head)
{
    struct json_writer *writer = &json->writer;
    size_t count;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(view->snapshot, &count);
    bool watched = view->watch.looks > 0;
    char key[24];
    snprintf(key, sizeof key, "%016llx", (unsigned long long)finding->key);
    json_writer_begin_object(writer, name);
    json_writer_text(writer, "key", key);
    leaks_json_verdict(writer, finding->verdict, finding->class_, finding->reason);
    leaks_json_state(writer, finding->status, finding->wait_reason);
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
    leaks_json_waits(json, finding->members, finding->count);
    json_writer_text(writer, "evidence", finding->evidence);
    dump_json_write_time(writer, "first_seen", watched ? finding->first_seen_ns : SNAPSHOT_UNKNOWN);
    dump_json_write_time(writer, "proved_at", watched ? finding->proved_ns : SNAPSHOT_UNKNOWN);
    leaks_json_growth(writer, view, finding);
    leaks_json_causes(writer, finding);
    leaks_json_wakers(writer, goroutines, finding);
    if (head == SIZE_MAX) {
        json_writer_null(writer, "head");
    } else {
        json_writer_u64(writer, "head", head);
    }
    json_writer_u64(writer, "followers", finding->followers);
    dump_json_write_frame(json, "at", snapshot_user_frame(view->snapshot, finding->stack));
    dump_json_write_frame(json, "creator", finding->creator);
    leaks_json_parent(writer, goroutines, finding);
    leaks_json_stack(json, finding->stack);
    json_writer_end_object(writer);
}

/* Writes the path from a root to what the explained goroutine waits for, a step an element. */
static void leaks_json_witness(struct json_writer *writer, const char *witness)
{
    json_writer_begin_array(writer, "witness");
    while (witness != NULL && *witness != '\0') {
        size_t size = strcspn(witness, "\n");
        json_writer_string(writer, NULL, witness, size);
        witness += size + (witness[size] == '\n');
    }
    json_writer_end_array(writer);
}

/* Writes the goroutine that is to be explained, if any. */
static void leaks_json_goroutine(struct dump_json *json, const struct leaks_view *view)
{
    size_t count;
    struct json_writer *writer = &json->writer;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(view->snapshot, &count);
    const struct snapshot_goroutine *one =
        view->explain == 0 ? NULL : snapshot_find_goroutine(view->snapshot, view->explain);
    if (one == NULL) {
        return;
    }
    uint32_t index = (uint32_t)(one - goroutines);
    const struct finding_verdict *verdict = &view->verdicts[index];
    json_writer_begin_object(writer, "goroutine");
    json_writer_u64(writer, "id", one->id);
    leaks_json_verdict(writer, (enum leak_verdict)verdict->verdict,
                       (enum leak_class)verdict->class_, (enum leak_reason)verdict->reason);
    leaks_json_state(writer, one->status, one->wait_reason);
    json_writer_known(writer, "age_ns", one->age_ns);
    leaks_json_waits(json, &index, 1);
    leaks_json_witness(writer, view->witness);
    dump_json_write_frame(json, "creator", one->creator);
    leaks_json_stack(json, one->stack);
    json_writer_end_object(writer);
}

/* Writes how a watch went, null after one look. */
static void leaks_json_watch(struct json_writer *writer, const struct leaks_watch *watch)
{
    if (watch->looks == 0) {
        json_writer_null(writer, "watch");
        return;
    }
    json_writer_begin_object(writer, "watch");
    json_writer_u64(writer, "looks", watch->looks);
    dump_json_write_time(writer, "first_look", watch->first_ns);
    dump_json_write_time(writer, "last_look", watch->last_ns);
    json_writer_u64(writer, "proofs_kept", watch->proofs_kept);
    json_writer_u64(writer, "proofs_lost", watch->proofs_lost);
    json_writer_known(writer, "descriptors_first", watch->descriptors_first);
    json_writer_known(writer, "descriptors_last", watch->descriptors_last);
    json_writer_known(writer, "threads_first", watch->threads_first);
    json_writer_known(writer, "threads_last", watch->threads_last);
    json_writer_bool(writer, "interrupted", watch->interrupted);
    json_writer_text(writer, "cut", watch->cut);
    json_writer_end_object(writer);
}

/* Writes the summary; HIDDEN findings are left out. */
static void leaks_json_summary(struct json_writer *writer, const struct leaks_view *view,
                               size_t hidden)
{
    const struct finding_list *findings = view->findings;
    json_writer_begin_object(writer, "summary");
    json_writer_u64(writer, "goroutines", findings->goroutines);
    json_writer_u64(writer, "proved", findings->proved);
    json_writer_u64(writer, "suspected", findings->suspected);
    json_writer_u64(writer, "waiting", findings->waiting);
    json_writer_u64(writer, "system", findings->system);
    json_writer_u64(writer, "unknown", findings->unknown);
    json_writer_u64(writer, "findings_hidden", hidden);
    json_writer_u64(writer, "stopped_ns", view->stopped_ns);
    json_writer_u64(writer, "stops", view->stops);
    json_writer_u64(writer, "copied_bytes", view->copied_bytes);
    json_writer_u64(writer, "analysis_ns", view->analysis_ns);
    json_writer_bool(writer, "consistent", view->consistent);
    json_writer_text(writer, "obstacle", view->obstacle);
    leaks_json_watch(writer, &view->watch);
    json_writer_end_object(writer);
}

/* A run of JSON. */
struct leaks_json {
    struct dump_json json;
    struct dump_view view;
    struct leaks_selection selection;
};

/* Sets RUN up. */
static struct error *leaks_json_init(struct leaks_json *run, const struct leaks_view *view,
                                     struct emit_sink *sink)
{
    run->view = (struct dump_view){.snapshot = view->snapshot, .style = view->style};
    run->json.view = &run->view;
    json_writer_init(&run->json.writer, sink);
    run->json.frames = calloc(snapshot_frame_count(view->snapshot) + 1, sizeof *run->json.frames);
    if (run->json.frames == NULL) {
        return error_no_memory();
    }
    TRY(leaks_selection_init(&run->selection, view));
    return wait_summarizer_init(&run->json.waits, view->snapshot);
}

/* Frees RUN. */
static void leaks_json_deinit(struct leaks_json *run)
{
    free(run->json.frames);
    arena_deinit(&run->json.texts);
    string_builder_deinit(&run->json.scratch);
    wait_summarizer_deinit(&run->json.waits);
    leaks_selection_deinit(&run->selection);
}

/* The place of the finding that INDEX waits behind, SIZE_MAX when there is none that is shown. */
static size_t leaks_json_head(const struct leaks_json *run, const struct leaks_view *view,
                              size_t index)
{
    size_t head = view->findings->items[index].head;
    return head == index ? SIZE_MAX : run->selection.places[head];
}

struct error *leaks_json_write(const struct leaks_view *view, struct emit_sink *sink)
{
    CLEANUP(leaks_json_deinit) struct leaks_json run = {0};
    TRY(leaks_json_init(&run, view, sink));
    struct json_writer *writer = &run.json.writer;
    json_writer_begin_object(writer, NULL);
    json_writer_text(writer, "schema", "unpark.leaks/1");
    dump_json_target(writer, view->snapshot);
    json_writer_begin_array(writer, "findings");
    for (size_t i = 0; i < run.selection.count && !emit_sink_failed(sink); i++) {
        size_t index = run.selection.items[i];
        leaks_json_finding(&run.json, NULL, view, &view->findings->items[index],
                           leaks_json_head(&run, view, index));
    }
    json_writer_end_array(writer);
    leaks_json_goroutine(&run.json, view);
    leaks_json_summary(writer, view, run.selection.hidden);
    json_writer_end_object(writer);
    emit_sink_add(sink, "\n");
    return emit_sink_flush(sink);
}

/* Writes finding INDEX as a line. */
static void leaks_json_line(struct leaks_json *run, const struct leaks_view *view, size_t index,
                            size_t head)
{
    struct json_writer *writer = &run->json.writer;
    json_writer_begin_object(writer, NULL);
    if (view->watch.looks == 0) {
        json_writer_null(writer, "look");
    } else {
        json_writer_u64(writer, "look", view->watch.looks);
    }
    leaks_json_finding(&run->json, "finding", view, &view->findings->items[index], head);
    json_writer_end_object(writer);
    emit_sink_add(writer->sink, "\n");
    json_writer_init(writer, writer->sink);
}

struct error *leaks_json_write_line(const struct leaks_view *view, size_t index,
                                    struct emit_sink *sink)
{
    CLEANUP(leaks_json_deinit) struct leaks_json run = {0};
    TRY(leaks_json_init(&run, view, sink));
    leaks_json_line(&run, view, index, SIZE_MAX);
    return emit_sink_flush(sink);
}

struct error *leaks_json_write_lines(const struct leaks_view *view, struct emit_sink *sink)
{
    CLEANUP(leaks_json_deinit) struct leaks_json run = {0};
    TRY(leaks_json_init(&run, view, sink));
    struct json_writer *writer = &run.json.writer;
    for (size_t i = 0; i < run.selection.count && !emit_sink_failed(sink); i++) {
        size_t index = run.selection.items[i];
        leaks_json_line(&run, view, index, leaks_json_head(&run, view, index));
    }
    json_writer_begin_object(writer, NULL);
    json_writer_text(writer, "schema", "unpark.leaks/1");
    dump_json_target(writer, view->snapshot);
    leaks_json_goroutine(&run.json, view);
    leaks_json_summary(writer, view, run.selection.hidden);
    json_writer_end_object(writer);
    emit_sink_add(sink, "\n");
    return emit_sink_flush(sink);
}
