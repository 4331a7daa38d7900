#include "cli/option_sets.h"
#include "base/cleanup.h"
#include <string.h>

CLEANUP_DEFINE(filter, struct filter, filter_destroy)

/* As many terms as an option table has room for; filter.h has about a dozen. */
enum { OPTION_SETS_FILTER_MAX = 32 };

const struct option option_pid = {.name = "pid",
                                  .letter = 'p',
                                  .kind = OPTION_PID,
                                  .parameter = "PID",
                                  .help = "look at the running process PID"};
const struct option option_core = {.name = "core",
                                   .letter = 'c',
                                   .kind = OPTION_FILE,
                                   .parameter = "FILE",
                                   .help = "look at the core file FILE"};
const struct option option_exe = {
    .name = "exe",
    .letter = 'e',
    .kind = OPTION_FILE,
    .parameter = "FILE",
    .help = "executable of the core file, when it is not found by itself"};

const struct option_group *option_group_target(void)
{
    static const struct option *const options[] = {&option_pid, &option_core, &option_exe, NULL};
    static const struct option_group group = {"Target", options};
    return &group;
}

const struct option option_output = {
    .name = "output",
    .letter = 'o',
    .kind = OPTION_FILE,
    .parameter = "FILE",
    .help = "write to FILE, which appears when it is complete (- is stdout)"};
const struct option option_color = {.name = "color",
                                    .kind = OPTION_CHOICE,
                                    .parameter = "auto|always|never",
                                    .help = "colours; auto: on terminals, see ENVIRONMENT",
                                    .choices =
                                        (const char *const[]){"auto", "always", "never", NULL}};
const struct option option_quiet = {
    .name = "quiet", .letter = 'q', .kind = OPTION_FLAG, .help = "nothing on stderr but errors"};
const struct option option_verbose = {.name = "verbose",
                                      .letter = 'v',
                                      .kind = OPTION_FLAG,
                                      .repeatable = true,
                                      .help = "say on stderr what is being done; twice: in detail"};
const struct option option_help = {
    .name = "help", .letter = 'h', .kind = OPTION_FLAG, .help = "show this help"};

const struct option_group *option_group_output(void)
{
    static const struct option *const options[] = {&option_output, &option_color, NULL};
    static const struct option_group group = {"Where it goes", options};
    return &group;
}

const struct option_group *option_group_common(void)
{
    static const struct option *const options[] = {&option_quiet, &option_verbose, &option_help,
                                                   NULL};
    static const struct option_group group = {"General", options};
    return &group;
}

#define OPTION_SETS_MAX_STOP_NS INT64_C(500000000)

/* The filter terms as options, made on first use. */
static struct option option_sets_terms[OPTION_SETS_FILTER_MAX];
static const struct option *option_sets_term_list[OPTION_SETS_FILTER_MAX + 1];
static enum filter_kind option_sets_term_kinds[OPTION_SETS_FILTER_MAX];

/* True for the term that holds unless a command is told otherwise. */
static bool option_sets_leaves_out(enum filter_kind kind)
{
    return kind == FILTER_USER_ONLY;
}

/* Makes the options of the filter terms. */
static void option_sets_make_terms(void)
{
    size_t count;
    const struct filter_record *records = filter_records(&count);
    size_t made = 0;
    for (size_t i = 0; i < count && made < OPTION_SETS_FILTER_MAX; i++) {
        if (option_sets_leaves_out(records[i].kind)) {
            continue;
        }
        option_sets_terms[made] = (struct option){
            .name = records[i].name,
            .kind = records[i].parameter == NULL ? OPTION_FLAG : OPTION_TEXT,
            .parameter = records[i].parameter,
            .help = records[i].help,
            .repeatable = true,
        };
        option_sets_term_kinds[made] = records[i].kind;
        option_sets_term_list[made] = &option_sets_terms[made];
        made++;
    }
}

const struct option_group *option_group_filter(void)
{
    static const struct option_group group = {"Filters (all must hold)", option_sets_term_list};
    if (option_sets_term_list[0] == NULL) {
        option_sets_make_terms();
    }
    return &group;
}

const struct option option_scrub = {
    .name = "scrub",
    .kind = OPTION_FLAG,
    .help = "take out arguments, labels, addresses, network peers and home directories"};

const struct option option_json = {
    .name = "json", .letter = 'j', .kind = OPTION_FLAG, .help = "the same as --format=json"};
const struct option option_user = {
    .name = "user",
    .letter = 'u',
    .kind = OPTION_FLAG,
    .help = "hide frames of the runtime and the standard library; it is said how many"};
const struct option option_sort = {
    .name = "sort",
    .kind = OPTION_CHOICE,
    .parameter = "count|age|id|name",
    .help = "order (groups: count, single goroutines: id); count and age: most first",
    .choices = (const char *const[]){"count", "age", "id", "name", NULL}};
const struct option option_limit = {.name = "limit",
                                    .letter = 'n',
                                    .kind = OPTION_NUMBER,
                                    .parameter = "COUNT",
                                    .help = "at most COUNT groups or goroutines; 0: all"};
const struct option option_stop = {
    .name = "stop",
    .kind = OPTION_FLAG,
    .help = "stop the program briefly, to add the stacks of running goroutines"};
const struct option option_max_stop = {.name = "max-stop",
                                       .kind = OPTION_DURATION,
                                       .parameter = "DURATION",
                                       .help =
                                           "give stopping up after DURATION (500ms); 0: no limit"};

uint64_t option_sets_max_stop(const struct options *options)
{
    return (uint64_t)options_number(options, &option_max_stop, OPTION_SETS_MAX_STOP_NS);
}

bool option_sets_names_system(const struct options *options)
{
    const struct option *option =
        options_find((option_group_source *const[]){option_group_filter, NULL}, "system-only", 11);
    return option != NULL && options_has(options, option);
}

struct error *option_sets_filter(const struct options *options, struct filter **ret)
{
    CLEANUP(cleanup_filter) struct filter *filter = NULL;
    TRY(filter_create(&filter));
    for (size_t i = 0; i < options->values.count; i++) {
        const struct options_value *value = &options->values.items[i];
        for (size_t term = 0; option_sets_term_list[term] != NULL; term++) {
            if (value->option == &option_sets_terms[term]) {
                TRY(error_wrap(filter_add(filter, option_sets_term_kinds[term], value->text),
                               "--%s", value->option->name));
            }
        }
    }
    *ret = TAKE(filter);
    return NULL;
}

struct error *option_sets_target(const struct options *options, const char **ret)
{
    const char *pid = options_text(options, &option_pid);
    const char *core = options_text(options, &option_core);
    const char *named = options->arguments.count > 0 ? options->arguments.items[0] : NULL;
    if ((pid != NULL) + (core != NULL) + (named != NULL) > 1) {
        return error_create(ERROR_USAGE, "one target at a time: '%s' and '%s'",
                            pid != NULL ? pid : core, named != NULL ? named : core);
    }
    *ret = pid != NULL ? pid : core != NULL ? core : named;
    if (*ret == NULL) {
        return error_advise(error_create(ERROR_USAGE, "no target"),
                            "give a pid, name:PATTERN, a file, - or a URL; unpark ps lists pids");
    }
    return NULL;
}

struct error *option_sets_open(const struct options *options, struct service **ret)
{
    const char *target;
    TRY(option_sets_target(options, &target));
    struct service_options with = {
        .exe = options_text(options, &option_exe),
        .core = options_has(options, &option_core),
    };
    return service_open(target, &with, ret);
}
