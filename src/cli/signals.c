#include "cli/signals.h"
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static const int signals_handled[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

/* What the handler tidies up; written only while these signals are held back, or atomically. */
static const char *volatile signals_path;
static volatile sig_atomic_t signals_progress;

/* Tidies up and ends the program by the same signal (SA_RESETHAND restored its default action). */
static void signals_handle(int number)
{
    const char *path = signals_path;
    if (path != NULL) {
        (void)unlink(path);
    }
    if (signals_progress != 0) {
        static const char clear[] = "\r\033[K";
        ssize_t written = write(STDERR_FILENO, clear, sizeof clear - 1);
        (void)written;
    }
    (void)raise(number);
}

void signals_init(void)
{
    for (size_t i = 0; i < sizeof signals_handled / sizeof *signals_handled; i++) {
        struct sigaction old;
        struct sigaction action = {.sa_handler = signals_handle, .sa_flags = (int)SA_RESETHAND};
        (void)sigemptyset(&action.sa_mask);
        if (sigaction(signals_handled[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
            (void)sigaction(signals_handled[i], &action, NULL);
        }
    }
}

void signals_hold(sigset_t *old)
{
    sigset_t held;
    (void)sigemptyset(&held);
    for (size_t i = 0; i < sizeof signals_handled / sizeof *signals_handled; i++) {
        (void)sigaddset(&held, signals_handled[i]);
    }
    (void)sigprocmask(SIG_BLOCK, &held, old);
}

void signals_release(const sigset_t *old)
{
    (void)sigprocmask(SIG_SETMASK, old, NULL);
}

void signals_remove_on_death(const char *path)
{
    signals_path = path;
}

void signals_clear_on_death(int shown)
{
    signals_progress = shown;
}
