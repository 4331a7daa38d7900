/* What the files that read facts share. */
#ifndef UNPARK_LEAK_CAUSE_FACTS_INTERNAL_H
#define UNPARK_LEAK_CAUSE_FACTS_INTERNAL_H

#include "leak/cause_facts.h"

/* What GOROUTINE waits in and what its objects add to that. */
uint64_t cause_facts_waiting(const struct finding_input *input,
                             const struct snapshot_goroutine *goroutine);

/* The innermost function of FINDING's stack outside of the runtime and the standard library; NULL
 * when there is none. */
const char *cause_facts_user_function(const struct finding_input *input,
                                      const struct finding *finding);

/* Size of the receiver part of a method's NAME ("main.(*T)"), 0 for functions. */
size_t cause_facts_receiver(const char *name);

/* True when STACK holds a frame of the function NAME, or of another method of its receiver. */
bool cause_facts_is_inside(const struct finding_input *input, uint32_t stack, const char *name);

/* What the stuck goroutines that refer to what FINDING's wait for add
 * to *RET. */
NODISCARD struct error *cause_facts_partners(const struct finding_input *input,
                                             const struct finding *finding, uint64_t *ret);

#endif
