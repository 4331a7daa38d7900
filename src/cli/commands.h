/* Every command's record, one line each. */
#ifndef UNPARK_CLI_COMMANDS_H
#define UNPARK_CLI_COMMANDS_H

#include "cli/command.h"

extern const struct command command_ps;
extern const struct command command_dump;
extern const struct command command_leaks;
extern const struct command command_causes;
extern const struct command command_export;
extern const struct command command_graph;
extern const struct command command_record;
extern const struct command command_diff;
extern const struct command command_pprof;
extern const struct command command_doctor;
extern const struct command command_completions;
extern const struct command command_version;
extern const struct command command_help;
extern const struct command command_generate_man;
extern const struct command command_complete_targets;

/* All commands, in display order; NULL-terminated. */
const struct command *const *commands_all(void);

/* The command named, or aliased, NAME, or NULL. */
const struct command *commands_find(const char *name);

/* The complaint about an unknown command NAME, with the closest known one. */
NODISCARD NEVER_NULL struct error *commands_unknown(const char *name);

#endif
