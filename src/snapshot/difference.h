/* What changed between two snapshots: groups that grew, shrank, came and went, and goroutines that
 * stayed in the same wait. The two may come from different sources and programs; ids of strings,
 * frames and stacks mean nothing between them, so what they say is compared. */
#ifndef UNPARK_SNAPSHOT_DIFFERENCE_H
#define UNPARK_SNAPSHOT_DIFFERENCE_H

#include "snapshot/snapshot.h"

/* When two frames are the same. */
enum difference_match {
    DIFFERENCE_MATCH_AUTO,     /* by lines, unless the two are known to be different builds */
    DIFFERENCE_MATCH_LINES,    /* function, file and line */
    DIFFERENCE_MATCH_FUNCTIONS /* function */
};

enum difference_order {
    DIFFERENCE_BY_GROWTH, /* grown ones, most first; then shrunk ones, most first */
    DIFFERENCE_BY_COUNT,  /* most afterwards first */
    DIFFERENCE_BY_NAME    /* innermost user function */
};

enum difference_change {
    DIFFERENCE_NEW,
    DIFFERENCE_GROWN,
    DIFFERENCE_SHRUNK,
    DIFFERENCE_GONE,
    DIFFERENCE_UNCHANGED,
    DIFFERENCE_CHANGES
};

/* One of the two: a snapshot and which of its goroutines count (indices, ascending; NULL: all).
 * All of it is the caller's. */
struct difference_side {
    const struct snapshot *snapshot;
    const uint32_t *selection;
    size_t count; /* of SELECTION */
};

/* What a group was or is on one side. */
struct difference_members {
    uint64_t goroutines;            /* that belong to it */
    uint32_t first;                 /* index of one of them; UINT32_MAX when there is none */
    int64_t age_min_ns, age_max_ns; /* of those with a known age; SNAPSHOT_UNKNOWN when none */
    uint64_t age_unknown;           /* goroutines without a known age */
    bool parents_differ;
};

/* A group: goroutines with the same stack (without frames of the runtime, which not every source
 * shows, unless there are no others), creator, status and wait reason. Where a stack is unknown the
 * first function tells groups apart. */
struct difference_item {
    struct difference_members before, after;
    uint64_t stayed; /* goroutines that were in the same wait all the time, as far as can be told */
    enum difference_change change;
};

struct difference {
    struct difference_item *items;
    size_t count;
    size_t changes[DIFFERENCE_CHANGES]; /* groups */
    uint64_t before, after;             /* goroutines */
    uint64_t grown, shrunk;             /* by how many goroutines groups did */
    uint64_t stayed;
    int64_t elapsed_ns;   /* between the two; SNAPSHOT_UNKNOWN */
    bool by_lines;        /* files and lines were compared, not functions only */
    bool by_state;        /* status and wait reason were; a source may not know them */
    bool by_creator;      /* creators were */
    bool by_id;           /* ids were, to tell who stayed */
    bool builds_differ;   /* the two are known to be different builds */
    bool programs_differ; /* the two are known to be different programs */
};

/* Compares BEFORE and AFTER. */
NODISCARD struct error *difference_init(struct difference *difference,
                                        const struct difference_side *before,
                                        const struct difference_side *after,
                                        enum difference_match match, enum difference_order order);
void difference_deinit(struct difference *difference);

/* True when a group grew or is new. */
bool difference_has_growth(const struct difference *difference);

#endif
