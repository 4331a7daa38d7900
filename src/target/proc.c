/* Small readers of /proc. Formats: proc(5). Nothing here trusts a name: comm and paths of a process
 * are bytes that the process chose; stat is therefore parsed from its last parenthesis. */
#include "target/proc.h"

#include "base/cleanup.h"
#include "base/vector.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Closes the directory stream that DIRECTORY points at. */
static void proc_close_directory(DIR **directory)
{
    if (*directory != NULL) {
        closedir(*directory);
    }
}

struct error *proc_read(const char *path, size_t limit, char **ret, size_t *size_ret)
{
    CLEANUP_CLOSE int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return error_errno(errno, "cannot open %s", path);
    }
    CLEANUP_FREE char *text = NULL;
    size_t size = 0;
    size_t capacity = 0;
    for (;;) {
        TRY(vector_grow((void **)&text, &capacity, size + 4096 + 1, 1));
        ssize_t got = read(descriptor, text + size, capacity - size - 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return error_errno(errno, "cannot read %s", path);
        }
        if (got == 0) {
            break;
        }
        size += (size_t)got;
        if (size > limit) {
            return error_create(ERROR_LIMIT, "%s is longer than %zu bytes", path, limit);
        }
    }
    text[size] = '\0';
    *size_ret = size;
    *ret = TAKE(text);
    return NULL;
}

struct error *proc_read_head(const char *path, char *buffer, size_t capacity, size_t *size_ret)
{
    CLEANUP_CLOSE int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return error_errno(errno, "cannot open %s", path);
    }
    size_t size = 0;
    while (size + 1 < capacity) {
        ssize_t got = read(descriptor, buffer + size, capacity - size - 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return error_errno(errno, "cannot read %s", path);
        }
        if (got == 0) {
            break;
        }
        size += (size_t)got;
    }
    buffer[size] = '\0';
    if (size_ret != NULL) {
        *size_ret = size;
    }
    return NULL;
}

struct error *proc_read_link(const char *path, char *buffer, size_t capacity)
{
    ssize_t size = readlink(path, buffer, capacity);
    if (size < 0) {
        return error_errno(errno, "cannot read the link %s", path);
    }
    if ((size_t)size >= capacity) {
        return error_create(ERROR_LIMIT, "the link %s is too long", path);
    }
    buffer[size] = '\0';
    return NULL;
}

bool proc_parse_stat(const char *text, struct proc_stat *ret)
{
    const char *position = strrchr(text, ')');
    if (position == NULL || position[1] != ' ' || position[2] == '\0') {
        return false;
    }
    ret->state = position[2];
    position += 3;
    /* Field 3 is the state; the numbers from field 4 (ppid) on follow. */
    for (int field = 4; field <= 22; field++) {
        char *end;
        errno = 0;
        unsigned long long number = strtoull(position, &end, 10);
        if (end == position) {
            return false;
        }
        position = end;
        if (field == 9) {
            ret->flags = (uint32_t)number;
        } else if (field == 20) {
            ret->threads = (uint32_t)number;
        } else if (field == 22) {
            ret->start_time = number;
        }
    }
    return true;
}

struct error *proc_read_stat(const char *path, struct proc_stat *ret)
{
    char text[1024];
    TRY(proc_read_head(path, text, sizeof text, NULL));
    if (!proc_parse_stat(text, ret)) {
        return error_create(ERROR_CORRUPT, "%s is not as expected", path);
    }
    return NULL;
}

const char *proc_find_field(const char *text, const char *key)
{
    size_t size = strlen(key);
    for (const char *line = text; line != NULL;) {
        if (strncmp(line, key, size) == 0) {
            return line + size + strspn(line + size, " \t");
        }
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    return NULL;
}

uint64_t proc_find_number(const char *text, const char *key, uint64_t unknown)
{
    const char *field = proc_find_field(text, key);
    if (field == NULL || field[0] < '0' || field[0] > '9') {
        return unknown;
    }
    return strtoull(field, NULL, 10);
}

/* Orders two process ids for qsort. */
static int proc_compare_numbers(const void *left, const void *right)
{
    pid_t a = *(const pid_t *)left;
    pid_t b = *(const pid_t *)right;
    return (a > b) - (a < b);
}

/* The decimal number that NAME is in all, or -1. */
static long proc_parse_number(const char *name)
{
    if (name[0] < '0' || name[0] > '9') {
        return -1;
    }
    char *end;
    errno = 0;
    long number = strtol(name, &end, 10);
    return *end == '\0' && errno == 0 && number <= INT_MAX ? number : -1;
}

struct error *proc_list_numbers(const char *path, pid_t **ret, size_t *count_ret)
{
    CLEANUP(proc_close_directory) DIR *directory = opendir(path);
    if (directory == NULL) {
        return error_errno(errno, "cannot open %s", path);
    }
    CLEANUP_FREE pid_t *items = NULL;
    size_t count = 0;
    size_t capacity = 0;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(directory);
        if (entry == NULL && errno != 0) {
            return error_errno(errno, "cannot read %s", path);
        }
        if (entry == NULL) {
            break;
        }
        long number = proc_parse_number(entry->d_name);
        if (number < 0) {
            continue;
        }
        TRY(vector_grow((void **)&items, &capacity, count + 1, sizeof *items));
        items[count++] = (pid_t)number;
    }
    if (count > 0) {
        qsort(items, count, sizeof *items, proc_compare_numbers);
    }
    *ret = TAKE(items);
    *count_ret = count;
    return NULL;
}

struct error *proc_list_threads(pid_t pid, pid_t **ret, size_t *count_ret)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    TRY(proc_list_numbers(path, ret, count_ret));
    if (*count_ret == 0) {
        free(*ret);
        *ret = NULL;
        return error_create(ERROR_GONE, "process %d has ended", (int)pid);
    }
    return NULL;
}

bool proc_same_namespace(pid_t pid, const char *name, bool *known)
{
    char path[64];
    char ours[64];
    char theirs[64];
    (void)snprintf(path, sizeof path, "/proc/self/ns/%s", name);
    struct error *error = proc_read_link(path, ours, sizeof ours);
    if (error == NULL) {
        (void)snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, name);
        error = proc_read_link(path, theirs, sizeof theirs);
    }
    *known = error == NULL;
    if (error != NULL) {
        error_destroy(error);
        return false;
    }
    return strcmp(ours, theirs) == 0;
}
