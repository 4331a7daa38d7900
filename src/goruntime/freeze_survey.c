/* What a proof reads, as ranges: found without a stop to make memory ready, and again inside the
 * stop to copy what is new. Source of what must be copied: go-runtime.md 6; freezing.md, section 2.
 */
#include "goruntime/freeze_survey.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "goruntime/heap_internal.h"
#include "goruntime/roots.h"
#include "goruntime/roots_foreign.h"
#include <stdlib.h>

/* Ranges up to this size cost too little to be looked at again. */
#define FREEZE_LONG_RANGE (UINT64_C(1) << 20)

void freeze_survey_deinit(struct freeze_survey *survey)
{
    vector_deinit(&survey->ranges);
    free(survey->list);
    free(survey->hashes);
    free(survey->spans);
    vector_deinit(&survey->hung);
    *survey = (struct freeze_survey){0};
}

struct error *freeze_survey_add(struct freeze_survey *survey, uint64_t address, uint64_t size)
{
    struct copy_range range = {address, size};
    if (size == 0 || address + size < address ||
        (survey->held != NULL && target_view(survey->held, address, (size_t)size) != NULL)) {
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
                TRY(freeze_survey_add(survey, sections[j][0], sections[j][1] - sections[j][0]));
            }
        }
        TRY(freeze_survey_add(survey, tables->gcdatamask, tables->gcdatamask_bits / 8 + 1));
        TRY(freeze_survey_add(survey, tables->gcbssmask, tables->gcbssmask_bits / 8 + 1));
    }
    return NULL;
}

struct error *freeze_survey_tables(struct goruntime *runtime, struct freeze_survey *survey)
{
    uint64_t array = 0;
    uint64_t count = 0;
    TRY(freeze_survey_modules(runtime, survey));
    TRY(target_read(runtime->target, runtime->globals.allglen, &count, sizeof count));
    TRY(target_read(runtime->target, runtime->globals.allgptr, &array, sizeof array));
    return freeze_survey_add(survey, array, count <= SIZE_MAX / 8 ? count * 8 : 0);
}

struct error *freeze_survey_foreign(struct goruntime *runtime, struct freeze_survey *survey)
{
    CLEANUP_FREE struct copy_range *ranges = NULL;
    size_t count = 0;
    TRY(roots_foreign_ranges(runtime, &ranges, &count));
    for (size_t i = 0; i < count; i++) {
        TRY(freeze_survey_add(survey, ranges[i].address, ranges[i].size));
    }
    return NULL;
}

/* The part of RANGE that lies in adjoining MAPPINGS, from the first that it meets on. */
static struct copy_range freeze_mapped_part(struct copy_range range,
                                            const struct target_mapping *mappings, size_t count)
{
    uint64_t start = range.address;
    uint64_t end = range.address + range.size;
    size_t low = 0;
    for (size_t high = count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (mappings[middle].end > start) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    if (low == count || mappings[low].start >= end) {
        return (struct copy_range){start, 0};
    }
    start = start > mappings[low].start ? start : mappings[low].start;
    uint64_t mapped = mappings[low].end;
    for (size_t i = low + 1; i < count && mappings[i].start == mapped; i++) {
        mapped = mappings[i].end;
    }
    return (struct copy_range){start, (end < mapped ? end : mapped) - start};
}

void freeze_survey_clip(struct freeze_survey *survey, const struct target *target)
{
    size_t mapping_count;
    const struct target_mapping *mappings = target_mappings(target, &mapping_count);
    size_t kept = 0;
    for (size_t i = 0; i < survey->ranges.count; i++) {
        struct copy_range range = survey->ranges.items[i];
        if (range.size > FREEZE_LONG_RANGE) {
            survey->bytes -= range.size;
            range = freeze_mapped_part(range, mappings, mapping_count);
            survey->bytes += range.size;
        }
        if (range.size > 0) {
            survey->ranges.items[kept++] = range;
        }
    }
    survey->ranges.count = kept;
}
