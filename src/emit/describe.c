#include "emit/describe.h"

#define DESCRIBE_US 1000LL
#define DESCRIBE_MS (1000 * DESCRIBE_US)
#define DESCRIBE_S (1000 * DESCRIBE_MS)
#define DESCRIBE_M (60 * DESCRIBE_S)
#define DESCRIBE_H (60 * DESCRIBE_M)
#define DESCRIBE_D (24 * DESCRIBE_H)

/* Appends NS in UNIT, with one decimal below 100 of it when the decimal is not 0. */
static void describe_decimal(struct string_builder *builder, int64_t ns, int64_t unit,
                             const char *name)
{
    int64_t whole = ns / unit;
    int64_t tenth = ns % unit / (unit / 10);
    if (whole < 100 && tenth != 0) {
        string_builder_add_u64(builder, (uint64_t)whole);
        string_builder_add_char(builder, '.');
        string_builder_add_char(builder, (char)('0' + tenth));
    } else {
        string_builder_add_u64(builder, (uint64_t)whole);
    }
    string_builder_add(builder, name);
}

/* Appends NS in two units. */
static void describe_two(struct string_builder *builder, int64_t ns, int64_t unit, const char *name,
                         int64_t minor, const char *minor_name)
{
    uint64_t rest = (uint64_t)(ns % unit / minor);
    string_builder_add_u64(builder, (uint64_t)(ns / unit));
    string_builder_add(builder, name);
    string_builder_add(builder, rest < 10 ? "0" : "");
    string_builder_add_u64(builder, rest);
    string_builder_add(builder, minor_name);
}

/* Appends a duration. */
void describe_duration(struct string_builder *builder, int64_t ns)
{
    if (ns < 0) {
        string_builder_add_char(builder, '-');
        ns = ns == INT64_MIN ? INT64_MAX : -ns;
    }
    if (ns == 0) {
        string_builder_add(builder, "0s");
    } else if (ns < DESCRIBE_US) {
        string_builder_format(builder, "%lldns", (long long)ns);
    } else if (ns < DESCRIBE_MS) {
        describe_decimal(builder, ns, DESCRIBE_US, "us");
    } else if (ns < DESCRIBE_S) {
        describe_decimal(builder, ns, DESCRIBE_MS, "ms");
    } else if (ns < DESCRIBE_M) {
        describe_decimal(builder, ns, DESCRIBE_S, "s");
    } else if (ns < DESCRIBE_H) {
        describe_two(builder, ns, DESCRIBE_M, "m", DESCRIBE_S, "s");
    } else if (ns < DESCRIBE_D) {
        describe_two(builder, ns, DESCRIBE_H, "h", DESCRIBE_M, "m");
    } else {
        describe_two(builder, ns, DESCRIBE_D, "d", DESCRIBE_H, "h");
    }
}

/* Appends a string of the target's. */
void describe_string(struct string_builder *builder, const struct snapshot *snapshot, uint32_t id)
{
    if (id == 0) {
        string_builder_add_char(builder, '?');
        return;
    }
    string_builder_add_escaped(builder, snapshot_string(snapshot, id),
                               snapshot_string_size(snapshot, id));
}

/* Appends a signed number. */
static void describe_number(struct string_builder *builder, int64_t number)
{
    if (number < 0) {
        string_builder_add_char(builder, '-');
    }
    string_builder_add_u64(builder, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}

/* Appends SEPARATOR and "3 senders"; "1 sender". */
static void describe_many(struct string_builder *builder, const char *separator, uint64_t count,
                          const char *noun)
{
    string_builder_add(builder, separator);
    string_builder_add_u64(builder, count);
    string_builder_add_char(builder, ' ');
    string_builder_add(builder, noun);
    string_builder_add(builder, count == 1 ? "" : "s");
}

/* As describe_many for a number that may be unknown. */
static void describe_known(struct string_builder *builder, const char *separator, int64_t count,
                           const char *noun)
{
    if (count == SNAPSHOT_UNKNOWN) {
        string_builder_format(builder, "%s? %ss", separator, noun);
    } else {
        string_builder_format(builder, "%s%lld %s%s", separator, (long long)count, noun,
                              count == 1 ? "" : "s");
    }
}

/* Appends NOUN and the address. */
static void describe_noun(struct string_builder *builder, const char *noun, uint64_t address)
{
    string_builder_add(builder, noun);
    if (address != 0) {
        string_builder_add_char(builder, ' ');
        string_builder_add_hex(builder, address);
    }
}

/* Appends a channel. */
static struct error *describe_channel(struct string_builder *builder, struct snapshot *snapshot,
                                      uint32_t index)
{
    const struct snapshot_object *object = snapshot_object(snapshot, index);
    size_t senders;
    size_t receivers;
    TRY(snapshot_object_queues(snapshot, index, &senders, &receivers));
    string_builder_add(builder, "chan ");
    describe_string(builder, snapshot, object->channel.element_type);
    describe_noun(builder, "", object->address);
    string_builder_add(builder, " (");
    if (object->channel.capacity == SNAPSHOT_UNKNOWN) {
        string_builder_add(builder, "cap ?");
    } else {
        if (object->channel.capacity > 0 && object->channel.length != SNAPSHOT_UNKNOWN) {
            string_builder_format(builder, "len %lld, ", (long long)object->channel.length);
        }
        string_builder_add(builder, "cap ");
        describe_number(builder, object->channel.capacity);
    }
    if (object->channel.closed == 1) {
        string_builder_add(builder, ", closed");
    }
    if (object->channel.timer == 1) {
        string_builder_add(builder, ", of a timer");
    }
    describe_many(builder, ", ", senders, "sender");
    describe_many(builder, ", ", receivers, "receiver");
    string_builder_add_char(builder, ')');
    return NULL;
}

/* Appends a mutex. */
static void describe_mutex(struct string_builder *builder, const struct snapshot_object *object)
{
    describe_noun(builder, "Mutex", object->address);
    string_builder_add(builder, object->mutex.locked == 1   ? " locked"
                                : object->mutex.locked == 0 ? " unlocked"
                                                            : " state unknown");
    if (object->mutex.starving == 1) {
        string_builder_add(builder, ", starving");
    }
    describe_known(builder, ", ", object->mutex.waiters, "waiter");
}

/* Appends a read-write mutex: readers_left counts down what a pending writer waits for; 0 while a
 * writer is there means that it holds the lock. */
static void describe_rwmutex(struct string_builder *builder, const struct snapshot_object *object)
{
    describe_noun(builder, "RWMutex", object->address);
    if (object->rwmutex.writer == 1 && object->rwmutex.readers_left > 0) {
        describe_known(builder, " wanted by a writer, held by ", object->rwmutex.readers_left,
                       "reader");
    } else if (object->rwmutex.writer == 1) {
        string_builder_add(builder, object->rwmutex.readers_left == 0
                                        ? " held by a writer"
                                        : " held or wanted by a writer");
    } else if (object->rwmutex.writer == 0) {
        describe_known(builder, " held by ", object->rwmutex.readers, "reader");
    } else {
        string_builder_add(builder, " state unknown");
    }
}

/* Appends ", deadline in 12s". */
static void describe_deadline(struct string_builder *builder, int64_t deadline_ns)
{
    if (deadline_ns == SNAPSHOT_UNKNOWN) {
        string_builder_add(builder, ", deadline unknown");
    } else if (deadline_ns == INT64_MAX) {
        string_builder_add(builder, ", no deadline");
    } else if (deadline_ns >= 0) {
        string_builder_add(builder, ", deadline in ");
        describe_duration(builder, deadline_ns);
    } else {
        string_builder_add(builder, ", deadline passed by ");
        describe_duration(builder, -deadline_ns);
    }
}

/* Appends a descriptor. */
static void describe_descriptor(struct string_builder *builder, const struct snapshot *snapshot,
                                const struct snapshot_object *object)
{
    if (object->descriptor.description != 0) {
        describe_string(builder, snapshot, object->descriptor.description);
    } else {
        string_builder_add(builder, "a descriptor");
    }
    if (object->descriptor.descriptor != SNAPSHOT_UNKNOWN) {
        string_builder_format(builder, " (fd %lld)", (long long)object->descriptor.descriptor);
    }
    describe_deadline(builder, object->descriptor.deadline_ns);
}

/* Appends when a timer is due. */
static void describe_timer(struct string_builder *builder, const struct snapshot_object *object)
{
    if (object->timer.due_ns == SNAPSHOT_UNKNOWN) {
        string_builder_add(builder, "due at an unknown time");
    } else if (object->timer.due_ns >= 0) {
        string_builder_add(builder, "due in ");
        describe_duration(builder, object->timer.due_ns);
    } else {
        string_builder_add(builder, "overdue by ");
        describe_duration(builder, -object->timer.due_ns);
    }
}

/* Appends a semaphore. */
static void describe_semaphore(struct string_builder *builder, const struct snapshot *snapshot,
                               const struct snapshot_object *object)
{
    describe_noun(builder, "semaphore", object->address);
    if (object->semaphore.role != 0) {
        string_builder_add(builder, " (");
        describe_string(builder, snapshot, object->semaphore.role);
        string_builder_add_char(builder, ')');
    }
    if (object->semaphore.value != SNAPSHOT_UNKNOWN) {
        string_builder_format(builder, ", value %lld", (long long)object->semaphore.value);
    }
}

/* Appends a system call. */
static void describe_system_call(struct string_builder *builder, const struct snapshot *snapshot,
                                 const struct snapshot_object *object)
{
    if (object->system_call.text != 0) {
        describe_string(builder, snapshot, object->system_call.text);
    } else if (object->system_call.number != SNAPSHOT_UNKNOWN) {
        string_builder_format(builder, "system call %lld", (long long)object->system_call.number);
    } else {
        string_builder_add(builder, "an unknown system call");
    }
}

/* Appends a coroutine. */
static void describe_coroutine(struct string_builder *builder, const struct snapshot_object *object)
{
    describe_noun(builder, "coroutine", object->address);
    if (object->coroutine.partner != 0) {
        string_builder_format(builder, ", partner goroutine %llu",
                              (unsigned long long)object->coroutine.partner);
    } else {
        string_builder_add(builder, ", partner unknown");
    }
}

/* Appends an object other than a channel. */
static void describe_other(struct string_builder *builder, const struct snapshot *snapshot,
                           const struct snapshot_object *object)
{
    switch ((enum snapshot_object_kind)object->kind) {
    case OBJECT_NIL_CHANNEL:
        string_builder_add(builder, "a nil channel, for ever");
        return;
    case OBJECT_EMPTY_SELECT:
        string_builder_add(builder, "select {}, for ever");
        return;
    case OBJECT_MUTEX:
        describe_mutex(builder, object);
        return;
    case OBJECT_RWMUTEX:
        describe_rwmutex(builder, object);
        return;
    case OBJECT_WAIT_GROUP:
        describe_noun(builder, "WaitGroup", object->address);
        if (object->wait_group.counter == SNAPSHOT_UNKNOWN) {
            string_builder_add(builder, " counter ?");
        } else {
            string_builder_format(builder, " counter %lld", (long long)object->wait_group.counter);
        }
        describe_known(builder, ", ", object->wait_group.waiters, "waiter");
        return;
    case OBJECT_COND:
        describe_noun(builder, "Cond", object->address);
        describe_known(builder, " ", object->cond.waiters, "waiter");
        return;
    case OBJECT_SEMAPHORE:
        describe_semaphore(builder, snapshot, object);
        return;
    case OBJECT_DESCRIPTOR:
        describe_descriptor(builder, snapshot, object);
        return;
    case OBJECT_TIMER:
        describe_timer(builder, object);
        return;
    case OBJECT_SYSTEM_CALL:
        describe_system_call(builder, snapshot, object);
        return;
    case OBJECT_COROUTINE:
        describe_coroutine(builder, object);
        return;
    case OBJECT_CHANNEL:
    case OBJECT_UNKNOWN:
    case OBJECT_KIND_COUNT:
        break;
    }
    describe_noun(builder, "something unknown", object->address);
}

/* Appends an object. */
struct error *describe_object(struct string_builder *builder, struct snapshot *snapshot,
                              uint32_t index)
{
    const struct snapshot_object *object = snapshot_object(snapshot, index);
    if (object->kind == OBJECT_CHANNEL) {
        return describe_channel(builder, snapshot, index);
    }
    describe_other(builder, snapshot, object);
    return NULL;
}

/* Plurals. */
const char *describe_plural(enum snapshot_object_kind kind)
{
    static const char *const words[OBJECT_KIND_COUNT] = {
        [OBJECT_UNKNOWN] = "unknown things",
        [OBJECT_CHANNEL] = "channels",
        [OBJECT_NIL_CHANNEL] = "nil channels",
        [OBJECT_EMPTY_SELECT] = "empty selects",
        [OBJECT_MUTEX] = "Mutexes",
        [OBJECT_RWMUTEX] = "RWMutexes",
        [OBJECT_WAIT_GROUP] = "WaitGroups",
        [OBJECT_COND] = "Conds",
        [OBJECT_SEMAPHORE] = "semaphores",
        [OBJECT_DESCRIPTOR] = "descriptors",
        [OBJECT_TIMER] = "timers",
        [OBJECT_SYSTEM_CALL] = "system calls",
        [OBJECT_COROUTINE] = "coroutines",
    };
    return words[kind < OBJECT_KIND_COUNT ? kind : OBJECT_UNKNOWN];
}

/* Verbs. */
const char *describe_verb(enum snapshot_object_kind kind, enum snapshot_direction direction)
{
    if (kind == OBJECT_SYSTEM_CALL) {
        return "is in ";
    }
    if (kind == OBJECT_TIMER) {
        return "sleeps, ";
    }
    switch (direction) {
    case DIRECTION_RECEIVE:
        return "waits to receive from ";
    case DIRECTION_SEND:
        return "waits to send to ";
    case DIRECTION_READ_LOCK:
        return "waits to read-lock ";
    case DIRECTION_LOCK:
        return "waits to lock ";
    case DIRECTION_READ:
        return "waits to read ";
    case DIRECTION_WRITE:
        return "waits to write ";
    case DIRECTION_WAIT:
    case DIRECTION_UNKNOWN:
        break;
    }
    return "waits on ";
}

/* Kinds. */
const char *describe_kind(enum snapshot_object_kind kind)
{
    static const char *const words[OBJECT_KIND_COUNT] = {
        [OBJECT_UNKNOWN] = "unknown",
        [OBJECT_CHANNEL] = "channel",
        [OBJECT_NIL_CHANNEL] = "nil_channel",
        [OBJECT_EMPTY_SELECT] = "empty_select",
        [OBJECT_MUTEX] = "mutex",
        [OBJECT_RWMUTEX] = "rwmutex",
        [OBJECT_WAIT_GROUP] = "wait_group",
        [OBJECT_COND] = "cond",
        [OBJECT_SEMAPHORE] = "semaphore",
        [OBJECT_DESCRIPTOR] = "descriptor",
        [OBJECT_TIMER] = "timer",
        [OBJECT_SYSTEM_CALL] = "system_call",
        [OBJECT_COROUTINE] = "coroutine",
    };
    return words[kind < OBJECT_KIND_COUNT ? kind : OBJECT_UNKNOWN];
}

/* Directions. */
const char *describe_direction(enum snapshot_direction direction)
{
    static const char *const words[] = {
        [DIRECTION_WAIT] = "wait",   [DIRECTION_RECEIVE] = "receive",
        [DIRECTION_SEND] = "send",   [DIRECTION_READ_LOCK] = "read_lock",
        [DIRECTION_LOCK] = "lock",   [DIRECTION_READ] = "read",
        [DIRECTION_WRITE] = "write", [DIRECTION_UNKNOWN] = "unknown",
    };
    return words[direction < DIRECTION_UNKNOWN ? direction : DIRECTION_UNKNOWN];
}

/* Reasons with an object. */
bool describe_has_object(enum wait_reason reason)
{
    switch (reason) {
    case WAIT_REASON_IO_WAIT:
    case WAIT_REASON_SELECT:
    case WAIT_REASON_CHAN_RECEIVE:
    case WAIT_REASON_CHAN_SEND:
    case WAIT_REASON_SEMACQUIRE:
    case WAIT_REASON_SLEEP:
    case WAIT_REASON_SYNC_COND_WAIT:
    case WAIT_REASON_SYNC_MUTEX_LOCK:
    case WAIT_REASON_SYNC_RWMUTEX_RLOCK:
    case WAIT_REASON_SYNC_RWMUTEX_LOCK:
    case WAIT_REASON_SYNC_WAITGROUP_WAIT:
    case WAIT_REASON_COROUTINE:
    case WAIT_REASON_CHAN_RECEIVE_SYNCTEST:
    case WAIT_REASON_CHAN_SEND_SYNCTEST:
    case WAIT_REASON_SELECT_SYNCTEST:
    case WAIT_REASON_CHAN_RECEIVE_DURABLE:
    case WAIT_REASON_CHAN_SEND_DURABLE:
    case WAIT_REASON_SELECT_DURABLE:
    case WAIT_REASON_SYNC_WAITGROUP_WAIT_DURABLE:
        return true;
    default:
        return false;
    }
}
