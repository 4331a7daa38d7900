#include "base/clock.h"
#include "support.h"
#include "target/target.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 6 };

static const uint64_t stop_patience = 20000000000u;

/* What test and children share. */
struct stop_shared {
    _Atomic int ready;
    _Atomic uint64_t steps[THREADS]; /* of each spinning thread */
    _Atomic uint64_t born;           /* short-lived threads so far */
    _Atomic uint64_t signals;        /* handled so far */
    _Atomic int holding;
};

static struct stop_shared *shared;

static int setup(void **state)
{
    (void)state;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED;
}

/* Waits until *VALUE is at least AIM. */
static void stop_await(_Atomic uint64_t *value, uint64_t aim)
{
    uint64_t deadline = clock_now() + stop_patience;
    while (atomic_load(value) < aim) {
        assert_true(clock_now() < deadline);
        sched_yield();
    }
}

/* Waits until *FLAG is set. */
static void stop_await_flag(_Atomic int *flag)
{
    uint64_t deadline = clock_now() + stop_patience;
    while (atomic_load(flag) == 0) {
        assert_true(clock_now() < deadline);
        sched_yield();
    }
}

/* Forks a child that dies with us and runs BODY. */
static pid_t stop_fork(void (*body)(void))
{
    memset((void *)shared, 0, sizeof *shared);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        body();
        _exit(0);
    }
    stop_await_flag(&shared->ready);
    return child;
}

/* Kills and reaps CHILD. */
static void stop_end(pid_t child)
{
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void stop_count_signal(int signal)
{
    (void)signal;
    atomic_fetch_add(&shared->signals, 1);
}

/* Counts its steps, now and then in the kernel. */
static void *stop_spin(void *context)
{
    _Atomic uint64_t *steps = context;
    for (;;) {
        if (atomic_fetch_add(steps, 1) % 1024 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

/* A process of spinning threads that counts SIGUSR1. */
static void stop_run_spinners(void)
{
    (void)signal(SIGUSR1, stop_count_signal);
    for (size_t i = 1; i < THREADS; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, stop_spin, &shared->steps[i]) != 0) {
            _exit(1);
        }
    }
    atomic_store(&shared->ready, 1);
    stop_spin(&shared->steps[0]);
}

/* The steps of all threads. */
static uint64_t stop_steps(void)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < THREADS; i++) {
        sum += atomic_load(&shared->steps[i]);
    }
    return sum;
}

/* Checks that every thread of the spinners makes steps. */
static void stop_check_running(void)
{
    for (size_t i = 0; i < THREADS; i++) {
        stop_await(&shared->steps[i], atomic_load(&shared->steps[i]) + 2);
    }
}

/* Stopped means stopped, with registers; running means running. */
static void test_stop(void **state)
{
    (void)state;
    pid_t child = stop_fork(stop_run_spinners);
    struct target *target;
    assert_success(target_open_pid(child, &target));
    for (int round = 0; round < 20; round++) {
        stop_check_running();
        assert_false(target_is_stopped(target));
        assert_false(target_stop_held(target));
        assert_success(target_stop(target, stop_patience));
        uint64_t steps = stop_steps();
        struct target_thread *threads;
        size_t count;
        assert_success(target_threads(target, &threads, &count));
        assert_int_equal(count, THREADS);
        for (size_t i = 0; i < count; i++) {
            assert_true(threads[i].has_registers);
            const struct target_mapping *mapping =
                target_find_mapping(target, threads[i].registers.pc);
            assert_non_null(mapping);
            assert_true((mapping->permissions & TARGET_PERMISSION_EXECUTE) != 0);
            assert_non_null(target_find_mapping(target, threads[i].registers.sp));
        }
        free(threads);
        assert_success(target_stop(target, 1));
        assert_true(target_is_stopped(target));
        assert_true(target_stop_held(target));
        assert_int_equal(stop_steps(), steps);
        uint64_t before = target_stopped_ns(target);
        target_resume(target);
        target_resume(target);
        assert_true(target_stopped_ns(target) > before);
    }
    stop_check_running();
    struct target_thread *threads;
    size_t count;
    assert_success(target_threads(target, &threads, &count));
    assert_false(threads[0].has_registers);
    free(threads);
    assert_success(target_stop(target, stop_patience));
    target_destroy(target);
    stop_check_running();
    stop_end(child);
}

/* A process in which threads are born and end all the time. */
static void *stop_live_briefly(void *context)
{
    (void)context;
    atomic_fetch_add(&shared->born, 1);
    return NULL;
}

static void *stop_breed(void *context)
{
    (void)context;
    for (;;) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, stop_live_briefly, NULL) == 0) {
            pthread_join(thread, NULL);
        }
    }
    return NULL;
}

static void stop_run_breeders(void)
{
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, stop_breed, NULL) != 0) {
            _exit(1);
        }
    }
    atomic_store(&shared->ready, 1);
    (void)stop_breed(NULL);
}

static void test_threads_appearing(void **state)
{
    (void)state;
    pid_t child = stop_fork(stop_run_breeders);
    struct target *target;
    assert_success(target_open_pid(child, &target));
    for (int round = 0; round < 100; round++) {
        stop_await(&shared->born, atomic_load(&shared->born) + 1);
        assert_success(target_stop(target, stop_patience));
        uint64_t born = atomic_load(&shared->born);
        assert_true(target_stop_held(target));
        assert_int_equal(atomic_load(&shared->born), born);
        target_resume(target);
    }
    stop_await(&shared->born, atomic_load(&shared->born) + 100);
    target_destroy(target);
    stop_end(child);
}

/* Signals that arrive before, in and after a stop all arrive once. */
static void test_signals(void **state)
{
    (void)state;
    pid_t child = stop_fork(stop_run_spinners);
    struct target *target;
    assert_success(target_open_pid(child, &target));
    for (uint64_t sent = 0; sent < 300;) {
        assert_int_equal(kill(child, SIGUSR1), 0);
        sent++;
        assert_success(target_stop(target, stop_patience));
        uint64_t handled = atomic_load(&shared->signals);
        assert_true(handled == sent || handled == sent - 1);
        target_resume(target);
        stop_await(&shared->signals, sent);
        assert_success(target_stop(target, stop_patience));
        assert_int_equal(kill(child, SIGUSR1), 0);
        sent++;
        target_resume(target);
        stop_await(&shared->signals, sent);
    }
    assert_int_equal(atomic_load(&shared->signals), 300);
    target_destroy(target);
    stop_check_running();
    stop_end(child);
}

/* A target killed inside the stop is noticed and nothing hangs. */
static void test_killed(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        pid_t child = stop_fork(stop_run_spinners);
        struct target *target;
        assert_success(target_open_pid(child, &target));
        if (round % 2 == 0) {
            assert_success(target_stop(target, stop_patience));
            kill(child, SIGKILL);
            uint64_t deadline = clock_now() + stop_patience;
            while (target_stop_held(target)) {
                assert_true(clock_now() < deadline);
                sched_yield();
            }
            target_resume(target);
        } else {
            kill(child, SIGKILL);
            struct error *error = target_stop(target, stop_patience);
            if (error != NULL) {
                assert_error(error, ERROR_GONE);
            }
        }
        target_destroy(target);
        assert_int_equal(waitpid(child, NULL, 0), child);
    }
}

/* The target of stop_run_tracer. */
static pid_t stop_victim;

/* Stops and resumes the victim until killed. */
static void stop_run_tracer(void)
{
    struct target *target;
    struct error *error = target_open_pid(stop_victim, &target);
    while (error == NULL) {
        error = target_stop(target, stop_patience);
        atomic_store(&shared->holding, 1);
        target_resume(target);
    }
    _exit(1);
}

/* Killed at any instant, we leave the target running and its signals with it. */
static void test_tracer_killed(void **state)
{
    (void)state;
    pid_t child = stop_fork(stop_run_spinners);
    uint64_t sent = 0;
    for (int round = 0; round < 60; round++) {
        stop_victim = child;
        atomic_store(&shared->holding, 0);
        pid_t tracer = fork();
        if (tracer == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            stop_run_tracer();
        }
        stop_await_flag(&shared->holding);
        for (int yields = round % 13; yields > 0; yields--) {
            sched_yield();
        }
        assert_int_equal(kill(child, SIGUSR1), 0);
        sent++;
        for (int yields = round % 7; yields > 0; yields--) {
            sched_yield();
        }
        stop_end(tracer);
        stop_await(&shared->signals, sent);
        stop_check_running();
    }
    assert_int_equal(atomic_load(&shared->signals), sent);
    stop_end(child);
}

/* Reads the state letter of thread PID. */
static char stop_state(pid_t pid)
{
    char path[64];
    char text[512] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    (void)fclose(file);
    return strrchr(text, ')')[2];
}

/* A process that does nothing in one thread. */
static void stop_run_idle(void)
{
    atomic_store(&shared->ready, 1);
    for (;;) {
        pause();
    }
}

/* Seizes the victim, stops it when told by a signal, lets it go by another. */
static void stop_run_debugger(void)
{
    sigset_t set;
    int number;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    if (ptrace(PTRACE_SEIZE, stop_victim, NULL, NULL) != 0) {
        _exit(1);
    }
    atomic_store(&shared->holding, 1);
    while (sigwait(&set, &number) == 0) {
        if (number == SIGUSR1) {
            ptrace(PTRACE_INTERRUPT, stop_victim, NULL, NULL);
            waitpid(stop_victim, NULL, __WALL);
        } else {
            ptrace(PTRACE_CONT, stop_victim, NULL, NULL);
        }
    }
    _exit(1);
}

/* Another tracer is named; a target that it keeps stopped needs no stop, until it runs. */
static void test_other_tracer(void **state)
{
    (void)state;
    pid_t child = stop_fork(stop_run_idle);
    stop_victim = child;
    pid_t debugger = fork();
    if (debugger == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        stop_run_debugger();
    }
    stop_await_flag(&shared->holding);
    struct target *target;
    char number[32];
    (void)snprintf(number, sizeof number, "process %d (", (int)debugger);
    assert_success(target_open_pid(child, &target));
    struct error *error = target_stop(target, stop_patience);
    assert_non_null(error);
    assert_non_null(strstr(error_message(error), number));
    assert_error(error, ERROR_PERMISSION);
    assert_false(target_is_stopped(target));
    kill(debugger, SIGUSR1);
    uint64_t deadline = clock_now() + stop_patience;
    while (stop_state(child) != 't') {
        assert_true(clock_now() < deadline);
        sched_yield();
    }
    assert_success(target_stop(target, stop_patience));
    assert_true(target_stop_held(target));
    assert_int_equal(target_stopped_ns(target), 0);
    kill(debugger, SIGUSR2);
    while (target_stop_held(target)) {
        assert_true(clock_now() < deadline);
        sched_yield();
    }
    target_resume(target);
    target_destroy(target);
    stop_end(debugger);
    stop_end(child);
}

/* A process stopped by job control can be held, and is left as it was. */
static void test_job_control(void **state)
{
    (void)state;
    pid_t child = stop_fork(stop_run_spinners);
    int status;
    kill(child, SIGSTOP);
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
    struct target *target;
    assert_success(target_open_pid(child, &target));
    uint64_t steps = stop_steps();
    for (int round = 0; round < 5; round++) {
        assert_success(target_stop(target, stop_patience));
        assert_true(target_stop_held(target));
        target_resume(target);
    }
    uint64_t deadline = clock_now() + stop_patience;
    while (stop_state(child) != 'T') {
        assert_true(clock_now() < deadline);
        sched_yield();
    }
    assert_int_equal(stop_steps(), steps);
    kill(child, SIGCONT);
    stop_check_running();
    target_destroy(target);
    stop_end(child);
}

/* A thread deep in the kernel (here: waiting for its vfork child) makes the stop give up in time.
 */
static void stop_run_vfork(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, stop_spin, &shared->steps[0]) != 0) {
        _exit(1);
    }
    atomic_store(&shared->ready, 1);
    for (;;) {
        pid_t child = (pid_t)syscall(SYS_clone, CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, NULL);
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            while (atomic_load(&shared->holding) == 0 && getppid() != 1) {
                sched_yield();
            }
            _exit(0);
        }
        waitpid(child, NULL, 0);
        atomic_fetch_add(&shared->steps[1], 1);
    }
}

static void test_limit(void **state)
{
    (void)state;
    pid_t child = stop_fork(stop_run_vfork);
    struct target *target;
    assert_success(target_open_pid(child, &target));
    uint64_t deadline = clock_now() + stop_patience;
    while (stop_state(child) != 'D') {
        assert_true(clock_now() < deadline);
        sched_yield();
    }
    uint64_t start = clock_now();
    assert_error(target_stop(target, 20000000), ERROR_LIMIT);
    assert_true(clock_now() - start >= 20000000);
    assert_false(target_is_stopped(target));
    assert_true(target_stopped_ns(target) > 0);
    stop_await(&shared->steps[0], atomic_load(&shared->steps[0]) + 2000);
    assert_int_equal(stop_state(child), 'D');
    atomic_store(&shared->holding, 1);
    stop_await(&shared->steps[1], 10);
    assert_success(target_stop(target, stop_patience));
    target_destroy(target);
    stop_end(child);
}

/* A child between vfork and exec: its memory is that of its parent, whose thread waits, and in a
 * real program others run. */
static void stop_run_borrowing(void)
{
    pid_t child = vfork();
    if (child == 0) {
        atomic_store(&shared->steps[1], (uint64_t)getpid());
        atomic_store(&shared->ready, 1);
        while (atomic_load(&shared->holding) == 0 && getppid() != 1) {
            sched_yield();
        }
        _exit(0);
    }
    waitpid(child, NULL, 0);
    (void)stop_spin(&shared->steps[0]);
}

static void test_borrowed_memory_is_not_stopped(void **state)
{
    (void)state;
    pid_t child = stop_fork(stop_run_borrowing);
    pid_t borrower = (pid_t)atomic_load(&shared->steps[1]);
    struct target *target;
    assert_success(target_open_pid(borrower, &target));
    if (syscall(SYS_kcmp, borrower, child, 1 /* KCMP_VM */, 0UL, 0UL) == 0) {
        assert_error(target_stop(target, stop_patience), ERROR_GONE);
    }
    assert_false(target_is_stopped(target));
    atomic_store(&shared->holding, 1);
    stop_await(&shared->steps[0], 10);
    target_destroy(target);
    stop_end(child);
}

/* A process that keeps starting itself anew, from one of its threads. */
static void *stop_exec(void *context)
{
    (void)context;
    execl("/proc/self/exe", "test_target_stop", "exec", (char *)NULL);
    _exit(1);
}

static void stop_run_exec(void)
{
    pthread_t thread;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == 1) {
        _exit(0); /* the test died between exec and here: a new main thread has no death signal */
    }
    for (int i = 0; i < 3; i++) {
        (void)pthread_create(&thread, NULL, stop_breed, NULL);
    }
    (void)pthread_create(&thread, NULL, stop_exec, NULL);
    (void)stop_breed(NULL);
}

static void stop_run_exec_first(void)
{
    atomic_store(&shared->ready, 1);
    (void)stop_exec(NULL);
}

static void test_exec(void **state)
{
    (void)state;
    pid_t child = stop_fork(stop_run_exec_first);
    for (int round = 0; round < 100; round++) {
        struct target *target;
        struct error *error = target_open_pid(child, &target);
        if (error != NULL) {
            /* Caught between two address spaces. */
            assert_int_equal(error_code(error), ERROR_GONE);
            error_destroy(error);
            continue;
        }
        error = target_stop(target, 0);
        if (error == NULL) {
            assert_true(target_stop_held(target));
        } else {
            assert_int_equal(error_code(error), ERROR_GONE);
            error_destroy(error);
        }
        target_destroy(target);
    }
    uint64_t deadline = clock_now() + stop_patience;
    while (stop_state(child) == 't' || stop_state(child) == 'T') {
        assert_true(clock_now() < deadline);
        sched_yield();
    }
    stop_end(child);
}

int main(int count, char **arguments)
{
    if (count == 2 && strcmp(arguments[1], "exec") == 0) {
        shared = calloc(1, sizeof *shared);
        stop_run_exec();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stop),          cmocka_unit_test(test_threads_appearing),
        cmocka_unit_test(test_signals),       cmocka_unit_test(test_killed),
        cmocka_unit_test(test_tracer_killed), cmocka_unit_test(test_other_tracer),
        cmocka_unit_test(test_job_control),   cmocka_unit_test(test_limit),
        cmocka_unit_test(test_exec),          cmocka_unit_test(test_borrowed_memory_is_not_stopped),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
