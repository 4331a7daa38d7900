/* Which ranges the spans of a view need: their objects where those hold pointers, and what is known
 * of their arenas. Inside the stop only spans that differ from what the survey saw cost more than a
 * look at their mspan. Sources: heap.c, roots_specials.c. */
#include "base/bytes.h"
#include "base/cleanup.h"
#include "goruntime/freeze_survey.h"
#include "goruntime/heap_internal.h"
#include "goruntime/roots.h"
#include <pthread.h>
#include <stdlib.h>

enum {
    FREEZE_SPANS_SHARED = 1 << 13,    /* from so many spans on two threads look at them */
    FREEZE_ARENA_STEPS_MAX = 1 << 23, /* twice the arenas of the address space */
    FREEZE_ALLSPANS_ROOM = 64 << 10   /* bytes of the list that may be filled meanwhile */
};

/* What one thread looks at and finds. */
struct freeze_spans {
    struct goruntime *runtime;
    const struct freeze_survey *before; /* or NULL: this is the first look */
    const uint8_t *list;                /* mheap_.allspans in the copy, and what to look at of it */
    size_t first, end;
    struct freeze_span *seen; /* to be filled in, by place in mheap_.allspans, or NULL */
    struct freeze_survey survey;
    VECTOR(struct heap_span) hung; /* with specials or pinned objects */
    struct hash_map arenas;        /* numbers of those that hold spans */
    uint64_t last_arena;
    size_t arena_steps;
    struct error *error;
    pthread_t thread;
    bool started;
};

/* Frees what SPANS found. */
static void freeze_spans_deinit(struct freeze_spans *spans)
{
    freeze_survey_deinit(&spans->survey);
    vector_deinit(&spans->hung);
    hash_map_deinit(&spans->arenas);
    error_destroy(spans->error);
}

/* Notes the arenas of SPAN. */
static struct error *freeze_spans_arenas(struct freeze_spans *spans, const struct heap_span *span)
{
    uint64_t last =
        (span->start + ((uint64_t)span->pages << HEAP_PAGE_SHIFT) - 1) >> HEAP_ARENA_SHIFT;
    for (uint64_t number = span->start >> HEAP_ARENA_SHIFT; number <= last; number++) {
        if (number != spans->last_arena && spans->arena_steps++ < FREEZE_ARENA_STEPS_MAX) {
            TRY(hash_map_put(&spans->arenas, number, 0));
            spans->last_arena = number;
        }
    }
    return NULL;
}

/* Takes one span in use, at PLACE of mheap_.allspans. */
static struct error *freeze_spans_take(struct freeze_spans *spans, const struct heap_span *span,
                                       uint64_t place)
{
    TRY(freeze_spans_arenas(spans, span));
    if (spans->before != NULL && (span->specials != 0 || span->pins != 0)) {
        TRY(vector_append(&spans->hung, *span));
    }
    if (span->map == HEAP_MAP_NONE) {
        return NULL;
    }
    struct freeze_span now = {span->address, span->start, span->pages};
    if (spans->seen != NULL) {
        spans->seen[place] = now;
    }
    if (spans->before != NULL && place < spans->before->span_count) {
        const struct freeze_span *seen = &spans->before->spans[place];
        if (seen->address == now.address && seen->start == now.start && seen->pages == now.pages) {
            return NULL; /* it was copied with what the survey found */
        }
    }
    return freeze_survey_add(&spans->survey, span->start, (uint64_t)span->pages << HEAP_PAGE_SHIFT);
}

/* Takes one mspan; BYTES is NULL when it cannot be read. */
static struct error *freeze_visit_span(void *context, const struct gather_item *item,
                                       const uint8_t *bytes)
{
    struct freeze_spans *spans = context;
    struct heap_span span = {.address = item->address};
    if (bytes == NULL ||
        heap_decode_span(spans->runtime->layout, bytes, &span) != HEAP_SPAN_IN_USE) {
        return NULL;
    }
    return freeze_spans_take(spans, &span, item->tag);
}

/* Takes the mspans in the open copy. */
static struct error *freeze_spans_look(struct freeze_spans *spans)
{
    struct target *target = spans->runtime->target;
    size_t size = (size_t)spans->runtime->layout->mspan.size;
    CLEANUP_FREE uint8_t *buffer = malloc(size);
    if (buffer == NULL) {
        return error_no_memory();
    }
    for (size_t i = spans->first; i < spans->end; i++) {
        struct gather_item item = {bytes_u64(spans->list + i * 8), i};
        const uint8_t *bytes = target_view(target, item.address, size);
        if (bytes == NULL && item.address != 0) { /* a new one */
            struct error *error = target_read(target, item.address, buffer, size);
            bytes = error == NULL ? buffer : NULL;
            if (error != NULL && !error_catch(&error, ERROR_FAULT)) {
                return error;
            }
        }
        TRY(freeze_visit_span(spans, &item, bytes));
    }
    return NULL;
}

/* A thread's function. */
static void *freeze_spans_main(void *argument)
{
    struct freeze_spans *spans = argument;
    spans->error = freeze_spans_look(spans);
    return NULL;
}

/* Adds what is known of the arenas of SPANS: where it is, what marks their spans with inline mark
 * bits, and up to 1.21 their pointer bitmaps (later they stand in the spans). */
static struct error *freeze_spans_add_arenas(const struct freeze_spans *spans,
                                             struct freeze_survey *survey)
{
    struct goruntime *runtime = spans->runtime;
    const struct layout *layout = runtime->layout;
    int32_t marks = layout->heap_arena.page_use_span_inline_mark_bits;
    uint64_t l2 = 0;
    TRY(target_read(runtime->target,
                    runtime->globals.mheap + (uint64_t)(uint32_t)layout->mheap.arenas, &l2,
                    sizeof l2));
    for (size_t i = 0; i < spans->arenas.capacity; i++) {
        uint64_t number = spans->arenas.slots[i].key;
        uint64_t slot = l2 + heap_arena_index(layout, number) * 8;
        uint64_t arena = 0;
        if (number == 0) {
            continue;
        }
        TRY(freeze_survey_add(survey, slot, sizeof arena));
        struct error *error = target_read(runtime->target, slot, &arena, sizeof arena);
        if (error_catch(&error, ERROR_FAULT) || arena == 0) {
            continue;
        }
        TRY(error);
        if (marks != LAYOUT_ABSENT) {
            TRY(freeze_survey_add(survey, arena + (uint64_t)(uint32_t)marks, HEAP_ARENA_PAGES / 8));
        }
        if (layout->minor <= 21) {
            TRY(freeze_survey_add(survey, arena, (uint64_t)layout->heap_arena.spans));
        }
    }
    return NULL;
}

/* Moves the ranges and arenas that SPANS found to SURVEY. */
static struct error *freeze_spans_take_over(const struct freeze_spans *spans,
                                            struct freeze_survey *survey)
{
    for (size_t i = 0; i < spans->survey.ranges.count; i++) {
        const struct copy_range *range = &spans->survey.ranges.items[i];
        TRY(freeze_survey_add(survey, range->address, range->size));
    }
    return freeze_spans_add_arenas(spans, survey);
}

struct error *freeze_survey_spans(struct goruntime *runtime, struct freeze_survey *survey)
{
    CLEANUP_FREE struct gather_item *items = NULL;
    struct freeze_spans spans CLEANUP(freeze_spans_deinit) = {.runtime = runtime};
    uint64_t size = (uint64_t)(uint32_t)runtime->layout->mspan.size;
    uint64_t list = 0;
    size_t places = 0;
    size_t count = 0;
    TRY(heap_span_list(runtime, &list, &places));
    TRY(freeze_survey_add(survey, list, places * sizeof list + FREEZE_ALLSPANS_ROOM));
    TRY(heap_span_addresses(runtime, &items, &count));
    for (size_t i = 0; i < count; i++) {
        TRY(freeze_survey_add(survey, items[i].address, size));
    }
    places = count == 0 ? 0 : (size_t)items[count - 1].tag + 1;
    survey->spans = calloc(places + 1, sizeof *survey->spans);
    if (survey->spans == NULL) {
        return error_no_memory();
    }
    survey->span_count = places;
    spans.seen = survey->spans;
    TRY(gather_visit(runtime->target, items, count, (size_t)size, freeze_visit_span, &spans));
    return freeze_spans_take_over(&spans, survey);
}

/* Moves the spans with specials or pinned objects that SPANS found to SURVEY. */
static struct error *freeze_spans_take_hung(const struct freeze_spans *spans,
                                            struct freeze_survey *survey)
{
    for (size_t i = 0; i < spans->hung.count; i++) {
        TRY(vector_append(&survey->hung, spans->hung.items[i]));
    }
    return NULL;
}

struct error *freeze_survey_new_spans(struct goruntime *runtime, const struct freeze_survey *before,
                                      struct freeze_survey *survey)
{
    CLEANUP_FREE uint8_t *owned = NULL;
    const uint8_t *list = NULL;
    size_t count = 0;
    TRY(heap_span_pointers(runtime, &owned, &list, &count));
    size_t half = count < FREEZE_SPANS_SHARED ? 0 : count / 2;
    struct freeze_spans halves[2] = {
        {.runtime = runtime, .before = before, .list = list, .end = half},
        {.runtime = runtime, .before = before, .list = list, .first = half, .end = count}};
    halves[0].survey.held = halves[1].survey.held = survey->held;
    halves[0].started =
        half > 0 && pthread_create(&halves[0].thread, NULL, freeze_spans_main, &halves[0]) == 0;
    (void)freeze_spans_main(&halves[1]);
    if (halves[0].started) {
        (void)pthread_join(halves[0].thread, NULL);
    } else {
        (void)freeze_spans_main(&halves[0]);
    }
    struct error *error = NULL;
    for (size_t i = 0; i < 2; i++) {
        error = error == NULL ? TAKE(halves[i].error) : error;
        error = error == NULL ? freeze_spans_take_over(&halves[i], survey) : error;
        error = error == NULL ? freeze_spans_take_hung(&halves[i], survey) : error;
        freeze_spans_deinit(&halves[i]);
    }
    return error;
}

/* Visits nothing: the visit itself is what fetches. */
static void freeze_touch(void *context, uint64_t slot, uint64_t value)
{
    (void)context;
    (void)slot;
    (void)value;
}

struct error *freeze_survey_lists(struct goruntime *runtime, const struct freeze_survey *survey)
{
    bool complete;
    /* No page table: what objects with finalizers point to is looked at after the stop. */
    struct heap heap = {
        .runtime = runtime, .spans = survey->hung.items, .span_count = survey->hung.count};
    TRY(roots_specials(runtime, &heap, freeze_touch, NULL, &complete));
    return roots_threads(runtime, freeze_touch, NULL, &complete);
}
