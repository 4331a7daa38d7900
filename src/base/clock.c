#include "base/clock.h"
#include <time.h>

/* The monotonic clock in nanoseconds; it cannot fail on a Linux host. */
uint64_t clock_now(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Waits. */
void clock_sleep(uint64_t ns)
{
    struct timespec time = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    if (ns > 0) {
        (void)nanosleep(&time, NULL);
    }
}
