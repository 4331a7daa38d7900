/* What many goroutines wait for, together: equal kinds of objects counted, with an example. */
#ifndef UNPARK_EMIT_WAIT_SUMMARY_H
#define UNPARK_EMIT_WAIT_SUMMARY_H

#include "snapshot/snapshot.h"

enum { WAIT_SUMMARY_MAX = 8 };

/* Objects of one kind, waited for in one way; channels also of one element type. An object of a
 * select that all goroutines have in common (the done channel beside each one's own) is an item of
 * its own. */
struct wait_summary_item {
    enum snapshot_object_kind kind;
    enum snapshot_direction direction;
    uint32_t element_type;
    bool shared;                    /* it is one object, which all goroutines wait for */
    uint32_t example;               /* index of the first object seen */
    uint64_t objects;               /* distinct */
    int64_t due_min_ns, due_max_ns; /* of timers with a known time; SNAPSHOT_UNKNOWN when none */
};

struct wait_summary {
    struct wait_summary_item items[WAIT_SUMMARY_MAX]; /* by first appearance */
    size_t count;
    uint64_t more;     /* distinct objects of further kinds */
    uint64_t without;  /* goroutines whose waits are not known */
    bool alternatives; /* some goroutine waits for several things (a select) */
};

/* The working state for many summaries of one snapshot. */
struct wait_summarizer {
    const struct snapshot *snapshot;
    uint32_t *seen; /* by object: number of the latest sum that met it, and a bit per direction */
    uint32_t sum;   /* number of the current one */
};

/* Sets SUMMARIZER up for SNAPSHOT, which must outlive it. */
NODISCARD struct error *wait_summarizer_init(struct wait_summarizer *summarizer,
                                             const struct snapshot *snapshot);
void wait_summarizer_deinit(struct wait_summarizer *summarizer);

/* Sums up the waits of COUNT goroutines (indices). */
void wait_summarizer_sum(struct wait_summarizer *summarizer, const uint32_t *members, size_t count,
                         struct wait_summary *ret);

#endif
