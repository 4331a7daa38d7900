/* One target and the requests that every face makes of it. */
#ifndef UNPARK_SERVICE_SERVICE_H
#define UNPARK_SERVICE_SERVICE_H

#include "base/error.h"
#include "snapshot/snapshot.h"
#include <stdbool.h>

struct service;

/* How to open a target. Strings are the caller's. */
struct service_options {
    const char *exe; /* executable for a core, or NULL */
};

/* Opens what TEXT names: a pid, name:PATTERN (exactly one Go process whose command, executable or main
 * module holds PATTERN; several are an ERROR_USAGE that lists them), or the path of a core file. */
NODISCARD struct error *service_open(const char *text, const struct service_options *options,
                                     struct service **ret);
void service_close(struct service *service);

/* What a look should hold. */
struct service_look {
    bool objects, labels, arguments;
    bool stop;                /* a brief stop, to add running goroutines' stacks */
    uint64_t max_stop_ns;     /* bound of that stop, 0 none */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *progress_context;
};

/* Takes a snapshot. */
NODISCARD struct error *service_snapshot(struct service *service, const struct service_look *look,
                                         struct snapshot **ret);

/* One process of the list; strings are heap strings, "" unknown. */
struct service_process {
    int64_t pid;
    char *user, *command, *executable, *go_version, *path, *module, *module_version, *revision;
    int8_t modified;         /* 1, 0, -1 unknown */
    int64_t age_ns, threads; /* SNAPSHOT_UNKNOWN */
    int64_t goroutines;      /* user goroutines; SNAPSHOT_UNKNOWN when unreachable */
    int64_t system_goroutines;
    char *reach;             /* "ok", or why goroutines cannot be read, one line */
};

/* Every Go process of the machine that can be told to be one. *RET is freed by
 * service_free_processes. */
NODISCARD struct error *service_processes(struct service_process **ret, size_t *count_ret);
void service_free_processes(struct service_process *processes, size_t count);

#endif
