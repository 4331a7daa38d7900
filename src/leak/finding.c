/* Grouping stuck goroutines, judging the rest by evidence, and putting followers behind their head.
 */
#include "leak/finding.h"
#include "base/cleanup.h"
#include "base/hash_map.h"
#include "base/string_builder.h"
#include "leak/cause_match.h"
#include "leak/evidence.h"
#include "leak/finding_heads.h"
#include "leak/finding_internal.h"
#include "snapshot/group.h"
#include <stdlib.h>
#include <string.h>

enum {
    FINDING_WAKERS_MAX = 8,
    FINDING_MEMBERS_LOOKED = 4096, /* of one finding, for who refers to what they wait for */
    FINDING_TINY_SIZE = 16         /* the runtime's block of small objects without pointers */
};

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

/* Collects the goroutines with the verdict WANTED; one that was just moving is nothing to report.
 */
static struct error *finding_select(const struct finding_input *input, enum leak_verdict wanted,
                                    uint32_t **ret, size_t *count_ret)
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
        if (verdict.verdict == wanted && !passing) {
            selection[count++] = (uint32_t)i;
        }
    }
    *ret = selection;
    *count_ret = count;
    return NULL;
}

/* What the members of FINDING wait for: one object, and how many different ones. */
static struct error *finding_count_objects(struct finding_builder *builder,
                                           const struct finding_input *input,
                                           struct finding *finding)
{
    size_t total;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(input->snapshot, &total);
    finding->object = UINT32_MAX;
    finding->object_count = 0;
    if (builder->seen == NULL) {
        builder->seen = calloc(snapshot_object_count(input->snapshot) + 1, sizeof *builder->seen);
        if (builder->seen == NULL) {
            return error_no_memory();
        }
    }
    builder->round++; /* fewer than goroutines */
    for (size_t i = 0; i < finding->count; i++) {
        size_t count;
        const struct snapshot_wait *waits =
            snapshot_waits(input->snapshot, &goroutines[finding->members[i]], &count);
        for (size_t j = 0; j < count; j++) {
            uint32_t object = waits[j].object;
            finding->object = finding->object == UINT32_MAX ? object : finding->object;
            finding->object_count += builder->seen[object] != builder->round;
            builder->seen[object] = builder->round;
        }
    }
    return NULL;
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

bool finding_is_neighbour(const struct finding_input *input, uint32_t waiter,
                          const struct finding_reference *reference)
{
    size_t total, count;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(input->snapshot, &total);
    const struct snapshot_goroutine *partner = &goroutines[reference->goroutine];
    const struct snapshot_object *object = snapshot_object(input->snapshot, reference->object);
    const struct snapshot_wait *waits = snapshot_waits(input->snapshot, partner, &count);
    if (object->kind != OBJECT_MUTEX || count != 1 || waits[0].object == reference->object ||
        partner->stack != goroutines[waiter].stack) {
        return false;
    }
    const struct snapshot_object *other = snapshot_object(input->snapshot, waits[0].object);
    return other->kind == OBJECT_MUTEX &&
           other->address / FINDING_TINY_SIZE == object->address / FINDING_TINY_SIZE;
}

/* Takes the references to OBJECT, for which goroutine WAITER waits, as FINDING's wakers; false when
 * there is none that says something. */
static bool finding_take_wakers(const struct finding_input *input, uint32_t waiter, uint32_t object,
                                struct finding *finding)
{
    size_t first = finding_first_reference(input, object);
    bool says = false;
    size_t count = 0;
    while (first + count < input->reference_count &&
           input->references[first + count].object == object && count < FINDING_WAKERS_MAX) {
        says = says || !finding_is_neighbour(input, waiter, &input->references[first + count]);
        count++;
    }
    finding->wakers = says ? input->references + first : NULL;
    finding->waker_count = says ? count : 0;
    return says;
}

/* The references to what FINDING's goroutines wait for: to the first such object that others refer
 * to. A cycle needs one. */
static void finding_find_wakers(const struct finding_input *input, struct finding *finding)
{
    size_t total;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(input->snapshot, &total);
    bool found = false;
    if (input->references == NULL) {
        return;
    }
    for (size_t i = 0; i < finding->count && i < FINDING_MEMBERS_LOOKED && !found; i++) {
        size_t count;
        const struct snapshot_wait *waits =
            snapshot_waits(input->snapshot, &goroutines[finding->members[i]], &count);
        for (size_t j = 0; j < count && !found; j++) {
            found = finding_take_wakers(input, finding->members[i], waits[j].object, finding);
        }
    }
    if (!found && finding->class_ == LEAK_CLASS_CYCLE && finding->object != UINT32_MAX &&
        snapshot_object(input->snapshot, finding->object)->kind == OBJECT_MUTEX) {
        finding->class_ = LEAK_CLASS_MUTEX;
    }
}

/* The class of COUNT goroutines at one place: a cycle as soon as some are in one, for others there
 * may be in one that was not looked for. */
static enum leak_class finding_class(const struct finding_input *input, const uint32_t *members,
                                     size_t count)
{
    enum leak_class class_ = (enum leak_class)finding_verdict_of(input, members[0]).class_;
    for (size_t i = 1; i < count && class_ != LEAK_CLASS_CYCLE; i++) {
        if (finding_verdict_of(input, members[i]).class_ == LEAK_CLASS_CYCLE) {
            class_ = LEAK_CLASS_CYCLE;
        }
    }
    return class_;
}

/* Makes a finding of GROUP with the verdict AS. */
static struct error *finding_from_group(struct finding_builder *builder,
                                        const struct finding_input *input, enum leak_verdict as,
                                        const struct group *group, const uint32_t *members,
                                        struct finding *ret)
{
    struct finding_verdict verdict = finding_verdict_of(input, members[0]);
    *ret = (struct finding){
        .verdict = as,
        .class_ = finding_class(input, members, group->count),
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
    TRY(finding_count_objects(builder, input, ret));
    finding_find_wakers(input, ret);
    return NULL;
}

/* Adds the groups of one VERDICT; groups that merely wait become findings only by evidence. */
static struct error *finding_add_groups(struct finding_builder *builder,
                                        const struct finding_input *input,
                                        enum leak_verdict verdict)
{
    CLEANUP_FREE uint32_t *selection = NULL;
    CLEANUP(group_list_deinit) struct group_list groups = {0};
    size_t count = 0;
    TRY(finding_select(input, verdict, &selection, &count));
    if (count == 0) {
        return NULL;
    }
    TRY(group_list_init(&groups, input->snapshot, selection, count, GROUP_BY_COUNT));
    for (size_t i = 0; i < groups.count; i++) {
        const struct group *group = &groups.items[i];
        CLEANUP_FREE char *evidence = NULL;
        enum leak_verdict as = verdict;
        if (verdict == LEAK_VERDICT_WAITING) {
            TRY(evidence_weigh(input, group, &evidence));
            if (evidence == NULL) {
                continue;
            }
            as = LEAK_VERDICT_SUSPECTED;
        }
        struct finding finding;
        uint32_t *members = builder->members + builder->member_count;
        memcpy(members, group->members, group->count * sizeof *members);
        builder->member_count += group->count;
        TRY(finding_from_group(builder, input, as, group, members, &finding));
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

/* Adds the groups of every verdict. */
static struct error *finding_add_all(struct finding_builder *builder,
                                     const struct finding_input *input)
{
    TRY(finding_add_groups(builder, input, LEAK_VERDICT_PROVED));
    TRY(finding_add_groups(builder, input, LEAK_VERDICT_UNKNOWN));
    return finding_add_groups(builder, input, LEAK_VERDICT_WAITING);
}

/* Names the causes of finding AT; one that waits behind others, and shows none of its own, has
 * theirs. */
static struct error *finding_name_causes(struct finding_list *list,
                                         const struct finding_input *input, size_t at)
{
    struct finding *finding = &list->items[at];
    const struct finding *head = &list->items[finding->head];
    TRY(cause_match(input, finding, finding->head != at));
    for (size_t i = 0; finding->head != at && finding->cause_count == i && i < head->cause_count;
         i++) {
        finding->causes[i] = head->causes[i];
        finding->causes[i].evidence =
            strdup(finding->circle ? "it is in one deadlock with the finding that shows this"
                                   : "those it waits for are stuck themselves, for this cause");
        if (finding->causes[i].evidence == NULL) {
            return error_no_memory();
        }
        finding->cause_count++;
    }
    return NULL;
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
    free(builder.seen);
    list->items = builder.findings.items;
    list->count = builder.findings.count;
    list->members = builder.members;
    if (error == NULL && list->count > 0) {
        qsort(list->items, list->count, sizeof *list->items, finding_compare);
        error = finding_heads_find(list, input);
    }
    for (size_t i = 0; error == NULL && i < list->count; i++) {
        error = finding_name_causes(list, input, i);
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
