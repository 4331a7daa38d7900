/* The lines that say what goroutines wait for. */
#include "emit/describe.h"
#include "emit/dump_text_internal.h"

/* Begins a line: "  waits to receive from ", or "     or to receive from " for further cases. */
static void dump_text_verb(struct dump_text *text, const struct wait_summary_item *item, bool first)
{
    const char *verb = describe_verb(item->kind, item->direction);
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

/* Appends when several timers are due. */
static void dump_text_due(struct dump_text *text, const struct wait_summary_item *item)
{
    if (item->due_min_ns == SNAPSHOT_UNKNOWN) {
        string_builder_add(&text->scratch, "due at unknown times");
        return;
    }
    string_builder_add(&text->scratch, "due in ");
    describe_duration(&text->scratch, item->due_min_ns);
    string_builder_add(&text->scratch, " to ");
    describe_duration(&text->scratch, item->due_max_ns);
}

/* Writes the line of one kind of object. */
static void dump_text_wait_item(struct dump_text *text, const struct wait_summary_item *item,
                                bool first)
{
    dump_text_verb(text, item, first);
    struct error *error = NULL;
    if (item->objects == 1) {
        error = describe_object(&text->scratch, text->view->snapshot, item->example);
    } else if (item->kind == OBJECT_TIMER) {
        dump_text_due(text, item);
    } else {
        string_builder_format(&text->scratch, "%llu %s", (unsigned long long)item->objects,
                              describe_plural(item->kind));
        if (item->kind != OBJECT_NIL_CHANNEL && item->kind != OBJECT_EMPTY_SELECT) {
            string_builder_add(&text->scratch, ", e.g. ");
            error = describe_object(&text->scratch, text->view->snapshot, item->example);
        }
    }
    emit_sink_fail(text->sink, error);
    emit_style_begin(&text->view->style, text->sink, EMIT_OBJECT);
    dump_text_flush_scratch(text);
    emit_style_end(&text->view->style, text->sink, EMIT_OBJECT);
    emit_sink_add(text->sink, "\n");
}

/* Writes the wait lines. */
void dump_text_write_waits(struct dump_text *text, const struct dump_text_record *record)
{
    struct wait_summary summary;
    wait_summarizer_sum(&text->waits, record->members, record->count, &summary);
    for (size_t i = 0; i < summary.count; i++) {
        dump_text_wait_item(text, &summary.items[i], i == 0 || !summary.alternatives);
    }
    if (summary.more > 0) {
        emit_sink_format(text->sink, "     or on %llu other things\n",
                         (unsigned long long)summary.more);
    }
    bool expected = record->first->status == GOROUTINE_STATUS_WAITING &&
                    describe_has_object((enum wait_reason)record->first->wait_reason);
    if (summary.without == record->count && expected) {
        emit_sink_add(text->sink, "  waits on something unknown\n");
    } else if (summary.without > 0 && expected) {
        emit_sink_format(text->sink, "  %zu of them on something unknown\n", summary.without);
    }
}
