/* unpark graph: who waits for what, and who may end it. */
#include "base/cleanup.h"
#include "cli/commands.h"
#include "cli/option_sets.h"
#include "cli/output.h"
#include "cli/survey.h"
#include "emit/graph.h"
#include <stdlib.h>
#include <string.h>

CLEANUP_DEFINE(service, struct service, service_close)
CLEANUP_DEFINE(filter, struct filter, filter_destroy)

enum { COMMAND_GRAPH_LIMIT = 60 };

static const struct option command_graph_format = {
    .name = "format",
    .letter = 'f',
    .kind = OPTION_CHOICE,
    .parameter = "svg|dot|mermaid|json",
    .help = "a picture, or text for Graphviz, Mermaid or a program; the name of --output tells, "
            "else dot",
    .choices = (const char *const[]){"svg", "dot", "mermaid", "json", NULL}};
static const struct option command_graph_all = {
    .name = "all",
    .letter = 'a',
    .kind = OPTION_FLAG,
    .help = "also what no goroutine ends: clocks, descriptors, system calls; and the runtime's own "
            "goroutines"};
static const struct option command_graph_limit = {
    .name = "limit",
    .letter = 'n',
    .kind = OPTION_NUMBER,
    .parameter = "COUNT",
    .help = "draw at most COUNT groups and as many objects, the largest (60); 0: all"};

/* What is drawn and how. */
static const struct option_group *command_graph_view_group(void)
{
    static const struct option *const options[] = {
        &command_graph_format, &option_json,     &command_graph_all, &command_graph_limit,
        &survey_option_freeze, &option_max_stop, &option_scrub,      NULL};
    static const struct option_group group = {"What to draw", options};
    return &group;
}

/* The format: as named, or as the output's name ends. */
static struct error *command_graph_find_format(const struct options *options,
                                               const struct graph_format **ret)
{
    static const char *const endings[][2] = {
        {".svg", "svg"}, {".dot", "dot"}, {".gv", "dot"}, {".mmd", "mermaid"}, {".json", "json"}};
    size_t count;
    const struct graph_format *formats = graph_formats(&count);
    const char *path = options_text(options, &option_output);
    const char *name = options_text(options, &command_graph_format);
    if (options_has(options, &option_json)) {
        if (name != NULL && strcmp(name, "json") != 0) {
            return error_create(ERROR_USAGE, "--format and --json contradict each other");
        }
        name = "json";
    }
    for (size_t i = 0; name == NULL && path != NULL && i < sizeof endings / sizeof *endings; i++) {
        size_t size = strlen(endings[i][0]);
        size_t length = strlen(path);
        if (length > size && strcmp(path + length - size, endings[i][0]) == 0) {
            name = endings[i][1];
        }
    }
    name = name == NULL ? "dot" : name;
    *ret = &formats[0];
    for (size_t i = 1; i < count; i++) {
        if (strcmp(formats[i].name, name) == 0) {
            *ret = &formats[i];
        }
    }
    return NULL;
}

/* Builds the graph of the goroutines in GROUPS and writes it. */
static struct error *command_graph_write(const struct options *options, struct survey *source,
                                         const struct group_list *groups,
                                         const struct graph_format *format, struct output *output)
{
    const struct service_leaks *leaks = source->leaks;
    struct wait_graph graph CLEANUP(wait_graph_deinit) = {0};
    struct wait_graph_input input = {.snapshot = source->snapshot,
                                     .groups = groups,
                                     .verdicts = leaks == NULL ? NULL : leaks->verdicts,
                                     .references = leaks == NULL ? NULL : leaks->references,
                                     .reference_count = leaks == NULL ? 0 : leaks->reference_count,
                                     .outside = options_has(options, &command_graph_all)};
    TRY(wait_graph_init(&graph, &input));
    struct graph_view view = {.snapshot = source->snapshot,
                              .graph = &graph,
                              .groups_cut = graph.group_count,
                              .objects_cut = graph.object_count,
                              .edges_cut = graph.wait_count + graph.reach_count,
                              .obstacle = survey_obstacle(source)};
    size_t limit = (size_t)options_number(options, &command_graph_limit, COMMAND_GRAPH_LIMIT);
    wait_graph_cut(&graph, limit, limit, format->edges);
    view.groups_cut -= graph.group_count;
    view.objects_cut -= graph.object_count;
    view.edges_cut -= graph.wait_count + graph.reach_count;
    TRY(format->write(&view, &output->sink));
    return output_commit(output);
}

/* Chooses the goroutines and writes their graph. */
static struct error *command_graph_select(const struct options *options, struct survey *source,
                                          const struct graph_format *format, struct output *output)
{
    CLEANUP(cleanup_filter) struct filter *filter = NULL;
    CLEANUP_FREE uint32_t *selection = NULL;
    size_t count = 0;
    struct group_list groups CLEANUP(group_list_deinit) = {0};
    TRY(option_sets_filter(options, &filter));
    if (!options_has(options, &command_graph_all) && !option_sets_names_system(options)) {
        TRY(filter_add(filter, FILTER_USER_ONLY, NULL));
    }
    TRY(filter_apply(filter, source->snapshot, &selection, &count));
    if (options_has(options, &option_scrub)) {
        TRY(survey_scrub(source));
    }
    TRY(group_list_init(&groups, source->snapshot, selection, count, GROUP_BY_COUNT));
    return command_graph_write(options, source, &groups, format, output);
}

/* Draws the target. */
static struct error *command_graph_run(struct invocation *invocation, int *exit_ret)
{
    const struct options *options = &invocation->options;
    const struct graph_format *format = &graph_formats(&(size_t){0})[0];
    TRY(command_graph_find_format(options, &format));
    CLEANUP(cleanup_service) struct service *service = NULL;
    TRY(option_sets_open(options, &service));
    CLEANUP(output_deinit) struct output output;
    TRY(output_init(&output, options_text(options, &option_output)));
    CLEANUP(survey_deinit) struct survey survey = {0};
    const struct service_look look = {.objects = true, .labels = true};
    TRY(survey_take(invocation, service, &look, true, &survey));
    TRY(command_graph_select(options, &survey, format, &output));
    return survey_explain(invocation, &survey, exit_ret);
}

const struct command command_graph = {
    .name = "graph",
    .summary = "draw who waits for what, and who may end it",
    .description =
        "Draws the wait graph: groups of goroutines with the same stack, what they wait for, and "
        "which goroutines can still reach that. Objects with the same groups around them are one "
        "node, so ten thousand requests that wait alike are two boxes and a line.\n\n"
        "A line goes from who waits to what it waits for. A dashed one goes on to the goroutines "
        "whose stacks refer to it: who may send, close or unlock, if anybody does. A mutex has no "
        "owner in Go, so whoever refers to it is only a possible holder. What nobody refers to is "
        "reachable by a global variable or a field, or by nobody: unpark leaks tells.\n\n"
        "Goroutines that wait for the clock, the network or the kernel are left out and counted, "
        "unless --all is given. The program is not stopped unless --freeze says so; then what is "
        "proved stuck is marked.\n\n"
        "A goroutine dump or profile does not tell what is waited for: its graph has nil channels "
        "and empty selects alone.",
    .arguments = (const struct command_argument[]){{.name = "TARGET"}, {.name = NULL}},
    .options = (option_group_source *const[]){option_group_target, command_graph_view_group,
                                              option_group_filter, option_group_output,
                                              option_group_common, NULL},
    .examples =
        (const struct command_example[]){
            {"unpark graph 4711 -o waits.svg", "a picture for the ticket"},
            {"unpark graph 4711 --format mermaid --function myservice",
             "text for a pull request, of some goroutines"},
            {"unpark graph 4711 --freeze auto -o waits.svg", "what is proved stuck is red"},
            {"unpark graph 4711 | dot -Tpng -o waits.png", "drawn by Graphviz"},
            {NULL, NULL},
        },
    .partial = true,
    .targets = true,
    .run = command_graph_run,
};
