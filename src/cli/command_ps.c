/* unpark ps: the Go processes of this machine. */
#include "cli/commands.h"
#include "cli/option_sets.h"
#include "cli/output.h"
#include "emit/ps.h"
#include "service/service.h"

static const struct option command_ps_json = {
    .name = "json", .letter = 'j', .kind = OPTION_FLAG, .help = "write a JSON array"};

/* The options of this command alone. */
static const struct option_group *command_ps_group(void)
{
    static const struct option *const options[] = {&command_ps_json, NULL};
    static const struct option_group group = {"Output", options};
    return &group;
}

/* Writes the list to OUTPUT. */
static struct error *command_ps_write(const struct invocation *invocation, struct output *output,
                                      const struct service_process *processes, size_t count)
{
    struct emit_style style = {.color = invocation->terminal.color};
    if (options_has(&invocation->options, &command_ps_json)) {
        TRY(ps_json_write(processes, count, &output->sink));
    } else {
        TRY(ps_text_write(processes, count, &style, &output->sink));
    }
    return output_commit(output);
}

/* Lists the processes. */
static struct error *command_ps_run(struct invocation *invocation, int *exit_ret)
{
    (void)exit_ret;
    struct output output;
    TRY(output_init(&output, options_text(&invocation->options, &option_output)));
    struct service_process *processes = NULL;
    size_t count = 0;
    struct error *error = service_processes(true, &processes, &count);
    if (error == NULL) {
        error = command_ps_write(invocation, &output, processes, count);
    }
    if (error == NULL && count == 0) {
        terminal_print_note(&invocation->terminal, "no Go process was found");
    }
    service_free_processes(processes, count);
    output_deinit(&output);
    return error;
}

const struct command command_ps = {
    .name = "ps",
    .aliases = (const char *const[]){"list", NULL},
    .summary = "list the Go processes of this machine",
    .description =
        "Lists every process that is a Go program: pid, user, age, Go version, module and "
        "version, the revision it was built from (marked when the checkout was modified), "
        "threads, goroutines, and how it can be reached, or why it cannot.\n\n"
        "Go programs are told by what is in their executables. Of other users' processes, when "
        "that is not permitted, the file that starts their command line is looked at. A process "
        "that does not answer within two seconds is listed without goroutines.\n\n"
        "With --json it is an array of objects with the keys pid, user, age_ns, command, "
        "executable, go, path, module, version, revision, modified, threads, goroutines, "
        "system_goroutines, reachable and reason; what is not known is null. docs/json.md "
        "describes them. The table is for people, its form may change.",
    .options = (option_group_source *const[]){command_ps_group, option_group_output,
                                              option_group_common, NULL},
    .examples =
        (const struct command_example[]){
            {"unpark ps", "the Go processes, with their goroutines counted"},
            {"unpark ps --json | jq '.[] | select(.goroutines > 10000) | .pid'",
             "those with more than ten thousand goroutines"},
            {NULL, NULL},
        },
    .targets = false,
    .run = command_ps_run,
};
