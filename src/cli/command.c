#include "cli/command.h"
#include <stddef.h>

const char *command_exit_meaning(const struct command *command, int code)
{
    bool targets = command == NULL || command->targets;
    switch ((enum command_exit)code) {
    case COMMAND_EXIT_OK:
        return command != NULL && command->findings == NULL ? "done" : "done, nothing found";
    case COMMAND_EXIT_FINDINGS:
        return command == NULL ? "findings, with commands and options that look for some"
                               : command->findings;
    case COMMAND_EXIT_USAGE:
        return "the call is wrong";
    case COMMAND_EXIT_GONE:
        return targets ? "the target is gone, is not there, or is not a Go program that can be read"
                       : NULL;
    case COMMAND_EXIT_PERMISSION:
        return targets ? "the system does not permit to look" : NULL;
    case COMMAND_EXIT_PARTIAL:
        return command == NULL || command->partial
                   ? "the result is there but not complete; stderr says what is missing"
                   : NULL;
    case COMMAND_EXIT_INTERNAL:
        return "anything else: input or output failed, no memory, or a defect of unpark";
    case COMMAND_EXIT_COUNT:
        break;
    }
    return NULL;
}

int command_exit_of(const struct error *error)
{
    return command_exit_of_code(error_code(error));
}

int command_exit_of_code(enum error_code code)
{
    switch (code) {
    case ERROR_USAGE:
        return COMMAND_EXIT_USAGE;
    case ERROR_GONE:
    case ERROR_NOT_GO:
    case ERROR_UNSUPPORTED:
    case ERROR_NOT_FOUND:
    case ERROR_CORRUPT:
    case ERROR_FAULT:
        return COMMAND_EXIT_GONE;
    case ERROR_PERMISSION:
        return COMMAND_EXIT_PERMISSION;
    case ERROR_LIMIT:
        return COMMAND_EXIT_PARTIAL;
    case ERROR_OUT_OF_MEMORY:
    case ERROR_IO:
    case ERROR_PIPE:
    case ERROR_INTERNAL:
        break;
    }
    return COMMAND_EXIT_INTERNAL;
}
