/* Which ranges of a target a consistent view has to hold. */
#ifndef UNPARK_GORUNTIME_FREEZE_SURVEY_H
#define UNPARK_GORUNTIME_FREEZE_SURVEY_H

#include "base/vector.h"
#include "goruntime/heap.h"
#include "goruntime/internal.h"
#include "target/copy.h"

/* What the survey saw of a span in use that holds pointers; all 0 for others. */
struct freeze_span {
    uint64_t address; /* of the mspan */
    uint64_t start;
    uint32_t pages;
};

/* The ranges found so far, unsorted. */
struct freeze_survey {
    VECTOR(struct copy_range) ranges;
    uint64_t bytes;   /* their sum, overlaps counted twice */
    uint64_t *list;   /* addresses of the g's that were looked at, and */
    uint64_t *hashes; /* what their bytes were */
    size_t count;
    struct freeze_span *spans; /* by place in mheap_.allspans */
    size_t span_count;
    VECTOR(struct heap_span) hung; /* those in use with specials or pinned objects */
    const struct target *held; /* not owned: what it can show in one piece is left out; or NULL */
};

/* Frees the ranges. */
void freeze_survey_deinit(struct freeze_survey *survey);

/* Adds SIZE bytes at ADDRESS; nothing when that is no range. */
NODISCARD struct error *freeze_survey_add(struct freeze_survey *survey, uint64_t address,
                                          uint64_t size);

/* The runtime's tables: module sections and masks, and the list of all g's. */
NODISCARD struct error *freeze_survey_tables(struct goruntime *runtime,
                                             struct freeze_survey *survey);

/* Spans in use that hold pointers, all mspans and their list, and what the heap knows of its
 * arenas; remembers the spans in SURVEY. */
NODISCARD struct error *freeze_survey_spans(struct goruntime *runtime,
                                            struct freeze_survey *survey);

/* The same, as the open copy behind RUNTIME shows it now, for those spans alone that are not as
 * BEFORE remembers them; collects the spans with specials and pinned objects in SURVEY. What is new
 * of the tables is in the copy already: reading it has fetched it. */
NODISCARD struct error *freeze_survey_new_spans(struct goruntime *runtime,
                                                const struct freeze_survey *before,
                                                struct freeze_survey *survey);

/* Used stacks, and what waiting goroutines wait on when it may lie in spans without pointers. */
NODISCARD struct error *freeze_survey_goroutines(struct goruntime *runtime,
                                                 struct freeze_survey *survey);

/* The same for those goroutines alone that are new or whose g differs from what BEFORE saw: a
 * parked goroutine whose g has the same bytes has not run since, so it waits where it waited.
 * Should it have run all the same, what it waits on is missing from the copy, and its verdict
 * unknown. */
NODISCARD struct error *freeze_survey_changes(struct goruntime *runtime,
                                              const struct freeze_survey *before,
                                              struct freeze_survey *survey);

/* With C code in the process: every other writable mapping, as far as it is in memory. */
NODISCARD struct error *freeze_survey_foreign(struct goruntime *runtime,
                                              struct freeze_survey *survey);

/* Reads, through RUNTIME's open copy, what only lists lead to: specials and pins of the spans that
 * SURVEY has collected, queues, system stacks. */
NODISCARD struct error *freeze_survey_lists(struct goruntime *runtime,
                                            const struct freeze_survey *survey);

/* Cuts long ranges to what TARGET's mappings, as last read, hold, and drops those with nothing: a
 * forged length asks for no memory, and what is cut off stays unreadable. */
void freeze_survey_clip(struct freeze_survey *survey, const struct target *target);

#endif
