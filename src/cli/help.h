/* Help for people, made from the records. */
#ifndef UNPARK_CLI_HELP_H
#define UNPARK_CLI_HELP_H

#include "base/string_builder.h"
#include "cli/command.h"

/* Appends the help of COMMAND. */
void help_command(struct string_builder *text, const struct command *command);

/* Appends the help of the program: its commands and what they share. */
void help_program(struct string_builder *text);

/* Appends the few calls that a newcomer needs. */
void help_first_steps(struct string_builder *text);

/* Appends the call of COMMAND: "unpark dump [OPTION]... TARGET". */
void help_usage(struct string_builder *text, const struct command *command);

/* The environment variables that count: name and meaning; NULL name ends the list. */
struct help_variable {
    const char *name;
    const char *meaning;
};
const struct help_variable *help_variables(void);

/* What a TARGET can be: form and meaning, as above. */
const struct help_variable *help_targets(void);

/* What the program is, in one line and in one paragraph. */
const char *help_summary(void);
const char *help_description(void);

#endif
