/* Goroutines counted by stack, labels and, when wanted, state and leak: the samples of a profile.
 */
#ifndef UNPARK_EMIT_GOROUTINE_COUNTS_H
#define UNPARK_EMIT_GOROUTINE_COUNTS_H

#include "snapshot/snapshot.h"

/* Equal goroutines. */
struct goroutine_count {
    uint32_t stack, labels;
    uint16_t state;      /* goroutine_counts_state; 0 when states do not matter */
    bool leaked;         /* false when leaks do not matter */
    uint64_t goroutines; /* how many */
    uint32_t first;      /* index of the first of them */
};

/* Which goroutines, and by what. Everything is the caller's. */
struct goroutine_counts_view {
    const struct snapshot *snapshot;
    const uint32_t *selection; /* indices; NULL: all that are not the runtime's own */
    size_t count;              /* of SELECTION */
    const uint8_t *leaked;     /* by index: 1 leaked; NULL: those of GOROUTINE_LEAKED */
    bool only_leaked;          /* the others do not count */
    bool by_state, by_leak;
};

struct goroutine_counts {
    struct goroutine_count *items; /* most goroutines first, then by first appearance */
    size_t count;
    uint64_t goroutines; /* in all */
};

/* Counts. */
NODISCARD struct error *goroutine_counts_init(struct goroutine_counts *counts,
                                              const struct goroutine_counts_view *view);
void goroutine_counts_deinit(struct goroutine_counts *counts);

/* The next goroutine of VIEW from *POSITION on, which moves behind it, as a count of its own with
 * state and leak; false at the end. *POSITION starts at 0. */
bool goroutine_counts_next(const struct goroutine_counts_view *view, size_t *position,
                           struct goroutine_count *ret);

/* The state of GOROUTINE as a number below GOROUTINE_COUNTS_STATES; 0 unknown. */
enum { GOROUTINE_COUNTS_STATES = 512 };
uint16_t goroutine_counts_state(const struct snapshot_goroutine *goroutine);

/* Go's words for a state: "chan receive", "running"; "" for 0. Static. */
const char *goroutine_counts_state_text(uint16_t state);

#endif
