#include "service/diagnosis.h"
#include "base/cleanup.h"
#include "base/string_builder.h"
#include "goruntime/goruntime.h"
#include "image/image.h"
#include "target/process.h"
#include "target/target.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

CLEANUP_DEFINE(target, struct target, target_destroy)
CLEANUP_DEFINE(image, struct image, image_destroy)
CLEANUP_DEFINE(runtime, struct goruntime, goruntime_destroy)

enum { DIAGNOSIS_SYS_PTRACE = 19 }; /* include/uapi/linux/capability.h */

void diagnosis_deinit(struct diagnosis *diagnosis)
{
    for (size_t i = 0; i < diagnosis->items.count; i++) {
        free(diagnosis->items.items[i].subject);
        free(diagnosis->items.items[i].text);
        free(diagnosis->items.items[i].advice);
    }
    vector_deinit(&diagnosis->items);
}

/* Adds a finding; ADVICE may be NULL. */
PRINTF_LIKE(5, 6)
static struct error *diagnosis_add(struct diagnosis *diagnosis, enum diagnosis_level level,
                                   const char *subject, const char *advice, const char *format, ...)
{
    va_list arguments;
    struct diagnosis_item item = {.level = level, .subject = strdup(subject)};
    va_start(arguments, format);
    int size = vasprintf(&item.text, format, arguments);
    va_end(arguments);
    if (size < 0) {
        item.text = NULL;
    }
    item.advice = advice == NULL ? NULL : strdup(advice);
    struct error *error = NULL;
    if (item.subject == NULL || item.text == NULL || (advice != NULL && item.advice == NULL)) {
        error = error_no_memory();
    } else {
        error = vector_append(&diagnosis->items, item);
    }
    if (error != NULL) {
        free(item.subject);
        free(item.text);
        free(item.advice);
    }
    return error;
}

/* Adds ERROR, which is consumed, as the reason why SUBJECT fails. */
static struct error *diagnosis_fail(struct diagnosis *diagnosis, const char *subject,
                                    struct error *error)
{
    diagnosis->failed = true;
    diagnosis->code = error_code(error);
    struct error *failure = diagnosis_add(diagnosis, DIAGNOSIS_FAILURE, subject,
                                          error_advice(error), "%s", error_message(error));
    error_destroy(error);
    return failure;
}

/* Reads the head of a small text file; false when it cannot be read. */
static bool diagnosis_read(const char *path, char *text, size_t size)
{
    CLEANUP_CLOSE int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = descriptor < 0 ? -1 : read(descriptor, text, size - 1);
    text[got < 0 ? 0 : got] = '\0';
    return got >= 0;
}

/* True when this process has CAP_SYS_PTRACE in its user namespace. */
static bool diagnosis_has_capability(void)
{
    char status[8192];
    if (!diagnosis_read("/proc/self/status", status, sizeof status)) {
        return false;
    }
    const char *line = strstr(status, "\nCapEff:");
    return line != NULL && (strtoull(line + 8, NULL, 16) >> DIAGNOSIS_SYS_PTRACE & 1) != 0;
}

/* Who we are. */
static struct error *diagnosis_user(struct diagnosis *diagnosis)
{
    bool capable = diagnosis_has_capability();
    TRY(diagnosis_add(diagnosis, DIAGNOSIS_NOTE, "user", NULL, "uid %u%s", (unsigned)geteuid(),
                      geteuid() == 0 ? " (root)" : ""));
    if (capable) {
        return diagnosis_add(diagnosis, DIAGNOSIS_GOOD, "CAP_SYS_PTRACE", NULL,
                             "held: processes of every user can be looked at");
    }
    return diagnosis_add(diagnosis, DIAGNOSIS_LIMIT, "CAP_SYS_PTRACE",
                         "run as root; in a container add the capability SYS_PTRACE",
                         "not held: only processes of this user can be looked at");
}

/* The setting of the yama security module (Documentation/admin-guide/LSM/Yama.rst). */
static struct error *diagnosis_yama(struct diagnosis *diagnosis)
{
    static const char *const meanings[] = {
        "0: does not restrict",
        "1: without CAP_SYS_PTRACE only descendants can be looked at",
        "2: only with CAP_SYS_PTRACE",
        "3: nobody may attach, until the next boot: --stop cannot work",
    };
    char text[32];
    if (!diagnosis_read("/proc/sys/kernel/yama/ptrace_scope", text, sizeof text)) {
        return diagnosis_add(diagnosis, DIAGNOSIS_GOOD, "ptrace_scope", NULL,
                             "the yama security module is not there: does not restrict");
    }
    size_t scope = text[0] >= '0' && text[0] <= '3' ? (size_t)(text[0] - '0') : 3;
    bool limits = scope == 3 || (scope > 0 && !diagnosis_has_capability());
    return diagnosis_add(diagnosis, limits ? DIAGNOSIS_LIMIT : DIAGNOSIS_GOOD, "ptrace_scope",
                         limits ? "run as root, or sysctl kernel.yama.ptrace_scope=0" : NULL, "%s",
                         meanings[scope]);
}

/* Whether this process may use the system call by which memory is read; containers may forbid it.
 */
static struct error *diagnosis_system_call(struct diagnosis *diagnosis)
{
    char from = 'x', to = 0;
    struct iovec source = {&from, 1}, destination = {&to, 1};
    if (process_vm_readv(getpid(), &destination, 1, &source, 1, 0) == 1) {
        return diagnosis_add(diagnosis, DIAGNOSIS_GOOD, "process_vm_readv", NULL, "permitted");
    }
    return diagnosis_add(diagnosis, DIAGNOSIS_LIMIT, "process_vm_readv",
                         "permit it in the container's seccomp profile",
                         "refused: %s; reading is slower", strerror(errno));
}

/* Whether we are in a user namespace of our own, where capabilities do not reach outside. */
static struct error *diagnosis_namespace(struct diagnosis *diagnosis)
{
    char text[256];
    unsigned long inner = 0, outer = 0, size = 0;
    if (diagnosis_read("/proc/self/uid_map", text, sizeof text) &&
        sscanf(text, "%lu %lu %lu", &inner, &outer, &size) == 3 && size != 4294967295UL) {
        return diagnosis_add(diagnosis, DIAGNOSIS_LIMIT, "user namespace",
                             "run unpark outside of the container",
                             "not the first one: capabilities held here count only inside it");
    }
    return diagnosis_add(diagnosis, DIAGNOSIS_GOOD, "user namespace", NULL, "the first one");
}

/* Facts of the process, from /proc. */
static struct error *diagnosis_process(struct diagnosis *diagnosis, pid_t pid)
{
    struct process_info info;
    struct error *error = process_info_init(&info, pid);
    if (error != NULL) {
        return diagnosis_fail(diagnosis, "process", error);
    }
    error = diagnosis_add(diagnosis, DIAGNOSIS_NOTE, "process", NULL, "%d %s, user %s%s", (int)pid,
                          info.command, info.user, info.state == 'T' ? ", stopped" : "");
    if (error == NULL && info.tracer != 0) {
        error = diagnosis_add(diagnosis, DIAGNOSIS_LIMIT, "tracer",
                              "end that tracer first if you need --stop",
                              "process %d traces it: --stop cannot work", (int)info.tracer);
    }
    if (error == NULL && info.executable_deleted) {
        error =
            diagnosis_add(diagnosis, DIAGNOSIS_NOTE, "executable", NULL,
                          "%s was deleted or replaced; the running one is read", info.executable);
    }
    process_info_deinit(&info);
    return error;
}

/* Opens the process as a dump would, step by step. */
static struct error *diagnosis_open(struct diagnosis *diagnosis, pid_t pid)
{
    CLEANUP(cleanup_target) struct target *target = NULL;
    struct error *error = target_open_pid(pid, &target);
    if (error != NULL) {
        return diagnosis_fail(diagnosis, "memory", error);
    }
    TRY(diagnosis_add(diagnosis, DIAGNOSIS_GOOD, "memory", NULL, "can be read"));
    CLEANUP(cleanup_image) struct image *image = NULL;
    error = image_create(target, &image);
    if (error != NULL) {
        return diagnosis_fail(diagnosis, "Go program", error);
    }
    const struct image_build_info *info = image_build_info(image);
    TRY(diagnosis_add(diagnosis, DIAGNOSIS_GOOD, "Go program", NULL, "%s%s%s",
                      image_go_version(image), info->path[0] == '\0' ? "" : ", ", info->path));
    CLEANUP(cleanup_runtime) struct goruntime *runtime = NULL;
    error = goruntime_create(target, image, &runtime);
    if (error != NULL) {
        return diagnosis_fail(diagnosis, "Go runtime", error);
    }
    TRY(diagnosis_add(diagnosis, DIAGNOSIS_GOOD, "Go runtime", NULL,
                      "its layout is as expected of %s", image_go_version(image)));
    uint64_t user = 0, system = 0;
    error = goruntime_count(runtime, &user, &system);
    if (error != NULL) {
        return diagnosis_fail(diagnosis, "goroutines", error);
    }
    return diagnosis_add(diagnosis, DIAGNOSIS_GOOD, "goroutines", NULL,
                         "%" PRIu64 ", and %" PRIu64 " of the runtime itself", user, system);
}

/* Fills DIAGNOSIS. */
struct error *diagnosis_init(struct diagnosis *diagnosis, int64_t pid)
{
    TRY(diagnosis_user(diagnosis));
    TRY(diagnosis_yama(diagnosis));
    TRY(diagnosis_namespace(diagnosis));
    TRY(diagnosis_system_call(diagnosis));
    if (pid > 0) {
        TRY(diagnosis_process(diagnosis, (pid_t)pid));
    }
    if (pid > 0 && !diagnosis->failed) {
        TRY(diagnosis_open(diagnosis, (pid_t)pid));
    }
    return NULL;
}
