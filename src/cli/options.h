/* Options as records, and the parser that follows GNU's rules: options and arguments in any order,
 * --name=value and --name value, bundled letters, and "--" to end the options. */
#ifndef UNPARK_CLI_OPTIONS_H
#define UNPARK_CLI_OPTIONS_H

#include "base/error.h"
#include "base/vector.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the value of an option is: how it is checked, and what completion offers. */
enum option_kind {
    OPTION_FLAG,     /* no value */
    OPTION_TEXT,     /* anything */
    OPTION_NUMBER,   /* decimal, 0 to 2^63 - 1 */
    OPTION_DURATION, /* as Go writes it: "300ms", "1h2m"; "0" is none */
    OPTION_CHOICE,   /* one of choices */
    OPTION_FILE,     /* a path */
    OPTION_PID       /* the id of a process, above 0 */
};

/* One option. The record's address is its identity: commands ask for values by it. */
struct option {
    const char *name; /* long name without dashes */
    char letter;      /* short name, 0 none */
    enum option_kind kind;
    const char *parameter;      /* name of the value in help, NULL for flags */
    const char *help;           /* one line, no full stop */
    const char *const *choices; /* NULL-terminated, for OPTION_CHOICE */
    bool repeatable;            /* given several times every value counts; else the last one does */
};

/* Options under one heading of the help. */
struct option_group {
    const char *title;
    const struct option *const *options; /* NULL-terminated */
};

/* Gives a group; a function, since some groups are derived from other rooms' records. */
typedef const struct option_group *option_group_source(void);

/* One option as given. */
struct options_value {
    const struct option *option;
    const char *text; /* the value as typed, NULL for flags; the argument vector's */
    int64_t number;   /* value of numbers, pids and durations (ns), index of choices */
};

/* The outcome of parsing; zero is empty. */
struct options {
    VECTOR(struct options_value) values;
    VECTOR(const char *) arguments; /* what is not an option, in order */
};

/* Parses COUNT words by the options of SOURCES (NULL-terminated) into OPTIONS, which is empty
 * before. Every value is checked here. ERROR_USAGE names what is wrong, with the closest name that
 * exists. The words must outlive OPTIONS. */
NODISCARD struct error *options_parse(struct options *options, option_group_source *const *sources,
                                      char *const *words, size_t count);

/* Frees what parsing collected. */
void options_deinit(struct options *options);

/* True when OPTION was given. */
bool options_has(const struct options *options, const struct option *option);

/* The last value of OPTION as typed, or NULL when it was not given. */
const char *options_text(const struct options *options, const struct option *option);

/* The last value of OPTION as a number, nanoseconds or index, or DEFAULT_VALUE when not given. */
int64_t options_number(const struct options *options, const struct option *option,
                       int64_t default_value);

/* How often OPTION was given. */
size_t options_count(const struct options *options, const struct option *option);

/* Finds an option by long NAME of SIZE bytes in SOURCES, or NULL. */
const struct option *options_find(option_group_source *const *sources, const char *name,
                                  size_t size);

#endif
