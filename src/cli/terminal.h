/* What the user's terminal can show, and lines for people on stderr. */
#ifndef UNPARK_CLI_TERMINAL_H
#define UNPARK_CLI_TERMINAL_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>

enum terminal_color { TERMINAL_COLOR_AUTO, TERMINAL_COLOR_ALWAYS, TERMINAL_COLOR_NEVER };

struct terminal {
    bool color;    /* stdout gets escape sequences */
    bool quiet;    /* nothing on stderr but errors */
    bool progress; /* stderr shows progress */
    size_t width;  /* columns of stdout; 0: not a terminal, do not wrap or cut */
};

/* Decides by WISH, then NO_COLOR, CLICOLOR_FORCE and FORCE_COLOR, then whether stdout is a terminal
 * that is not dumb; TO_FILE: the data goes to a file instead of stdout. */
void terminal_init(struct terminal *terminal, enum terminal_color wish, bool quiet, bool to_file);

/* Prints ERROR as one line "unpark: what: why (do this)" on stderr, its bytes escaped. */
void terminal_print_error(const struct error *error);

/* Prints a line "unpark: TEXT" on stderr unless TERMINAL is quiet; TEXT's bytes are escaped. */
void terminal_print_note(const struct terminal *terminal, const char *text);

#endif
