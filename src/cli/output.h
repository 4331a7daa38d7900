/* Where a command's data goes: stdout, or a file that appears only when it is complete. */
#ifndef UNPARK_CLI_OUTPUT_H
#define UNPARK_CLI_OUTPUT_H

#include "emit/emit_sink.h"

struct output {
    struct emit_sink sink; /* what emitters write to */
    int descriptor;
    char *path;      /* where the file will be, links resolved; NULL: written directly */
    char *temporary; /* name of the unfinished file, NULL: it has none yet */
};

/* Opens PATH; NULL or "-" is stdout. A regular file is written under no name, or a temporary one,
 * in the same folder; a device or pipe is written directly. New files are readable by their owner
 * only: they hold what another process keeps in memory. */
NODISCARD struct error *output_init(struct output *output, const char *path);

/* Writes what is left and gives the file its name. */
NODISCARD struct error *output_commit(struct output *output);

/* Closes OUTPUT; without output_commit no file is left, and one that was there before is as it was.
 */
void output_deinit(struct output *output);

#endif
