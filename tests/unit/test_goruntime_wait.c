#include "goruntime_memory.h"

enum { PARKED_MAX = 64, STACK_SIZE = 0x200 };

/* Places in the region: g's, their stacks, sudogs, channels and locks, the semaphore table. */
static const uint64_t gs = 0x100000;
static const uint64_t stacks = 0x108000;
static const uint64_t sudogs = 0x118000;
static const uint64_t objects = 0x120000;
static const uint64_t semtable = 0x13b000;

/* Some goroutines of a made-up target. */
struct parking {
    struct goruntime_memory *memory;
    const struct layout *layout;
    struct goruntime_parked parked[PARKED_MAX];
    size_t count;
};

/* The address of g, stack, sudog or object NUMBER. */
static uint64_t g_at(size_t number)
{
    return gs + number * 0x200;
}

static uint64_t stack_at(size_t number)
{
    return stacks + number * STACK_SIZE;
}

static uint64_t sudog_at(size_t number)
{
    return sudogs + number * 0x80;
}

static uint64_t object_at(size_t number)
{
    return objects + number * 0x100;
}

/* COUNT goroutines that wait for REASON, without anything else. */
static void parking_init(struct parking *parking, int minor, size_t count, enum wait_reason reason)
{
    *parking = (struct parking){.memory = goruntime_memory_create(minor), .count = count};
    struct goruntime_memory *memory = parking->memory;
    parking->layout = memory->runtime.layout;
    memory->runtime.globals.semtable = semtable;
    struct snapshot_goroutine *goroutines = NULL;
    size_t first = 0;
    assert_success(snapshot_builder_goroutines(memory->state.builder, count, &goroutines, &first));
    for (size_t i = 0; i < count; i++) {
        goroutines[i].id = i + 1;
        goroutines[i].address = g_at(i);
        goruntime_memory_word(memory, g_at(i), parking->layout->g.sched_pc + 8, g_at(i));
        parking->parked[i] = (struct goruntime_parked){.index = first + i,
                                                       .g = g_at(i),
                                                       .stack_lo = stack_at(i),
                                                       .stack_hi = stack_at(i) + STACK_SIZE,
                                                       .sp = stack_at(i) + 0x20,
                                                       .status = GOROUTINE_STATUS_WAITING,
                                                       .wait_reason = (uint8_t)reason};
    }
}

/* Sudog NUMBER of goroutine G with the three kinds of links. */
static void put_sudog(struct parking *parking, size_t number, size_t g, uint64_t element,
                      uint64_t next, uint64_t prev, uint64_t waitlink)
{
    const struct layout *layout = parking->layout;
    uint64_t sudog = sudog_at(number);
    goruntime_memory_word(parking->memory, sudog, layout->sudog.g, g_at(g));
    goruntime_memory_word(parking->memory, sudog, layout->sudog.elem, element);
    goruntime_memory_word(parking->memory, sudog, layout->sudog.next, next);
    goruntime_memory_word(parking->memory, sudog, layout->sudog.prev, prev);
    goruntime_memory_word(parking->memory, sudog, layout->sudog.waitlink, waitlink);
}

/* Root NUMBER of the semaphore table. */
static void put_root(struct parking *parking, size_t number, uint64_t treap, uint32_t waiters)
{
    uint64_t root = semtable + number * (uint64_t)parking->layout->sema_root_stride;
    goruntime_memory_word(parking->memory, root, 8, treap);
    goruntime_memory_put(parking->memory, root + 16, &waiters, sizeof waiters);
}

/* Resolves all waits and ends building; the memory stays. */
static struct snapshot *resolve(struct parking *parking)
{
    assert_success(wait_resolve(&parking->memory->state, parking->parked, parking->count));
    assert_success(wait_resolve_rest(&parking->memory->state));
    return goruntime_memory_finish(parking->memory);
}

/* The only object that goroutine ID waits for, or NULL. */
static const struct snapshot_object *object_of(const struct snapshot *snapshot, uint64_t id,
                                               uint32_t *direction)
{
    size_t count;
    const struct snapshot_goroutine *goroutine = snapshot_find_goroutine(snapshot, id);
    assert_non_null(goroutine);
    const struct snapshot_wait *waits = snapshot_waits(snapshot, goroutine, &count);
    assert_true(count <= 1);
    if (count == 0) {
        return NULL;
    }
    *direction = waits[0].direction;
    return snapshot_object(snapshot, waits[0].object);
}

/* A tree of two locks, one with a queue of two. */
static void test_semaphores(void **state)
{
    (void)state;
    struct parking parking;
    parking_init(&parking, 22, 3, WAIT_REASON_SYNC_MUTEX_LOCK);
    put_sudog(&parking, 0, 0, object_at(1) + 4, sudog_at(2), 0, sudog_at(1));
    put_sudog(&parking, 1, 1, object_at(1) + 4, 0, 0, 0);
    put_sudog(&parking, 2, 2, object_at(2) + 4, 0, 0, 0);
    put_root(&parking, 5, sudog_at(0), 3);
    goruntime_memory_word(parking.memory, object_at(1), 0, 2 << 3 | 1); /* locked, two wait */
    goruntime_memory_word(parking.memory, object_at(2), 0, 1 << 3 | 5); /* and starving */
    struct snapshot *snapshot = resolve(&parking);
    uint32_t direction = DIRECTION_UNKNOWN;
    const struct snapshot_object *object = object_of(snapshot, 1, &direction);
    assert_int_equal(object->kind, OBJECT_MUTEX);
    assert_int_equal(direction, DIRECTION_LOCK);
    assert_int_equal(object->address, object_at(1));
    assert_int_equal(object->mutex.locked, 1);
    assert_int_equal(object->mutex.starving, 0);
    assert_int_equal(object->mutex.waiters, 2);
    assert_ptr_equal(object_of(snapshot, 2, &direction), object);
    object = object_of(snapshot, 3, &direction);
    assert_int_equal(object->address, object_at(2));
    assert_int_equal(object->mutex.starving, 1);
    snapshot_destroy(snapshot);
    goruntime_memory_destroy(parking.memory);
}

/* Trees that are circles, lead outside, and hold strangers: the walk ends, and what can be told is.
 */
static void test_semaphore_garbage(void **state)
{
    (void)state;
    struct parking parking;
    parking_init(&parking, 20, 3, WAIT_REASON_SYNC_RWMUTEX_RLOCK);
    put_sudog(&parking, 0, 0, object_at(1) + 12, sudog_at(1), sudog_at(0), sudog_at(2));
    put_sudog(&parking, 1, 50, object_at(2) + 12, sudog_at(0), 0x8, sudog_at(1));
    put_sudog(&parking, 2, 1, 0x3, 0x7fffffffff8, sudog_at(0), 0x13);
    for (size_t i = 0; i < 251; i++) {
        put_root(&parking, i, i % 2 ? sudog_at(0) : 0x7ffffffff000, UINT32_MAX);
    }
    goruntime_memory_word(parking.memory, object_at(1), 16, (uint32_t)(3 - (1 << 30)));
    goruntime_memory_put(parking.memory, object_at(1) + 20, "\2\0\0\0", 4);
    struct snapshot *snapshot = resolve(&parking);
    uint32_t direction = DIRECTION_UNKNOWN;
    const struct snapshot_object *object = object_of(snapshot, 1, &direction);
    assert_int_equal(object->kind, OBJECT_RWMUTEX);
    assert_int_equal(direction, DIRECTION_READ_LOCK);
    assert_int_equal(object->address, object_at(1));
    assert_int_equal(object->rwmutex.writer, 1);
    assert_int_equal(object->rwmutex.readers, 2);
    assert_int_equal(object->rwmutex.readers_left, 2);
    object = object_of(snapshot, 2, &direction); /* what, but not where */
    assert_int_equal(object->kind, OBJECT_RWMUTEX);
    assert_int_equal(object->address, 0);
    assert_int_equal(object->rwmutex.readers, SNAPSHOT_UNKNOWN);
    assert_int_equal(object->rwmutex.writer, -1);
    snapshot_destroy(snapshot);
    goruntime_memory_destroy(parking.memory);
}

/* A tree wide enough to be read layer by layer; the waiters beyond the goroutines asked for do not
 * matter. */
static void test_semaphore_tree(void **state)
{
    (void)state;
    enum { NODES = 1000 };
    struct parking parking;
    parking_init(&parking, 24, 60, WAIT_REASON_SYNC_MUTEX_LOCK);
    const struct layout *layout = parking.layout;
    for (size_t i = 0; i < NODES; i++) {
        uint64_t sudog = objects + 0x1000 + i * 96;
        goruntime_memory_word(parking.memory, sudog, layout->sudog.g, g_at(NODES - 1 - i));
        goruntime_memory_word(parking.memory, sudog, layout->sudog.elem, object_at(1) + 4);
        goruntime_memory_word(parking.memory, sudog, layout->sudog.prev,
                              2 * i + 1 < NODES ? objects + 0x1000 + (2 * i + 1) * 96 : 0);
        goruntime_memory_word(parking.memory, sudog, layout->sudog.next,
                              2 * i + 2 < NODES ? objects + 0x1000 + (2 * i + 2) * 96 : 0);
        goruntime_memory_word(parking.memory, sudog, layout->sudog.waitlink, 0);
    }
    put_root(&parking, 250, objects + 0x1000, NODES);
    struct snapshot *snapshot = resolve(&parking);
    assert_int_equal(snapshot_object_count(snapshot), 1);
    for (uint64_t id = 1; id <= 60; id++) {
        uint32_t direction = DIRECTION_UNKNOWN;
        assert_int_equal(object_of(snapshot, id, &direction)->address, object_at(1));
    }
    snapshot_destroy(snapshot);
    goruntime_memory_destroy(parking.memory);
}

/* From Go 1.26 on g.waiting leads to the semaphore; a sudog of somebody else does not count. */
static void test_semaphore_waiting(void **state)
{
    (void)state;
    struct parking parking;
    parking_init(&parking, 26, 2, WAIT_REASON_SYNC_WAITGROUP_WAIT);
    put_sudog(&parking, 0, 0, object_at(1) + 8, 0, 0, 0);
    put_sudog(&parking, 1, 9, object_at(2) + 8, 0, 0, 0);
    parking.parked[0].waiting = sudog_at(0);
    parking.parked[1].waiting = sudog_at(1);
    goruntime_memory_word(parking.memory, object_at(1), 0, 3ull << 32 | 1u << 31 | 2);
    struct snapshot *snapshot = resolve(&parking);
    uint32_t direction = DIRECTION_UNKNOWN;
    const struct snapshot_object *object = object_of(snapshot, 1, &direction);
    assert_int_equal(object->kind, OBJECT_WAIT_GROUP);
    assert_int_equal(object->address, object_at(1));
    assert_int_equal(object->wait_group.counter, 3);
    assert_int_equal(object->wait_group.waiters, 2);
    object = object_of(snapshot, 2, &direction);
    assert_int_equal(object->address, 0);
    assert_int_equal(object->wait_group.counter, SNAPSHOT_UNKNOWN);
    snapshot_destroy(snapshot);
    goruntime_memory_destroy(parking.memory);
}

/* Gives the goroutine a stack of these frames, innermost first. */
static void put_stack(struct parking *parking, size_t number, const char *const *names)
{
    uint32_t frames[8];
    size_t count = 0;
    struct snapshot_builder *builder = parking->memory->state.builder;
    for (; names[count] != NULL; count++) {
        struct snapshot_frame frame = {.pc = 1};
        assert_success(
            snapshot_builder_string(builder, names[count], strlen(names[count]), &frame.function));
        assert_success(snapshot_builder_frame(builder, &frame, &frames[count]));
    }
    uint32_t stack;
    assert_success(snapshot_builder_stack(builder, frames, count, &stack));
    size_t goroutines;
    struct snapshot_goroutine *first = (struct snapshot_goroutine *)(uintptr_t)snapshot_goroutines(
        snapshot_builder_peek(builder), &goroutines);
    first[number].stack = stack;
}

/* Releases that call every such wait "semacquire": the frames tell. */
static void test_semaphore_frames(void **state)
{
    (void)state;
    static const char *const stacks_of[][6] = {
        {"runtime.gopark", "sync.runtime_SemacquireMutex", "sync.(*Mutex).lockSlow",
         "sync.(*Mutex).Lock", "main.a", NULL},
        {"runtime.gopark", "sync.runtime_SemacquireMutex", "sync.(*Mutex).lockSlow",
         "sync.(*Mutex).Lock", "sync.(*RWMutex).Lock", NULL},
        {"runtime.gopark", "sync.runtime_Semacquire", "sync.(*RWMutex).RLock", "main.a", NULL},
        {"runtime.gopark", "sync.runtime_Semacquire", "sync.(*RWMutex).Lock", "main.a", NULL},
        {"runtime.gopark", "sync.runtime_Semacquire", "sync.(*WaitGroup).Wait", NULL},
        {"internal/poll.runtime_Semacquire", "internal/poll.(*fdMutex).rwlock",
         "internal/poll.(*FD).readLock", NULL},
        {"runtime.gopark", "runtime.semacquire", "runtime.stopTheWorld", NULL},
        {"runtime.gopark", "main.sync", "sync.(*WaitGroup).Wait", NULL},
    };
    static const struct {
        uint8_t kind, direction, offset;
    } expected[] = {
        {OBJECT_MUTEX, DIRECTION_LOCK, 4},         {OBJECT_RWMUTEX, DIRECTION_LOCK, 4},
        {OBJECT_RWMUTEX, DIRECTION_READ_LOCK, 12}, {OBJECT_RWMUTEX, DIRECTION_LOCK, 8},
        {OBJECT_WAIT_GROUP, DIRECTION_WAIT, 8},    {OBJECT_SEMAPHORE, DIRECTION_READ_LOCK, 0},
        {OBJECT_SEMAPHORE, DIRECTION_WAIT, 0},     {OBJECT_SEMAPHORE, DIRECTION_WAIT, 0}};
    enum { COUNT = sizeof expected / sizeof *expected };
    struct parking parking;
    parking_init(&parking, 18, COUNT, WAIT_REASON_SEMACQUIRE);
    for (size_t i = 0; i < COUNT; i++) {
        put_stack(&parking, i, stacks_of[i]);
        put_sudog(&parking, i, i, object_at(i + 1) + expected[i].offset, 0, 0, 0);
        put_root(&parking, i, sudog_at(i), 1);
    }
    struct snapshot *snapshot = resolve(&parking);
    for (size_t i = 0; i < COUNT; i++) {
        uint32_t direction = DIRECTION_UNKNOWN;
        const struct snapshot_object *object = object_of(snapshot, i + 1, &direction);
        assert_int_equal(object->kind, expected[i].kind);
        assert_int_equal(direction, expected[i].direction);
        assert_int_equal(object->address, object_at(i + 1));
    }
    uint32_t direction;
    assert_string_equal(
        snapshot_string(snapshot, object_of(snapshot, 6, &direction)->semaphore.role),
        "poll.FD read lock");
    snapshot_destroy(snapshot);
    goruntime_memory_destroy(parking.memory);
}

/* A select of three cases, one of them on an unreadable channel, and one whose list is a circle. */
static void test_select(void **state)
{
    (void)state;
    struct parking parking;
    parking_init(&parking, 27, 3, WAIT_REASON_SELECT);
    const struct layout *layout = parking.layout;
    put_sudog(&parking, 0, 0, 0, 0, 0, sudog_at(1));
    put_sudog(&parking, 1, 0, 0, 0, 0, sudog_at(2));
    put_sudog(&parking, 2, 0, 0, 0, 0, 0);
    put_sudog(&parking, 3, 1, 0, 0, 0, sudog_at(4));
    put_sudog(&parking, 4, 1, 0, 0, 0, sudog_at(3));
    put_sudog(&parking, 5, 9, 0, 0, 0, 0); /* not of the goroutine that points to it */
    for (size_t i = 0; i < 6; i++) {
        goruntime_memory_word(parking.memory, sudog_at(i), layout->sudog.c,
                              i == 2 ? 0x7ffffffff000 : object_at(1));
    }
    parking.parked[0].waiting = sudog_at(0);
    parking.parked[1].waiting = sudog_at(3);
    parking.parked[2].waiting = sudog_at(5);
    goruntime_memory_word(parking.memory, object_at(1), layout->hchan.qcount, 9);
    goruntime_memory_word(parking.memory, object_at(1), layout->hchan.dataqsiz, 4); /* torn */
    goruntime_memory_word(parking.memory, object_at(1), layout->hchan.recvq_first, sudog_at(3));
    goruntime_memory_word(parking.memory, object_at(1), layout->hchan.sendq_first, sudog_at(1));
    goruntime_memory_word(parking.memory, sudog_at(3), layout->sudog.next, sudog_at(0));
    struct snapshot *snapshot = resolve(&parking);
    size_t count;
    const struct snapshot_wait *waits =
        snapshot_waits(snapshot, snapshot_find_goroutine(snapshot, 1), &count);
    assert_int_equal(count, 3);
    assert_int_equal(waits[0].direction, DIRECTION_RECEIVE);
    assert_int_equal(waits[1].direction, DIRECTION_SEND);
    assert_int_equal(waits[2].direction, DIRECTION_UNKNOWN);
    assert_int_equal(waits[0].object, waits[1].object);
    const struct snapshot_object *object = snapshot_object(snapshot, waits[0].object);
    assert_int_equal(object->address, object_at(1));
    assert_int_equal(object->channel.length, SNAPSHOT_UNKNOWN);
    assert_int_equal(object->channel.closed, -1);
    object = snapshot_object(snapshot, waits[2].object);
    assert_int_equal(object->address, 0x7ffffffff000);
    assert_int_equal(object->channel.capacity, SNAPSHOT_UNKNOWN);
    (void)snapshot_waits(snapshot, snapshot_find_goroutine(snapshot, 2), &count);
    assert_true(count > 0 && count <= 1 << 16);
    (void)snapshot_waits(snapshot, snapshot_find_goroutine(snapshot, 3), &count);
    assert_int_equal(count, 0);
    snapshot_destroy(snapshot);
    goruntime_memory_destroy(parking.memory);
}

/* Before Go 1.26 a Cond is found on the stack; a list that is a circle ends. */
static void test_cond(void **state)
{
    (void)state;
    struct parking parking;
    parking_init(&parking, 25, 3, WAIT_REASON_SYNC_COND_WAIT);
    uint64_t cond = object_at(1);
    put_sudog(&parking, 0, 0, 0, sudog_at(1), 0, 0);
    put_sudog(&parking, 1, 1, 0, 0, 0, 0);
    goruntime_memory_word(parking.memory, cond, 16, 5ull); /* wait 5, notify 0: not trusted */
    goruntime_memory_put(parking.memory, cond + 20, "\3\0\0\0", 4);
    goruntime_memory_word(parking.memory, cond, 32, sudog_at(0));
    goruntime_memory_word(parking.memory, cond, 40, sudog_at(1));
    goruntime_memory_word(parking.memory, stack_at(0), 0x40, cond);
    uint64_t circle = object_at(2);
    put_sudog(&parking, 2, 40, 0, sudog_at(2), 0, 0);
    put_sudog(&parking, 3, 40, 0, 0, 0, 0);
    goruntime_memory_word(parking.memory, g_at(40), parking.layout->g.sched_pc + 8, g_at(40));
    goruntime_memory_word(parking.memory, circle, 0, 99999999); /* claims as many waiters */
    goruntime_memory_word(parking.memory, circle, 16, sudog_at(2));
    goruntime_memory_word(parking.memory, circle, 24, sudog_at(3));
    goruntime_memory_word(parking.memory, stack_at(2), 0x48, circle);
    struct snapshot *snapshot = resolve(&parking);
    uint32_t direction = DIRECTION_UNKNOWN;
    const struct snapshot_object *object = object_of(snapshot, 1, &direction);
    assert_int_equal(object->kind, OBJECT_COND);
    assert_int_equal(object->address, cond);
    assert_int_equal(object->cond.waiters, 2);
    assert_ptr_equal(object_of(snapshot, 2, &direction), object);
    object = object_of(snapshot, 3, &direction);
    assert_int_equal(object->address, 0);
    assert_int_equal(object->cond.waiters, SNAPSHOT_UNKNOWN);
    snapshot_destroy(snapshot);
    goruntime_memory_destroy(parking.memory);
}

/* A pollDesc counts only when it names the g; deadlines are from now. */
static void test_descriptor(void **state)
{
    (void)state;
    struct parking parking;
    parking_init(&parking, 23, 20, WAIT_REASON_IO_WAIT);
    const struct layout *layout = parking.layout;
    for (size_t i = 0; i < 20; i++) {
        uint64_t poll = objects + i * 0x400;
        goruntime_memory_word(parking.memory, poll, layout->poll_desc.fd, 100 + i);
        goruntime_memory_word(parking.memory, poll, layout->poll_desc.rg, i % 2 ? 2 : g_at(i));
        goruntime_memory_word(parking.memory, poll, layout->poll_desc.wg, i % 2 ? g_at(i) : 0);
        goruntime_memory_word(parking.memory, poll, layout->poll_desc.wd, 5000);
        goruntime_memory_word(parking.memory, stack_at(i), 0x60, i == 7 ? objects : poll);
        goruntime_memory_word(parking.memory, stack_at(i), 0x58, sudog_at(i));
    }
    struct snapshot *snapshot = resolve(&parking);
    uint32_t direction = DIRECTION_UNKNOWN;
    for (size_t i = 0; i < 20; i++) {
        const struct snapshot_object *object = object_of(snapshot, i + 1, &direction);
        if (i == 7) {
            assert_null(object);
            continue;
        }
        assert_int_equal(object->kind, OBJECT_DESCRIPTOR);
        assert_int_equal(object->descriptor.descriptor, 100 + i);
        assert_int_equal(object->descriptor.description, 0);
        assert_int_equal(direction, i % 2 ? DIRECTION_WRITE : DIRECTION_READ);
        assert_true(object->descriptor.deadline_ns == (i % 2 ? 4000 : INT64_MAX));
    }
    snapshot_destroy(snapshot);
    goruntime_memory_destroy(parking.memory);
}

/* Sleepers, nil channels, the empty select. */
static void test_simple(void **state)
{
    (void)state;
    struct parking parking;
    parking_init(&parking, 22, 6, WAIT_REASON_SLEEP);
    parking.parked[0].timer = object_at(1);
    goruntime_memory_word(parking.memory, object_at(1), parking.layout->timer.when, 400);
    parking.parked[1].timer = 0x7ffffffff000;
    parking.parked[2].sleep_when = 2500;
    parking.parked[3].wait_reason = WAIT_REASON_CHAN_SEND_NIL;
    parking.parked[4].wait_reason = WAIT_REASON_SELECT_NO_CASES;
    parking.parked[5].status = GOROUTINE_STATUS_RUNNING;
    struct snapshot *snapshot = resolve(&parking);
    uint32_t direction = DIRECTION_UNKNOWN;
    assert_int_equal(object_of(snapshot, 1, &direction)->timer.due_ns, -600);
    assert_int_equal(object_of(snapshot, 2, &direction)->timer.due_ns, SNAPSHOT_UNKNOWN);
    assert_int_equal(object_of(snapshot, 3, &direction)->timer.due_ns, 1500);
    assert_int_equal(object_of(snapshot, 4, &direction)->kind, OBJECT_NIL_CHANNEL);
    assert_int_equal(direction, DIRECTION_SEND);
    assert_int_equal(object_of(snapshot, 5, &direction)->kind, OBJECT_EMPTY_SELECT);
    assert_null(object_of(snapshot, 6, &direction));
    snapshot_destroy(snapshot);
    goruntime_memory_destroy(parking.memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_semaphores),
        cmocka_unit_test(test_semaphore_tree),
        cmocka_unit_test(test_semaphore_garbage),
        cmocka_unit_test(test_semaphore_waiting),
        cmocka_unit_test(test_semaphore_frames),
        cmocka_unit_test(test_select),
        cmocka_unit_test(test_cond),
        cmocka_unit_test(test_descriptor),
        cmocka_unit_test(test_simple),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
