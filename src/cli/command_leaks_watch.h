/* Several looks for leaks at one program: when to look, what is new, when to end. */
#ifndef UNPARK_CLI_COMMAND_LEAKS_WATCH_H
#define UNPARK_CLI_COMMAND_LEAKS_WATCH_H

#include "service/service_leaks.h"

/* What to do. */
struct command_leaks_plan {
    uint64_t duration_ns; /* from the first look to the last */
    uint64_t every_ns;    /* between the beginnings of two looks */
    struct service_leaks_options look;
    /* Called after each look, with FRESH findings (indices) that no look before had. */
    struct error *(*looked)(void *context, struct service_leaks *leaks, const size_t *fresh,
                            size_t count);
    void *context;
};

/* How a watch ended. */
struct command_leaks_outcome {
    bool interrupted; /* by the user */
    char *cut;        /* why no look was possible any more, one line, or NULL; heap */
};

/* Looks at SERVICE as PLAN says: at once, then again and again, and at the end. SIGINT ends it
 * early, as does a program that ends. *LEAKS_RET is the latest look; a watch without any is an
 * error. */
NODISCARD struct error *command_leaks_watch(struct service *service,
                                            const struct command_leaks_plan *plan,
                                            struct command_leaks_outcome *outcome_ret,
                                            struct service_leaks **leaks_ret);

#endif
