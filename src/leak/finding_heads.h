/* Which finding others wait behind. */
#ifndef UNPARK_LEAK_FINDING_HEADS_H
#define UNPARK_LEAK_FINDING_HEADS_H

#include "leak/finding.h"

/* Sets the heads, circles and followers of LIST, which is sorted, and moves followers directly
 * behind their head. */
NODISCARD struct error *finding_heads_find(struct finding_list *list,
                                           const struct finding_input *input);

#endif
