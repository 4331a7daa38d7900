/* A line on stderr that says how far a long piece of work is. */
#ifndef UNPARK_CLI_PROGRESS_H
#define UNPARK_CLI_PROGRESS_H

#include "cli/terminal.h"
#include <stdatomic.h>
#include <stdint.h>

struct progress {
    const char *what; /* "reading goroutines" */
    uint64_t started;
    _Atomic uint64_t drawn; /* when the line was drawn last; 0 never */
    bool enabled;
};

/* Starts a piece of work; nothing is shown before it took 300 ms, nor when TERMINAL does not want
 * it. */
void progress_init(struct progress *progress, const struct terminal *terminal, const char *what);

/* Says that DONE of TOTAL (0: unknown) is done. CONTEXT is the struct progress; any thread may
 * call. */
void progress_update(void *context, uint64_t done, uint64_t total);

/* Clears the line. */
void progress_deinit(struct progress *progress);

#endif
