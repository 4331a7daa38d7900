/* The monotonic clock, the only clock that measures. */
#ifndef UNPARK_BASE_CLOCK_H
#define UNPARK_BASE_CLOCK_H

#include <stdint.h>

/* Nanoseconds of CLOCK_MONOTONIC, the clock of Go's nanotime. */
uint64_t clock_now(void);

/* Lets NS nanoseconds pass (less when a signal comes); 0 returns at once. */
void clock_sleep(uint64_t ns);

#endif
