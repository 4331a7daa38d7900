/* Which causes of the catalogue fit a finding. */
#ifndef UNPARK_LEAK_CAUSE_MATCH_H
#define UNPARK_LEAK_CAUSE_MATCH_H

#include "leak/finding.h"

/* Fills in FINDING's causes, best first, at most FINDING_CAUSES_MAX; none when nothing fits.
 * FOLLOWS: it waits behind another finding, so that causes that speak of nobody else do not fit. */
NODISCARD struct error *cause_match(const struct finding_input *input, struct finding *finding,
                                    bool follows);

#endif
