/* Facts about processes from /proc: the list, owners, ages, descriptors. Looks only. */
#ifndef UNPARK_TARGET_PROCESS_H
#define UNPARK_TARGET_PROCESS_H

#include "base/error.h"
#include "base/string_builder.h"
#include "target/target.h"
#include <stdbool.h>
#include <sys/types.h>

/* One process. Strings are heap strings of the struct, escaped by nobody. */
struct process_info {
    pid_t pid;
    uid_t uid;
    char *user;         /* name of uid, or the number as text */
    char *command;      /* comm */
    char *command_line; /* arguments joined by spaces, cut at 4096 bytes; "" when empty */
    char *executable;   /* readlink of exe, "" when not permitted */
    bool executable_known;
    bool executable_deleted;
    uint64_t age_ns; /* since start */
    uint32_t threads;
    uint64_t resident_bytes;
    uint64_t swap_bytes;
    pid_t tracer; /* 0 when untraced */
    char state;   /* R S D T t Z ... of the main thread */
    bool kernel_thread;
};

/* Facts of PID; ERROR_GONE when it has ended. process_info_deinit afterwards. */
NODISCARD struct error *process_info_init(struct process_info *info, pid_t pid);
void process_info_deinit(struct process_info *info);

/* All process ids, ascending; *RET is the caller's heap array. */
NODISCARD struct error *process_list(pid_t **ret, size_t *count_ret);

/* Why the system refuses WHAT ("cannot be stopped": the message begins with it) of PID and what to
 * do about it, as an ERROR_PERMISSION; looks at users, yama's ptrace_scope, capabilities, user
 * namespaces, dumpable. (A tracer does not hinder reading; target_stop names it.) */
NODISCARD struct error *process_explain_permission(pid_t pid, const char *what);

/* What descriptor FD of PID is, as one line for people: "tcp 10.0.0.7:51234 -> 10.0.0.9:5432",
 * "tcp 0.0.0.0:80 listening", "udp ...", "unix @name or path", "pipe 4711", "eventfd", "inotify",
 * "timerfd", "file /path". Looks in the process's own network namespace. ERROR_NOT_FOUND when
 * closed. */
struct process_descriptors;
NODISCARD struct error *process_descriptors_create(pid_t pid, struct process_descriptors **ret);
void process_descriptors_destroy(struct process_descriptors *descriptors);
NODISCARD struct error *process_descriptors_describe(struct process_descriptors *descriptors,
                                                     int fd, struct string_builder *ret);

/* How many descriptors PID has open. ERROR_GONE, ERROR_PERMISSION. */
NODISCARD struct error *process_count_descriptors(pid_t pid, uint64_t *ret);

/* The name of system call NUMBER on MACHINE ("futex"), or NULL when unknown. */
const char *process_system_call_name(enum target_machine machine, int64_t number);

#endif
