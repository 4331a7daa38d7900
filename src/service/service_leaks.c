/* Look first, stop only to prove (freezing.md, section 4). */
/* A call without an error has set its result, which the analyser cannot see through errors as
 * values. NOLINTBEGIN(clang-analyzer-core.NullDereference) */
#include "service/service_leaks.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/string_builder.h"
#include "goruntime/freeze.h"
#include "leak/proof.h"
#include "leak/witness.h"
#include "service/service_internal.h"
#include "service/service_leaks_file.h"
#include "service/service_watch_internal.h"
#include "target/copy.h"
#include "target/process.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SERVICE_LEAKS_TRIES = 3,   /* views torn beyond use before only a stop helps */
    SERVICE_LEAKS_AGREEING = 3 /* views before the one that makes a stop worth while: a view of a
                                * busy program is torn, but hardly four times in the same way */
};

/* How long the first look at a large program goes on asking for agreement. */
#define SERVICE_LEAKS_PATIENCE_NS UINT64_C(250000000)
#define SERVICE_LEAKS_LARGE (UINT64_C(64) << 20) /* bytes of its copy */

CLEANUP_DEFINE(leaks, struct service_leaks, service_leaks_destroy)
CLEANUP_DEFINE(watch, struct service_watch, service_watch_destroy)
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

/* What FREEZE proves, into LEAKS. */
static struct error *service_leaks_prove(struct service *service,
                                         const struct service_leaks_options *options,
                                         const struct freeze *freeze, bool trusted,
                                         struct service_leaks *leaks)
{
    CLEANUP(cleanup_proof) struct proof *proof = NULL;
    uint64_t start = clock_now();
    leaks->moment_ns = start;
    TRY(service_leaks_look(service, freeze_runtime(freeze), options, &leaks->snapshot));
    struct proof_options proof_options = {.consistent = trusted || freeze_is_consistent(freeze),
                                          .one_moment = freeze_is_consistent(freeze),
                                          .everyone = options->everyone};
    TRY(service_name_error(
        service, proof_create(freeze_runtime(freeze), leaks->snapshot, &proof_options, &proof)));
    TRY(service_leaks_keep(leaks, proof));
    if (options->explain != 0) {
        TRY(witness_find(proof, options->explain, &leaks->witness));
    }
    leaks->analysis_ns = clock_now() - start;
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
    if (leaks == NULL) {
        return error_no_memory();
    }
    struct freeze_options how = {.stop = stop, .max_stop_ns = options->max_stop_ns};
    TRY(service_name_error(service, freeze_create(service->runtime, &how, &freeze)));
    TRY(service_name_error(
        service, copy_explain_memory(service_leaks_prove(service, options, freeze, trusted, leaks),
                                     "analysing a copy", freeze_size(freeze))));
    leaks->stopped_ns = freeze_stopped_ns(freeze);
    leaks->copied_bytes = freeze_size(freeze);
    leaks->proof_tried = freeze_is_consistent(freeze);
    *ret = TAKE(leaks);
    return NULL;
}

/* Turns what an unstopped view would prove into "unknown", but for what earlier looks proved, or
 * found to be no proof in a stop: LOOK, which may be NULL, knows. What several views did not agree
 * about was moving. */
static void service_leaks_doubt(struct service_leaks *leaks, const struct service_watch_look *look)
{
    size_t count;
    (void)snapshot_goroutines(leaks->snapshot, &count);
    for (size_t i = 0; i < count; i++) {
        struct finding_verdict *verdict = &leaks->verdicts[i];
        if (look != NULL && look->items[i].candidate && look->items[i].strikes > 0) {
            *verdict = look->items[i].settled;
        } else if (verdict->verdict == LEAK_VERDICT_PROVED &&
                   (look == NULL || look->items[i].proved_ns == SNAPSHOT_UNKNOWN)) {
            verdict->verdict = LEAK_VERDICT_UNKNOWN;
            verdict->reason = LEAK_REASON_NOT_CONSISTENT;
        } else if (verdict->reason == LEAK_REASON_INCOMPLETE && !leaks->proof_tried) {
            verdict->reason = LEAK_REASON_NOT_CONSISTENT; /* a stop would have shown the rest */
        }
        if (look != NULL && look->items[i].candidate && look->items[i].strikes == 0) {
            verdict->reason = LEAK_REASON_IN_TRANSIT;
        }
    }
}

/* One line that says what ERROR, which is consumed, says, and what to do about it: its own advice
 * or ADVICE; neither when both are NULL. */
static struct error *service_leaks_explain(struct error *error, const char *advice, char **ret)
{
    struct string_builder text = {0};
    string_builder_add(&text, error_message(error));
    if (error_advice(error) != NULL || advice != NULL) {
        string_builder_format(&text, " (%s)",
                              error_advice(error) != NULL ? error_advice(error) : advice);
    }
    error_destroy(error);
    return string_builder_take(&text, ret);
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
    bool without = code == ERROR_OUT_OF_MEMORY && fallback != NULL;
    if (code != ERROR_LIMIT && code != ERROR_PERMISSION && !without) {
        return error;
    }
    CLEANUP_FREE char *obstacle = NULL;
    TRY(service_leaks_explain(
        error,
        code == ERROR_LIMIT ? "allow a longer stop with --max-stop, or look at a core file" : NULL,
        &obstacle));
    if (fallback == NULL) {
        TRY(service_leaks_view(service, options, false, false, &fallback));
    }
    service_leaks_doubt(fallback, NULL);
    fallback->obstacle = TAKE(obstacle);
    fallback->refused = true;
    *ret = TAKE(fallback);
    return NULL;
}

/* A view without a stop, of which a proof would be believed only to see whether a stop is worth
 * while; *RET is NULL when it was torn beyond use. */
static struct error *service_leaks_first(struct service *service,
                                         const struct service_leaks_options *options,
                                         struct service_leaks **ret)
{
    *ret = NULL;
    struct error *error = service_leaks_view(service, options, false, true, ret);
    (void)(error_catch(&error, ERROR_CORRUPT) || error_catch(&error, ERROR_FAULT));
    return error;
}

/* Recognises in LEAKS the goroutines of BEFORE, or of the latest look. */
static struct error *service_leaks_recognise(const struct service_leaks_options *options,
                                             const struct service_watch_look *before,
                                             struct service_leaks *leaks, bool stop_tried,
                                             struct service_watch_look *ret)
{
    struct service_watch_view view = {.snapshot = leaks->snapshot,
                                      .verdicts = leaks->verdicts,
                                      .moment_ns = leaks->moment_ns,
                                      .consistent = leaks->proof_tried,
                                      .stop_tried = stop_tried};
    return service_watch_recognise(options->watch, before, &view, ret);
}

/* One more look without a stop, recognised; *LEAKS and *LOOK are replaced. Nothing happens when it
 * is torn beyond use. */
static struct error *service_leaks_look_again(struct service *service,
                                              const struct service_leaks_options *options,
                                              struct service_leaks **leaks,
                                              struct service_watch_look *look)
{
    CLEANUP(cleanup_leaks) struct service_leaks *again = NULL;
    struct service_watch_look found = {0};
    TRY(service_leaks_first(service, options, &again));
    if (again == NULL) {
        return NULL;
    }
    TRY(service_leaks_recognise(options, *leaks == NULL ? NULL : look, again, false, &found));
    service_watch_look_deinit(look);
    *look = found;
    service_leaks_destroy(*leaks);
    *leaks = TAKE(again);
    return NULL;
}

/* True when LEAKS, a look without a stop that LOOK recognised, is to be followed by one more: it
 * saw goroutines on the move, or found what earlier ones did not, as a torn view does; a whole one
 * answers for every goroutine. */
static bool service_leaks_is_torn(const struct service_leaks_options *options,
                                  const struct service_leaks *leaks,
                                  const struct service_watch_look *look)
{
    size_t count;
    bool torn = service_watch_has_candidate(options->watch, look, 0);
    (void)snapshot_goroutines(leaks->snapshot, &count);
    for (size_t i = 0; !torn && i < count; i++) {
        torn = leaks->verdicts[i].verdict == LEAK_VERDICT_UNKNOWN &&
               leaks->verdicts[i].reason == LEAK_REASON_IN_TRANSIT;
    }
    return torn && options->settle;
}

/* Looks again and again until the views agree that a stop is worth while (*WANTED) or that it is
 * not. In the middle of a watch, what only this look would prove waits for the next one. The first
 * look at a large program is content with two views. */
static struct error *service_leaks_agree(struct service *service,
                                         const struct service_leaks_options *options,
                                         struct service_leaks **leaks,
                                         struct service_watch_look *look, bool *wanted)
{
    uint64_t start = clock_now();
    const struct service_watch *watch = options->watch;
    unsigned enough = SERVICE_LEAKS_AGREEING;
    for (unsigned agreeing = options->settle ? 0 : 1; agreeing <= SERVICE_LEAKS_AGREEING;
         agreeing++) {
        bool patient = (*leaks)->copied_bytes <= SERVICE_LEAKS_LARGE ||
                       clock_now() - start <= SERVICE_LEAKS_PATIENCE_NS;
        if (service_watch_summary(watch)->looks == 0 && agreeing > 0 && !patient) {
            enough = 1;
        }
        *wanted = service_watch_has_candidate(watch, look, enough);
        bool more = service_watch_has_candidate(watch, look, agreeing) ||
                    (patient && service_leaks_is_torn(options, *leaks, look));
        if (*wanted || !more) {
            return NULL;
        }
        TRY(service_leaks_look_again(service, options, leaks, look));
    }
    return NULL;
}

/* A look that stops the program only when several views agree that it is worth it. */
static struct error *service_leaks_observe_auto(struct service *service,
                                                const struct service_leaks_options *options,
                                                struct service_leaks **ret,
                                                struct service_watch_look *look)
{
    CLEANUP(cleanup_leaks) struct service_leaks *leaks = NULL;
    CLEANUP(service_watch_look_deinit) struct service_watch_look before = {0};
    for (int i = 0; i < SERVICE_LEAKS_TRIES && leaks == NULL; i++) {
        TRY(service_leaks_look_again(service, options, &leaks, &before));
    }
    bool wanted = false;
    if (leaks != NULL) {
        TRY(service_leaks_agree(service, options, &leaks, &before, &wanted));
    }
    if (leaks != NULL && !wanted) {
        service_leaks_doubt(leaks, &before);
        *ret = TAKE(leaks);
        *look = before;
        before = (struct service_watch_look){0};
        return NULL;
    }
    bool known = leaks != NULL;
    TRY(service_leaks_stopped(service, options, TAKE(leaks), ret));
    return service_leaks_recognise(options, known ? &before : NULL, *ret, true, look);
}

/* A look that does as --freeze says, or need not stop anything. */
static struct error *service_leaks_observe_plainly(struct service *service,
                                                   const struct service_leaks_options *options,
                                                   struct service_leaks **ret)
{
    bool live = target_kind(service->target) == TARGET_KIND_LIVE;
    return live && options->freeze == SERVICE_FREEZE_ALWAYS
               ? service_leaks_stopped(service, options, NULL, ret)
               : service_leaks_view(service, options, false, false, ret);
}

/* One look alone. */
static struct error *service_leaks_look_once(struct service *service,
                                             const struct service_leaks_options *options,
                                             struct service_leaks **ret)
{
    if (target_kind(service->target) != TARGET_KIND_LIVE ||
        options->freeze != SERVICE_FREEZE_AUTO) {
        return service_leaks_observe_plainly(service, options, ret);
    }
    CLEANUP(cleanup_watch) struct service_watch *watch = NULL;
    CLEANUP(service_watch_look_deinit) struct service_watch_look look = {0};
    TRY(service_watch_create(&watch));
    struct service_leaks_options alone = *options;
    alone.watch = watch;
    alone.settle = true;
    return service_leaks_observe_auto(service, &alone, ret, &look);
}

/* How many descriptors the program has open. */
static struct error *service_leaks_descriptors(struct service *service, int64_t *ret)
{
    uint64_t count = 0;
    struct error *error = process_count_descriptors(target_pid(service->target), &count);
    bool unknown = error_catch(&error, ERROR_PERMISSION) || error_catch(&error, ERROR_GONE);
    *ret = unknown ? SNAPSHOT_UNKNOWN : (int64_t)count;
    return error;
}

/* One look of a watch. */
static struct error *service_leaks_observe(struct service *service,
                                           const struct service_leaks_options *options,
                                           struct service_leaks **ret)
{
    CLEANUP(service_watch_look_deinit) struct service_watch_look look = {0};
    uint64_t stopped = target_stopped_ns(service->target);
    int64_t descriptors;
    if (target_kind(service->target) != TARGET_KIND_LIVE) {
        return error_create(ERROR_USAGE, "%s does not change: only a live process can be watched",
                            target_name(service->target));
    }
    TRY(service_name_error(service, target_refresh_mappings(service->target)));
    if (options->freeze == SERVICE_FREEZE_AUTO) {
        TRY(service_leaks_observe_auto(service, options, ret, &look));
    } else {
        TRY(service_leaks_observe_plainly(service, options, ret));
        TRY(service_leaks_recognise(options, NULL, *ret, false, &look));
    }
    TRY(service_leaks_descriptors(service, &descriptors));
    TRY(service_watch_keep(options->watch, &look, (*ret)->snapshot,
                           target_stopped_ns(service->target) - stopped, descriptors));
    (*ret)->watch = *service_watch_summary(options->watch);
    return NULL;
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
        .descriptors = SNAPSHOT_UNKNOWN,
        .descriptors_before = SNAPSHOT_UNKNOWN,
        .threads_before = SNAPSHOT_UNKNOWN,
    };
    if (options->watch != NULL) {
        input.history = service_watch_history(options->watch, &input.history_count);
        input.seen = service_watch_seen(options->watch);
        input.descriptors = leaks->watch.descriptors_last;
        input.descriptors_before = leaks->watch.descriptors_first;
        input.threads_before = leaks->watch.threads_first;
    }
    return finding_list_init(&leaks->findings, &input);
}

/* Says in LEAKS who is in the way when another tracer holds what a proof needs: the registers. */
static struct error *service_leaks_name_tracer(struct service *service, struct service_leaks *leaks)
{
    size_t count;
    bool incomplete = false;
    (void)snapshot_goroutines(leaks->snapshot, &count);
    for (size_t i = 0; i < count && !incomplete; i++) {
        incomplete = leaks->verdicts[i].verdict == LEAK_VERDICT_UNKNOWN &&
                     leaks->verdicts[i].reason == LEAK_REASON_INCOMPLETE;
    }
    if (!incomplete || leaks->obstacle != NULL ||
        target_kind(service->target) != TARGET_KIND_LIVE) {
        return NULL;
    }
    struct process_info info;
    struct error *error = process_info_init(&info, target_pid(service->target));
    if (error_catch(&error, ERROR_GONE)) {
        return NULL;
    }
    TRY(error);
    if (info.tracer != 0 &&
        asprintf(&leaks->obstacle,
                 "process %d traces it and keeps the registers of its threads; detach that, or let "
                 "it write a core file and look at that",
                 (int)info.tracer) < 0) {
        leaks->obstacle = NULL;
        error = error_no_memory();
    }
    process_info_deinit(&info);
    return error;
}

/* Says in LEAKS that the core file ends too early, when that is in the way. */
static struct error *service_leaks_name_cut(struct service *service, struct service_leaks *leaks)
{
    size_t count;
    bool doubt = false;
    bool cut = target_cut(service->target) != NULL;
    (void)snapshot_goroutines(leaks->snapshot, &count);
    for (size_t i = 0; cut && i < count; i++) {
        struct finding_verdict *verdict = &leaks->verdicts[i];
        if (verdict->verdict == LEAK_VERDICT_UNKNOWN &&
            (verdict->reason == LEAK_REASON_INCOMPLETE || verdict->reason == LEAK_REASON_NO_HEAP ||
             verdict->reason == LEAK_REASON_OBJECT_UNKNOWN)) {
            verdict->reason = LEAK_REASON_CUT_OFF;
            doubt = true;
        }
    }
    if (!doubt) {
        return NULL;
    }
    free(leaks->obstacle);
    if (asprintf(&leaks->obstacle,
                 "%s ends before the memory that a proof needs (write a core where there is room "
                 "for all "
                 "of it)",
                 target_name(service->target)) < 0) {
        leaks->obstacle = NULL;
        return error_no_memory();
    }
    return NULL;
}

/* The goroutines of a program whose heap is not read, as ERROR, which is consumed, says: nothing is
 * proved, for REASON. */
static struct error *service_leaks_without_heap(struct service *service,
                                                const struct service_leaks_options *options,
                                                struct error *error, enum leak_reason reason,
                                                struct service_leaks **ret)
{
    CLEANUP(cleanup_leaks) struct service_leaks *leaks = calloc(1, sizeof *leaks);
    CLEANUP_FREE char *obstacle = NULL;
    TRY(service_leaks_explain(error, NULL, &obstacle));
    if (leaks == NULL) {
        return error_no_memory();
    }
    leaks->moment_ns = clock_now();
    TRY(service_leaks_look(service, service->runtime, options, &leaks->snapshot));
    size_t count;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(leaks->snapshot, &count);
    leaks->verdicts = calloc(count + 1, sizeof *leaks->verdicts);
    if (leaks->verdicts == NULL) {
        return error_no_memory();
    }
    for (size_t i = 0; i < count; i++) {
        struct proof_result result = proof_without_heap(leaks->snapshot, &goroutines[i], reason);
        leaks->verdicts[i] = (struct finding_verdict){
            (uint8_t)result.verdict, (uint8_t)result.class_, (uint8_t)result.reason};
    }
    leaks->analysis_ns = clock_now() - leaks->moment_ns;
    leaks->obstacle = TAKE(obstacle);
    leaks->refused = true;
    *ret = TAKE(leaks);
    return NULL;
}

/* One look alone, with what can be said when the heap cannot be read. */
static struct error *service_leaks_look_alone(struct service *service,
                                              const struct service_leaks_options *options,
                                              struct service_leaks **ret)
{
    struct error *error = service_leaks_look_once(service, options, ret);
    if (error == NULL) {
        return NULL;
    }
    enum error_code code = error_code(error);
    bool unreadable = code == ERROR_NOT_FOUND || code == ERROR_FAULT || code == ERROR_CORRUPT;
    return unreadable
               ? service_leaks_without_heap(service, options, error, LEAK_REASON_NO_HEAP, ret)
               : error;
}

/* Why the memory of a running program is not to be copied: it has too many goroutines for OPTIONS.
 * NULL in *RET: it is. */
static struct error *service_leaks_refrain(struct service *service,
                                           const struct service_leaks_options *options,
                                           struct error **ret)
{
    uint64_t user = 0;
    uint64_t system = 0;
    *ret = NULL;
    if (options->goroutines_max == 0 || options->freeze != SERVICE_FREEZE_NEVER ||
        target_kind(service->target) != TARGET_KIND_LIVE) {
        return NULL;
    }
    TRY(service_name_error(service, goruntime_count(service->runtime, &user, &system)));
    if (user > options->goroutines_max) {
        *ret = error_advise(error_create(ERROR_LIMIT,
                                         "%llu goroutines: who reaches what they wait for takes a "
                                         "copy of all their stacks, which was not made",
                                         (unsigned long long)user),
                            "--freeze never makes it without a stop, --freeze auto proves as well");
    }
    return NULL;
}

/* Looks as OPTIONS ask, with the lock held. */
static struct error *service_leaks_take(struct service *service,
                                        const struct service_leaks_options *options,
                                        struct service_leaks **ret)
{
    if (!service_has_memory(service)) {
        return service_leaks_of_file(service, options, ret);
    }
    uint64_t stopped = target_stopped_ns(service->target);
    TRY(service_prepare(service));
    struct error *refrain;
    TRY(service_leaks_refrain(service, options, &refrain));
    if (refrain != NULL) {
        TRY(service_leaks_without_heap(service, options, refrain, LEAK_REASON_NOT_CONSISTENT, ret));
        (*ret)->refused = false;
        return NULL;
    }
    TRY(options->watch == NULL ? service_leaks_look_alone(service, options, ret)
                               : service_leaks_observe(service, options, ret));
    (*ret)->stopped_ns = options->watch == NULL ? target_stopped_ns(service->target) - stopped
                                                : (*ret)->watch.stopped_ns;
    TRY(service_leaks_name_tracer(service, *ret));
    return service_leaks_name_cut(service, *ret);
}

struct error *service_find_leaks(struct service *service,
                                 const struct service_leaks_options *options,
                                 struct service_leaks **ret)
{
    CLEANUP(cleanup_leaks) struct service_leaks *leaks = NULL;
    (void)pthread_mutex_lock(&service->lock);
    struct error *error =
        copy_explain_memory(service_leaks_take(service, options, &leaks), "looking for leaks", 0);
    (void)pthread_mutex_unlock(&service->lock);
    TRY(error);
    TRY(copy_explain_memory(service_leaks_judge(leaks, options), "looking for leaks", 0));
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
