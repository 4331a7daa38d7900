/* What speaks for a leak where nothing is proved. */
#ifndef UNPARK_LEAK_EVIDENCE_H
#define UNPARK_LEAK_EVIDENCE_H

#include "leak/finding.h"
#include "snapshot/group.h"

/* Weighs GROUP, which merely waits. *RET is a heap string, one clause after "because", when it is
 * to be suspected; NULL when it is normal (allow-listed) or nothing speaks against it. */
NODISCARD struct error *evidence_weigh(const struct finding_input *input, const struct group *group,
                                       char **ret);

#endif
