/* Shell completion scripts, made from the records. */
#ifndef UNPARK_CLI_COMPLETION_H
#define UNPARK_CLI_COMPLETION_H

#include "base/string_builder.h"
#include "cli/command.h"

/* Append the script for one shell. */
void completion_bash(struct string_builder *script);
void completion_zsh(struct string_builder *script);
void completion_fish(struct string_builder *script);

/* Appends the names of all visible commands and their aliases, separated by spaces. */
void completion_command_names(struct string_builder *script);

/* Appends NULL-terminated WORDS, separated by spaces. */
void completion_words(struct string_builder *script, const char *const *words);

/* Appends the name of COMMAND and its aliases, separated by SEPARATOR. */
void completion_names(struct string_builder *script, const struct command *command, char separator);

/* Appends TEXT as the inside of a single-quoted word of the Bourne shell and zsh. */
void completion_quoted(struct string_builder *script, const char *text);

#endif
