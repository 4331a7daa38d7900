/* Which ranges of a target a consistent view has to hold. */
#ifndef UNPARK_GORUNTIME_FREEZE_SURVEY_H
#define UNPARK_GORUNTIME_FREEZE_SURVEY_H

#include "base/vector.h"
#include "goruntime/internal.h"
#include "target/copy.h"

/* The ranges found so far, unsorted. */
struct freeze_survey {
    VECTOR(struct copy_range) ranges;
    uint64_t bytes; /* their sum, overlaps counted twice */
};

/* Frees the ranges. */
void freeze_survey_deinit(struct freeze_survey *survey);

/* The runtime's tables: module sections and masks, mspans, arena metadata. */
NODISCARD struct error *freeze_survey_tables(struct goruntime *runtime,
                                             struct freeze_survey *survey);

/* Spans in use that hold pointers. */
NODISCARD struct error *freeze_survey_spans(struct goruntime *runtime,
                                            struct freeze_survey *survey);

/* Used stacks, and what waiting goroutines wait on when it may lie in spans without pointers. */
NODISCARD struct error *freeze_survey_goroutines(struct goruntime *runtime,
                                                 struct freeze_survey *survey);

/* With C code in the process: every other writable mapping, as far as it is in memory. */
NODISCARD struct error *freeze_survey_foreign(struct goruntime *runtime,
                                              struct freeze_survey *survey);

/* Reads, through RUNTIME's open copy, what only lists lead to: specials, pins, queues, system
 * stacks. */
NODISCARD struct error *freeze_survey_lists(struct goruntime *runtime);

#endif
