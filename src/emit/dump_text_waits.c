/* The lines that say what goroutines wait for. */
#include "emit/describe.h"
#include "emit/describe_waits.h"
#include "emit/dump_text_internal.h"

enum { DUMP_TEXT_CASES = 64 };

/* Begins a line: "  waits to receive from ", or "     or to receive from " for further cases. */
static void dump_text_verb(struct dump_text *text, enum snapshot_object_kind kind,
                           enum snapshot_direction direction, bool first)
{
    const char *verb = describe_verb(kind, direction);
    if (first) {
        string_builder_add(&text->scratch, "  ");
        string_builder_add(&text->scratch, verb);
        return;
    }
    static const char waits[] = "waits ";
    if (strncmp(verb, waits, sizeof waits - 1) == 0) {
        verb += sizeof waits - 1;
    }
    string_builder_format(&text->scratch, "     or %s", verb);
}

/* Ends the line of an object. */
static void dump_text_wait_end(struct dump_text *text)
{
    emit_style_begin(&text->view->style, text->sink, EMIT_OBJECT);
    dump_text_flush_scratch(text);
    emit_style_end(&text->view->style, text->sink, EMIT_OBJECT);
    emit_sink_add(text->sink, "\n");
}

/* Writes the line of one kind of object. */
static void dump_text_wait_item(struct dump_text *text, const struct wait_summary_item *item,
                                bool first)
{
    dump_text_verb(text, item->kind, item->direction, first);
    emit_sink_fail(text->sink, describe_waits_object(&text->scratch, text->view->snapshot, item));
    dump_text_wait_end(text);
}

/* Writes every case of one goroutine. */
static void dump_text_write_cases(struct dump_text *text,
                                  const struct snapshot_goroutine *goroutine)
{
    struct snapshot *snapshot = text->view->snapshot;
    size_t count;
    const struct snapshot_wait *waits = snapshot_waits(snapshot, goroutine, &count);
    for (size_t i = 0; i < count && i < DUMP_TEXT_CASES; i++) {
        const struct snapshot_object *object = snapshot_object(snapshot, waits[i].object);
        dump_text_verb(text, (enum snapshot_object_kind)object->kind,
                       (enum snapshot_direction)waits[i].direction, i == 0);
        emit_sink_fail(text->sink, describe_object(&text->scratch, snapshot, waits[i].object));
        dump_text_wait_end(text);
    }
    if (count > DUMP_TEXT_CASES) {
        emit_sink_format(text->sink, "     or on %zu other things\n", count - DUMP_TEXT_CASES);
    }
}

/* Writes what a group waits for; returns how many goroutines' waits are not known. */
static uint64_t dump_text_write_summed(struct dump_text *text,
                                       const struct dump_text_record *record)
{
    struct wait_summary summary;
    if (snapshot_object_count(text->view->snapshot) == 0) {
        return record->goroutines;
    }
    wait_summarizer_sum(&text->waits, record->members, record->count, &summary);
    for (size_t i = 0; i < summary.count; i++) {
        dump_text_wait_item(text, &summary.items[i], i == 0 || !summary.alternatives);
    }
    if (summary.more > 0) {
        emit_sink_format(text->sink, "     or on %llu other things\n",
                         (unsigned long long)summary.more);
    }
    return summary.without;
}

/* Writes the wait lines. */
void dump_text_write_waits(struct dump_text *text, const struct dump_text_record *record)
{
    uint64_t without = record->first->wait_count == 0 ? record->first->count : 0;
    if (record->count == 1) {
        dump_text_write_cases(text, record->first);
    } else {
        without = dump_text_write_summed(text, record);
    }
    bool expected = !text->no_waits && record->first->status == GOROUTINE_STATUS_WAITING &&
                    describe_has_object((enum wait_reason)record->first->wait_reason);
    if (without == record->goroutines && expected) {
        emit_sink_add(text->sink, "  waits on something unknown\n");
    } else if (without > 0 && expected) {
        emit_sink_format(text->sink, "  %llu of them on something unknown\n",
                         (unsigned long long)without);
    }
}
