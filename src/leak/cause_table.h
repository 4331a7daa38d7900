/* Rows of the catalogue with their signatures; for cause.c and cause_match.c. */
#ifndef UNPARK_LEAK_CAUSE_TABLE_H
#define UNPARK_LEAK_CAUSE_TABLE_H

#include "leak/cause.h"

/* One row. Facts are bits of enum cause_fact. */
struct cause_row {
    struct cause cause;
    unsigned waits;        /* it waits in one of these */
    unsigned needs;        /* all of these hold */
    unsigned helps;        /* each of these speaks for it */
    const char *functions; /* texts in function names, by "|"; "" none */
};

/* All rows, by number. */
const struct cause_row *cause_table(size_t *count);

#endif
