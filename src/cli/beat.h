/* Doing something at a fixed rate, without drift, until a signal or a time ends it. */
#ifndef UNPARK_CLI_BEAT_H
#define UNPARK_CLI_BEAT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct beat {
    uint64_t start_ns, every_ns;
    uint64_t end_ns;  /* no beat after this; 0: no end */
    uint64_t next;    /* number of the next beat; number N is due at start + N * every */
    uint64_t skipped; /* beats that were due while something took too long */
    sigset_t signals, old;
};

/* Starts BEAT now: a beat EVERY_NS nanoseconds, the first one at once, for FOR_NS (0: without end).
 * SIGINT, SIGTERM and SIGHUP are held back and end the beat, unless they were ignored; SIGQUIT ends
 * the program as always. */
void beat_init(struct beat *beat, uint64_t every_ns, uint64_t for_ns);

/* Lets the signals through again. */
void beat_deinit(struct beat *beat);

/* Waits for the next beat; false when the time is over or a signal came. */
bool beat_wait(struct beat *beat);

#endif
