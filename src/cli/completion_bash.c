/* The script is a function of bash's programmable completion: it reads COMP_WORDS and fills
 * COMPREPLY.
 * "=" is a word of its own in COMP_WORDS, since it is in COMP_WORDBREAKS. */
#include "cli/commands.h"
#include "cli/completion.h"

static const char completion_bash_head[] =
    "# bash completion for unpark; made by: unpark completions bash\n"
    "\n"
    "_unpark_targets()\n"
    "{\n"
    "    \"${COMP_WORDS[0]}\" __complete-targets 2>/dev/null | cut -f1\n"
    "}\n"
    "\n"
    "_unpark()\n"
    "{\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "    local command='' options='' arguments='' values='' i\n"
    "    COMPREPLY=()\n"
    "    if [[ $cur == '=' ]]; then\n"
    "        cur=''\n"
    "    elif [[ $option == '=' ]]; then\n"
    "        option=${COMP_WORDS[COMP_CWORD - 2]}\n"
    "    fi\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        if [[ ${COMP_WORDS[i]} != -* ]]; then\n"
    "            command=${COMP_WORDS[i]}\n"
    "            break\n"
    "        fi\n"
    "    done\n"
    "    case $command in\n"
    "    '')\n"
    "        options='--help --version'\n"
    "        arguments=words\n"
    "        values='";

static const char completion_bash_tail[] =
    "    *)\n"
    "        return\n"
    "        ;;\n"
    "    esac\n"
    "    if [[ $cur == -* ]]; then\n"
    "        COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
    "        return\n"
    "    fi\n"
    "    case $arguments in\n"
    "    none) return ;;\n"
    "    words) ;;\n"
    "    files) COMPREPLY=($(compgen -f -- \"$cur\")) && return ;;\n"
    "    pids) values=$(_unpark_targets) ;;\n"
    "    targets)\n"
    "        values=$(_unpark_targets)\n"
    "        COMPREPLY=($(compgen -f -- \"$cur\"))\n"
    "        ;;\n"
    "    esac\n"
    "    COMPREPLY+=($(compgen -W \"$values\" -- \"$cur\"))\n"
    "}\n"
    "\n"
    "complete -o filenames -F _unpark unpark\n";

/* Appends what to offer as the value of OPTION. */
static void completion_bash_option(struct string_builder *script, const struct option *option)
{
    if (option->kind == OPTION_FLAG) {
        return;
    }
    string_builder_format(script, "        --%s", option->name);
    if (option->letter != 0) {
        string_builder_format(script, " | -%c", option->letter);
    }
    switch (option->kind) {
    case OPTION_CHOICE:
        string_builder_add(script, ") arguments=words values='");
        completion_words(script, option->choices);
        string_builder_add(script, "' ;;\n");
        break;
    case OPTION_FILE:
        string_builder_add(script, ") arguments=files ;;\n");
        break;
    case OPTION_PID:
        string_builder_add(script, ") arguments=pids ;;\n");
        break;
    case OPTION_FLAG:
    case OPTION_TEXT:
    case OPTION_NUMBER:
    case OPTION_DURATION:
        string_builder_add(script, ") arguments=none ;;\n");
        break;
    }
}

/* Appends what to offer as an argument. */
static void completion_bash_argument(struct string_builder *script,
                                     const struct command_argument *argument)
{
    if (argument == NULL || argument->name == NULL) {
        string_builder_add(script, "        arguments=none\n");
        return;
    }
    switch (argument->kind) {
    case COMMAND_ARGUMENT_TARGET:
        string_builder_add(script, "        arguments=targets\n");
        break;
    case COMMAND_ARGUMENT_PID:
        string_builder_add(script, "        arguments=pids\n");
        break;
    case COMMAND_ARGUMENT_FILE:
        string_builder_add(script, "        arguments=files\n");
        break;
    case COMMAND_ARGUMENT_CHOICE:
        string_builder_add(script, "        arguments=words values='");
        completion_words(script, argument->choices);
        string_builder_add(script, "'\n");
        break;
    case COMMAND_ARGUMENT_COMMAND:
        string_builder_add(script, "        arguments=words values='");
        completion_command_names(script);
        string_builder_add(script, "'\n");
        break;
    }
}

/* Appends the case of one command. */
static void completion_bash_command(struct string_builder *script, const struct command *command)
{
    string_builder_add(script, "    ");
    completion_names(script, command, '|');
    string_builder_add(script, ")\n        options='");
    option_group_source *const *sources = command->options;
    for (; *sources != NULL; sources++) {
        for (const struct option *const *option = (*sources)()->options; *option != NULL;
             option++) {
            string_builder_format(script, "--%s%s ", (*option)->name,
                                  (*option)->kind == OPTION_FLAG ? "" : "=");
        }
    }
    string_builder_add(script, "'\n");
    completion_bash_argument(script, command->arguments);
    string_builder_add(script, "        case $option in\n");
    for (sources = command->options; *sources != NULL; sources++) {
        for (const struct option *const *option = (*sources)()->options; *option != NULL;
             option++) {
            completion_bash_option(script, *option);
        }
    }
    string_builder_add(script, "        esac\n        ;;\n");
}

void completion_bash(struct string_builder *script)
{
    string_builder_add(script, completion_bash_head);
    completion_command_names(script);
    string_builder_add(script, "'\n        ;;\n");
    for (const struct command *const *command = commands_all(); *command != NULL; command++) {
        if (!(*command)->hidden) {
            completion_bash_command(script, *command);
        }
    }
    string_builder_add(script, completion_bash_tail);
}
