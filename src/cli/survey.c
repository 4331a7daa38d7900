#include "cli/survey.h"
#include "base/cleanup.h"
#include "base/string_builder.h"
#include "cli/option_sets.h"
#include "cli/progress.h"
#include "snapshot/scrub.h"
#include <stdlib.h>
#include <string.h>

/* With more goroutines than these, a look without a stop does without what needs a copy of memory:
 * half a GiB of stacks at least. */
enum { SURVEY_GOROUTINES_MAX = 250000 };

const struct option survey_option_freeze = {
    .name = "freeze",
    .kind = OPTION_CHOICE,
    .parameter = "auto|always|never",
    .help = "as of unpark leaks, to say what is proved stuck, if the format has a place for that "
            "(never)",
    .choices = (const char *const[]){"auto", "always", "never", NULL}};

void survey_deinit(struct survey *survey)
{
    if (survey->leaks == NULL) {
        snapshot_destroy(survey->snapshot);
    }
    service_leaks_destroy(survey->leaks);
    free(survey->obstacle);
}

/* Looks for findings. */
static struct error *survey_find(const struct options *options, struct service *service,
                                 struct survey *survey)
{
    struct service_leaks_options request = {
        .freeze = (enum service_freeze)options_number(options, &survey_option_freeze,
                                                      SERVICE_FREEZE_NEVER),
        .everyone = true,
        .goroutines_max = survey->asked ? 0 : SURVEY_GOROUTINES_MAX,
        .max_stop_ns = option_sets_max_stop(options),
        .progress = survey->look.progress,
        .progress_context = survey->look.progress_context,
    };
    struct error *error = service_find_leaks(service, &request, &survey->leaks);
    if (error == NULL) {
        survey->snapshot = survey->leaks->snapshot;
        return NULL;
    }
    enum error_code code = error_code(error);
    if (code != ERROR_CORRUPT && code != ERROR_FAULT && code != ERROR_UNSUPPORTED &&
        code != ERROR_LIMIT) {
        return error;
    }
    survey->obstacle = strdup(error_message(error));
    error_destroy(error);
    return survey->obstacle == NULL ? error_no_memory() : NULL;
}

struct error *survey_take(const struct invocation *invocation, struct service *service,
                          const struct service_look *look, bool findings, struct survey *survey)
{
    struct progress progress;
    progress_init(&progress, &invocation->terminal, "reading goroutines");
    survey->told = !service_has_memory(service);
    survey->asked = options_has(&invocation->options, &survey_option_freeze);
    survey->look = *look;
    survey->look.progress = progress_update;
    survey->look.progress_context = &progress;
    struct error *error = NULL;
    if (findings) {
        error = survey_find(&invocation->options, service, survey);
    }
    if (error == NULL && survey->snapshot == NULL) {
        error = service_snapshot(service, &survey->look, &survey->snapshot);
    }
    progress_deinit(&progress);
    survey->look.progress = NULL;
    survey->look.progress_context = NULL;
    return error;
}

struct error *survey_scrub(struct survey *survey)
{
    TRY(snapshot_scrub(survey->snapshot));
    char **const texts[] = {&survey->obstacle,
                            survey->leaks == NULL ? NULL : &survey->leaks->obstacle};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (texts[i] != NULL && *texts[i] != NULL) {
            struct string_builder clean = {0};
            scrub_text(&clean, *texts[i], strlen(*texts[i]));
            char *text;
            TRY(string_builder_take(&clean, &text));
            free(*texts[i]);
            *texts[i] = text;
        }
    }
    return NULL;
}

const char *survey_obstacle(const struct survey *survey)
{
    if (survey->leaks == NULL) {
        return survey->obstacle;
    }
    return survey->told ? NULL : survey->leaks->obstacle;
}

void survey_explain_arguments(const struct invocation *invocation, const struct service *service,
                              const struct service_look *look)
{
    if (look->arguments && !service_has_arguments(service)) {
        terminal_print_note(&invocation->terminal,
                            "a recording holds no argument words: they are unknown, (...)");
    }
}

struct error *survey_explain_doubt(const struct invocation *invocation,
                                   const struct finding_list *findings)
{
    CLEANUP(string_builder_deinit) struct string_builder line = {0};
    const char *reason = leak_reason_text(LEAK_REASON_IN_TRANSIT); /* who is in no finding */
    for (size_t i = findings->count; i-- > 0;) {
        if (findings->items[i].verdict == LEAK_VERDICT_UNKNOWN) {
            reason = leak_reason_text(findings->items[i].reason);
        }
    }
    string_builder_format(&line, "of %llu goroutine%s it is unknown whether %s stuck: %s",
                          (unsigned long long)findings->unknown, findings->unknown == 1 ? "" : "s",
                          findings->unknown == 1 ? "it is" : "they are", reason);
    TRY(string_builder_error(&line));
    terminal_print_note(&invocation->terminal, string_builder_text(&line));
    return NULL;
}

struct error *survey_explain(const struct invocation *invocation, const struct survey *survey,
                             int *exit_ret)
{
    const struct service_leaks *leaks = survey->leaks;
    bool doubt = survey->asked && leaks != NULL && leaks->findings.unknown > 0 &&
                 leaks->findings.proved == 0; /* as the status of unpark leaks */
    bool refused = survey->obstacle != NULL || (leaks != NULL && leaks->refused);
    bool torn = service_is_partial(survey->snapshot, &survey->look);
    if (!doubt && !refused && !torn) {
        return NULL;
    }
    *exit_ret = COMMAND_EXIT_PARTIAL;
    size_t count;
    const char *const *notes = snapshot_notes(survey->snapshot, &count);
    for (size_t i = 0; torn && i < count; i++) {
        terminal_print_note(&invocation->terminal, notes[i]);
    }
    if (torn && count == 0) {
        terminal_print_note(&invocation->terminal, "some stacks could not be read completely");
    }
    if (survey_obstacle(survey) != NULL && (doubt || refused)) {
        terminal_print_note(&invocation->terminal, survey_obstacle(survey));
        return NULL;
    }
    return doubt ? survey_explain_doubt(invocation, &leaks->findings) : NULL;
}
