/* Heads and followers: one stuck owner with a thousand that wait for it is one story, and so are
 * two that wait for each other.
 *
 * A finding waits behind another when every stuck goroutine that refers to what it waits for
 * belongs to that one: nobody but these could hold the lock, finish the group, send or close. Who
 * waits for a group of goroutines waits for all of them, so there the worst of several counts.
 * Along this way each finding leads to its head, or into a circle. Of a circle the head is a
 * finding that waits for a condition, else for a channel, else for a group of goroutines, else the
 * worst of those that wait for locks: what is held across a wait is not its root. */
#include "leak/finding_heads.h"
#include "base/cleanup.h"
#include "leak/finding_internal.h"
#include <stdlib.h>
#include <string.h>

enum {
    HEADS_MEMBERS_MAX = 4096,  /* of a finding that are looked at */
    HEADS_WAITS_MAX = 16,      /* of a goroutine */
    HEADS_REFERENCES_MAX = 64, /* to one object */
};

#define HEADS_NONE UINT32_MAX

/* How far a wait is from the root of its circle: a condition, whose signal is lost when nobody
 * waits yet; a channel and the like; a group, which its members end; a lock, which somebody holds
 * across another wait. */
enum heads_rank { HEADS_CONDITION, HEADS_CHANNEL, HEADS_GROUP, HEADS_LOCK };

/* The way from finding to finding. */
struct heads {
    const struct finding_list *list;
    const struct finding_input *input;
    const struct snapshot_goroutine *goroutines;
    uint32_t *finding_of; /* by goroutine: its finding */
    uint32_t *next;       /* by finding: the one it waits behind */
    uint32_t *mark;       /* by finding: in which walk it was met first, from 1 on */
};

/* Frees HEADS' tables. */
static void heads_deinit(struct heads *heads)
{
    free(heads->finding_of);
    free(heads->next);
    free(heads->mark);
}

/* Makes HEADS' tables; after an error, too, the caller frees them. */
static struct error *heads_init(struct heads *heads, const struct finding_list *list,
                                const struct finding_input *input)
{
    size_t total;
    *heads = (struct heads){.list = list, .input = input};
    heads->goroutines = snapshot_goroutines(input->snapshot, &total);
    heads->finding_of = reallocarray(NULL, total + 1, sizeof *heads->finding_of);
    heads->next = reallocarray(NULL, list->count + 1, sizeof *heads->next);
    heads->mark = calloc(list->count + 1, sizeof *heads->mark);
    if (heads->finding_of == NULL || heads->next == NULL || heads->mark == NULL) {
        return error_no_memory();
    }
    memset(heads->finding_of, 0xff, (total + 1) * sizeof *heads->finding_of);
    for (size_t i = 0; i < list->count; i++) {
        for (size_t j = 0; j < list->items[i].count; j++) {
            heads->finding_of[list->items[i].members[j]] = (uint32_t)i;
        }
    }
    return NULL;
}

/* The rank of what FINDING waits for. */
static enum heads_rank heads_rank(const struct heads *heads, const struct finding *finding)
{
    uint8_t kind = finding->object == UINT32_MAX
                       ? OBJECT_UNKNOWN
                       : snapshot_object(heads->input->snapshot, finding->object)->kind;
    switch ((enum snapshot_object_kind)kind) {
    case OBJECT_COND:
        return HEADS_CONDITION;
    case OBJECT_WAIT_GROUP:
        return HEADS_GROUP;
    case OBJECT_MUTEX:
    case OBJECT_RWMUTEX:
    case OBJECT_SEMAPHORE:
        return HEADS_LOCK;
    default:
        return HEADS_CHANNEL;
    }
}

/* True when FINDING waits for a group of goroutines. */
static bool heads_waits_for_all(const struct heads *heads, const struct finding *finding)
{
    return finding->object != UINT32_MAX &&
           snapshot_object(heads->input->snapshot, finding->object)->kind == OBJECT_WAIT_GROUP;
}

/* Takes one more finding FOUND that FROM may wait behind; false when it is one too many. */
static bool heads_meet(const struct heads *heads, size_t from, uint32_t found, uint32_t *ret)
{
    if (found == HEADS_NONE || found == from || found == *ret) {
        return true;
    }
    if (*ret != HEADS_NONE && !heads_waits_for_all(heads, &heads->list->items[from])) {
        return false;
    }
    *ret = *ret == HEADS_NONE || found < *ret ? found : *ret;
    return true;
}

/* Takes the findings that those belong to who refer to OBJECT, for which WAITER of finding FROM
 * waits; false when it is more than one. */
static bool heads_take(const struct heads *heads, size_t from, uint32_t waiter, uint32_t object,
                       uint32_t *ret)
{
    const struct finding_input *input = heads->input;
    size_t first = finding_first_reference(input, object);
    for (size_t i = first; i < input->reference_count && i < first + HEADS_REFERENCES_MAX &&
                           input->references[i].object == object;
         i++) {
        const struct finding_reference *reference = &input->references[i];
        if (!finding_is_neighbour(input, waiter, reference) &&
            !heads_meet(heads, from, heads->finding_of[reference->goroutine], ret)) {
            return false;
        }
    }
    return true;
}

/* The one finding that those belong to who refer to what finding FROM waits for; HEADS_NONE when
 * there are several or none. */
static uint32_t heads_next(const struct heads *heads, size_t from)
{
    const struct finding *finding = &heads->list->items[from];
    uint32_t next = HEADS_NONE;
    for (size_t i = 0; i < finding->count && i < HEADS_MEMBERS_MAX; i++) {
        size_t count;
        uint32_t member = finding->members[i];
        const struct snapshot_wait *waits =
            snapshot_waits(heads->input->snapshot, &heads->goroutines[member], &count);
        for (size_t j = 0; j < count && j < HEADS_WAITS_MAX; j++) {
            if (!heads_take(heads, from, member, waits[j].object, &next)) {
                return HEADS_NONE;
            }
        }
    }
    return next;
}

/* The head of the circle that finding START is in; marks its members. */
static size_t heads_circle(const struct heads *heads, struct finding_list *list, uint32_t start)
{
    size_t head = start;
    uint32_t at = start;
    do {
        enum heads_rank rank = heads_rank(heads, &list->items[at]);
        enum heads_rank best = heads_rank(heads, &list->items[head]);
        head = rank < best || (rank == best && at < head) ? at : head;
        at = heads->next[at];
    } while (at != start);
    at = start;
    do {
        list->items[at].head = head;
        list->items[at].circle = heads_rank(heads, &list->items[head]) == HEADS_LOCK;
        at = heads->next[at];
    } while (at != start);
    return head;
}

/* Sets the heads along the way from finding FROM, which has none yet. */
static void heads_walk(struct heads *heads, struct finding_list *list, uint32_t from)
{
    uint32_t walk = from + 1;
    uint32_t at = from;
    while (heads->mark[at] == 0 && heads->next[at] != HEADS_NONE) {
        heads->mark[at] = walk;
        at = heads->next[at];
    }
    size_t head = at;
    if (heads->mark[at] == walk) {
        head = heads_circle(heads, list, at);
    } else if (heads->mark[at] != 0) {
        head = list->items[at].head;
    } else {
        heads->mark[at] = walk;
        list->items[at].head = at;
    }
    for (at = from; at != HEADS_NONE && list->items[at].head == SIZE_MAX; at = heads->next[at]) {
        list->items[at].head = head;
    }
}

/* Moves followers directly behind their head: those of its circle first. */
static struct error *heads_order(struct finding_list *list)
{
    CLEANUP_FREE struct finding *ordered = calloc(list->count + 1, sizeof *ordered);
    CLEANUP_FREE size_t *position = calloc(list->count + 1, sizeof *position);
    CLEANUP_FREE size_t *after = calloc(list->count + 1, sizeof *after);
    if (ordered == NULL || position == NULL || after == NULL) {
        return error_no_memory();
    }
    for (size_t i = 0; i < list->count; i++) {
        after[list->items[i].head]++;
    }
    size_t start = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].head == i) {
            position[i] = start;
            start += after[i];
            after[i] = position[i] + 1;
        }
    }
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < list->count; i++) {
            if (list->items[i].head != i && list->items[i].circle == (pass == 0)) {
                position[i] = after[list->items[i].head]++;
            }
        }
    }
    for (size_t i = 0; i < list->count; i++) {
        ordered[position[i]] = list->items[i];
        ordered[position[i]].head = position[list->items[i].head];
    }
    memcpy(list->items, ordered, list->count * sizeof *ordered);
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].head != i) {
            list->items[list->items[i].head].followers += list->items[i].goroutines;
        }
    }
    return NULL;
}

struct error *finding_heads_find(struct finding_list *list, const struct finding_input *input)
{
    struct heads heads CLEANUP(heads_deinit);
    TRY(heads_init(&heads, list, input));
    for (size_t i = 0; i < list->count; i++) {
        heads.next[i] = heads_next(&heads, i);
        list->items[i].head = SIZE_MAX;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (heads.mark[i] == 0) {
            heads_walk(&heads, list, (uint32_t)i);
        }
    }
    return heads_order(list);
}
