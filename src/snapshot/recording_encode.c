/* The payload of a record: recording_internal.h has the format. */
#include "snapshot/recording_internal.h"

void recording_put(struct string_builder *out, uint64_t number)
{
    char bytes[10];
    size_t size = 0;
    for (; number >= 0x80; number >>= 7) {
        bytes[size++] = (char)(uint8_t)(number | 0x80);
    }
    bytes[size++] = (char)(uint8_t)number;
    string_builder_add_bytes(out, bytes, size);
}

/* Appends a step from one number to another. */
static void recording_put_step(struct string_builder *out, uint64_t from, uint64_t to)
{
    recording_put(out, recording_zigzag((int64_t)(to - from)));
}

/* Appends a signed number that may be unknown. */
static void recording_put_known(struct string_builder *out, int64_t value)
{
    recording_put(out, recording_zigzag(value) + 1);
}

/* Appends a yes, no or unknown. */
static void recording_put_maybe(struct string_builder *out, int8_t value)
{
    recording_put(out, value < 0 ? 0 : value == 0 ? 1 : 2);
}

/* Appends new strings. */
static void recording_encode_strings(struct string_builder *out, const struct snapshot *tables,
                                     size_t done)
{
    size_t count = snapshot_string_count(tables);
    recording_put(out, count - done);
    for (size_t i = done + 1; i <= count; i++) {
        size_t size = snapshot_string_size(tables, (uint32_t)i);
        recording_put(out, size);
        string_builder_add_bytes(out, snapshot_string(tables, (uint32_t)i), size);
    }
}

/* Appends new frames. */
static void recording_encode_frames(struct string_builder *out, const struct snapshot *tables,
                                    size_t done)
{
    size_t count = snapshot_frame_count(tables);
    struct snapshot_frame last = {0};
    recording_put(out, count - done);
    for (size_t i = done + 1; i <= count; i++) {
        const struct snapshot_frame *frame = snapshot_frame(tables, (uint32_t)i);
        recording_put_step(out, last.pc, frame->pc);
        recording_put(out, frame->function);
        recording_put(out, frame->file);
        recording_put_step(out, last.line, frame->line);
        recording_put(out, (uint32_t)(frame->entry_offset + 1));
        recording_put(out, frame->arguments);
        recording_put(out, frame->flags);
        last = *frame;
    }
}

/* Appends new stacks. */
static void recording_encode_stacks(struct string_builder *out, const struct snapshot *tables,
                                    size_t done)
{
    size_t count = snapshot_stack_count(tables);
    recording_put(out, count - done);
    for (size_t i = done + 1; i <= count; i++) {
        size_t size;
        const uint32_t *frames = snapshot_stack(tables, (uint32_t)i, &size);
        uint32_t last = 0;
        recording_put(out, size);
        for (size_t k = 0; k < size; k++) {
            recording_put_step(out, last, frames[k]);
            last = frames[k];
        }
    }
}

void recording_encode_tables(struct string_builder *out, const struct snapshot *tables,
                             size_t label_sets, struct recording_done *done)
{
    recording_encode_strings(out, tables, done->strings);
    recording_encode_frames(out, tables, done->frames);
    recording_encode_stacks(out, tables, done->stacks);
    recording_put(out, label_sets - done->labels);
    for (size_t i = done->labels + 1; i <= label_sets; i++) {
        size_t size;
        const struct snapshot_label *labels = snapshot_labels(tables, (uint32_t)i, &size);
        recording_put(out, size);
        for (size_t k = 0; k < size; k++) {
            recording_put(out, labels[k].key);
            recording_put(out, labels[k].value);
        }
    }
    *done = (struct recording_done){.strings = snapshot_string_count(tables),
                                    .frames = snapshot_frame_count(tables),
                                    .stacks = snapshot_stack_count(tables),
                                    .labels = label_sets};
}

/* Appends the fields of a lock or a counter. */
static void recording_encode_lock(struct string_builder *out, const struct snapshot_object *object)
{
    switch (object->kind) {
    case OBJECT_MUTEX:
        recording_put_maybe(out, object->mutex.locked);
        recording_put_maybe(out, object->mutex.starving);
        recording_put_known(out, object->mutex.waiters);
        break;
    case OBJECT_RWMUTEX:
        recording_put_known(out, object->rwmutex.readers);
        recording_put_known(out, object->rwmutex.readers_left);
        recording_put_maybe(out, object->rwmutex.writer);
        recording_put_maybe(out, object->rwmutex.locked);
        break;
    case OBJECT_WAIT_GROUP:
        recording_put_known(out, object->wait_group.counter);
        recording_put_known(out, object->wait_group.waiters);
        break;
    default:
        recording_put_known(out, object->cond.waiters);
        break;
    }
}

/* Appends an object's fields. */
static void recording_encode_fields(struct string_builder *out,
                                    const struct snapshot_object *object)
{
    switch ((enum snapshot_object_kind)object->kind) {
    case OBJECT_CHANNEL:
        recording_put_known(out, object->channel.length);
        recording_put_known(out, object->channel.capacity);
        recording_put(out, object->channel.element_type);
        recording_put_maybe(out, object->channel.closed);
        recording_put_maybe(out, object->channel.timer);
        break;
    case OBJECT_MUTEX:
    case OBJECT_RWMUTEX:
    case OBJECT_WAIT_GROUP:
    case OBJECT_COND:
        recording_encode_lock(out, object);
        break;
    case OBJECT_SEMAPHORE:
        recording_put_known(out, object->semaphore.value);
        recording_put(out, object->semaphore.role);
        break;
    case OBJECT_DESCRIPTOR:
        recording_put_known(out, object->descriptor.descriptor);
        recording_put(out, object->descriptor.description);
        recording_put_known(out, object->descriptor.deadline_ns);
        break;
    case OBJECT_TIMER:
        recording_put_known(out, object->timer.due_ns);
        break;
    case OBJECT_SYSTEM_CALL:
        recording_put_known(out, object->system_call.number);
        recording_put(out, object->system_call.text);
        break;
    case OBJECT_COROUTINE:
        recording_put(out, object->coroutine.partner);
        break;
    case OBJECT_UNKNOWN:
    case OBJECT_NIL_CHANNEL:
    case OBJECT_EMPTY_SELECT:
    case OBJECT_KIND_COUNT:
        break;
    }
}

void recording_encode_object(struct string_builder *out, const struct snapshot_object *object,
                             uint32_t id, uint32_t *last_id, uint64_t *address)
{
    recording_put_step(out, *last_id, id);
    recording_put(out, object->kind);
    recording_put_step(out, *address, object->address);
    recording_encode_fields(out, object);
    *last_id = id;
    *address = object->address;
}

/* The content of an object decides: two are equal when they are written alike. */
bool recording_objects_equal(const struct snapshot_object *a, const struct snapshot_object *b)
{
    if (a->kind != b->kind || a->address != b->address) {
        return false;
    }
    switch ((enum snapshot_object_kind)a->kind) {
    case OBJECT_CHANNEL:
        return a->channel.length == b->channel.length &&
               a->channel.capacity == b->channel.capacity &&
               a->channel.element_type == b->channel.element_type &&
               a->channel.closed == b->channel.closed && a->channel.timer == b->channel.timer;
    case OBJECT_MUTEX:
        return a->mutex.locked == b->mutex.locked && a->mutex.starving == b->mutex.starving &&
               a->mutex.waiters == b->mutex.waiters;
    case OBJECT_RWMUTEX:
        return a->rwmutex.readers == b->rwmutex.readers &&
               a->rwmutex.readers_left == b->rwmutex.readers_left &&
               a->rwmutex.writer == b->rwmutex.writer && a->rwmutex.locked == b->rwmutex.locked;
    case OBJECT_WAIT_GROUP:
        return a->wait_group.counter == b->wait_group.counter &&
               a->wait_group.waiters == b->wait_group.waiters;
    case OBJECT_COND:
        return a->cond.waiters == b->cond.waiters;
    case OBJECT_SEMAPHORE:
        return a->semaphore.value == b->semaphore.value && a->semaphore.role == b->semaphore.role;
    case OBJECT_DESCRIPTOR:
        return a->descriptor.descriptor == b->descriptor.descriptor &&
               a->descriptor.description == b->descriptor.description &&
               a->descriptor.deadline_ns == b->descriptor.deadline_ns;
    case OBJECT_TIMER:
        return a->timer.due_ns == b->timer.due_ns;
    case OBJECT_SYSTEM_CALL:
        return a->system_call.number == b->system_call.number &&
               a->system_call.text == b->system_call.text;
    case OBJECT_COROUTINE:
        return a->coroutine.partner == b->coroutine.partner;
    case OBJECT_UNKNOWN:
    case OBJECT_NIL_CHANNEL:
    case OBJECT_EMPTY_SELECT:
    case OBJECT_KIND_COUNT:
        break;
    }
    return true;
}

void recording_encode_program(struct string_builder *out, const struct snapshot_program *program,
                              bool identity)
{
    const uint32_t ids[] = {program->source,         program->executable, program->go_version,
                            program->path,           program->module,     program->revision,
                            program->module_version, program->build_id,   program->settings,
                            program->machine};
    recording_put(out, identity);
    if (identity) {
        for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
            recording_put(out, ids[i]);
        }
        recording_put_maybe(out, program->modified);
        recording_put_known(out, program->pid);
    }
    recording_put_known(out, program->threads);
    recording_put_known(out, program->read_ns);
    recording_put_known(out, program->stopped_ns);
    recording_put_known(out, program->age_basis);
}

/* One run over two lists of goroutines. */
struct recording_encode {
    struct string_builder *out;
    const struct recording_state *before, *after;
    const uint32_t *reasons;
    struct snapshot_goroutine template; /* the one written last */
    const struct snapshot_wait *template_waits;
    uint64_t id;     /* of the last one in the result */
    uint64_t object; /* named last */
};

/* The waits of a goroutine of STATE. */
static const struct snapshot_wait *recording_waits_of(const struct recording_state *state,
                                                      const struct snapshot_goroutine *goroutine)
{
    return goroutine->wait_count == 0 ? NULL : state->waits.items + goroutine->first_wait;
}

/* The bits of the fields in which TO differs from FROM. */
static uint32_t recording_encode_mask(const struct snapshot_goroutine *from,
                                      const struct snapshot_wait *from_waits,
                                      const struct snapshot_goroutine *to,
                                      const struct snapshot_wait *to_waits)
{
    uint32_t mask = 0;
    bool state = from->status != to->status || from->wait_reason != to->wait_reason;
    bool waits = from->wait_count != to->wait_count ||
                 (to->wait_count > 0 &&
                  memcmp(from_waits, to_waits, to->wait_count * sizeof *to_waits) != 0);
    mask |= state ? RECORDING_STATE : 0;
    mask |= from->flags != to->flags ? RECORDING_FLAGS : 0;
    mask |= from->stack != to->stack ? RECORDING_STACK : 0;
    mask |= from->creator != to->creator ? RECORDING_CREATOR : 0;
    mask |= from->start != to->start ? RECORDING_START : 0;
    mask |= from->labels != to->labels ? RECORDING_LABELS : 0;
    mask |= from->parent != to->parent ? RECORDING_PARENT : 0;
    mask |= from->address != to->address ? RECORDING_ADDRESS : 0;
    if (from->age_ns != to->age_ns) {
        mask |= to->age_ns == SNAPSHOT_UNKNOWN ? RECORDING_AGELESS : RECORDING_AGE;
    }
    mask |= waits ? RECORDING_WAITS : 0;
    mask |= from->bubble != to->bubble ? RECORDING_BUBBLE : 0;
    mask |= from->thread != to->thread ? RECORDING_THREAD : 0;
    mask |= from->count != to->count ? RECORDING_COUNT : 0;
    return mask;
}

/* Appends what TO waits for. */
static void recording_encode_waits(struct recording_encode *encode,
                                   const struct snapshot_goroutine *to,
                                   const struct snapshot_wait *waits)
{
    recording_put(encode->out, to->wait_count);
    for (uint32_t i = 0; i < to->wait_count; i++) {
        recording_put_step(encode->out, encode->object, waits[i].object);
        recording_put(encode->out, waits[i].direction);
        encode->object = waits[i].object;
    }
}

/* Appends the values of the fields of MASK that are steps. */
static void recording_encode_steps(struct string_builder *out, uint32_t mask,
                                   const struct snapshot_goroutine *from,
                                   const struct snapshot_goroutine *to)
{
    const struct {
        uint32_t field;
        uint64_t from, to;
    } steps[] = {
        {RECORDING_STACK, from->stack, to->stack},
        {RECORDING_CREATOR, from->creator, to->creator},
        {RECORDING_START, from->start, to->start},
        {RECORDING_LABELS, from->labels, to->labels},
        {RECORDING_PARENT, from->parent, to->parent},
        {RECORDING_ADDRESS, from->address, to->address},
        {RECORDING_AGE, from->age_ns == SNAPSHOT_UNKNOWN ? 0 : (uint64_t)from->age_ns,
         (uint64_t)to->age_ns},
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if ((mask & steps[i].field) != 0) {
            recording_put_step(out, steps[i].from, steps[i].to);
        }
    }
}

/* Appends MASK and the values of its fields. */
static void recording_encode_difference(struct recording_encode *encode, uint32_t mask,
                                        const struct snapshot_goroutine *from,
                                        const struct snapshot_goroutine *to,
                                        const struct snapshot_wait *to_waits)
{
    recording_put(encode->out, mask);
    if ((mask & RECORDING_STATE) != 0) {
        recording_put(encode->out, to->status);
        recording_put(encode->out, encode->reasons[to->wait_reason]);
    }
    if ((mask & RECORDING_FLAGS) != 0) {
        recording_put(encode->out, to->flags);
    }
    recording_encode_steps(encode->out, mask, from, to);
    if ((mask & RECORDING_WAITS) != 0) {
        recording_encode_waits(encode, to, to_waits);
    }
    if ((mask & RECORDING_BUBBLE) != 0) {
        recording_put(encode->out, to->bubble);
    }
    if ((mask & RECORDING_THREAD) != 0) {
        recording_put(encode->out, recording_zigzag(to->thread));
    }
    if ((mask & RECORDING_COUNT) != 0) {
        recording_put(encode->out, to->count);
    }
    encode->template = *to;
    encode->template_waits = to_waits;
}

/* What leads from one list to the other at one place: the operation for the next goroutine. */
struct recording_step {
    enum recording_operation operation;
    const struct snapshot_goroutine *from, *to;
    uint32_t mask;
};

/* The operation where BEFORE and AFTER have been followed up to B and A. */
static struct recording_step recording_encode_step(const struct recording_encode *encode, size_t b,
                                                   size_t a)
{
    const struct recording_state *before = encode->before, *after = encode->after;
    struct recording_step step = {
        .from = b < before->goroutines.count ? &before->goroutines.items[b] : NULL,
        .to = a < after->goroutines.count ? &after->goroutines.items[a] : NULL};
    if (step.to == NULL || (step.from != NULL && step.from->id < step.to->id)) {
        step.operation = RECORDING_GONE;
    } else if (step.from == NULL || step.from->id > step.to->id) {
        step.operation = RECORDING_ADD;
    } else {
        step.mask = recording_encode_mask(step.from, recording_waits_of(before, step.from), step.to,
                                          recording_waits_of(after, step.to));
        step.operation = step.mask == 0 ? RECORDING_KEEP : RECORDING_CHANGE;
    }
    return step;
}

/* Appends what STEP says about its goroutine. */
static void recording_encode_one(struct recording_encode *encode, const struct recording_step *step)
{
    if (step->to == NULL || step->operation == RECORDING_GONE) {
        return;
    }
    const struct snapshot_wait *waits = recording_waits_of(encode->after, step->to);
    if (step->operation == RECORDING_ADD) {
        recording_put(encode->out, step->to->id - encode->id);
        uint32_t mask =
            recording_encode_mask(&encode->template, encode->template_waits, step->to, waits);
        struct snapshot_goroutine template = encode->template;
        recording_encode_difference(encode, mask, &template, step->to, waits);
    } else if (step->operation == RECORDING_CHANGE) {
        recording_encode_difference(encode, step->mask, step->from, step->to, waits);
    }
    encode->id = step->to->id;
}

/* How many goroutines from B and A on share the operation of FIRST, at most what is left. */
static size_t recording_encode_run(const struct recording_encode *encode, size_t b, size_t a,
                                   enum recording_operation operation)
{
    size_t before = encode->before->goroutines.count, after = encode->after->goroutines.count;
    size_t count = 0;
    while ((b < before || a < after) &&
           recording_encode_step(encode, b, a).operation == operation) {
        b += operation != RECORDING_ADD;
        a += operation != RECORDING_GONE;
        count++;
    }
    return count;
}

struct error *recording_encode_goroutines(struct string_builder *out,
                                          const struct recording_state *before,
                                          const struct recording_state *after,
                                          const recording_reasons reasons)
{
    struct recording_encode encode = {.out = out,
                                      .before = before,
                                      .after = after,
                                      .reasons = reasons,
                                      .template = {.age_ns = SNAPSHOT_UNKNOWN, .count = 1}};
    size_t b = 0, a = 0;
    while (b < before->goroutines.count || a < after->goroutines.count) {
        enum recording_operation operation = recording_encode_step(&encode, b, a).operation;
        size_t count = recording_encode_run(&encode, b, a, operation);
        recording_put(out, (uint64_t)count * RECORDING_OPERATIONS + operation);
        for (size_t i = 0; i < count; i++) {
            struct recording_step step = recording_encode_step(&encode, b, a);
            recording_encode_one(&encode, &step);
            b += operation != RECORDING_ADD;
            a += operation != RECORDING_GONE;
        }
    }
    return string_builder_error(out);
}
