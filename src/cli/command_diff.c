/* unpark diff: what changed between two looks. */
#include "base/cleanup.h"
#include "cli/commands.h"
#include "cli/option_sets.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "emit/diff.h"
#include "service/service.h"
#include "snapshot/filter.h"
#include "snapshot/scrub.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

CLEANUP_DEFINE(service, struct service, service_close)
CLEANUP_DEFINE(filter, struct filter, filter_destroy)

enum command_diff_form { COMMAND_DIFF_TEXT, COMMAND_DIFF_JSON };

static const struct option command_diff_after = {
    .name = "after",
    .kind = OPTION_DURATION,
    .parameter = "DURATION",
    .help = "with one target: look, wait for DURATION, look again"};
static const struct option command_diff_format = {.name = "format",
                                                  .letter = 'f',
                                                  .kind = OPTION_CHOICE,
                                                  .parameter = "text|json",
                                                  .help = "text for people, or JSON",
                                                  .choices =
                                                      (const char *const[]){"text", "json", NULL}};
static const struct option command_diff_json = {
    .name = "json", .letter = 'j', .kind = OPTION_FLAG, .help = "the same as --format=json"};
static const struct option command_diff_all = {.name = "all",
                                               .letter = 'a',
                                               .kind = OPTION_FLAG,
                                               .help = "compare the runtime's own goroutines, too"};
static const struct option command_diff_unchanged = {
    .name = "unchanged", .kind = OPTION_FLAG, .help = "list groups that did not change, too"};
static const struct option command_diff_frames = {
    .name = "frames",
    .kind = OPTION_FLAG,
    .help = "show frames of the runtime and the standard library, too"};
static const struct option command_diff_match = {
    .name = "match",
    .kind = OPTION_CHOICE,
    .parameter = "auto|lines|functions",
    .help = "what makes stacks equal; auto: lines, or functions when the builds differ",
    .choices = (const char *const[]){"auto", "lines", "functions", NULL}};
static const struct option command_diff_sort = {
    .name = "sort",
    .kind = OPTION_CHOICE,
    .parameter = "growth|count|name",
    .help = "order: what grew most, what there is most of, or functions",
    .choices = (const char *const[]){"growth", "count", "name", NULL}};
static const struct option command_diff_limit = {.name = "limit",
                                                 .letter = 'n',
                                                 .kind = OPTION_NUMBER,
                                                 .parameter = "COUNT",
                                                 .help = "at most COUNT groups; 0: all"};

/* What is shown and how. */
static const struct option_group *command_diff_view_group(void)
{
    static const struct option *const options[] = {
        &command_diff_after,     &command_diff_match,  &command_diff_sort, &command_diff_limit,
        &command_diff_unchanged, &command_diff_frames, &command_diff_all,  &command_diff_format,
        &command_diff_json,      &option_exe,          &option_scrub,      NULL};
    static const struct option_group group = {"What to compare and show", options};
    return &group;
}

/* What the options ask for. */
struct command_diff_wish {
    const char *targets[2]; /* equal when there is one */
    bool json;
    struct filter *filter;
};

/* Frees what a wish holds. */
static void command_diff_wish_deinit(struct command_diff_wish *wish)
{
    filter_destroy(wish->filter);
}

/* Finds the two targets: two arguments, or one and --after. */
static struct error *command_diff_find_targets(const struct options *options,
                                               struct command_diff_wish *wish)
{
    size_t count = options->arguments.count;
    bool wait = options_has(options, &command_diff_after);
    if (count != (wait ? 1 : 2)) {
        return error_advise(error_create(ERROR_USAGE, wait ? "--after goes with one target"
                                                           : "two targets are needed"),
                            "unpark diff A B compares two, unpark diff A --after 10s one with "
                            "itself");
    }
    wish->targets[0] = options->arguments.items[0];
    wish->targets[1] = options->arguments.items[count - 1];
    if (!wait && strcmp(wish->targets[0], "-") == 0 && strcmp(wish->targets[1], "-") == 0) {
        return error_create(ERROR_USAGE, "standard input can be one of the two only");
    }
    return NULL;
}

/* Reads the wish from OPTIONS. */
static struct error *command_diff_wish_init(const struct options *options,
                                            struct command_diff_wish *wish)
{
    *wish = (struct command_diff_wish){0};
    TRY(command_diff_find_targets(options, wish));
    int64_t form = options_number(options, &command_diff_format, -1);
    bool json = options_has(options, &command_diff_json);
    if (json && form == COMMAND_DIFF_TEXT) {
        return error_create(ERROR_USAGE, "--format and --json contradict each other");
    }
    wish->json = json || form == COMMAND_DIFF_JSON;
    CLEANUP(cleanup_filter) struct filter *filter = NULL;
    TRY(option_sets_filter(options, &filter));
    if (!options_has(options, &command_diff_all) && !option_sets_names_system(options)) {
        TRY(filter_add(filter, FILTER_USER_ONLY, NULL));
    }
    wish->filter = TAKE(filter);
    return NULL;
}

/* One look. */
struct command_diff_look {
    struct snapshot *snapshot;
    uint32_t *selection;
    size_t count;
    bool partial;
};

/* Frees two looks. */
static void command_diff_looks_deinit(struct command_diff_look (*looks)[2])
{
    for (size_t i = 0; i < 2; i++) {
        snapshot_destroy((*looks)[i].snapshot);
        free((*looks)[i].selection);
    }
}

/* Looks at SERVICE. */
static struct error *command_diff_take(const struct invocation *invocation,
                                       const struct command_diff_wish *wish,
                                       struct service *service, struct command_diff_look *ret)
{
    struct progress progress;
    struct service_look look = {.objects = true, .labels = true, .progress = progress_update};
    progress_init(&progress, &invocation->terminal, "reading goroutines");
    look.progress_context = &progress;
    struct error *error = service_snapshot(service, &look, &ret->snapshot);
    progress_deinit(&progress);
    TRY(error);
    ret->partial = service_is_partial(ret->snapshot, &look);
    TRY(filter_apply(wish->filter, ret->snapshot, &ret->selection, &ret->count));
    return options_has(&invocation->options, &option_scrub) ? snapshot_scrub(ret->snapshot) : NULL;
}

/* Opens TARGET; --exe is for those that are core files. */
static struct error *command_diff_open(const struct options *options, const char *target,
                                       struct service **ret)
{
    const struct service_options none = {0}, with = {.exe = options_text(options, &option_exe)};
    struct error *error = service_open(target, &with, ret);
    if (with.exe != NULL && error_catch(&error, ERROR_USAGE)) {
        error = service_open(target, &none, ret);
    }
    return error;
}

/* Opens and looks at TARGET. */
static struct error *command_diff_look(const struct invocation *invocation,
                                       const struct command_diff_wish *wish, const char *target,
                                       struct command_diff_look *ret)
{
    CLEANUP(cleanup_service) struct service *service = NULL;
    TRY(command_diff_open(&invocation->options, target, &service));
    return command_diff_take(invocation, wish, service, ret);
}

/* Looks at TARGET twice. */
static struct error *command_diff_look_twice(const struct invocation *invocation,
                                             const struct command_diff_wish *wish,
                                             const char *target, struct command_diff_look *looks)
{
    CLEANUP(cleanup_service) struct service *service = NULL;
    int64_t after = options_number(&invocation->options, &command_diff_after, 0);
    TRY(command_diff_open(&invocation->options, target, &service));
    TRY(command_diff_take(invocation, wish, service, &looks[0]));
    struct timespec left = {.tv_sec = (time_t)(after / 1000000000),
                            .tv_nsec = (long)(after % 1000000000)};
    while (nanosleep(&left, &left) != 0) {
        /* a signal that does not end the program */
    }
    return command_diff_take(invocation, wish, service, &looks[1]);
}

/* Writes the difference of LOOKS. */
static struct error *command_diff_write(const struct invocation *invocation,
                                        const struct command_diff_wish *wish,
                                        const struct command_diff_look *looks,
                                        struct output *output, bool *grew_ret)
{
    const struct options *options = &invocation->options;
    struct difference_side sides[2];
    CLEANUP(difference_deinit) struct difference difference = {0};
    for (size_t i = 0; i < 2; i++) {
        sides[i] = (struct difference_side){looks[i].snapshot, looks[i].selection, looks[i].count};
    }
    TRY(difference_init(&difference, &sides[0], &sides[1],
                        (enum difference_match)options_number(options, &command_diff_match, 0),
                        (enum difference_order)options_number(options, &command_diff_sort, 0)));
    *grew_ret = difference_has_growth(&difference);
    struct diff_view view = {
        .difference = &difference,
        .before = looks[0].snapshot,
        .after = looks[1].snapshot,
        .limit = (size_t)options_number(options, &command_diff_limit, 0),
        .unchanged = options_has(options, &command_diff_unchanged),
        .all_frames = options_has(options, &command_diff_frames),
        .style = {.color = invocation->terminal.color},
    };
    TRY(wish->json ? diff_json_write(&view, &output->sink) : diff_text_write(&view, &output->sink));
    return output_commit(output);
}

/* Compares. */
static struct error *command_diff_run(struct invocation *invocation, int *exit_ret)
{
    const struct options *options = &invocation->options;
    CLEANUP(command_diff_wish_deinit) struct command_diff_wish wish = {0};
    CLEANUP(command_diff_looks_deinit) struct command_diff_look looks[2] = {0};
    bool grew;
    TRY(command_diff_wish_init(options, &wish));
    CLEANUP(output_deinit) struct output output;
    TRY(output_init(&output, options_text(options, &option_output)));
    if (options_has(options, &command_diff_after)) {
        TRY(command_diff_look_twice(invocation, &wish, wish.targets[0], looks));
    } else {
        TRY(command_diff_look(invocation, &wish, wish.targets[0], &looks[0]));
        TRY(command_diff_look(invocation, &wish, wish.targets[1], &looks[1]));
    }
    TRY(command_diff_write(invocation, &wish, looks, &output, &grew));
    if (looks[0].partial || looks[1].partial) {
        terminal_print_note(&invocation->terminal, "some stacks could not be read completely");
        *exit_ret = COMMAND_EXIT_PARTIAL;
    }
    if (grew) {
        *exit_ret = COMMAND_EXIT_FINDINGS;
    }
    return NULL;
}

const struct command command_diff = {
    .name = "diff",
    .summary = "show what grew between two looks at a program",
    .description =
        "Compares the goroutines of two targets: groups with the same stack, creator and wait that "
        "are new, grew, shrank or are gone, what grew most first, and how many goroutines stayed "
        "in the same wait all the time. A target is whatever unpark dump takes: a process, a core "
        "file, a dump in text, a profile, a URL, or a moment of a recording (FILE@10:00, see "
        "unpark record). The two may be of different kinds; what one of them does not say, such as "
        "the wait in a profile, is not compared, and the output says so.\n\n"
        "Stacks are equal when functions, files and lines are, without frames of the runtime, "
        "which not every source shows. Between different builds lines move, so functions alone are "
        "compared then; --match decides otherwise. Filters apply to both sides.\n\n"
        "With --json it is one object with the keys schema, before, after, matched, notes, groups "
        "and summary; docs/json.md describes it.",
    .arguments = (const struct command_argument[]){{.name = "A"}, {.name = "B"}, {.name = NULL}},
    .options = (option_group_source *const[]){command_diff_view_group, option_group_filter,
                                              option_group_output, option_group_common, NULL},
    .examples =
        (const struct command_example[]){
            {"unpark diff api.unpark@first api.unpark@last", "what grew in a recording"},
            {"unpark diff api.unpark@10:00 4711", "since ten o'clock"},
            {"unpark diff 4711 --after 30s", "within half a minute"},
            {"unpark diff before.txt after.txt --state waiting", "between two dumps"},
            {"unpark diff api.unpark@10:00 api.unpark@10:05 --json | jq .summary.grown_by",
             "a number for a script"},
            {NULL, NULL},
        },
    .findings = "a group grew or is new",
    .partial = true,
    .targets = true,
    .run = command_diff_run,
};
