/* The registry of commands. */
#include "cli/commands.h"
#include "cli/suggest.h"
#include <string.h>

static const struct command *const commands_list[] = {
    &command_ps,
    &command_dump,
    &command_leaks,
    &command_causes,
    &command_export,
    &command_graph,
    &command_record,
    &command_diff,
    &command_pprof,
    &command_doctor,
    &command_completions,
    &command_version,
    &command_help,
    &command_generate_man,
    &command_complete_targets,
    NULL,
};

const struct command *const *commands_all(void)
{
    return commands_list;
}

const struct command *commands_find(const char *name)
{
    for (const struct command *const *command = commands_list; *command != NULL; command++) {
        if (strcmp((*command)->name, name) == 0) {
            return *command;
        }
        const char *const *alias = (*command)->aliases;
        for (; alias != NULL && *alias != NULL; alias++) {
            if (strcmp(*alias, name) == 0) {
                return *command;
            }
        }
    }
    return NULL;
}

struct error *commands_unknown(const char *name)
{
    struct suggest suggest;
    suggest_init(&suggest, name);
    for (const struct command *const *command = commands_list; *command != NULL; command++) {
        if (!(*command)->hidden) {
            suggest_offer(&suggest, (*command)->name);
        }
        const char *const *alias = (*command)->aliases;
        for (; alias != NULL && *alias != NULL; alias++) {
            suggest_offer(&suggest, *alias);
        }
    }
    struct error *error = error_create(ERROR_USAGE, "'%s' is not a command", name);
    return suggest.best != NULL ? error_advise(error, "did you mean unpark %s?", suggest.best)
                                : error_advise(error, "unpark --help lists them");
}
