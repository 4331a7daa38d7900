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
    uint32_t
        *seen; /* per object of the snapshot: the last round in which it was counted, or NULL */
    uint32_t round;
};

/* The index of the first of INPUT's references to OBJECT, or where it would be. */
size_t finding_first_reference(const struct finding_input *input, uint32_t object);

/* INPUT's history of KEY, or NULL. */
const struct finding_history *finding_find_history(const struct finding_input *input, uint64_t key);

/* True when REFERENCE to the mutex that goroutine WAITER waits for says nothing: the one that
 * refers stands at the same place and waits for another mutex in the same block of small objects,
 * which its reference may as well mean. */
bool finding_is_neighbour(const struct finding_input *input, uint32_t waiter,
                          const struct finding_reference *reference);

#endif
