#include "cli/beat.h"
#include "base/clock.h"
#include <stddef.h>

#define BEAT_SECOND UINT64_C(1000000000)

/* Adds NUMBER to SIGNALS unless it is ignored: what is ignored must not end anything. */
static void beat_add_signal(sigset_t *signals, int number)
{
    struct sigaction action;
    if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_IGN) {
        (void)sigaddset(signals, number);
    }
}

void beat_init(struct beat *beat, uint64_t every_ns, uint64_t for_ns)
{
    *beat = (struct beat){.start_ns = clock_now(), .every_ns = every_ns};
    beat->end_ns = for_ns == 0 ? 0 : beat->start_ns + for_ns;
    (void)sigemptyset(&beat->signals);
    beat_add_signal(&beat->signals, SIGINT);
    beat_add_signal(&beat->signals, SIGTERM);
    beat_add_signal(&beat->signals, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &beat->signals, &beat->old);
}

void beat_deinit(struct beat *beat)
{
    (void)sigprocmask(SIG_SETMASK, &beat->old, NULL);
}

/* Waits until UNTIL; false when a signal came first. */
static bool beat_sleep(const struct beat *beat, uint64_t until)
{
    for (;;) {
        uint64_t now = clock_now();
        uint64_t left = until > now ? until - now : 0;
        struct timespec timeout = {.tv_sec = (time_t)(left / BEAT_SECOND),
                                   .tv_nsec = (long)(left % BEAT_SECOND)};
        if (sigtimedwait(&beat->signals, NULL, &timeout) > 0) {
            return false;
        }
        if (left == 0) {
            return true;
        }
    }
}

bool beat_wait(struct beat *beat)
{
    uint64_t now = clock_now();
    uint64_t passed = (now - beat->start_ns) / beat->every_ns;
    if (beat->next > 0 && passed > beat->next) {
        beat->skipped += passed - beat->next;
        beat->next = passed;
    }
    uint64_t due = beat->start_ns + beat->next * beat->every_ns;
    bool over = beat->end_ns != 0 && due > beat->end_ns;
    beat->next++;
    return beat_sleep(beat, over ? beat->end_ns : due) && !over;
}
