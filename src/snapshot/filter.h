/* Choosing goroutines: terms that compose (all must hold), and orders. */
#ifndef UNPARK_SNAPSHOT_FILTER_H
#define UNPARK_SNAPSHOT_FILTER_H

#include "snapshot/snapshot.h"

/* Every term there is: one record, from which the faces derive options, help and completion. */
enum filter_kind {
    FILTER_STATE,      /* "waiting", "running", ... */
    FILTER_WAIT,       /* wait reason text, substring: "chan receive" */
    FILTER_FUNCTION,   /* any frame's function: substring, or /regex/ (POSIX extended) */
    FILTER_FILE,       /* any frame's file: substring or /regex/ */
    FILTER_CREATOR,    /* function of the go statement: substring or /regex/ */
    FILTER_START,      /* start function: substring or /regex/ */
    FILTER_LABEL,      /* "key" or "key=value" */
    FILTER_MIN_AGE,    /* Go duration: "1m30s" */
    FILTER_ID,         /* "17", "17,20-30" */
    FILTER_USER_ONLY,  /* no value: leaves out system goroutines */
    FILTER_SYSTEM_ONLY /* no value: only system goroutines */
};

struct filter_record {
    enum filter_kind kind;
    const char *name;      /* "state": the option's name */
    const char *parameter; /* "STATE", NULL when the term takes none */
    const char *help;
};

/* The records, in display order. */
const struct filter_record *filter_records(size_t *count);

struct filter;

/* A filter without terms, which everything passes. */
NODISCARD struct error *filter_create(struct filter **ret);

/* Frees FILTER; NULL is fine. */
void filter_destroy(struct filter *filter);

/* Adds a term; VALUE is NULL for terms without one. ERROR_USAGE with what is wrong with VALUE. */
NODISCARD struct error *filter_add(struct filter *filter, enum filter_kind kind, const char *value);

/* Indices of the goroutines that pass, ascending; *RET is the caller's heap array. Frame tests are
 * made once per distinct stack. */
NODISCARD struct error *filter_apply(const struct filter *filter, const struct snapshot *snapshot,
                                     uint32_t **ret, size_t *count_ret);

/* Parses a Go duration ("300ms", "1h2m") into nanoseconds; ERROR_USAGE otherwise. */
NODISCARD struct error *filter_parse_duration(const char *text, int64_t *ret);

#endif
