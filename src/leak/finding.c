/* Grouping stuck goroutines, judging the rest by evidence, and putting followers behind their head.
 */
#include "leak/finding.h"
#include "base/cleanup.h"
#include "base/hash_map.h"
#include "base/string_builder.h"
#include "leak/cause_match.h"
#include "leak/evidence.h"
#include "leak/finding_internal.h"
#include "snapshot/group.h"
#include <stdlib.h>
#include <string.h>

enum { FINDING_WAKERS_MAX = 8, FINDING_NO_HEAD_MAX = 64 };

uint64_t finding_key(const struct snapshot *snapshot, size_t index)
{
    size_t count;
    const struct snapshot_goroutine *goroutine = &snapshot_goroutines(snapshot, &count)[index];
    const uint32_t *frames = snapshot_stack(snapshot, goroutine->stack, &count);
    uint64_t key = hash_u64((uint64_t)goroutine->status << 8 | goroutine->wait_reason);
    for (size_t i = 0; i < count; i++) {
        const char *name = snapshot_string(snapshot, snapshot_frame(snapshot, frames[i])->function);
        key = hash_bytes(name, strlen(name), key);
    }
    if (goroutine->creator != 0) {
        const char *name =
            snapshot_string(snapshot, snapshot_frame(snapshot, goroutine->creator)->function);
        key = hash_bytes(name, strlen(name), key);
    }
    return key;
}

/* The verdict on goroutine INDEX before evidence is looked at. */
static struct finding_verdict finding_verdict_of(const struct finding_input *input, size_t index)
{
    size_t count;
    const struct snapshot_goroutine *goroutine =
        &snapshot_goroutines(input->snapshot, &count)[index];
    if (input->verdicts != NULL) {
        return input->verdicts[index];
    }
    bool system = (goroutine->flags & GOROUTINE_SYSTEM) != 0;
    return (struct finding_verdict){(uint8_t)(system ? LEAK_VERDICT_SYSTEM : LEAK_VERDICT_WAITING),
                                    LEAK_CLASS_NONE, LEAK_REASON_NOT_CONSISTENT};
}

/* Groups the goroutines that pass a test; each test selects one verdict and class. */
struct finding_sieve {
    enum leak_verdict verdict;
    enum leak_class class_;
};

/* Collects the goroutines that SIEVE lets pass; one that was just moving is nothing to report. */
static struct error *finding_select(const struct finding_input *input,
                                    const struct finding_sieve *sieve, uint32_t **ret,
                                    size_t *count_ret)
{
    size_t total;
    (void)snapshot_goroutines(input->snapshot, &total);
    uint32_t *selection = reallocarray(NULL, total + 1, sizeof *selection);
    if (selection == NULL) {
        return error_no_memory();
    }
    size_t count = 0;
    for (size_t i = 0; i < total; i++) {
        struct finding_verdict verdict = finding_verdict_of(input, i);
        bool passing =
            verdict.verdict == LEAK_VERDICT_UNKNOWN && verdict.reason == LEAK_REASON_IN_TRANSIT;
        if (verdict.verdict == sieve->verdict && verdict.class_ == sieve->class_ && !passing) {
            selection[count++] = (uint32_t)i;
        }
    }
    *ret = selection;
    *count_ret = count;
    return NULL;
}

/* What the members of FINDING wait for: one object, and how many different ones. */
static struct error *finding_count_objects(const struct finding_input *input,
                                           struct finding *finding)
{
    struct hash_map seen = {0};
    struct error *error = NULL;
    size_t total;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(input->snapshot, &total);
    finding->object = UINT32_MAX;
    for (size_t i = 0; error == NULL && i < finding->count; i++) {
        size_t count;
        const struct snapshot_wait *waits =
            snapshot_waits(input->snapshot, &goroutines[finding->members[i]], &count);
        for (size_t j = 0; error == NULL && j < count; j++) {
            finding->object = finding->object == UINT32_MAX ? waits[j].object : finding->object;
            error = hash_map_put(&seen, waits[j].object, 1);
        }
    }
    finding->object_count = hash_map_count(&seen);
    hash_map_deinit(&seen);
    return error;
}

size_t finding_first_reference(const struct finding_input *input, uint32_t object)
{
    size_t low = 0;
    size_t high = input->reference_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (input->references[middle].object < object) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct finding_history *finding_find_history(const struct finding_input *input, uint64_t key)
{
    size_t low = 0;
    size_t high = input->history == NULL ? 0 : input->history_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (input->history[middle].key == key) {
            return &input->history[middle];
        }
        if (input->history[middle].key < key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

/* The earlier of two times, either of which may be unknown. */
static int64_t finding_earlier(int64_t a, int64_t b)
{
    return a == SNAPSHOT_UNKNOWN || (b != SNAPSHOT_UNKNOWN && b < a) ? b : a;
}

/* What earlier looks say of FINDING. */
static void finding_recall(const struct finding_input *input, struct finding *finding)
{
    const struct finding_history *history = finding_find_history(input, finding->key);
    finding->growth = history == NULL ? (struct finding_history){0} : *history;
    finding->first_seen_ns = SNAPSHOT_UNKNOWN;
    finding->proved_ns = SNAPSHOT_UNKNOWN;
    for (size_t i = 0; input->seen != NULL && i < finding->count; i++) {
        const struct finding_seen *seen = &input->seen[finding->members[i]];
        finding->first_seen_ns = finding_earlier(finding->first_seen_ns, seen->first_ns);
        if (finding->verdict == LEAK_VERDICT_PROVED) {
            finding->proved_ns = finding_earlier(finding->proved_ns, seen->proved_ns);
        }
    }
}

/* The references to the object that FINDING shows. */
static void finding_find_wakers(const struct finding_input *input, struct finding *finding)
{
    if (finding->object == UINT32_MAX || input->references == NULL) {
        return;
    }
    size_t first = finding_first_reference(input, finding->object);
    finding->wakers = input->references + first;
    while (first + finding->waker_count < input->reference_count &&
           input->references[first + finding->waker_count].object == finding->object &&
           finding->waker_count < FINDING_WAKERS_MAX) {
        finding->waker_count++;
    }
}

/* Makes a finding of GROUP. */
static struct error *finding_from_group(const struct finding_input *input,
                                        const struct finding_sieve *sieve,
                                        const struct group *group, const uint32_t *members,
                                        struct finding *ret)
{
    struct finding_verdict verdict = finding_verdict_of(input, members[0]);
    *ret = (struct finding){
        .verdict = sieve->verdict,
        .class_ = sieve->class_,
        .reason = (enum leak_reason)verdict.reason,
        .key = finding_key(input->snapshot, members[0]),
        .stack = group->stack,
        .creator = group->creator,
        .status = group->status,
        .wait_reason = group->wait_reason,
        .members = members,
        .count = group->count,
        .goroutines = group->goroutines,
        .age_min_ns = group->age_min_ns,
        .age_max_ns = group->age_max_ns,
    };
    finding_recall(input, ret);
    TRY(finding_count_objects(input, ret));
    finding_find_wakers(input, ret);
    return NULL;
}

/* Adds the groups of one verdict and class; groups that merely wait become findings only by
 * evidence. */
static struct error *finding_add_groups(struct finding_builder *builder,
                                        const struct finding_input *input,
                                        const struct finding_sieve *sieve)
{
    CLEANUP_FREE uint32_t *selection = NULL;
    CLEANUP(group_list_deinit) struct group_list groups = {0};
    size_t count = 0;
    TRY(finding_select(input, sieve, &selection, &count));
    if (count == 0) {
        return NULL;
    }
    TRY(group_list_init(&groups, input->snapshot, selection, count, GROUP_BY_COUNT));
    for (size_t i = 0; i < groups.count; i++) {
        const struct group *group = &groups.items[i];
        CLEANUP_FREE char *evidence = NULL;
        struct finding_sieve as = *sieve;
        if (sieve->verdict == LEAK_VERDICT_WAITING) {
            TRY(evidence_weigh(input, group, &evidence));
            if (evidence == NULL) {
                continue;
            }
            as.verdict = LEAK_VERDICT_SUSPECTED;
        }
        struct finding finding;
        uint32_t *members = builder->members + builder->member_count;
        memcpy(members, group->members, group->count * sizeof *members);
        builder->member_count += group->count;
        TRY(finding_from_group(input, &as, group, members, &finding));
        finding.evidence = TAKE(evidence);
        struct error *error = vector_append(&builder->findings, finding);
        if (error != NULL) {
            free(finding.evidence);
            return error;
        }
    }
    return NULL;
}

/* Worst first: proved, suspected, unknown; larger before smaller. */
static int finding_compare(const void *left, const void *right)
{
    static const int rank[LEAK_VERDICT_COUNT] = {
        [LEAK_VERDICT_PROVED] = 0, [LEAK_VERDICT_SUSPECTED] = 1, [LEAK_VERDICT_UNKNOWN] = 2};
    const struct finding *a = left;
    const struct finding *b = right;
    if (a->verdict != b->verdict) {
        return rank[a->verdict] - rank[b->verdict];
    }
    if (a->goroutines != b->goroutines) {
        return a->goroutines > b->goroutines ? -1 : 1;
    }
    return a->members[0] < b->members[0] ? -1 : a->members[0] > b->members[0];
}

/* The finding that goroutine INDEX belongs to, or COUNT. */
static size_t finding_of_goroutine(const struct finding_list *list, uint32_t index)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct finding *finding = &list->items[i];
        size_t low = 0;
        size_t high = finding->count;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (finding->members[middle] < index) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if (low < finding->count && finding->members[low] == index) {
            return i;
        }
    }
    return list->count;
}

/* True when the goroutines of FINDING wait for what others hold. */
static bool finding_waits_for_holder(const struct finding *finding)
{
    switch (finding->class_) {
    case LEAK_CLASS_MUTEX:
    case LEAK_CLASS_WAIT_GROUP:
    case LEAK_CLASS_SEMAPHORE:
        return true;
    case LEAK_CLASS_CYCLE: /* some of them may wait for a channel */
        return finding->wait_reason == WAIT_REASON_SYNC_MUTEX_LOCK ||
               finding->wait_reason == WAIT_REASON_SYNC_RWMUTEX_LOCK ||
               finding->wait_reason == WAIT_REASON_SYNC_RWMUTEX_RLOCK ||
               finding->wait_reason == WAIT_REASON_SYNC_WAITGROUP_WAIT ||
               finding->wait_reason == WAIT_REASON_SEMACQUIRE;
    default:
        return false;
    }
}

/* The head of finding AT: the one at the end of the way along "what it waits for is held by a
 * goroutine of". A cycle has no head: each is its own. */
static size_t finding_head(const struct finding_list *list, size_t at)
{
    size_t from = at;
    for (size_t steps = 0; steps < FINDING_NO_HEAD_MAX; steps++) {
        const struct finding *finding = &list->items[at];
        if (!finding_waits_for_holder(finding) || finding->waker_count != 1) {
            return at;
        }
        size_t next = finding_of_goroutine(list, finding->wakers[0].goroutine);
        if (next == list->count || next == at) {
            return at;
        }
        if (next == from) {
            return from;
        }
        at = next;
    }
    return from;
}

/* Sets heads and moves followers directly behind them. */
static struct error *finding_collapse(struct finding_list *list)
{
    struct finding *ordered = calloc(list->count + 1, sizeof *ordered);
    size_t *position = calloc(list->count + 1, sizeof *position);
    if (ordered == NULL || position == NULL) {
        free(ordered);
        free(position);
        return error_no_memory();
    }
    for (size_t i = 0; i < list->count; i++) {
        list->items[i].head = finding_head(list, i);
    }
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].head != i) {
            continue;
        }
        size_t head = count;
        position[i] = count;
        ordered[count++] = list->items[i];
        for (size_t j = 0; j < list->count; j++) {
            if (j != i && list->items[j].head == i) {
                ordered[head].followers += list->items[j].goroutines;
                position[j] = count;
                ordered[count++] = list->items[j];
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        ordered[i].head = position[ordered[i].head];
    }
    if (count == list->count) {
        memcpy(list->items, ordered, count * sizeof *ordered);
    }
    free(ordered);
    free(position);
    return NULL;
}

/* Counts the goroutines of each verdict. */
static void finding_count(struct finding_list *list, const struct finding_input *input)
{
    size_t total;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(input->snapshot, &total);
    for (size_t i = 0; i < total; i++) {
        uint8_t verdict = finding_verdict_of(input, i).verdict;
        uint64_t count = goroutines[i].count;
        list->system += verdict == LEAK_VERDICT_SYSTEM ? count : 0;
        list->proved += verdict == LEAK_VERDICT_PROVED ? count : 0;
        list->unknown += verdict == LEAK_VERDICT_UNKNOWN ? count : 0;
        list->waiting += verdict == LEAK_VERDICT_WAITING ? count : 0;
        list->goroutines += verdict == LEAK_VERDICT_SYSTEM ? 0 : count;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].verdict == LEAK_VERDICT_SUSPECTED) {
            list->suspected += list->items[i].goroutines;
            list->waiting -= list->items[i].goroutines;
        }
    }
}

/* Adds the groups of every verdict and class. */
static struct error *finding_add_all(struct finding_builder *builder,
                                     const struct finding_input *input)
{
    static const enum leak_verdict verdicts[] = {LEAK_VERDICT_PROVED, LEAK_VERDICT_UNKNOWN};
    for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++) {
        for (int class_ = 0; class_ < LEAK_CLASS_COUNT; class_++) {
            struct finding_sieve sieve = {verdicts[i], (enum leak_class)class_};
            TRY(finding_add_groups(builder, input, &sieve));
        }
    }
    struct finding_sieve waiting = {LEAK_VERDICT_WAITING, LEAK_CLASS_NONE};
    return finding_add_groups(builder, input, &waiting);
}

struct error *finding_list_init(struct finding_list *list, const struct finding_input *input)
{
    struct finding_builder builder = {0};
    size_t total;
    *list = (struct finding_list){0};
    (void)snapshot_goroutines(input->snapshot, &total);
    builder.members = reallocarray(NULL, total + 1, sizeof *builder.members);
    if (builder.members == NULL) {
        return error_no_memory();
    }
    struct error *error = finding_add_all(&builder, input);
    list->items = builder.findings.items;
    list->count = builder.findings.count;
    list->members = builder.members;
    if (error == NULL && list->count > 0) {
        qsort(list->items, list->count, sizeof *list->items, finding_compare);
        error = finding_collapse(list);
    }
    for (size_t i = 0; error == NULL && i < list->count; i++) {
        error = cause_match(input, &list->items[i]);
    }
    if (error != NULL) {
        finding_list_deinit(list);
        return error;
    }
    finding_count(list, input);
    return NULL;
}

void finding_list_deinit(struct finding_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].evidence);
        for (size_t j = 0; j < list->items[i].cause_count; j++) {
            free(list->items[i].causes[j].evidence);
        }
    }
    free(list->items);
    free(list->members);
    *list = (struct finding_list){0};
}
