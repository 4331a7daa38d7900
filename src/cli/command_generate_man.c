/* unpark generate-man: the manual pages, for the repository. */
#include "base/cleanup.h"
#include "cli/commands.h"
#include "cli/man.h"
#include "cli/option_sets.h"
#include "cli/output.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Writes one page of COMMAND, or of the program when it is NULL, into FOLDER. */
static struct error *command_generate_man_page(const char *folder, const struct command *command)
{
    CLEANUP(string_builder_deinit) struct string_builder path = {0};
    CLEANUP(string_builder_deinit) struct string_builder page = {0};
    string_builder_format(&path, "%s/unpark%s%s.1", folder, command == NULL ? "" : "-",
                          command == NULL ? "" : command->name);
    if (command == NULL) {
        man_program(&page);
    } else {
        man_command(&page, command);
    }
    TRY(string_builder_error(&path));
    TRY(string_builder_error(&page));
    CLEANUP(output_deinit) struct output output;
    TRY(output_init(&output, string_builder_text(&path)));
    if (fchmod(output.descriptor, S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH) != 0) {
        return error_errno(errno, "cannot set the mode of '%s'", string_builder_text(&path));
    }
    emit_sink_add_builder(&output.sink, &page);
    return output_commit(&output);
}

/* Writes every page. */
static struct error *command_generate_man_run(struct invocation *invocation, int *exit_ret)
{
    (void)exit_ret;
    const char *folder = invocation->options.arguments.items[0];
    TRY(command_generate_man_page(folder, NULL));
    for (const struct command *const *command = commands_all(); *command != NULL; command++) {
        if (!(*command)->hidden) {
            TRY(command_generate_man_page(folder, *command));
        }
    }
    return NULL;
}

const struct command command_generate_man = {
    .name = "generate-man",
    .summary = "write the manual pages",
    .description =
        "Writes unpark.1 and a page per command into DIR, for the folder docs/man of the "
        "repository. A test compares them.",
    .arguments = (const struct command_argument[]){{.name = "DIR", .kind = COMMAND_ARGUMENT_FILE},
                                                   {.name = NULL}},
    .options = (option_group_source *const[]){option_group_common, NULL},
    .hidden = true,
    .run = command_generate_man_run,
};
