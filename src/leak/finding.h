/* What a user reads: groups of stuck goroutines with verdict, evidence, cause and fix, worst first.
 */
#ifndef UNPARK_LEAK_FINDING_H
#define UNPARK_LEAK_FINDING_H

#include "leak/cause.h"
#include "leak/verdict.h"
#include "snapshot/snapshot.h"

enum { FINDING_CAUSES_MAX = 3 };

/* What is known of each goroutine, by index of the snapshot. */
struct finding_verdict {
    uint8_t verdict; /* enum leak_verdict */
    uint8_t class_;  /* enum leak_class */
    uint8_t reason;  /* enum leak_reason */
};

/* A stuck goroutine whose stack still refers to what another waits for (a possible holder or
 * waker). */
struct finding_reference {
    uint32_t object;      /* index of the snapshot's object */
    uint32_t goroutine;   /* index */
    const char *function; /* linker name of the frame that refers to it; "" unknown */
};

/* Counts of the goroutines with one key over several looks, the present one included. */
struct finding_history {
    uint64_t key;         /* finding_key */
    int64_t first_ns;     /* wall clock of the first look that had any */
    int64_t last_ns;      /* wall clock of the present look */
    uint64_t first_count; /* in the first look that had any */
    uint64_t last_count;  /* in the present look */
    uint64_t peak;
    uint64_t stayed;  /* of last_count: those that stood in the same wait at the look before */
    uint32_t looks;   /* looks from the first that had any to the present one */
    uint32_t growths; /* looks with more than in every look before */
};

/* What earlier looks say of one goroutine. Wall clock; SNAPSHOT_UNKNOWN. */
struct finding_seen {
    int64_t first_ns;  /* of the first look that saw it in this wait */
    int64_t proved_ns; /* of the look that proved it stuck */
};

/* Everything that findings are made from; pure data. */
struct finding_input {
    struct snapshot *snapshot; /* not const: an index may be built */
    const struct finding_verdict
        *verdicts; /* per goroutine; NULL: no proof was made (text, no freeze) */
    const struct finding_reference *references; /* sorted by object */
    size_t reference_count;
    const struct finding_history *history; /* sorted by key; NULL: one look only */
    size_t history_count;
    const struct finding_seen *seen;         /* per goroutine; NULL: one look only */
    int64_t descriptors, descriptors_before; /* open now and at the first look; SNAPSHOT_UNKNOWN */
    int64_t threads_before;                  /* SNAPSHOT_UNKNOWN */
};

/* One cause that fits, with what speaks for it. */
struct finding_cause {
    const struct cause *cause;
    int score;      /* 1..100 */
    char *evidence; /* one clause: "the channel has no buffer and its receiver is gone" */
};

/* One finding: goroutines with the same stack, creator, wait and verdict. */
struct finding {
    enum leak_verdict verdict; /* PROVED, SUSPECTED or UNKNOWN (would be proved, but for a doubt;
                                * one that was just moving is no finding) */
    enum leak_class class_;
    enum leak_reason reason; /* of UNKNOWN */
    uint64_t key; /* stable over looks and processes: of functions, creator and wait reason */
    uint32_t stack, creator;
    uint8_t status, wait_reason;
    const uint32_t *members;        /* goroutine indices, ascending */
    size_t count;                   /* of members */
    uint64_t goroutines;            /* that the members stand for */
    int64_t age_min_ns, age_max_ns; /* SNAPSHOT_UNKNOWN */
    uint32_t object;                /* one that a member waits for; UINT32_MAX none */
    size_t object_count;            /* distinct ones */
    struct finding_history growth;  /* over several looks; looks 0: one look only */
    int64_t first_seen_ns;          /* wall clock of the first look that saw one of the members in
                                     * this wait; SNAPSHOT_UNKNOWN with one look only */
    int64_t proved_ns;              /* wall clock of the first proof; SNAPSHOT_UNKNOWN */
    char *evidence;                 /* SUSPECTED: "because ..." in one clause; else NULL */
    struct finding_cause causes[FINDING_CAUSES_MAX]; /* best first */
    size_t cause_count;
    size_t head; /* the finding that this one waits behind; its own index: none */
    bool circle; /* it and others with this head wait for each other's locks, all in a circle */
    uint64_t followers;                     /* goroutines of findings that wait behind this one */
    const struct finding_reference *wakers; /* who may hold or should have woken; at most 8 */
    size_t waker_count;
};

struct finding_list {
    struct finding *items; /* worst first: proved, then suspected, then unknown; larger first;
                            * followers directly behind their head */
    size_t count;
    uint32_t *members;                                    /* storage */
    uint64_t goroutines;                                  /* user goroutines in all */
    uint64_t proved, suspected, waiting, system, unknown; /* goroutines, not findings */
};

/* Makes findings of INPUT. Allow-listed waits (catalogue rows B) never become suspected. */
NODISCARD struct error *finding_list_init(struct finding_list *list,
                                          const struct finding_input *input);
void finding_list_deinit(struct finding_list *list);

/* The stable key of the group that goroutine INDEX belongs to. */
uint64_t finding_key(const struct snapshot *snapshot, size_t index);

#endif
