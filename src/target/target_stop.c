/* Stopping every thread of a process for a moment, without leaving anything behind (ptrace(2)).
 *
 * - A thread of ours becomes the tracer. The kernel detaches whatever it traces when that thread
 * ends, however it ends; threads that never stopped are let go in the same way.
 * - PTRACE_SEIZE and PTRACE_INTERRUPT send no signal. A signal that arrives meanwhile holds its
 * thread in a signal-delivery stop. We wait with WNOWAIT, so that the kernel keeps that signal for
 *   delivery even when we die; on detaching it is passed on.
 * - When all known threads are stopped and a new look at the thread list shows no other, none can
 * come: only a running thread makes threads.
 * - An exec replaces the threads; the death of the old address space (MEMORY) tells. Until the
 * tracer has reaped the threads that an exec kills, the exec hangs, and with it any PTRACE_SEIZE:
 * therefore somebody else, the thread that asked for the stop, reaps too. */
#include "target/target_stop.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "target/proc.h"
#include "target/process.h"
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    TARGET_STOP_KCMP_VM = 1,                 /* KCMP_VM of linux/kcmp.h */
    TARGET_STOP_SPIN_NS = 200 * 1000,        /* yield before sleeping between looks */
    TARGET_STOP_NAP_MAX_NS = 1000 * 1000,    /* longest sleep between looks */
    TARGET_STOP_AGAIN_NS = 10 * 1000 * 1000, /* interrupt again and look for an exec */
    TARGET_STOP_ATTEMPTS = 10,               /* seizes of a thread whose refusal nothing explains */
    TARGET_STOP_ROUNDS = 10000               /* looks at the thread list */
};

/* What one look at a thread told. */
enum target_stop_wait { TARGET_STOP_RUNNING, TARGET_STOP_STOPPED, TARGET_STOP_ENDED };

/* Looks whether THREAD has stopped or ended, consuming nothing. */
static enum target_stop_wait target_stop_look(pid_t tid, int *status_ret)
{
    siginfo_t info;
    memset(&info, 0, sizeof info);
    int flags = WSTOPPED | WEXITED | WNOHANG | WNOWAIT | __WALL;
    int result;
    do {
        result = waitid(P_PID, (id_t)tid, &info, flags);
    } while (result != 0 && errno == EINTR);
    if (result != 0) {
        return TARGET_STOP_ENDED;
    }
    if (info.si_pid == 0) {
        return TARGET_STOP_RUNNING;
    }
    if (info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED) {
        return TARGET_STOP_ENDED;
    }
    *status_ret = info.si_status;
    return TARGET_STOP_STOPPED;
}

/* Reaps thread TID of process PID when we trace it and it has ended; true then. The main thread is
 * left to the parent of the process, which we may be ourselves. Looks first: of a traced thread
 * waitid would take a stop as well, whatever it is asked for, and with it a signal. */
static bool target_stop_reap(pid_t pid, pid_t tid)
{
    int status;
    if (target_stop_look(tid, &status) != TARGET_STOP_ENDED) {
        return false;
    }
    if (tid != pid) {
        siginfo_t info;
        (void)waitid(P_PID, (id_t)tid, &info, WEXITED | WNOHANG | __WALL);
    }
    return true;
}

void target_stop_reap_ended(pid_t pid)
{
    CLEANUP_FREE pid_t *tids = NULL;
    size_t count = 0;
    struct error *error = proc_list_threads(pid, &tids, &count);
    for (size_t i = 0; error == NULL && i < count; i++) {
        (void)target_stop_reap(pid, tids[i]);
    }
    error_destroy(error);
}

/* Takes note of how THREAD is now. */
static void target_stop_update(const struct target_stop *stop, struct target_stop_thread *thread)
{
    int status = 0;
    switch (target_stop_look(thread->tid, &status)) {
    case TARGET_STOP_RUNNING:
        return;
    case TARGET_STOP_ENDED:
        (void)target_stop_reap(stop->pid, thread->tid);
        thread->state = TARGET_STOP_THREAD_ENDED;
        return;
    case TARGET_STOP_STOPPED:
        thread->state = TARGET_STOP_THREAD_HELD;
        thread->signal = status >> 8 == 0 ? status & 0x7f : 0;
        return;
    }
}

/* The thread TID of STOP, or NULL. */
static struct target_stop_thread *target_stop_find(const struct target_stop *stop, pid_t tid)
{
    const uint64_t *index = hash_map_get(&stop->index, (uint64_t)tid);
    return index == NULL ? NULL : &stop->threads.items[*index];
}

/* True when the address space that we were to stop is gone (exit or exec). */
static bool target_stop_gone(const struct target_stop *stop)
{
    uint8_t byte;
    return stop->memory >= 0 && pread(stop->memory, &byte, 1, 0) == 0;
}

/* The error for that. */
static struct error *target_stop_error_gone(const struct target_stop *stop)
{
    return error_create(ERROR_GONE,
                        "process %d ended or started another program while being stopped",
                        (int)stop->pid);
}

/* Decides what a refused PTRACE_SEIZE of TID means; *ENDED when the thread has merely ended, an
 * error when another traces it, neither when nothing explains it. */
static struct error *target_stop_refused(const struct target_stop *stop, pid_t tid, bool *ended)
{
    char path[64];
    char text[8192];
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/status", (int)stop->pid, (int)tid);
    struct error *error = proc_read_head(path, text, sizeof text, NULL);
    *ended = error != NULL && error_catch(&error, ERROR_GONE);
    if (error != NULL || *ended) {
        return error;
    }
    const char *state = proc_find_field(text, "State:");
    uint64_t tracer = proc_find_number(text, "TracerPid:", 0);
    /* Traced by ourselves: known under an id that an exec took from it, target_stop_again sees
     * that. */
    *ended = (state != NULL && (*state == 'Z' || *state == 'X')) || tracer == (uint64_t)gettid();
    return tracer == 0 || *ended ? NULL : target_stop_error_traced((pid_t)tracer);
}

/* Becomes the tracer of TID, which runs on; *ADDED tells whether there was such a thread. A refusal
 * that nothing explains is tried again: the thread may have been ending when it was refused, and an
 * exec may have given its id to another since. */
static struct error *target_stop_seize(struct target_stop *stop, pid_t tid, bool *added)
{
    for (int attempt = 0; ptrace(PTRACE_SEIZE, tid, NULL, NULL) != 0; attempt++) {
        bool ended = errno == ESRCH;
        if (!ended) {
            TRY(target_stop_refused(stop, tid, &ended));
        }
        if (ended) {
            return NULL;
        }
        if (target_stop_gone(stop)) {
            return target_stop_error_gone(stop);
        }
        if (attempt == TARGET_STOP_ATTEMPTS) {
            return process_explain_permission(stop->pid, "cannot be stopped");
        }
        sched_yield();
    }
    struct target_stop_thread thread = {.tid = tid};
    TRY(hash_map_put(&stop->index, (uint64_t)tid, stop->threads.count));
    TRY(vector_append(&stop->threads, thread));
    *added = true;
    return NULL;
}

/* Seizes and interrupts every thread not yet known; *ADDED tells whether there was any. */
static struct error *target_stop_catch(struct target_stop *stop, bool *added)
{
    CLEANUP_FREE pid_t *tids = NULL;
    size_t count;
    size_t known = stop->threads.count;
    *added = false;
    TRY(proc_list_threads(stop->pid, &tids, &count));
    for (size_t i = 0; i < count; i++) {
        struct target_stop_thread *thread = target_stop_find(stop, tids[i]);
        if (thread == NULL || thread->state == TARGET_STOP_THREAD_ENDED) {
            TRY(target_stop_seize(stop, tids[i], added));
        }
    }
    if (stop->since == 0) {
        stop->since = clock_now();
    }
    for (size_t i = known; i < stop->threads.count; i++) {
        /* Fails only for a thread that has ended, which waiting will tell. */
        (void)ptrace(PTRACE_INTERRUPT, stop->threads.items[i].tid, NULL, NULL);
    }
    return NULL;
}

/* Looks at every thread that is not stopped yet; returns how many still are not. */
static size_t target_stop_sweep(struct target_stop *stop, pid_t *first_ret)
{
    size_t running = 0;
    for (size_t i = stop->settled; i < stop->threads.count; i++) {
        struct target_stop_thread *thread = &stop->threads.items[i];
        if (thread->state == TARGET_STOP_THREAD_RUNNING) {
            target_stop_update(stop, thread);
        }
        if (thread->state == TARGET_STOP_THREAD_RUNNING) {
            *first_ret = running == 0 ? thread->tid : *first_ret;
            running++;
        } else if (running == 0) {
            stop->settled = i + 1;
        }
    }
    return running;
}

/* Interrupts again whoever still runs: an exec hands ids on, and interrupts with them get lost. It
 * also kills threads that we hold. */
static struct error *target_stop_again(struct target_stop *stop)
{
    if (target_stop_gone(stop)) {
        return target_stop_error_gone(stop);
    }
    for (size_t i = 0; i < stop->threads.count; i++) {
        struct target_stop_thread *thread = &stop->threads.items[i];
        if (thread->state == TARGET_STOP_THREAD_HELD) {
            thread->state = target_stop_reap(stop->pid, thread->tid) ? TARGET_STOP_THREAD_ENDED
                                                                     : TARGET_STOP_THREAD_HELD;
        } else if (thread->state == TARGET_STOP_THREAD_RUNNING) {
            (void)ptrace(PTRACE_INTERRUPT, thread->tid, NULL, NULL);
        }
    }
    return NULL;
}

/* Lets a little time pass: WAITED tells for how long we have been waiting. */
static void target_stop_nap(uint64_t waited)
{
    if (waited < TARGET_STOP_SPIN_NS) {
        sched_yield();
        return;
    }
    uint64_t nap = waited / 4 < TARGET_STOP_NAP_MAX_NS ? waited / 4 : TARGET_STOP_NAP_MAX_NS;
    struct timespec time = {.tv_nsec = (long)nap};
    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

/* Waits until every known thread is stopped or has ended. */
static struct error *target_stop_await(struct target_stop *stop)
{
    uint64_t start = clock_now();
    uint64_t again = start + TARGET_STOP_AGAIN_NS;
    pid_t first = 0;
    while (target_stop_sweep(stop, &first) > 0) {
        uint64_t now = clock_now();
        if (stop->limit_ns != 0 && now - stop->since > stop->limit_ns) {
            return error_create(ERROR_LIMIT,
                                "thread %d did not stop within %" PRIu64
                                " us; it is busy in the kernel or the machine is overloaded",
                                (int)first, stop->limit_ns / 1000);
        }
        if (now >= again) {
            TRY(target_stop_again(stop));
            again = now + TARGET_STOP_AGAIN_NS;
        }
        target_stop_nap(now - start);
    }
    return NULL;
}

/* Takes the vector registers of THREAD: all that the processor has, else the basic ones. */
static void target_stop_take_vector(struct target_stop_thread *thread)
{
    uint8_t bytes[4096];
    struct iovec vector = {bytes, sizeof bytes};
    bool extended =
        TARGET_LIVE_HOST_MACHINE == TARGET_MACHINE_AMD64 &&
        ptrace(PTRACE_GETREGSET, thread->tid, (void *)(uintptr_t)NT_X86_XSTATE, &vector) == 0;
    if (extended ||
        ptrace(PTRACE_GETREGSET, thread->tid, (void *)(uintptr_t)NT_FPREGSET, &vector) == 0) {
        target_registers_decode_vector(TARGET_LIVE_HOST_MACHINE, bytes, vector.iov_len, extended,
                                       &thread->registers);
    }
}

/* Takes the registers of THREAD; a thread being killed has none. */
static void target_stop_take_registers(struct target_stop_thread *thread)
{
    uint8_t bytes[512];
    struct iovec vector = {bytes, sizeof bytes};
    if (ptrace(PTRACE_GETREGSET, thread->tid, (void *)(uintptr_t)NT_PRSTATUS, &vector) == 0) {
        thread->has_registers = target_registers_decode(TARGET_LIVE_HOST_MACHINE, bytes,
                                                        vector.iov_len, &thread->registers);
    }
    if (thread->has_registers) {
        target_stop_take_vector(thread);
    }
}

/* Refuses a process that borrows the memory of its parent, as a child does between vfork and exec:
 * its own threads stand still, its parent's go on writing there. Where the kernel does not tell,
 * nothing is refused. */
static struct error *target_stop_check_alone(const struct target_stop *stop)
{
    char path[64];
    char text[8192];
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)stop->pid);
    struct error *error = proc_read_head(path, text, sizeof text, NULL);
    if (error != NULL) {
        return error_catch(&error, ERROR_GONE) ? target_stop_error_gone(stop) : error;
    }
    uint64_t parent = proc_find_number(text, "PPid:", 0);
    if (parent == 0 ||
        syscall(SYS_kcmp, stop->pid, (pid_t)parent, TARGET_STOP_KCMP_VM, 0UL, 0UL) != 0) {
        return NULL;
    }
    return error_create(ERROR_GONE,
                        "process %d borrows the memory of process %d, which would run on, until it "
                        "starts a program of its own",
                        (int)stop->pid, (int)parent);
}

struct error *target_stop_hold(struct target_stop *stop)
{
    bool added = true;
    for (int round = 0; added; round++) {
        if (round == TARGET_STOP_ROUNDS) {
            return error_create(ERROR_LIMIT, "threads appear faster than they can be stopped");
        }
        TRY(target_stop_catch(stop, &added));
        TRY(target_stop_await(stop));
    }
    size_t held = 0;
    for (size_t i = 0; i < stop->threads.count; i++) {
        struct target_stop_thread *thread = &stop->threads.items[i];
        if (thread->state == TARGET_STOP_THREAD_HELD) {
            target_stop_take_registers(thread);
            held++;
        }
    }
    if (held == 0 || target_stop_gone(stop)) {
        return target_stop_error_gone(stop);
    }
    return target_stop_check_alone(stop);
}

void target_stop_release(struct target_stop *stop)
{
    for (size_t i = 0; i < stop->threads.count; i++) {
        struct target_stop_thread *thread = &stop->threads.items[i];
        if (thread->state == TARGET_STOP_THREAD_HELD) {
            (void)ptrace(PTRACE_DETACH, thread->tid, NULL, (void *)(uintptr_t)thread->signal);
        }
    }
    if (stop->since != 0) {
        *stop->stopped_ns += clock_now() - stop->since;
    }
}

const struct target_registers *target_stop_registers(const struct target_stop *stop, pid_t tid)
{
    const struct target_stop_thread *thread = target_stop_find(stop, tid);
    return thread != NULL && thread->has_registers ? &thread->registers : NULL;
}

bool target_stop_still(struct target_stop *stop)
{
    if (stop->passive) {
        return target_stop_passive_still(stop) && !target_stop_gone(stop);
    }
    for (size_t i = 0; i < stop->threads.count; i++) {
        const struct target_stop_thread *thread = &stop->threads.items[i];
        int status;
        if (thread->state == TARGET_STOP_THREAD_HELD &&
            target_stop_look(thread->tid, &status) != TARGET_STOP_STOPPED) {
            return false;
        }
    }
    return !target_stop_gone(stop);
}
