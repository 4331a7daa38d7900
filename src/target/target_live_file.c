/* The files behind the mappings of a live process: by /proc/PID/map_files (deleted files too, but
 * only for administrators), /proc/PID/exe (the executable, deleted or not), and by path inside the
 * process's own root. Whatever opens must be the file that is mapped: inode and device are
 * compared. */
#include "target/target_live.h"

#include "base/cleanup.h"
#include "base/string_builder.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Opens the regular file at PATH for reading; -1 when that fails. */
static int target_live_open_regular(const char *path, struct stat *stat)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0) {
        return -1;
    }
    if (fstat(descriptor, stat) != 0 || !S_ISREG(stat->st_mode)) {
        close(descriptor);
        return -1;
    }
    return descriptor;
}

/* True when STAT is of the file of MAPPING. Filesystems without a device of their own (overlayfs,
 * btrfs) show another one in maps than in stat; there the inode decides. */
static bool target_live_same_file(const struct target_mapping *mapping, const struct stat *stat)
{
    return stat->st_ino == mapping->inode &&
           (stat->st_dev == mapping->device || major(mapping->device) == 0 ||
            major(stat->st_dev) == 0);
}

/* Opens PATH when it is the file of MAPPING; -1 otherwise. */
static int target_live_open_same(const char *path, const struct target_mapping *mapping)
{
    struct stat stat;
    int descriptor = target_live_open_regular(path, &stat);
    if (descriptor >= 0 && !target_live_same_file(mapping, &stat)) {
        close(descriptor);
        return -1;
    }
    return descriptor;
}

struct error *target_live_open_file(struct target *target, const struct target_mapping *mapping,
                                    int *ret)
{
    struct target_live *live = (struct target_live *)target;
    if (mapping->inode == 0) {
        return error_create(ERROR_NOT_FOUND, "no file is behind the memory at 0x%" PRIx64,
                            mapping->start);
    }
    char path[96];
    struct stat stat;
    (void)snprintf(path, sizeof path, "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)target->pid,
                   mapping->start, mapping->end);
    int descriptor = target_live_open_regular(path, &stat);
    if (descriptor < 0) {
        (void)snprintf(path, sizeof path, "/proc/%d/task/%d/exe", (int)target->pid,
                       (int)atomic_load(&live->tid));
        descriptor = target_live_open_same(path, mapping);
    }
    if (descriptor < 0 && !mapping->deleted && mapping->path[0] == '/') {
        CLEANUP(string_builder_deinit) struct string_builder builder = {0};
        string_builder_format(&builder, "/proc/%d/task/%d/root%s", (int)target->pid,
                              (int)atomic_load(&live->tid), mapping->path);
        TRY(string_builder_error(&builder));
        descriptor = target_live_open_same(string_builder_text(&builder), mapping);
    }
    if (descriptor < 0) {
        return error_create(ERROR_NOT_FOUND,
                            "the file behind the memory at 0x%" PRIx64 " cannot be opened or is no "
                            "longer the one that is mapped",
                            mapping->start);
    }
    *ret = descriptor;
    return NULL;
}
