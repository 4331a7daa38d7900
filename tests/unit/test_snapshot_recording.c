/* Recordings: what is written is read back, piece by piece, whatever happens to the file. */
#include "snapshot/recording.h"
#include "snapshot/recording_internal.h"
#include "snapshot_fixture.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TEST_SECOND INT64_C(1000000000)
#define TEST_START (INT64_C(1700000000) * TEST_SECOND)

/* A path of its own in a folder of its own, removed by test_remove. */
struct test_file {
    char folder[64];
    char path[96];
};

/* Makes the folder. */
static struct test_file test_make(void)
{
    struct test_file file = {.folder = "/tmp/unpark-recording-XXXXXX"};
    assert_non_null(mkdtemp(file.folder));
    (void)snprintf(file.path, sizeof file.path, "%s/x.unpark", file.folder);
    return file;
}

/* Removes folder and file. */
static void test_remove(const struct test_file *file)
{
    (void)unlink(file->path);
    assert_int_equal(rmdir(file->folder), 0);
}

/* Adds an object of KIND with every field set to something that depends on SALT. */
static uint32_t test_object(struct snapshot_fixture *fixture, enum snapshot_object_kind kind,
                            uint64_t address, int64_t salt)
{
    struct snapshot_builder *builder = fixture->builder;
    struct snapshot_object object = {.address = address, .kind = (uint8_t)kind};
    uint32_t id = 0;
    int8_t maybe = (int8_t)(salt % 3 - 1);
    int64_t known = salt % 5 == 0 ? SNAPSHOT_UNKNOWN : salt - 2;
    switch (kind) {
    case OBJECT_CHANNEL:
        object.channel.length = known;
        object.channel.capacity = salt;
        object.channel.element_type = snapshot_fixture_string(builder, "[]uint8");
        object.channel.closed = maybe;
        object.channel.timer = 0;
        break;
    case OBJECT_MUTEX:
        object.mutex.locked = maybe;
        object.mutex.starving = 1;
        object.mutex.waiters = known;
        break;
    case OBJECT_RWMUTEX:
        object.rwmutex.readers = known;
        object.rwmutex.readers_left = 7;
        object.rwmutex.writer = maybe;
        object.rwmutex.locked = -1;
        break;
    case OBJECT_WAIT_GROUP:
        object.wait_group.counter = known;
        object.wait_group.waiters = 3;
        break;
    case OBJECT_COND:
        object.cond.waiters = known;
        break;
    case OBJECT_SEMAPHORE:
        object.semaphore.value = known;
        object.semaphore.role = snapshot_fixture_string(builder, "poll.FD read lock");
        break;
    case OBJECT_DESCRIPTOR:
        object.descriptor.descriptor = salt;
        object.descriptor.description = snapshot_fixture_string(builder, "tcp a -> b");
        object.descriptor.deadline_ns = salt % 2 == 0 ? INT64_MAX : known;
        break;
    case OBJECT_TIMER:
        object.timer.due_ns = known;
        break;
    case OBJECT_SYSTEM_CALL:
        object.system_call.number = salt;
        object.system_call.text = salt % 2 == 0 ? 0 : snapshot_fixture_string(builder, "futex(0)");
        break;
    case OBJECT_COROUTINE:
        object.coroutine.partner = (uint64_t)salt;
        break;
    default:
        break;
    }
    assert_success(snapshot_builder_object(builder, &object, &id));
    return id;
}

/* Sets labels. */
static uint32_t test_labels(struct snapshot_fixture *fixture, unsigned number)
{
    char value[32];
    (void)snprintf(value, sizeof value, "value %u", number);
    struct snapshot_label label = {.key = snapshot_fixture_string(fixture->builder, "tenant"),
                                   .value = snapshot_fixture_string(fixture->builder, value)};
    uint32_t id = 0;
    assert_success(snapshot_builder_labels(fixture->builder, &label, 1, &id));
    return id;
}

/* A program at second ROUND: goroutines come, go and change with it, by a rule that reaches every
 * field and every kind of object. */
static struct snapshot *test_program(unsigned round)
{
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.27.4");
    struct snapshot_program *program = snapshot_builder_program(fixture.builder);
    program->taken_at_ns = TEST_START + round * TEST_SECOND;
    program->threads = 12 + round % 2;
    program->modified = round < 6 ? 1 : 0;
    for (unsigned i = 1; i <= 60; i++) {
        size_t index;
        if ((i * 7 + round) % 11 == 0) {
            continue;
        }
        uint32_t stack = i % 3 == 0    ? fixture.server
                         : i % 50 == 1 ? fixture.recursion
                                       : fixture.worker;
        struct snapshot_goroutine *goroutine = snapshot_fixture_goroutine(
            &fixture, i * 3, stack, i % 2 == 0 ? WAIT_REASON_SELECT : WAIT_REASON_CHAN_RECEIVE,
            &index);
        goroutine->age_ns = i % 7 == 0 ? SNAPSHOT_UNKNOWN : (int64_t)(round + i) * TEST_SECOND;
        goroutine->address = 0xc000000000 + i * 0x1c0;
        goroutine->parent = i % 4;
        goroutine->flags = i % 9 == round % 9 ? GOROUTINE_LOCKED | GOROUTINE_SYSTEM : 0;
        goroutine->thread = i % 9 == round % 9 ? 4000 + (int32_t)i : 0;
        goroutine->bubble = i == 5 ? UINT32_MAX : 0;
        goroutine->count = i == 8 ? 3 : 1;
        if (i % 13 == round % 13) {
            goroutine->status = GOROUTINE_STATUS_RUNNING;
            goroutine->wait_reason = 0;
            goroutine->stack = 0;
            goroutine->creator = 0;
            goroutine->flags |= GOROUTINE_STACK_UNKNOWN;
        }
        goroutine->labels = i % 10 == 0 ? test_labels(&fixture, i / 20 + round / 3) : 0;
        enum snapshot_object_kind kind = (enum snapshot_object_kind)(i % OBJECT_KIND_COUNT);
        struct snapshot_wait waits[] = {
            {.object = test_object(&fixture, kind, i % 4 == 0 ? 0 : 0xc100000000 + i * 8,
                                   (int64_t)(i + round / 4)),
             .direction = i % (DIRECTION_UNKNOWN + 1)},
            {.object = test_object(&fixture, OBJECT_CHANNEL, 0xc200000000, 4),
             .direction = DIRECTION_SEND}};
        assert_success(
            snapshot_builder_waits(fixture.builder, index, waits, i % 5 == 0 ? 0 : 1 + i % 2));
    }
    if (round % 3 == 1) {
        assert_success(snapshot_builder_note(fixture.builder, "round %u", round));
    }
    return snapshot_fixture_end(&fixture);
}

/* The same text in both. */
static void test_same_string(const struct snapshot *a, uint32_t x, const struct snapshot *b,
                             uint32_t y)
{
    assert_int_equal(x == 0, y == 0);
    assert_int_equal(snapshot_string_size(a, x), snapshot_string_size(b, y));
    assert_memory_equal(snapshot_string(a, x), snapshot_string(b, y), snapshot_string_size(a, x));
}

/* The same frame. */
static void test_same_frame(const struct snapshot *a, uint32_t x, const struct snapshot *b,
                            uint32_t y)
{
    assert_int_equal(x == 0, y == 0);
    if (x == 0) {
        return;
    }
    const struct snapshot_frame *f = snapshot_frame(a, x), *g = snapshot_frame(b, y);
    assert_int_equal(f->pc, g->pc);
    assert_int_equal(f->line, g->line);
    assert_int_equal(f->entry_offset, g->entry_offset);
    assert_int_equal(f->flags, g->flags);
    test_same_string(a, f->function, b, g->function);
    test_same_string(a, f->file, b, g->file);
    test_same_string(a, f->arguments, b, g->arguments);
}

/* The same object: what they wait for is what a payload would hold of it. */
static void test_same_object(const struct snapshot *a, uint32_t x, const struct snapshot *b,
                             uint32_t y)
{
    struct snapshot_object o = *snapshot_object(a, x), p = *snapshot_object(b, y);
    uint32_t *mine = NULL, *other = NULL;
    assert_int_equal(o.kind, p.kind);
    switch ((enum snapshot_object_kind)o.kind) {
    case OBJECT_CHANNEL:
        mine = &o.channel.element_type;
        other = &p.channel.element_type;
        break;
    case OBJECT_SEMAPHORE:
        mine = &o.semaphore.role;
        other = &p.semaphore.role;
        break;
    case OBJECT_DESCRIPTOR:
        mine = &o.descriptor.description;
        other = &p.descriptor.description;
        break;
    case OBJECT_SYSTEM_CALL:
        mine = &o.system_call.text;
        other = &p.system_call.text;
        break;
    default:
        break;
    }
    if (mine != NULL) {
        test_same_string(a, *mine, b, *other);
        *other = *mine;
    }
    assert_true(recording_objects_equal(&o, &p));
}

/* The same goroutine. */
static void test_same_goroutine(const struct snapshot *a, const struct snapshot_goroutine *x,
                                const struct snapshot *b, const struct snapshot_goroutine *y)
{
    assert_int_equal(x->id, y->id);
    assert_int_equal(x->address, y->address);
    assert_int_equal(x->age_ns, y->age_ns);
    assert_int_equal(x->parent, y->parent);
    assert_int_equal(x->bubble, y->bubble);
    assert_int_equal(x->thread, y->thread);
    assert_int_equal(x->count, y->count);
    assert_int_equal(x->flags, y->flags);
    assert_int_equal(x->status, y->status);
    assert_int_equal(x->wait_reason, y->wait_reason);
    test_same_frame(a, x->creator, b, y->creator);
    test_same_frame(a, x->start, b, y->start);
    size_t n, m;
    const uint32_t *f = snapshot_stack(a, x->stack, &n), *g = snapshot_stack(b, y->stack, &m);
    assert_int_equal(n, m);
    for (size_t i = 0; i < n; i++) {
        test_same_frame(a, f[i], b, g[i]);
    }
    const struct snapshot_label *l = snapshot_labels(a, x->labels, &n);
    const struct snapshot_label *k = snapshot_labels(b, y->labels, &m);
    assert_int_equal(n, m);
    for (size_t i = 0; i < n; i++) {
        test_same_string(a, l[i].key, b, k[i].key);
        test_same_string(a, l[i].value, b, k[i].value);
    }
    const struct snapshot_wait *v = snapshot_waits(a, x, &n), *w = snapshot_waits(b, y, &m);
    assert_int_equal(n, m);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(v[i].direction, w[i].direction);
        test_same_object(a, v[i].object, b, w[i].object);
    }
}

/* Asserts that A and B say the same, but for where they come from. */
static void test_same(const struct snapshot *a, const struct snapshot *b)
{
    const struct snapshot_program *p = snapshot_program(a), *q = snapshot_program(b);
    assert_int_equal(p->taken_at_ns, q->taken_at_ns);
    assert_int_equal(p->threads, q->threads);
    assert_int_equal(p->modified, q->modified);
    assert_int_equal(p->pid, q->pid);
    assert_int_equal(p->read_ns, q->read_ns);
    assert_int_equal(p->stopped_ns, q->stopped_ns);
    test_same_string(a, p->executable, b, q->executable);
    test_same_string(a, p->go_version, b, q->go_version);
    test_same_string(a, p->module, b, q->module);
    size_t n, m;
    const struct snapshot_goroutine *x = snapshot_goroutines(a, &n),
                                    *y = snapshot_goroutines(b, &m);
    assert_int_equal(n, m);
    for (size_t i = 0; i < n; i++) {
        test_same_goroutine(a, &x[i], b, &y[i]);
    }
    const char *const *s = snapshot_notes(a, &n), *const *t = snapshot_notes(b, &m);
    assert_int_equal(n, m);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(s[i], t[i]);
    }
}

/* Records the rounds FROM up to TO. */
static void test_record(const struct test_file *file, enum recording_mode mode, unsigned from,
                        unsigned to)
{
    struct recording_writer *writer;
    assert_success(recording_writer_open(file->path, mode, &writer));
    for (unsigned round = from; round < to; round++) {
        struct snapshot *snapshot = test_program(round);
        assert_success(recording_writer_add(writer, snapshot));
        snapshot_destroy(snapshot);
    }
    assert_int_equal(recording_writer_count(writer), to - from);
    recording_writer_close(writer);
}

/* Asserts that RECORDING's snapshot INDEX is round ROUND. */
static void test_is_round(const struct recording *recording, size_t index, unsigned round)
{
    struct snapshot *loaded, *want = test_program(round);
    assert_success(recording_load(recording, index, &loaded));
    test_same(want, loaded);
    snapshot_destroy(loaded);
    snapshot_destroy(want);
}

/* Every snapshot comes back, in any order. */
static void test_round_trip(void **state)
{
    (void)state;
    struct test_file file = test_make();
    struct recording *recording;
    struct stat status;
    test_record(&file, RECORDING_NEW, 0, 40);
    assert_int_equal(stat(file.path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_true(recording_is(file.path));
    assert_success(recording_open(file.path, &recording));
    size_t count;
    const struct recording_moment *moments = recording_moments(recording, &count);
    assert_int_equal(count, 40);
    assert_null(recording_damage(recording));
    assert_true(moments[0].complete);
    assert_false(moments[1].complete);
    for (size_t i = 40; i-- > 0;) {
        assert_int_equal(moments[i].taken_at_ns, TEST_START + (int64_t)i * TEST_SECOND);
        test_is_round(recording, i, (unsigned)i);
    }
    recording_close(recording);
    test_remove(&file);
}

/* Appending begins anew, refusing and replacing work. */
static void test_modes(void **state)
{
    (void)state;
    struct test_file file = test_make();
    struct recording_writer *writer, *other;
    struct recording *recording;
    size_t count;
    test_record(&file, RECORDING_NEW, 0, 3);
    assert_error(recording_writer_open(file.path, RECORDING_NEW, &writer), ERROR_USAGE);
    test_record(&file, RECORDING_APPEND, 3, 6);
    assert_success(recording_open(file.path, &recording));
    const struct recording_moment *moments = recording_moments(recording, &count);
    assert_int_equal(count, 6);
    assert_true(moments[3].complete);
    for (size_t i = 0; i < 6; i++) {
        test_is_round(recording, i, (unsigned)i);
    }
    recording_close(recording);
    assert_success(recording_writer_open(file.path, RECORDING_APPEND, &writer));
    assert_error(recording_writer_open(file.path, RECORDING_APPEND, &other), ERROR_USAGE);
    recording_writer_close(writer);
    test_record(&file, RECORDING_REPLACE, 7, 8);
    assert_success(recording_open(file.path, &recording));
    test_is_round(recording, 0, 7);
    recording_close(recording);
    assert_int_equal(unlink(file.path), 0);
    assert_success(recording_writer_open(file.path, RECORDING_NEW, &writer));
    recording_writer_close(writer);
    assert_int_equal(access(file.path, F_OK), -1); /* nothing was recorded: no file */
    test_remove(&file);
}

/* The bytes of a file. */
static size_t test_slurp(const char *path, uint8_t *bytes, size_t size)
{
    int descriptor = open(path, O_RDONLY);
    assert_true(descriptor >= 0);
    ssize_t got = read(descriptor, bytes, size);
    assert_true(got > 0 && (size_t)got < size);
    close(descriptor);
    return (size_t)got;
}

/* Writes a file anew. */
static void test_spill(const char *path, const uint8_t *bytes, size_t size)
{
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, bytes, size), (ssize_t)size);
    close(descriptor);
}

/* Cut at any byte, what is whole is there, the rest is named; appending continues behind it. */
static void test_cut_anywhere(void **state)
{
    (void)state;
    static uint8_t bytes[1 << 16];
    struct test_file file = test_make();
    test_record(&file, RECORDING_NEW, 0, 4);
    size_t size = test_slurp(file.path, bytes, sizeof bytes);
    size_t seen = 0;
    for (size_t cut = 0; cut <= size; cut++) {
        struct recording *recording;
        test_spill(file.path, bytes, cut);
        struct error *error = recording_open(file.path, &recording);
        if (error != NULL) {
            assert_int_equal(seen, 0);
            assert_int_equal(error_code(error),
                             cut < RECORDING_HEAD_SIZE ? ERROR_CORRUPT : ERROR_NOT_FOUND);
            error_destroy(error);
            continue;
        }
        size_t count;
        (void)recording_moments(recording, &count);
        assert_true(count == seen || count == seen + 1);
        assert_int_equal(recording_damage(recording) == NULL, count == seen + 1);
        seen = count;
        test_is_round(recording, count - 1, (unsigned)count - 1);
        recording_close(recording);
    }
    assert_int_equal(seen, 4);
    test_spill(file.path, bytes, size - 5);
    test_record(&file, RECORDING_APPEND, 9, 10);
    struct recording *recording;
    assert_success(recording_open(file.path, &recording));
    assert_null(recording_damage(recording));
    test_is_round(recording, 2, 2);
    test_is_round(recording, 3, 9);
    recording_close(recording);
    test_remove(&file);
}

/* Any single byte changed: an error or the same snapshots, and those before the place are there. */
static void test_damage_anywhere(void **state)
{
    (void)state;
    static uint8_t bytes[1 << 16];
    struct test_file file = test_make();
    struct recording *recording;
    size_t count;
    test_record(&file, RECORDING_NEW, 0, 3);
    size_t size = test_slurp(file.path, bytes, sizeof bytes);
    assert_success(recording_open(file.path, &recording));
    const struct recording_moment *moments = recording_moments(recording, &count);
    uint64_t first_end = RECORDING_HEAD_SIZE + moments[0].bytes;
    recording_close(recording);
    for (size_t at = 0; at < size; at++) {
        bytes[at] ^= 0x55;
        test_spill(file.path, bytes, size);
        bytes[at] ^= 0x55;
        struct error *error = recording_open(file.path, &recording);
        if (error != NULL) {
            assert_true(at < first_end);
            error_destroy(error);
            continue;
        }
        (void)recording_moments(recording, &count);
        for (size_t i = 0; i < count; i++) {
            struct snapshot *loaded = NULL;
            error = recording_load(recording, i, &loaded);
            assert_true(error == NULL || error_code(error) == ERROR_CORRUPT);
            assert_true(error == NULL || at < first_end || i > 0);
            error_destroy(error);
            snapshot_destroy(loaded);
        }
        recording_close(recording);
    }
    test_remove(&file);
}

/* A file that is damaged before its end is not appended to, nor is what is no recording. */
static void test_append_refuses(void **state)
{
    (void)state;
    static uint8_t bytes[1 << 16];
    struct test_file file = test_make();
    struct recording_writer *writer;
    test_record(&file, RECORDING_NEW, 0, 3);
    size_t size = test_slurp(file.path, bytes, sizeof bytes);
    bytes[RECORDING_HEAD_SIZE + 4] ^= 1;
    test_spill(file.path, bytes, size);
    assert_error(recording_writer_open(file.path, RECORDING_APPEND, &writer), ERROR_CORRUPT);
    test_spill(file.path, (const uint8_t *)"goroutine 1 [running]:\n", 23);
    assert_error(recording_writer_open(file.path, RECORDING_APPEND, &writer), ERROR_CORRUPT);
    assert_false(recording_is(file.path));
    test_remove(&file);
}

/* Payloads by hand: none of them is read beyond its end, and each is refused. */
static void test_hostile_payloads(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } payloads[] = {
        {"", 0},
        {"\x01\x7f", 2},                                      /* string beyond the end */
        {"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, /* a huge one */
        {"\x02\x01\x61\x01\x61", 5},                          /* one string twice */
        {"\x00\x01\x00\x01", 4},                              /* frame, no such string */
        {"\x00\x00\x01\x01\x02", 5},                          /* stack of no frame */
        {"\x00\x00\x01\x00", 4},                              /* an empty stack */
        {"\x00\x00\x00\x01\x00", 5},                          /* an empty label set */
        {"\x00\x00\x00\x00\x01\x02\x00\x00", 8},              /* object 1 without 0 */
        {"\x00\x00\x00\x00\x01\x00\x0d\x00", 8},              /* unknown kind */
        {"\x00\x00\x00\x00\x00\x02", 6},                      /* neither yes nor no */
        {"\x00\x00\x00\x00\x00\x00\0\0\0\0\x7f", 11},         /* notes beyond the end */
        {"\x00\x00\x00\x00\x00\x00\0\0\0\0\0\0\x04", 13},     /* keeps what is not there */
        {"\x00\x00\x00\x00\x00\x00\0\0\0\0\0\0\x06\x01\x80\x80\x01", 17}, /* unknown field */
        {"\x00\x00\x00\x00\x00\x00\0\0\0\0\0\0\x06\x01\x04\x02", 16},     /* no such stack */
        {"\x00\x00\x00\x00\x00\x00\0\0\0\0\0\0\x06\x01\x80\x08\x01\x00\x00",
         19}, /* no such object */
        {"\x00\x00\x00\x00\x00\x00\0\0\0\0\0\0\x0a\x05\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
         "\x00",
         26}, /* ids that wrap */
    };
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        struct recording_state chain = {0};
        void *guarded = support_guarded(payloads[i].bytes, payloads[i].size);
        assert_success(recording_state_begin(&chain));
        struct error *error = recording_state_apply(&chain, guarded, payloads[i].size);
        if (error == NULL) {
            fail_msg("payload %zu was taken", i);
        }
        assert_int_equal(error_code(error), ERROR_CORRUPT);
        error_destroy(error);
        recording_state_deinit(&chain);
        support_guarded_free(guarded, payloads[i].size);
    }
}

/* A sound payload, cut anywhere, is refused or makes a smaller snapshot, and is not read past its
 * end. */
static void test_payload_cut_anywhere(void **state)
{
    (void)state;
    static uint8_t bytes[1 << 16];
    struct test_file file = test_make();
    struct recording_record record;
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.27.4");
    size_t index;
    snapshot_fixture_goroutine(&fixture, 3, fixture.worker, WAIT_REASON_SELECT, &index);
    struct snapshot *snapshot = snapshot_fixture_end(&fixture);
    struct recording_writer *writer;
    assert_success(recording_writer_open(file.path, RECORDING_NEW, &writer));
    assert_success(recording_writer_add(writer, snapshot));
    assert_success(recording_writer_add(writer, snapshot));
    recording_writer_close(writer);
    snapshot_destroy(snapshot);
    size_t size = test_slurp(file.path, bytes, sizeof bytes);
    assert_true(recording_record_get(bytes + RECORDING_HEAD_SIZE, &record));
    uint8_t *second = bytes + RECORDING_HEAD_SIZE + RECORDING_RECORD_SIZE + record.stored;
    assert_true(recording_record_get(second, &record));
    assert_int_equal(record.flags, 0); /* a difference of nothing is too small to compress */
    assert_ptr_equal(second + RECORDING_RECORD_SIZE + record.raw, bytes + size);
    for (size_t cut = 0; cut <= record.raw; cut++) {
        struct recording_state chain = {0};
        void *guarded = support_guarded(second + RECORDING_RECORD_SIZE, cut);
        assert_success(recording_state_begin(&chain));
        error_destroy(recording_state_apply(&chain, guarded, cut));
        recording_state_deinit(&chain);
        support_guarded_free(guarded, cut);
    }
    test_remove(&file);
}

/* A program in which nothing happens costs next to nothing. */
static void test_quiet_is_cheap(void **state)
{
    (void)state;
    struct test_file file = test_make();
    struct recording_writer *writer;
    assert_success(recording_writer_open(file.path, RECORDING_NEW, &writer));
    uint64_t before = 0;
    for (unsigned round = 0; round < 3; round++) {
        struct snapshot_fixture fixture = snapshot_fixture_begin("go1.27.4");
        snapshot_builder_program(fixture.builder)->taken_at_ns = TEST_START + round * TEST_SECOND;
        for (unsigned i = 1; i <= 1000; i++) {
            size_t index;
            struct snapshot_goroutine *goroutine = snapshot_fixture_goroutine(
                &fixture, i, fixture.worker, WAIT_REASON_CHAN_RECEIVE, &index);
            goroutine->age_ns = (i + round) * TEST_SECOND;
            uint32_t object = test_object(&fixture, OBJECT_TIMER, 0, (int64_t)i * 10 + 3);
            assert_success(snapshot_builder_waits(fixture.builder, index,
                                                  &(struct snapshot_wait){.object = object}, 1));
            ((struct snapshot_object *)snapshot_object(snapshot_builder_peek(fixture.builder),
                                                       object))
                ->timer.due_ns -= round * TEST_SECOND;
        }
        struct snapshot *snapshot = snapshot_fixture_end(&fixture);
        before = recording_writer_bytes(writer);
        assert_success(recording_writer_add(writer, snapshot));
        snapshot_destroy(snapshot);
    }
    assert_true(recording_writer_bytes(writer) - before < 100);
    recording_writer_close(writer);
    test_remove(&file);
}

/* Moments by name. */
static void test_moments(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t index;
    } cases[] = {
        {"first", 0},
        {"last", 9},
        {"1", 0},
        {"10", 9},
        {"+0s", 0},
        {"+3s", 3},
        {"+3.4s", 3},
        {"-2s", 7},
        {"+60s", 9},
        {"22:13:25", 5},
        {"22:13", 0},
        {"22:13:25.9", 6},
        {"2023-11-14T22:13:22Z", 2},
        {"2023-11-14T23:13:22+01:00", 2},
        {"2023-11-14T22:13:22.4Z", 2},
        {"2023-11-14 22:13:24", 4},
    };
    static const struct {
        const char *text;
        enum error_code code;
    } wrong[] = {
        {"", ERROR_USAGE},
        {"0", ERROR_NOT_FOUND},
        {"11", ERROR_NOT_FOUND},
        {"+1h", ERROR_NOT_FOUND},
        {"-1h", ERROR_NOT_FOUND},
        {"noon", ERROR_USAGE},
        {"25:00", ERROR_USAGE},
        {"10:0", ERROR_USAGE},
        {"10:00:", ERROR_USAGE},
        {"10:00", ERROR_NOT_FOUND},
        {"2023-13-14T22:13:22Z", ERROR_USAGE},
        {"2023-11-14T22:13:22+1", ERROR_USAGE},
        {"+1x", ERROR_USAGE},
        {"99999999999999999999", ERROR_NOT_FOUND},
        {"2024-11-14T22:13:22Z", ERROR_NOT_FOUND},
        {"10:00:05 ", ERROR_USAGE},
    };
    struct test_file file = test_make();
    struct recording *recording;
    size_t index;
    assert_int_equal(setenv("TZ", "UTC", 1), 0);
    tzset();
    test_record(&file, RECORDING_NEW, 0, 10); /* from 2023-11-14 22:13:20 on */
    assert_success(recording_open(file.path, &recording));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_success(recording_find(recording, cases[i].text, &index));
        if (index != cases[i].index) {
            fail_msg("@%s is %zu", cases[i].text, index);
        }
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_error(recording_find(recording, wrong[i].text, &index), wrong[i].code);
    }
    char text[RECORDING_TIME_SIZE];
    recording_format_time(TEST_START + 1, text, sizeof text);
    assert_string_equal(text, "2023-11-14 22:13:20");
    recording_close(recording);
    test_remove(&file);
}

/* What test_work works on. */
struct test_work {
    struct test_file file;
    struct snapshot *rounds[2];
};

/* Work for support_exhaust: writes and reads. */
static struct error *test_work(void *context)
{
    const struct test_work *work = context;
    const char *path = work->file.path;
    struct recording_writer *writer = NULL;
    struct recording *recording = NULL;
    struct snapshot *loaded = NULL;
    struct error *error = recording_writer_open(path, RECORDING_REPLACE, &writer);
    for (unsigned round = 0; error == NULL && round < 2; round++) {
        error = recording_writer_add(writer, work->rounds[round]);
    }
    recording_writer_close(writer);
    if (error == NULL) {
        error = recording_open(path, &recording);
    }
    if (error == NULL) {
        error = recording_load(recording, 1, &loaded);
    }
    snapshot_destroy(loaded);
    recording_close(recording);
    return error;
}

/* Memory may run out anywhere. */
static void test_no_memory(void **state)
{
    (void)state;
    struct test_work work = {.file = test_make(), .rounds = {test_program(0), test_program(1)}};
    support_exhaust(test_work, &work);
    snapshot_destroy(work.rounds[0]);
    snapshot_destroy(work.rounds[1]);
    test_remove(&work.file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_damage_anywhere),
        cmocka_unit_test(test_append_refuses),
        cmocka_unit_test(test_hostile_payloads),
        cmocka_unit_test(test_payload_cut_anywhere),
        cmocka_unit_test(test_quiet_is_cheap),
        cmocka_unit_test(test_moments),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
