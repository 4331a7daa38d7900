/* Wait reasons name the primitive from Go 1.20 on (wait groups from 1.24 on); before, and for raw
 * semaphores, the frames do. A writer that waits behind another writer of an RWMutex waits for its
 * inner mutex, which only the frames tell. */
#include "goruntime/semaphore.h"
#include <string.h>

/* Offsets in sync.Mutex, RWMutex, WaitGroup and internal/poll.FD, equal in Go 1.18 to 1.27. */
enum {
    SEMAPHORE_MUTEX = 4,
    SEMAPHORE_RWMUTEX_WRITER = 8,
    SEMAPHORE_RWMUTEX_READER = 12,
    SEMAPHORE_WAIT_GROUP = 8
};

enum semaphore_role {
    SEMAPHORE_ROLE_NONE,
    SEMAPHORE_ROLE_READ_LOCK,
    SEMAPHORE_ROLE_WRITE_LOCK,
    SEMAPHORE_ROLE_CLOSE,
    SEMAPHORE_ROLE_COUNT
};

/* What a function on the stack means. */
struct semaphore_function {
    const char *name;
    struct semaphore_use use;
};

static const struct semaphore_use semaphore_mutex = {OBJECT_MUTEX, DIRECTION_LOCK, SEMAPHORE_MUTEX,
                                                     0};
static const struct semaphore_use semaphore_reader = {OBJECT_RWMUTEX, DIRECTION_READ_LOCK,
                                                      SEMAPHORE_RWMUTEX_READER, 0};
static const struct semaphore_use semaphore_writer = {OBJECT_RWMUTEX, DIRECTION_LOCK,
                                                      SEMAPHORE_RWMUTEX_WRITER, 0};
static const struct semaphore_use semaphore_second_writer = {OBJECT_RWMUTEX, DIRECTION_LOCK,
                                                             SEMAPHORE_MUTEX, 0};
static const struct semaphore_use semaphore_wait_group = {OBJECT_WAIT_GROUP, DIRECTION_WAIT,
                                                          SEMAPHORE_WAIT_GROUP, 0};
static const struct semaphore_use semaphore_raw = {OBJECT_SEMAPHORE, DIRECTION_WAIT, 0, 0};

/* The outcome of the first of these functions, seen from the inside. */
static const struct semaphore_function semaphore_functions[] = {
    {"sync.(*RWMutex).RLock", {OBJECT_RWMUTEX, DIRECTION_READ_LOCK, SEMAPHORE_RWMUTEX_READER, 0}},
    {"sync.(*RWMutex).Lock", {OBJECT_RWMUTEX, DIRECTION_LOCK, SEMAPHORE_RWMUTEX_WRITER, 0}},
    {"sync.(*WaitGroup).Wait", {OBJECT_WAIT_GROUP, DIRECTION_WAIT, SEMAPHORE_WAIT_GROUP, 0}},
    {"internal/poll.(*FD).readLock",
     {OBJECT_SEMAPHORE, DIRECTION_READ_LOCK, 0, SEMAPHORE_ROLE_READ_LOCK}},
    {"internal/poll.(*FD).writeLock",
     {OBJECT_SEMAPHORE, DIRECTION_LOCK, 0, SEMAPHORE_ROLE_WRITE_LOCK}},
    {"internal/poll.(*FD).Close", {OBJECT_SEMAPHORE, DIRECTION_WAIT, 0, SEMAPHORE_ROLE_CLOSE}},
};

/* Functions between those above and the semaphore: they are looked through. */
static const char *const semaphore_inner[] = {
    "runtime.",
    "sync.runtime_",
    "internal/sync.runtime_",
    "internal/poll.runtime_",
    "internal/poll.(*fdMutex).",
};

/* Frees the memory. */
void semaphore_classifier_deinit(struct semaphore_classifier *classifier)
{
    hash_map_deinit(&classifier->known);
}

/* Roles in words. */
const char *semaphore_role_text(uint8_t role)
{
    static const char *const texts[SEMAPHORE_ROLE_COUNT] = {"", "poll.FD read lock",
                                                            "poll.FD write lock", "poll.FD close"};
    return role < SEMAPHORE_ROLE_COUNT ? texts[role] : "";
}

/* True when NAME is a method of sync.Mutex, whose package changed in Go 1.24. */
static bool semaphore_is_mutex(const char *name)
{
    return strncmp(name, "sync.(*Mutex).", strlen("sync.(*Mutex).")) == 0 ||
           strncmp(name, "internal/sync.(*Mutex).", strlen("internal/sync.(*Mutex).")) == 0;
}

/* True when NAME is looked through. */
static bool semaphore_is_inner(const char *name)
{
    for (size_t i = 0; i < sizeof semaphore_inner / sizeof *semaphore_inner; i++) {
        if (strncmp(name, semaphore_inner[i], strlen(semaphore_inner[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* What the frames of STACK say, innermost first. */
static struct semaphore_use semaphore_by_frames(const struct snapshot *snapshot, uint32_t stack)
{
    size_t count;
    const uint32_t *frames = snapshot_stack(snapshot, stack, &count);
    bool mutex = false;
    for (size_t i = 0; i < count; i++) {
        const char *name = snapshot_string(snapshot, snapshot_frame(snapshot, frames[i])->function);
        if (semaphore_is_mutex(name)) {
            mutex = true;
            continue;
        }
        if (mutex) {
            return strcmp(name, "sync.(*RWMutex).Lock") == 0 ? semaphore_second_writer
                                                             : semaphore_mutex;
        }
        for (size_t k = 0; k < sizeof semaphore_functions / sizeof *semaphore_functions; k++) {
            if (strcmp(name, semaphore_functions[k].name) == 0) {
                return semaphore_functions[k].use;
            }
        }
        if (!semaphore_is_inner(name)) {
            return semaphore_raw;
        }
    }
    return mutex ? semaphore_mutex : semaphore_raw;
}

/* The wait reason first, the frames where it leaves something open. */
static struct semaphore_use semaphore_decide(const struct snapshot *snapshot, uint32_t stack,
                                             enum wait_reason reason)
{
    struct semaphore_use by_frames =
        stack != 0 ? semaphore_by_frames(snapshot, stack) : semaphore_raw;
    switch (reason) {
    case WAIT_REASON_SYNC_MUTEX_LOCK:
        return by_frames.kind == OBJECT_RWMUTEX ? semaphore_second_writer : semaphore_mutex;
    case WAIT_REASON_SYNC_RWMUTEX_RLOCK:
        return semaphore_reader;
    case WAIT_REASON_SYNC_RWMUTEX_LOCK:
        return semaphore_writer;
    case WAIT_REASON_SYNC_WAITGROUP_WAIT:
    case WAIT_REASON_SYNC_WAITGROUP_WAIT_DURABLE:
        return semaphore_wait_group;
    default:
        return by_frames;
    }
}

/* Decides once per stack and reason. */
struct error *semaphore_classify(struct semaphore_classifier *classifier,
                                 const struct wait_resolver *resolver, uint32_t index,
                                 struct semaphore_use *ret)
{
    uint32_t stack = wait_goroutine(resolver, index)->stack;
    enum wait_reason reason = (enum wait_reason)resolver->parked[index].wait_reason;
    uint64_t *packed;
    bool added;
    TRY(hash_map_entry(&classifier->known, (uint64_t)stack << 8 | reason, 0, &added, &packed));
    if (added) {
        struct semaphore_use use = semaphore_decide(resolver->snapshot, stack, reason);
        memcpy(packed, &use, sizeof use);
    }
    memcpy(ret, packed, sizeof *ret);
    return NULL;
}
