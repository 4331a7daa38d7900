/* The goroutines' part of a record: operations on those of the record before (recording_internal.h
 * has the format). The result is ordered by id, as the operations must be. */
#include "layout/wait_reason.h"
#include "snapshot/recording_internal.h"

/* One run over the operations. */
struct recording_decode {
    struct recording_state *state;
    struct cursor *cursor;
    const struct snapshot *tables;
    VECTOR(struct snapshot_goroutine) goroutines; /* the result */
    struct snapshot_goroutine template;           /* the one written last */
    size_t taken;                                 /* of the goroutines before */
    uint64_t waits;                               /* of all goroutines of the result */
    uint64_t object;                              /* named last */
    uint64_t reason;                              /* string of the wait reason parsed last */
    uint8_t reason_value;
};

/* The complaint about numbers that do not fit. */
static struct error *recording_decode_range(void)
{
    return error_create(ERROR_CORRUPT, "a snapshot's number is out of range");
}

/* Reads a number of at most LIMIT. */
static struct error *recording_decode_below(struct recording_decode *decode, uint64_t limit,
                                            uint64_t *ret)
{
    TRY(cursor_uvarint(decode->cursor, ret));
    return *ret <= limit ? NULL : recording_decode_range();
}

/* Reads a step of the id *VALUE, up to LIMIT. */
static struct error *recording_decode_id(struct recording_decode *decode, size_t limit,
                                         uint32_t *value)
{
    uint64_t step;
    TRY(cursor_uvarint(decode->cursor, &step));
    uint64_t next = *value + (uint64_t)recording_unzigzag(step);
    if (next > limit) {
        return recording_decode_range();
    }
    *value = (uint32_t)next;
    return NULL;
}

/* Reads a step of any number. */
static struct error *recording_decode_number(struct recording_decode *decode, uint64_t *value)
{
    uint64_t step;
    TRY(cursor_uvarint(decode->cursor, &step));
    *value += (uint64_t)recording_unzigzag(step);
    return NULL;
}

/* Reads status and wait reason; a reason that this program does not know is none. */
static struct error *recording_decode_state(struct recording_decode *decode,
                                            struct snapshot_goroutine *goroutine)
{
    uint64_t status, reason;
    TRY(recording_decode_below(decode, GOROUTINE_STATUS_COUNT - 1, &status));
    TRY(recording_decode_below(decode, snapshot_string_count(decode->tables), &reason));
    if (reason != decode->reason) {
        enum wait_reason value =
            wait_reason_parse(snapshot_string(decode->tables, (uint32_t)reason),
                              snapshot_string_size(decode->tables, (uint32_t)reason));
        decode->reason = reason;
        decode->reason_value = value == WAIT_REASON_COUNT ? 0 : (uint8_t)value;
    }
    goroutine->status = (uint8_t)status;
    goroutine->wait_reason = reason == 0 ? 0 : decode->reason_value;
    return NULL;
}

/* Reads what a goroutine waits for. */
static struct error *recording_decode_waits(struct recording_decode *decode,
                                            struct snapshot_goroutine *goroutine)
{
    struct recording_state *state = decode->state;
    uint64_t count;
    TRY(recording_decode_below(decode, RECORDING_WAITS_MAX, &count));
    if (state->waits.count > UINT32_MAX - RECORDING_WAITS_MAX) {
        return recording_decode_range();
    }
    goroutine->first_wait = (uint32_t)state->waits.count;
    goroutine->wait_count = (uint32_t)count;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t direction;
        TRY(recording_decode_number(decode, &decode->object));
        TRY(recording_decode_below(decode, DIRECTION_UNKNOWN, &direction));
        if (decode->object >= state->objects.count) {
            return recording_decode_range();
        }
        struct snapshot_wait wait = {.object = (uint32_t)decode->object,
                                     .direction = (uint32_t)direction};
        TRY(vector_append(&state->waits, wait));
    }
    return NULL;
}

/* Reads the fields that tell stacks and frames. */
static struct error *recording_decode_stack(struct recording_decode *decode, uint64_t mask,
                                            struct snapshot_goroutine *goroutine)
{
    size_t frames = snapshot_frame_count(decode->tables);
    if ((mask & RECORDING_STACK) != 0) {
        TRY(recording_decode_id(decode, snapshot_stack_count(decode->tables), &goroutine->stack));
    }
    if ((mask & RECORDING_CREATOR) != 0) {
        TRY(recording_decode_id(decode, frames, &goroutine->creator));
    }
    if ((mask & RECORDING_START) != 0) {
        TRY(recording_decode_id(decode, frames, &goroutine->start));
    }
    if ((mask & RECORDING_LABELS) != 0) {
        TRY(recording_decode_id(decode, decode->state->label_sets, &goroutine->labels));
    }
    return NULL;
}

/* Reads parent, address and age. */
static struct error *recording_decode_numbers(struct recording_decode *decode, uint64_t mask,
                                              struct snapshot_goroutine *goroutine)
{
    if ((mask & RECORDING_PARENT) != 0) {
        TRY(recording_decode_number(decode, &goroutine->parent));
    }
    if ((mask & RECORDING_ADDRESS) != 0) {
        TRY(recording_decode_number(decode, &goroutine->address));
    }
    if ((mask & RECORDING_AGELESS) != 0) {
        goroutine->age_ns = SNAPSHOT_UNKNOWN;
    }
    if ((mask & RECORDING_AGE) != 0) {
        uint64_t age = goroutine->age_ns == SNAPSHOT_UNKNOWN ? 0 : (uint64_t)goroutine->age_ns;
        TRY(recording_decode_number(decode, &age));
        goroutine->age_ns = (int64_t)age;
    }
    return NULL;
}

/* Reads the fields of few goroutines. */
static struct error *recording_decode_rare(struct recording_decode *decode, uint64_t mask,
                                           struct snapshot_goroutine *goroutine)
{
    uint64_t value;
    if ((mask & RECORDING_BUBBLE) != 0) {
        TRY(recording_decode_below(decode, UINT32_MAX, &value));
        goroutine->bubble = (uint32_t)value;
    }
    if ((mask & RECORDING_THREAD) != 0) {
        TRY(recording_decode_below(decode, UINT32_MAX, &value));
        goroutine->thread = (int32_t)recording_unzigzag(value);
    }
    if ((mask & RECORDING_COUNT) != 0) {
        TRY(recording_decode_below(decode, UINT32_MAX, &value));
        goroutine->count = (uint32_t)value;
    }
    return NULL;
}

/* Reads the fields in which GOROUTINE differs from what it holds. */
static struct error *recording_decode_goroutine(struct recording_decode *decode,
                                                struct snapshot_goroutine *goroutine)
{
    uint64_t mask, flags;
    TRY(recording_decode_below(decode, RECORDING_FIELDS - 1, &mask));
    if ((mask & RECORDING_STATE) != 0) {
        TRY(recording_decode_state(decode, goroutine));
    }
    if ((mask & RECORDING_FLAGS) != 0) {
        TRY(recording_decode_below(decode, UINT16_MAX, &flags));
        goroutine->flags = (uint16_t)flags;
    }
    TRY(recording_decode_stack(decode, mask, goroutine));
    TRY(recording_decode_numbers(decode, mask, goroutine));
    if ((mask & RECORDING_WAITS) != 0) {
        TRY(recording_decode_waits(decode, goroutine));
    }
    return recording_decode_rare(decode, mask, goroutine);
}

/* Adds a goroutine to the result, behind those with smaller ids. */
static struct error *recording_decode_append(struct recording_decode *decode,
                                             const struct snapshot_goroutine *goroutine)
{
    size_t count = decode->goroutines.count;
    decode->waits += goroutine->wait_count;
    if (count >= RECORDING_GOROUTINES_MAX || decode->waits > RECORDING_WAITS_MAX ||
        (count > 0 && decode->goroutines.items[count - 1].id > goroutine->id)) {
        return recording_decode_range();
    }
    return vector_append(&decode->goroutines, *goroutine);
}

/* Reads COUNT new goroutines. */
static struct error *recording_decode_add(struct recording_decode *decode, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t step;
        size_t have = decode->goroutines.count;
        TRY(cursor_uvarint(decode->cursor, &step));
        decode->template.id = (have == 0 ? 0 : decode->goroutines.items[have - 1].id) + step;
        TRY(recording_decode_goroutine(decode, &decode->template));
        TRY(recording_decode_append(decode, &decode->template));
    }
    return NULL;
}

/* Takes COUNT goroutines over from before, with changes when there are CHANGES. */
static struct error *recording_decode_take(struct recording_decode *decode, uint64_t count,
                                           bool changes)
{
    const struct snapshot_goroutine *before = decode->state->goroutines.items;
    for (uint64_t i = 0; i < count; i++) {
        struct snapshot_goroutine goroutine = before[decode->taken++];
        if (changes) {
            TRY(recording_decode_goroutine(decode, &goroutine));
            decode->template = goroutine;
        }
        TRY(recording_decode_append(decode, &goroutine));
    }
    return NULL;
}

/* Follows one operation. */
static struct error *recording_decode_operation(struct recording_decode *decode)
{
    uint64_t word;
    TRY(cursor_uvarint(decode->cursor, &word));
    uint64_t count = word / RECORDING_OPERATIONS;
    unsigned operation = word % RECORDING_OPERATIONS;
    if (operation == RECORDING_ADD) {
        return recording_decode_add(decode, count);
    }
    if (count > decode->state->goroutines.count - decode->taken) {
        return recording_decode_range();
    }
    if (operation == RECORDING_GONE) {
        decode->taken += count;
        return NULL;
    }
    return recording_decode_take(decode, count, operation == RECORDING_CHANGE);
}

/* True when nothing but "keep all" is left to be read; it is then skipped. */
static bool recording_decode_keeps_all(struct recording_state *state, struct cursor *cursor)
{
    struct cursor ahead = *cursor;
    uint64_t word = 0;
    struct error *error = cursor_left(&ahead) == 0 ? NULL : cursor_uvarint(&ahead, &word);
    bool keeps = error == NULL && cursor_left(&ahead) == 0 &&
                 word % RECORDING_OPERATIONS == RECORDING_KEEP &&
                 word / RECORDING_OPERATIONS == state->goroutines.count;
    error_destroy(error);
    if (keeps) {
        *cursor = ahead;
    }
    return keeps;
}

/* Follows the operations to the end. */
static struct error *recording_decode_all(struct recording_decode *decode)
{
    TRY(vector_reserve(&decode->goroutines, decode->state->goroutines.count));
    while (cursor_left(decode->cursor) > 0) {
        TRY(recording_decode_operation(decode));
    }
    return decode->taken == decode->state->goroutines.count ? NULL : recording_decode_range();
}

struct error *recording_decode_goroutines(struct recording_state *state, struct cursor *cursor)
{
    if (recording_decode_keeps_all(state, cursor)) {
        return NULL;
    }
    struct recording_decode decode = {
        .state = state,
        .cursor = cursor,
        .tables = snapshot_builder_peek(state->tables),
        .template = {.age_ns = SNAPSHOT_UNKNOWN, .count = 1},
    };
    struct error *error = recording_decode_all(&decode);
    if (error != NULL) {
        vector_deinit(&decode.goroutines);
        return error;
    }
    vector_deinit(&state->goroutines);
    state->goroutines.items = decode.goroutines.items;
    state->goroutines.count = decode.goroutines.count;
    state->goroutines.capacity = decode.goroutines.capacity;
    return NULL;
}
