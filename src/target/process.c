/* Facts about processes from /proc; formats in proc(5). What a process chose itself (command,
 * arguments, paths) is kept as bytes, for the faces to escape. */
#include "target/process.h"

#include "base/cleanup.h"
#include "target/proc.h"
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PROCESS_COMMAND_LINE_MAX = 4096 };

/* The path of file NAME of process PID in BUFFER. */
static const char *process_path(char buffer[64], pid_t pid, const char *name)
{
    (void)snprintf(buffer, 64, "/proc/%d/%s", (int)pid, name);
    return buffer;
}

/* State, threads, age and kind from the stat file. */
static struct error *process_read_stat(struct process_info *info)
{
    char path[64];
    struct proc_stat stat;
    TRY(proc_read_stat(process_path(path, info->pid, "stat"), &stat));
    info->state = stat.state;
    info->threads = stat.threads;
    info->kernel_thread = (stat.flags & PROC_KERNEL_THREAD_FLAG) != 0;
    long ticks = sysconf(_SC_CLK_TCK);
    struct timespec now;
    if (ticks <= 0 || clock_gettime(CLOCK_BOOTTIME, &now) != 0) {
        return NULL;
    }
    uint64_t uptime = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    uint64_t start = stat.start_time / (uint64_t)ticks * 1000000000u +
                     stat.start_time % (uint64_t)ticks * (1000000000u / (uint64_t)ticks);
    info->age_ns = uptime > start ? uptime - start : 0;
    return NULL;
}

/* The name of user UID, or its number, as a heap string. */
static struct error *process_user(uid_t uid, char **ret)
{
    char buffer[4096];
    char number[32];
    struct passwd entry;
    struct passwd *found = NULL;
    (void)snprintf(number, sizeof number, "%u", (unsigned)uid);
    if (getpwuid_r(uid, &entry, buffer, sizeof buffer, &found) != 0) {
        found = NULL;
    }
    *ret = strdup(found == NULL ? number : found->pw_name);
    return *ret == NULL ? error_no_memory() : NULL;
}

/* User, memory and tracer from the status file. */
static struct error *process_read_status(struct process_info *info)
{
    char path[64];
    char text[8192];
    TRY(proc_read_head(process_path(path, info->pid, "status"), text, sizeof text, NULL));
    const char *users = proc_find_field(text, "Uid:");
    unsigned long real;
    unsigned long effective;
    if (users == NULL || sscanf(users, "%lu %lu", &real, &effective) != 2) {
        return error_create(ERROR_CORRUPT, "%s is not as expected", path);
    }
    info->uid = (uid_t)effective;
    info->tracer = (pid_t)proc_find_number(text, "TracerPid:", 0);
    info->resident_bytes = proc_find_number(text, "VmRSS:", 0) * 1024;
    info->swap_bytes = proc_find_number(text, "VmSwap:", 0) * 1024;
    return process_user(info->uid, &info->user);
}

/* The command and its arguments. */
static struct error *process_read_command(struct process_info *info)
{
    char path[64];
    char text[PROCESS_COMMAND_LINE_MAX + 1];
    size_t size;
    TRY(proc_read_head(process_path(path, info->pid, "comm"), text, sizeof text, &size));
    if (size > 0 && text[size - 1] == '\n') {
        text[size - 1] = '\0';
    }
    info->command = strdup(text);
    TRY(proc_read_head(process_path(path, info->pid, "cmdline"), text, sizeof text, &size));
    while (size > 0 && text[size - 1] == '\0') {
        size--;
    }
    for (size_t i = 0; i < size; i++) {
        text[i] = text[i] == '\0' ? ' ' : text[i];
    }
    info->command_line = strdup(text);
    return info->command == NULL || info->command_line == NULL ? error_no_memory() : NULL;
}

/* The executable, when we may know it. */
static struct error *process_read_executable(struct process_info *info)
{
    static const char suffix[] = " (deleted)";
    char path[64];
    char text[PATH_MAX] = "";
    struct error *error = proc_read_link(process_path(path, info->pid, "exe"), text, sizeof text);
    info->executable_known = error == NULL;
    if (error != NULL) {
        text[0] = '\0';
    }
    error_destroy(error);
    size_t size = strlen(text);
    if (size >= sizeof suffix && strcmp(text + size - (sizeof suffix - 1), suffix) == 0) {
        text[size - (sizeof suffix - 1)] = '\0';
        info->executable_deleted = true;
    }
    info->executable = strdup(text);
    return info->executable == NULL ? error_no_memory() : NULL;
}

/* Fills INFO; on an error the caller cleans up. */
static struct error *process_read_all(struct process_info *info)
{
    TRY(process_read_stat(info));
    TRY(process_read_status(info));
    TRY(process_read_command(info));
    return process_read_executable(info);
}

struct error *process_info_init(struct process_info *info, pid_t pid)
{
    memset(info, 0, sizeof *info);
    info->pid = pid;
    struct error *error = process_read_all(info);
    if (error == NULL) {
        return NULL;
    }
    process_info_deinit(info);
    if (error_catch(&error, ERROR_GONE)) {
        return error_create(ERROR_GONE, "there is no process %d", (int)pid);
    }
    return error;
}

void process_info_deinit(struct process_info *info)
{
    free(info->user);
    free(info->command);
    free(info->command_line);
    free(info->executable);
    memset(info, 0, sizeof *info);
}

struct error *process_list(pid_t **ret, size_t *count_ret)
{
    return proc_list_numbers("/proc", ret, count_ret);
}
