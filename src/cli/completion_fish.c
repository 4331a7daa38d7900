/* The script is a list of fish's `complete` calls, conditional on the command that was typed. In
 * fish's single quotes only \ and ' are special. */
#include "cli/commands.h"
#include "cli/completion.h"

static const char completion_fish_head[] =
    "# fish completion for unpark; made by: unpark completions fish\n"
    "\n"
    "function __unpark_targets\n"
    "    unpark __complete-targets 2>/dev/null\n"
    "end\n"
    "\n"
    "complete -c unpark -f\n"
    "complete -c unpark -n __fish_use_subcommand -s h -l help -d 'show help'\n"
    "complete -c unpark -n __fish_use_subcommand -s V -l version -d 'show the version'\n";

/* Appends TEXT in single quotes. */
static void completion_fish_quoted(struct string_builder *script, const char *text)
{
    string_builder_add_char(script, '\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\') {
            string_builder_add_char(script, '\\');
        }
        string_builder_add_char(script, *text);
    }
    string_builder_add_char(script, '\'');
}

/* Starts a line for COMMAND. */
static void completion_fish_open(struct string_builder *script, const struct command *command)
{
    string_builder_add(script, "complete -c unpark -n '__fish_seen_subcommand_from ");
    completion_names(script, command, ' ');
    string_builder_add_char(script, '\'');
}

/* Appends the line of one option. */
static void completion_fish_option(struct string_builder *script, const struct command *command,
                                   const struct option *option)
{
    completion_fish_open(script, command);
    if (option->letter != 0) {
        string_builder_format(script, " -s %c", option->letter);
    }
    string_builder_format(script, " -l %s", option->name);
    switch (option->kind) {
    case OPTION_FLAG:
        break;
    case OPTION_CHOICE:
        string_builder_add(script, " -x -a '");
        completion_words(script, option->choices);
        string_builder_add_char(script, '\'');
        break;
    case OPTION_FILE:
        string_builder_add(script, " -r -F");
        break;
    case OPTION_PID:
        string_builder_add(script, " -x -a '(__unpark_targets)'");
        break;
    case OPTION_TEXT:
    case OPTION_NUMBER:
    case OPTION_DURATION:
        string_builder_add(script, " -x");
        break;
    }
    string_builder_add(script, " -d ");
    completion_fish_quoted(script, option->help);
    string_builder_add_char(script, '\n');
}

/* Appends the line of one argument. */
static void completion_fish_argument(struct string_builder *script, const struct command *command,
                                     const struct command_argument *argument)
{
    completion_fish_open(script, command);
    switch (argument->kind) {
    case COMMAND_ARGUMENT_TARGET:
        string_builder_add(script, " -k -F -a '(__unpark_targets)'");
        break;
    case COMMAND_ARGUMENT_PID:
        string_builder_add(script, " -k -a '(__unpark_targets)'");
        break;
    case COMMAND_ARGUMENT_FILE:
        string_builder_add(script, " -F");
        break;
    case COMMAND_ARGUMENT_CHOICE:
        string_builder_add(script, " -a '");
        completion_words(script, argument->choices);
        string_builder_add_char(script, '\'');
        break;
    case COMMAND_ARGUMENT_COMMAND:
        string_builder_add(script, " -a '");
        completion_command_names(script);
        string_builder_add_char(script, '\'');
        break;
    }
    string_builder_add_char(script, '\n');
}

void completion_fish(struct string_builder *script)
{
    string_builder_add(script, completion_fish_head);
    const struct command *const *command;
    for (command = commands_all(); *command != NULL; command++) {
        if (!(*command)->hidden) {
            string_builder_format(script, "complete -c unpark -n __fish_use_subcommand -a %s -d ",
                                  (*command)->name);
            completion_fish_quoted(script, (*command)->summary);
            string_builder_add_char(script, '\n');
        }
    }
    for (command = commands_all(); *command != NULL; command++) {
        if ((*command)->hidden) {
            continue;
        }
        option_group_source *const *sources = (*command)->options;
        for (; *sources != NULL; sources++) {
            const struct option *const *option = (*sources)()->options;
            for (; *option != NULL; option++) {
                completion_fish_option(script, *command, *option);
            }
        }
        const struct command_argument *argument = (*command)->arguments;
        for (; argument != NULL && argument->name != NULL; argument++) {
            completion_fish_argument(script, *command, argument);
        }
    }
}
