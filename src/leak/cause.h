/* The catalogue of causes: why goroutines get stuck, who should have woken them, how it is
 * repaired. Data; the rows are in causes.c, the matching in cause_match.c. */
#ifndef UNPARK_LEAK_CAUSE_H
#define UNPARK_LEAK_CAUSE_H

#include <stddef.h>

/* How far a cause can be proved (leak-patterns.md, section 1). */
enum cause_proof { CAUSE_PROVABLE, CAUSE_REACHABLE, CAUSE_EVIDENCE, CAUSE_BENIGN };

struct cause {
    int number;        /* row of the catalogue, 1 to 59; stable */
    const char *id;    /* "result-channel-abandoned"; stable, names docs/causes/<id>.md */
    const char *title; /* "the caller gave up, and nobody receives the result" */
    const char *waker; /* who should have woken it: "the caller's receive" */
    const char *fix;   /* "give the channel a buffer of 1, or select on ctx.Done() when sending" */
    enum cause_proof proof;
};

/* How many rows there are, and row INDEX of them, by number. */
size_t cause_count(void);
const struct cause *cause_at(size_t index);

/* The row with ID, or NULL. */
const struct cause *cause_find(const char *id);

#endif
