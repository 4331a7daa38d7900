/* unpark completions: scripts for shells; and the hidden command that they call. */
#include "base/cleanup.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/option_sets.h"
#include "cli/output.h"
#include "service/service.h"
#include <string.h>

static const char *const command_completions_shells[] = {"bash", "zsh", "fish", NULL};

/* Writes the script for a shell. */
static struct error *command_completions_run(struct invocation *invocation, int *exit_ret)
{
    static void (*const makers[])(struct string_builder *) = {completion_bash, completion_zsh,
                                                              completion_fish};
    (void)exit_ret;
    CLEANUP(output_deinit) struct output output;
    TRY(output_init(&output, options_text(&invocation->options, &option_output)));
    CLEANUP(string_builder_deinit) struct string_builder script = {0};
    for (size_t i = 0; command_completions_shells[i] != NULL; i++) {
        if (strcmp(command_completions_shells[i], invocation->options.arguments.items[0]) == 0) {
            makers[i](&script);
        }
    }
    TRY(string_builder_error(&script));
    emit_sink_add_builder(&output.sink, &script);
    return output_commit(&output);
}

/* The options of this command alone. */
static const struct option_group *command_completions_group(void)
{
    static const struct option *const options[] = {&option_output, NULL};
    static const struct option_group group = {"Output", options};
    return &group;
}

const struct command command_completions = {
    .name = "completions",
    .aliases = (const char *const[]){"completion", NULL},
    .summary = "print a completion script for bash, zsh or fish",
    .description = "Prints the script that lets SHELL complete commands, options, their values, "
                   "and the pids of Go processes. Packages install it; without one:\n\n"
                   "  bash: source <(unpark completions bash)\n"
                   "  zsh:  source <(unpark completions zsh)\n"
                   "  fish: unpark completions fish | source",
    .arguments = (const struct command_argument[]){{.name = "SHELL",
                                                    .kind = COMMAND_ARGUMENT_CHOICE,
                                                    .choices = command_completions_shells},
                                                   {.name = NULL}},
    .options = (option_group_source *const[]){command_completions_group, option_group_common, NULL},
    .examples =
        (const struct command_example[]){
            {"unpark completions bash > ~/.local/share/bash-completion/completions/unpark",
             "install it for one user"},
            {NULL, NULL},
        },
    .run = command_completions_run,
};

/* Writes a line "PID<tab>NAME, GO VERSION" for each Go process. */
static struct error *command_complete_targets_run(struct invocation *invocation, int *exit_ret)
{
    (void)invocation;
    (void)exit_ret;
    CLEANUP(output_deinit) struct output output;
    TRY(output_init(&output, NULL));
    struct service_process *processes = NULL;
    size_t count = 0;
    TRY(service_processes(false, &processes, &count));
    for (size_t i = 0; i < count; i++) {
        emit_sink_add_u64(&output.sink, (uint64_t)processes[i].pid);
        emit_sink_add(&output.sink, "\t");
        emit_sink_add_escaped(&output.sink, processes[i].command, strlen(processes[i].command));
        emit_sink_add(&output.sink, ", ");
        emit_sink_add_escaped(&output.sink, processes[i].go_version,
                              strlen(processes[i].go_version));
        emit_sink_add(&output.sink, "\n");
    }
    service_free_processes(processes, count);
    return output_commit(&output);
}

const struct command command_complete_targets = {
    .name = "__complete-targets",
    .summary = "list Go processes for completion",
    .description = "Prints a line for each Go process: pid, a tab, what it is.",
    .options = (option_group_source *const[]){option_group_common, NULL},
    .hidden = true,
    .run = command_complete_targets_run,
};
