/* Who waits for what, and who may end it: groups of goroutines and the objects between them. Equal
 * groups and equal objects are one node each, so a million goroutines of one kind stay readable. */
#ifndef UNPARK_LEAK_WAIT_GRAPH_H
#define UNPARK_LEAK_WAIT_GRAPH_H

#include "leak/finding.h"
#include "snapshot/group.h"

/* What the graph is made of. Everything is the caller's and must outlive the graph. */
struct wait_graph_input {
    const struct snapshot *snapshot;
    const struct group_list *groups;            /* nodes come from these, in their order */
    const struct finding_verdict *verdicts;     /* by goroutine; NULL: no proof was made */
    const struct finding_reference *references; /* sorted by object; who can still reach it */
    size_t reference_count;
    bool outside; /* also what other goroutines do not end: clocks, descriptors, system calls */
};

/* A group of goroutines. */
struct wait_graph_group {
    const struct group *group;
    uint64_t proved; /* of its goroutines */
};

/* Objects of one kind with the same groups around them. */
struct wait_graph_object {
    uint32_t example; /* index of the snapshot's object */
    uint64_t objects; /* how many it stands for */
    uint8_t kind;     /* enum snapshot_object_kind */
};

/* Goroutines of GROUP wait for OBJECT. */
struct wait_graph_wait {
    uint32_t group, object;
    uint32_t direction;  /* enum snapshot_direction */
    uint64_t goroutines; /* how many */
};

/* Goroutines of GROUP can reach OBJECT and so may end the wait, or hold it. */
struct wait_graph_reach {
    uint32_t object, group;
    uint64_t references;
    const char *function; /* linker name of a frame that refers to it; "" unknown */
};

struct wait_graph {
    struct wait_graph_group *groups; /* those with an edge */
    size_t group_count;
    struct wait_graph_object *objects; /* in the order of the groups that wait for them */
    size_t object_count;
    struct wait_graph_wait *waits;
    size_t wait_count;
    struct wait_graph_reach *reaches;
    size_t reach_count;
    uint64_t goroutines; /* in the groups given */
    uint64_t outside;    /* of these, in groups left out because nothing of theirs is shown */
};

/* Builds the graph. */
NODISCARD struct error *wait_graph_init(struct wait_graph *graph,
                                        const struct wait_graph_input *input);
void wait_graph_deinit(struct wait_graph *graph);

/* Keeps the first GROUPS groups and OBJECTS objects, which are the largest when the list of groups
 * was sorted so, and at most EDGES edges between them; 0: no limit. What was cut is the difference
 * of the counts. */
void wait_graph_cut(struct wait_graph *graph, size_t groups, size_t objects, size_t edges);

/* Whether other goroutines end waits for things of KIND: not so clocks, descriptors, the kernel. */
bool wait_graph_is_shared(uint8_t kind);

#endif
