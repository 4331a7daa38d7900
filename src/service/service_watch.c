/* Recognising goroutines from look to look.
 *
 * What no live root reaches now, none reaches later, so a proof holds for as long as the same
 * goroutine (id and g) is parked in the same wait: with the same wait reason, objects and stack,
 * and not parked anew since (g.waitsince). What cannot be compared because the look was torn is
 * taken as unchanged: ids are never given twice. */
#include "service/service_watch.h"
#include "base/cleanup.h"
#include "base/hash_map.h"
#include "base/vector.h"
#include "leak/verdict.h"
#include "service/service_watch_internal.h"
#include "snapshot/group.h"
#include <stdlib.h>
#include <string.h>

/* Two readings of one park time differ by no more: a second. */
#define WATCH_PARKED_SLACK_NS INT64_C(1000000000)

/* Stops in vain are followed by 4, 8, ... at most 64 looks without one. */
enum { WATCH_STRIKES_MAX = 5 };

struct service_watch {
    struct service_watch_summary summary;
    struct service_watch_look latest;
    VECTOR(struct finding_history) history; /* by key */
    struct finding_seen *seen;              /* by index of the latest snapshot */
};

struct error *service_watch_create(struct service_watch **ret)
{
    struct service_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL) {
        return error_no_memory();
    }
    watch->summary.descriptors_first = watch->summary.descriptors_last = SNAPSHOT_UNKNOWN;
    watch->summary.threads_first = watch->summary.threads_last = SNAPSHOT_UNKNOWN;
    *ret = watch;
    return NULL;
}

void service_watch_look_deinit(struct service_watch_look *look)
{
    free(look->items);
    *look = (struct service_watch_look){0};
}

void service_watch_destroy(struct service_watch *watch)
{
    if (watch != NULL) {
        service_watch_look_deinit(&watch->latest);
        vector_deinit(&watch->history);
        free(watch->seen);
        free(watch);
    }
}

const struct service_watch_summary *service_watch_summary(const struct service_watch *watch)
{
    return &watch->summary;
}

const struct finding_history *service_watch_history(const struct service_watch *watch,
                                                    size_t *count)
{
    *count = watch->history.count;
    return watch->history.items;
}

const struct finding_seen *service_watch_seen(const struct service_watch *watch)
{
    return watch->seen;
}

/* A hash of the places on STACK. */
static uint64_t watch_hash_stack(const struct snapshot *snapshot, uint32_t stack)
{
    size_t count;
    uint64_t hash = 1;
    const uint32_t *frames = snapshot_stack(snapshot, stack, &count);
    for (size_t i = 0; i < count; i++) {
        const struct snapshot_frame *frame = snapshot_frame(snapshot, frames[i]);
        hash = hash_u64(hash ^ frame->pc) + frame->line;
    }
    return hash;
}

/* A hash of what GOROUTINE waits for. */
static uint64_t watch_hash_wait(const struct snapshot *snapshot,
                                const struct snapshot_goroutine *goroutine)
{
    size_t count;
    const struct snapshot_wait *waits = snapshot_waits(snapshot, goroutine, &count);
    uint64_t hash = count;
    for (size_t i = 0; i < count; i++) {
        uint64_t address = snapshot_object(snapshot, waits[i].object)->address;
        hash = hash_u64(hash ^ address) + waits[i].direction;
    }
    return hash;
}

/* What identifies GOROUTINE in its wait. STACKS: hashes by stack id. */
static struct service_watch_member watch_member(const struct service_watch_view *view,
                                                const struct snapshot_goroutine *goroutine,
                                                const uint64_t *stacks)
{
    uint8_t status =
        goroutine->status == GOROUTINE_STATUS_LEAKED ? GOROUTINE_STATUS_WAITING : goroutine->status;
    uint64_t state = (uint64_t)status << 8 | goroutine->wait_reason;
    bool parked = goroutine->age_ns != SNAPSHOT_UNKNOWN;
    return (struct service_watch_member){
        .id = goroutine->id,
        .place = hash_u64(goroutine->address) ^ hash_u64(state),
        .wait = watch_hash_wait(view->snapshot, goroutine),
        .stack = stacks[goroutine->stack],
        .parked_ns = parked ? (int64_t)view->moment_ns - goroutine->age_ns : SNAPSHOT_UNKNOWN,
        .first_ns = snapshot_program(view->snapshot)->taken_at_ns,
        .proved_ns = SNAPSHOT_UNKNOWN,
    };
}

/* True when MEMBER, of GOROUTINE, is the goroutine BEFORE in the wait that it was in then. */
static bool watch_is_same(const struct service_watch_member *before,
                          const struct snapshot_goroutine *goroutine,
                          const struct service_watch_member *member)
{
    const unsigned torn = GOROUTINE_MOVED | GOROUTINE_STACK_UNKNOWN | GOROUTINE_STACK_CUT;
    bool waits = goroutine->status == GOROUTINE_STATUS_WAITING ||
                 goroutine->status == GOROUTINE_STATUS_LEAKED ||
                 goroutine->status == GOROUTINE_STATUS_SYSCALL;
    if (!waits || member->place != before->place) {
        return false;
    }
    if ((goroutine->flags & torn) != 0) {
        return true;
    }
    bool anew = before->parked_ns != SNAPSHOT_UNKNOWN &&
                (member->parked_ns == SNAPSHOT_UNKNOWN ||
                 (member->parked_ns > before->parked_ns &&
                  member->parked_ns - before->parked_ns > WATCH_PARKED_SLACK_NS));
    return !anew && member->wait == before->wait && member->stack == before->stack;
}

bool service_watch_is_candidate(const struct finding_verdict *verdict)
{
    return verdict->verdict == LEAK_VERDICT_PROVED ||
           (verdict->verdict == LEAK_VERDICT_UNKNOWN &&
            (verdict->reason == LEAK_REASON_INCOMPLETE ||
             verdict->reason == LEAK_REASON_OBJECT_UNKNOWN));
}

/* Hands on what is known of BEFORE, which is MEMBER in the same wait. */
static void watch_inherit(const struct service_watch *watch,
                          const struct service_watch_member *before,
                          const struct service_watch_view *view, struct finding_verdict *verdict,
                          struct service_watch_member *member)
{
    member->first_ns = before->first_ns;
    member->strikes = before->strikes;
    member->next_look = before->next_look;
    member->settled = before->settled;
    bool refuted = view->consistent && verdict->verdict == LEAK_VERDICT_WAITING;
    if (before->proved_ns != SNAPSHOT_UNKNOWN && !refuted) {
        member->proved_ns = before->proved_ns;
        member->class_ = before->class_;
        *verdict = (struct finding_verdict){LEAK_VERDICT_PROVED, before->class_, LEAK_REASON_NONE};
    } else if (before->candidate && view->stop_tried && verdict->verdict != LEAK_VERDICT_PROVED) {
        member->strikes = before->strikes < WATCH_STRIKES_MAX ? (uint8_t)(before->strikes + 1)
                                                              : (uint8_t)WATCH_STRIKES_MAX;
        member->next_look = watch->summary.looks + (2u << member->strikes);
        member->settled = *verdict;
    }
}

/* Notes what VIEW itself says of MEMBER. BEFORE: the same goroutine in the same wait, or NULL. */
static void watch_judge(const struct service_watch_view *view,
                        const struct finding_verdict *verdict,
                        const struct service_watch_member *before,
                        struct service_watch_member *member)
{
    if (member->proved_ns != SNAPSHOT_UNKNOWN) {
        return;
    }
    if (view->consistent && verdict->verdict == LEAK_VERDICT_PROVED) {
        member->proved_ns = snapshot_program(view->snapshot)->taken_at_ns;
        member->class_ = verdict->class_;
    } else if (!view->consistent && service_watch_is_candidate(verdict)) {
        member->candidate = true;
        bool again = before != NULL && before->candidate;
        member->agreeing = !again                         ? 0
                           : before->agreeing < UINT8_MAX ? (uint8_t)(before->agreeing + 1)
                                                          : before->agreeing;
    }
}

/* Fills LOOK's members, walking along BEFORE: both are sorted by id. WITHIN: both belong to one
 * observation. */
static void watch_walk(const struct service_watch *watch, const struct service_watch_look *before,
                       bool within, const struct service_watch_view *view, const uint64_t *stacks,
                       struct service_watch_look *look)
{
    size_t count;
    size_t at = 0;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(view->snapshot, &count);
    for (size_t i = 0; i < count; i++) {
        struct service_watch_member *member = &look->items[i];
        const struct service_watch_member *earlier = NULL;
        *member = watch_member(view, &goroutines[i], stacks);
        for (; at < before->count && before->items[at].id <= member->id; at++) {
            bool same = before->items[at].id == member->id;
            earlier = same ? &before->items[at] : NULL;
            look->lost += !same && before->items[at].proved_ns != SNAPSHOT_UNKNOWN;
        }
        bool proved = earlier != NULL && earlier->proved_ns != SNAPSHOT_UNKNOWN;
        if (earlier != NULL && watch_is_same(earlier, &goroutines[i], member)) {
            watch_inherit(watch, earlier, view, &view->verdicts[i], member);
            member->stayed = !within || earlier->stayed;
        } else {
            earlier = NULL;
        }
        look->kept += proved && member->proved_ns != SNAPSHOT_UNKNOWN;
        look->lost += proved && member->proved_ns == SNAPSHOT_UNKNOWN;
        watch_judge(view, &view->verdicts[i], earlier, member);
    }
    for (; at < before->count; at++) {
        look->lost += before->items[at].proved_ns != SNAPSHOT_UNKNOWN;
    }
}

struct error *service_watch_recognise(const struct service_watch *watch,
                                      const struct service_watch_look *before,
                                      const struct service_watch_view *view,
                                      struct service_watch_look *ret)
{
    size_t count;
    size_t stack_count = snapshot_stack_count(view->snapshot);
    (void)snapshot_goroutines(view->snapshot, &count);
    CLEANUP_FREE uint64_t *stacks = calloc(stack_count + 1, sizeof *stacks);
    struct service_watch_look look = {.items = calloc(count + 1, sizeof *look.items),
                                      .count = count,
                                      .lost = before == NULL ? 0 : before->lost};
    if (stacks == NULL || look.items == NULL) {
        free(look.items);
        return error_no_memory();
    }
    for (uint32_t id = 1; id <= stack_count; id++) {
        stacks[id] = watch_hash_stack(view->snapshot, id);
    }
    watch_walk(watch, before == NULL ? &watch->latest : before, before != NULL, view, stacks,
               &look);
    *ret = look;
    return NULL;
}

bool service_watch_has_candidate(const struct service_watch *watch,
                                 const struct service_watch_look *look, unsigned agreeing)
{
    for (size_t i = 0; i < look->count; i++) {
        const struct service_watch_member *member = &look->items[i];
        if (member->candidate && member->agreeing >= agreeing &&
            watch->summary.looks >= member->next_look) {
            return true;
        }
    }
    return false;
}

/* Orders counts by key. */
static int watch_compare(const void *left, const void *right)
{
    const struct finding_history *a = left;
    const struct finding_history *b = right;
    return a->key < b->key ? -1 : a->key > b->key;
}

/* What the present look says of each key, sorted, each key once. */
static struct error *watch_count(const struct service_watch_look *look,
                                 const struct snapshot *snapshot, struct finding_history **ret,
                                 size_t *count_ret)
{
    CLEANUP(group_list_deinit) struct group_list groups = {0};
    size_t total;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(snapshot, &total);
    CLEANUP_FREE uint32_t *selection = reallocarray(NULL, total + 1, sizeof *selection);
    if (selection == NULL) {
        return error_no_memory();
    }
    size_t count = 0;
    for (size_t i = 0; i < total; i++) {
        if ((goroutines[i].flags & GOROUTINE_SYSTEM) == 0) {
            selection[count++] = (uint32_t)i;
        }
    }
    TRY(group_list_init(&groups, snapshot, selection, count, GROUP_BY_COUNT));
    CLEANUP_FREE struct finding_history *counts = calloc(groups.count + 1, sizeof *counts);
    if (counts == NULL) {
        return error_no_memory();
    }
    for (size_t i = 0; i < groups.count; i++) {
        const struct group *group = &groups.items[i];
        counts[i].key = finding_key(snapshot, group->members[0]);
        counts[i].last_count = group->goroutines;
        for (size_t j = 0; j < group->count; j++) {
            counts[i].stayed += look->items[group->members[j]].stayed;
        }
    }
    qsort(counts, groups.count, sizeof *counts, watch_compare);
    size_t unique = 0;
    for (size_t i = 0; i < groups.count; i++) {
        if (unique > 0 && counts[unique - 1].key == counts[i].key) {
            counts[unique - 1].last_count += counts[i].last_count;
            counts[unique - 1].stayed += counts[i].stayed;
        } else {
            counts[unique++] = counts[i];
        }
    }
    *ret = TAKE(counts);
    *count_ret = unique;
    return NULL;
}

/* Completes the present NOW_NS's count of one key by what EARLIER (NULL: nothing) looks say. */
static void watch_grow(const struct finding_history *earlier, int64_t now_ns,
                       struct finding_history *now)
{
    now->last_ns = now_ns;
    now->first_ns = earlier == NULL ? now_ns : earlier->first_ns;
    now->first_count = earlier == NULL ? now->last_count : earlier->first_count;
    now->looks = earlier == NULL ? 1 : earlier->looks + 1;
    bool higher = earlier != NULL && now->last_count > earlier->peak;
    now->growths = earlier == NULL ? 0 : earlier->growths + higher;
    now->peak = earlier == NULL || higher ? now->last_count : earlier->peak;
}

/* Takes the present look into the history; keys that nobody has any more are forgotten. */
static struct error *watch_update_history(struct service_watch *watch,
                                          const struct service_watch_look *look,
                                          const struct snapshot *snapshot)
{
    struct finding_history *counts = NULL;
    size_t count = 0;
    TRY(watch_count(look, snapshot, &counts, &count));
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        while (at < watch->history.count && watch->history.items[at].key < counts[i].key) {
            at++;
        }
        bool known = at < watch->history.count && watch->history.items[at].key == counts[i].key;
        watch_grow(known ? &watch->history.items[at] : NULL,
                   snapshot_program(snapshot)->taken_at_ns, &counts[i]);
    }
    vector_deinit(&watch->history);
    watch->history.items = counts;
    watch->history.count = watch->history.capacity = count;
    return NULL;
}

/* What LOOK knows of each goroutine, for findings. */
static struct error *watch_update_seen(struct service_watch *watch,
                                       const struct service_watch_look *look)
{
    struct finding_seen *seen = calloc(look->count + 1, sizeof *seen);
    if (seen == NULL) {
        return error_no_memory();
    }
    for (size_t i = 0; i < look->count; i++) {
        seen[i] = (struct finding_seen){look->items[i].first_ns, look->items[i].proved_ns};
    }
    free(watch->seen);
    watch->seen = seen;
    return NULL;
}

struct error *service_watch_keep(struct service_watch *watch, struct service_watch_look *look,
                                 const struct snapshot *snapshot, uint64_t stopped_ns,
                                 int64_t descriptors)
{
    const struct snapshot_program *program = snapshot_program(snapshot);
    struct service_watch_summary *summary = &watch->summary;
    TRY(watch_update_seen(watch, look));
    TRY(watch_update_history(watch, look, snapshot));
    if (summary->looks++ == 0) {
        summary->first_ns = program->taken_at_ns;
        summary->descriptors_first = descriptors;
        summary->threads_first = program->threads;
    }
    summary->last_ns = program->taken_at_ns;
    summary->descriptors_last = descriptors;
    summary->threads_last = program->threads;
    summary->stops += stopped_ns > 0;
    summary->stopped_ns += stopped_ns;
    summary->proofs_kept = look->kept;
    summary->proofs_lost += look->lost;
    service_watch_look_deinit(&watch->latest);
    watch->latest = *look;
    *look = (struct service_watch_look){0};
    return NULL;
}
