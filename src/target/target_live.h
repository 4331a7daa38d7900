/* What the files about live processes share. */
#ifndef UNPARK_TARGET_LIVE_H
#define UNPARK_TARGET_LIVE_H

#include "target/target_internal.h"
#include <stdatomic.h>

#if defined(__x86_64__)
#define TARGET_LIVE_HOST_MACHINE TARGET_MACHINE_AMD64
#elif defined(__aarch64__)
#define TARGET_LIVE_HOST_MACHINE TARGET_MACHINE_ARM64
#else
#error "live targets are read on amd64 and arm64 hosts"
#endif

/* The head comes first: a struct target points at it. */
struct target_live {
    struct target head;
    int memory;        /* /proc/PID/mem */
    off_t probe;       /* a mapped address: asking for one makes the kernel search for a stack */
    _Atomic pid_t tid; /* a thread that has not ended, through which memory is read */
    atomic_bool through_file; /* process_vm_readv is refused (seccomp): read through `memory` */
    bool same_pid_namespace;  /* thread ids inside are those outside */
    bool clock_known;
    int64_t clock_offset;     /* nanoseconds that the target's monotonic clock is ahead of ours */
    struct target_stop *stop; /* NULL while running */
};

/* The operation of the same name. */
NODISCARD struct error *target_live_read_ranges(struct target *target, struct target_range *ranges,
                                                size_t count);

/* The operation of the same name. */
NODISCARD struct error *target_live_open_file(struct target *target,
                                              const struct target_mapping *mapping, int *ret);

/* ERROR_GONE when the address space that LIVE was opened with no longer exists. */
NODISCARD struct error *target_live_check(const struct target_live *live);

/* Reads one byte to decide between process_vm_readv and /proc/PID/mem. */
NODISCARD struct error *target_live_probe(struct target_live *live);

/* Chooses another thread to read through than FAILED, which has ended; ERROR_GONE without one. */
NODISCARD struct error *target_live_next_thread(struct target_live *live, pid_t failed);

/* "process 4711 (etcd) has ended". */
NODISCARD struct error *target_live_gone(const struct target_live *live);

/* The id of thread TID of PID in the innermost pid namespace it is in, 0 unknown. */
pid_t target_live_inner_tid(pid_t pid, pid_t tid);

/* The monotonic offset in nanoseconds that the timens_offsets file at PATH says; false when none.
 */
bool target_live_clock_offset(const char *path, int64_t *ret);

#endif
