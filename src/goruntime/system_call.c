/* System calls that goroutines are in: g.m, m.procid is the thread's id as the target sees it, and
 * the kernel says what the thread is doing. How many arguments a call takes is by its name (man 2).
 */
#include "goruntime/system_call.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/hash_map.h"
#include "base/string_builder.h"
#include "target/gather.h"
#include "target/process.h"
#include <stdlib.h>
#include <string.h>

enum { SYSTEM_CALL_ARGUMENTS = 6 };

/* Calls by their number of arguments; those not listed are shown with all six words. */
static const char *const system_call_arities[SYSTEM_CALL_ARGUMENTS] = {
    " pause sync getpid gettid sched_yield fork vfork munlockall setsid inotify_init"
    " restart_syscall ",
    " close fsync fdatasync dup pipe alarm exit exit_group unlink rmdir chdir fchdir chroot brk"
    " epoll_create epoll_create1 inotify_init1 syncfs uname sysinfo times ",
    " nanosleep creat kill tkill access rename mkdir link symlink stat fstat lstat statfs fstatfs"
    " truncate ftruncate flock listen shutdown dup2 pipe2 munmap mlock getrlimit setrlimit"
    " eventfd2 timerfd_create memfd_create rt_sigpending capget capset umount2 clock_gettime"
    " getcwd rt_sigsuspend ",
    " read write readv writev poll ioctl fcntl connect accept bind socket sendmsg recvmsg lseek"
    " open mprotect madvise msync getdents getdents64 readlink dup3 syslog mknod"
    " sched_setaffinity sched_getaffinity tgkill unlinkat mkdirat getpeername getsockname execve"
    " close_range getrandom ",
    " wait4 clock_nanosleep accept4 epoll_wait epoll_ctl pread64 pwrite64 rt_sigaction"
    " rt_sigprocmask rt_sigtimedwait sendfile ptrace openat newfstatat renameat readlinkat"
    " timerfd_settime socketpair reboot fallocate sendmmsg openat2 ",
    " mount prctl waitid select linkat renameat2 setsockopt getsockopt mremap statx preadv pwritev"
    " recvmmsg ppoll ",
};

/* How many arguments the call NAME takes. */
static size_t system_call_arity(const char *name)
{
    struct string_builder word = {0};
    string_builder_format(&word, " %s ", name);
    size_t arity = SYSTEM_CALL_ARGUMENTS;
    for (size_t i = 0; i < SYSTEM_CALL_ARGUMENTS && arity == SYSTEM_CALL_ARGUMENTS; i++) {
        if (strstr(system_call_arities[i], string_builder_text(&word)) != NULL) {
            arity = i;
        }
    }
    string_builder_deinit(&word);
    return arity;
}

/* "read(0x3, 0xc000012000, 0x400)". */
static struct error *system_call_text(struct wait_resolver *resolver,
                                      const struct target_system_call *call, uint32_t *ret)
{
    struct target *target = resolver->state->runtime->target;
    const char *name = process_system_call_name(target_machine(target), call->number);
    struct string_builder text = {0};
    if (name != NULL) {
        string_builder_add(&text, name);
    } else {
        string_builder_format(&text, "syscall_%lld", (long long)call->number);
    }
    size_t arity = name != NULL ? system_call_arity(name) : SYSTEM_CALL_ARGUMENTS;
    string_builder_add_char(&text, '(');
    for (size_t i = 0; i < arity; i++) {
        string_builder_add(&text, i > 0 ? ", " : "");
        string_builder_add_hex(&text, call->arguments[i]);
    }
    string_builder_add_char(&text, ')');
    struct error *error = string_builder_error(&text);
    if (error == NULL) {
        error = snapshot_builder_string(resolver->state->builder, string_builder_text(&text),
                                        text.size, ret);
    }
    string_builder_deinit(&text);
    return error;
}

/* Hands over one goroutine whose thread calls itself PROCID; 0 when it is not known. */
static struct error *system_call_set(struct wait_resolver *resolver, uint32_t index,
                                     uint64_t procid)
{
    struct snapshot_object object = {.kind = OBJECT_SYSTEM_CALL};
    object.system_call.number = SNAPSHOT_UNKNOWN;
    const uint64_t *tid = procid != 0 ? hash_map_get(&resolver->memory->threads, procid) : NULL;
    if (tid != NULL) {
        struct target_system_call call;
        TRY(target_system_call(resolver->state->runtime->target, (pid_t)*tid, &call));
        if (call.known && call.number >= 0) {
            object.system_call.number = call.number;
            TRY(system_call_text(resolver, &call, &object.system_call.text));
        }
    }
    return wait_set(resolver, index, &object, DIRECTION_WAIT);
}

/* gather_visitor of m's; tags are parked goroutines. */
static struct error *system_call_visit(void *context, const struct gather_item *item,
                                       const uint8_t *bytes)
{
    struct wait_resolver *resolver = context;
    const struct layout *layout = resolver->layout;
    uint64_t g = resolver->parked[item->tag].g;
    bool runs = bytes != NULL && bytes_u64(bytes + layout->m.curg) == g;
    return system_call_set(resolver, (uint32_t)item->tag,
                           runs ? bytes_u64(bytes + layout->m.procid) : 0);
}

/* Ids of the threads as the target sees them, once. */
static struct error *system_call_threads(struct wait_resolver *resolver)
{
    struct target_thread *threads;
    size_t count;
    if (resolver->memory->threads_read) {
        return NULL;
    }
    TRY(target_threads(resolver->state->runtime->target, &threads, &count));
    struct error *error = NULL;
    for (size_t i = 0; i < count && error == NULL; i++) {
        pid_t inner = threads[i].inner_tid != 0 ? threads[i].inner_tid : threads[i].tid;
        error = hash_map_put(&resolver->memory->threads, (uint64_t)inner, (uint64_t)threads[i].tid);
    }
    free(threads);
    resolver->memory->threads_read = error == NULL;
    return error;
}

/* Reads the m's. */
struct error *system_call_resolve(struct wait_resolver *resolver, const uint32_t *indices,
                                  size_t count)
{
    CLEANUP_FREE struct gather_item *items = calloc(count, sizeof *items);
    if (items == NULL) {
        return error_no_memory();
    }
    TRY(system_call_threads(resolver));
    const struct layout *layout = resolver->layout;
    int32_t last = layout->m.curg > layout->m.procid ? layout->m.curg : layout->m.procid;
    for (size_t i = 0; i < count; i++) {
        uint64_t m = resolver->parked[indices[i]].m;
        items[i] = (struct gather_item){.address = m, .tag = indices[i]};
    }
    return gather_visit(resolver->state->runtime->target, items, count, (size_t)last + 8,
                        system_call_visit, resolver);
}
