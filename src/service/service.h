/* One target and the requests that every face makes of it. */
#ifndef UNPARK_SERVICE_SERVICE_H
#define UNPARK_SERVICE_SERVICE_H

#include "base/error.h"
#include "snapshot/process.h"
#include "snapshot/snapshot.h"
#include <stdbool.h>

struct service;

/* How to open a target. Strings are the caller's. */
struct service_options {
    const char *exe; /* executable for a core, or NULL */
    bool core;       /* TEXT is the path of a core file, whatever it looks like */
};

/* Opens what TEXT names: a pid, name:PATTERN (exactly one Go process whose command, executable or
 * main module holds PATTERN; several are an ERROR_USAGE that lists them), - (a dump from standard
 * input), an http:// or https:// URL, or the path of a core file, of a goroutine dump (anywhere
 * inside of a log) or of a goroutine profile, told apart by what is in them. FILE@N is the dump
 * number N of a file that holds several; of a recording (unpark record) FILE is the last moment and
 * FILE@MOMENT another one. */
NODISCARD struct error *service_open(const char *text, const struct service_options *options,
                                     struct service **ret);
void service_close(struct service *service);

/* True when SERVICE has memory behind it, a process or a core; otherwise it is somebody's account
 * of goroutines, which holds no memory to prove anything from and which cannot be stopped. */
bool service_has_memory(const struct service *service);

/* True when SERVICE can tell argument words; a recording has none. */
bool service_has_arguments(const struct service *service);

/* The id of the live process that SERVICE looks at; 0 when it is something else. */
int64_t service_process(const struct service *service);

/* What a look should hold. */
struct service_look {
    bool objects, labels, arguments;
    bool stop;            /* a brief stop, to add running goroutines' stacks */
    uint64_t max_stop_ns; /* stopping is given up after this time, 0 never */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *progress_context;
};

/* Takes a snapshot. A stop lasts only for reading those goroutines that run when all others have
 * been read; there is none when nothing runs. When the target cannot be stopped within max_stop_ns
 * they have no stacks, which a note says. Threads may share SERVICE: requests wait for each other.
 */
NODISCARD struct error *service_snapshot(struct service *service, const struct service_look *look,
                                         struct snapshot **ret);

/* True when SNAPSHOT lacks what LOOK should have found: goroutines whose stacks could not be read,
 * or not to the end; running ones count only when LOOK wanted a stop. */
bool service_is_partial(const struct snapshot *snapshot, const struct service_look *look);

/* Every Go process of the machine that can be told to be one, by pid, without this process. With
 * COUNTS each is opened to count its goroutines, for at most 2 seconds; without, goroutines stay
 * unknown and reach is "". A process that vanishes meanwhile is left out. *RET is freed by
 * service_free_processes. */
NODISCARD struct error *service_processes(bool counts, struct service_process **ret,
                                          size_t *count_ret);
void service_free_processes(struct service_process *processes, size_t count);

/* The Go releases that can be read: 1.OLDEST to 1.NEWEST. */
void service_releases(int *oldest_ret, int *newest_ret);

#endif
