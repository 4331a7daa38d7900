/* What a proof reads, as ranges: found without a stop to make memory ready, and again inside the
 * stop to copy what is new. Source of what must be copied: go-runtime.md 6; freezing.md, section 2.
 */
#include "goruntime/freeze_survey.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "goruntime/goroutine_reader.h"
#include "goruntime/heap_internal.h"
#include "goruntime/roots.h"
#include "goruntime/roots_foreign.h"
#include <stdlib.h>
#include <string.h>

enum {
    FREEZE_SUDOG_LEVELS = 1 << 16, /* cases of one select */
    FREEZE_SUDOGS_MAX = 1 << 26,
    FREEZE_AROUND_SEMAPHORE = 64, /* bytes before and behind: the primitive that holds it */
    FREEZE_BATCH = 1 << 16
};

void freeze_survey_deinit(struct freeze_survey *survey)
{
    vector_deinit(&survey->ranges);
    survey->bytes = 0;
}

/* Adds SIZE bytes at ADDRESS. */
static struct error *freeze_add(struct freeze_survey *survey, uint64_t address, uint64_t size)
{
    struct copy_range range = {address, size};
    if (size == 0 || address + size < address) {
        return NULL;
    }
    survey->bytes += size;
    return vector_append(&survey->ranges, range);
}

/* Adds the writable sections of every module and the masks of its data and bss. */
static struct error *freeze_survey_modules(struct goruntime *runtime, struct freeze_survey *survey)
{
    for (size_t i = 0; i < image_module_count(runtime->image); i++) {
        const struct module_tables *tables = module_tables(image_module(runtime->image, i));
        const uint64_t sections[4][2] = {{tables->noptrdata, tables->enoptrdata},
                                         {tables->data, tables->edata},
                                         {tables->bss, tables->ebss},
                                         {tables->noptrbss, tables->enoptrbss}};
        for (size_t j = 0; j < 4; j++) {
            if (sections[j][1] > sections[j][0]) {
                TRY(freeze_add(survey, sections[j][0], sections[j][1] - sections[j][0]));
            }
        }
        TRY(freeze_add(survey, tables->gcdatamask, tables->gcdatamask_bits / 8 + 1));
        TRY(freeze_add(survey, tables->gcbssmask, tables->gcbssmask_bits / 8 + 1));
    }
    return NULL;
}

struct error *freeze_survey_tables(struct goruntime *runtime, struct freeze_survey *survey)
{
    CLEANUP_FREE struct gather_item *spans = NULL;
    size_t count = 0;
    TRY(freeze_survey_modules(runtime, survey));
    TRY(heap_span_addresses(runtime, &spans, &count));
    for (size_t i = 0; i < count; i++) {
        TRY(freeze_add(survey, spans[i].address, (uint64_t)(uint32_t)runtime->layout->mspan.size));
    }
    return NULL;
}

/* Adds the pointer bitmaps of the arenas that hold SPANS (up to 1.21; later they stand in the
 * spans). */
static struct error *freeze_survey_bitmaps(struct goruntime *runtime, const struct heap *heap,
                                           struct freeze_survey *survey)
{
    const struct layout *layout = runtime->layout;
    uint8_t word[8];
    uint64_t last = UINT64_MAX;
    TRY(target_read(runtime->target,
                    runtime->globals.mheap + (uint64_t)(uint32_t)layout->mheap.arenas, word,
                    sizeof word));
    uint64_t l2 = bytes_u64(word);
    for (size_t i = 0; i < heap->span_count; i++) {
        const struct heap_span *span = &heap->spans[i];
        uint64_t end =
            (span->start + ((uint64_t)span->pages << HEAP_PAGE_SHIFT) - 1) >> HEAP_ARENA_SHIFT;
        for (uint64_t number = span->start >> HEAP_ARENA_SHIFT; number <= end; number++) {
            if (number == last) {
                continue;
            }
            last = number;
            TRY(target_read(runtime->target, l2 + heap_arena_index(layout, number) * 8, word,
                            sizeof word));
            if (layout->minor <= 21) {
                TRY(freeze_add(survey, bytes_u64(word), (uint64_t)layout->heap_arena.spans));
            }
        }
    }
    return NULL;
}

struct error *freeze_survey_spans(struct goruntime *runtime, struct freeze_survey *survey)
{
    struct heap heap = {.runtime = runtime};
    struct error *error = heap_read_spans(&heap);
    for (size_t i = 0; error == NULL && i < heap.span_count; i++) {
        const struct heap_span *span = &heap.spans[i];
        if (span->map != HEAP_MAP_NONE) {
            error = freeze_add(survey, span->start, (uint64_t)span->pages << HEAP_PAGE_SHIFT);
        }
    }
    if (error == NULL && heap.span_count > 0) {
        error = freeze_survey_bitmaps(runtime, &heap, survey);
    }
    free(heap.spans);
    return error;
}

/* The sudogs to look at next, and where what they wait on goes. */
struct freeze_sudogs {
    const struct layout *layout;
    struct freeze_survey *survey;
    VECTOR(struct gather_item) next;
    size_t seen;
};

/* Adds what one sudog waits on, and queues the next case of a select. */
static struct error *freeze_visit_sudog(void *context, const struct gather_item *item,
                                        const uint8_t *bytes)
{
    struct freeze_sudogs *sudogs = context;
    const struct layout *layout = sudogs->layout;
    if (bytes == NULL || sudogs->seen++ > FREEZE_SUDOGS_MAX) {
        return NULL;
    }
    uint64_t channel = bytes_u64(bytes + layout->sudog.c);
    uint64_t element = bytes_u64(bytes + layout->sudog.elem);
    uint64_t link = bytes_u64(bytes + layout->sudog.waitlink);
    if (channel != 0) {
        TRY(freeze_add(sudogs->survey, channel, (uint64_t)(uint32_t)layout->hchan.size));
        if (link != 0) {
            TRY(vector_append(&sudogs->next, ((struct gather_item){link, item->tag})));
        }
    } else if (element > FREEZE_AROUND_SEMAPHORE) {
        TRY(freeze_add(sudogs->survey, element - FREEZE_AROUND_SEMAPHORE,
                       2 * FREEZE_AROUND_SEMAPHORE));
    }
    return NULL;
}

/* Follows the sudogs queued in SUDOGS, one case of every select at a time. */
static struct error *freeze_follow_sudogs(struct goruntime *runtime, struct freeze_sudogs *sudogs)
{
    for (size_t level = 0; sudogs->next.count > 0 && level < FREEZE_SUDOG_LEVELS; level++) {
        struct gather_item *items = sudogs->next.items;
        size_t count = sudogs->next.count;
        memset(&sudogs->next, 0, sizeof sudogs->next);
        struct error *error =
            gather_visit(runtime->target, items, count, (size_t)sudogs->layout->sudog.size,
                         freeze_visit_sudog, sudogs);
        free(items);
        TRY(error);
    }
    return NULL;
}

/* Adds the used stack of one goroutine and queues its sudogs. */
static struct error *freeze_survey_goroutine(const struct goroutine_record *record,
                                             struct freeze_survey *survey,
                                             struct freeze_sudogs *sudogs)
{
    if (!goroutine_is_alive(record) || record->stack_lo >= record->stack_hi) {
        return NULL;
    }
    /* Who has an m outside of system calls executes, whatever its status says. */
    bool parked = record->status != GOROUTINE_STATUS_RUNNING &&
                  record->status != GOROUTINE_STATUS_COPYSTACK &&
                  (record->m == 0 || record->status == GOROUTINE_STATUS_SYSCALL) &&
                  record->sp >= record->stack_lo && record->sp < record->stack_hi;
    uint64_t low = parked ? record->sp : record->stack_lo;
    TRY(freeze_add(survey, low, record->stack_hi - low));
    if (record->waiting != 0) {
        TRY(vector_append(&sudogs->next, ((struct gather_item){record->waiting, 0})));
    }
    return NULL;
}

/* Reads the goroutines at LIST in batches and adds what each needs. */
static struct error *freeze_read_goroutines(struct goruntime *runtime, const uint64_t *list,
                                            size_t count, struct freeze_survey *survey,
                                            struct freeze_sudogs *sudogs)
{
    size_t batch = count < FREEZE_BATCH ? count : FREEZE_BATCH;
    CLEANUP_FREE struct gather_item *items = reallocarray(NULL, 2 * batch + 1, sizeof *items);
    CLEANUP_FREE struct goroutine_record *records = reallocarray(NULL, batch + 1, sizeof *records);
    struct bulk *bulk = NULL;
    if (items == NULL || records == NULL) {
        return error_no_memory();
    }
    struct error *error = bulk_create(runtime->target, &bulk);
    for (size_t first = 0; error == NULL && first < count; first += batch) {
        size_t some = count - first < batch ? count - first : batch;
        for (size_t i = 0; i < some; i++) {
            items[i] = (struct gather_item){list[first + i], bulk_tag(0, (uint32_t)i)};
        }
        error = goroutine_read(bulk, runtime->layout, items, items + batch, some, records);
        for (size_t i = 0; error == NULL && i < some; i++) {
            error = freeze_survey_goroutine(&records[i], survey, sudogs);
        }
    }
    bulk_destroy(bulk);
    return error;
}

struct error *freeze_survey_goroutines(struct goruntime *runtime, struct freeze_survey *survey)
{
    CLEANUP_FREE uint64_t *list = NULL;
    size_t count = 0;
    struct freeze_sudogs sudogs = {.layout = runtime->layout, .survey = survey};
    TRY(goroutine_list(runtime, &list, &count));
    struct error *error = freeze_read_goroutines(runtime, list, count, survey, &sudogs);
    if (error == NULL) {
        error = freeze_follow_sudogs(runtime, &sudogs);
    }
    vector_deinit(&sudogs.next);
    return error;
}

struct error *freeze_survey_foreign(struct goruntime *runtime, struct freeze_survey *survey)
{
    CLEANUP_FREE struct copy_range *ranges = NULL;
    size_t count = 0;
    TRY(roots_foreign_ranges(runtime, &ranges, &count));
    for (size_t i = 0; i < count; i++) {
        TRY(freeze_add(survey, ranges[i].address, ranges[i].size));
    }
    return NULL;
}

/* Visits nothing: the visit itself is what fetches. */
static void freeze_touch(void *context, uint64_t slot, uint64_t value)
{
    (void)context;
    (void)slot;
    (void)value;
}

struct error *freeze_survey_lists(struct goruntime *runtime)
{
    struct heap *heap = NULL;
    bool complete;
    TRY(heap_create(runtime, &heap));
    struct error *error = roots_specials(runtime, heap, freeze_touch, NULL, &complete);
    if (error == NULL) {
        error = roots_threads(runtime, freeze_touch, NULL, &complete);
    }
    heap_destroy(heap);
    return error;
}
