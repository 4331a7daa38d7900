/* Why the kernel refuses to show a process's memory, in the order in which it decides
 * (__ptrace_may_access in kernel/ptrace.c, then the security modules: cap_ptrace_access_check of
 * security/commoncap.c, yama_ptrace_access_check of security/yama/yama_lsm.c). */
#include "target/process.h"

#include "base/cleanup.h"
#include "target/proc.h"
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROCESS_PERMISSION_SYS_PTRACE = 19 }; /* CAP_SYS_PTRACE, include/uapi/linux/capability.h */

/* What decides about one process. */
struct process_permission {
    unsigned long users[3];  /* real, effective, saved */
    unsigned long groups[3]; /* real, effective, saved */
    uint64_t permitted;      /* capability sets */
    uint64_t effective;
    bool secured; /* a seccomp filter is installed */
};

/* Three decimal numbers behind KEY in TEXT. */
static bool process_permission_ids(const char *text, const char *key, unsigned long ids[3])
{
    const char *field = proc_find_field(text, key);
    return field != NULL && sscanf(field, "%lu %lu %lu", &ids[0], &ids[1], &ids[2]) == 3;
}

/* The capability set behind KEY in TEXT, 0 when there is none. */
static uint64_t process_permission_set(const char *text, const char *key)
{
    const char *field = proc_find_field(text, key);
    return field == NULL ? 0 : strtoull(field, NULL, 16);
}

/* Fills RET from the status file of WHO ("self" or a number). */
static struct error *process_permission_init(struct process_permission *ret, const char *who)
{
    char path[64];
    char text[8192];
    (void)snprintf(path, sizeof path, "/proc/%s/status", who);
    TRY(proc_read_head(path, text, sizeof text, NULL));
    if (!process_permission_ids(text, "Uid:", ret->users) ||
        !process_permission_ids(text, "Gid:", ret->groups)) {
        return error_create(ERROR_CORRUPT, "%s is not as expected", path);
    }
    ret->permitted = process_permission_set(text, "CapPrm:");
    ret->effective = process_permission_set(text, "CapEff:");
    ret->secured = proc_find_number(text, "Seccomp:", 0) != 0;
    return NULL;
}

/* True when every id of IDS is ID. */
static bool process_permission_all(const unsigned long ids[3], unsigned long id)
{
    return ids[0] == id && ids[1] == id && ids[2] == id;
}

/* The value of kernel.yama.ptrace_scope, 0 where yama is absent. */
static int process_permission_scope(void)
{
    char text[32];
    struct error *error =
        proc_read_head("/proc/sys/kernel/yama/ptrace_scope", text, sizeof text, NULL);
    if (error != NULL) {
        error_destroy(error);
        return 0;
    }
    return atoi(text);
}

/* The kernel shows the files of a process that may not be dumped as root's. */
static bool process_permission_undumpable(pid_t pid, const struct process_permission *theirs)
{
    char path[64];
    struct stat stat_buffer;
    (void)snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    return theirs->users[1] != 0 && stat(path, &stat_buffer) == 0 && stat_buffer.st_uid == 0;
}

/* The refusal although we have CAP_SYS_PTRACE. */
static struct error *process_permission_despite(pid_t pid, const char *what)
{
    bool known;
    bool same = proc_same_namespace(pid, "user", &known);
    if (process_permission_scope() >= 3) {
        return error_advise(error_create(ERROR_PERMISSION,
                                         "%s: kernel.yama.ptrace_scope is 3, which "
                                         "forbids it to everyone",
                                         what),
                            "boot with a ptrace_scope below 3, or take a core file");
    }
    if (!same) {
        return error_advise(error_create(ERROR_PERMISSION,
                                         "%s: it is in another user namespace, "
                                         "where our CAP_SYS_PTRACE does not count",
                                         what),
                            "run as root of the host, outside of any user namespace");
    }
    return error_advise(
        error_create(ERROR_PERMISSION,
                     "%s: a security module or a seccomp filter "
                     "refuses it",
                     what),
        "look for a denial in the kernel log (SELinux: ausearch -m avc; AppArmor: dmesg), or run "
        "outside of the container");
}

/* The refusal because the ids differ and we lack CAP_SYS_PTRACE. */
static struct error *process_permission_other(const char *what,
                                              const struct process_permission *ours,
                                              const struct process_permission *theirs)
{
    struct passwd *entry = getpwuid((uid_t)theirs->users[1]);
    char number[32];
    (void)snprintf(number, sizeof number, "%lu", theirs->users[1]);
    const char *user = entry == NULL ? number : entry->pw_name;
    struct error *error = error_create(ERROR_PERMISSION,
                                       "%s: it runs as user %s and we are user %lu without "
                                       "CAP_SYS_PTRACE",
                                       what, user, ours->users[1]);
    if (ours->users[1] == 0) {
        return error_advise(error,
                            "give this container the capability: docker run --cap-add=SYS_PTRACE, "
                            "Kubernetes securityContext.capabilities.add: [SYS_PTRACE]");
    }
    if (process_permission_all(theirs->users, theirs->users[1]) && theirs->users[1] != 0) {
        return error_advise(error, "run as root, or as that user: sudo -u %s", user);
    }
    return error_advise(error, "run as root: sudo");
}

/* The refusal by yama's SCOPE to the same user. */
static struct error *process_permission_yama(const char *what, int scope)
{
    struct error *error =
        error_create(ERROR_PERMISSION,
                     "%s: kernel.yama.ptrace_scope is %d, which "
                     "allows it %s",
                     what, scope,
                     scope == 1   ? "only for our own children and for CAP_SYS_PTRACE"
                     : scope == 2 ? "only for CAP_SYS_PTRACE"
                                  : "to no one");
    if (scope >= 3) {
        return error_advise(error, "boot with a ptrace_scope below 3, or take a core file");
    }
    if (scope == 2) {
        return error_advise(error, "run as root: sudo");
    }
    return error_advise(
        error, "run as root (sudo), or allow it to everyone: sysctl kernel.yama.ptrace_scope=0");
}

struct error *process_explain_permission(pid_t pid, const char *what)
{
    char who[16];
    struct process_permission ours;
    struct process_permission theirs;
    (void)snprintf(who, sizeof who, "%d", (int)pid);
    TRY(process_permission_init(&theirs, who));
    TRY(process_permission_init(&ours, "self"));
    if ((ours.effective >> PROCESS_PERMISSION_SYS_PTRACE & 1) != 0) {
        return process_permission_despite(pid, what);
    }
    if (!process_permission_all(theirs.users, ours.users[0]) ||
        !process_permission_all(theirs.groups, ours.groups[0])) {
        return process_permission_other(what, &ours, &theirs);
    }
    if (process_permission_undumpable(pid, &theirs)) {
        return error_advise(
            error_create(ERROR_PERMISSION,
                         "%s: it is marked as not dumpable (its "
                         "file is not readable to us, has capabilities, or it asked for this)",
                         what),
            "run as root: sudo");
    }
    if ((theirs.permitted & ~ours.permitted) != 0) {
        return error_advise(
            error_create(ERROR_PERMISSION, "%s: it has capabilities that we lack", what),
            "run as root: sudo");
    }
    int scope = process_permission_scope();
    if (scope >= 1) {
        return process_permission_yama(what, scope);
    }
    return error_advise(error_create(ERROR_PERMISSION, "%s: a security module%s refuses it", what,
                                     ours.secured ? " or a seccomp filter" : ""),
                        "run as root (sudo), or outside of the container");
}
