/* Goroutine profiles as pprof files (profile.proto, see pprof_file.c), gzip or not: what
 * /debug/pprof/goroutine and /debug/pprof/goroutineleak answer, and what Unpark writes itself.
 *
 * A sample stands for as many goroutines as its value says; a file that carries Unpark's comment
 * holds labels goid (number), state (text) and wait (nanoseconds), which are taken back. Without
 * that comment they are labels like any other: a program may have used those names. Invariants:
 * frames of a location are made once; all work is bounded by the size of the file. */
#include "base/cleanup.h"
#include "base/string_builder.h"
#include "ingest/frame_kind.h"
#include "ingest/gunzip.h"
#include "ingest/ingest.h"
#include "ingest/pprof_file.h"
#include "ingest/pprof_marks.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    PPROF_LABELS_MAX = 256,       /* of a sample */
    PPROF_FRAMES_MAX = 128 << 20, /* of all samples together */
    PPROF_FREE_FRAMES = 65536,    /* allowed to the smallest file */
    PPROF_FRAMES_PER_BYTE = 4,
    PPROF_PLAIN_RATIO = 128,     /* a real profile compresses 5 to 40 times */
    PPROF_PLAIN_FREE = 64 << 20, /* allowed to the smallest gzip stream */
    PPROF_PLAIN_MAX = 1 << 30
};

/* One run. */
struct pprof_read {
    struct snapshot_builder *builder;
    struct pprof_file file;
    uint32_t *strings;          /* by string of the file: id in the builder; 0 not yet */
    VECTOR(uint32_t) frames;    /* frame ids of the lines, as file.lines; 0 not yet */
    VECTOR(uint64_t) locations; /* of the present sample */
    VECTOR(uint64_t) values;    /* of the present sample */
    VECTOR(uint32_t) stack;     /* of the present sample */
    VECTOR(struct snapshot_label) labels;
    size_t budget;  /* frames that samples may still have */
    size_t value;   /* which of a sample's values counts goroutines */
    size_t leaked;  /* which one counts those of them that leaked; SIZE_MAX none */
    bool leaks;     /* the profile is the one of leaked goroutines */
    bool marked;    /* the file carries Unpark's comment */
    bool ids_known; /* every goroutine so far has an id */
};

/* What a sample's own labels tell. */
struct pprof_sample {
    uint64_t count;
    bool leaked; /* all of them */
    uint64_t goid;
    int64_t age_ns;
    const struct pprof_text *state; /* NULL unknown */
};

/* Frees a run. */
static void pprof_read_deinit(struct pprof_read *run)
{
    pprof_file_deinit(&run->file);
    free(run->strings);
    vector_deinit(&run->frames);
    vector_deinit(&run->locations);
    vector_deinit(&run->values);
    vector_deinit(&run->stack);
    vector_deinit(&run->labels);
}

/* True when string INDEX of the file is TEXT. */
static bool pprof_read_is(const struct pprof_read *run, uint32_t index, const char *text)
{
    const struct pprof_text *string = &run->file.strings.items[index];
    return string->size == strlen(text) && memcmp(string->bytes, text, string->size) == 0;
}

/* The builder's id of string INDEX of the file, 0 for the empty string. */
static struct error *pprof_read_string(struct pprof_read *run, uint32_t index, uint32_t *ret)
{
    const struct pprof_text *text = &run->file.strings.items[index];
    if (run->strings[index] == 0 && text->size > 0) {
        TRY(snapshot_builder_string(run->builder, text->bytes, text->size, &run->strings[index]));
    }
    *ret = run->strings[index];
    return NULL;
}

/* The printed name of FUNCTION: runtime.gopanic appears as panic in Go's text and in snapshots. */
static struct error *pprof_read_name(struct pprof_read *run, const struct pprof_function *function,
                                     uint32_t *ret)
{
    static const char panic[] = "panic";
    if (pprof_read_is(run, function->name, "runtime.gopanic")) {
        return snapshot_builder_string(run->builder, panic, sizeof panic - 1, ret);
    }
    return pprof_read_string(run, function->name, ret);
}

/* Makes the frame of line NUMBER at LOCATION. */
static struct error *pprof_read_frame(struct pprof_read *run, const struct pprof_location *location,
                                      uint32_t number, uint32_t *ret)
{
    struct snapshot_frame frame = {.pc = location->address, .entry_offset = UINT32_MAX};
    if (number < location->line_count) {
        const struct pprof_line *line = &run->file.lines.items[location->first_line + number];
        frame.line = line->line;
        frame.flags = number + 1 < location->line_count ? FRAME_INLINED : 0;
        if (line->function != UINT32_MAX) {
            const struct pprof_function *function = &run->file.functions.items[line->function];
            TRY(pprof_read_name(run, function, &frame.function));
            TRY(pprof_read_string(run, function->file, &frame.file));
        }
    }
    const struct snapshot *snapshot = snapshot_builder_peek(run->builder);
    frame.flags |= frame_kind(snapshot_string(snapshot, frame.function),
                              snapshot_string(snapshot, frame.file));
    return snapshot_builder_frame(run->builder, &frame, ret);
}

/* Appends the frames of LOCATION to the present stack. */
static struct error *pprof_read_add_frames(struct pprof_read *run,
                                           const struct pprof_location *location)
{
    uint32_t count = location->line_count == 0 ? 1 : location->line_count;
    if (count > run->budget) {
        return error_create(ERROR_LIMIT, "pprof file: stacks that are absurdly long for its size");
    }
    run->budget -= count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t frame = 0;
        if (location->line_count == 0) {
            TRY(pprof_read_frame(run, location, i, &frame));
        } else {
            uint32_t *made = &run->frames.items[location->first_line + i];
            if (*made == 0) {
                TRY(pprof_read_frame(run, location, i, made));
            }
            frame = *made;
        }
        TRY(vector_append(&run->stack, frame));
    }
    return NULL;
}

/* Makes the stack of the present sample. */
static struct error *pprof_read_stack(struct pprof_read *run, uint32_t *ret)
{
    run->stack.count = 0;
    for (size_t i = 0; i < run->locations.count; i++) {
        const struct pprof_location *location =
            pprof_file_location(&run->file, run->locations.items[i]);
        if (location == NULL) {
            return error_create(ERROR_CORRUPT, "pprof file: there is no location %" PRIu64,
                                run->locations.items[i]);
        }
        TRY(pprof_read_add_frames(run, location));
    }
    return snapshot_builder_stack(run->builder, run->stack.items, run->stack.count, ret);
}

/* Appends the numbers of FIELD, one or a packed list. */
static struct error *pprof_read_numbers(struct pprof_field *field, size_t limit, uint64_t **numbers,
                                        size_t *count, size_t *capacity)
{
    bool one = !field->is_bytes;
    while (one || (field->is_bytes && cursor_left(&field->bytes) > 0)) {
        uint64_t number = field->value;
        if (!one) {
            TRY(cursor_uvarint(&field->bytes, &number));
        }
        if (*count == limit) {
            return error_create(ERROR_LIMIT, "pprof sample: more than %zu numbers", limit);
        }
        TRY(vector_grow((void **)numbers, capacity, *count + 1, sizeof **numbers));
        (*numbers)[(*count)++] = number;
        one = false;
    }
    return NULL;
}

/* One label of a sample. */
struct pprof_label {
    uint32_t key, text, unit; /* strings, checked */
    uint64_t number;
    bool is_number;
};

/* Decodes a label. */
static struct error *pprof_read_decode_label(const struct pprof_read *run, struct cursor message,
                                             struct pprof_label *ret)
{
    *ret = (struct pprof_label){0};
    while (cursor_left(&message) > 0) {
        struct pprof_field field;
        TRY(pprof_file_field(&message, &field));
        if (field.number == 1) {
            TRY(pprof_file_string(&run->file, field.value, &ret->key));
        } else if (field.number == 2) {
            TRY(pprof_file_string(&run->file, field.value, &ret->text));
        } else if (field.number == 3) {
            ret->number = field.value;
        } else if (field.number == 4) {
            TRY(pprof_file_string(&run->file, field.value, &ret->unit));
        }
    }
    ret->is_number = ret->text == 0 && (ret->number != 0 || ret->unit != 0);
    return NULL;
}

/* Takes a label that is Unpark's own; false when it is the program's. */
static bool pprof_read_take_mark(const struct pprof_read *run, const struct pprof_label *label,
                                 struct pprof_sample *sample)
{
    if (!run->marked) {
        return false;
    }
    if (label->is_number && sample->goid == 0 && pprof_read_is(run, label->key, PPROF_MARKS_GOID)) {
        sample->goid = label->number;
        return true;
    }
    if (label->is_number && sample->age_ns == SNAPSHOT_UNKNOWN && label->number <= INT64_MAX &&
        pprof_read_is(run, label->key, PPROF_MARKS_WAIT)) {
        sample->age_ns = (int64_t)label->number;
        return true;
    }
    if (!label->is_number && sample->state == NULL &&
        pprof_read_is(run, label->key, PPROF_MARKS_STATE)) {
        sample->state = &run->file.strings.items[label->text];
        return true;
    }
    return false;
}

/* Adds a label of the program's to those of the present sample. */
static struct error *pprof_read_add_label(struct pprof_read *run, const struct pprof_label *label)
{
    struct snapshot_label made = {0};
    if (run->labels.count == PPROF_LABELS_MAX) {
        return error_create(ERROR_LIMIT, "pprof sample: more than %d labels", PPROF_LABELS_MAX);
    }
    TRY(pprof_read_string(run, label->key, &made.key));
    if (label->is_number) {
        char text[32];
        struct string_builder value = {0};
        const struct pprof_text *unit = &run->file.strings.items[label->unit];
        snprintf(text, sizeof text, "%" PRId64 "%s", (int64_t)label->number,
                 unit->size > 0 ? " " : "");
        string_builder_add(&value, text);
        string_builder_add_bytes(&value, unit->bytes, unit->size);
        struct error *error = string_builder_error(&value);
        if (error == NULL) {
            error = snapshot_builder_string(run->builder, value.text, value.size, &made.value);
        }
        string_builder_deinit(&value);
        TRY(error);
    } else {
        TRY(pprof_read_string(run, label->text, &made.value));
    }
    return vector_append(&run->labels, made);
}

/* Decodes sample NUMBER: its locations, its labels, how many goroutines it stands for. */
static struct error *pprof_read_decode(struct pprof_read *run, size_t number,
                                       struct pprof_sample *sample)
{
    const struct pprof_text *bytes = &run->file.samples.items[number];
    struct cursor message;
    cursor_init(&message, bytes->bytes, bytes->size, "pprof sample", 0);
    *sample = (struct pprof_sample){.age_ns = SNAPSHOT_UNKNOWN};
    run->locations.count = 0;
    run->values.count = 0;
    run->labels.count = 0;
    while (cursor_left(&message) > 0) {
        struct pprof_field field;
        struct pprof_label label;
        TRY(pprof_file_field(&message, &field));
        if (field.number == 1) {
            TRY(pprof_read_numbers(&field, run->budget, &run->locations.items,
                                   &run->locations.count, &run->locations.capacity));
        } else if (field.number == 2) {
            TRY(pprof_read_numbers(&field, PPROF_LABELS_MAX, &run->values.items, &run->values.count,
                                   &run->values.capacity));
        } else if (field.number == 3 && field.is_bytes) {
            TRY(pprof_read_decode_label(run, field.bytes, &label));
            if (!pprof_read_take_mark(run, &label, sample)) {
                TRY(pprof_read_add_label(run, &label));
            }
        }
    }
    if (run->values.count != run->file.sample_types.count) {
        return error_create(ERROR_CORRUPT, "pprof sample: %zu values for %zu sample types",
                            run->values.count, run->file.sample_types.count);
    }
    sample->count = run->values.items[run->value];
    sample->leaked =
        run->leaks || (run->leaked != SIZE_MAX && run->values.items[run->leaked] == sample->count);
    return NULL;
}

/* Sets status, wait reason and the leak mark from TEXT, a state as Go's text has it. */
static void pprof_read_set_state(struct snapshot_goroutine *goroutine,
                                 const struct pprof_text *text)
{
    static const char leaked[] = PPROF_MARKS_LEAKED;
    const size_t leaked_size = sizeof leaked - 1;
    size_t size = text->size;
    if (size > leaked_size && memcmp(text->bytes + size - leaked_size, leaked, leaked_size) == 0) {
        goroutine->flags |= GOROUTINE_LEAKED;
        size -= leaked_size;
    }
    enum wait_reason reason = wait_reason_parse(text->bytes, size);
    if (size > 0 && reason != WAIT_REASON_COUNT) {
        goroutine->status = GOROUTINE_STATUS_WAITING;
        goroutine->wait_reason = (uint8_t)reason;
        return;
    }
    for (unsigned status = 0; status < GOROUTINE_STATUS_COUNT; status++) {
        const char *word = goroutine_status_text((enum goroutine_status)status);
        if (strlen(word) == size && memcmp(word, text->bytes, size) == 0) {
            goroutine->status = (uint8_t)status;
        }
    }
}

/* Makes an entry of sample NUMBER. */
static struct error *pprof_read_sample(struct pprof_read *run, size_t number,
                                       struct snapshot_goroutine *goroutine)
{
    struct pprof_sample sample;
    TRY(pprof_read_decode(run, number, &sample));
    if ((int64_t)sample.count < 0) {
        return error_create(ERROR_CORRUPT,
                            "pprof sample: %" PRId64 " goroutines: the file is a "
                            "difference of profiles",
                            (int64_t)sample.count);
    }
    if (sample.count > UINT32_MAX) {
        return error_create(ERROR_LIMIT, "pprof sample: %" PRIu64 " goroutines with one stack",
                            sample.count);
    }
    if (sample.count == 0) {
        return NULL;
    }
    TRY(pprof_read_stack(run, &goroutine->stack));
    TRY(snapshot_builder_labels(run->builder, run->labels.items, run->labels.count,
                                &goroutine->labels));
    run->ids_known &= sample.count == 1 && sample.goid != 0;
    goroutine->id = sample.goid != 0 ? sample.goid : 1;
    goroutine->count = (uint32_t)sample.count;
    goroutine->age_ns = sample.age_ns;
    goroutine->flags = GOROUTINE_CREATOR_UNKNOWN;
    if (sample.leaked) {
        goroutine->status = GOROUTINE_STATUS_WAITING; /* what leaked is blocked */
        goroutine->flags |= GOROUTINE_LEAKED;
    }
    if (sample.state != NULL) {
        pprof_read_set_state(goroutine, sample.state);
    }
    return NULL;
}

/* By number. */
static int pprof_read_compare_ids(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Whether the ids of the COUNT entries differ; those that stand for nobody have none. */
static struct error *pprof_read_check_ids(const struct snapshot_goroutine *goroutines, size_t count,
                                          bool *ret)
{
    CLEANUP_FREE uint64_t *ids = reallocarray(NULL, count + 1, sizeof *ids);
    if (ids == NULL) {
        return error_no_memory();
    }
    for (size_t i = 0; i < count; i++) {
        ids[i] = goroutines[i].id;
    }
    qsort(ids, count, sizeof *ids, pprof_read_compare_ids);
    *ret = true;
    for (size_t i = 1; i < count; i++) {
        *ret &= ids[i] == 0 || ids[i] != ids[i - 1];
    }
    return NULL;
}

/* Makes entries of all samples. Ids are kept when every goroutine has one of its own. */
static struct error *pprof_read_samples(struct pprof_read *run)
{
    size_t count = run->file.samples.count;
    struct snapshot_goroutine *goroutines;
    TRY(snapshot_builder_goroutines(run->builder, count, &goroutines, NULL));
    run->ids_known = true;
    size_t known = 0;
    for (size_t i = 0; i < count; i++) {
        TRY(pprof_read_sample(run, i, &goroutines[i]));
        known += goroutines[i].id != 0;
    }
    if (known == 0) {
        return error_create(ERROR_NOT_FOUND, "the profile holds no goroutine");
    }
    if (run->ids_known) {
        TRY(pprof_read_check_ids(goroutines, count, &run->ids_known));
    }
    for (size_t i = 0; i < count && !run->ids_known; i++) {
        if (goroutines[i].id != 0) {
            goroutines[i].id = i + 1;
            goroutines[i].flags |= GOROUTINE_ID_UNKNOWN;
        }
    }
    return NULL;
}

/* The error for a profile of something else. */
static struct error *pprof_read_refuse(const struct pprof_read *run)
{
    if (run->file.sample_types.count == 0) {
        return error_create(ERROR_CORRUPT, "pprof file: it does not say what it measures");
    }
    struct string_builder types = {0};
    for (size_t i = 0; i < run->file.sample_types.count; i++) {
        const struct pprof_text *type =
            &run->file.strings.items[run->file.sample_types.items[i].type];
        string_builder_add(&types, i == 0 ? "" : ", ");
        string_builder_add_escaped(&types, type->bytes, type->size);
    }
    struct error *error =
        error_create(ERROR_UNSUPPORTED, "a profile of \"%.200s\", not of goroutines",
                     string_builder_text(&types));
    string_builder_deinit(&types);
    return error_advise(error,
                        "fetch /debug/pprof/goroutine or /debug/pprof/goroutineleak instead");
}

/* Finds which value counts goroutines, and whether the labels are Unpark's. */
static struct error *pprof_read_find_type(struct pprof_read *run)
{
    bool found = false;
    run->leaked = SIZE_MAX;
    for (size_t i = 0; i < run->file.sample_types.count; i++) {
        uint32_t type = run->file.sample_types.items[i].type;
        if (pprof_read_is(run, type, PPROF_MARKS_LEAK)) {
            run->leaked = i;
        } else if (!found && pprof_read_is(run, type, PPROF_MARKS_GOROUTINE)) {
            found = true;
            run->value = i;
        }
    }
    if (!found && run->leaked != SIZE_MAX) {
        found = true;
        run->leaks = true;
        run->value = run->leaked;
    }
    for (size_t i = 0; i < run->file.comments.count; i++) {
        run->marked |= pprof_read_is(run, run->file.comments.items[i], PPROF_MARKS_COMMENT);
    }
    return found ? NULL : pprof_read_refuse(run);
}

/* Sets what the file tells of the program. */
static struct error *pprof_read_program(struct pprof_read *run)
{
    struct snapshot_program *program = snapshot_builder_program(run->builder);
    if (run->file.time_nanos > 0) {
        program->taken_at_ns = run->file.time_nanos;
    }
    TRY(pprof_read_string(run, run->file.executable, &program->executable));
    return pprof_read_string(run, run->file.build_id, &program->build_id);
}

/* Reads the SIZE bytes of a file without compression. */
static struct error *pprof_read_plain(const uint8_t *bytes, size_t size,
                                      struct snapshot_builder *builder)
{
    CLEANUP(pprof_read_deinit) struct pprof_read run = {.builder = builder};
    TRY(pprof_file_init(&run.file, bytes, size));
    TRY(pprof_read_find_type(&run));
    run.strings = calloc(run.file.strings.count + 1, sizeof *run.strings);
    if (run.strings == NULL) {
        return error_no_memory();
    }
    TRY(vector_reserve(&run.frames, run.file.lines.count + 1));
    memset(run.frames.items, 0, (run.file.lines.count + 1) * sizeof *run.frames.items);
    run.budget = size < PPROF_FRAMES_MAX / PPROF_FRAMES_PER_BYTE
                     ? PPROF_FREE_FRAMES + PPROF_FRAMES_PER_BYTE * size
                     : PPROF_FRAMES_MAX;
    TRY(pprof_read_samples(&run));
    return pprof_read_program(&run);
}

/* The decompressed file. */
struct pprof_plain {
    VECTOR(uint8_t) bytes;
};

/* Takes a piece of it. */
static struct error *pprof_plain_take(void *context, const uint8_t *bytes, size_t size)
{
    struct pprof_plain *plain = context;
    TRY(vector_reserve(&plain->bytes, plain->bytes.count + size));
    memcpy(plain->bytes.items + plain->bytes.count, bytes, size);
    plain->bytes.count += size;
    return NULL;
}

CLEANUP_DEFINE(gunzip, struct gunzip, gunzip_destroy)

/* Decompresses; what is absurdly large for its compressed size is refused before it is in memory.
 */
static struct error *pprof_plain_fill(struct pprof_plain *plain, const uint8_t *bytes, size_t size)
{
    CLEANUP(cleanup_gunzip) struct gunzip *stream = NULL;
    uint64_t limit = size < PPROF_PLAIN_MAX / PPROF_PLAIN_RATIO
                         ? PPROF_PLAIN_FREE + (uint64_t)PPROF_PLAIN_RATIO * size
                         : PPROF_PLAIN_MAX;
    TRY(gunzip_create(pprof_plain_take, plain, limit, &stream));
    TRY(gunzip_feed(stream, bytes, size));
    return gunzip_is_complete(stream) ? NULL
                                      : error_create(ERROR_CORRUPT, "the gzip stream was cut off");
}

struct error *ingest_pprof_read(const uint8_t *bytes, size_t size, struct snapshot_builder *builder)
{
    if (!ingest_is_gzip(bytes, size)) {
        return pprof_read_plain(bytes, size, builder);
    }
    struct pprof_plain plain = {0};
    struct error *error = pprof_plain_fill(&plain, bytes, size);
    if (error == NULL) {
        error = pprof_read_plain(plain.bytes.items, plain.bytes.count, builder);
    }
    vector_deinit(&plain.bytes);
    return error;
}
