#include "cli/completion.h"
#include "cli/commands.h"
#include <string.h>

void completion_words(struct string_builder *script, const char *const *words)
{
    for (size_t i = 0; words[i] != NULL; i++) {
        string_builder_add(script, i == 0 ? "" : " ");
        string_builder_add(script, words[i]);
    }
}

void completion_names(struct string_builder *script, const struct command *command, char separator)
{
    string_builder_add(script, command->name);
    const char *const *alias = command->aliases;
    for (; alias != NULL && *alias != NULL; alias++) {
        string_builder_add_char(script, separator);
        string_builder_add(script, *alias);
    }
}

void completion_command_names(struct string_builder *script)
{
    bool first = true;
    for (const struct command *const *command = commands_all(); *command != NULL; command++) {
        if (!(*command)->hidden) {
            string_builder_add(script, first ? "" : " ");
            completion_names(script, *command, ' ');
            first = false;
        }
    }
}

void completion_quoted(struct string_builder *script, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            string_builder_add(script, "'\\''");
        } else {
            string_builder_add_char(script, *text);
        }
    }
}
