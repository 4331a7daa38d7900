/* A command of the program as one record: the parser, --help, man pages, completions and the
 * registry all derive from it. To add one, write command_<name>.c
 * and add a line to commands.h and commands.c. */
#ifndef UNPARK_CLI_COMMAND_H
#define UNPARK_CLI_COMMAND_H

#include "base/error.h"
#include "cli/options.h"
#include "cli/terminal.h"

/* What the program's exit status says; 128+n is death by signal n. */
enum command_exit {
    COMMAND_EXIT_OK = 0,
    COMMAND_EXIT_FINDINGS = 1,
    COMMAND_EXIT_USAGE = 2,
    COMMAND_EXIT_GONE = 3,
    COMMAND_EXIT_PERMISSION = 4,
    COMMAND_EXIT_PARTIAL = 5,
    COMMAND_EXIT_INTERNAL = 6,
    COMMAND_EXIT_COUNT
};

/* What completion offers for an argument. */
enum command_argument_kind {
    COMMAND_ARGUMENT_TARGET, /* pids of Go processes, and files */
    COMMAND_ARGUMENT_CHOICE,
    COMMAND_ARGUMENT_COMMAND, /* names of commands */
    COMMAND_ARGUMENT_PID,
    COMMAND_ARGUMENT_FILE
};

/* One argument that is not an option. */
struct command_argument {
    const char *name; /* "TARGET"; NULL ends the list */
    enum command_argument_kind kind;
    const char *const *choices; /* NULL-terminated, for COMMAND_ARGUMENT_CHOICE */
    bool optional;
};

struct command_example {
    const char *line; /* what to type; NULL ends the list */
    const char *meaning;
};

/* A list of names and meanings of a command's own, for its help and manual page. */
struct command_row {
    const char *name; /* NULL ends the list */
    const char *meaning;
};
struct command_list {
    const char *title; /* "Formats" */
    const struct command_row *rows;
};

/* Gives the list; a function, since lists are derived from other rooms' records. */
typedef const struct command_list *command_list_source(void);

struct command;

/* One call of the program. */
struct invocation {
    const struct command *command;
    struct options options;
    struct terminal terminal;
};

/* Does the work; *EXIT_RET starts as COMMAND_EXIT_OK. */
typedef struct error *command_run(struct invocation *invocation, int *exit_ret);

/* The record. Texts are plain; paragraphs of the description are separated by empty lines, and
 * lines that start with a space are shown as they are. */
struct command {
    const char *name;
    const char *const *aliases; /* NULL-terminated, or NULL */
    const char *summary;        /* one line, lower case, no full stop */
    const char *description;
    const struct command_argument *arguments; /* or NULL */
    command_list_source *list;                /* or NULL */
    option_group_source *const *options;      /* NULL-terminated */
    const struct command_example *examples;   /* or NULL */
    const char *findings; /* what exit status 1 means here, NULL: does not occur */
    bool partial;         /* exit status 5 can occur */
    bool targets;         /* it opens targets: exit statuses 3 and 4 can occur */
    bool hidden;          /* not for users: in no help, page or completion */
    command_run *run;
};

/* What exit status CODE of COMMAND (NULL: of the program as a whole) means, or NULL when it does
 * not occur. */
const char *command_exit_meaning(const struct command *command, int code);

/* The exit status that reports ERROR, or an error of CODE. */
int command_exit_of(const struct error *error);
int command_exit_of_code(enum error_code code);

#endif
