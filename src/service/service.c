#include "service/service.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/string_builder.h"
#include "goruntime/goruntime.h"
#include "image/image.h"
#include "service/service_internal.h"
#include "target/target.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

CLEANUP_DEFINE(service, struct service, service_close)
CLEANUP_DEFINE(builder, struct snapshot_builder, snapshot_builder_destroy)

/* Opens the one Go process whose names hold PATTERN. */
static struct error *service_open_name(const char *pattern, struct target **ret)
{
    pid_t pid;
    TRY(service_find_process(pattern, &pid));
    return target_open_pid(pid, ret);
}

/* The pid that TEXT spells, or 0 when it spells none. */
static pid_t service_parse_pid(const char *text)
{
    char *end;
    if (text[0] < '1' || text[0] > '9') {
        return 0;
    }
    long value = strtol(text, &end, 10);
    return *end == '\0' && value <= INT32_MAX ? (pid_t)value : 0;
}

/* The complaint that PATH names nothing; an address without its scheme is taken for one. */
static struct error *service_nothing_there(const char *path)
{
    const char *colon = strchr(path, ':');
    bool address = colon != NULL && colon > path && colon[1] >= '0' && colon[1] <= '9' &&
                   strcspn(path, "/") > (size_t)(colon - path);
    struct error *error = error_create(ERROR_GONE, "'%s': no such file or process", path);
    return error_advise(error, address ? "of a server give the URL: http://ADDRESS:PORT"
                                       : "a target is a pid, name:PATTERN, a file, - or a URL");
}

/* The file that TEXT names, as a descriptor at its start. When there is none and TEXT ends in @N,
 * the path before that, and *DUMP_RET is N. *PATH_RET is a heap string. */
static struct error *service_open_path(const char *text, char **path_ret, uint64_t *dump_ret,
                                       int *ret)
{
    CLEANUP_FREE char *path = strdup(text);
    if (path == NULL) {
        return error_no_memory();
    }
    struct stat status;
    char *at = strrchr(path, '@');
    size_t digits = at == NULL ? 0 : strspn(at + 1, "0123456789");
    if (stat(path, &status) != 0 && digits > 0 && digits < 10 && at[1 + digits] == '\0') {
        *dump_ret = strtoull(at + 1, NULL, 10);
        *at = '\0';
    }
    if (stat(path, &status) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
        return service_nothing_there(path);
    }
    *ret = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (*ret < 0) {
        return error_errno(errno, "'%s'", path);
    }
    *path_ret = TAKE(path);
    return NULL;
}

/* The head of the file behind DESCRIPTOR, which stays at its start; 0 bytes of a pipe. */
static size_t service_peek(int descriptor, void *head, size_t size)
{
    ssize_t got = pread(descriptor, head, size, 0);
    return got < 0 ? 0 : (size_t)got;
}

/* Opens the file that TEXT names, by what is in it. */
static struct error *service_open_file(const char *text, const struct service_options *options,
                                       struct service *service)
{
    CLEANUP_FREE char *path = NULL;
    CLEANUP_CLOSE int descriptor = -1;
    uint64_t dump = 0;
    char head[SELFMAG];
    struct stat status;
    if (!options->core && options->exe == NULL) {
        TRY(service_recording_open(text, &service->recording));
        if (service->recording != NULL) {
            return NULL;
        }
    }
    TRY(service_open_path(text, &path, &dump, &descriptor));
    if (fstat(descriptor, &status) != 0) {
        return error_errno(errno, "'%s'", path);
    }
    bool regular = S_ISREG(status.st_mode);
    if (options->core && !regular) {
        return error_create(ERROR_USAGE, "'%s' is not a regular file", path);
    }
    if (!regular && !S_ISFIFO(status.st_mode) && !S_ISCHR(status.st_mode)) {
        return error_create(ERROR_USAGE, "'%s' is not a regular file and not a pipe", path);
    }
    size_t got = service_peek(descriptor, head, sizeof head);
    if (options->core || (got == sizeof head && memcmp(head, ELFMAG, SELFMAG) == 0)) {
        return target_open_core(path, options->exe, &service->target);
    }
    if (options->exe != NULL) {
        return error_create(ERROR_USAGE, "an executable can be given for a core file only");
    }
    int taken = descriptor;
    descriptor = -1;
    return service_file_create(taken, path, dump, &service->file);
}

/* Opens the target that TEXT names. */
static struct error *service_open_target(const char *text, const struct service_options *options,
                                         struct service *service)
{
    pid_t pid = service_parse_pid(text);
    bool name = strncmp(text, "name:", 5) == 0;
    bool special = service_file_is_special(text);
    if (options->core || (pid == 0 && !name && !special)) {
        return service_open_file(text, options, service);
    }
    if (options->exe != NULL) {
        return error_create(ERROR_USAGE, "an executable can be given for a core file only");
    }
    if (special) {
        return service_file_open_special(text, &service->file);
    }
    return name ? service_open_name(text + 5, &service->target)
                : target_open_pid(pid, &service->target);
}

/* Opens a service on TEXT. */
struct error *service_open(const char *text, const struct service_options *options,
                           struct service **ret)
{
    CLEANUP(cleanup_service) struct service *service = calloc(1, sizeof *service);
    if (service == NULL) {
        return error_no_memory();
    }
    (void)pthread_mutex_init(&service->lock, NULL);
    TRY(service_open_target(text, options, service));
    *ret = TAKE(service);
    return NULL;
}

/* Closes SERVICE and its target. */
void service_close(struct service *service)
{
    if (service == NULL) {
        return;
    }
    goruntime_destroy(service->runtime);
    image_destroy(service->image);
    target_destroy(service->target);
    service_file_close(service->file);
    service_recording_close(service->recording);
    (void)pthread_mutex_destroy(&service->lock);
    free(service);
}

/* Memory is what targets have. */
bool service_has_memory(const struct service *service)
{
    return service->target != NULL;
}

bool service_has_arguments(const struct service *service)
{
    return service->recording == NULL;
}

int64_t service_process(const struct service *service)
{
    bool live = service->target != NULL && target_kind(service->target) == TARGET_KIND_LIVE;
    return live ? target_pid(service->target) : 0;
}

/* The target's name in messages. */
const char *service_name(const struct service *service)
{
    return service->target != NULL      ? target_name(service->target)
           : service->recording != NULL ? service_recording_name(service->recording)
                                        : service_file_name(service->file);
}

/* ERROR (may be NULL) with the target's name in front, unless a lower room put it there already. */
struct error *service_name_error(const struct service *service, struct error *error)
{
    const char *name = service_name(service);
    if (error == NULL || strncmp(error_message(error), name, strlen(name)) == 0) {
        return error;
    }
    return error_wrap(error, "%s", name);
}

/* Finds the Go code and the runtime of the target, once. */
struct error *service_prepare(struct service *service)
{
    if (service->image == NULL) {
        TRY(service_name_error(service, image_create(service->target, &service->image)));
    }
    if (service->runtime == NULL) {
        TRY(service_name_error(
            service, goruntime_create(service->target, service->image, &service->runtime)));
    }
    return NULL;
}

/* Stores TEXT as a string of BUILDER in *RET; "" stays unknown. */
static struct error *service_set(struct snapshot_builder *builder, const char *text, uint32_t *ret)
{
    if (text == NULL || text[0] == '\0') {
        return NULL;
    }
    return snapshot_builder_string(builder, text, strlen(text), ret);
}

/* The modified flag of INFO: known only when there is a revision. */
static int8_t service_modified(const struct image_build_info *info)
{
    if (info->revision == NULL || info->revision[0] == '\0') {
        return -1;
    }
    return info->modified ? 1 : 0;
}

/* Fills in who the program is. */
struct error *service_identify(struct service *service, struct snapshot_builder *builder)
{
    const struct image_build_info *info = image_build_info(service->image);
    struct snapshot_program program = *snapshot_builder_program(builder);
    TRY(service_set(builder, target_name(service->target), &program.source));
    TRY(service_set(builder, target_executable(service->target), &program.executable));
    TRY(service_set(builder, image_go_version(service->image), &program.go_version));
    TRY(service_set(builder, info->path, &program.path));
    TRY(service_set(builder, info->module, &program.module));
    TRY(service_set(builder, info->version, &program.module_version));
    TRY(service_set(builder, info->revision, &program.revision));
    TRY(service_set(builder, info->settings, &program.settings));
    TRY(service_set(builder, image_build_id(service->image), &program.build_id));
    bool arm = target_machine(service->target) == TARGET_MACHINE_ARM64;
    TRY(service_set(builder, arm ? "arm64" : "amd64", &program.machine));
    program.modified = service_modified(info);
    if (target_pid(service->target) > 0) {
        program.pid = target_pid(service->target);
    }
    *snapshot_builder_program(builder) = program;
    return NULL;
}

/* What freezing and thawing within a look need. */
struct service_freeze {
    struct target *target;
    uint64_t limit_ns;
};

/* Stops the target of CONTEXT, a struct service_freeze. */
static struct error *service_freeze(void *context)
{
    const struct service_freeze *freeze = context;
    return target_stop(freeze->target, freeze->limit_ns);
}

/* Lets it run again. */
static void service_thaw(void *context)
{
    const struct service_freeze *freeze = context;
    target_resume(freeze->target);
}

/* Reads the goroutines as LOOK wants into BUILDER. */
static struct error *service_collect(struct service *service, const struct service_look *look,
                                     struct snapshot_builder *builder)
{
    struct service_freeze freeze = {service->target, look->max_stop_ns};
    struct goruntime_look request = {
        .objects = look->objects,
        .labels = look->labels,
        .arguments = look->arguments,
        .progress = look->progress,
        .progress_context = look->progress_context,
    };
    if (look->stop && target_kind(service->target) == TARGET_KIND_LIVE) {
        request.freeze = service_freeze;
        request.thaw = service_thaw;
        request.freeze_context = &freeze;
    }
    return service_name_error(service, goruntime_look(service->runtime, &request, builder));
}

/* Counts the threads of the target, when the look did not. */
struct error *service_count_threads(struct service *service, struct snapshot_program *program)
{
    if (program->threads != SNAPSHOT_UNKNOWN) {
        return NULL;
    }
    CLEANUP_FREE struct target_thread *threads = NULL;
    size_t count = 0;
    struct error *error = target_threads(service->target, &threads, &count);
    if (error_catch(&error, ERROR_GONE)) {
        return NULL;
    }
    TRY(error);
    program->threads = (int64_t)count;
    return NULL;
}

/* Nanoseconds of Unix time. */
int64_t service_wall_clock(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) {
        return SNAPSHOT_UNKNOWN;
    }
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Takes a snapshot of what somebody wrote. */
struct error *service_take_file(struct service *service, bool arguments, struct snapshot **ret)
{
    uint64_t start = clock_now();
    if (service->recording != NULL) {
        return service_recording_load(service->recording, ret);
    }
    CLEANUP(cleanup_builder) struct snapshot_builder *builder = NULL;
    TRY(snapshot_builder_create(&builder));
    TRY(service_name_error(service, service_file_read(service->file, arguments, builder)));
    struct snapshot_program *program = snapshot_builder_program(builder);
    TRY(service_set(builder, service_file_name(service->file), &program->source));
    program->stopped_ns = 0;
    program->read_ns = (int64_t)(clock_now() - start);
    return snapshot_builder_finish(TAKE(builder), ret);
}

/* Takes a snapshot with the lock held. */
static struct error *service_take(struct service *service, const struct service_look *look,
                                  struct snapshot **ret)
{
    if (!service_has_memory(service)) {
        if (look->stop) {
            return error_create(ERROR_USAGE, "%s: only a process can be stopped",
                                service_name(service));
        }
        return service_take_file(service, look->arguments, ret);
    }
    uint64_t start = clock_now();
    uint64_t stopped = target_stopped_ns(service->target);
    TRY(service_prepare(service));
    int64_t taken_at = service_wall_clock();
    CLEANUP(cleanup_builder) struct snapshot_builder *builder = NULL;
    TRY(snapshot_builder_create(&builder));
    TRY(service_identify(service, builder));
    TRY(service_collect(service, look, builder));
    struct snapshot_program *program = snapshot_builder_program(builder);
    TRY(service_count_threads(service, program));
    if (target_kind(service->target) == TARGET_KIND_LIVE) {
        program->taken_at_ns = taken_at;
    }
    program->stopped_ns = (int64_t)(target_stopped_ns(service->target) - stopped);
    program->read_ns = (int64_t)(clock_now() - start);
    return snapshot_builder_finish(TAKE(builder), ret);
}

/* Takes a snapshot. */
struct error *service_snapshot(struct service *service, const struct service_look *look,
                               struct snapshot **ret)
{
    (void)pthread_mutex_lock(&service->lock);
    struct error *error = service_take(service, look, ret);
    (void)pthread_mutex_unlock(&service->lock);
    return error;
}

/* True when a stack is missing that could have been read. */
bool service_is_partial(const struct snapshot *snapshot, const struct service_look *look)
{
    if ((snapshot_flags(snapshot) & (GOROUTINE_STACK_UNKNOWN | GOROUTINE_STACK_CUT)) == 0) {
        return false;
    }
    size_t count;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(snapshot, &count);
    for (size_t i = 0; i < count; i++) {
        bool runs = goroutines[i].status == GOROUTINE_STATUS_RUNNING ||
                    goroutines[i].status == GOROUTINE_STATUS_COPYSTACK ||
                    (goroutines[i].flags & GOROUTINE_MOVED) != 0;
        bool unread = (goroutines[i].flags & GOROUTINE_STACK_UNKNOWN) != 0;
        if ((unread && (look->stop || !runs)) || (goroutines[i].flags & GOROUTINE_STACK_CUT) != 0) {
            return true;
        }
    }
    return false;
}

/* The range of the layout table. */
void service_releases(int *oldest_ret, int *newest_ret)
{
    *oldest_ret = LAYOUT_MINOR_MIN;
    *newest_ret = LAYOUT_MINOR_MAX;
}
