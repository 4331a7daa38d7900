/* What the files of this room share. */
#ifndef UNPARK_SERVICE_SERVICE_INTERNAL_H
#define UNPARK_SERVICE_SERVICE_INTERNAL_H

#include "base/error.h"
#include "service/service.h"
#include <sys/types.h>

/* The one Go process whose command, executable or main module holds PATTERN. ERROR_GONE when there
 * is none; several are an ERROR_USAGE that lists them. */
NODISCARD struct error *service_find_process(const char *pattern, pid_t *ret);

/* Counts the goroutines of PROCESSES (COUNT of them) on a few threads and fills goroutines,
 * system_goroutines and reach. Processes that vanished get pid 0. Each may take 2 seconds; the
 * thread of one that takes longer is left behind. */
NODISCARD struct error *service_count_goroutines(struct service_process *processes, size_t count);

#endif
