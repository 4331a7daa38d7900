/* What the files that make findings share. */
#ifndef UNPARK_LEAK_FINDING_INTERNAL_H
#define UNPARK_LEAK_FINDING_INTERNAL_H

#include "base/vector.h"
#include "leak/finding.h"

/* Findings being made; members has room for every goroutine. */
struct finding_builder {
    VECTOR(struct finding) findings;
    uint32_t *members;
    size_t member_count;
};

/* The index of the first of INPUT's references to OBJECT, or where it would be. */
size_t finding_first_reference(const struct finding_input *input, uint32_t object);

/* INPUT's history of KEY, or NULL. */
const struct finding_history *finding_find_history(const struct finding_input *input, uint64_t key);

#endif
