/* Facts of a finding, read off its stack, its objects and the references between the stuck. */
#include "leak/cause_facts.h"
#include <string.h>

/* The function of frame ID. */
static const char *facts_function(const struct finding_input *input, uint32_t id)
{
    return snapshot_string(input->snapshot, snapshot_frame(input->snapshot, id)->function);
}

bool cause_facts_has_function(const struct finding_input *input, const struct finding *finding,
                              const char *text)
{
    size_t count;
    const uint32_t *frames = snapshot_stack(input->snapshot, finding->stack, &count);
    for (size_t i = 0; i < count; i++) {
        if (strstr(facts_function(input, frames[i]), text) != NULL) {
            return true;
        }
    }
    return finding->creator != 0 && strstr(facts_function(input, finding->creator), text) != NULL;
}

/* What a goroutine in WAIT_REASON and STATUS waits in. */
static unsigned facts_wait(uint8_t status, uint8_t wait_reason)
{
    if (status == GOROUTINE_STATUS_SYSCALL) {
        return FACT_SYSCALL;
    }
    switch ((enum wait_reason)wait_reason) {
    case WAIT_REASON_CHAN_SEND:
    case WAIT_REASON_CHAN_SEND_DURABLE:
        return FACT_SEND;
    case WAIT_REASON_CHAN_RECEIVE:
    case WAIT_REASON_CHAN_RECEIVE_DURABLE:
        return FACT_RECEIVE;
    case WAIT_REASON_SELECT:
    case WAIT_REASON_SELECT_DURABLE:
        return FACT_SELECT;
    case WAIT_REASON_CHAN_RECEIVE_NIL:
    case WAIT_REASON_CHAN_SEND_NIL:
        return FACT_NIL;
    case WAIT_REASON_SELECT_NO_CASES:
        return FACT_EMPTY;
    case WAIT_REASON_SYNC_MUTEX_LOCK:
    case WAIT_REASON_SYNC_RWMUTEX_LOCK:
        return FACT_LOCK;
    case WAIT_REASON_SYNC_RWMUTEX_RLOCK:
        return FACT_RLOCK;
    case WAIT_REASON_SYNC_WAITGROUP_WAIT:
    case WAIT_REASON_SYNC_WAITGROUP_WAIT_DURABLE:
        return FACT_WAIT_GROUP;
    case WAIT_REASON_SYNC_COND_WAIT:
        return FACT_COND;
    case WAIT_REASON_IO_WAIT:
        return FACT_IO;
    case WAIT_REASON_SLEEP:
        return FACT_SLEEP;
    default:
        return 0;
    }
}

/* What the object that GOROUTINE waits for adds: semaphores of old releases say there what they
 * are. */
static unsigned facts_object(const struct finding_input *input,
                             const struct snapshot_goroutine *goroutine)
{
    size_t count;
    unsigned facts = 0;
    const struct snapshot_wait *waits = snapshot_waits(input->snapshot, goroutine, &count);
    for (size_t i = 0; i < count; i++) {
        const struct snapshot_object *object = snapshot_object(input->snapshot, waits[i].object);
        switch ((enum snapshot_object_kind)object->kind) {
        case OBJECT_CHANNEL:
            facts |= object->channel.capacity == 0 ? FACT_UNBUFFERED : 0;
            facts |=
                object->channel.capacity > 0 && object->channel.length == object->channel.capacity
                    ? FACT_FULL
                    : 0;
            facts |= object->channel.timer == 1 ? FACT_TIMER : 0;
            break;
        case OBJECT_MUTEX:
            facts |= FACT_LOCK;
            break;
        case OBJECT_RWMUTEX:
            facts |= FACT_RWMUTEX;
            facts |= waits[i].direction == DIRECTION_READ_LOCK ? FACT_RLOCK : FACT_LOCK;
            break;
        case OBJECT_WAIT_GROUP:
            facts |= FACT_WAIT_GROUP;
            break;
        default:
            break;
        }
    }
    return facts;
}

/* The innermost frame outside of the runtime and the standard library, or 0. */
static uint32_t facts_user_frame(const struct finding_input *input, const struct finding *finding)
{
    size_t count;
    const uint32_t *frames = snapshot_stack(input->snapshot, finding->stack, &count);
    for (size_t i = 0; i < count; i++) {
        uint32_t flags = snapshot_frame(input->snapshot, frames[i])->flags;
        if ((flags & (FRAME_RUNTIME | FRAME_STANDARD_LIBRARY | FRAME_WRAPPER)) == 0) {
            return frames[i];
        }
    }
    return 0;
}

/* Size of the receiver part of a method's NAME ("main.(*T)"), 0 for functions. */
static size_t facts_receiver(const char *name)
{
    const char *open = strstr(name, "(*");
    const char *close = open == NULL ? NULL : strchr(open, ')');
    return close == NULL ? 0 : (size_t)(close - name) + 1;
}

/* True when two user frames are methods of one type. */
static bool facts_type_twice(const struct finding_input *input, const struct finding *finding)
{
    const char *last = NULL;
    size_t count;
    const uint32_t *frames = snapshot_stack(input->snapshot, finding->stack, &count);
    for (size_t i = 0; i < count; i++) {
        const struct snapshot_frame *frame = snapshot_frame(input->snapshot, frames[i]);
        const char *name = facts_function(input, frames[i]);
        size_t size = facts_receiver(name);
        if (size == 0 || (frame->flags & (FRAME_RUNTIME | FRAME_STANDARD_LIBRARY)) != 0) {
            continue;
        }
        if (last != NULL && facts_receiver(last) == size && strncmp(last, name, size) == 0) {
            return true;
        }
        last = name;
    }
    return false;
}

/* What the stack and the creator's site add. */
static unsigned facts_stack(const struct finding_input *input, const struct finding *finding)
{
    unsigned facts = 0;
    uint32_t user = facts_user_frame(input, finding);
    if (user != 0) {
        const char *name = facts_function(input, user);
        facts |= strstr(name, ".func") != NULL ? FACT_CLOSURE : 0;
        facts |= facts_receiver(name) != 0 ? FACT_METHOD : 0;
    }
    facts |= facts_type_twice(input, finding) ? FACT_TYPE_TWICE : 0;
    return facts;
}

/* What the creators of the members add. */
static unsigned facts_creators(const struct finding_input *input, const struct finding *finding)
{
    size_t total;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(input->snapshot, &total);
    size_t gone = 0;
    size_t stuck = 0;
    size_t siblings = 0;
    uint64_t first = goroutines[finding->members[0]].parent;
    for (size_t i = 0; i < finding->count; i++) {
        uint64_t parent = goroutines[finding->members[i]].parent;
        const struct snapshot_goroutine *creator =
            parent == 0 ? NULL : snapshot_find_goroutine(input->snapshot, parent);
        gone += parent != 0 && creator == NULL;
        stuck += creator != NULL && input->verdicts != NULL &&
                 input->verdicts[creator - goroutines].verdict == LEAK_VERDICT_PROVED;
        siblings += parent == first;
    }
    return (gone == finding->count ? FACT_CREATOR_GONE : 0u) |
           (stuck > 0 ? FACT_CREATOR_STUCK : 0u) | (siblings > 1 && first != 0 ? FACT_MANY : 0u);
}

/* What the goroutines that refer to the object add. */
static unsigned facts_partners(const struct finding_input *input, const struct finding *finding)
{
    size_t total;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(input->snapshot, &total);
    unsigned facts = finding->waker_count == 0 ? FACT_NO_PARTNER : 0;
    for (size_t i = 0; i < finding->waker_count; i++) {
        const struct snapshot_goroutine *partner = &goroutines[finding->wakers[i].goroutine];
        unsigned waits =
            facts_wait(partner->status, partner->wait_reason) | facts_object(input, partner);
        facts |= (waits & FACT_SEND) != 0 ? FACT_PARTNER_SENDS : 0;
        facts |= (waits & (FACT_LOCK | FACT_RLOCK)) != 0 ? FACT_PARTNER_LOCKS : 0;
        facts |=
            (waits & (FACT_WAIT_GROUP | FACT_RECEIVE | FACT_SELECT)) != 0 ? FACT_PARTNER_WAITS : 0;
    }
    return facts;
}

/* True when INDEX is a member of FINDING. */
static bool facts_is_member(const struct finding *finding, uint32_t index)
{
    for (size_t i = 0; i < finding->count && i < 64; i++) {
        if (finding->members[i] == index) {
            return true;
        }
    }
    return false;
}

/* True when others wait for a lock that a member refers to. */
static bool facts_holds_lock(const struct finding_input *input, const struct finding *finding)
{
    for (size_t i = 0; i < input->reference_count; i++) {
        const struct snapshot_object *object =
            snapshot_object(input->snapshot, input->references[i].object);
        if ((object->kind == OBJECT_MUTEX || object->kind == OBJECT_RWMUTEX) &&
            facts_is_member(finding, input->references[i].goroutine)) {
            return true;
        }
    }
    return false;
}

unsigned cause_facts(const struct finding_input *input, const struct finding *finding)
{
    size_t total;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(input->snapshot, &total);
    unsigned facts = facts_wait(finding->status, finding->wait_reason) |
                     facts_object(input, &goroutines[finding->members[0]]) |
                     facts_stack(input, finding) | facts_creators(input, finding) |
                     facts_partners(input, finding);
    if ((facts & FACT_RECEIVE) != 0 &&
        cause_facts_has_function(input, finding, "runtime.chanrecv2")) {
        facts = (facts & ~(unsigned)FACT_RECEIVE) | FACT_RANGE;
    }
    facts |= finding->object_count > 0 && finding->count > finding->object_count ? FACT_SHARED : 0;
    facts |= facts_holds_lock(input, finding) ? FACT_HOLDS_LOCK : 0;
    facts |= finding->class_ == LEAK_CLASS_CYCLE ? FACT_CYCLE : 0;
    facts |= finding->verdict == LEAK_VERDICT_PROVED ? FACT_PROVED : 0;
    return facts;
}
