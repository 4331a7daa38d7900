/* unpark dump: every goroutine of a target. */
#include "base/cleanup.h"
#include "cli/commands.h"
#include "cli/option_sets.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/survey.h"
#include "emit/dump.h"
#include "service/service.h"
#include "snapshot/filter.h"
#include "snapshot/group.h"
#include "snapshot/scrub.h"
#include <stdlib.h>

CLEANUP_DEFINE(service, struct service, service_close)
CLEANUP_DEFINE(snapshot, struct snapshot, snapshot_destroy)
CLEANUP_DEFINE(filter, struct filter, filter_destroy)

enum command_dump_form {
    COMMAND_DUMP_TEXT,
    COMMAND_DUMP_GO,
    COMMAND_DUMP_JSON,
    COMMAND_DUMP_NDJSON
};

static const struct option command_dump_format = {
    .name = "format",
    .letter = 'f',
    .kind = OPTION_CHOICE,
    .parameter = "text|go|json|ndjson",
    .help = "text for people; go: as Go's own traceback; JSON, or an object per line",
    .choices = (const char *const[]){"text", "go", "json", "ndjson", NULL}};
static const struct option command_dump_ndjson = {
    .name = "ndjson", .kind = OPTION_FLAG, .help = "the same as --format=ndjson"};
static const struct option command_dump_each = {
    .name = "each", .kind = OPTION_FLAG, .help = "list goroutines singly instead of in groups"};
static const struct option command_dump_goroutine = {
    .name = "goroutine",
    .letter = 'g',
    .kind = OPTION_NUMBER,
    .parameter = "ID",
    .help = "everything about one goroutine, and who else waits for the same"};
static const struct option command_dump_all = {.name = "all",
                                               .letter = 'a',
                                               .kind = OPTION_FLAG,
                                               .help = "list the runtime's own goroutines, too"};
static const struct option command_dump_labels = {
    .name = "labels",
    .kind = OPTION_CHOICE,
    .parameter = "auto|always|never",
    .help = "labels in --format=go; auto: as the program itself would print them",
    .choices = (const char *const[]){"auto", "always", "never", NULL}};
static const struct option command_dump_exit_code = {
    .name = "exit-code",
    .kind = OPTION_FLAG,
    .help = "exit with 1 when any goroutine is listed, 0 when none is"};

/* What is shown and how. */
static const struct option_group *command_dump_view_group(void)
{
    static const struct option *const options[] = {&command_dump_each,
                                                   &command_dump_goroutine,
                                                   &command_dump_all,
                                                   &option_user,
                                                   &option_sort,
                                                   &option_limit,
                                                   &command_dump_format,
                                                   &option_json,
                                                   &command_dump_ndjson,
                                                   &command_dump_labels,
                                                   &command_dump_exit_code,
                                                   &option_scrub,
                                                   NULL};
    static const struct option_group group = {"What to show", options};
    return &group;
}

/* How the target is treated. */
static const struct option_group *command_dump_stop_group(void)
{
    static const struct option *const options[] = {&option_stop, &option_max_stop, NULL};
    static const struct option_group group = {"Stopping", options};
    return &group;
}

/* What the options ask for, once it is known to fit together. */
struct command_dump_wish {
    enum command_dump_form form;
    bool single; /* goroutines, not groups */
    bool detail; /* everything about one goroutine, as text */
    int64_t id;  /* of --goroutine; -1: not given */
    enum group_order order;
    struct filter *filter;
};

/* Frees what a wish holds. */
static void command_dump_wish_deinit(struct command_dump_wish *wish)
{
    filter_destroy(wish->filter);
}

/* The output form; naming two different ones is an error. */
static struct error *command_dump_find_form(const struct options *options,
                                            enum command_dump_form *ret)
{
    int64_t form = options_number(options, &command_dump_format, -1);
    bool json = options_has(options, &option_json);
    bool ndjson = options_has(options, &command_dump_ndjson);
    if ((json && ndjson) || (json && form >= 0 && form != COMMAND_DUMP_JSON) ||
        (ndjson && form >= 0 && form != COMMAND_DUMP_NDJSON)) {
        return error_create(ERROR_USAGE, "--format, --json and --ndjson contradict each other");
    }
    *ret = json       ? COMMAND_DUMP_JSON
           : ndjson   ? COMMAND_DUMP_NDJSON
           : form < 0 ? COMMAND_DUMP_TEXT
                      : (enum command_dump_form)form;
    return NULL;
}

/* The order: as asked for, else groups by count and single goroutines by id. */
static struct error *command_dump_find_order(const struct options *options, bool single,
                                             enum group_order *ret)
{
    const char *text = options_text(options, &option_sort);
    if (text != NULL) {
        return group_parse_order(text, ret);
    }
    *ret = single ? GROUP_BY_ID : GROUP_BY_COUNT;
    return NULL;
}

/* Reads the wish from OPTIONS. */
static struct error *command_dump_wish_init(const struct options *options,
                                            struct command_dump_wish *wish)
{
    *wish = (struct command_dump_wish){.id = options_number(options, &command_dump_goroutine, -1)};
    TRY(command_dump_find_form(options, &wish->form));
    if (wish->id >= 0 && options_has(options, &command_dump_each)) {
        return error_create(ERROR_USAGE, "--goroutine and --each exclude each other");
    }
    wish->detail = wish->id >= 0 && wish->form == COMMAND_DUMP_TEXT;
    wish->single =
        wish->id >= 0 || wish->form == COMMAND_DUMP_GO || options_has(options, &command_dump_each);
    TRY(command_dump_find_order(options, wish->single, &wish->order));
    CLEANUP(cleanup_filter) struct filter *filter = NULL;
    TRY(option_sets_filter(options, &filter));
    if (wish->id >= 0) {
        TRY(filter_add(filter, FILTER_ID, options_text(options, &command_dump_goroutine)));
    } else if (!options_has(options, &command_dump_all) && !option_sets_names_system(options)) {
        TRY(filter_add(filter, FILTER_USER_ONLY, NULL));
    }
    wish->filter = TAKE(filter);
    return NULL;
}

/* What the snapshot shall hold. */
static struct service_look command_dump_look(const struct options *options,
                                             const struct command_dump_wish *wish)
{
    return (struct service_look){
        .objects = wish->form != COMMAND_DUMP_GO,
        .labels = true,
        .arguments = wish->form == COMMAND_DUMP_GO && !options_has(options, &option_scrub),
        .stop = options_has(options, &option_stop),
        .max_stop_ns = option_sets_max_stop(options),
    };
}

/* Takes the snapshot, with progress on stderr when it takes long. */
static struct error *command_dump_take(const struct invocation *invocation, struct service *service,
                                       struct service_look look, struct snapshot **ret)
{
    struct progress progress;
    progress_init(&progress, &invocation->terminal, "reading goroutines");
    look.progress = progress_update;
    look.progress_context = &progress;
    struct error *error = service_snapshot(service, &look, ret);
    progress_deinit(&progress);
    return error;
}

/* Writes VIEW in the form that was asked for. */
static struct error *command_dump_write_view(const struct dump_view *view,
                                             const struct command_dump_wish *wish,
                                             struct emit_sink *sink)
{
    switch (wish->form) {
    case COMMAND_DUMP_GO:
        return dump_go_write(view, sink);
    case COMMAND_DUMP_JSON:
        return dump_json_write(view, sink);
    case COMMAND_DUMP_NDJSON:
        return dump_json_write_lines(view, sink);
    case COMMAND_DUMP_TEXT:
        break;
    }
    return wish->detail ? dump_text_write_goroutine(view, view->selection[0], sink)
                        : dump_text_write(view, sink);
}

/* Writes the goroutines of SELECTION to the output. */
static struct error *command_dump_write(const struct invocation *invocation,
                                        const struct command_dump_wish *wish,
                                        struct snapshot *snapshot, uint32_t *selection,
                                        size_t count, struct output *output)
{
    const struct options *options = &invocation->options;
    struct group_list groups = {0};
    struct dump_view view = {
        .snapshot = snapshot,
        .selection = selection,
        .count = count,
        .limit = (size_t)options_number(options, &option_limit, 0),
        .user_frames = options_has(options, &option_user),
        .style = {.color = invocation->terminal.color},
        .labels =
            (enum dump_labels)options_number(options, &command_dump_labels, DUMP_LABELS_AS_TARGET),
    };
    if (wish->single) {
        TRY(group_sort_selection(snapshot, selection, count, wish->order));
    } else {
        TRY(group_list_init(&groups, snapshot, selection, count, wish->order));
        view.groups = &groups;
    }
    struct error *error = command_dump_write_view(&view, wish, &output->sink);
    group_list_deinit(&groups);
    TRY(error);
    return output_commit(output);
}

/* Chooses the goroutines; one that was asked for by id must be there. */
static struct error *command_dump_select(const struct command_dump_wish *wish,
                                         const struct snapshot *snapshot, uint32_t **ret,
                                         size_t *count_ret)
{
    TRY(filter_apply(wish->filter, snapshot, ret, count_ret));
    size_t all;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(snapshot, &all);
    if (wish->id >= 0 && all > 0 && (goroutines->flags & GOROUTINE_ID_UNKNOWN) != 0) {
        return error_create(ERROR_UNSUPPORTED,
                            "%s counts goroutines without telling their ids: --goroutine cannot "
                            "choose one",
                            snapshot_string(snapshot, snapshot_program(snapshot)->source));
    }
    if (wish->id >= 0 && *count_ret == 0) {
        return error_create(ERROR_NOT_FOUND, "%s: no goroutine %lld that the filters let pass",
                            snapshot_string(snapshot, snapshot_program(snapshot)->source),
                            (long long)wish->id);
    }
    return NULL;
}

/* Says on stderr what Go's text has no place for; returns how many notes there are. */
static size_t command_dump_notes(const struct invocation *invocation,
                                 const struct snapshot *snapshot)
{
    size_t count;
    const char *const *notes = snapshot_notes(snapshot, &count);
    for (size_t i = 0; i < count; i++) {
        terminal_print_note(&invocation->terminal, notes[i]);
    }
    return count;
}

/* Says on stderr what the output lacks. */
static void command_dump_explain(const struct invocation *invocation,
                                 const struct snapshot *snapshot)
{
    if (command_dump_notes(invocation, snapshot) == 0) {
        terminal_print_note(&invocation->terminal, "some stacks could not be read completely");
    }
}

/* Dumps the target. */
static struct error *command_dump_run(struct invocation *invocation, int *exit_ret)
{
    const struct options *options = &invocation->options;
    CLEANUP(command_dump_wish_deinit) struct command_dump_wish wish;
    TRY(command_dump_wish_init(options, &wish));
    CLEANUP(cleanup_service) struct service *service = NULL;
    TRY(option_sets_open(options, &service));
    CLEANUP(output_deinit) struct output output;
    TRY(output_init(&output, options_text(options, &option_output)));
    CLEANUP(cleanup_snapshot) struct snapshot *snapshot = NULL;
    struct service_look look = command_dump_look(options, &wish);
    TRY(command_dump_take(invocation, service, look, &snapshot));
    CLEANUP_FREE uint32_t *selection = NULL;
    size_t count = 0;
    TRY(command_dump_select(&wish, snapshot, &selection, &count));
    if (options_has(options, &option_scrub)) {
        TRY(snapshot_scrub(snapshot));
    }
    TRY(command_dump_write(invocation, &wish, snapshot, selection, count, &output));
    survey_explain_arguments(invocation, service, &look);
    if (service_is_partial(snapshot, &look)) {
        command_dump_explain(invocation, snapshot);
        *exit_ret = COMMAND_EXIT_PARTIAL;
    } else if (wish.form == COMMAND_DUMP_GO && !service_has_memory(service)) {
        (void)command_dump_notes(invocation, snapshot);
    }
    if (count > 0 && options_has(options, &command_dump_exit_code)) {
        *exit_ret = COMMAND_EXIT_FINDINGS;
    }
    return NULL;
}

const struct command command_dump = {
    .name = "dump",
    .aliases = (const char *const[]){"stack", "stacks", NULL},
    .summary = "show every goroutine of a program",
    .description =
        "Shows groups of goroutines with the same stack, creator and wait, largest first. Each "
        "group has its count, what it waits for and since when, the object waited for, the whole "
        "stack, and where its goroutines were started. A last line sums up: how many goroutines, "
        "how many are not shown, how long reading took and how long the program was stopped.\n\n"
        "The program is read while it runs and is not stopped, unless --stop is given: goroutines "
        "that wait are complete, those that run are listed as running, without a stack. With "
        "--stop, when some run, all threads are stopped after everything else has been read, for "
        "as long as reading those takes: milliseconds, whatever the size of the program. What "
        "cannot be known is shown as unknown.\n\n"
        "With --format=go the goroutines are printed as the program's own runtime.Stack(buf, "
        "true) would, arguments included, ordered by id. With --json it is one object with the "
        "keys schema, target, groups (with --each: goroutines) and summary; summary holds the "
        "integers goroutines, system, threads, read_ns and stopped_ns. Addresses are hexadecimal "
        "strings. docs/json.md describes all of it; what is described changes only with the "
        "number in schema.\n\n"
        "Filters that take TEXT look for it anywhere in the name; /REGEX/ is a POSIX extended "
        "regular expression.",
    .arguments = (const struct command_argument[]){{.name = "TARGET"}, {.name = NULL}},
    .options = (option_group_source *const[]){option_group_target, command_dump_view_group,
                                              option_group_filter, command_dump_stop_group,
                                              option_group_output, option_group_common, NULL},
    .examples =
        (const struct command_example[]){
            {"unpark dump 4711", "groups of goroutines, the largest first"},
            {"unpark dump name:etcd --state waiting --min-age 10m --sort age",
             "what has waited for ten minutes or longer"},
            {"unpark dump 4711 --goroutine 17", "everything about one goroutine"},
            {"unpark dump core.4711 --exe ./server --format go -o stacks.txt",
             "Go's own text from a core file"},
            {"unpark dump 4711 --json | jq .summary.goroutines", "a number for a script"},
            {NULL, NULL},
        },
    .findings = "with --exit-code: goroutines are listed",
    .partial = true,
    .targets = true,
    .run = command_dump_run,
};
