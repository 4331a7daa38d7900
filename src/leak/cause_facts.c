/* Facts of a finding, read off its stack, its objects and the references between the stuck. */
#include "leak/cause_facts.h"
#include "base/hash_map.h"
#include "leak/cause_facts_internal.h"
#include "leak/finding_internal.h"
#include <string.h>

/* Members that are compared with each other; more would say the same. */
enum { FACTS_MEMBERS_MAX = 4096, FACTS_FRAMES_MAX = 64 };

/* Goroutines among which possible holders are looked for. */
enum { FACTS_INSIDE_MAX = 1 << 16, FACTS_RWMUTEXES_MAX = 256 };

/* The function of frame ID. */
static const char *facts_function(const struct finding_input *input, uint32_t id)
{
    return snapshot_string(input->snapshot, snapshot_frame(input->snapshot, id)->function);
}

/* True when frame ID is of a function with TEXT in its name, and LIBRARY permits it. */
static bool facts_frame_has(const struct finding_input *input, uint32_t id, const char *text,
                            bool library)
{
    uint32_t flags = snapshot_frame(input->snapshot, id)->flags;
    return (library || (flags & (FRAME_RUNTIME | FRAME_STANDARD_LIBRARY)) == 0) &&
           strstr(facts_function(input, id), text) != NULL;
}

const char *cause_facts_find_function(const struct finding_input *input,
                                      const struct finding *finding, const char *text, bool library,
                                      enum cause_place *place_ret)
{
    size_t count;
    const uint32_t *frames = snapshot_stack(input->snapshot, finding->stack, &count);
    *place_ret = CAUSE_PLACE_STACK;
    for (size_t i = 0; i < count; i++) {
        if (facts_frame_has(input, frames[i], text, library)) {
            return facts_function(input, frames[i]);
        }
    }
    *place_ret = CAUSE_PLACE_WAKER;
    for (size_t i = 0; i < finding->waker_count; i++) {
        if (strstr(finding->wakers[i].function, text) != NULL) {
            return finding->wakers[i].function;
        }
    }
    *place_ret = CAUSE_PLACE_CREATOR;
    return finding->creator != 0 && facts_frame_has(input, finding->creator, text, library)
               ? facts_function(input, finding->creator)
               : NULL;
}

/* What a goroutine in WAIT_REASON and STATUS waits in. */
static uint64_t facts_wait(uint8_t status, uint8_t wait_reason)
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
    case WAIT_REASON_COROUTINE:
        return FACT_COROUTINE;
    default:
        return 0;
    }
}

/* What channel OBJECT adds. Before Go 1.23 a timer's channel is told by its shape. */
static uint64_t facts_channel(const struct snapshot *snapshot, const struct snapshot_object *object)
{
    const char *element = snapshot_string(snapshot, object->channel.element_type);
    int64_t capacity = object->channel.capacity;
    bool empty = strcmp(element, "struct {}") == 0 || strcmp(element, "struct{}") == 0;
    bool timer = object->channel.timer == 1 || (strcmp(element, "time.Time") == 0 && capacity == 1);
    uint64_t facts = timer ? FACT_TIMER : 0;
    if (capacity == 0 && !timer) {
        facts |= FACT_UNBUFFERED | (empty ? FACT_SIGNAL : 0);
    } else if (capacity > 0 && !timer) {
        facts |= (object->channel.length == capacity ? FACT_FULL : 0) | (empty ? FACT_TOKENS : 0);
    }
    return facts;
}

/* What RWMutex OBJECT adds for one who waits in DIRECTION. */
static uint64_t facts_rwmutex(const struct snapshot_object *object, uint32_t direction)
{
    bool writer = object->rwmutex.writer == 1;
    bool reads = object->rwmutex.readers_left > 0;
    return FACT_RWMUTEX | (direction == DIRECTION_READ_LOCK ? FACT_RLOCK : FACT_LOCK) |
           (writer && reads ? FACT_WRITER : 0) | (writer && !reads ? FACT_WRITE_HELD : 0);
}

/* What the objects that GOROUTINE waits for add: semaphores of old releases say there what they
 * are. */
static uint64_t facts_object(const struct finding_input *input,
                             const struct snapshot_goroutine *goroutine)
{
    size_t count;
    uint64_t facts = 0;
    const struct snapshot_wait *waits = snapshot_waits(input->snapshot, goroutine, &count);
    for (size_t i = 0; i < count; i++) {
        const struct snapshot_object *object = snapshot_object(input->snapshot, waits[i].object);
        switch ((enum snapshot_object_kind)object->kind) {
        case OBJECT_CHANNEL:
            facts |= facts_channel(input->snapshot, object) |
                     (waits[i].direction == DIRECTION_SEND ? FACT_SENDS : 0);
            break;
        case OBJECT_MUTEX:
            facts |= FACT_LOCK;
            break;
        case OBJECT_RWMUTEX:
            facts |= facts_rwmutex(object, waits[i].direction);
            break;
        case OBJECT_WAIT_GROUP:
            facts |= FACT_WAIT_GROUP;
            break;
        case OBJECT_NIL_CHANNEL:
            facts |= FACT_NIL;
            break;
        default:
            break;
        }
    }
    return facts;
}

/* True when STACK holds the function NAME. */
static bool facts_has_frame(const struct finding_input *input, uint32_t stack, const char *name)
{
    size_t count;
    const uint32_t *frames = snapshot_stack(input->snapshot, stack, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(facts_function(input, frames[i]), name) == 0) {
            return true;
        }
    }
    return false;
}

/* Adds to FACTS what those who wait for RWMutex OBJECT say: whether one wants to read, and, where
 * its words could not be read, what that means. A reader waits only for a writer that has it or
 * waits for readers; a writer that waits for another writer waits in the inner mutex. */
static struct error *facts_rwmutex_waiters(const struct finding_input *input, uint32_t object,
                                           uint64_t *facts)
{
    const uint32_t *goroutines;
    const uint8_t *directions;
    size_t count, total;
    bool reader = false;
    bool writer = false;
    const struct snapshot_goroutine *all = snapshot_goroutines(input->snapshot, &total);
    TRY(snapshot_object_waiters(input->snapshot, object, &goroutines, &directions, &count));
    for (size_t i = 0; i < count; i++) {
        reader = reader || directions[i] == DIRECTION_READ_LOCK;
        writer =
            writer ||
            (directions[i] == DIRECTION_LOCK &&
             !facts_has_frame(input, all[goroutines[i]].stack, "sync.(*Mutex).lockSlow") &&
             !facts_has_frame(input, all[goroutines[i]].stack, "internal/sync.(*Mutex).lockSlow"));
    }
    *facts |= reader ? FACT_READERS : 0;
    if (snapshot_object(input->snapshot, object)->rwmutex.writer == -1) {
        *facts |= writer ? FACT_WRITER : reader ? FACT_WRITE_HELD : 0;
    }
    return NULL;
}

/* Adds to FACTS what those who wait for the RWMutexes of FINDING say. */
static struct error *facts_readers(const struct finding_input *input, const struct finding *finding,
                                   uint64_t *facts)
{
    size_t total;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(input->snapshot, &total);
    for (size_t i = 0; (*facts & (FACT_RWMUTEX | FACT_READERS)) == FACT_RWMUTEX &&
                       i < finding->count && i < FACTS_RWMUTEXES_MAX;
         i++) {
        size_t count;
        const struct snapshot_wait *waits =
            snapshot_waits(input->snapshot, &goroutines[finding->members[i]], &count);
        for (size_t j = 0; j < count; j++) {
            if (snapshot_object(input->snapshot, waits[j].object)->kind == OBJECT_RWMUTEX) {
                TRY(facts_rwmutex_waiters(input, waits[j].object, facts));
            }
        }
    }
    return NULL;
}

/* One number for everything that a goroutine waits for. */
static uint64_t facts_wait_key(const struct finding_input *input,
                               const struct snapshot_goroutine *goroutine)
{
    size_t count;
    uint64_t key = 0;
    const struct snapshot_wait *waits = snapshot_waits(input->snapshot, goroutine, &count);
    for (size_t i = 0; i < count; i++) {
        key = hash_u64(key ^ ((uint64_t)waits[i].object + 1));
    }
    return key;
}

/* Adds to FACTS how the members share what they wait for. */
static struct error *facts_sharing(const struct finding_input *input, const struct finding *finding,
                                   uint64_t *facts)
{
    struct hash_map keys = {0};
    size_t total;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(input->snapshot, &total);
    size_t looked = finding->count < FACTS_MEMBERS_MAX ? finding->count : FACTS_MEMBERS_MAX;
    struct error *error = NULL;
    for (size_t i = 0; i < looked && error == NULL && finding->object != UINT32_MAX; i++) {
        error = hash_map_put(&keys, facts_wait_key(input, &goroutines[finding->members[i]]), 1);
    }
    size_t distinct = hash_map_count(&keys);
    hash_map_deinit(&keys);
    if (distinct > 0 && looked > distinct) {
        *facts |= FACT_SHARED | (distinct > 1 ? FACT_POOLS : 0);
    }
    return error;
}

/* The innermost frame outside of the runtime and the standard library, or 0; *ONLY_RET when there
 * is no other. */
static uint32_t facts_user_frame(const struct finding_input *input, const struct finding *finding,
                                 bool *only_ret)
{
    size_t count;
    uint32_t found = 0;
    const uint32_t *frames = snapshot_stack(input->snapshot, finding->stack, &count);
    *only_ret = true;
    for (size_t i = 0; i < count; i++) {
        uint32_t flags = snapshot_frame(input->snapshot, frames[i])->flags;
        bool wrapper = strstr(facts_function(input, frames[i]), ".gowrap") != NULL;
        if ((flags & (FRAME_RUNTIME | FRAME_STANDARD_LIBRARY | FRAME_WRAPPER)) == 0 && !wrapper) {
            *only_ret = found == 0;
            if (found != 0) {
                break;
            }
            found = frames[i];
        }
    }
    return found;
}

size_t cause_facts_receiver(const char *name)
{
    const char *open = strstr(name, "(*");
    const char *close = open == NULL ? NULL : strchr(open, ')');
    return close == NULL ? 0 : (size_t)(close - name) + 1;
}

/* The receiver type of the user's frame ID, with its size; size 0 for what is no method of a user.
 */
static const char *facts_user_receiver(const struct finding_input *input, uint32_t id, size_t *size)
{
    uint32_t flags = snapshot_frame(input->snapshot, id)->flags;
    const char *name = facts_function(input, id);
    *size =
        (flags & (FRAME_RUNTIME | FRAME_STANDARD_LIBRARY)) != 0 ? 0 : cause_facts_receiver(name);
    return name;
}

/* True when two user frames are methods of one type, next to each other or not: a callback may lie
 * between. */
static bool facts_type_twice(const struct finding_input *input, const struct finding *finding)
{
    size_t count;
    const uint32_t *frames = snapshot_stack(input->snapshot, finding->stack, &count);
    count = count < FACTS_FRAMES_MAX ? count : FACTS_FRAMES_MAX;
    for (size_t i = 0; i < count; i++) {
        size_t size, other_size;
        const char *name = facts_user_receiver(input, frames[i], &size);
        for (size_t j = i + 1; size > 0 && j < count; j++) {
            const char *other = facts_user_receiver(input, frames[j], &other_size);
            if (other_size == size && strncmp(name, other, size) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* True when the user's outermost frame is a method, not a closure in one. */
static bool facts_is_loop(const struct finding_input *input, const struct finding *finding)
{
    size_t count;
    bool loop = false;
    const uint32_t *frames = snapshot_stack(input->snapshot, finding->stack, &count);
    for (size_t i = 0; i < count; i++) {
        const char *name = facts_function(input, frames[i]);
        uint32_t flags = snapshot_frame(input->snapshot, frames[i])->flags;
        if ((flags & (FRAME_RUNTIME | FRAME_STANDARD_LIBRARY | FRAME_WRAPPER)) == 0 &&
            strstr(name, ".gowrap") == NULL) {
            loop = cause_facts_receiver(name) != 0 && strstr(name, ".func") == NULL;
        }
    }
    return loop;
}

/* What the stack and the creator's site add. */
static uint64_t facts_stack(const struct finding_input *input, const struct finding *finding)
{
    uint64_t facts = 0;
    bool only;
    uint32_t user = facts_user_frame(input, finding, &only);
    if (user != 0) {
        const char *name = facts_function(input, user);
        facts |= only ? FACT_START : 0;
        facts |= strstr(name, ".func") != NULL ? FACT_CLOSURE : 0;
        facts |= cause_facts_receiver(name) != 0 ? FACT_METHOD : 0;
    }
    facts |= facts_type_twice(input, finding) ? FACT_TYPE_TWICE : 0;
    facts |= facts_is_loop(input, finding) ? FACT_LOOP : 0;
    return facts;
}

/* True when goroutine ID is known and proved stuck. */
static bool facts_is_stuck(const struct finding_input *input, uint64_t id)
{
    size_t total;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(input->snapshot, &total);
    const struct snapshot_goroutine *found =
        id == 0 ? NULL : snapshot_find_goroutine(input->snapshot, id);
    return found != NULL && input->verdicts != NULL &&
           input->verdicts[found - goroutines].verdict == LEAK_VERDICT_PROVED;
}

/* What the creators of the members add. */
static uint64_t facts_creators(const struct finding_input *input, const struct finding *finding)
{
    size_t total;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(input->snapshot, &total);
    size_t gone = 0;
    size_t siblings = 0;
    size_t stuck = 0;
    uint64_t first = goroutines[finding->members[0]].parent;
    for (size_t i = 0; i < finding->count; i++) {
        uint64_t parent = goroutines[finding->members[i]].parent;
        gone += parent != 0 && snapshot_find_goroutine(input->snapshot, parent) == NULL;
        siblings += parent == first;
        stuck += facts_is_stuck(input, parent);
    }
    return (gone == finding->count ? FACT_CREATOR_GONE : 0) |
           (stuck == finding->count ? FACT_CREATOR_STUCK : 0) |
           (siblings > 1 && first != 0 ? FACT_MANY : 0);
}

bool cause_facts_is_inside(const struct finding_input *input, uint32_t stack, const char *name)
{
    size_t receiver = cause_facts_receiver(name);
    size_t count;
    const uint32_t *frames = snapshot_stack(input->snapshot, stack, &count);
    for (size_t i = 0; i < count; i++) {
        const char *other = facts_function(input, frames[i]);
        if (receiver > 0 ? strncmp(other, name, receiver) == 0 : strcmp(other, name) == 0) {
            return true;
        }
    }
    return false;
}

/* What goroutines inside the function that FINDING waits in add, for locks without a proof. */
static uint64_t facts_inside(const struct finding_input *input, const struct finding *finding)
{
    static const struct {
        uint64_t waits, fact;
    } kinds[] = {
        {FACT_SEND, FACT_INSIDE_SENDS},
        {FACT_RECEIVE | FACT_SELECT, FACT_INSIDE_RECEIVES},
        {FACT_IO | FACT_SYSCALL | FACT_SLEEP, FACT_INSIDE_IO},
    };
    size_t total;
    bool only;
    uint64_t facts = 0;
    uint32_t user = facts_user_frame(input, finding, &only);
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(input->snapshot, &total);
    for (size_t i = 0; i < total && i < FACTS_INSIDE_MAX && user != 0; i++) {
        uint64_t waits = facts_wait(goroutines[i].status, goroutines[i].wait_reason);
        for (size_t j = 0; j < sizeof kinds / sizeof *kinds; j++) {
            if ((waits & kinds[j].waits) != 0 && (facts & kinds[j].fact) == 0 &&
                cause_facts_is_inside(input, goroutines[i].stack, facts_function(input, user))) {
                facts |= kinds[j].fact;
            }
        }
    }
    return facts;
}

uint64_t cause_facts_waiting(const struct finding_input *input,
                             const struct snapshot_goroutine *goroutine)
{
    return facts_wait(goroutine->status, goroutine->wait_reason) | facts_object(input, goroutine);
}

const char *cause_facts_user_function(const struct finding_input *input,
                                      const struct finding *finding)
{
    bool only;
    uint32_t user = facts_user_frame(input, finding, &only);
    return user == 0 ? NULL : facts_function(input, user);
}

struct error *cause_facts(const struct finding_input *input, const struct finding *finding,
                          uint64_t *ret)
{
    size_t total;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(input->snapshot, &total);
    uint64_t facts = facts_wait(finding->status, finding->wait_reason) |
                     facts_object(input, &goroutines[finding->members[0]]) |
                     facts_stack(input, finding) | facts_creators(input, finding);
    TRY(cause_facts_partners(input, finding, &facts));
    TRY(facts_sharing(input, finding, &facts));
    TRY(facts_readers(input, finding, &facts));
    if ((facts & FACT_RECEIVE) != 0 &&
        facts_has_frame(input, finding->stack, "runtime.chanrecv2")) {
        facts = (facts & ~FACT_RECEIVE) | FACT_RANGE;
    }
    if ((facts & (FACT_LOCK | FACT_RLOCK)) != 0 && finding->verdict != LEAK_VERDICT_PROVED) {
        facts |= facts_inside(input, finding);
    }
    facts |= finding->verdict == LEAK_VERDICT_PROVED ? FACT_PROVED : FACT_NOT_PROVED;
    *ret = facts;
    return NULL;
}
