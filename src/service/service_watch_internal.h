/* What service_leaks.c asks of a watch. */
#ifndef UNPARK_SERVICE_SERVICE_WATCH_INTERNAL_H
#define UNPARK_SERVICE_SERVICE_WATCH_INTERNAL_H

#include "leak/finding.h"
#include "service/service_watch.h"
#include <stdbool.h>
#include <stddef.h>

/* One goroutine of a look. Times are Unix time, SNAPSHOT_UNKNOWN. */
struct service_watch_member {
    uint64_t id;
    uint64_t place;     /* hash of its g's address, status and wait reason */
    uint64_t wait;      /* hash of what it waits for */
    uint64_t stack;     /* hash of the places on its stack */
    int64_t parked_ns;  /* monotonic time since when it is parked, as the runtime noted it */
    int64_t first_ns;   /* of the first look that saw it in this wait */
    int64_t proved_ns;  /* of the look that proved it stuck */
    uint32_t next_look; /* number of the look before which no stop is worth while for it */
    uint8_t class_;     /* enum leak_class of the proof */
    uint8_t strikes;    /* stops that did not prove it */
    struct finding_verdict settled; /* with strikes: what the latest of them said instead */
    bool candidate;                 /* this view, taken without a stop, would have proved it */
    uint8_t agreeing; /* views in a row before this one that would have, too, in the same wait */
    bool stayed;      /* the look before saw it in the same wait */
};

/* The goroutines of one look, by index of its snapshot: by id. */
struct service_watch_look {
    struct service_watch_member *items;
    size_t count;
    uint64_t kept; /* proofs of earlier looks that hold */
    uint64_t lost; /* goroutines that were proved and are no longer in that wait */
};

/* What a look found. */
struct service_watch_view {
    const struct snapshot *snapshot;
    struct finding_verdict *verdicts; /* proofs that hold are added */
    uint64_t moment_ns;               /* monotonic time */
    bool consistent;                  /* of one moment: what it proves is proved */
    bool stop_tried;                  /* the program was stopped for it, or could not be */
};

/* Recognises the goroutines of VIEW among those of BEFORE (NULL: of the look kept last). */
NODISCARD struct error *service_watch_recognise(const struct service_watch *watch,
                                                const struct service_watch_look *before,
                                                const struct service_watch_view *view,
                                                struct service_watch_look *ret);
void service_watch_look_deinit(struct service_watch_look *look);

/* True when LOOK, taken without a stop, holds a goroutine that it would have proved, as would at
 * least AGREEING views before it, and for which no stop was in vain lately. */
bool service_watch_has_candidate(const struct service_watch *watch,
                                 const struct service_watch_look *look, unsigned agreeing);

/* True when VERDICT, of a look without a stop, may become a proof in a stop. */
bool service_watch_is_candidate(const struct finding_verdict *verdict);

/* Keeps LOOK, which is emptied, as the latest. STOPPED_NS: how long the program was stopped for it;
 * DESCRIPTORS: open now, or SNAPSHOT_UNKNOWN. */
NODISCARD struct error *service_watch_keep(struct service_watch *watch,
                                           struct service_watch_look *look,
                                           const struct snapshot *snapshot, uint64_t stopped_ns,
                                           int64_t descriptors);

/* What findings of the latest look need. All live until the next look is kept. */
const struct service_watch_summary *service_watch_summary(const struct service_watch *watch);
const struct finding_history *service_watch_history(const struct service_watch *watch,
                                                    size_t *count);
const struct finding_seen *service_watch_seen(const struct service_watch *watch);

#endif
