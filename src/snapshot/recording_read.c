/* Opening recordings and making a snapshot of one moment: the chain's records up to it are applied
 * one by one. */
#include "base/cleanup.h"
#include "snapshot/recording.h"
#include "snapshot/recording_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

struct recording {
    int descriptor;
    char *path;
    struct recording_moment *moments;
    uint64_t *offsets; /* of the records' heads */
    size_t count;
    char *damage; /* NULL: none */
};

CLEANUP_DEFINE(recording, struct recording, recording_close)

/* Opens the file and checks what kind it is. */
static struct error *recording_open_file(const char *path, int *ret)
{
    struct stat status;
    CLEANUP_CLOSE int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (descriptor < 0) {
        return error_errno(errno, "recording '%s'", path);
    }
    if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        return error_create(ERROR_CORRUPT, "'%s' is not a regular file", path);
    }
    *ret = descriptor;
    descriptor = -1;
    return NULL;
}

/* Opens a recording. */
struct error *recording_open(const char *path, struct recording **ret)
{
    uint64_t end;
    bool torn;
    CLEANUP(cleanup_recording) struct recording *recording = calloc(1, sizeof *recording);
    if (recording == NULL) {
        return error_no_memory();
    }
    recording->descriptor = -1;
    TRY(recording_open_file(path, &recording->descriptor));
    recording->path = strdup(path);
    if (recording->path == NULL) {
        return error_no_memory();
    }
    TRY(error_wrap(recording_scan(recording->descriptor, &recording->moments, &recording->offsets,
                                  &recording->count, &end, &recording->damage, &torn),
                   "'%s'", path));
    if (recording->count == 0) {
        return error_create(ERROR_NOT_FOUND, "'%s': a recording without a whole snapshot", path);
    }
    *ret = TAKE(recording);
    return NULL;
}

/* Closes a recording. */
void recording_close(struct recording *recording)
{
    if (recording == NULL) {
        return;
    }
    if (recording->descriptor >= 0) {
        (void)close(recording->descriptor);
    }
    free(recording->path);
    free(recording->moments);
    free(recording->offsets);
    free(recording->damage);
    free(recording);
}

/* The list. */
const struct recording_moment *recording_moments(const struct recording *recording, size_t *count)
{
    *count = recording->count;
    return recording->moments;
}

/* What is wrong. */
const char *recording_damage(const struct recording *recording)
{
    return recording->damage;
}

/* How long a chain may become, as counted while it is read. */
struct recording_budget {
    uint64_t bytes, goroutines;
};

/* Expands STORED bytes of a payload that says to have RAW. */
static struct error *recording_expand(const uint8_t *stored, const struct recording_record *record,
                                      uint8_t **ret)
{
    CLEANUP_FREE uint8_t *raw = malloc((size_t)record->raw + 1);
    if (raw == NULL) {
        return error_no_memory();
    }
    size_t size = ZSTD_decompress(raw, record->raw, stored, record->stored);
    if (ZSTD_isError(size) || size != record->raw) {
        return error_create(ERROR_CORRUPT, "a snapshot cannot be expanded");
    }
    *ret = TAKE(raw);
    return NULL;
}

/* Reads the record at OFFSET and its payload. */
static struct error *recording_fetch(const struct recording *recording, uint64_t offset,
                                     struct recording_record *record, uint8_t **ret)
{
    uint8_t head[RECORDING_RECORD_SIZE];
    TRY(recording_read_at(recording->descriptor, offset, head, sizeof head));
    if (!recording_record_get(head, record)) {
        return error_create(ERROR_CORRUPT, "a snapshot's head has changed");
    }
    CLEANUP_FREE uint8_t *stored = malloc((size_t)record->stored + 1);
    if (stored == NULL) {
        return error_no_memory();
    }
    TRY(recording_read_at(recording->descriptor, offset + sizeof head, stored, record->stored));
    if ((uint32_t)crc32(0, stored, record->stored) != record->crc) {
        return error_create(ERROR_CORRUPT, "a snapshot's checksum is wrong");
    }
    if ((record->flags & RECORDING_COMPRESSED) != 0) {
        return recording_expand(stored, record, ret);
    }
    *ret = TAKE(stored);
    return NULL;
}

/* Applies the record at INDEX. */
static struct error *recording_apply(const struct recording *recording, size_t index,
                                     struct recording_state *state, struct recording_budget *budget)
{
    struct recording_record record;
    CLEANUP_FREE uint8_t *payload = NULL;
    TRY(recording_fetch(recording, recording->offsets[index], &record, &payload));
    budget->bytes += record.raw;
    if (budget->bytes > RECORDING_CHAIN_BYTES) {
        return error_create(ERROR_CORRUPT, "a chain of snapshots is too long");
    }
    TRY(recording_state_apply(state, payload, record.raw));
    budget->goroutines += state->goroutines.count;
    if (budget->goroutines > RECORDING_CHAIN_GOROUTINES) {
        return error_create(ERROR_CORRUPT, "a chain of snapshots is too long");
    }
    return NULL;
}

/* Applies the chain of the record at INDEX up to it. */
static struct error *recording_follow(const struct recording *recording, size_t index,
                                      struct recording_state *state)
{
    struct recording_budget budget = {0};
    size_t first = index;
    while (!recording->moments[first].complete) {
        first--; /* the first record of all is complete: recording_scan saw to it */
    }
    if (index - first >= RECORDING_CHAIN_MAX) {
        return error_create(ERROR_CORRUPT, "'%s': a chain of snapshots is too long",
                            recording->path);
    }
    TRY(recording_state_begin(state));
    for (size_t i = first; i <= index; i++) {
        struct error *error = recording_apply(recording, i, state, &budget);
        if (error != NULL) {
            return error_advise(error_wrap(error, "'%s': snapshot %zu of %zu", recording->path,
                                           i + 1, recording->count),
                                first > 0 || i > 0 ? "those before it can be read"
                                                   : "the first one is damaged");
        }
    }
    return NULL;
}

/* How the snapshot names itself: the recording, the moment and whose it is. */
static struct error *recording_name(const struct recording *recording, size_t index,
                                    const struct recording_state *state, char **ret)
{
    char when[RECORDING_TIME_SIZE];
    struct string_builder text = {0};
    const struct snapshot *tables = snapshot_builder_peek(state->tables);
    recording_format_time(recording->moments[index].taken_at_ns, when, sizeof when);
    string_builder_format(&text, "recording %s at %s", recording->path, when);
    if (state->program.source != 0) {
        string_builder_format(&text, " of %s", snapshot_string(tables, state->program.source));
    }
    return string_builder_take(&text, ret);
}

/* Makes the snapshot. */
struct error *recording_load(const struct recording *recording, size_t index, struct snapshot **ret)
{
    CLEANUP(recording_state_deinit) struct recording_state state = {0};
    CLEANUP_FREE char *name = NULL;
    TRY(recording_follow(recording, index, &state));
    TRY(recording_name(recording, index, &state, &name));
    return recording_state_finish(&state, recording->moments[index].taken_at_ns, name, ret);
}

/* One use of a state: its goroutines on their way into its tables. */
struct recording_finish {
    struct recording_state *state;
    struct snapshot_builder *builder;
    uint32_t *objects; /* by the chain's number: index in the snapshot + 1; 0: not yet there */
    VECTOR(struct snapshot_wait) waits;
};

/* Frees what finishing needed. */
static void recording_finish_deinit(struct recording_finish *finish)
{
    free(finish->objects);
    vector_deinit(&finish->waits);
    snapshot_builder_destroy(finish->builder);
}

/* NS, kept as time plus clock, as time from the snapshot's own moment. */
static int64_t recording_finish_time(const struct recording_finish *finish, int64_t ns)
{
    return ns == SNAPSHOT_UNKNOWN || ns == INT64_MAX ? ns
                                                     : recording_minus(ns, finish->state->clock_ns);
}

/* The index in the snapshot of the chain's object ID. */
static struct error *recording_finish_object(struct recording_finish *finish, uint32_t id,
                                             uint32_t *ret)
{
    if (finish->objects[id] == 0) {
        struct snapshot_object object = finish->state->objects.items[id];
        if (object.kind == OBJECT_TIMER) {
            object.timer.due_ns = recording_finish_time(finish, object.timer.due_ns);
        } else if (object.kind == OBJECT_DESCRIPTOR) {
            object.descriptor.deadline_ns =
                recording_finish_time(finish, object.descriptor.deadline_ns);
        }
        TRY(snapshot_builder_object(finish->builder, &object, ret));
        finish->objects[id] = *ret + 1;
    }
    *ret = finish->objects[id] - 1;
    return NULL;
}

/* Enters the waits of the goroutine at INDEX. */
static struct error *recording_finish_waits(struct recording_finish *finish, size_t index)
{
    const struct snapshot_goroutine *goroutine = &finish->state->goroutines.items[index];
    finish->waits.count = 0;
    for (uint32_t i = 0; i < goroutine->wait_count; i++) {
        struct snapshot_wait wait = finish->state->waits.items[goroutine->first_wait + i];
        TRY(recording_finish_object(finish, wait.object, &wait.object));
        TRY(vector_append(&finish->waits, wait));
    }
    return snapshot_builder_waits(finish->builder, index, finish->waits.items, finish->waits.count);
}

/* Enters the goroutines. */
static struct error *recording_finish_goroutines(struct recording_finish *finish)
{
    size_t count = finish->state->goroutines.count;
    struct snapshot_goroutine *goroutines;
    if (count == 0) {
        return NULL;
    }
    TRY(snapshot_builder_goroutines(finish->builder, count, &goroutines, NULL));
    for (size_t i = 0; i < count; i++) {
        struct snapshot_goroutine goroutine = finish->state->goroutines.items[i];
        goroutine.first_wait = 0;
        goroutine.wait_count = 0;
        if (goroutine.age_ns != SNAPSHOT_UNKNOWN) {
            int64_t age = recording_plus(goroutine.age_ns, finish->state->clock_ns);
            goroutine.age_ns = age < 0 ? SNAPSHOT_UNKNOWN : age;
        }
        goroutines[i] = goroutine;
    }
    for (size_t i = 0; i < count; i++) {
        TRY(recording_finish_waits(finish, i));
    }
    return NULL;
}

/* Makes a snapshot of a state. */
struct error *recording_state_finish(struct recording_state *state, int64_t taken_at_ns,
                                     const char *source, struct snapshot **ret)
{
    CLEANUP(recording_finish_deinit)
    struct recording_finish finish = {.state = state, .builder = TAKE(state->tables)};
    finish.objects = calloc(state->objects.count + 1, sizeof *finish.objects);
    if (finish.objects == NULL) {
        return error_no_memory();
    }
    struct snapshot_program *program = snapshot_builder_program(finish.builder);
    *program = state->program;
    program->taken_at_ns = taken_at_ns;
    TRY(snapshot_builder_string(finish.builder, source, strlen(source), &program->source));
    TRY(recording_finish_goroutines(&finish));
    for (size_t i = 0; i < state->notes.count; i++) {
        TRY(snapshot_builder_note(finish.builder, "%s", state->notes.items[i]));
    }
    return snapshot_builder_finish(TAKE(finish.builder), ret);
}
