#include "cli/signals.h"
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const int signals_handled[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

/* What the handler tidies up; written only while these signals are held back, or atomically. */
static const char *volatile signals_path;
static volatile sig_atomic_t signals_progress;

/* What a caught SIGINT makes readable, -1 none. */
static volatile sig_atomic_t signals_interrupt = -1;

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

/* Has NUMBER handled by HANDLER, unless it is ignored. */
static void signals_set(int number, void (*handler)(int), int flags)
{
    struct sigaction old;
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    (void)sigemptyset(&action.sa_mask);
    if (sigaction(number, NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
        (void)sigaction(number, &action, NULL);
    }
}

void signals_init(void)
{
    for (size_t i = 0; i < sizeof signals_handled / sizeof *signals_handled; i++) {
        signals_set(signals_handled[i], signals_handle, (int)SA_RESETHAND);
    }
}

/* Tells of the first SIGINT; the next one ends the program. */
static void signals_note_interrupt(int number)
{
    static const uint64_t one = 1;
    int saved = errno;
    ssize_t written = write(signals_interrupt, &one, sizeof one);
    (void)written;
    signals_set(number, signals_handle, (int)SA_RESETHAND);
    errno = saved;
}

int signals_catch_interrupt(void)
{
    int descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (descriptor >= 0) {
        signals_interrupt = descriptor;
        signals_set(SIGINT, signals_note_interrupt, SA_RESTART);
    }
    return descriptor;
}

void signals_release_interrupt(void)
{
    int descriptor = signals_interrupt;
    signals_set(SIGINT, signals_handle, (int)SA_RESETHAND);
    signals_interrupt = -1;
    if (descriptor >= 0) {
        (void)close(descriptor);
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
