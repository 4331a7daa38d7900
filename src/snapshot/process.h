/* One Go process of this machine, as the list of processes shows it. */
#ifndef UNPARK_SNAPSHOT_PROCESS_H
#define UNPARK_SNAPSHOT_PROCESS_H

#include <stdint.h>

/* Made by service_processes, shown by emit/ps.h; it lives here because emit is below service.
 * Strings are heap strings of whoever made the list; NULL or "" is unknown. Numbers may be
 * SNAPSHOT_UNKNOWN. */
struct service_process {
    int64_t pid;
    char *user, *command, *executable, *go_version, *path, *module, *module_version, *revision;
    int8_t modified; /* built from a modified checkout: 1, 0, -1 unknown */
    int64_t age_ns, threads;
    int64_t goroutines; /* user goroutines; unknown when unreachable */
    int64_t system_goroutines;
    char *reach; /* "ok", or why goroutines cannot be read, one line */
};

#endif
