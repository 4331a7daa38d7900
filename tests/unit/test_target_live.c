#include "base/clock.h"
#include "support.h"
#include "target/target.h"
#include "target/target_live.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGES = 64 };

/* What test and child share. */
struct live_shared {
    _Atomic int ready;
    _Atomic int tid;
};

static struct live_shared *shared;
static uint8_t *region; /* private memory at the same address in the child */
static size_t page;

static int setup(void **state)
{
    (void)state;
    page = (size_t)sysconf(_SC_PAGESIZE);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    region = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < PAGES * page; i++) {
        region[i] = (uint8_t)(i * 31 + i / page);
    }
    return shared == MAP_FAILED || region == MAP_FAILED;
}

/* Starts a child that runs BODY, says so, and waits to be killed. */
static pid_t live_start(void (*body)(void))
{
    atomic_store(&shared->ready, 0);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (body != NULL) {
            body();
        }
        atomic_store(&shared->ready, 1);
        for (;;) {
            pause();
        }
    }
    uint64_t deadline = clock_now() + 60000000000u;
    while (atomic_load(&shared->ready) == 0) {
        assert_true(clock_now() < deadline);
        sched_yield();
    }
    return child;
}

/* Ends CHILD. */
static void live_end(pid_t child)
{
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* Makes a hole that exists and one that does not. */
static void live_punch(void)
{
    mprotect(region + 10 * page, page, PROT_NONE);
    munmap(region + 20 * page, page);
}

/* Reads everywhere: whole, in parts, across holes, in thousands of ranges. */
static void live_check_reads(struct target *target)
{
    uint8_t *copy = malloc(PAGES * page);
    uint64_t base = (uint64_t)(uintptr_t)region;
    assert_success(target_read(target, base, copy, 10 * page));
    assert_memory_equal(copy, region, 10 * page);
    assert_success(target_read(target, base + 21 * page, copy, 43 * page));
    assert_memory_equal(copy, region + 21 * page, 43 * page);
    struct error *error = target_read(target, base, copy, 20 * page + 1);
    assert_non_null(error);
    assert_true(error_address(error) == base + 10 * page ||
                error_address(error) == base + 20 * page);
    assert_error(error, ERROR_FAULT);
    assert_error(target_read(target, 8, copy, 8), ERROR_FAULT);
    assert_error(target_read(target, UINT64_MAX - 3, copy, 8), ERROR_FAULT);

    enum { COUNT = 5000 };
    struct target_range *ranges = calloc(COUNT, sizeof *ranges);
    uint32_t random = 1;
    for (size_t i = 0; i < COUNT; i++) {
        random = random * 1664525u + 1013904223u;
        size_t offset = (random >> 4) % (PAGES * page - 300);
        ranges[i] = (struct target_range){.address = base + offset,
                                          .size = i % 17 == 0 ? 0 : (random >> 20) % 300,
                                          .destination = copy + i * 300 % (40 * page),
                                          .done = 12345};
        if (i % 101 == 0) {
            ranges[i].address = (uint64_t)random << 32;
        }
    }
    for (size_t i = 0; i < COUNT; i += 500) {
        assert_success(target_read_ranges(target, ranges + i, 500));
        for (size_t j = i; j < i + 500; j++) {
            uint64_t end = ranges[j].address + ranges[j].size;
            uint64_t hole = base + 20 * page;
            bool whole = ranges[j].address >= base && end <= base + PAGES * page &&
                         (end <= hole || ranges[j].address >= hole + page) &&
                         (end <= hole - 10 * page || ranges[j].address >= hole - 9 * page);
            assert_true(!whole || ranges[j].done == ranges[j].size);
            assert_true(ranges[j].done <= ranges[j].size);
            if (ranges[j].done > 0) {
                assert_memory_equal(ranges[j].destination, region + (ranges[j].address - base),
                                    ranges[j].done);
            }
        }
    }
    free(ranges);
    free(copy);
}

static void test_read(void **state)
{
    (void)state;
    pid_t child = live_start(live_punch);
    struct target *target;
    assert_success(target_open_pid(child, &target));
    assert_int_equal(target_pid(target), child);
    assert_non_null(strstr(target_name(target), "(test_target_liv)"));
    assert_non_null(strstr(target_executable(target), "test_target_live"));
    /* A range may stop at PROT_NONE or not: only /proc/PID/mem reads through it. */
    live_check_reads(target);
    const struct target_mapping *mapping = target_find_mapping(target, (uintptr_t)region);
    assert_non_null(mapping);
    assert_int_equal(mapping->permissions, TARGET_PERMISSION_READ | TARGET_PERMISSION_WRITE);
    assert_null(target_find_mapping(target, (uintptr_t)(region + 20 * page)));
    target_destroy(target);
    live_end(child);
}

/* Where process_vm_readv is refused, the file gives the same. */
static void test_read_through_file(void **state)
{
    (void)state;
    pid_t child = live_start(live_punch);
    struct target *target;
    assert_success(target_open_pid(child, &target));
    atomic_store(&((struct target_live *)target)->through_file, true);
    live_check_reads(target);
    target_destroy(target);
    live_end(child);
}

/* Many threads may read at once. */
static void *live_reader(void *context)
{
    uint64_t base = (uint64_t)(uintptr_t)region;
    uint8_t bytes[512];
    for (size_t i = 0; i < 2000; i++) {
        size_t offset = i * 37 % (9 * page);
        struct error *error = target_read(context, base + offset, bytes, sizeof bytes);
        if (error != NULL || memcmp(bytes, region + offset, sizeof bytes) != 0) {
            error_destroy(error);
            return (void *)1;
        }
    }
    return NULL;
}

static void test_read_in_parallel(void **state)
{
    (void)state;
    pid_t child = live_start(NULL);
    struct target *target;
    pthread_t threads[4];
    assert_success(target_open_pid(child, &target));
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, live_reader, target), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
    target_destroy(target);
    live_end(child);
}

/* A process that ended is gone, a zombie and a thread's id are no process. */
static void test_gone(void **state)
{
    (void)state;
    uint8_t byte;
    pid_t child = live_start(NULL);
    struct target *target;
    assert_success(target_open_pid(child, &target));
    kill(child, SIGKILL);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    assert_error(target_read(target, (uintptr_t)region, &byte, 1), ERROR_GONE);
    assert_error(target_refresh_mappings(target), ERROR_GONE);
    struct target *zombie;
    assert_error(target_open_pid(child, &zombie), ERROR_GONE);
    assert_int_equal(waitpid(child, NULL, 0), child);
    struct target_thread *threads;
    size_t count;
    assert_error(target_threads(target, &threads, &count), ERROR_GONE);
    assert_error(target_stop(target, 0), ERROR_GONE);
    assert_error(target_read(target, (uintptr_t)region, &byte, 1), ERROR_GONE);
    target_destroy(target);
    assert_error(target_open_pid(child, &target), ERROR_GONE);
    assert_error(target_open_pid(0, &target), ERROR_GONE);
    assert_error(target_open_pid(-1, &target), ERROR_GONE);
    assert_error(target_open_pid(2, &target), ERROR_GONE);
}

/* After an exec the id is the same, the target is gone. */
static void live_exec_now(int signal)
{
    (void)signal;
    execl("/bin/sleep", "sleep", "1000", (char *)NULL);
    _exit(1);
}

static void live_exec_later(void)
{
    (void)signal(SIGUSR1, live_exec_now);
}

static void test_exec(void **state)
{
    (void)state;
    uint8_t byte;
    pid_t child = live_start(live_exec_later);
    struct target *target;
    assert_success(target_open_pid(child, &target));
    kill(child, SIGUSR1);
    uint64_t deadline = clock_now() + 60000000000u;
    struct error *error = NULL;
    while ((error = target_read(target, (uintptr_t)region, &byte, 1)) == NULL) {
        assert_true(clock_now() < deadline);
        sched_yield();
    }
    /* Between the old memory and the new there may be an instant in which neither is read. */
    assert_error(error, ERROR_GONE);
    assert_error(target_refresh_mappings(target), ERROR_GONE);
    target_destroy(target);
    live_end(child);
}

/* The main thread may end before the others. */
static void *live_outlive(void *context)
{
    (void)context;
    atomic_store(&shared->tid, (int)syscall(SYS_gettid));
    for (;;) {
        pause();
    }
    return NULL;
}

static void live_leave(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, live_outlive, NULL);
    atomic_store(&shared->ready, 1);
    syscall(SYS_exit, 0);
}

static void test_leader_ended(void **state)
{
    (void)state;
    atomic_store(&shared->tid, 0);
    pid_t child = live_start(live_leave);
    char path[64];
    char text[512] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)child);
    uint64_t deadline = clock_now() + 60000000000u;
    while (strstr(text, ") Z ") == NULL || atomic_load(&shared->tid) == 0) {
        assert_true(clock_now() < deadline);
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        assert_non_null(fgets(text, sizeof text, file));
        (void)fclose(file);
    }
    struct target *target;
    uint8_t byte;
    assert_success(target_open_pid(child, &target));
    assert_success(target_read(target, (uintptr_t)region, &byte, 1));
    assert_success(target_refresh_mappings(target));
    assert_success(target_stop(target, 60000000000u));
    assert_true(target_stop_held(target));
    struct target_thread *threads;
    size_t count;
    assert_success(target_threads(target, &threads, &count));
    assert_int_equal(count, 2);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(threads[i].has_registers, threads[i].tid == atomic_load(&shared->tid));
    }
    free(threads);
    target_destroy(target);
    live_end(child);
}

/* The file behind a mapping, also when its name is gone or belongs to another file. */
static char live_path[64];

static void live_map(void)
{
    int descriptor = open(live_path, O_RDONLY);
    void *mapped = mmap(region, page, PROT_READ, MAP_PRIVATE | MAP_FIXED, descriptor, 0);
    if (mapped == MAP_FAILED) {
        _exit(1);
    }
}

static void live_make_file(const char *text)
{
    int descriptor = open(live_path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, text, strlen(text)), strlen(text));
    close(descriptor);
}

static void test_open_file(void **state)
{
    (void)state;
    char text[16] = "";
    int descriptor = -1;
    struct target *target;
    (void)snprintf(live_path, sizeof live_path, "/tmp/unpark test-%d\n", (int)getpid());
    live_make_file("first");
    pid_t child = live_start(live_map);
    assert_success(target_open_pid(child, &target));
    const struct target_mapping *mapping = target_find_mapping(target, (uintptr_t)region);
    assert_string_equal(mapping->path, live_path);
    assert_success(target_open_file(target, mapping, &descriptor));
    assert_int_equal(read(descriptor, text, sizeof text), 5);
    assert_memory_equal(text, "first", 5);
    close(descriptor);
    assert_int_equal(unlink(live_path), 0);
    live_make_file("second");
    assert_success(target_refresh_mappings(target));
    mapping = target_find_mapping(target, (uintptr_t)region);
    assert_true(mapping->deleted);
    assert_string_equal(mapping->path, live_path);
    struct error *error = target_open_file(target, mapping, &descriptor);
    if (error == NULL) {
        assert_int_equal(read(descriptor, text, sizeof text), 5);
        assert_memory_equal(text, "first", 5);
        close(descriptor);
    } else {
        assert_error(error, ERROR_NOT_FOUND);
    }
    struct target_mapping lie = *mapping;
    lie.start += page;
    lie.deleted = false;
    assert_error(target_open_file(target, &lie, &descriptor), ERROR_NOT_FOUND);
    lie.inode = 0;
    assert_error(target_open_file(target, &lie, &descriptor), ERROR_NOT_FOUND);
    size_t count;
    const struct target_mapping *mappings = target_mappings(target, &count);
    bool executable = false;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(mappings[i].path, target_executable(target)) == 0) {
            assert_success(target_open_file(target, &mappings[i], &descriptor));
            close(descriptor);
            executable = true;
        }
    }
    assert_true(executable);
    target_destroy(target);
    live_end(child);
    unlink(live_path);
}

/* The system call that a thread waits in. */
static void test_system_call(void **state)
{
    (void)state;
    pid_t child = live_start(NULL);
    struct target *target;
    struct target_system_call call;
    assert_success(target_open_pid(child, &target));
    uint64_t deadline = clock_now() + 60000000000u;
    do {
        assert_true(clock_now() < deadline);
        assert_success(target_system_call(target, child, &call));
    } while (!call.known);
#ifdef SYS_pause
    assert_int_equal(call.number, SYS_pause);
#else
    assert_int_equal(call.number, SYS_ppoll);
#endif
    assert_success(target_system_call(target, 1 << 30, &call));
    assert_false(call.known);
    target_destroy(target);
    live_end(child);
}

/* Ids of threads inside another pid namespace, and clocks of another time namespace. */
static void test_namespaces(void **state)
{
    (void)state;
    int before = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    int time_before = open("/proc/self/ns/time", O_RDONLY | O_CLOEXEC);
    if (unshare(CLONE_NEWPID) != 0) {
        skip();
    }
    bool shifted = false;
    if (unshare(CLONE_NEWTIME) == 0) {
        FILE *offsets = fopen("/proc/self/timens_offsets", "w");
        shifted = offsets != NULL && fprintf(offsets, "monotonic 5000 7\n") > 0;
        shifted = offsets != NULL && fclose(offsets) == 0 && shifted;
    }
    pid_t child = live_start(NULL);
    if (time_before >= 0) {
        assert_int_equal(setns(time_before, CLONE_NEWTIME), 0);
        close(time_before);
    }
    struct target *target;
    struct target_thread *threads;
    size_t count;
    uint64_t now;
    assert_success(target_open_pid(child, &target));
    assert_success(target_threads(target, &threads, &count));
    assert_int_equal(count, 1);
    assert_int_equal(threads[0].tid, child);
    assert_int_equal(threads[0].inner_tid, 1);
    free(threads);
    uint64_t from = clock_now();
    assert_true(target_monotonic_now(target, &now));
    assert_true(now - (shifted ? 5000000000007u : 0) - from < 60000000000u);
    target_destroy(target);
    live_end(child);
    assert_int_equal(setns(before, CLONE_NEWPID), 0);
    close(before);
}

/* A stranger is told why and what to do. */
static void test_permission(void **state)
{
    (void)state;
    pid_t victim = live_start(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct target *target;
        if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) {
            _exit(1);
        }
        struct error *error = target_open_pid(getuid() == 65534 ? victim : 1, &target);
        bool fits = error != NULL && error_code(error) == ERROR_PERMISSION &&
                    error_advice(error) != NULL &&
                    strstr(error_message(error), "runs as user") != NULL;
        error_destroy(error);
        _exit(fits ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    live_end(victim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_read_through_file),
        cmocka_unit_test(test_read_in_parallel),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_exec),
        cmocka_unit_test(test_leader_ended),
        cmocka_unit_test(test_open_file),
        cmocka_unit_test(test_system_call),
        cmocka_unit_test(test_namespaces),
        cmocka_unit_test(test_permission),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
