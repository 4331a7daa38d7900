/* Look first, stop only to prove (freezing.md, section 4). */
/* A call without an error has set its result, which the analyser cannot see through errors as
 * values. NOLINTBEGIN(clang-analyzer-core.NullDereference) */
#include "service/service_leaks.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "goruntime/freeze.h"
#include "leak/proof.h"
#include "leak/witness.h"
#include "service/service_internal.h"
#include "service/service_leaks_file.h"
#include <stdlib.h>
#include <string.h>

CLEANUP_DEFINE(leaks, struct service_leaks, service_leaks_destroy)
CLEANUP_DEFINE(freeze, struct freeze, freeze_destroy)
CLEANUP_DEFINE(proof, struct proof, proof_destroy)
CLEANUP_DEFINE(builder, struct snapshot_builder, snapshot_builder_destroy)

/* Reads the goroutines of the frozen RUNTIME. */
static struct error *service_leaks_look(struct service *service, struct goruntime *runtime,
                                        const struct service_leaks_options *options,
                                        struct snapshot **ret)
{
    CLEANUP(cleanup_builder) struct snapshot_builder *builder = NULL;
    struct goruntime_look look = {
        .objects = true,
        .labels = true,
        .progress = options->progress,
        .progress_context = options->progress_context,
    };
    TRY(snapshot_builder_create(&builder));
    TRY(service_identify(service, builder));
    TRY(service_name_error(service, goruntime_look(runtime, &look, builder)));
    struct snapshot_program *program = snapshot_builder_program(builder);
    TRY(service_count_threads(service, program));
    if (target_kind(service->target) == TARGET_KIND_LIVE) {
        program->taken_at_ns = service_wall_clock();
    }
    return snapshot_builder_finish(TAKE(builder), ret);
}

/* Takes over what PROOF found. */
static struct error *service_leaks_keep(struct service_leaks *leaks, const struct proof *proof)
{
    size_t count;
    (void)snapshot_goroutines(leaks->snapshot, &count);
    leaks->verdicts = calloc(count + 1, sizeof *leaks->verdicts);
    const struct proof_reference *references = proof_references(proof, &leaks->reference_count);
    leaks->references = calloc(leaks->reference_count + 1, sizeof *leaks->references);
    if (leaks->verdicts == NULL || leaks->references == NULL) {
        return error_no_memory();
    }
    for (size_t i = 0; i < count; i++) {
        struct proof_result result = proof_result(proof, i);
        leaks->verdicts[i] = (struct finding_verdict){
            (uint8_t)result.verdict, (uint8_t)result.class_, (uint8_t)result.reason};
    }
    for (size_t i = 0; i < leaks->reference_count; i++) {
        leaks->references[i] =
            (struct finding_reference){references[i].object, references[i].goroutine,
                                       proof_function_name(proof, references[i].function)};
    }
    return NULL;
}

/* One view, frozen or not, and what it proves. TRUSTED: treat the view as consistent, to see
 * whether a stop would be worth it. */
static struct error *service_leaks_view(struct service *service,
                                        const struct service_leaks_options *options, bool stop,
                                        bool trusted, struct service_leaks **ret)
{
    CLEANUP(cleanup_leaks) struct service_leaks *leaks = calloc(1, sizeof *leaks);
    CLEANUP(cleanup_freeze) struct freeze *freeze = NULL;
    CLEANUP(cleanup_proof) struct proof *proof = NULL;
    if (leaks == NULL) {
        return error_no_memory();
    }
    struct freeze_options how = {.stop = stop, .max_stop_ns = options->max_stop_ns};
    TRY(service_name_error(service, freeze_create(service->runtime, &how, &freeze)));
    uint64_t start = clock_now();
    TRY(service_leaks_look(service, freeze_runtime(freeze), options, &leaks->snapshot));
    struct proof_options proof_options = {.consistent = trusted || freeze_is_consistent(freeze)};
    TRY(service_name_error(
        service, proof_create(freeze_runtime(freeze), leaks->snapshot, &proof_options, &proof)));
    TRY(service_leaks_keep(leaks, proof));
    if (options->explain != 0) {
        TRY(witness_find(proof, options->explain, &leaks->witness));
    }
    leaks->analysis_ns = clock_now() - start;
    leaks->stopped_ns = freeze_stopped_ns(freeze);
    leaks->copied_bytes = freeze_size(freeze);
    leaks->proof_tried = freeze_is_consistent(freeze);
    *ret = TAKE(leaks);
    return NULL;
}

/* True when VIEW holds a goroutine that a stop might prove stuck. */
static bool service_leaks_has_candidate(const struct service_leaks *leaks)
{
    size_t count;
    (void)snapshot_goroutines(leaks->snapshot, &count);
    for (size_t i = 0; i < count; i++) {
        if (leaks->verdicts[i].verdict == LEAK_VERDICT_PROVED ||
            leaks->verdicts[i].verdict == LEAK_VERDICT_UNKNOWN) {
            return true;
        }
    }
    return false;
}

/* Turns what an unstopped view would prove into "unknown". */
static void service_leaks_doubt(struct service_leaks *leaks)
{
    size_t count;
    (void)snapshot_goroutines(leaks->snapshot, &count);
    for (size_t i = 0; i < count; i++) {
        if (leaks->verdicts[i].verdict == LEAK_VERDICT_PROVED) {
            leaks->verdicts[i].verdict = LEAK_VERDICT_UNKNOWN;
            leaks->verdicts[i].reason = LEAK_REASON_NOT_CONSISTENT;
        }
    }
}

/* The stopped view; when it cannot be had (too long, too big, not permitted), the unstopped one
 * with the reason. FIRST may be such a view already; it is consumed. */
static struct error *service_leaks_stopped(struct service *service,
                                           const struct service_leaks_options *options,
                                           struct service_leaks *first, struct service_leaks **ret)
{
    CLEANUP(cleanup_leaks) struct service_leaks *fallback = first;
    struct error *error = service_leaks_view(service, options, true, false, ret);
    if (error == NULL) {
        return NULL;
    }
    enum error_code code = error_code(error);
    if (code != ERROR_LIMIT && code != ERROR_PERMISSION) {
        return error;
    }
    char *obstacle = strdup(error_message(error));
    error_destroy(error);
    if (obstacle == NULL) {
        return error_no_memory();
    }
    error = fallback == NULL ? service_leaks_view(service, options, false, false, &fallback) : NULL;
    if (error != NULL) {
        free(obstacle);
        return error;
    }
    service_leaks_doubt(fallback);
    fallback->obstacle = obstacle;
    *ret = TAKE(fallback);
    return NULL;
}

/* The view that OPTIONS ask for. */
static struct error *service_leaks_choose(struct service *service,
                                          const struct service_leaks_options *options,
                                          struct service_leaks **ret)
{
    bool live = target_kind(service->target) == TARGET_KIND_LIVE;
    if (!live || options->freeze == SERVICE_FREEZE_ALWAYS) {
        return live ? service_leaks_stopped(service, options, NULL, ret)
                    : service_leaks_view(service, options, false, false, ret);
    }
    if (options->freeze == SERVICE_FREEZE_NEVER) {
        return service_leaks_view(service, options, false, false, ret);
    }
    CLEANUP(cleanup_leaks) struct service_leaks *first = NULL;
    struct error *error = service_leaks_view(service, options, false, true, &first);
    if (error != NULL && error_code(error) != ERROR_CORRUPT && error_code(error) != ERROR_FAULT) {
        return error;
    }
    if (error != NULL) {
        error_destroy(error); /* torn beyond use: the stopped view will tell */
        return service_leaks_stopped(service, options, NULL, ret);
    }
    if (!service_leaks_has_candidate(first)) {
        *ret = TAKE(first);
        return NULL;
    }
    return service_leaks_stopped(service, options, TAKE(first), ret);
}

/* Makes findings of the view in LEAKS. */
static struct error *service_leaks_judge(struct service_leaks *leaks,
                                         const struct service_leaks_options *options)
{
    struct finding_input input = {
        .snapshot = leaks->snapshot,
        .verdicts = leaks->verdicts,
        .references = leaks->references,
        .reference_count = leaks->reference_count,
        .history = options->history,
        .history_count = options->history_count,
        .descriptors = SNAPSHOT_UNKNOWN,
        .descriptors_before = SNAPSHOT_UNKNOWN,
        .threads_before = SNAPSHOT_UNKNOWN,
    };
    return finding_list_init(&leaks->findings, &input);
}

struct error *service_find_leaks(struct service *service,
                                 const struct service_leaks_options *options,
                                 struct service_leaks **ret)
{
    CLEANUP(cleanup_leaks) struct service_leaks *leaks = NULL;
    (void)pthread_mutex_lock(&service->lock);
    struct error *error = NULL;
    if (!service_has_memory(service)) {
        error = service_leaks_of_file(service, options, &leaks);
    } else {
        error = service_prepare(service);
        error = error == NULL ? service_leaks_choose(service, options, &leaks) : error;
    }
    (void)pthread_mutex_unlock(&service->lock);
    TRY(error);
    TRY(service_leaks_judge(leaks, options));
    *ret = TAKE(leaks);
    return NULL;
}

void service_leaks_destroy(struct service_leaks *leaks)
{
    if (leaks == NULL) {
        return;
    }
    finding_list_deinit(&leaks->findings);
    snapshot_destroy(leaks->snapshot);
    free(leaks->verdicts);
    free(leaks->references);
    free(leaks->obstacle);
    free(leaks->witness);
    free(leaks);
}

/* NOLINTEND(clang-analyzer-core.NullDereference) */
