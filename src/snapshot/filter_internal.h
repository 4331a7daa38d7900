/* Terms as the files of the filter share them; no other file includes it. */
#ifndef UNPARK_SNAPSHOT_FILTER_INTERNAL_H
#define UNPARK_SNAPSHOT_FILTER_INTERNAL_H

#include "base/vector.h"
#include "snapshot/filter.h"
#include <regex.h>

/* Ids from FIRST to LAST, both included. */
struct filter_range {
    uint64_t first, last;
};

/* One parsed term; which fields are set depends on the kind. */
struct filter_term {
    enum filter_kind kind;
    char *text;    /* substring, or label key */
    char *value;   /* label value; NULL for any */
    bool is_regex; /* then REGEX is compiled */
    regex_t regex;
    uint32_t states; /* bit per enum goroutine_status */
    int64_t min_age_ns;
    struct filter_range *ranges; /* sorted, disjoint */
    size_t range_count;
};

struct filter {
    VECTOR(struct filter_term) terms;
};

/* Parses "17,20-30" into sorted disjoint ranges on the heap. */
NODISCARD struct error *filter_parse_ids(const char *text, struct filter_range **ret,
                                         size_t *count_ret);

/* Parses "waiting,running" into bits of enum goroutine_status. */
NODISCARD struct error *filter_parse_states(const char *text, uint32_t *ret);

#endif
