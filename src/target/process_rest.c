/* Threads that do not run.
 *
 * Formats: /proc/PID/task/TID/schedstat is "TIME DELAY COUNT\n" (Documentation/scheduler/
 * sched-stats.rst): COUNT grows whenever the thread is put on a processor. TIME, as all clocks of
 * processor time that others may read, is brought up to date only when a thread leaves its
 * processor or at the kernel's tick, up to 10 ms late. /proc/PID/task/TID/syscall (proc(5)) is
 * "running\n" for a thread that is on a processor or waits for one; the kernel makes sure that any
 * other is off it. The folder task has as many links as threads, and two.
 *
 * Why it suffices: COUNT is read before the thread is seen to be off its processor. While COUNT
 * stays, it has not been on one again. A thread that is not in our list was made by one that is,
 * which ran for it, or before the number of threads was asked for the second time. */
#include "target/process_rest.h"
#include "base/cleanup.h"
#include "target/proc.h"
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PROCESS_REST_THREADS_MAX = 24, /* asking takes about a microsecond each, and a descriptor */
    PROCESS_REST_REFUSALS_MAX = 3, /* begun in vain so often: it does not rest */
    PROCESS_REST_TEXT = 128
};

/* One thread. */
struct process_rest_thread {
    pid_t tid;
    int schedstat; /* a descriptor */
    uint64_t count;
};

struct process_rest {
    pid_t pid;
    struct process_rest_thread threads[PROCESS_REST_THREADS_MAX];
    size_t thread_count;
    bool begun;
    unsigned refusals;
};

/* Closes what was opened for the threads. */
static void process_rest_forget(struct process_rest *rest)
{
    for (size_t i = 0; i < rest->thread_count; i++) {
        (void)close(rest->threads[i].schedstat);
    }
    rest->thread_count = 0;
    rest->begun = false;
}

/* Opens the file NAME of thread TID; -1 when it cannot. */
static int process_rest_open(pid_t pid, pid_t tid, const char *name)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/%s", (int)pid, (int)tid, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* Reads how often THREAD was put on a processor; false when that is not counted. */
static bool process_rest_count(const struct process_rest_thread *thread, uint64_t *ret)
{
    char text[PROCESS_REST_TEXT];
    ssize_t got = pread(thread->schedstat, text, sizeof text - 1, 0);
    if (got <= 0) {
        return false;
    }
    text[got] = '\0';
    const char *last = strrchr(text, ' ');
    if (last == NULL) {
        return false;
    }
    *ret = strtoull(last + 1, NULL, 10);
    return *ret != 0; /* each has been on a processor once: else nobody counts */
}

/* True when thread TID is off its processor. */
static bool process_rest_is_off(pid_t pid, pid_t tid)
{
    char text[PROCESS_REST_TEXT];
    CLEANUP_CLOSE int descriptor = process_rest_open(pid, tid, "syscall");
    ssize_t got = descriptor < 0 ? -1 : read(descriptor, text, sizeof text);
    return got > 0 && text[0] != 'r';
}

/* How many threads the process has; 0 when that is not known. */
static size_t process_rest_threads(pid_t pid)
{
    char path[32];
    struct stat status;
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    return stat(path, &status) == 0 && status.st_nlink > 2 ? (size_t)status.st_nlink - 2 : 0;
}

/* Lists the threads and opens their counts; false when not all can be. */
static struct error *process_rest_list(struct process_rest *rest, bool *ret)
{
    CLEANUP_FREE pid_t *tids = NULL;
    size_t count;
    *ret = false;
    process_rest_forget(rest);
    struct error *error = proc_list_threads(rest->pid, &tids, &count);
    if (error_catch(&error, ERROR_GONE) || error_catch(&error, ERROR_PERMISSION)) {
        return NULL;
    }
    TRY(error);
    if (count == 0 || count > PROCESS_REST_THREADS_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        int descriptor = process_rest_open(rest->pid, tids[i], "schedstat");
        if (descriptor < 0) {
            return NULL;
        }
        rest->threads[rest->thread_count++] =
            (struct process_rest_thread){.tid = tids[i], .schedstat = descriptor};
    }
    *ret = true;
    return NULL;
}

struct error *process_rest_create(pid_t pid, struct process_rest **ret)
{
    CLEANUP_FREE struct process_rest *rest = calloc(1, sizeof *rest);
    bool listed;
    *ret = NULL;
    if (rest == NULL) {
        return error_no_memory();
    }
    rest->pid = pid;
    struct error *error = process_rest_list(rest, &listed);
    if (error != NULL || !listed) {
        process_rest_forget(rest);
        return error;
    }
    *ret = TAKE(rest);
    return NULL;
}

/* Notes the counts of all threads, which are all off their processors. */
static bool process_rest_note(struct process_rest *rest)
{
    for (size_t i = 0; i < rest->thread_count; i++) {
        if (!process_rest_count(&rest->threads[i], &rest->threads[i].count)) {
            return false;
        }
    }
    for (size_t i = 0; i < rest->thread_count; i++) {
        if (!process_rest_is_off(rest->pid, rest->threads[i].tid)) {
            return false;
        }
    }
    return rest->thread_count > 0 && process_rest_threads(rest->pid) == rest->thread_count;
}

bool process_rest_begin(struct process_rest *rest)
{
    if (rest->begun || rest->refusals == PROCESS_REST_REFUSALS_MAX) {
        return rest->begun;
    }
    if (rest->thread_count == 0) {
        bool listed;
        struct error *error = process_rest_list(rest, &listed);
        error_destroy(error); /* then it is not known to rest */
    }
    rest->begun = process_rest_note(rest);
    if (!rest->begun) {
        process_rest_forget(rest);
        rest->refusals++;
    }
    return rest->begun;
}

bool process_rest_held(struct process_rest *rest)
{
    uint64_t count;
    for (size_t i = 0; i < rest->thread_count && rest->begun; i++) {
        rest->begun =
            process_rest_count(&rest->threads[i], &count) && count == rest->threads[i].count;
    }
    if (!rest->begun) {
        process_rest_forget(rest);
    }
    return rest->begun;
}

void process_rest_destroy(struct process_rest *rest)
{
    if (rest != NULL) {
        process_rest_forget(rest);
        free(rest);
    }
}
