/* A live process, seen through process_vm_readv and /proc. Nothing here attaches or stops.
 *
 * Facts of the kernel that this rests on (mm/process_vm_access.c, fs/proc/base.c):
 * - process_vm_readv stops at the first unreadable page; what it returns is exact up to there. When
 *   nothing was read it fails with EFAULT.
 * - An open /proc/PID/mem belongs to the address space, not to the id: once that is gone (exit,
 * exec) reads return 0, and never read the successor of the id. That tells "gone" from
 * "unreadable".
 * - When the main thread has ended and others live on, only the ids of those give the memory. */
#include "target/target_live.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/string_builder.h"
#include "target/proc.h"
#include "target/process.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TARGET_LIVE_MAPS_LIMIT = 256 << 20 };

/* Releases what is not of the head. */
static void target_live_destroy(struct target *target)
{
    struct target_live *live = (struct target_live *)target;
    if (live->memory >= 0) {
        close(live->memory);
    }
    free(live);
}

struct error *target_live_gone(const struct target_live *live)
{
    return error_create(ERROR_GONE, "%s has ended", live->head.name);
}

/* A thread of process PID that has not ended, PID itself when it can be. */
static struct error *target_live_find_thread(pid_t pid, pid_t *ret)
{
    CLEANUP_FREE pid_t *tids = NULL;
    size_t count;
    TRY(proc_list_threads(pid, &tids, &count));
    for (size_t i = 0; i <= count; i++) {
        /* The main thread has the id of the process; look at it first. */
        pid_t tid = i == 0 ? pid : tids[i - 1];
        char path[64];
        struct proc_stat stat;
        (void)snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)pid, (int)tid);
        struct error *error = proc_read_stat(path, &stat);
        if (error_catch(&error, ERROR_GONE)) {
            continue;
        }
        TRY(error);
        if (stat.state != 'Z' && stat.state != 'X' && stat.state != 'x') {
            *ret = tid;
            return NULL;
        }
    }
    return error_create(ERROR_GONE, "process %d has ended (a zombie)", (int)pid);
}

struct error *target_live_next_thread(struct target_live *live, pid_t failed)
{
    pid_t tid = 0;
    struct error *error = target_live_find_thread(live->head.pid, &tid);
    if (error == NULL && tid != failed) {
        atomic_store(&live->tid, tid);
        return NULL;
    }
    if (error == NULL || error_catch(&error, ERROR_GONE)) {
        return target_live_gone(live);
    }
    return error;
}

static struct error *target_live_refresh(struct target *target)
{
    struct target_live *live = (struct target_live *)target;
    for (int attempt = 0;; attempt++) {
        char path[64];
        pid_t tid = atomic_load(&live->tid);
        (void)snprintf(path, sizeof path, "/proc/%d/task/%d/maps", (int)target->pid, (int)tid);
        char *text = NULL;
        size_t size = 0;
        struct error *error = proc_read(path, TARGET_LIVE_MAPS_LIMIT, &text, &size);
        if (error == NULL && size > 0) {
            struct target_mapping_list list;
            TRY(target_mappings_parse(text, size, &list));
            target_mappings_deinit(&target->mappings);
            target->mappings = list;
            return target_live_check(live);
        }
        free(text);
        if (error != NULL && !error_catch(&error, ERROR_GONE)) {
            return error;
        }
        /* That thread has ended; another may live on. */
        if (attempt > 0) {
            return target_live_gone(live);
        }
        TRY(target_live_next_thread(live, tid));
    }
}

static struct error *target_live_threads(struct target *target, struct target_thread **ret,
                                         size_t *count_ret)
{
    struct target_live *live = (struct target_live *)target;
    CLEANUP_FREE pid_t *tids = NULL;
    size_t count;
    TRY(proc_list_threads(target->pid, &tids, &count));
    CLEANUP_FREE struct target_thread *threads = calloc(count, sizeof *threads);
    if (threads == NULL) {
        return error_no_memory();
    }
    for (size_t i = 0; i < count; i++) {
        threads[i].tid = tids[i];
        threads[i].inner_tid =
            live->same_pid_namespace ? tids[i] : target_live_inner_tid(target->pid, tids[i]);
        const struct target_registers *registers =
            live->stop == NULL ? NULL : target_stop_registers(live->stop, tids[i]);
        if (registers != NULL) {
            threads[i].has_registers = true;
            threads[i].registers = *registers;
        }
    }
    *ret = TAKE(threads);
    *count_ret = count;
    return NULL;
}

pid_t target_live_inner_tid(pid_t pid, pid_t tid)
{
    char path[64];
    char text[8192];
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/status", (int)pid, (int)tid);
    struct error *error = proc_read_head(path, text, sizeof text, NULL);
    if (error != NULL) {
        error_destroy(error);
        return 0;
    }
    /* One id per namespace, from the reader's inwards. */
    const char *field = proc_find_field(text, "NSpid:");
    long last = 0;
    while (field != NULL && *field >= '0' && *field <= '9') {
        char *end;
        last = strtol(field, &end, 10);
        field = end + strspn(end, "\t ");
    }
    return last > 0 && last <= INT_MAX ? (pid_t)last : 0;
}

static struct error *target_live_system_call(struct target *target, pid_t tid,
                                             struct target_system_call *ret)
{
    char path[64];
    char text[512];
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/syscall", (int)target->pid, (int)tid);
    struct error *error = proc_read_head(path, text, sizeof text, NULL);
    if (error != NULL) {
        /* Refused, or the thread ended: both leave it unknown. */
        error_destroy(error);
        return NULL;
    }
    int64_t number;
    uint64_t *a = ret->arguments;
    int fields = sscanf(
        text, "%" SCNd64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64,
        &number, &a[0], &a[1], &a[2], &a[3], &a[4], &a[5]);
    /* "running", or -1 with sp and pc when it is stopped outside of any system call. */
    if (fields != 7 || number < 0) {
        memset(ret, 0, sizeof *ret);
        return NULL;
    }
    ret->known = true;
    ret->number = number;
    return NULL;
}

static struct error *target_live_stop(struct target *target, uint64_t limit_ns)
{
    struct target_live *live = (struct target_live *)target;
    return error_wrap(
        target_stop_create(target->pid, live->memory, limit_ns, &target->stopped_ns, &live->stop),
        "%s", target->name);
}

static void target_live_resume(struct target *target)
{
    struct target_live *live = (struct target_live *)target;
    target_stop_destroy(live->stop);
    live->stop = NULL;
}

static bool target_live_stop_held(struct target *target)
{
    struct target_live *live = (struct target_live *)target;
    return live->stop != NULL && target_stop_still(live->stop);
}

static bool target_live_monotonic_now(const struct target *target, uint64_t *ret)
{
    const struct target_live *live = (const struct target_live *)target;
    *ret = clock_now() + (uint64_t)live->clock_offset;
    return live->clock_known;
}

static const struct target_operations target_live_operations = {
    .destroy = target_live_destroy,
    .refresh = target_live_refresh,
    .read_ranges = target_live_read_ranges,
    .open_file = target_live_open_file,
    .threads = target_live_threads,
    .system_call = target_live_system_call,
    .stop = target_live_stop,
    .resume = target_live_resume,
    .stop_held = target_live_stop_held,
    .monotonic_now = target_live_monotonic_now,
};

/* Refuses what has no memory to read: no such process, a thread's id, a kernel thread. */
static struct error *target_live_check_process(pid_t pid)
{
    char path[64];
    char text[8192];
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    struct error *error = pid > 0 ? proc_read_head(path, text, sizeof text, NULL) : NULL;
    if (pid <= 0 || error_catch(&error, ERROR_GONE)) {
        return error_create(ERROR_GONE, "there is no process %d", (int)pid);
    }
    TRY(error);
    uint64_t leader = proc_find_number(text, "Tgid:", (uint64_t)pid);
    if (leader != (uint64_t)pid) {
        return error_advise(
            error_create(ERROR_GONE, "there is no process %d: it is a thread of process %" PRIu64,
                         (int)pid, leader),
            "name process %" PRIu64, leader);
    }
    struct proc_stat stat;
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    TRY(proc_read_stat(path, &stat));
    if ((stat.flags & PROC_KERNEL_THREAD_FLAG) != 0) {
        return error_create(ERROR_GONE, "process %d is a thread of the kernel", (int)pid);
    }
    return NULL;
}

/* Sets the name and the path of the executable. */
static struct error *target_live_names(struct target *target)
{
    char path[64];
    char text[PATH_MAX];
    CLEANUP(string_builder_deinit) struct string_builder builder = {0};
    (void)snprintf(path, sizeof path, "/proc/%d/comm", (int)target->pid);
    size_t size;
    TRY(proc_read_head(path, text, sizeof text, &size));
    while (size > 0 && text[size - 1] == '\n') {
        size--;
    }
    string_builder_format(&builder, "process %d (", (int)target->pid);
    string_builder_add_escaped(&builder, text, size);
    string_builder_add_char(&builder, ')');
    TRY(string_builder_take(&builder, &target->name));
    (void)snprintf(path, sizeof path, "/proc/%d/exe", (int)target->pid);
    struct error *error = proc_read_link(path, text, sizeof text);
    if (error != NULL) {
        /* Not permitted, or the main thread has ended: unknown. */
        error_destroy(error);
        return NULL;
    }
    static const char deleted[] = " (deleted)";
    size = strlen(text);
    if (size >= sizeof deleted && strcmp(text + size - (sizeof deleted - 1), deleted) == 0) {
        text[size - (sizeof deleted - 1)] = '\0';
    }
    target->executable = strdup(text);
    return target->executable == NULL ? error_no_memory() : NULL;
}

/* Learns the machine from the executable's header; the host's when that cannot be opened. */
static struct error *target_live_machine(struct target_live *live)
{
    live->head.machine = TARGET_LIVE_HOST_MACHINE;
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/exe", (int)live->head.pid,
                   (int)atomic_load(&live->tid));
    CLEANUP_CLOSE int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) {
        return NULL;
    }
    uint8_t header[64];
    ssize_t got = pread(descriptor, header, sizeof header, 0);
    if (got < 0) {
        return error_errno(errno, "cannot read the executable of %s", live->head.name);
    }
    enum target_machine machine;
    TRY(error_wrap(target_machine_of_elf(header, (size_t)got, &machine), "%s", live->head.name));
    if (machine != TARGET_LIVE_HOST_MACHINE) {
        return error_create(ERROR_UNSUPPORTED, "%s is for another machine than this one",
                            live->head.name);
    }
    return NULL;
}

/* True when process PID gives its children the time namespace that it is in itself. */
static bool target_live_keeps_clock(pid_t pid)
{
    char path[64];
    char own[64];
    char given[64];
    (void)snprintf(path, sizeof path, "/proc/%d/ns/time", (int)pid);
    struct error *error = proc_read_link(path, own, sizeof own);
    if (error == NULL) {
        (void)snprintf(path, sizeof path, "/proc/%d/ns/time_for_children", (int)pid);
        error = proc_read_link(path, given, sizeof given);
    }
    bool keeps = error == NULL && strcmp(own, given) == 0;
    error_destroy(error);
    return keeps;
}

/* Sets how far the target's monotonic clock is ahead of ours (time_namespaces(7)). */
static void target_live_clock(struct target_live *live)
{
    bool known;
    if (proc_same_namespace(live->head.pid, "time", &known)) {
        live->clock_known = true;
        return;
    }
    int64_t ours;
    int64_t theirs;
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/timens_offsets", (int)live->head.pid);
    if (!known) {
        /* No time namespaces in this kernel, unless the link may just not be read. */
        live->clock_known = access("/proc/self/ns/time", F_OK) != 0;
        return;
    }
    /* The offsets are those of the namespace for children, which is nearly always the own one. */
    if (target_live_keeps_clock(getpid()) && target_live_keeps_clock(live->head.pid) &&
        target_live_clock_offset("/proc/self/timens_offsets", &ours) &&
        target_live_clock_offset(path, &theirs)) {
        live->clock_offset = (int64_t)((uint64_t)theirs - (uint64_t)ours);
        live->clock_known = true;
    }
}

bool target_live_clock_offset(const char *path, int64_t *ret)
{
    char text[512];
    struct error *error = proc_read_head(path, text, sizeof text, NULL);
    if (error != NULL) {
        error_destroy(error);
        return false;
    }
    const char *field = proc_find_field(text, "monotonic");
    int64_t seconds;
    int64_t nanoseconds;
    if (field == NULL || sscanf(field, "%" SCNd64 " %" SCNd64, &seconds, &nanoseconds) != 2) {
        return false;
    }
    *ret = (int64_t)((uint64_t)seconds * 1000000000u + (uint64_t)nanoseconds);
    return true;
}

/* Opens /proc/PID/mem, the proof that its memory may be read. */
static struct error *target_live_open_memory(struct target_live *live)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/mem", (int)live->head.pid,
                   (int)atomic_load(&live->tid));
    live->memory = open(path, O_RDONLY | O_CLOEXEC);
    if (live->memory >= 0) {
        return NULL;
    }
    if (errno == EACCES || errno == EPERM) {
        (void)snprintf(path, sizeof path, "cannot read the memory of process %d",
                       (int)live->head.pid);
        return process_explain_permission(live->head.pid, path);
    }
    return error_errno(errno, "cannot open %s", path);
}

/* Fills LIVE, whose id is set; on an error the caller destroys it. */
static struct error *target_live_init(struct target_live *live)
{
    pid_t tid;
    bool known;
    TRY(target_live_check_process(live->head.pid));
    TRY(target_live_find_thread(live->head.pid, &tid));
    atomic_store(&live->tid, tid);
    TRY(target_live_names(&live->head));
    TRY(target_live_open_memory(live));
    TRY(target_live_machine(live));
    TRY(target_live_refresh(&live->head));
    live->same_pid_namespace = proc_same_namespace(live->head.pid, "pid", &known);
    target_live_clock(live);
    return target_live_probe(live);
}

struct error *target_open_pid(pid_t pid, struct target **ret)
{
    struct target_live *live = calloc(1, sizeof *live);
    if (live == NULL) {
        return error_no_memory();
    }
    live->head.operations = &target_live_operations;
    live->head.kind = TARGET_KIND_LIVE;
    live->head.pid = pid;
    live->memory = -1;
    struct error *error = target_live_init(live);
    if (error != NULL) {
        target_destroy(&live->head);
        return error;
    }
    *ret = &live->head;
    return NULL;
}
