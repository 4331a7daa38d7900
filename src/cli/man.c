/* The format is man(7): requests are lines that start with a dot, text must not start with a dot or
 * an apostrophe, a backslash is written \e and a hyphen that is to be copied as typed \-. */
#include "cli/man.h"
#include "cli/commands.h"
#include "cli/help.h"
#include <string.h>

/* Appends TEXT with roff's own characters protected, as typed. */
static void man_text(struct string_builder *page, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        bool line_start = page->size == 0 || page->text[page->size - 1] == '\n';
        if (line_start && (text[i] == '.' || text[i] == '\'')) {
            string_builder_add(page, "\\&");
        }
        if (text[i] == '\\') {
            string_builder_add(page, "\\e");
        } else if (text[i] == '-') {
            string_builder_add(page, "\\-");
        } else if (text[i] == '\'') {
            string_builder_add(page, "\\(aq");
        } else if (text[i] == '~' || text[i] == '^') {
            string_builder_add(page, text[i] == '~' ? "\\(ti" : "\\(ha");
        } else {
            string_builder_add_char(page, text[i]);
        }
    }
}

/* Appends a NUL-terminated text. */
static void man_add(struct string_builder *page, const char *text)
{
    man_text(page, text, strlen(text));
}

/* Appends TEXT in FONT ("B", "I") within a line. */
static void man_font(struct string_builder *page, const char *font, const char *text)
{
    string_builder_format(page, "\\f%s", font);
    man_add(page, text);
    string_builder_add(page, "\\fR");
}

/* Starts the page NAME with SUMMARY. */
static void man_open(struct string_builder *page, const char *name, const char *summary)
{
    string_builder_add(page, ".\\\" Made by unpark generate-man from the commands' records.\n");
    string_builder_add(page, ".TH \"");
    for (const char *letter = name; *letter != '\0'; letter++) {
        string_builder_add_char(page,
                                *letter >= 'a' && *letter <= 'z' ? (char)(*letter - 32) : *letter);
    }
    string_builder_add(page, "\" \"1\" \"\" \"unpark " UNPARK_VERSION "\" \"Unpark Manual\"\n"
                             ".nh\n.ad l\n.SH NAME\n");
    man_add(page, name);
    string_builder_add(page, " \\- ");
    man_add(page, summary);
    string_builder_add(page, "\n");
}

/* Appends paragraphs; those that start with a space are shown as they are. */
static void man_paragraphs(struct string_builder *page, const char *body)
{
    bool first = true;
    while (*body != '\0') {
        const char *end = strstr(body, "\n\n");
        size_t size = end == NULL ? strlen(body) : (size_t)(end - body);
        if (!first) {
            string_builder_add(page, ".PP\n");
        }
        if (body[0] == ' ') {
            string_builder_add(page, ".EX\n");
        }
        man_text(page, body, size);
        string_builder_add(page, body[0] == ' ' ? "\n.EE\n" : "\n");
        body += end == NULL ? size : size + 2;
        first = false;
    }
}

/* Appends a tagged paragraph: the bold TAG, then MEANING. */
static void man_tagged(struct string_builder *page, const char *tag, const char *meaning)
{
    string_builder_add(page, ".TP\n");
    man_font(page, "B", tag);
    string_builder_add(page, "\n");
    man_add(page, meaning);
    string_builder_add(page, "\n");
}

/* Appends a list of names and meanings. */
static void man_variables(struct string_builder *page, const struct help_variable *variable)
{
    for (; variable->name != NULL; variable++) {
        man_tagged(page, variable->name, variable->meaning);
    }
}

/* Appends how COMMAND is called. */
static void man_synopsis(struct string_builder *page, const struct command *command)
{
    string_builder_add(page, ".SH SYNOPSIS\n\\fBunpark ");
    man_add(page, command->name);
    string_builder_add(page, "\\fR [\\fIOPTION\\fR]...");
    const struct command_argument *argument = command->arguments;
    for (; argument != NULL && argument->name != NULL; argument++) {
        string_builder_add(page, argument->optional ? " [" : " ");
        man_font(page, "I", argument->name);
        string_builder_add(page, argument->optional ? "]" : "");
    }
    string_builder_add(page, "\n");
    const char *const *alias = command->aliases;
    for (size_t i = 0; alias != NULL && alias[i] != NULL; i++) {
        string_builder_add(page, i == 0 ? ".PP\nAlso called " : ", ");
        man_font(page, "B", alias[i]);
    }
    string_builder_add(page, alias != NULL ? ".\n" : "");
}

/* Appends one option. */
static void man_option(struct string_builder *page, const struct option *option)
{
    string_builder_add(page, ".TP\n");
    if (option->letter != 0) {
        string_builder_format(page, "\\fB\\-%c\\fR, ", option->letter);
    }
    string_builder_add(page, "\\fB\\-\\-");
    man_add(page, option->name);
    string_builder_add(page, "\\fR");
    if (option->parameter != NULL) {
        string_builder_add(page, "=");
        man_font(page, "I", option->parameter);
    }
    string_builder_add(page, "\n");
    man_add(page, option->help);
    string_builder_add(page, ".\n");
}

/* Appends every group of options as a subsection. */
static void man_options(struct string_builder *page, option_group_source *const *sources)
{
    string_builder_add(page, ".SH OPTIONS\n");
    for (; *sources != NULL; sources++) {
        const struct option_group *group = (*sources)();
        string_builder_format(page, ".SS \"%s\"\n", group->title);
        for (const struct option *const *option = group->options; *option != NULL; option++) {
            man_option(page, *option);
        }
    }
}

/* Appends the exit statuses of COMMAND, or of the program when it is NULL. */
static void man_exits(struct string_builder *page, const struct command *command)
{
    string_builder_add(page, ".SH EXIT STATUS\n");
    for (int code = 0; code < COMMAND_EXIT_COUNT; code++) {
        const char *meaning = command_exit_meaning(command, code);
        if (meaning != NULL) {
            char number[] = {(char)('0' + code), '\0'};
            man_tagged(page, number, meaning);
        }
    }
    string_builder_add(page, ".TP\n\\fB128+\\fIn\\fR\nended by signal \\fIn\\fR\n");
}

/* Appends the other pages to see than that of COMMAND. */
static void man_see_also(struct string_builder *page, const struct command *command)
{
    string_builder_add(page, ".SH SEE ALSO\n");
    if (command != NULL) {
        string_builder_add(page, "\\fBunpark\\fR(1)");
    }
    bool first = command == NULL;
    for (const struct command *const *other = commands_all(); *other != NULL; other++) {
        if (*other != command && !(*other)->hidden) {
            string_builder_add(page, first ? "" : ",\n");
            string_builder_add(page, "\\fBunpark\\-");
            man_add(page, (*other)->name);
            string_builder_add(page, "\\fR(1)");
            first = false;
        }
    }
    string_builder_add(page, "\n");
}

void man_command(struct string_builder *page, const struct command *command)
{
    struct string_builder name = {0};
    string_builder_format(&name, "unpark-%s", command->name);
    man_open(page, string_builder_text(&name), command->summary);
    string_builder_deinit(&name);
    man_synopsis(page, command);
    string_builder_add(page, ".SH DESCRIPTION\n");
    man_paragraphs(page, command->description);
    if (command->targets && command->arguments != NULL) {
        string_builder_add(page, ".SS \"TARGET\"\n");
        man_variables(page, help_targets());
    }
    if (command->list != NULL) {
        const struct command_list *list = command->list();
        string_builder_format(page, ".SS \"%s\"\n", list->title);
        for (const struct command_row *row = list->rows; row->name != NULL; row++) {
            man_tagged(page, row->name, row->meaning);
        }
    }
    man_options(page, command->options);
    if (command->examples != NULL) {
        string_builder_add(page, ".SH EXAMPLES\n");
    }
    const struct command_example *example = command->examples;
    for (; example != NULL && example->line != NULL; example++) {
        man_tagged(page, example->line, example->meaning);
    }
    man_exits(page, command);
    string_builder_add(page, ".SH ENVIRONMENT\n");
    man_variables(page, help_variables());
    man_see_also(page, command);
}

void man_program(struct string_builder *page)
{
    man_open(page, "unpark", help_summary());
    string_builder_add(page, ".SH SYNOPSIS\n\\fBunpark\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR]... "
                             "[\\fIARGUMENT\\fR]...\n.SH DESCRIPTION\n");
    man_paragraphs(page, help_description());
    string_builder_add(page, ".SH COMMANDS\n");
    for (const struct command *const *command = commands_all(); *command != NULL; command++) {
        if (!(*command)->hidden) {
            man_tagged(page, (*command)->name, (*command)->summary);
        }
    }
    string_builder_add(page, ".SH TARGETS\n");
    man_variables(page, help_targets());
    string_builder_add(page,
                       ".SH OPTIONS\n.TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nshow help; after a "
                       "command: the help of that command\n.TP\n\\fB\\-V\\fR, "
                       "\\fB\\-\\-version\\fR\nshow the version\n");
    man_exits(page, NULL);
    string_builder_add(page, ".SH ENVIRONMENT\n");
    man_variables(page, help_variables());
    man_see_also(page, NULL);
}
