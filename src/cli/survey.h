/* What export and graph show: a snapshot, and who is stuck and who reaches what, when that can be
 * told. */
#ifndef UNPARK_CLI_SURVEY_H
#define UNPARK_CLI_SURVEY_H

#include "cli/command.h"
#include "service/service_leaks.h"

/* --freeze and --max-stop of these commands. */
extern const struct option survey_option_freeze;

/* Zeroed before it is taken. */
struct survey {
    struct snapshot *snapshot;   /* that of LEAKS when there are any */
    struct service_leaks *leaks; /* or NULL: not looked for, or not to be had */
    char *obstacle;              /* why they could not be had, or NULL */
    struct service_look look;    /* what was asked for */
    bool told;                   /* the target is somebody's account: nothing more is to be had */
    bool asked;                  /* the user asked for a proof, with --freeze */
};

/* Frees what SURVEY holds. */
void survey_deinit(struct survey *survey);

/* Looks at SERVICE as LOOK says, with FINDINGS also for who is stuck and who reaches what, and with
 * progress on stderr when it takes long. What a target does not permit or have becomes the
 * obstacle. Unless --freeze asks for it, nothing is looked for in programs of very many
 * goroutines: it takes a copy of all their stacks. */
NODISCARD struct error *survey_take(const struct invocation *invocation, struct service *service,
                                    const struct service_look *look, bool findings,
                                    struct survey *survey);

/* Takes the secrets out of SURVEY. */
NODISCARD struct error *survey_scrub(struct survey *survey);

/* Why not more is known of who reaches what; NULL when nothing is in the way, or the target is no
 * more than a text. */
const char *survey_obstacle(const struct survey *survey);

/* The exit status that SURVEY gives an output made of it, COMMAND_EXIT_OK or PARTIAL, after saying
 * on stderr what it lacks. */
NODISCARD struct error *survey_explain(const struct invocation *invocation,
                                       const struct survey *survey, int *exit_ret);

/* Says on stderr that SERVICE does not tell the argument words that LOOK asked for, if so. */
void survey_explain_arguments(const struct invocation *invocation, const struct service *service,
                              const struct service_look *look);

/* Says on stderr why the first finding in doubt is in doubt, and of how many goroutines. */
NODISCARD struct error *survey_explain_doubt(const struct invocation *invocation,
                                             const struct finding_list *findings);

#endif
