/* The script is a completion function of zsh's new system: each command is a call of _arguments,
 * whose specifications read "-o+[text]:name:action", with ] and : of texts behind a backslash. */
#include "cli/commands.h"
#include "cli/completion.h"

static const char completion_zsh_head[] =
    "#compdef unpark\n"
    "# zsh completion for unpark; made by: unpark completions zsh\n"
    "\n"
    "_unpark_pids() {\n"
    "    local line\n"
    "    local -a pids\n"
    "    for line in ${(f)\"$(_call_program targets unpark __complete-targets 2>/dev/null)\"}; do\n"
    "        pids+=(\"${${line%%$'\\t'*}}:${line#*$'\\t'}\")\n"
    "    done\n"
    "    _describe -t processes 'Go process' pids\n"
    "}\n"
    "\n"
    "_unpark_targets() {\n"
    "    _alternative 'processes:Go process:_unpark_pids' 'files:core file:_files'\n"
    "}\n"
    "\n";

/* Appends TEXT as it may stand in a specification within single quotes. */
static void completion_zsh_text(struct string_builder *script, const char *text)
{
    for (; *text != '\0'; text++) {
        char letter[] = {*text, '\0'};
        if (*text == ':' || *text == '[' || *text == ']' || *text == '\\') {
            string_builder_add_char(script, '\\');
        }
        completion_quoted(script, letter);
    }
}

/* Appends the message and the action of OPTION's value. */
static void completion_zsh_value(struct string_builder *script, const struct option *option)
{
    string_builder_add_char(script, ':');
    completion_zsh_text(script, option->parameter);
    string_builder_add_char(script, ':');
    switch (option->kind) {
    case OPTION_CHOICE:
        string_builder_add_char(script, '(');
        completion_words(script, option->choices);
        string_builder_add_char(script, ')');
        break;
    case OPTION_FILE:
        string_builder_add(script, "_files");
        break;
    case OPTION_PID:
        string_builder_add(script, "_unpark_pids");
        break;
    case OPTION_FLAG:
    case OPTION_TEXT:
    case OPTION_NUMBER:
    case OPTION_DURATION:
        string_builder_add_char(script, ' ');
        break;
    }
}

/* Appends one form of OPTION: NAME with its dashes, MARK tells how a value follows. */
static void completion_zsh_form(struct string_builder *script, const struct option *option,
                                const char *name, const char *mark)
{
    string_builder_format(script, "        '%s%s%s[", option->repeatable ? "*" : "", name,
                          option->kind == OPTION_FLAG ? "" : mark);
    completion_zsh_text(script, option->help);
    string_builder_add_char(script, ']');
    if (option->kind != OPTION_FLAG) {
        completion_zsh_value(script, option);
    }
    string_builder_add(script, "' \\\n");
}

/* Appends OPTION in its long and short form. */
static void completion_zsh_option(struct string_builder *script, const struct option *option)
{
    struct string_builder name = {0};
    string_builder_format(&name, "--%s", option->name);
    completion_zsh_form(script, option, string_builder_text(&name), "=");
    string_builder_deinit(&name);
    if (option->letter != 0) {
        char letter[] = {'-', option->letter, '\0'};
        completion_zsh_form(script, option, letter, "+");
    }
}

/* Appends the action of ARGUMENT. */
static void completion_zsh_argument(struct string_builder *script,
                                    const struct command_argument *argument)
{
    string_builder_format(script, "        '%s:%s:", argument->optional ? ":" : "", argument->name);
    switch (argument->kind) {
    case COMMAND_ARGUMENT_TARGET:
        string_builder_add(script, "_unpark_targets");
        break;
    case COMMAND_ARGUMENT_PID:
        string_builder_add(script, "_unpark_pids");
        break;
    case COMMAND_ARGUMENT_FILE:
        string_builder_add(script, "_files");
        break;
    case COMMAND_ARGUMENT_CHOICE:
        string_builder_add_char(script, '(');
        completion_words(script, argument->choices);
        string_builder_add_char(script, ')');
        break;
    case COMMAND_ARGUMENT_COMMAND:
        string_builder_add_char(script, '(');
        completion_command_names(script);
        string_builder_add_char(script, ')');
        break;
    }
    string_builder_add(script, "' \\\n");
}

/* Appends the case of one command. */
static void completion_zsh_command(struct string_builder *script, const struct command *command)
{
    string_builder_add(script, "    (");
    completion_names(script, command, '|');
    string_builder_add(script, ")\n        _arguments -s -S \\\n");
    option_group_source *const *sources = command->options;
    for (; *sources != NULL; sources++) {
        for (const struct option *const *option = (*sources)()->options; *option != NULL;
             option++) {
            string_builder_add(script, "    ");
            completion_zsh_option(script, *option);
        }
    }
    const struct command_argument *argument = command->arguments;
    for (; argument != NULL && argument->name != NULL; argument++) {
        string_builder_add(script, "    ");
        completion_zsh_argument(script, argument);
    }
    string_builder_add(script, "            && return 0\n        ;;\n");
}

void completion_zsh(struct string_builder *script)
{
    string_builder_add(script, completion_zsh_head);
    string_builder_add(script, "_unpark() {\n"
                               "    local curcontext=$curcontext state line\n"
                               "    local -a commands\n"
                               "    commands=(\n");
    const struct command *const *command;
    for (command = commands_all(); *command != NULL; command++) {
        if (!(*command)->hidden) {
            string_builder_format(script, "        '%s:", (*command)->name);
            completion_zsh_text(script, (*command)->summary);
            string_builder_add(script, "'\n");
        }
    }
    string_builder_add(script, "    )\n"
                               "    if (( CURRENT == 2 )); then\n"
                               "        _describe -t commands command commands\n"
                               "        return\n"
                               "    fi\n"
                               "    shift words\n"
                               "    (( CURRENT-- ))\n"
                               "    case $words[1] in\n");
    for (command = commands_all(); *command != NULL; command++) {
        if (!(*command)->hidden) {
            completion_zsh_command(script, *command);
        }
    }
    string_builder_add(script, "    esac\n"
                               "    return 1\n"
                               "}\n"
                               "\n"
                               "if [[ $funcstack[1] == _unpark ]]; then\n"
                               "    _unpark \"$@\"\n"
                               "else\n"
                               "    compdef _unpark unpark\n"
                               "fi\n");
}
