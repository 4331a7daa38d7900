/* unpark leaks: which goroutines will never wake, and why. */
#include "base/cleanup.h"
#include "cli/command_leaks_watch.h"
#include "cli/commands.h"
#include "cli/option_sets.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/survey.h"
#include "emit/dump.h"
#include "emit/leaks.h"
#include "service/service_leaks.h"
#include "snapshot/scrub.h"
#include <stdlib.h>
#include <string.h>

CLEANUP_DEFINE(service, struct service, service_close)
CLEANUP_DEFINE(leaks, struct service_leaks, service_leaks_destroy)

/* Looks that a watch makes after the first one, when nothing else is said. */
enum { COMMAND_LEAKS_LOOKS = 6 };

/* New findings of one look that get a line on stderr each. */
enum { COMMAND_LEAKS_NEWS_MAX = 8 };

enum command_leaks_form {
    COMMAND_LEAKS_TEXT,
    COMMAND_LEAKS_GO,
    COMMAND_LEAKS_JSON,
    COMMAND_LEAKS_NDJSON
};

static const struct option command_leaks_format = {
    .name = "format",
    .letter = 'f',
    .kind = OPTION_CHOICE,
    .parameter = "text|go|json|ndjson",
    .help = "text for people; go: Go's own traceback with (leaked) where it is proved; JSON; lines",
    .choices = (const char *const[]){"text", "go", "json", "ndjson", NULL}};
static const struct option command_leaks_only = {.name = "only",
                                                 .kind = OPTION_CHOICE,
                                                 .parameter = "proved",
                                                 .help =
                                                     "leave out what is only suspected or in doubt",
                                                 .choices = (const char *const[]){"proved", NULL}};
static const struct option command_leaks_goroutine = {
    .name = "goroutine",
    .letter = 'g',
    .kind = OPTION_NUMBER,
    .parameter = "ID",
    .help = "explain one goroutine: why it is stuck, or what can still wake it"};
static const struct option command_leaks_limit = {.name = "limit",
                                                  .letter = 'n',
                                                  .kind = OPTION_NUMBER,
                                                  .parameter = "COUNT",
                                                  .help = "at most COUNT findings; 0: all"};
static const struct option command_leaks_freeze = {
    .name = "freeze",
    .kind = OPTION_CHOICE,
    .parameter = "auto|always|never",
    .help = "auto: stop the program only when a first look finds something to prove",
    .choices = (const char *const[]){"auto", "always", "never", NULL}};
static const struct option command_leaks_watch_for = {
    .name = "watch",
    .letter = 'w',
    .kind = OPTION_DURATION,
    .parameter = "DURATION",
    .help = "look several times within DURATION and say what grows; Ctrl-C ends it early"};
static const struct option command_leaks_every = {
    .name = "every",
    .kind = OPTION_DURATION,
    .parameter = "DURATION",
    .help = "with --watch: look every DURATION (a sixth of the watch)"};

/* What is shown and how. */
static const struct option_group *command_leaks_view_group(void)
{
    static const struct option *const options[] = {
        &command_leaks_goroutine, &command_leaks_only, &option_user,  &command_leaks_limit,
        &command_leaks_format,    &option_json,        &option_scrub, NULL};
    static const struct option_group group = {"What to show", options};
    return &group;
}

/* Several looks. */
static const struct option_group *command_leaks_watch_group(void)
{
    static const struct option *const options[] = {&command_leaks_watch_for, &command_leaks_every,
                                                   NULL};
    static const struct option_group group = {"Watching", options};
    return &group;
}

/* How the target is treated. */
static const struct option_group *command_leaks_stop_group(void)
{
    static const struct option *const options[] = {&command_leaks_freeze, &option_max_stop, NULL};
    static const struct option_group group = {"Stopping", options};
    return &group;
}

/* The output form; naming two different ones is an error. */
static struct error *command_leaks_form(const struct options *options, enum command_leaks_form *ret)
{
    int64_t form = options_number(options, &command_leaks_format, -1);
    bool json = options_has(options, &option_json);
    if (json && form >= 0 && form != COMMAND_LEAKS_JSON) {
        return error_create(ERROR_USAGE, "--format and --json contradict each other");
    }
    *ret = json       ? COMMAND_LEAKS_JSON
           : form < 0 ? COMMAND_LEAKS_TEXT
                      : (enum command_leaks_form)form;
    return NULL;
}

/* What is asked of each look. */
static struct service_leaks_options command_leaks_look(const struct options *options, int64_t goid)
{
    return (struct service_leaks_options){
        .freeze = (enum service_freeze)options_number(options, &command_leaks_freeze,
                                                      SERVICE_FREEZE_AUTO),
        .max_stop_ns = option_sets_max_stop(options),
        .explain = goid > 0 ? (uint64_t)goid : 0,
    };
}

/* Asks once, with progress on stderr when it takes long. */
static struct error *command_leaks_find(const struct invocation *invocation,
                                        struct service *service, int64_t goid,
                                        struct service_leaks **ret)
{
    struct progress progress;
    progress_init(&progress, &invocation->terminal, "reading goroutines");
    struct service_leaks_options request = command_leaks_look(&invocation->options, goid);
    request.progress = progress_update;
    request.progress_context = &progress;
    struct error *error = service_find_leaks(service, &request, ret);
    progress_deinit(&progress);
    return error;
}

/* Go's own text of all user goroutines, the proved ones marked. */
static struct error *command_leaks_write_go(const struct service_leaks *leaks,
                                            struct emit_sink *sink)
{
    size_t count;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(leaks->snapshot, &count);
    CLEANUP_FREE uint32_t *selection = reallocarray(NULL, count + 1, sizeof *selection);
    CLEANUP_FREE uint8_t *leaked = calloc(count + 1, 1);
    if (selection == NULL || leaked == NULL) {
        return error_no_memory();
    }
    struct dump_view view = {.snapshot = leaks->snapshot, .selection = selection, .leaked = leaked};
    for (size_t i = 0; i < count; i++) {
        leaked[i] = leaks->verdicts[i].verdict == LEAK_VERDICT_PROVED;
        if ((goroutines[i].flags & GOROUTINE_SYSTEM) == 0) {
            selection[view.count++] = (uint32_t)i;
        }
    }
    return dump_go_write(&view, sink);
}

/* The index of the goroutine that was asked for. */
static struct error *command_leaks_index(const struct service_leaks *leaks, int64_t goid,
                                         size_t *ret)
{
    size_t count;
    const struct snapshot_goroutine *all = snapshot_goroutines(leaks->snapshot, &count);
    const struct snapshot_goroutine *one = snapshot_find_goroutine(leaks->snapshot, (uint64_t)goid);
    if (one == NULL) {
        return error_create(
            ERROR_NOT_FOUND, "%s: no goroutine %lld",
            snapshot_string(leaks->snapshot, snapshot_program(leaks->snapshot)->source),
            (long long)goid);
    }
    *ret = (size_t)(one - all);
    return NULL;
}

/* Takes the secrets out of *TEXT, a heap string or NULL. */
static struct error *command_leaks_scrub_text(char **text)
{
    struct string_builder clean = {0};
    if (*text == NULL) {
        return NULL;
    }
    scrub_text(&clean, *text, strlen(*text));
    char *scrubbed;
    TRY(string_builder_take(&clean, &scrubbed));
    free(*text);
    *text = scrubbed;
    return NULL;
}

/* Takes the secrets out of what will be written of LEAKS, when OPTIONS say so. */
static struct error *command_leaks_scrub(const struct options *options, struct service_leaks *leaks)
{
    if (!options_has(options, &option_scrub)) {
        return NULL;
    }
    TRY(snapshot_scrub(leaks->snapshot));
    TRY(command_leaks_scrub_text(&leaks->obstacle));
    return command_leaks_scrub_text(&leaks->witness);
}

/* What is written of LEAKS. OUTCOME is that of a watch, or NULL. */
static struct leaks_view command_leaks_view(const struct invocation *invocation,
                                            const struct service_leaks *leaks,
                                            const struct command_leaks_outcome *outcome)
{
    const struct options *options = &invocation->options;
    const struct service_watch_summary *watch = &leaks->watch;
    const char *target = NULL;
    if (!options_has(options, &option_scrub)) {
        error_destroy(option_sets_target(options, &target));
    }
    return (struct leaks_view){
        .snapshot = leaks->snapshot,
        .verdicts = leaks->verdicts,
        .findings = &leaks->findings,
        .only_proved = options_has(options, &command_leaks_only),
        .user_frames = options_has(options, &option_user),
        .limit = (size_t)options_number(options, &command_leaks_limit, 0),
        .stopped_ns = leaks->stopped_ns,
        .stops = watch->looks > 0 ? watch->stops : leaks->stopped_ns > 0,
        .copied_bytes = leaks->copied_bytes,
        .analysis_ns = leaks->analysis_ns,
        .consistent = leaks->proof_tried,
        .obstacle = leaks->obstacle,
        .witness = leaks->witness,
        .explain = (uint64_t)options_number(options, &command_leaks_goroutine, 0),
        .target = target,
        .watch = {.looks = watch->looks,
                  .first_ns = watch->first_ns,
                  .last_ns = watch->last_ns,
                  .proofs_kept = watch->proofs_kept,
                  .proofs_lost = watch->proofs_lost,
                  .descriptors_first = watch->descriptors_first,
                  .descriptors_last = watch->descriptors_last,
                  .threads_first = watch->threads_first,
                  .threads_last = watch->threads_last,
                  .interrupted = outcome != NULL && outcome->interrupted,
                  .cut = outcome == NULL ? NULL : outcome->cut},
        .style = {.color = invocation->terminal.color},
    };
}

/* Writes the answer. */
static struct error *command_leaks_write(const struct leaks_view *view,
                                         const struct service_leaks *leaks,
                                         enum command_leaks_form form, int64_t goid,
                                         struct output *output)
{
    size_t index = 0;
    if (goid >= 0) {
        TRY(command_leaks_index(leaks, goid, &index));
    }
    switch (form) {
    case COMMAND_LEAKS_GO:
        TRY(command_leaks_write_go(leaks, &output->sink));
        break;
    case COMMAND_LEAKS_JSON:
        TRY(leaks_json_write(view, &output->sink));
        break;
    case COMMAND_LEAKS_NDJSON:
        TRY(leaks_json_write_lines(view, &output->sink));
        break;
    case COMMAND_LEAKS_TEXT:
        TRY(goid >= 0 ? leaks_text_write_goroutine(view, index, &output->sink)
                      : leaks_text_write(view, &output->sink));
        break;
    }
    return output_commit(output);
}

/* Frees what OUTCOME holds. */
static void command_leaks_outcome_deinit(struct command_leaks_outcome *outcome)
{
    free(outcome->cut);
}

/* What reporting a look needs. */
struct command_leaks_news {
    const struct invocation *invocation;
    enum command_leaks_form form;
    struct output *output;
};

/* Says TEXT, when LOOK was how long after the first one, on stderr. */
static struct error *command_leaks_say(const struct command_leaks_news *news,
                                       const struct service_watch_summary *watch,
                                       struct string_builder *text)
{
    CLEANUP(string_builder_deinit) struct string_builder line = {0};
    string_builder_format(&line, "look %u, at %llds: ", watch->looks,
                          (long long)((watch->last_ns - watch->first_ns) / 1000000000));
    string_builder_add(&line, string_builder_text(text));
    TRY(string_builder_error(text));
    TRY(string_builder_error(&line));
    terminal_print_note(&news->invocation->terminal, string_builder_text(&line));
    string_builder_clear(text);
    return NULL;
}

/* Says what is new; with lines on stdout, writes that, too. */
static struct error *command_leaks_looked(void *context, struct service_leaks *leaks,
                                          const size_t *fresh, size_t count)
{
    const struct command_leaks_news *news = context;
    TRY(command_leaks_scrub(&news->invocation->options, leaks));
    const struct leaks_view view = command_leaks_view(news->invocation, leaks, NULL);
    CLEANUP(string_builder_deinit) struct string_builder text = {0};
    size_t said = 0;
    size_t left = 0;
    if (leaks->watch.looks == 1) {
        string_builder_format(&text, "%llu goroutines, %llu proved stuck, %llu suspected",
                              (unsigned long long)leaks->findings.goroutines,
                              (unsigned long long)leaks->findings.proved,
                              (unsigned long long)leaks->findings.suspected);
        TRY(command_leaks_say(news, &leaks->watch, &text));
    }
    for (size_t i = 0; i < count; i++) {
        const struct finding *finding = &leaks->findings.items[fresh[i]];
        if (!leaks_shows(&view, finding)) {
            continue;
        }
        if (news->form == COMMAND_LEAKS_NDJSON) {
            TRY(leaks_json_write_line(&view, fresh[i], &news->output->sink));
        }
        if (said == COMMAND_LEAKS_NEWS_MAX) {
            left++;
            continue;
        }
        said++;
        string_builder_format(&text, "new, %s: ", leak_verdict_text(finding->verdict));
        TRY(leaks_text_describe(&text, leaks->snapshot, finding));
        TRY(command_leaks_say(news, &leaks->watch, &text));
    }
    if (left > 0) {
        string_builder_format(&text, "%zu more new findings", left);
        TRY(command_leaks_say(news, &leaks->watch, &text));
    }
    return NULL;
}

/* Looks several times, as the options say. */
static struct error *command_leaks_observe(const struct invocation *invocation,
                                           struct service *service, int64_t goid,
                                           struct command_leaks_news *news,
                                           struct command_leaks_outcome *outcome,
                                           struct service_leaks **ret)
{
    const struct options *options = &invocation->options;
    int64_t duration = options_number(options, &command_leaks_watch_for, 0);
    int64_t every = options_number(options, &command_leaks_every, duration / COMMAND_LEAKS_LOOKS);
    struct command_leaks_plan plan = {
        .duration_ns = (uint64_t)duration,
        .every_ns = every > 0 ? (uint64_t)every : 1,
        .look = command_leaks_look(options, goid),
        .looked = command_leaks_looked,
        .context = news,
    };
    return command_leaks_watch(service, &plan, outcome, ret);
}

/* Checks that --watch and --every make sense. */
static struct error *command_leaks_check_watch(const struct options *options)
{
    bool watch = options_has(options, &command_leaks_watch_for);
    if (options_has(options, &command_leaks_every) && !watch) {
        return error_create(ERROR_USAGE, "--every needs --watch");
    }
    if (watch && (options_number(options, &command_leaks_watch_for, 0) == 0 ||
                  options_number(options, &command_leaks_every, 1) == 0)) {
        return error_create(ERROR_USAGE, "--watch and --every need a duration above 0");
    }
    return NULL;
}

/* The exit status: findings, then what the answer lacks. */
static int command_leaks_exit(const struct options *options, const struct service_leaks *leaks,
                              const struct command_leaks_outcome *outcome)
{
    bool only = options_has(options, &command_leaks_only);
    bool partial = leaks->refused || leaks->findings.unknown > 0 || outcome->cut != NULL;
    if (leaks->findings.proved > 0 || (!only && leaks->findings.suspected > 0)) {
        return COMMAND_EXIT_FINDINGS;
    }
    return partial ? COMMAND_EXIT_PARTIAL : COMMAND_EXIT_OK;
}

/* Says on stderr what an answer lacks that ends with status CODE. A text that has findings says it
 * itself. */
static struct error *command_leaks_explain(const struct invocation *invocation,
                                           const struct service_leaks *leaks,
                                           const struct command_leaks_outcome *outcome,
                                           enum command_leaks_form form, int code)
{
    if (form == COMMAND_LEAKS_TEXT && code != COMMAND_EXIT_PARTIAL) {
        return NULL;
    }
    if (outcome->cut != NULL) {
        terminal_print_note(&invocation->terminal, outcome->cut);
    }
    if (leaks->obstacle != NULL) {
        terminal_print_note(&invocation->terminal, leaks->obstacle);
    } else if (leaks->findings.unknown > 0 && code == COMMAND_EXIT_PARTIAL) {
        return survey_explain_doubt(invocation, &leaks->findings);
    }
    return NULL;
}

/* Finds leaks. */
static struct error *command_leaks_run(struct invocation *invocation, int *exit_ret)
{
    const struct options *options = &invocation->options;
    enum command_leaks_form form = COMMAND_LEAKS_TEXT;
    int64_t goid = options_number(options, &command_leaks_goroutine, -1);
    TRY(command_leaks_form(options, &form));
    TRY(command_leaks_check_watch(options));
    CLEANUP(cleanup_service) struct service *service = NULL;
    TRY(option_sets_open(options, &service));
    CLEANUP(output_deinit) struct output output;
    TRY(output_init(&output, options_text(options, &option_output)));
    CLEANUP(cleanup_leaks) struct service_leaks *leaks = NULL;
    CLEANUP(command_leaks_outcome_deinit) struct command_leaks_outcome outcome = {0};
    struct command_leaks_news news = {invocation, form, &output};
    TRY(options_has(options, &command_leaks_watch_for)
            ? command_leaks_observe(invocation, service, goid, &news, &outcome, &leaks)
            : command_leaks_find(invocation, service, goid, &leaks));
    TRY(command_leaks_scrub(options, leaks));
    const struct leaks_view view = command_leaks_view(invocation, leaks, &outcome);
    TRY(command_leaks_write(&view, leaks, form, goid, &output));
    *exit_ret = command_leaks_exit(options, leaks, &outcome);
    return command_leaks_explain(invocation, leaks, &outcome, form, *exit_ret);
}

/* What the report calls findings. */
static const struct command_list *command_leaks_verdicts(void)
{
    static const struct command_row rows[] = {
        {"PROVED STUCK", "it can never run again: nothing alive reaches what it waits for"},
        {"SUSPECTED", "it could still be woken, but the evidence speaks for a leak: growth from "
                      "look to look, or very many at one place for long"},
        {"UNKNOWN", "it looks stuck, but a doubt forbids to call it proved; the reason is said"},
        {NULL, NULL}};
    static const struct command_list list = {"Verdicts", rows};
    return &list;
}

const struct command command_leaks = {
    .name = "leaks",
    .summary = "prove which goroutines will never wake, and say why",
    .description =
        "Separates the goroutines that can never run again from those that merely wait. A "
        "goroutine is proved stuck when nothing that can still run reaches what it waits for: the "
        "channel, mutex, wait group or condition. That is the rule of Go's own leak profile, "
        "applied from outside, to any program built with Go 1.18 to 1.27, stripped or not.\n\n"
        "Each finding says what is stuck, how many and since when, where it stands and where it "
        "was started, why, who should have woken it and what to change. What cannot be proved may "
        "be suspected, with the evidence; what is in doubt is called unknown, with the reason. "
        "Goroutines that wait for something that a stuck one holds follow it as \"behind it\". "
        "Ages are those that the runtime notes: they are known after its second garbage "
        "collection.\n\n"
        "The program is looked at without a stop first. Only when several such views agree that "
        "there is something to prove are its threads stopped for a moment, while the memory that "
        "the proof reads is copied; it runs again before the analysis begins. A program in which "
        "nothing looks stuck is not stopped. Nothing is ever written to it. The time stopped is "
        "shown, and "
        "--max-stop bounds it. A core file, and a program that is stopped already, need no "
        "stop.\n\n"
        "With --watch the program is looked at several times. A line on standard error says what "
        "is new as soon as it is seen; the report at the end says in addition what grows, with "
        "descriptors and threads, since when it was seen and when it was proved. What was proved "
        "once costs no second stop while the same goroutine is in the same wait. Ctrl-C ends a "
        "watch early, with the report of what was seen until then, as does the end of the "
        "program; a second Ctrl-C ends unpark.\n\n"
        "JSON and its lines are described in docs/json.md (schema unpark.leaks/1). With "
        "--format go the output is what the program itself would print, with (leaked) in the "
        "headers of proved goroutines, as Go 1.27 does it.",
    .arguments = (const struct command_argument[]){{.name = "TARGET"}, {.name = NULL}},
    .list = command_leaks_verdicts,
    .options = (option_group_source *const[]){option_group_target, command_leaks_view_group,
                                              command_leaks_watch_group, command_leaks_stop_group,
                                              option_group_output, option_group_common, NULL},
    .examples =
        (const struct command_example[]){
            {"unpark leaks 4711", "findings, worst first"},
            {"unpark leaks name:server --only proved --json", "for a script"},
            {"unpark leaks 4711 --goroutine 17", "why 17 is stuck, or what can still wake it"},
            {"unpark leaks 4711 --watch 10m --every 30s", "what grows, looked at every 30 seconds"},
            {"unpark leaks 4711 --freeze never", "what can be said without ever stopping it"},
            {"unpark leaks core.4711 --exe ./server", "from a core file"},
            {NULL, NULL},
        },
    .findings = "goroutines are proved stuck or suspected (with --only proved: are proved stuck)",
    .partial = true,
    .targets = true,
    .run = command_leaks_run,
};
