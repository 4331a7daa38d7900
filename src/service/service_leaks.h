/* The request "which goroutines will never wake, and why". */
#ifndef UNPARK_SERVICE_SERVICE_LEAKS_H
#define UNPARK_SERVICE_SERVICE_LEAKS_H

#include "leak/finding.h"
#include "service/service.h"
#include "service/service_watch.h"

enum service_freeze {
    SERVICE_FREEZE_AUTO,   /* look first; stop only when there is something to prove */
    SERVICE_FREEZE_ALWAYS, /* stop at once */
    SERVICE_FREEZE_NEVER   /* never stop: nothing can be proved of a running program */
};

struct service_leaks_options {
    enum service_freeze freeze;
    uint64_t max_stop_ns;    /* longest stop; 0: no limit */
    uint64_t goroutines_max; /* of more, memory is not copied unless the program is stopped: nothing
                              * is known then of who reaches what; 0: no limit */
    bool everyone;    /* references of all goroutines, not only of stuck ones: for a picture */
    uint64_t explain; /* goid whose reachability is to be explained by a path; 0 none */
    struct service_watch *watch; /* of the same service: this is one look of several; or NULL */
    bool settle;                 /* the last look of the watch: leave nothing open for a next one */
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
    struct service_watch_summary watch; /* looks 0: one look only */
    uint64_t stopped_ns; /* how long the program was stopped for this answer; of a watch: in all */
    uint64_t copied_bytes; /* how much was copied */
    uint64_t analysis_ns;  /* time from the copy to the verdicts */
    uint64_t moment_ns;    /* monotonic time of the look */
    bool proof_tried;      /* the memory was of one moment */
    bool refused; /* the memory of one moment was wanted and could not be had: obstacle says why */
    char *obstacle; /* why nothing could be proved, one line, or NULL */
    char *witness;  /* lines "what  where" of the path from a root, for explain; or NULL */
};

/* Answers for SERVICE. The program runs when this returns, whatever happened.
 *
 * With a watch, what was proved by an earlier look is not proved again while the same goroutine is
 * in the same wait, and only what two looks in a row would prove without a stop is worth one: a
 * look at a busy program may be torn. Findings know how they grew. A watch needs a live process:
 * ERROR_USAGE. */
NODISCARD struct error *service_find_leaks(struct service *service,
                                           const struct service_leaks_options *options,
                                           struct service_leaks **ret);
void service_leaks_destroy(struct service_leaks *leaks);

#endif
