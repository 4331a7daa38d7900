#include "cli/help.h"
#include "cli/commands.h"
#include <string.h>

/* Columns of help text, and of the left column of a list. */
enum { HELP_WIDTH = 80, HELP_INDENT = 28 };

const char *help_summary(void)
{
    return "see every goroutine of any Go program, from outside";
}

const char *help_description(void)
{
    return "Unpark reads the goroutines of Go programs that know nothing of it: a running process, "
           "stripped or not, or a core file of one. It needs no endpoint, no import, no rebuild "
           "and no "
           "symbols. It looks without stopping the program, unless it is told to, and never writes "
           "to "
           "it.";
}

const struct help_variable *help_targets(void)
{
    static const struct help_variable targets[] = {
        {"PID", "a running process"},
        {"name:PATTERN",
         "the one Go process whose command, executable or main module holds PATTERN"},
        {"FILE", "a core file; --exe says which program it is of when that is not found"},
        {"FILE", "a goroutine dump in Go's own text, anywhere inside of a log, or a goroutine "
                 "profile, gzip or not; FILE@2 is the second of several dumps, FILE the last"},
        {"FILE@MOMENT", "a moment of a recording made by unpark record: FILE@10:00, FILE@+30s, "
                        "FILE@first; FILE is the last"},
        {"-", "such a dump from standard input"},
        {"URL", "http://HOST:PORT of a server with net/http/pprof, or a profile's own address"},
        {NULL, NULL},
    };
    return targets;
}

const struct help_variable *help_variables(void)
{
    static const struct help_variable variables[] = {
        {"NO_COLOR", "when not empty: no colours, unless --color=always"},
        {"CLICOLOR_FORCE, FORCE_COLOR",
         "when neither empty nor 0: colours also into files and pipes"},
        {"TERM", "dumb: no colours and no progress"},
        {"COLUMNS", "the width to use instead of the terminal's own"},
        {NULL, NULL},
    };
    return variables;
}

/* Appends COUNT spaces. */
static void help_spaces(struct string_builder *text, size_t count)
{
    for (; count > 0; count--) {
        string_builder_add_char(text, ' ');
    }
}

/* Appends the words of BODY from column INDENT on, wrapped, and ends the line. */
static void help_wrap(struct string_builder *text, const char *body, size_t size, size_t indent)
{
    size_t column = indent;
    bool first = true;
    for (size_t at = 0; at < size;) {
        at += strspn(body + at, " \n");
        if (at >= size) {
            break;
        }
        size_t word = strcspn(body + at, " \n");
        word = word > size - at ? size - at : word;
        if (!first && column + 1 + word > HELP_WIDTH) {
            string_builder_add(text, "\n");
            help_spaces(text, indent);
            column = indent;
        } else if (!first) {
            string_builder_add_char(text, ' ');
            column++;
        }
        string_builder_add_bytes(text, body + at, word);
        column += word;
        at += word;
        first = false;
    }
    string_builder_add(text, "\n");
}

/* Appends paragraphs: wrapped, except for lines that start with a space. */
static void help_paragraphs(struct string_builder *text, const char *body)
{
    while (*body != '\0') {
        const char *end = strstr(body, "\n\n");
        size_t size = end == NULL ? strlen(body) : (size_t)(end - body);
        if (body[0] == ' ') {
            string_builder_add_bytes(text, body, size);
            string_builder_add(text, "\n");
        } else {
            help_wrap(text, body, size, 0);
        }
        body += end == NULL ? size : size + 2;
        if (*body != '\0') {
            string_builder_add(text, "\n");
        }
    }
}

/* Appends a line of a list: LEFT, then MEANING in the right column. */
static void help_row(struct string_builder *text, const char *left, const char *meaning)
{
    size_t column = strlen(left) + 2;
    string_builder_format(text, "  %s", left);
    if (column + 1 > HELP_INDENT) {
        string_builder_add(text, "\n");
        column = 0;
    }
    help_spaces(text, HELP_INDENT - column);
    help_wrap(text, meaning, strlen(meaning), HELP_INDENT);
}

void help_usage(struct string_builder *text, const struct command *command)
{
    string_builder_format(text, "unpark %s [OPTION]...", command->name);
    const struct command_argument *argument = command->arguments;
    for (; argument != NULL && argument->name != NULL; argument++) {
        string_builder_format(text, argument->optional ? " [%s]" : " %s", argument->name);
    }
}

/* Appends one option. */
static void help_option(struct string_builder *text, const struct option *option)
{
    struct string_builder left = {0};
    if (option->letter != 0) {
        string_builder_format(&left, "-%c, ", option->letter);
    } else {
        string_builder_add(&left, "    ");
    }
    string_builder_format(&left, "--%s", option->name);
    if (option->parameter != NULL) {
        string_builder_format(&left, "=%s", option->parameter);
    }
    help_row(text, string_builder_text(&left), option->help);
    string_builder_deinit(&left);
}

/* Appends every group of options. */
static void help_options(struct string_builder *text, option_group_source *const *sources)
{
    for (; *sources != NULL; sources++) {
        const struct option_group *group = (*sources)();
        string_builder_format(text, "\n%s:\n", group->title);
        for (const struct option *const *option = group->options; *option != NULL; option++) {
            help_option(text, *option);
        }
    }
}

/* Appends the exit statuses of COMMAND. */
static void help_exits(struct string_builder *text, const struct command *command)
{
    string_builder_add(text, "\nExit status:\n");
    for (int code = 0; code < COMMAND_EXIT_COUNT; code++) {
        const char *meaning = command_exit_meaning(command, code);
        if (meaning != NULL) {
            char number[] = {(char)('0' + code), '\0'};
            help_row(text, number, meaning);
        }
    }
}

/* Appends a list of names and meanings. */
static void help_variable_list(struct string_builder *text, const struct help_variable *variable)
{
    for (; variable->name != NULL; variable++) {
        help_row(text, variable->name, variable->meaning);
    }
}

void help_command(struct string_builder *text, const struct command *command)
{
    string_builder_format(text, "unpark %s - %s\n\nUsage: ", command->name, command->summary);
    help_usage(text, command);
    const char *const *alias = command->aliases;
    for (size_t i = 0; alias != NULL && alias[i] != NULL; i++) {
        string_builder_format(text, "%s%s", i == 0 ? "\nAlso called " : ", ", alias[i]);
    }
    string_builder_add(text, "\n\n");
    help_paragraphs(text, command->description);
    if (command->targets && command->arguments != NULL) {
        string_builder_add(text, "\nTARGET:\n");
        help_variable_list(text, help_targets());
    }
    if (command->list != NULL) {
        const struct command_list *list = command->list();
        string_builder_format(text, "\n%s:\n", list->title);
        for (const struct command_row *row = list->rows; row->name != NULL; row++) {
            help_row(text, row->name, row->meaning);
        }
    }
    help_options(text, command->options);
    if (command->examples != NULL) {
        string_builder_add(text, "\nExamples:\n");
    }
    const struct command_example *example = command->examples;
    for (; example != NULL && example->line != NULL; example++) {
        string_builder_format(text, "  %s\n      %s\n", example->line, example->meaning);
    }
    help_exits(text, command);
}

void help_first_steps(struct string_builder *text)
{
    string_builder_format(text, "unpark: %s\n\n", help_summary());
    help_row(text, "unpark ps", "the Go processes of this machine");
    help_row(text, "unpark dump PID", "every goroutine of one of them, grouped by stack");
    help_row(text, "unpark doctor PID", "what permits or prevents looking at it");
    string_builder_add(text, "\nunpark --help lists all commands.\n");
}

void help_program(struct string_builder *text)
{
    string_builder_format(
        text, "unpark - %s\n\nUsage: unpark COMMAND [OPTION]... [ARGUMENT]...\n\n", help_summary());
    help_paragraphs(text, help_description());
    string_builder_add(text, "\nCommands:\n");
    for (const struct command *const *command = commands_all(); *command != NULL; command++) {
        if (!(*command)->hidden) {
            help_row(text, (*command)->name, (*command)->summary);
        }
    }
    string_builder_add(text, "\nTARGET is one of:\n");
    help_variable_list(text, help_targets());
    string_builder_add(text, "\nOptions:\n");
    help_row(text, "-h, --help", "show this help; after a command: the help of that command");
    help_row(text, "-V, --version", "show the version");
    help_exits(text, NULL);
    string_builder_add(text, "\nManual: man unpark, man unpark-COMMAND.\n");
}
