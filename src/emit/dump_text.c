/* The default output, for people: records of a few lines, then the stack, innermost frame first. */
#include "base/cleanup.h"
#include "emit/describe.h"
#include "emit/dump_text_internal.h"

enum { DUMP_TEXT_INDENT = 4, DUMP_TEXT_WAITERS = 20 };

/* Finds out what an account does not tell at all. */
static void dump_text_find_untold(struct dump_text *text)
{
    size_t count;
    const struct snapshot *snapshot = text->view->snapshot;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(snapshot, &count);
    bool account = count > 0 && dump_is_account(snapshot);
    text->no_ages = text->no_waits = text->no_labels = account;
    for (size_t i = 0; i < count && account; i++) {
        text->no_ages = text->no_ages && goroutines[i].age_ns == SNAPSHOT_UNKNOWN;
        text->no_labels = text->no_labels && (goroutines[i].flags & GOROUTINE_LABELS_UNKNOWN) != 0;
        for (uint32_t j = 0; j < goroutines[i].wait_count && text->no_waits; j++) {
            const struct snapshot_wait *waits =
                snapshot_waits(snapshot, &goroutines[i], &(size_t){0});
            uint8_t kind = snapshot_object(snapshot, waits[j].object)->kind;
            text->no_waits = kind == OBJECT_NIL_CHANNEL || kind == OBJECT_EMPTY_SELECT;
        }
    }
}

/* Sets a run up. */
static struct error *dump_text_init(struct dump_text *text, const struct dump_view *view,
                                    struct emit_sink *sink)
{
    *text = (struct dump_text){.view = view, .sink = sink};
    TRY(stack_text_init(&text->stacks, view->snapshot, &view->style, sink));
    text->stacks.user_frames = view->user_frames;
    dump_text_find_untold(text);
    return wait_summarizer_init(&text->waits, view->snapshot);
}

/* Frees a run. */
static void dump_text_deinit(struct dump_text *text)
{
    stack_text_deinit(&text->stacks);
    wait_summarizer_deinit(&text->waits);
    string_builder_deinit(&text->scratch);
}

/* Who created the members: they share the frame, perhaps not the parent. */
static struct stack_text_creator dump_text_creator(const struct dump_text_record *record)
{
    return (struct stack_text_creator){
        .frame = record->first->creator,
        .parent = record->first->parent,
        .several = record->parents_differ,
        .unknown = (record->flags & GOROUTINE_CREATOR_UNKNOWN) != 0,
    };
}

/* Writes why there is no stack, and where the goroutine began. */
static void dump_text_write_no_stack(struct dump_text *text,
                                     const struct snapshot_goroutine *goroutine)
{
    emit_sink_add_spaces(text->sink, DUMP_TEXT_INDENT);
    bool account = dump_is_account(text->view->snapshot);
    emit_sink_add(text->sink, account ? "stack not told\n"
                              : goroutine->status == GOROUTINE_STATUS_RUNNING
                                  ? "stack not read: it was running (--stop reads it)\n"
                                  : "stack not read\n");
    if (goroutine->start != 0) {
        emit_sink_add_spaces(text->sink, DUMP_TEXT_INDENT);
        emit_sink_add(text->sink, "started as ");
        stack_text_write_frame(&text->stacks, goroutine->start);
        emit_sink_add(text->sink, "\n");
    }
}

/* Writes stack and creator. */
static void dump_text_write_stack(struct dump_text *text, const struct dump_text_record *record)
{
    if (record->first->stack == 0) {
        dump_text_write_no_stack(text, record->first);
    }
    struct stack_text_creator creator = dump_text_creator(record);
    stack_text_write(&text->stacks, record->first->stack, &creator, DUMP_TEXT_INDENT);
    emit_sink_add(text->sink, "\n");
}

/* The record of one goroutine; INDEX must live as long. */
static struct dump_text_record dump_text_single(const struct snapshot *snapshot,
                                                const uint32_t *index)
{
    size_t all;
    const struct snapshot_goroutine *goroutine = &snapshot_goroutines(snapshot, &all)[*index];
    return (struct dump_text_record){
        .first = goroutine,
        .members = index,
        .count = 1,
        .goroutines = goroutine->count,
        .flags = goroutine->flags,
        .age_min_ns = goroutine->age_ns,
        .age_max_ns = goroutine->age_ns,
        .age_unknown = goroutine->age_ns == SNAPSHOT_UNKNOWN ? goroutine->count : 0,
    };
}

/* Writes the groups; returns how many goroutines they hold. */
static uint64_t dump_text_write_groups(struct dump_text *text, size_t limit)
{
    size_t all;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(text->view->snapshot, &all);
    uint64_t shown = 0;
    for (size_t i = 0; i < limit && !emit_sink_failed(text->sink); i++) {
        const struct group *group = &text->view->groups->items[i];
        struct dump_text_record record = {
            .first = &goroutines[group->members[0]],
            .members = group->members,
            .count = group->count,
            .goroutines = group->goroutines,
            .flags = group->flags,
            .age_min_ns = group->age_min_ns,
            .age_max_ns = group->age_max_ns,
            .age_unknown = group->age_unknown,
            .labels_differ = group->labels_differ,
            .parents_differ = group->parents_differ,
        };
        dump_text_write_head(text, &record);
        dump_text_write_stack(text, &record);
        shown += group->goroutines;
    }
    return shown;
}

/* Writes goroutines singly; returns how many. */
static uint64_t dump_text_write_each(struct dump_text *text, size_t limit)
{
    uint64_t shown = 0;
    for (size_t i = 0; i < limit && !emit_sink_failed(text->sink); i++) {
        uint32_t index = (uint32_t)dump_view_index(text->view, i);
        struct dump_text_record record = dump_text_single(text->view->snapshot, &index);
        dump_text_write_head(text, &record);
        dump_text_write_stack(text, &record);
        shown += record.goroutines;
    }
    return shown;
}

/* Writes the whole output. */
struct error *dump_text_write(const struct dump_view *view, struct emit_sink *sink)
{
    CLEANUP(dump_text_deinit) struct dump_text text = {0};
    TRY(dump_text_init(&text, view, sink));
    dump_text_write_program(&text);
    bool grouped = view->groups != NULL;
    size_t limit = dump_limit(view, grouped ? view->groups->count : dump_view_count(view));
    uint64_t shown =
        grouped ? dump_text_write_groups(&text, limit) : dump_text_write_each(&text, limit);
    dump_text_write_summary(&text, shown);
    return emit_sink_flush(sink);
}

/* Writes a line "  started as main.worker  file:line". */
static void dump_text_write_start(struct dump_text *text,
                                  const struct snapshot_goroutine *goroutine)
{
    if (goroutine->address != 0) {
        emit_sink_add(text->sink, "  g ");
        emit_sink_add_hex(text->sink, goroutine->address);
        emit_sink_add(text->sink, "\n");
    }
    if (goroutine->start != 0) {
        emit_sink_add(text->sink, "  started as ");
        stack_text_write_frame(&text->stacks, goroutine->start);
        emit_sink_add(text->sink, "\n");
    }
}

/* Writes who else waits on the object of WAIT. */
static struct error *dump_text_write_waiters(struct dump_text *text, size_t index,
                                             const struct snapshot_wait *wait)
{
    size_t all;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(text->view->snapshot, &all);
    const uint32_t *waiters;
    const uint8_t *directions;
    size_t count;
    TRY(snapshot_object_waiters(text->view->snapshot, wait->object, &waiters, &directions, &count));
    TRY(describe_object(&text->scratch, text->view->snapshot, wait->object));
    emit_sink_add(text->sink, "  others at ");
    dump_text_flush_scratch(text);
    emit_sink_add(text->sink, ":");
    size_t shown = 0;
    size_t others = 0;
    for (size_t i = 0; i < count; i++) {
        if (waiters[i] == index) {
            continue;
        }
        others++;
        if (shown < DUMP_TEXT_WAITERS) {
            emit_sink_format(text->sink, "%s %llu (%s)", shown == 0 ? "" : ",",
                             (unsigned long long)goroutines[waiters[i]].id,
                             describe_direction((enum snapshot_direction)directions[i]));
            shown++;
        }
    }
    if (others == 0) {
        emit_sink_add(text->sink, " none");
    } else if (others > shown) {
        emit_sink_format(text->sink, " and %zu more", others - shown);
    }
    emit_sink_add(text->sink, "\n");
    return NULL;
}

/* Writes one goroutine in detail. */
struct error *dump_text_write_goroutine(const struct dump_view *view, size_t index,
                                        struct emit_sink *sink)
{
    CLEANUP(dump_text_deinit) struct dump_text text = {0};
    TRY(dump_text_init(&text, view, sink));
    uint32_t member = (uint32_t)index;
    struct dump_text_record record = dump_text_single(view->snapshot, &member);
    dump_text_write_program(&text);
    dump_text_write_head(&text, &record);
    dump_text_write_start(&text, record.first);
    size_t count;
    const struct snapshot_wait *waits = snapshot_waits(view->snapshot, record.first, &count);
    for (size_t i = 0; i < count && !emit_sink_failed(sink); i++) {
        if (snapshot_object(view->snapshot, waits[i].object)->address != 0) {
            TRY(dump_text_write_waiters(&text, index, &waits[i]));
        }
    }
    dump_text_write_stack(&text, &record);
    return emit_sink_flush(sink);
}
