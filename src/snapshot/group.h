/* Goroutines with the same stack, creator and wait, together. */
#ifndef UNPARK_SNAPSHOT_GROUP_H
#define UNPARK_SNAPSHOT_GROUP_H

#include "snapshot/snapshot.h"

enum group_order { GROUP_BY_COUNT, GROUP_BY_AGE, GROUP_BY_ID, GROUP_BY_NAME };

/* One group. */
struct group {
    uint32_t stack;
    uint32_t creator;
    uint8_t status;
    uint8_t wait_reason;
    uint16_t flags;      /* flags that all members share */
    size_t count;        /* of members */
    uint64_t goroutines; /* that the members stand for: what is shown and sorted by */
    const uint32_t
        *members; /* indices into snapshot_goroutines, by the order's rule (ids ascending) */
    int64_t age_min_ns, age_max_ns; /* of members with a known age; SNAPSHOT_UNKNOWN when none */
    uint32_t labels;                /* of the first member */
    uint64_t parent;                /* of the first member */
    bool labels_differ, parents_differ; /* among the members */
    size_t age_unknown;                 /* goroutines without a known age */
};

struct group_list {
    struct group *items;
    size_t count;
    uint32_t *members; /* storage of all members */
};

/* Groups the COUNT goroutines of SELECTION (indices; NULL: all) and sorts: count and age
 * descending, id (smallest member) and name (innermost user function) ascending; ties by smallest
 * id. */
NODISCARD struct error *group_list_init(struct group_list *list, const struct snapshot *snapshot,
                                        const uint32_t *selection, size_t count,
                                        enum group_order order);
void group_list_deinit(struct group_list *list);

/* Sorts a selection of single goroutines by the same rules (count is size of its group). */
NODISCARD struct error *group_sort_selection(const struct snapshot *snapshot, uint32_t *selection,
                                             size_t count, enum group_order order);

/* "count", "age", "id", "name" to an order; ERROR_USAGE otherwise. */
NODISCARD struct error *group_parse_order(const char *text, enum group_order *ret);

#endif
