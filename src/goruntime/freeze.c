/* Look, make ready, stop, copy, let go (freezing.md, sections 2 and 4). */
#include "goruntime/freeze.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "goruntime/freeze_survey.h"
#include "goruntime/internal.h"
#include <stdlib.h>

struct freeze {
    struct target *copy;
    struct goruntime runtime; /* over the copy */
    uint64_t stopped_ns;
    bool consistent;
};

/* Everything a view holds of Go, as RUNTIME shows it now. */
static struct error *freeze_survey_all(struct goruntime *runtime, struct freeze_survey *survey)
{
    TRY(freeze_survey_tables(runtime, survey));
    TRY(freeze_survey_spans(runtime, survey));
    TRY(freeze_survey_goroutines(runtime, survey));
    TRY(freeze_survey_foreign(runtime, survey));
    TRY(target_refresh_mappings(runtime->target));
    freeze_survey_clip(survey, runtime->target);
    return NULL;
}

/* What is new since BEFORE, as the open copy of RUNTIME shows it. */
static struct error *freeze_survey_new(struct goruntime *runtime,
                                       const struct freeze_survey *before,
                                       struct freeze_survey *survey)
{
    survey->held = runtime->target;
    TRY(freeze_survey_tables(runtime, survey));
    TRY(freeze_survey_new_spans(runtime, before, survey));
    TRY(freeze_survey_changes(runtime, before, survey));
    TRY(freeze_survey_foreign(runtime, survey));
    freeze_survey_clip(survey, runtime->target);
    return NULL;
}

/* Copies what is new since SURVEY, then what only lists lead to. What the copy then holds is put in
 * order after the stop. */
static struct error *freeze_copy_new(struct freeze *freeze, const struct freeze_survey *survey,
                                     uint64_t deadline)
{
    CLEANUP(freeze_survey_deinit) struct freeze_survey again = {0};
    TRY(freeze_survey_new(&freeze->runtime, survey, &again));
    TRY(copy_fetch(freeze->copy, again.ranges.items, again.ranges.count, deadline));
    return freeze_survey_lists(&freeze->runtime, &again);
}

/* Copies: first what the survey found, then the rest. */
static struct error *freeze_copy(struct freeze *freeze, const struct freeze_survey *survey,
                                 uint64_t deadline)
{
    TRY(copy_fetch_reserved(freeze->copy, deadline));
    TRY(freeze_copy_new(freeze, survey, deadline));
    if (deadline != 0 && clock_now() > deadline) {
        return error_create(ERROR_LIMIT, "copying took longer than the stop may last");
    }
    return copy_seal(freeze->copy);
}

/* Copies within a stop when asked to. */
static struct error *freeze_take(struct freeze *freeze, struct target *target,
                                 const struct freeze_survey *survey,
                                 const struct freeze_options *options)
{
    bool ours = options->stop && !target_is_stopped(target);
    uint64_t before = target_stopped_ns(target);
    if (ours) {
        TRY(target_stop(target, options->max_stop_ns));
    }
    struct error *error = target_refresh_mappings(freeze->copy);
    uint64_t deadline = ours && options->max_stop_ns != 0 ? clock_now() + options->max_stop_ns : 0;
    if (error == NULL) {
        error = freeze_copy(freeze, survey, deadline);
    }
    freeze->consistent =
        error == NULL && (target_kind(target) == TARGET_KIND_LIVE
                              ? target_is_stopped(target) && target_stop_held(target)
                              : true);
    if (ours) {
        target_resume(target);
    }
    freeze->stopped_ns = target_stopped_ns(target) - before;
    copy_trim(freeze->copy);
    return error;
}

struct error *freeze_create(struct goruntime *runtime, const struct freeze_options *options,
                            struct freeze **ret)
{
    struct freeze_survey survey = {0};
    struct freeze *freeze = calloc(1, sizeof *freeze);
    if (freeze == NULL) {
        return error_no_memory();
    }
    struct error *error = freeze_survey_all(runtime, &survey);
    if (error == NULL) {
        error = copy_create(runtime->target, &freeze->copy);
    }
    if (error == NULL) {
        freeze->runtime = *runtime;
        freeze->runtime.target = freeze->copy;
        error = copy_reserve(freeze->copy, survey.ranges.items, survey.ranges.count);
    }
    if (error == NULL) {
        error = freeze_take(freeze, runtime->target, &survey, options);
    }
    error = copy_explain_memory(error, "a copy of what the proof reads", survey.bytes);
    freeze_survey_deinit(&survey);
    if (error != NULL) {
        freeze_destroy(freeze);
        return error;
    }
    *ret = freeze;
    return NULL;
}

void freeze_destroy(struct freeze *freeze)
{
    if (freeze != NULL) {
        target_destroy(freeze->copy);
        free(freeze);
    }
}

struct goruntime *freeze_runtime(const struct freeze *freeze)
{
    return (struct goruntime *)&freeze->runtime;
}

uint64_t freeze_stopped_ns(const struct freeze *freeze)
{
    return freeze->stopped_ns;
}

bool freeze_is_consistent(const struct freeze *freeze)
{
    return freeze->consistent;
}

uint64_t freeze_size(const struct freeze *freeze)
{
    return copy_size(freeze->copy);
}
