/* unpark version: of this program, and of Go's. */
#include "base/cleanup.h"
#include "cli/commands.h"
#include "cli/option_sets.h"
#include "cli/output.h"
#include "service/service.h"

/* Writes the version. */
static struct error *command_version_run(struct invocation *invocation, int *exit_ret)
{
    (void)invocation;
    (void)exit_ret;
    CLEANUP(output_deinit) struct output output;
    TRY(output_init(&output, NULL));
    int oldest, newest;
    service_releases(&oldest, &newest);
    emit_sink_format(&output.sink,
                     "unpark %s\nreads Go 1.%d to 1.%d, linux/amd64 and linux/arm64\n",
                     UNPARK_VERSION, oldest, newest);
    return output_commit(&output);
}

const struct command command_version = {
    .name = "version",
    .summary = "show the version, and which Go releases it reads",
    .description =
        "Shows the version of unpark in the first line, after its name, and the Go releases "
        "that it reads in the second.",
    .options = (option_group_source *const[]){option_group_common, NULL},
    .run = command_version_run,
};
