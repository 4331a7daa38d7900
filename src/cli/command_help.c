/* unpark help: the same as --help. */
#include "base/cleanup.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/option_sets.h"
#include "cli/output.h"

/* Writes the help of a command or of the program. */
static struct error *command_help_run(struct invocation *invocation, int *exit_ret)
{
    (void)exit_ret;
    CLEANUP(output_deinit) struct output output;
    TRY(output_init(&output, NULL));
    CLEANUP(string_builder_deinit) struct string_builder text = {0};
    if (invocation->options.arguments.count == 0) {
        help_program(&text);
    } else {
        const char *name = invocation->options.arguments.items[0];
        const struct command *command = commands_find(name);
        if (command == NULL) {
            return commands_unknown(name);
        }
        help_command(&text, command);
    }
    TRY(string_builder_error(&text));
    emit_sink_add_builder(&output.sink, &text);
    return output_commit(&output);
}

const struct command command_help = {
    .name = "help",
    .summary = "show the help of a command",
    .description =
        "Shows the help of COMMAND, as unpark COMMAND --help does, or that of unpark. The "
        "same and more is in the manual: man unpark-COMMAND.",
    .arguments =
        (const struct command_argument[]){
            {.name = "COMMAND", .kind = COMMAND_ARGUMENT_COMMAND, .optional = true},
            {.name = NULL}},
    .options = (option_group_source *const[]){option_group_common, NULL},
    .run = command_help_run,
};
