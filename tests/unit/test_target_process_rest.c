/* A process rests while none of its threads runs, and only then. */
#include "base/clock.h"
#include "support.h"
#include "target/process_rest.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE = 20000, PAUSE_NS = 1000000, PROCESS_THREADS = 40 };

/* A child that answers each byte with one. */
struct child {
    pid_t pid;
    int ask, answer;
};

/* Turns for ever. */
static void *spin(void *unused)
{
    (void)unused;
    for (volatile unsigned turn = 0;; turn++) {
    }
    return NULL;
}

/* Waits for ever. */
static void *sleep_on(void *unused)
{
    (void)unused;
    for (;;) {
        (void)pause();
    }
    return NULL;
}

/* What the child does: 's': spins from then on in another thread; 'm': has many threads. */
static _Noreturn void answer(int ask, int answer_to)
{
    char byte;
    pthread_t thread;
    while (read(ask, &byte, 1) == 1) {
        if (byte == 's') {
            (void)pthread_create(&thread, NULL, spin, NULL);
        }
        for (int i = 0; byte == 'm' && i < PROCESS_THREADS; i++) {
            (void)pthread_create(&thread, NULL, sleep_on, NULL);
        }
        (void)!write(answer_to, &byte, 1);
    }
    _exit(0);
}

static struct child child_start(void)
{
    int there[2];
    int back[2];
    assert_int_equal(pipe(there), 0);
    assert_int_equal(pipe(back), 0);
    struct child child = {fork(), there[1], back[0]};
    assert_true(child.pid >= 0);
    if (child.pid == 0) {
        close(there[1]);
        close(back[0]);
        answer(there[0], back[1]);
    }
    close(there[0]);
    close(back[1]);
    return child;
}

/* Asks the child with BYTE and waits for its answer. */
static void child_ask(const struct child *child, char byte)
{
    assert_int_equal(write(child->ask, &byte, 1), 1);
    assert_int_equal(read(child->answer, &byte, 1), 1);
}

static void child_end(const struct child *child)
{
    close(child->ask);
    close(child->answer);
    assert_int_equal(kill(child->pid, SIGKILL), 0);
    assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
}

/* A watch over PID that has begun; it may take the child a moment until it waits again. */
static struct process_rest *begin(pid_t pid)
{
    for (int i = 0; i < PATIENCE; i++) {
        struct process_rest *rest = NULL;
        assert_success(process_rest_create(pid, &rest));
        assert_non_null(rest);
        if (process_rest_begin(rest)) {
            return rest;
        }
        process_rest_destroy(rest);
        clock_sleep(PAUSE_NS);
    }
    fail_msg("the child does not come to rest");
    return NULL;
}

static void test_who_waits_rests(void **state)
{
    (void)state;
    struct child child = child_start();
    struct process_rest *rest = begin(child.pid);
    for (int i = 0; i < 100; i++) {
        assert_true(process_rest_begin(rest));
        assert_true(process_rest_held(rest));
    }
    process_rest_destroy(rest);
    child_end(&child);
}

/* However shortly: the clocks of processor time are not brought up to date for that. */
static void test_who_ran_did_not_rest(void **state)
{
    (void)state;
    struct child child = child_start();
    for (int i = 0; i < 50; i++) {
        struct process_rest *rest = begin(child.pid);
        assert_true(process_rest_held(rest));
        child_ask(&child, 'x');
        assert_false(process_rest_held(rest));
        assert_false(process_rest_held(rest));
        process_rest_destroy(rest);
    }
    child_end(&child);
}

static void test_who_runs_does_not_rest(void **state)
{
    (void)state;
    struct child child = child_start();
    struct process_rest *before = begin(child.pid);
    child_ask(&child, 's');
    assert_false(process_rest_held(before));
    struct process_rest *rest = NULL;
    assert_success(process_rest_create(child.pid, &rest));
    for (int i = 0; i < 10; i++) {
        assert_false(process_rest_begin(before));
        assert_false(process_rest_begin(rest));
        assert_false(process_rest_held(rest));
    }
    process_rest_destroy(before);
    process_rest_destroy(rest);
    child_end(&child);
}

static void test_many_threads_are_not_asked(void **state)
{
    (void)state;
    struct child child = child_start();
    struct process_rest *before = begin(child.pid);
    child_ask(&child, 'm');
    struct process_rest *rest = NULL;
    assert_success(process_rest_create(child.pid, &rest));
    assert_null(rest);
    assert_false(process_rest_held(before));
    assert_false(process_rest_begin(before));
    process_rest_destroy(before);
    child_end(&child);
}

static void test_who_has_ended_is_not_known_to_rest(void **state)
{
    (void)state;
    struct child child = child_start();
    struct process_rest *rest = begin(child.pid);
    child_end(&child);
    assert_false(process_rest_held(rest));
    assert_false(process_rest_begin(rest));
    process_rest_destroy(rest);
    assert_success(process_rest_create(child.pid, &rest));
    assert_null(rest);
    process_rest_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_waits_rests),
        cmocka_unit_test(test_who_ran_did_not_rest),
        cmocka_unit_test(test_who_runs_does_not_rest),
        cmocka_unit_test(test_many_threads_are_not_asked),
        cmocka_unit_test(test_who_has_ended_is_not_known_to_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
