/* Rows of the catalogue and their signatures; for cause.c and cause_match.c. */
#ifndef UNPARK_LEAK_CAUSE_TABLE_H
#define UNPARK_LEAK_CAUSE_TABLE_H

#include "leak/cause.h"
#include <stdint.h>

/* What the names of functions say for a signature. */
enum cause_names {
    NAMES_NONE,
    NAMES_HELP, /* one of the texts speaks for it */
    NAMES_MUST  /* without one of them it does not fit */
};

/* One way to recognise a cause; a cause may have several. Facts are those of cause_facts.h. */
struct cause_signature {
    int number;        /* of the cause */
    uint64_t waits;    /* the goroutines wait in one of these */
    uint64_t needs;    /* all of these hold */
    uint64_t excludes; /* none of these holds */
    uint64_t helps;    /* each of these speaks for it */
    enum cause_names names;
    const char *functions; /* texts in names of functions, by "|"; "" with NAMES_NONE */
};

/* All signatures, by number of their cause. */
const struct cause_signature *cause_signatures(size_t *count);

#endif
