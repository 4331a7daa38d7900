/* What the descriptors of a process are. /proc/PID/fd/N links to a path or to "socket:[INODE]",
 * "pipe:[INODE]", "anon_inode:[KIND]"; sockets are then found by inode in the tables of the
 * process's network namespace (process_sockets.c). */
#include "target/process_sockets.h"

#include "base/cleanup.h"
#include "target/proc.h"
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct process_descriptors {
    pid_t pid;
    struct process_sockets sockets; /* read when needed */
};

struct error *process_descriptors_create(pid_t pid, struct process_descriptors **ret)
{
    struct process_descriptors *descriptors = calloc(1, sizeof *descriptors);
    if (descriptors == NULL) {
        return error_no_memory();
    }
    descriptors->pid = pid;
    *ret = descriptors;
    return NULL;
}

void process_descriptors_destroy(struct process_descriptors *descriptors)
{
    if (descriptors == NULL) {
        return;
    }
    process_sockets_deinit(&descriptors->sockets);
    free(descriptors);
}

/* The inode of LINK when it has the form KIND:[INODE]. */
static bool process_descriptors_inode(const char *link, const char *kind, uint64_t *ret)
{
    size_t size = strlen(kind);
    if (strncmp(link, kind, size) != 0 || link[size] != ':' || link[size + 1] != '[') {
        return false;
    }
    char *end;
    *ret = strtoull(link + size + 2, &end, 10);
    return end != link + size + 2 && strcmp(end, "]") == 0;
}

/* Describes "anon_inode:[eventfd]" and "anon_inode:inotify", without the brackets that some kinds
 * have. */
static void process_descriptors_anonymous(const char *kind, struct string_builder *ret)
{
    size_t size = strlen(kind);
    if (size >= 2 && kind[0] == '[' && kind[size - 1] == ']') {
        kind++;
        size -= 2;
    }
    string_builder_add_escaped(ret, kind, size);
}

/* Describes the link that descriptor is. */
static struct error *process_descriptors_link(struct process_descriptors *descriptors,
                                              const char *link, struct string_builder *ret)
{
    static const char anonymous[] = "anon_inode:";
    uint64_t inode;
    if (process_descriptors_inode(link, "socket", &inode)) {
        TRY(process_sockets_find(&descriptors->sockets, descriptors->pid, inode));
        process_sockets_describe(&descriptors->sockets, inode, ret);
    } else if (process_descriptors_inode(link, "pipe", &inode)) {
        string_builder_format(ret, "pipe %" PRIu64, inode);
    } else if (strncmp(link, anonymous, sizeof anonymous - 1) == 0) {
        process_descriptors_anonymous(link + sizeof anonymous - 1, ret);
    } else {
        string_builder_add(ret, link[0] == '/' ? "file " : "");
        string_builder_add_escaped(ret, link, strlen(link));
    }
    return string_builder_error(ret);
}

struct error *process_descriptors_describe(struct process_descriptors *descriptors, int fd,
                                           struct string_builder *ret)
{
    char path[64];
    char link[PATH_MAX];
    (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)descriptors->pid, fd);
    struct error *error = proc_read_link(path, link, sizeof link);
    if (error_catch(&error, ERROR_GONE)) {
        (void)snprintf(path, sizeof path, "/proc/%d", (int)descriptors->pid);
        if (access(path, F_OK) != 0) {
            return error_create(ERROR_GONE, "process %d has ended", (int)descriptors->pid);
        }
        return error_create(ERROR_NOT_FOUND, "descriptor %d of process %d is not open", fd,
                            (int)descriptors->pid);
    }
    TRY(error);
    return process_descriptors_link(descriptors, link, ret);
}

struct error *process_count_descriptors(pid_t pid, uint64_t *ret)
{
    char path[64];
    pid_t *numbers = NULL;
    size_t count = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    TRY(proc_list_numbers(path, &numbers, &count));
    free(numbers);
    *ret = count;
    return NULL;
}
