/* Manual pages in roff (man(7)), made from the records. */
#ifndef UNPARK_CLI_MAN_H
#define UNPARK_CLI_MAN_H

#include "base/string_builder.h"
#include "cli/command.h"

/* Appends the page unpark-NAME(1) of COMMAND. */
void man_command(struct string_builder *page, const struct command *command);

/* Appends the page unpark(1). */
void man_program(struct string_builder *page);

#endif
