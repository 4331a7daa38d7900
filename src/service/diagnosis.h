/* What permits, limits or prevents looking at processes here: facts with their consequence. */
#ifndef UNPARK_SERVICE_DIAGNOSIS_H
#define UNPARK_SERVICE_DIAGNOSIS_H

#include "base/error.h"
#include "base/vector.h"
#include <stdint.h>

enum diagnosis_level {
    DIAGNOSIS_GOOD,
    DIAGNOSIS_NOTE,   /* neither good nor bad */
    DIAGNOSIS_LIMIT,  /* something will not work */
    DIAGNOSIS_FAILURE /* nothing will */
};

/* One finding; heap strings that may hold any bytes. */
struct diagnosis_item {
    enum diagnosis_level level;
    char *subject; /* "ptrace_scope" */
    char *text;    /* "1: only descendants may be looked at" */
    char *advice;  /* what to do, or NULL */
};

struct diagnosis {
    VECTOR(struct diagnosis_item) items;
    enum error_code code; /* of the failure, when failed */
    bool failed;          /* the process cannot be looked at */
};

/* Fills DIAGNOSIS, empty before, with what this machine and this user permit; PID above 0: and
 * whether that process can be looked at, step by step. Errors are failures of our own only. */
NODISCARD struct error *diagnosis_init(struct diagnosis *diagnosis, int64_t pid);
void diagnosis_deinit(struct diagnosis *diagnosis);

#endif
