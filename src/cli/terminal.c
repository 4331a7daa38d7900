#include "cli/terminal.h"
#include "base/string_builder.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* True when the environment variable NAME is set to something. */
static bool terminal_set(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0';
}

/* True when NAME is set and not "0". */
static bool terminal_forced(const char *name)
{
    return terminal_set(name) && strcmp(getenv(name), "0") != 0;
}

/* Colour by the rules of no-color.org and bixense.com/clicolors, in that order. */
static bool terminal_wants_color(enum terminal_color wish, bool to_terminal)
{
    if (wish != TERMINAL_COLOR_AUTO) {
        return wish == TERMINAL_COLOR_ALWAYS;
    }
    if (terminal_set("NO_COLOR")) {
        return false;
    }
    if (terminal_forced("CLICOLOR_FORCE") || terminal_forced("FORCE_COLOR")) {
        return true;
    }
    const char *term = getenv("TERM");
    return to_terminal && term != NULL && strcmp(term, "dumb") != 0;
}

/* Columns of stdout: COLUMNS, what the terminal says, or 80. */
static size_t terminal_columns(void)
{
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    if (columns != NULL) {
        char *end;
        unsigned long value = strtoul(columns, &end, 10);
        if (*end == '\0' && value >= 20 && value <= 10000) {
            return value;
        }
    }
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20) {
        return size.ws_col;
    }
    return 80;
}

void terminal_init(struct terminal *terminal, enum terminal_color wish, bool quiet, bool to_file)
{
    bool to_terminal = !to_file && isatty(STDOUT_FILENO) == 1;
    const char *term = getenv("TERM");
    *terminal = (struct terminal){
        .color = terminal_wants_color(wish, to_terminal),
        .quiet = quiet,
        .progress =
            !quiet && isatty(STDERR_FILENO) == 1 && term != NULL && strcmp(term, "dumb") != 0,
        .width = to_terminal ? terminal_columns() : 0,
    };
}

/* Writes "unpark: ", TEXT escaped, and SUFFIX as one write, so that lines of several processes do
 * not mix. */
static void terminal_write_line(const char *text, const char *advice)
{
    struct string_builder line = {0};
    string_builder_add(&line, "unpark: ");
    string_builder_add_escaped(&line, text, strlen(text));
    if (advice != NULL) {
        string_builder_add(&line, " (");
        string_builder_add_escaped(&line, advice, strlen(advice));
        string_builder_add(&line, ")");
    }
    string_builder_add(&line, "\n");
    struct error *failure = string_builder_error(&line);
    if (failure != NULL) {
        error_destroy(failure);
        (void)fputs("unpark: out of memory\n", stderr);
    } else {
        (void)fwrite(line.text, 1, line.size, stderr);
    }
    string_builder_deinit(&line);
}

void terminal_print_error(const struct error *error)
{
    terminal_write_line(error_message(error), error_advice(error));
}

void terminal_print_note(const struct terminal *terminal, const char *text)
{
    if (!terminal->quiet) {
        terminal_write_line(text, NULL);
    }
}
