/* unpark export: what a target does, as a file for other tools and people. */
#include "base/cleanup.h"
#include "cli/commands.h"
#include "cli/option_sets.h"
#include "cli/output.h"
#include "cli/survey.h"
#include "emit/export_format.h"
#include "snapshot/filter.h"
#include <stdlib.h>

CLEANUP_DEFINE(service, struct service, service_close)
CLEANUP_DEFINE(filter, struct filter, filter_destroy)

/* As many formats as the tables below have room for. */
enum { COMMAND_EXPORT_FORMATS_MAX = 32 };

static struct option command_export_format = {
    .name = "format",
    .letter = 'f',
    .kind = OPTION_CHOICE,
    .parameter = "FORMAT",
    .help = "one of the formats above; without it the name of --output tells"};
static const struct option command_export_each = {
    .name = "each", .kind = OPTION_FLAG, .help = "goroutines singly (json, ndjson, csv, pprof)"};
static const struct option command_export_all = {
    .name = "all", .letter = 'a', .kind = OPTION_FLAG, .help = "the runtime's own goroutines, too"};
static const struct option command_export_user = {
    .name = "user",
    .letter = 'u',
    .kind = OPTION_FLAG,
    .help = "leave out frames of the runtime and the standard library (html, csv and stacks)"};

/* What is written and how. */
static const struct option_group *command_export_view_group(void)
{
    static const char *choices[COMMAND_EXPORT_FORMATS_MAX + 1];
    static const struct option *const options[] = {
        &command_export_format, &command_export_each, &command_export_all, &command_export_user,
        &option_sort,           &option_limit,        &option_scrub,       NULL};
    static const struct option_group group = {"What to write", options};
    size_t count;
    const struct export_format *formats = export_formats(&count);
    for (size_t i = 0; i < count && i < COMMAND_EXPORT_FORMATS_MAX; i++) {
        choices[i] = formats[i].name;
    }
    command_export_format.choices = choices;
    return &group;
}

/* How the target is treated. */
static const struct option_group *command_export_stop_group(void)
{
    static const struct option *const options[] = {&option_stop, &survey_option_freeze,
                                                   &option_max_stop, NULL};
    static const struct option_group group = {"Stopping", options};
    return &group;
}

/* The formats, for help. */
static const struct command_list *command_export_list(void)
{
    static struct command_row rows[COMMAND_EXPORT_FORMATS_MAX + 1];
    static const struct command_list list = {"Formats", rows};
    size_t count;
    const struct export_format *formats = export_formats(&count);
    for (size_t i = 0; i < count && i < COMMAND_EXPORT_FORMATS_MAX; i++) {
        rows[i] = (struct command_row){formats[i].name, formats[i].summary};
    }
    return &list;
}

/* What the options ask for, once it is known to fit together. */
struct command_export_wish {
    const struct export_format *format;
    bool single;   /* goroutines, not groups */
    bool findings; /* to be looked for */
    enum group_order order;
    struct filter *filter;
};

/* Frees what a wish holds. */
static void command_export_wish_deinit(struct command_export_wish *wish)
{
    filter_destroy(wish->filter);
}

/* The format: as named, or as the output's name ends. */
static struct error *command_export_find_format(const struct options *options,
                                                const struct export_format **ret)
{
    const char *name = options_text(options, &command_export_format);
    const char *path = options_text(options, &option_output);
    *ret = name != NULL   ? export_format_find(name)
           : path != NULL ? export_format_of_file(path)
                          : NULL;
    if (*ret != NULL) {
        return NULL;
    }
    const char *advice = "give --format, or --output a name like stacks.svg; unpark export --help "
                         "lists the formats";
    return path == NULL ? error_create(ERROR_USAGE, "no format (%s)", advice)
                        : error_create(ERROR_USAGE, "'%s' tells no format (%s)", path, advice);
}

/* Whether findings are to be looked for; refuses what excludes each other. */
static struct error *command_export_find_findings(const struct options *options,
                                                  struct command_export_wish *wish)
{
    bool freeze = options_has(options, &survey_option_freeze);
    bool stop = options_has(options, &option_stop);
    if (freeze && stop) {
        return error_create(ERROR_USAGE, "--freeze and --stop exclude each other");
    }
    if (freeze && wish->format->findings == EXPORT_FINDINGS_NONE) {
        return error_create(ERROR_USAGE, "--freeze: %s has no place for findings",
                            wish->format->name);
    }
    wish->findings = freeze || (wish->format->findings == EXPORT_FINDINGS_ALWAYS && !stop);
    return NULL;
}

/* Reads the wish from OPTIONS. */
static struct error *command_export_wish_init(const struct options *options,
                                              struct command_export_wish *wish)
{
    *wish = (struct command_export_wish){0};
    TRY(command_export_find_format(options, &wish->format));
    TRY(command_export_find_findings(options, wish));
    bool each = options_has(options, &command_export_each);
    if (each && !wish->format->each && !wish->format->single) {
        return error_create(ERROR_USAGE, "--each: %s is of groups", wish->format->name);
    }
    wish->single = each || wish->format->single;
    wish->order = wish->single ? GROUP_BY_ID : GROUP_BY_COUNT;
    const char *order = options_text(options, &option_sort);
    if (order != NULL) {
        TRY(group_parse_order(order, &wish->order));
    }
    CLEANUP(cleanup_filter) struct filter *filter = NULL;
    TRY(option_sets_filter(options, &filter));
    if (!options_has(options, &command_export_all) && !option_sets_names_system(options)) {
        TRY(filter_add(filter, FILTER_USER_ONLY, NULL));
    }
    wish->filter = TAKE(filter);
    return NULL;
}

/* What a look must hold for the format. */
static struct service_look command_export_look(const struct options *options,
                                               const struct command_export_wish *wish)
{
    return (struct service_look){
        .objects = wish->format->objects,
        .labels = true,
        .arguments = wish->format->arguments && !options_has(options, &option_scrub),
        .stop = options_has(options, &option_stop),
        .max_stop_ns = option_sets_max_stop(options),
    };
}

/* Which goroutines are proved stuck, by index; NULL without findings. */
static struct error *command_export_mark(const struct survey *source, uint8_t **ret)
{
    size_t count;
    (void)snapshot_goroutines(source->snapshot, &count);
    *ret = NULL;
    if (source->leaks == NULL) {
        return NULL;
    }
    *ret = calloc(count + 1, 1);
    if (*ret == NULL) {
        return error_no_memory();
    }
    for (size_t i = 0; i < count; i++) {
        (*ret)[i] = source->leaks->verdicts[i].verdict == LEAK_VERDICT_PROVED;
    }
    return NULL;
}

/* Writes the goroutines of SELECTION to the output. */
static struct error *command_export_write(const struct invocation *invocation,
                                          const struct command_export_wish *wish,
                                          const struct survey *source, uint32_t *selection,
                                          size_t count, struct output *output)
{
    const struct options *options = &invocation->options;
    const struct service_leaks *leaks = source->leaks;
    CLEANUP_FREE uint8_t *leaked = NULL;
    TRY(command_export_mark(source, &leaked));
    struct leaks_view leaks_view = {.snapshot = source->snapshot};
    if (leaks != NULL) {
        leaks_view.verdicts = leaks->verdicts;
        leaks_view.findings = &leaks->findings;
        leaks_view.stopped_ns = leaks->stopped_ns;
        leaks_view.copied_bytes = leaks->copied_bytes;
        leaks_view.analysis_ns = leaks->analysis_ns;
        leaks_view.consistent = leaks->proof_tried;
        leaks_view.obstacle = leaks->obstacle;
    }
    struct export_view view = {
        .dump = {.snapshot = source->snapshot,
                 .selection = selection,
                 .count = count,
                 .limit = (size_t)options_number(options, &option_limit, 0),
                 .user_frames = options_has(options, &command_export_user),
                 .leaked = leaked},
        .leaks = leaks != NULL ? &leaks_view : NULL,
        .leaks_obstacle = survey_obstacle(source),
        .references = leaks == NULL ? NULL : leaks->references,
        .reference_count = leaks == NULL ? 0 : leaks->reference_count,
    };
    struct group_list groups = {0};
    if (wish->single) {
        TRY(group_sort_selection(source->snapshot, selection, count, wish->order));
    } else {
        TRY(group_list_init(&groups, source->snapshot, selection, count, wish->order));
        view.dump.groups = &groups;
    }
    struct error *error = wish->format->write(&view, &output->sink);
    group_list_deinit(&groups);
    TRY(error);
    return output_commit(output);
}

/* Exports the target. */
static struct error *command_export_run(struct invocation *invocation, int *exit_ret)
{
    const struct options *options = &invocation->options;
    CLEANUP(command_export_wish_deinit) struct command_export_wish wish;
    TRY(command_export_wish_init(options, &wish));
    CLEANUP(cleanup_service) struct service *service = NULL;
    TRY(option_sets_open(options, &service));
    CLEANUP(output_deinit) struct output output;
    TRY(output_init(&output, options_text(options, &option_output)));
    CLEANUP(survey_deinit) struct survey survey = {0};
    struct service_look look = command_export_look(options, &wish);
    TRY(survey_take(invocation, service, &look, wish.findings, &survey));
    CLEANUP_FREE uint32_t *selection = NULL;
    size_t count = 0;
    TRY(filter_apply(wish.filter, survey.snapshot, &selection, &count));
    if (options_has(options, &option_scrub)) {
        TRY(survey_scrub(&survey));
    }
    TRY(command_export_write(invocation, &wish, &survey, selection, count, &output));
    survey_explain_arguments(invocation, service, &look);
    return survey_explain(invocation, &survey, exit_ret);
}

const struct command command_export = {
    .name = "export",
    .summary = "write goroutines as a file: report page, flame graph, table, profile",
    .description =
        "Writes what a program's goroutines do in a format that other tools and other people "
        "read: a page or a flame graph for a ticket, a profile for the tools at hand, a table. "
        "Which one is said by --format, or by the name of the output file.\n\n"
        "html and flamegraph are single files without any outside reference: they open from a "
        "mail or a ticket, without a network, and what they show cannot run as code. Search, zoom "
        "and filters need the scripts inside; without scripts everything is still there to "
        "read.\n\n"
        "The page begins with findings, as of unpark leaks. Unless --freeze says otherwise the "
        "program is not stopped for them: evidence is shown, and what only a stop can prove is "
        "called unknown. The filters choose the goroutines of all that follows.\n\n"
        "What leaves may hold secrets. --scrub takes out arguments, labels and addresses, of "
        "memory and of network peers, and home directories; functions, files and lines, wait "
        "reasons, ages and ids stay.",
    .arguments = (const struct command_argument[]){{.name = "TARGET"}, {.name = NULL}},
    .list = command_export_list,
    .options = (option_group_source *const[]){option_group_target, command_export_view_group,
                                              option_group_filter, command_export_stop_group,
                                              option_group_output, option_group_common, NULL},
    .examples =
        (const struct command_example[]){
            {"unpark export 4711 -o stacks.svg", "a flame graph for the ticket"},
            {"unpark export 4711 --scrub -o report.html", "a page that may leave the house"},
            {"unpark export name:server --freeze auto -o report.html",
             "the same with leaks proved, if there is anything to prove"},
            {"unpark export 4711 -f folded --wait select --user", "folded stacks of some of them"},
            {"unpark export core.4711 --exe ./server -o stacks.speedscope.json",
             "a profile from a core file"},
            {NULL, NULL},
        },
    .partial = true,
    .targets = true,
    .run = command_export_run,
};
