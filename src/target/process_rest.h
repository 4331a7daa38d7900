/* Whether a live process rests: no thread of it runs, so that its memory holds still by itself. */
#ifndef UNPARK_TARGET_PROCESS_REST_H
#define UNPARK_TARGET_PROCESS_REST_H

#include "base/error.h"
#include <stdbool.h>
#include <sys/types.h>

/* One watch over a process; to be used by one thread at a time. */
struct process_rest;

/* Prepares to watch the threads of process PID; *RET is NULL when the system does not tell (no
 * right to ask, no counts of its scheduler) or when there are so many that asking them is no
 * bargain. Stops nothing. */
NODISCARD struct error *process_rest_create(pid_t pid, struct process_rest **ret);

/* Begins: true when no thread is on a processor now. Where a watch that was begun still holds, as
 * far as is known, nothing is asked. A process that keeps running is not asked for ever. */
bool process_rest_begin(struct process_rest *rest);

/* True when no thread of the process has run since process_rest_begin was true; else the watch has
 * ended. Another process that shares its memory does not count. */
bool process_rest_held(struct process_rest *rest);

/* Frees a watch; NULL is fine. */
void process_rest_destroy(struct process_rest *rest);

#endif
