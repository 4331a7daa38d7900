#include "base/cleanup.h"
#include "base/string_builder.h"
#include "base/vector.h"
#include "image/image.h"
#include "service/service_internal.h"
#include "target/process.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* An executable that was looked at, so that the many processes of one file cost one look. */
struct service_executable {
    dev_t device;
    ino_t inode;
    struct timespec changed;
    bool is_go;
    struct image_build_info info;
    char *storage; /* of the strings of info */
};

/* The list in the making. */
struct service_listing {
    VECTOR(struct service_process) processes;
    VECTOR(struct service_executable) executables;
};

/* Frees the strings of PROCESS. */
static void service_process_deinit(struct service_process *process)
{
    free(process->user);
    free(process->command);
    free(process->executable);
    free(process->go_version);
    free(process->path);
    free(process->module);
    free(process->module_version);
    free(process->revision);
    free(process->reach);
}

/* Frees what service_processes gave. */
void service_free_processes(struct service_process *processes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        service_process_deinit(&processes[i]);
    }
    free(processes);
}

/* Frees everything of a listing. */
static void service_listing_deinit(struct service_listing *listing)
{
    for (size_t i = 0; i < listing->processes.count; i++) {
        service_process_deinit(&listing->processes.items[i]);
    }
    vector_deinit(&listing->processes);
    for (size_t i = 0; i < listing->executables.count; i++) {
        free(listing->executables.items[i].storage);
    }
    vector_deinit(&listing->executables);
}

/* Opens the executable of INFO's process without permission to: by the absolute path that starts
 * its command line, which is a claim of the process. Negative when there is none. */
static int service_open_claimed(const struct process_info *info)
{
    size_t size = strcspn(info->command_line, " ");
    if (info->command_line[0] != '/' || size >= 4096) {
        return -1;
    }
    char path[4097];
    memcpy(path, info->command_line, size);
    path[size] = '\0';
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode)) {
        return -1;
    }
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

/* Opens the executable of INFO's process; negative when that is not possible. */
static int service_open_executable(const struct process_info *info)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/exe", (int)info->pid);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return descriptor >= 0 || info->executable_known ? descriptor : service_open_claimed(info);
}

/* What is known of the file with STATUS, or NULL. */
static const struct service_executable *
service_known_executable(const struct service_listing *listing, const struct stat *status)
{
    for (size_t i = 0; i < listing->executables.count; i++) {
        const struct service_executable *executable = &listing->executables.items[i];
        if (executable->inode == status->st_ino && executable->device == status->st_dev &&
            executable->changed.tv_sec == status->st_ctim.tv_sec &&
            executable->changed.tv_nsec == status->st_ctim.tv_nsec) {
            return executable;
        }
    }
    return NULL;
}

/* Looks at the executable open at DESCRIPTOR; *RET is NULL when it is no Go program. Valid until
 * the next call. */
static struct error *service_look_at_executable(struct service_listing *listing, int descriptor,
                                                const struct service_executable **ret)
{
    struct stat status;
    *ret = NULL;
    if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        return NULL;
    }
    const struct service_executable *known = service_known_executable(listing, &status);
    if (known == NULL) {
        struct service_executable executable = {
            .device = status.st_dev, .inode = status.st_ino, .changed = status.st_ctim};
        struct error *error =
            image_identify_file(descriptor, &executable.info, &executable.storage);
        executable.is_go = error == NULL;
        if (error != NULL && error_code(error) == ERROR_OUT_OF_MEMORY) {
            return error;
        }
        /* any other failure says: not a Go program that we can tell to be one */
        error_destroy(error);
        error = vector_append(&listing->executables, executable);
        if (error != NULL) {
            free(executable.storage);
            return error;
        }
        known = &listing->executables.items[listing->executables.count - 1];
    }
    *ret = known->is_go ? known : NULL;
    return NULL;
}

/* A heap copy of TEXT, "" for NULL. */
static struct error *service_copy(const char *text, char **ret)
{
    *ret = strdup(text == NULL ? "" : text);
    return *ret == NULL ? error_no_memory() : NULL;
}

/* Fills PROCESS from what is known of it and its executable. */
static struct error *service_fill_process(struct service_process *process,
                                          const struct process_info *info,
                                          const struct image_build_info *build)
{
    process->pid = info->pid;
    process->age_ns = (int64_t)info->age_ns;
    process->threads = info->threads;
    process->goroutines = SNAPSHOT_UNKNOWN;
    process->system_goroutines = SNAPSHOT_UNKNOWN;
    bool has_revision = build->revision != NULL && build->revision[0] != '\0';
    process->modified = (int8_t)(!has_revision ? -1 : build->modified ? 1 : 0);
    TRY(service_copy(info->user, &process->user));
    TRY(service_copy(info->command, &process->command));
    TRY(service_copy(info->executable, &process->executable));
    TRY(service_copy(build->go_version, &process->go_version));
    TRY(service_copy(build->path, &process->path));
    TRY(service_copy(build->module, &process->module));
    TRY(service_copy(build->version, &process->module_version));
    TRY(service_copy(build->revision, &process->revision));
    return service_copy("", &process->reach);
}

/* Adds the process of INFO when it is a Go program. */
static struct error *service_list_process(struct service_listing *listing,
                                          const struct process_info *info)
{
    if (info->kernel_thread || info->state == 'Z' || info->state == 'X') {
        return NULL;
    }
    CLEANUP_CLOSE int descriptor = service_open_executable(info);
    if (descriptor < 0) {
        return NULL;
    }
    const struct service_executable *executable;
    TRY(service_look_at_executable(listing, descriptor, &executable));
    if (executable == NULL) {
        return NULL;
    }
    struct service_process process = {0};
    struct error *error = service_fill_process(&process, info, &executable->info);
    if (error == NULL) {
        error = vector_append(&listing->processes, process);
    }
    if (error != NULL) {
        service_process_deinit(&process);
    }
    return error;
}

/* Lists the Go processes among PIDS. */
static struct error *service_list(struct service_listing *listing, const pid_t *pids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct process_info info;
        if (pids[i] == getpid()) {
            continue;
        }
        struct error *error = process_info_init(&info, pids[i]);
        if (error != NULL && error_code(error) == ERROR_OUT_OF_MEMORY) {
            return error;
        }
        if (error != NULL) {
            /* it vanished, or hides itself from us: no row */
            error_destroy(error);
            continue;
        }
        error = service_list_process(listing, &info);
        process_info_deinit(&info);
        TRY(error);
    }
    return NULL;
}

/* Takes out the rows of processes that vanished. */
static void service_drop_vanished(struct service_listing *listing)
{
    size_t kept = 0;
    for (size_t i = 0; i < listing->processes.count; i++) {
        if (listing->processes.items[i].pid == 0) {
            service_process_deinit(&listing->processes.items[i]);
        } else {
            listing->processes.items[kept++] = listing->processes.items[i];
        }
    }
    listing->processes.count = kept;
}

/* Lists Go processes. */
struct error *service_processes(bool counts, struct service_process **ret, size_t *count_ret)
{
    CLEANUP_FREE pid_t *pids = NULL;
    size_t count;
    TRY(process_list(&pids, &count));
    CLEANUP(service_listing_deinit) struct service_listing listing = {0};
    TRY(service_list(&listing, pids, count));
    if (counts && listing.processes.count > 0) {
        TRY(service_count_goroutines(listing.processes.items, listing.processes.count));
        service_drop_vanished(&listing);
    }
    *count_ret = listing.processes.count;
    *ret = TAKE(listing.processes.items);
    listing.processes.count = 0;
    return NULL;
}

/* True when one of the names of PROCESS holds PATTERN. */
static bool service_matches(const struct service_process *process, const char *pattern)
{
    return strstr(process->command, pattern) != NULL ||
           strstr(process->executable, pattern) != NULL ||
           strstr(process->module, pattern) != NULL || strstr(process->path, pattern) != NULL;
}

/* The name that tells PROCESS best from others. */
static const char *service_best_name(const struct service_process *process)
{
    return process->path[0] != '\0'     ? process->path
           : process->module[0] != '\0' ? process->module
                                        : process->command;
}

/* Says which of PROCESSES hold PATTERN: more than one, or none. */
static struct error *service_not_one(const char *pattern, const struct service_process *processes,
                                     size_t count, size_t matches)
{
    enum { LISTED_MAX = 8 };
    if (matches == 0) {
        return error_advise(
            error_create(ERROR_GONE, "name:%s: no Go process has such a name", pattern),
            "unpark ps lists them");
    }
    struct string_builder list = {0};
    size_t listed = 0;
    for (size_t i = 0; i < count && listed < LISTED_MAX; i++) {
        if (service_matches(&processes[i], pattern)) {
            string_builder_format(&list, "%s%lld %s", listed == 0 ? "" : ", ",
                                  (long long)processes[i].pid, service_best_name(&processes[i]));
            listed++;
        }
    }
    if (matches > listed) {
        string_builder_format(&list, ", and %zu more", matches - listed);
    }
    struct error *error = string_builder_error(&list);
    if (error == NULL) {
        error = error_create(ERROR_USAGE, "name:%s: %zu Go processes have such a name: %s", pattern,
                             matches, string_builder_text(&list));
        error = error_advise(error, "give the pid of one");
    }
    string_builder_deinit(&list);
    return error;
}

/* Finds one process by name. */
struct error *service_find_process(const char *pattern, pid_t *ret)
{
    if (pattern[0] == '\0') {
        return error_create(ERROR_USAGE, "name: needs a pattern, as in name:etcd");
    }
    struct service_process *processes = NULL;
    size_t count = 0;
    TRY(service_processes(false, &processes, &count));
    size_t matches = 0;
    for (size_t i = 0; i < count; i++) {
        if (service_matches(&processes[i], pattern)) {
            *ret = (pid_t)processes[i].pid;
            matches++;
        }
    }
    struct error *error = matches == 1 ? NULL : service_not_one(pattern, processes, count, matches);
    service_free_processes(processes, count);
    return error;
}
