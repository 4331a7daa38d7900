/* Where bytes and threads come from: a live process or a core file. Knows nothing of Go. */
#ifndef UNPARK_TARGET_TARGET_H
#define UNPARK_TARGET_TARGET_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum target_kind { TARGET_KIND_LIVE, TARGET_KIND_CORE, TARGET_KIND_MEMORY, TARGET_KIND_COPY };
enum target_machine { TARGET_MACHINE_AMD64, TARGET_MACHINE_ARM64 };

enum target_permission {
    TARGET_PERMISSION_READ = 1,
    TARGET_PERMISSION_WRITE = 2,
    TARGET_PERMISSION_EXECUTE = 4
};

/* One mapping of the address space. path is "" for anonymous memory and "[stack]" and the like are
 * kept; for a deleted file the " (deleted)" suffix is cut and deleted set. Sorted by start. */
struct target_mapping {
    uint64_t start;
    uint64_t end;
    uint64_t file_offset;
    uint64_t inode; /* 0 for anonymous memory and in cores */
    uint64_t device;
    uint32_t permissions; /* enum target_permission bits */
    bool deleted;
    const char *path;
};

/* One address range to read; target_read_ranges sets done. */
struct target_range {
    uint64_t address;
    size_t size;
    uint8_t *destination;
    size_t done; /* bytes read from the start of the range; < size: the rest is unreadable */
};

/* What is read of a thread; registers are known in cores and while the target is stopped. */
enum { TARGET_VECTOR_WORDS = 304 };

struct target_registers {
    uint64_t pc;
    uint64_t sp;
    /* amd64: rax rbx rcx rdx rsi rdi rbp rsp r8..r15, then orig_rax and fs_base; arm64: x0..x30. */
    uint64_t general[33];
    /* Words of the vector registers that could be addresses, vector_count of them. Copying through
     * such registers is how a pointer can be nowhere else for a moment. */
    bool has_vector;
    uint16_t vector_count;
    uint64_t vector[TARGET_VECTOR_WORDS];
};

struct target_thread {
    pid_t tid;
    pid_t inner_tid; /* as the target itself sees it (Go's m.procid); 0 unknown */
    bool has_registers;
    struct target_registers registers;
};

/* The system call that a thread is in. */
struct target_system_call {
    bool known; /* false: not readable, or the thread is running in user mode */
    int64_t number;
    uint64_t arguments[6];
};

struct target;

/* Opens the live process PID. Nothing is stopped or attached; checks that memory can be read and
 * otherwise explains which permission is missing (ptrace_scope, other user, no CAP_SYS_PTRACE).
 * ERROR_GONE when there is no such process or it is a zombie or kernel thread. */
NODISCARD struct error *target_open_pid(pid_t pid, struct target **ret);

/* Opens the ELF core at PATH. EXE is the executable, or NULL to find it (NT_FILE/NT_AUXV path,
 * beside the core, by build id); a build id of EXE (GNU or Go) that differs from the core's is
 * ERROR_USAGE. A core whose executable cannot be found opens as long as its own bytes suffice;
 * reads of what is missing fault. A truncated core opens; reads beyond its end fault. */
NODISCARD struct error *target_open_core(const char *path, const char *exe, struct target **ret);

/* A target of caller-made memory for tests and fuzzing. RANGES (count of them, sorted, disjoint)
 * are copied as descriptors; their bytes stay the caller's. */
NODISCARD struct error *target_open_memory(enum target_machine machine,
                                           const struct target_mapping *mappings,
                                           const uint8_t *const *bytes, size_t count,
                                           struct target **ret);

/* Closes TARGET, resuming it first when it is stopped; NULL is fine. */
void target_destroy(struct target *target);

/* Where its bytes come from. */
enum target_kind target_kind(const struct target *target);

/* What its code is for. */
enum target_machine target_machine(const struct target *target);

/* The process id; of a core the id that it recorded, 0 when unknown. */
pid_t target_pid(const struct target *target);

/* One line that names TARGET for messages: "process 4711 (etcd)" or "core file ./core.4711". */
const char *target_name(const struct target *target);

/* How much of TARGET is missing, "is cut off: ...", NULL when it is whole as far as is known.
 * Only a core file that ends before its headers promise is not. */
const char *target_cut(const struct target *target);

/* The path of the main executable as the target knew it, "" when unknown. */
const char *target_executable(const struct target *target);

/* The mappings, sorted by start; valid until the next refresh. */
const struct target_mapping *target_mappings(const struct target *target, size_t *count);

/* The mapping that holds ADDRESS, or NULL. */
const struct target_mapping *target_find_mapping(const struct target *target, uint64_t address);

/* Reads the mappings again; a no-op for cores. */
NODISCARD struct error *target_refresh_mappings(struct target *target);

/* Reads SIZE bytes at ADDRESS, all or nothing: ERROR_FAULT when any byte is unreadable, ERROR_GONE
 * when the process has ended. */
NODISCARD struct error *target_read(struct target *target, uint64_t address, void *destination,
                                    size_t size);

/* Reads COUNT ranges with as few system calls as possible; unreadable parts only shorten `done`.
 * ERROR_GONE when the process has ended. Thread-safe: several threads may read at once. */
NODISCARD struct error *target_read_ranges(struct target *target, struct target_range *ranges,
                                           size_t count);

/* The bytes at ADDRESS in our memory when all SIZE of them are there in one piece (copies, cores
 * and memory targets), else NULL; no system call. Valid as long as TARGET. */
const uint8_t *target_view(const struct target *target, uint64_t address, size_t size);

/* Opens the file behind MAPPING, which may be deleted or live in another mount namespace. *RET is a
 * read-only descriptor of the caller's. ERROR_NOT_FOUND for anonymous memory, or when the file at
 * the path is no longer the one that is mapped. */
NODISCARD struct error *target_open_file(struct target *target,
                                         const struct target_mapping *mapping, int *ret);

/* The threads now; *RET is a heap array of the caller's. Registers only in cores and when stopped.
 */
NODISCARD struct error *target_threads(struct target *target, struct target_thread **ret,
                                       size_t *count_ret);

/* The system call that thread TID is in (unknown in cores). Never an error for a thread that ended.
 */
NODISCARD struct error *target_system_call(struct target *target, pid_t tid,
                                           struct target_system_call *ret);

/* Stops every thread by PTRACE_SEIZE and PTRACE_INTERRUPT, until no new thread appears; needs no
 * stop and does nothing in cores. The kernel resumes the target if we die. ERROR_PERMISSION names
 * who traces it already. On any error the target runs as before. Must be called, and resumed, from
 * one thread. LIMIT_NS bounds the time until all are stopped (0: no bound), then ERROR_LIMIT. */
NODISCARD struct error *target_stop(struct target *target, uint64_t limit_ns);

/* Lets every thread run again, passing on the signals that arrived meanwhile; nothing when running.
 */
void target_resume(struct target *target);

/* True between a successful target_stop and target_resume. */
bool target_is_stopped(const struct target *target);

/* True when nothing can have run since target_stop succeeded: every thread is still held by us, or,
 * in a target that others keep stopped, still stopped without having been scheduled. Ask before
 * target_resume; false when not stopped. Always true for cores. */
bool target_stop_held(struct target *target);

/* Nanoseconds that the target was kept stopped by us in all. */
uint64_t target_stopped_ns(const struct target *target);

/* The target's monotonic clock now, in Go's nanotime; false when unknown (cores). A live process in
 * a time namespace is accounted for. */
bool target_monotonic_now(const struct target *target, uint64_t *ret);

#endif
