#include "emit/describe_waits.h"
#include "emit/describe.h"
#include <string.h>

/* Appends when several timers are due. */
static void describe_waits_due(struct string_builder *builder, const struct wait_summary_item *item)
{
    if (item->due_min_ns == SNAPSHOT_UNKNOWN) {
        string_builder_add(builder, "due at unknown times");
        return;
    }
    string_builder_add(builder, "due in ");
    describe_duration(builder, item->due_min_ns);
    string_builder_add(builder, " to ");
    describe_duration(builder, item->due_max_ns);
}

/* Appends what an item stands for. */
struct error *describe_waits_object(struct string_builder *builder, struct snapshot *snapshot,
                                    const struct wait_summary_item *item)
{
    if (item->objects == 1) {
        return describe_object(builder, snapshot, item->example);
    }
    if (item->kind == OBJECT_TIMER) {
        describe_waits_due(builder, item);
        return NULL;
    }
    string_builder_format(builder, "%llu %s", (unsigned long long)item->objects,
                          describe_plural(item->kind));
    if (item->kind == OBJECT_NIL_CHANNEL || item->kind == OBJECT_EMPTY_SELECT) {
        return NULL;
    }
    string_builder_add(builder, ", e.g. ");
    return describe_object(builder, snapshot, item->example);
}

/* Appends all items. */
struct error *describe_waits_line(struct string_builder *builder, struct snapshot *snapshot,
                                  const struct wait_summary *summary)
{
    static const char waits[] = "waits ";
    for (size_t i = 0; i < summary->count; i++) {
        const struct wait_summary_item *item = &summary->items[i];
        const char *verb = describe_verb(item->kind, item->direction);
        if (i > 0) {
            string_builder_add(builder, " or ");
            verb += strncmp(verb, waits, sizeof waits - 1) == 0 ? sizeof waits - 1 : 0;
        }
        string_builder_add(builder, verb);
        TRY(describe_waits_object(builder, snapshot, item));
    }
    if (summary->more > 0) {
        string_builder_format(builder, " or on %llu other things",
                              (unsigned long long)summary->more);
    }
    return NULL;
}
