/* Groups of options that several commands share. */
#ifndef UNPARK_CLI_OPTION_SETS_H
#define UNPARK_CLI_OPTION_SETS_H

#include "cli/options.h"
#include "service/service.h"
#include "snapshot/filter.h"

/* --pid, --core, --exe: the explicit forms of the argument TARGET. */
extern const struct option option_pid;
extern const struct option option_core;
extern const struct option option_exe;
const struct option_group *option_group_target(void);

/* One option per term of snapshot/filter.h, except for FILTER_USER_ONLY: commands that take filters
 * show user goroutines unless they are told otherwise. */
const struct option_group *option_group_filter(void);

/* --output, --color, --quiet, --verbose, --help: what every command understands. */
extern const struct option option_output;
extern const struct option option_color;
extern const struct option option_quiet;
extern const struct option option_verbose;
extern const struct option option_help;
const struct option_group *option_group_output(void);
const struct option_group *option_group_common(void);

/* --scrub, for commands whose output may leave the house (snapshot/scrub.h). */
extern const struct option option_scrub;

/* What several commands that show goroutines understand alike. */
extern const struct option option_json;
extern const struct option option_user;
extern const struct option option_sort;
extern const struct option option_limit;
extern const struct option option_stop;
extern const struct option option_max_stop;

/* The longest stop that OPTIONS permit, in nanoseconds; 0: no limit. */
uint64_t option_sets_max_stop(const struct options *options);

/* True when a filter term of OPTIONS speaks about system goroutines itself. */
bool option_sets_names_system(const struct options *options);

/* A filter of the terms given in OPTIONS. */
NODISCARD struct error *option_sets_filter(const struct options *options, struct filter **ret);

/* The target that OPTIONS name, by argument or by --pid or --core: exactly one. */
NODISCARD struct error *option_sets_target(const struct options *options, const char **ret);

/* Opens that target. */
NODISCARD struct error *option_sets_open(const struct options *options, struct service **ret);

#endif
