/* The request "which goroutines will never wake, and why". */
#ifndef UNPARK_SERVICE_SERVICE_LEAKS_H
#define UNPARK_SERVICE_SERVICE_LEAKS_H

#include "leak/finding.h"
#include "service/service.h"

enum service_freeze {
    SERVICE_FREEZE_AUTO,   /* look first; stop only when there is something to prove */
    SERVICE_FREEZE_ALWAYS, /* stop at once */
    SERVICE_FREEZE_NEVER   /* never stop: nothing can be proved of a running program */
};

struct service_leaks_options {
    enum service_freeze freeze;
    uint64_t max_stop_ns; /* longest stop; 0: no limit */
    uint64_t explain;     /* goid whose reachability is to be explained by a path; 0 none */
    const struct finding_history *history; /* of earlier looks, sorted by key, or NULL */
    size_t history_count;
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *progress_context;
};

/* The answer; everything in it is its own. */
struct service_leaks {
    struct snapshot *snapshot;
    struct finding_verdict *verdicts; /* by index of the snapshot */
    struct finding_reference *references;
    size_t reference_count;
    struct finding_list findings;
    uint64_t stopped_ns;   /* how long the program was stopped for this answer */
    uint64_t copied_bytes; /* how much was copied */
    uint64_t analysis_ns;  /* time from the copy to the verdicts */
    bool proof_tried;      /* the memory was of one moment */
    char *obstacle;        /* why nothing could be proved, one line, or NULL */
    char *witness;         /* lines "what  where" of the path from a root, for explain; or NULL */
};

/* Answers for SERVICE. The program runs when this returns, whatever happened. */
NODISCARD struct error *service_find_leaks(struct service *service,
                                           const struct service_leaks_options *options,
                                           struct service_leaks **ret);
void service_leaks_destroy(struct service_leaks *leaks);

#endif
