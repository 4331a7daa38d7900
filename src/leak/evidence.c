/* Evidence where no proof exists, and the allow-list that keeps the normal silent.
 *
 * A group is suspected when it grew from look to look and its goroutines stay (a busy pool's come
 * and go), or when very many goroutines stand at one
 * place for long. One look at a healthy server must stay silent: what idles by design (catalogue
 * rows B, and pools of workers) is allowed, and the thresholds are far above what idling shows. */
#include "leak/evidence.h"
#include "base/string_builder.h"
#include "leak/finding_internal.h"
#include <string.h>

enum {
    EVIDENCE_MANY = 1000,     /* at one place in one look: pools and idle connections stay below */
    EVIDENCE_GROWTHS_MIN = 2, /* looks with more than in all before: one may be chance */
    EVIDENCE_GROWTH_MIN = 2   /* goroutines more than at the first look */
};

/* Ten minutes: the age at which a request has long been given up. */
#define EVIDENCE_OLD_NS INT64_C(600000000000)

/* An allowed wait: any frame of the stack has this function, waiting for this reason (COUNT: any).
 */
struct evidence_allowed {
    const char *function;
    enum wait_reason reason;
    bool grows; /* growth from look to look is suspected all the same */
};

/* Rows 7, 16, 18, 55, 58 of the catalogue and what every server shows while idle; the first that
 * fits decides. Rows 35, 36, 38 and 45 are more and more of what is normal in small numbers; of a
 * client's connection, the reading half tells both. */
static const struct evidence_allowed evidence_allowed[] = {
    {"net/http.(*connReader).backgroundRead", WAIT_REASON_COUNT, false},
    {"net/http.(*conn).readRequest", WAIT_REASON_IO_WAIT, true},
    {"net/http.(*conn).serve", WAIT_REASON_IO_WAIT, false},
    {"net/http.(*persistConn).readLoop", WAIT_REASON_COUNT, true},
    {"net/http.(*persistConn).writeLoop", WAIT_REASON_SELECT, false},
    {"internal/poll.(*FD).Accept", WAIT_REASON_IO_WAIT, false},
    {"os/signal.signal_recv", WAIT_REASON_COUNT, false},
    {"os/signal.loop", WAIT_REASON_COUNT, false},
    {"database/sql.(*DB).connectionOpener", WAIT_REASON_SELECT, true},
    {"go.opencensus.io/stats/view.(*worker).start", WAIT_REASON_SELECT, false},
    {"testing.(*T).Parallel", WAIT_REASON_COUNT, false},
    {"testing.(*T).Run", WAIT_REASON_COUNT, false},
};

/* True when a frame of STACK has FUNCTION. */
static bool evidence_has_function(const struct snapshot *snapshot, uint32_t stack,
                                  const char *function)
{
    size_t count;
    const uint32_t *frames = snapshot_stack(snapshot, stack, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(snapshot_string(snapshot, snapshot_frame(snapshot, frames[i])->function),
                   function) == 0) {
            return true;
        }
    }
    return false;
}

/* True when GROUP, which GREW or did not, idles by design. */
static bool evidence_is_allowed(const struct snapshot *snapshot, const struct group *group,
                                bool grew)
{
    for (size_t i = 0; i < sizeof evidence_allowed / sizeof *evidence_allowed; i++) {
        const struct evidence_allowed *allowed = &evidence_allowed[i];
        if ((allowed->reason == WAIT_REASON_COUNT || group->wait_reason == allowed->reason) &&
            evidence_has_function(snapshot, group->stack, allowed->function)) {
            return !(grew && allowed->grows);
        }
    }
    return false;
}

/* Appends ", open descriptors grew from A to B" and the same for threads, when they did. */
static void evidence_add_resources(const struct finding_input *input, struct string_builder *clause)
{
    int64_t threads = snapshot_program(input->snapshot)->threads;
    if (input->descriptors_before != SNAPSHOT_UNKNOWN &&
        input->descriptors > input->descriptors_before) {
        string_builder_format(clause, ", open descriptors grew from %lld to %lld along with them",
                              (long long)input->descriptors_before, (long long)input->descriptors);
    }
    if (input->threads_before != SNAPSHOT_UNKNOWN && threads > input->threads_before) {
        string_builder_format(clause, ", threads grew from %lld to %lld along with them",
                              (long long)input->threads_before, (long long)threads);
    }
}

/* How many of GROUP's creators no longer exist. */
static size_t evidence_orphans(const struct snapshot *snapshot, const struct group *group)
{
    size_t total;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(snapshot, &total);
    size_t orphans = 0;
    for (size_t i = 0; i < group->count; i++) {
        uint64_t parent = goroutines[group->members[i]].parent;
        orphans += parent != 0 && snapshot_find_goroutine(snapshot, parent) == NULL;
    }
    return orphans;
}

/* Appends what the members' ages and creators add. */
static void evidence_add_state(const struct finding_input *input, const struct group *group,
                               struct string_builder *clause)
{
    size_t orphans = evidence_orphans(input->snapshot, group);
    if (group->age_max_ns != SNAPSHOT_UNKNOWN && group->age_max_ns >= EVIDENCE_OLD_NS) {
        string_builder_format(clause, ", the oldest for %lld minutes",
                              (long long)(group->age_max_ns / INT64_C(60000000000)));
    }
    if (orphans == group->count) {
        string_builder_add(clause, ", the goroutines that started them are gone");
    } else if (orphans > 0) {
        string_builder_format(clause, ", the starters of %zu of them are gone", orphans);
    }
    evidence_add_resources(input, clause);
}

/* True for growth that is no fluctuation: new heights again and again, and more goroutines that
 * stayed in their wait than there were at all in the beginning. */
static bool evidence_grew(const struct finding_history *history)
{
    return history != NULL && history->growths >= EVIDENCE_GROWTHS_MIN &&
           history->last_count >= history->first_count + EVIDENCE_GROWTH_MIN &&
           history->stayed > history->first_count;
}

struct error *evidence_weigh(const struct finding_input *input, const struct group *group,
                             char **ret)
{
    *ret = NULL;
    bool waits =
        group->status == GOROUTINE_STATUS_WAITING || group->status == GOROUTINE_STATUS_SYSCALL;
    const struct finding_history *history =
        finding_find_history(input, finding_key(input->snapshot, group->members[0]));
    bool grew = evidence_grew(history);
    if (!waits || evidence_is_allowed(input->snapshot, group, grew)) {
        return NULL;
    }
    struct string_builder clause = {0};
    bool nil = group->wait_reason == WAIT_REASON_CHAN_RECEIVE_NIL ||
               group->wait_reason == WAIT_REASON_CHAN_SEND_NIL;
    if (grew) {
        string_builder_format(&clause, "it grew from %llu to %llu goroutines over %u looks",
                              (unsigned long long)history->first_count,
                              (unsigned long long)history->last_count, history->looks);
    } else if (group->goroutines >= EVIDENCE_MANY && group->age_max_ns != SNAPSHOT_UNKNOWN &&
               group->age_max_ns >= EVIDENCE_OLD_NS) {
        string_builder_format(&clause, "%llu goroutines stand at one place",
                              (unsigned long long)group->goroutines);
    } else if (nil && (input->verdicts == NULL ||
                       input->verdicts[group->members[0]].reason == LEAK_REASON_NO_MEMORY)) {
        string_builder_add(&clause, "a nil channel never lets anybody go on");
    } else {
        return NULL;
    }
    evidence_add_state(input, group, &clause);
    struct error *error = string_builder_take(&clause, ret);
    string_builder_deinit(&clause);
    return error;
}
