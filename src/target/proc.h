/* Small readers of /proc; no other room includes it. All text of /proc is bounded and
 * NUL-terminated. */
#ifndef UNPARK_TARGET_PROC_H
#define UNPARK_TARGET_PROC_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What /proc/PID/stat says that is asked for here; see proc(5). */
struct proc_stat {
    char state;
    uint32_t flags;      /* PF_* of the kernel */
    uint32_t threads;    /* num_threads */
    uint64_t start_time; /* clock ticks after boot */
};

enum { PROC_KERNEL_THREAD_FLAG = 0x00200000 }; /* PF_KTHREAD, include/linux/sched.h */

/* Reads the whole file at PATH, at most LIMIT bytes (ERROR_LIMIT beyond), as a heap string with a
 * NUL. Errno errors as error_errno makes them. */
NODISCARD struct error *proc_read(const char *path, size_t limit, char **ret, size_t *size_ret);

/* Reads the head of the file at PATH into BUFFER (CAPACITY bytes with the NUL); *SIZE_RET without
 * it. */
NODISCARD struct error *proc_read_head(const char *path, char *buffer, size_t capacity,
                                       size_t *size_ret);

/* The target of the symbolic link at PATH into BUFFER, NUL-terminated; ERROR_LIMIT when cut. */
NODISCARD struct error *proc_read_link(const char *path, char *buffer, size_t capacity);

/* Parses the text of a stat file; false when it breaks the format. */
bool proc_parse_stat(const char *text, struct proc_stat *ret);

/* Reads and parses the stat file at PATH; ERROR_GONE when the process ended. */
NODISCARD struct error *proc_read_stat(const char *path, struct proc_stat *ret);

/* The text behind KEY (with its colon) in the lines of a status file, after blanks, or NULL. */
const char *proc_find_field(const char *text, const char *key);

/* The decimal number behind KEY, or UNKNOWN when there is none. */
uint64_t proc_find_number(const char *text, const char *key, uint64_t unknown);

/* The threads of process PID, ascending, as a heap array; ERROR_GONE when it has ended. */
NODISCARD struct error *proc_list_threads(pid_t pid, pid_t **ret, size_t *count_ret);

/* The numeric names in the directory at PATH, ascending, as a heap array. */
NODISCARD struct error *proc_list_numbers(const char *path, pid_t **ret, size_t *count_ret);

/* True when the links NAME in our and in PID's ns folder are the same; false with *KNOWN false when
 * that cannot be told. */
bool proc_same_namespace(pid_t pid, const char *name, bool *known);

#endif
