/* Applying a filter. Whatever depends on text is decided once per distinct thing: per string, then
 * per stack, frame, label set or wait reason; the pass over the goroutines only looks the verdicts
 * up. */
#include "base/cleanup.h"
#include "snapshot/filter.h"
#include "snapshot/filter_internal.h"
#include "snapshot/snapshot_internal.h"
#include <stdlib.h>
#include <string.h>

/* What one term decided beforehand. */
struct filter_verdicts {
    const struct filter_term *term;
    uint8_t *by_id; /* by stack, frame, label set or wait reason id, as the kind demands; or NULL */
};

/* Whether the text of string ID passes a pattern term; unknown strings never do. */
static bool filter_pattern_passes(const struct filter_term *term, const struct snapshot *snapshot,
                                  uint32_t id)
{
    if (id == 0) {
        return false;
    }
    const char *text = snapshot_string(snapshot, id);
    size_t size = snapshot_string_size(snapshot, id);
    if (term->is_regex) {
        regmatch_t span = {.rm_so = 0, .rm_eo = (regoff_t)size};
        return regexec(&term->regex, text, 1, &span, REG_STARTEND) == 0;
    }
    return memmem(text, size, term->text, strlen(term->text)) != NULL;
}

/* Decides every frame by its function or file; each string is tested once. *RET is by frame id. */
static struct error *filter_decide_frames(const struct filter_term *term,
                                          const struct snapshot *snapshot, uint8_t **ret)
{
    enum { UNDECIDED, NO, YES };
    size_t count = snapshot_frame_count(snapshot);
    CLEANUP_FREE uint8_t *strings = calloc(snapshot_string_count(snapshot) + 1, 1);
    uint8_t *frames = calloc(count + 1, 1);
    if (strings == NULL || frames == NULL) {
        free(frames);
        return error_no_memory();
    }
    for (size_t id = 1; id <= count; id++) {
        const struct snapshot_frame *frame = snapshot_frame(snapshot, (uint32_t)id);
        uint32_t string = term->kind == FILTER_FILE ? frame->file : frame->function;
        if (strings[string] == UNDECIDED) {
            strings[string] = filter_pattern_passes(term, snapshot, string) ? YES : NO;
        }
        frames[id] = strings[string] == YES;
    }
    *ret = frames;
    return NULL;
}

/* Decides every stack by its frames. */
static struct error *filter_decide_stacks(const struct filter_term *term,
                                          const struct snapshot *snapshot, uint8_t **ret)
{
    CLEANUP_FREE uint8_t *by_frame = NULL;
    TRY(filter_decide_frames(term, snapshot, &by_frame));
    size_t stacks = snapshot_stack_count(snapshot);
    uint8_t *verdicts = calloc(stacks + 1, 1);
    if (verdicts == NULL) {
        return error_no_memory();
    }
    for (size_t id = 1; id <= stacks; id++) {
        size_t count;
        const uint32_t *frames = snapshot_stack(snapshot, (uint32_t)id, &count);
        for (size_t i = 0; i < count && !verdicts[id]; i++) {
            verdicts[id] = by_frame[frames[i]];
        }
    }
    *ret = verdicts;
    return NULL;
}

/* Whether a label is the term's. */
static bool filter_label_passes(const struct filter_term *term, const struct snapshot *snapshot,
                                const struct snapshot_label *label)
{
    return strcmp(snapshot_string(snapshot, label->key), term->text) == 0 &&
           (term->value == NULL ||
            strcmp(snapshot_string(snapshot, label->value), term->value) == 0);
}

/* Decides every label set. */
static struct error *filter_decide_labels(const struct filter_term *term,
                                          const struct snapshot *snapshot, uint8_t **ret)
{
    uint8_t *verdicts = calloc(snapshot->labels.count + 1, 1);
    if (verdicts == NULL) {
        return error_no_memory();
    }
    for (size_t id = 1; id <= snapshot->labels.count; id++) {
        size_t count;
        const struct snapshot_label *labels = snapshot_labels(snapshot, (uint32_t)id, &count);
        for (size_t i = 0; i < count && !verdicts[id]; i++) {
            verdicts[id] = filter_label_passes(term, snapshot, &labels[i]);
        }
    }
    *ret = verdicts;
    return NULL;
}

/* Decides every wait reason. */
static struct error *filter_decide_waits(const struct filter_term *term, uint8_t **ret)
{
    uint8_t *verdicts = calloc(UINT8_MAX + 1, 1);
    if (verdicts == NULL) {
        return error_no_memory();
    }
    for (unsigned reason = 0; reason < WAIT_REASON_COUNT; reason++) {
        const char *text = wait_reason_text((enum wait_reason)reason);
        verdicts[reason] = strcasestr(text, term->text) != NULL;
    }
    *ret = verdicts;
    return NULL;
}

/* Decides beforehand what can be. */
static struct error *filter_decide(const struct snapshot *snapshot,
                                   struct filter_verdicts *verdicts)
{
    switch (verdicts->term->kind) {
    case FILTER_FUNCTION:
    case FILTER_FILE:
        return filter_decide_stacks(verdicts->term, snapshot, &verdicts->by_id);
    case FILTER_CREATOR:
    case FILTER_START:
        return filter_decide_frames(verdicts->term, snapshot, &verdicts->by_id);
    case FILTER_LABEL:
        return filter_decide_labels(verdicts->term, snapshot, &verdicts->by_id);
    case FILTER_WAIT:
        return filter_decide_waits(verdicts->term, &verdicts->by_id);
    case FILTER_STATE:
    case FILTER_MIN_AGE:
    case FILTER_ID:
    case FILTER_USER_ONLY:
    case FILTER_SYSTEM_ONLY:
        break;
    }
    return NULL;
}

/* Whether ID lies in one of the ranges. */
static bool filter_id_passes(const struct filter_term *term, uint64_t id)
{
    size_t low = 0;
    size_t high = term->range_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (term->ranges[middle].last < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < term->range_count && term->ranges[low].first <= id;
}

/* Whether the state passes; what the program's own leak profile marked both waits and is leaked. */
static bool filter_state_passes(const struct filter_term *term,
                                const struct snapshot_goroutine *goroutine)
{
    uint32_t bits = 1u << goroutine->status;
    if (goroutine->status == GOROUTINE_STATUS_LEAKED ||
        (goroutine->flags & GOROUTINE_LEAKED) != 0) {
        bits |= 1u << GOROUTINE_STATUS_LEAKED | 1u << GOROUTINE_STATUS_WAITING;
    }
    return (term->states & bits) != 0;
}

/* Whether a wait reason means something in this state. */
static bool filter_is_waiting(const struct snapshot_goroutine *goroutine)
{
    return goroutine->status == GOROUTINE_STATUS_WAITING ||
           goroutine->status == GOROUTINE_STATUS_LEAKED;
}

/* Whether one goroutine passes one term. */
static bool filter_passes(const struct filter_verdicts *verdicts,
                          const struct snapshot_goroutine *goroutine)
{
    const struct filter_term *term = verdicts->term;
    switch (term->kind) {
    case FILTER_STATE:
        return filter_state_passes(term, goroutine);
    case FILTER_WAIT:
        return filter_is_waiting(goroutine) && verdicts->by_id[goroutine->wait_reason] != 0;
    case FILTER_FUNCTION:
    case FILTER_FILE:
        return verdicts->by_id[goroutine->stack] != 0;
    case FILTER_CREATOR:
        return verdicts->by_id[goroutine->creator] != 0;
    case FILTER_START:
        return verdicts->by_id[goroutine->start] != 0;
    case FILTER_LABEL:
        return verdicts->by_id[goroutine->labels] != 0;
    case FILTER_MIN_AGE:
        return goroutine->age_ns != SNAPSHOT_UNKNOWN && goroutine->age_ns >= term->min_age_ns;
    case FILTER_ID:
        return (goroutine->flags & GOROUTINE_ID_UNKNOWN) == 0 &&
               filter_id_passes(term, goroutine->id);
    case FILTER_USER_ONLY:
        return (goroutine->flags & GOROUTINE_SYSTEM) == 0;
    case FILTER_SYSTEM_ONLY:
        return (goroutine->flags & GOROUTINE_SYSTEM) != 0;
    }
    return false;
}

/* Collects the goroutines that pass all terms. */
static struct error *filter_select(const struct filter_verdicts *verdicts, size_t terms,
                                   const struct snapshot *snapshot, uint32_t **ret,
                                   size_t *count_ret)
{
    size_t count;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(snapshot, &count);
    uint32_t *selection = malloc((count + 1) * sizeof *selection);
    if (selection == NULL) {
        return error_no_memory();
    }
    size_t selected = 0;
    for (size_t i = 0; i < count; i++) {
        bool passes = true;
        for (size_t k = 0; k < terms && passes; k++) {
            passes = filter_passes(&verdicts[k], &goroutines[i]);
        }
        if (passes) {
            selection[selected++] = (uint32_t)i;
        }
    }
    *ret = selection;
    *count_ret = selected;
    return NULL;
}

/* Applies a filter. */
struct error *filter_apply(const struct filter *filter, const struct snapshot *snapshot,
                           uint32_t **ret, size_t *count_ret)
{
    size_t terms = filter->terms.count;
    struct filter_verdicts *verdicts = calloc(terms + 1, sizeof *verdicts);
    if (verdicts == NULL) {
        return error_no_memory();
    }
    struct error *error = NULL;
    for (size_t i = 0; i < terms && error == NULL; i++) {
        verdicts[i].term = &filter->terms.items[i];
        error = filter_decide(snapshot, &verdicts[i]);
    }
    if (error == NULL) {
        error = filter_select(verdicts, terms, snapshot, ret, count_ret);
    }
    for (size_t i = 0; i < terms; i++) {
        free(verdicts[i].by_id);
    }
    free(verdicts);
    return error;
}
