/* profile.proto (ingest/pprof_file.c lists the fields) as Go 1.27 writes it: samples first, then
 * the tables that they refer to, which fill while samples are written; leaf first, ids from 1,
 * inlined calls as several lines of one location. Compiler-made wrappers and runtime.goexit are
 * left out, as the runtime does. */
#include "emit/pprof_write.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/hash_map.h"
#include "base/vector.h"
#include "emit/goroutine_counts.h"
#include "emit/gzip_writer.h"
#include "ingest/pprof_marks.h"
#include <stdlib.h>
#include <string.h>

/* Field numbers. */
enum {
    PROFILE_SAMPLE_TYPE = 1,
    PROFILE_SAMPLE = 2,
    PROFILE_MAPPING = 3,
    PROFILE_LOCATION = 4,
    PROFILE_FUNCTION = 5,
    PROFILE_STRING = 6,
    PROFILE_TIME = 9,
    PROFILE_PERIOD_TYPE = 11,
    PROFILE_PERIOD = 12,
    PROFILE_COMMENT = 13,
    PROFILE_DEFAULT_TYPE = 14
};

/* A string of the file: one of ours, or one of the snapshot's. */
struct pprof_string {
    const char *bytes;
    size_t size;
};

/* A location: its lines are the frames on the way to the root of the trie, innermost last. */
struct pprof_place {
    uint32_t frame;  /* outermost of its calls */
    uint32_t parent; /* the place of the inlined calls inside of it; 0 none */
    uint32_t number; /* its id in the file; 0: no stack ends a location here yet */
};

/* The bytes of a stack's locations. */
struct pprof_stack {
    size_t start, size;
    bool done;
};

/* One run. */
struct pprof_run {
    const struct pprof_view *view;
    const struct snapshot *snapshot;
    struct emit_sink *sink;
    struct gzip_writer *gzip;
    VECTOR(struct pprof_string) strings; /* of the file, by index */
    uint32_t *string_of;                 /* by string id of the snapshot: index; 0 not yet */
    struct hash_map functions;           /* (name, file) of the snapshot: id in the file */
    VECTOR(uint64_t) function_list;      /* those keys, by id - 1 */
    struct hash_map place_of;            /* (place inside, frame): place */
    VECTOR(struct pprof_place) places;   /* place 0 is none */
    VECTOR(uint32_t) locations;          /* places, by id - 1 */
    struct pprof_stack *stacks;          /* by stack id */
    struct string_builder stack_bytes;
    struct string_builder message, nested;
    uint32_t goid, state, wait, wait_unit;       /* strings of ours */
    uint32_t states[GOROUTINE_COUNTS_STATES][2]; /* by state and leak: string; 0 not yet */
    struct arena texts;
};

/* Appends VALUE as a varint. */
static void pprof_varint(struct string_builder *builder, uint64_t value)
{
    char bytes[10];
    size_t size = 0;
    for (; value >= 0x80; value >>= 7) {
        bytes[size++] = (char)(value | 0x80);
    }
    bytes[size++] = (char)value;
    string_builder_add_bytes(builder, bytes, size);
}

/* Appends field NUMBER, a varint; 0 is what an absent field says. */
static void pprof_number(struct string_builder *builder, unsigned number, uint64_t value)
{
    if (value != 0) {
        pprof_varint(builder, (uint64_t)number << 3);
        pprof_varint(builder, value);
    }
}

/* Appends field NUMBER, bytes. */
static void pprof_bytes(struct string_builder *builder, unsigned number, const char *bytes,
                        size_t size)
{
    pprof_varint(builder, (uint64_t)number << 3 | 2);
    pprof_varint(builder, size);
    string_builder_add_bytes(builder, bytes, size);
}

/* Writes field NUMBER of the profile: BYTES. */
static void pprof_put(struct pprof_run *run, unsigned number, const char *bytes, size_t size)
{
    struct string_builder *head = &run->nested;
    string_builder_clear(head);
    pprof_varint(head, (uint64_t)number << 3 | 2);
    pprof_varint(head, size);
    emit_sink_fail(run->sink, string_builder_error(head));
    if (!emit_sink_failed(run->sink)) {
        gzip_writer_add(run->gzip, head->text, head->size);
        gzip_writer_add(run->gzip, bytes, size);
    }
}

/* Writes the message as field NUMBER and empties it. */
static void pprof_put_message(struct pprof_run *run, unsigned number)
{
    emit_sink_fail(run->sink, string_builder_error(&run->message));
    pprof_put(run, number, string_builder_text(&run->message), run->message.size);
    string_builder_clear(&run->message);
}

/* Writes field NUMBER of the profile, a number. */
static void pprof_put_number(struct pprof_run *run, unsigned number, uint64_t value)
{
    string_builder_clear(&run->nested);
    pprof_number(&run->nested, number, value);
    emit_sink_fail(run->sink, string_builder_error(&run->nested));
    if (!emit_sink_failed(run->sink)) {
        gzip_writer_add(run->gzip, string_builder_text(&run->nested), run->nested.size);
    }
}

/* Adds a string of ours, which lives as long as the run. */
static struct error *pprof_add_string(struct pprof_run *run, const char *text, uint32_t *ret)
{
    struct pprof_string string = {text, strlen(text)};
    *ret = (uint32_t)run->strings.count;
    return vector_append(&run->strings, string);
}

/* The index of string ID of the snapshot. */
static struct error *pprof_find_string(struct pprof_run *run, uint32_t id, uint32_t *ret)
{
    if (id != 0 && run->string_of[id] == 0) {
        struct pprof_string string = {snapshot_string(run->snapshot, id),
                                      snapshot_string_size(run->snapshot, id)};
        run->string_of[id] = (uint32_t)run->strings.count;
        TRY(vector_append(&run->strings, string));
    }
    *ret = id == 0 ? 0 : run->string_of[id];
    return NULL;
}

/* The place of FRAME around the inlined calls of INSIDE. */
static struct error *pprof_find_place(struct pprof_run *run, uint32_t inside, uint32_t frame,
                                      uint32_t *ret)
{
    uint64_t *slot;
    bool added;
    struct pprof_place place = {.frame = frame, .parent = inside};
    TRY(hash_map_entry(&run->place_of, (uint64_t)inside << 32 | frame, run->places.count, &added,
                       &slot));
    *ret = (uint32_t)*slot;
    return added ? vector_append(&run->places, place) : NULL;
}

/* Ends a location at PLACE: appends its id to the stack's bytes. */
static struct error *pprof_end_location(struct pprof_run *run, uint32_t place)
{
    if (run->places.items[place].number == 0) {
        TRY(vector_append(&run->locations, place));
        run->places.items[place].number = (uint32_t)run->locations.count;
    }
    pprof_varint(&run->stack_bytes, run->places.items[place].number);
    return NULL;
}

/* True for a frame that the runtime's own profile leaves out. */
static bool pprof_is_left_out(const struct pprof_run *run, const struct snapshot_frame *frame)
{
    return (frame->flags & FRAME_WRAPPER) != 0 ||
           ((frame->flags & FRAME_RUNTIME) != 0 &&
            strcmp(snapshot_string(run->snapshot, frame->function), "runtime.goexit") == 0);
}

/* Makes the bytes of stack ID: the ids of its locations. */
static struct error *pprof_make_stack(struct pprof_run *run, uint32_t id)
{
    size_t count;
    const uint32_t *frames = snapshot_stack(run->snapshot, id, &count);
    struct pprof_stack *stack = &run->stacks[id];
    stack->start = run->stack_bytes.size;
    uint32_t inside = 0;
    for (size_t i = 0; i < count; i++) {
        const struct snapshot_frame *frame = snapshot_frame(run->snapshot, frames[i]);
        if (!pprof_is_left_out(run, frame)) {
            TRY(pprof_find_place(run, inside, frames[i], &inside));
        }
        if (inside != 0 && ((frame->flags & FRAME_INLINED) == 0 || i + 1 == count)) {
            TRY(pprof_end_location(run, inside));
            inside = 0;
        }
    }
    stack->size = run->stack_bytes.size - stack->start;
    stack->done = true;
    return string_builder_error(&run->stack_bytes);
}

/* Appends a label of text. */
static void pprof_add_label(struct pprof_run *run, uint32_t key, uint32_t text)
{
    string_builder_clear(&run->nested);
    pprof_number(&run->nested, 1, key);
    pprof_number(&run->nested, 2, text);
    pprof_bytes(&run->message, 3, string_builder_text(&run->nested), run->nested.size);
}

/* Appends a label of a number. */
static void pprof_add_number_label(struct pprof_run *run, uint32_t key, uint64_t number,
                                   uint32_t unit)
{
    string_builder_clear(&run->nested);
    pprof_number(&run->nested, 1, key);
    pprof_number(&run->nested, 3, number);
    pprof_number(&run->nested, 4, unit);
    pprof_bytes(&run->message, 3, string_builder_text(&run->nested), run->nested.size);
}

/* The string for a state, "chan receive (leaked)"; 0 when it is unknown. */
static struct error *pprof_find_state(struct pprof_run *run, const struct goroutine_count *count,
                                      uint32_t *ret)
{
    uint32_t *known = &run->states[count->state][count->leaked];
    const char *text = goroutine_counts_state_text(count->state);
    *ret = 0;
    if (*text == '\0') {
        return NULL;
    }
    if (*known == 0 && count->leaked) {
        static const char mark[] = PPROF_MARKS_LEAKED;
        char *whole;
        size_t size = strlen(text);
        TRY(arena_allocate(&run->texts, size + sizeof mark, 1, (void **)&whole));
        memcpy(whole, text, size);
        memcpy(whole + size, mark, sizeof mark);
        text = whole;
    }
    if (*known == 0) {
        TRY(pprof_add_string(run, text, known));
    }
    *ret = *known;
    return NULL;
}

/* Appends the labels that tell a goroutine's own. */
static struct error *pprof_add_marks(struct pprof_run *run, const struct goroutine_count *count)
{
    if (run->view->detail == PPROF_EACH) {
        size_t all;
        const struct snapshot_goroutine *goroutine =
            &snapshot_goroutines(run->snapshot, &all)[count->first];
        if ((goroutine->flags & GOROUTINE_ID_UNKNOWN) == 0) {
            pprof_add_number_label(run, run->goid, goroutine->id, 0);
        }
        if (goroutine->age_ns != SNAPSHOT_UNKNOWN && goroutine->age_ns >= 0) {
            pprof_add_number_label(run, run->wait, (uint64_t)goroutine->age_ns, run->wait_unit);
        }
    }
    uint32_t state = 0;
    if (run->view->detail != PPROF_COUNTS) {
        TRY(pprof_find_state(run, count, &state));
    }
    if (state != 0 || (run->view->detail != PPROF_COUNTS && count->labels != 0)) {
        /* an empty one, lest a label of the program's that is called so be taken for ours */
        pprof_add_label(run, run->state, state);
    }
    return NULL;
}

/* Appends the labels of set ID. */
static struct error *pprof_add_labels(struct pprof_run *run, uint32_t id)
{
    size_t count;
    const struct snapshot_label *labels = snapshot_labels(run->snapshot, id, &count);
    for (size_t i = 0; i < count; i++) {
        uint32_t key;
        uint32_t value;
        TRY(pprof_find_string(run, labels[i].key, &key));
        TRY(pprof_find_string(run, labels[i].value, &value));
        pprof_add_label(run, key, value);
    }
    return NULL;
}

/* Writes a sample. */
static struct error *pprof_write_sample(struct pprof_run *run, const struct goroutine_count *count)
{
    if (!run->stacks[count->stack].done) {
        TRY(pprof_make_stack(run, count->stack));
    }
    const struct pprof_stack *stack = &run->stacks[count->stack];
    if (stack->size > 0) {
        pprof_bytes(&run->message, 1, run->stack_bytes.text + stack->start, stack->size);
    }
    string_builder_clear(&run->nested);
    pprof_varint(&run->nested, count->goroutines);
    if (run->view->kind == PPROF_BOTH) {
        pprof_varint(&run->nested, count->leaked ? count->goroutines : 0);
    }
    pprof_bytes(&run->message, 2, string_builder_text(&run->nested), run->nested.size);
    TRY(pprof_add_marks(run, count));
    TRY(pprof_add_labels(run, count->labels));
    pprof_put_message(run, PROFILE_SAMPLE);
    return NULL;
}

/* Writes the samples: of single goroutines one by one, others counted before. */
static struct error *pprof_write_samples(struct pprof_run *run)
{
    const struct pprof_view *view = run->view;
    struct goroutine_counts_view wanted = {.snapshot = view->snapshot,
                                           .selection = view->selection,
                                           .count = view->count,
                                           .leaked = view->leaked,
                                           .only_leaked = view->kind == PPROF_LEAKS,
                                           .by_state = view->detail == PPROF_STATES,
                                           .by_leak = view->detail == PPROF_STATES ||
                                                      view->kind == PPROF_BOTH};
    if (view->detail == PPROF_EACH) {
        struct goroutine_count one;
        size_t position = 0;
        while (goroutine_counts_next(&wanted, &position, &one) && !emit_sink_failed(run->sink)) {
            TRY(pprof_write_sample(run, &one));
        }
        return NULL;
    }
    CLEANUP(goroutine_counts_deinit) struct goroutine_counts counts = {0};
    TRY(goroutine_counts_init(&counts, &wanted));
    for (size_t i = 0; i < counts.count && !emit_sink_failed(run->sink); i++) {
        TRY(pprof_write_sample(run, &counts.items[i]));
    }
    return NULL;
}

/* Writes a value type as field NUMBER: TYPE, count. */
static struct error *pprof_write_type(struct pprof_run *run, unsigned number, const char *type)
{
    uint32_t type_string;
    uint32_t unit;
    TRY(pprof_add_string(run, type, &type_string));
    TRY(pprof_add_string(run, PPROF_MARKS_UNIT, &unit));
    pprof_number(&run->message, 1, type_string);
    pprof_number(&run->message, 2, unit);
    pprof_put_message(run, number);
    return NULL;
}

/* Writes what comes before the samples. */
static struct error *pprof_write_head(struct pprof_run *run)
{
    static const char *const leaks = PPROF_MARKS_LEAK;
    const char *type = run->view->kind == PPROF_LEAKS ? leaks : PPROF_MARKS_GOROUTINE;
    uint32_t string;
    TRY(pprof_add_string(run, "", &string));
    TRY(pprof_write_type(run, PROFILE_PERIOD_TYPE, type));
    pprof_put_number(run, PROFILE_PERIOD, 1);
    TRY(pprof_write_type(run, PROFILE_SAMPLE_TYPE, type));
    if (run->view->kind == PPROF_BOTH) {
        TRY(pprof_write_type(run, PROFILE_SAMPLE_TYPE, leaks));
        TRY(pprof_add_string(run, type, &string));
        pprof_put_number(run, PROFILE_DEFAULT_TYPE, string);
    }
    if (run->view->detail != PPROF_COUNTS) {
        TRY(pprof_add_string(run, PPROF_MARKS_COMMENT, &string));
        pprof_put_number(run, PROFILE_COMMENT, string);
        TRY(pprof_add_string(run, PPROF_MARKS_GOID, &run->goid));
        TRY(pprof_add_string(run, PPROF_MARKS_STATE, &run->state));
        TRY(pprof_add_string(run, PPROF_MARKS_WAIT, &run->wait));
        TRY(pprof_add_string(run, PPROF_MARKS_WAIT_UNIT, &run->wait_unit));
    }
    return NULL;
}

/* The id of the function that FRAME is in; 0 when it has no name. */
static struct error *pprof_find_function(struct pprof_run *run, const struct snapshot_frame *frame,
                                         uint64_t *ret)
{
    uint64_t *slot;
    bool added;
    uint64_t key = (uint64_t)frame->function << 32 | frame->file;
    *ret = 0;
    if (frame->function == 0 && (frame->flags & FRAME_ELIDED) == 0) {
        return NULL;
    }
    TRY(hash_map_entry(&run->functions, key, run->function_list.count + 1, &added, &slot));
    *ret = *slot;
    return added ? vector_append(&run->function_list, key) : NULL;
}

/* Appends the lines of PLACE, innermost first: those are found last. */
static struct error *pprof_add_lines(struct pprof_run *run, uint32_t place)
{
    CLEANUP_FREE uint32_t *frames = NULL;
    size_t count = 0;
    size_t capacity = 0;
    for (; place != 0; place = run->places.items[place].parent) {
        TRY(vector_grow((void **)&frames, &capacity, count + 1, sizeof *frames));
        frames[count++] = run->places.items[place].frame;
    }
    while (count-- > 0) {
        const struct snapshot_frame *frame = snapshot_frame(run->snapshot, frames[count]);
        uint64_t function;
        TRY(pprof_find_function(run, frame, &function));
        if (function != 0) {
            string_builder_clear(&run->nested);
            pprof_number(&run->nested, 1, function);
            pprof_number(&run->nested, 2, (frame->flags & FRAME_ELIDED) != 0 ? 0 : frame->line);
            pprof_bytes(&run->message, 4, string_builder_text(&run->nested), run->nested.size);
        }
    }
    return NULL;
}

/* Writes the locations. */
static struct error *pprof_write_locations(struct pprof_run *run)
{
    for (size_t i = 0; i < run->locations.count && !emit_sink_failed(run->sink); i++) {
        uint32_t place = run->locations.items[i];
        uint32_t frame = run->places.items[place].frame;
        pprof_number(&run->message, 1, i + 1);
        pprof_number(&run->message, 2, 1);
        pprof_number(&run->message, 3, snapshot_frame(run->snapshot, frame)->pc);
        TRY(pprof_add_lines(run, place));
        pprof_put_message(run, PROFILE_LOCATION);
    }
    return NULL;
}

/* The string that is the name of the function with string NAME, as the linker has it. */
static struct error *pprof_find_name(struct pprof_run *run, uint32_t name, uint32_t *ret)
{
    if (name == 0) {
        return pprof_add_string(run, "...frames elided...", ret);
    }
    if (strcmp(snapshot_string(run->snapshot, name), "panic") == 0) {
        return pprof_add_string(run, "runtime.gopanic", ret);
    }
    return pprof_find_string(run, name, ret);
}

/* Writes the functions. */
static struct error *pprof_write_functions(struct pprof_run *run)
{
    for (size_t i = 0; i < run->function_list.count && !emit_sink_failed(run->sink); i++) {
        uint32_t name;
        uint32_t file;
        TRY(pprof_find_name(run, (uint32_t)(run->function_list.items[i] >> 32), &name));
        TRY(pprof_find_string(run, (uint32_t)run->function_list.items[i], &file));
        pprof_number(&run->message, 1, i + 1);
        pprof_number(&run->message, 2, name);
        pprof_number(&run->message, 3, name);
        pprof_number(&run->message, 4, file);
        pprof_put_message(run, PROFILE_FUNCTION);
    }
    return NULL;
}

/* Writes the one mapping: the executable, whose functions, files, lines and inlined calls the
 * locations name. */
static struct error *pprof_write_mapping(struct pprof_run *run)
{
    const struct snapshot_program *program = snapshot_program(run->snapshot);
    uint32_t file;
    uint32_t build_id;
    TRY(pprof_find_string(run, program->executable, &file));
    TRY(pprof_find_string(run, program->build_id, &build_id));
    pprof_number(&run->message, 1, 1);
    pprof_number(&run->message, 5, file);
    pprof_number(&run->message, 6, build_id);
    for (unsigned has = 7; has <= 10; has++) {
        pprof_number(&run->message, has, 1);
    }
    pprof_put_message(run, PROFILE_MAPPING);
    return NULL;
}

/* Writes the whole profile. */
static struct error *pprof_write_all(struct pprof_run *run)
{
    int64_t time = snapshot_program(run->snapshot)->taken_at_ns;
    TRY(pprof_write_head(run));
    TRY(pprof_write_samples(run));
    TRY(pprof_write_mapping(run));
    TRY(pprof_write_locations(run));
    TRY(pprof_write_functions(run));
    for (size_t i = 0; i < run->strings.count && !emit_sink_failed(run->sink); i++) {
        pprof_put(run, PROFILE_STRING, run->strings.items[i].bytes, run->strings.items[i].size);
    }
    pprof_put_number(run, PROFILE_TIME, time > 0 ? (uint64_t)time : 0);
    return NULL;
}

/* Sets a run up. */
static struct error *pprof_init(struct pprof_run *run)
{
    const struct pprof_place none = {0};
    run->string_of = calloc(snapshot_string_count(run->snapshot) + 1, sizeof *run->string_of);
    run->stacks = calloc(snapshot_stack_count(run->snapshot) + 1, sizeof *run->stacks);
    if (run->string_of == NULL || run->stacks == NULL) {
        return error_no_memory();
    }
    TRY(vector_append(&run->places, none));
    return gzip_writer_create(run->sink, &run->gzip);
}

/* Frees a run. */
static void pprof_deinit(struct pprof_run *run)
{
    gzip_writer_destroy(run->gzip);
    vector_deinit(&run->strings);
    free(run->string_of);
    hash_map_deinit(&run->functions);
    vector_deinit(&run->function_list);
    hash_map_deinit(&run->place_of);
    vector_deinit(&run->places);
    vector_deinit(&run->locations);
    free(run->stacks);
    string_builder_deinit(&run->stack_bytes);
    string_builder_deinit(&run->message);
    string_builder_deinit(&run->nested);
    arena_deinit(&run->texts);
}

struct error *pprof_write(const struct pprof_view *view, struct emit_sink *sink)
{
    CLEANUP(pprof_deinit)
    struct pprof_run run = {.view = view, .snapshot = view->snapshot, .sink = sink};
    TRY(pprof_init(&run));
    TRY(pprof_write_all(&run));
    gzip_writer_finish(run.gzip);
    return emit_sink_flush(sink);
}
