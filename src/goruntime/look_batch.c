/* A parked goroutine is read in two steps, its g and its stack, and may run in between. Its g is
 * therefore read once more afterwards: unless the program counted a departure from the running
 * state (g.trackingSeq) or left other traces, the stack is the one that belongs to the g. Where no
 * thread of the program ran meanwhile, nothing has moved. */
#include "goruntime/look_internal.h"

enum {
    LOOK_BATCH_ATTEMPTS = 4,
    LOOK_BATCH_CUT_ATTEMPTS = 2 /* of these, the first, with stacks that do not hang together */
};

/* Decides where the stack of RECORD starts; *FOUND is false when it cannot be read now. */
static struct error *look_batch_place(struct look *look, struct goroutine_record *record,
                                      bool *found)
{
    /* While its stack is copied, its g has the old or the new one, both whole: fine while frozen.
     */
    *found = look->frozen || record->status != GOROUTINE_STATUS_COPYSTACK;
    if (record->status == GOROUTINE_STATUS_RUNNING) {
        *found = false;
        if (look->frozen) {
            TRY(running_place(&look->running, &look->rules, look->runtime->target, record, found));
        }
    }
    *found = *found && stack_reader_can_read(record);
    if (!*found) {
        record->flags |= GOROUTINE_STACK_UNKNOWN;
    }
    return NULL;
}

/* Takes record INDEX into the items to read when its stack can be; *COUNT is how many there are. */
static struct error *look_batch_take(struct look_worker *worker, uint32_t index, size_t *count)
{
    struct goroutine_record *record = &worker->records[index];
    bool found;
    if (!goroutine_is_alive(record)) {
        return NULL;
    }
    TRY(look_batch_place(worker->look, record, &found));
    if (found) {
        worker->items[(*count)++].tag = bulk_tag(0, index);
    }
    return NULL;
}

/* What checking again needs. */
struct look_batch_check {
    struct look_worker *worker;
    bool last;   /* no further attempt follows */
    bool doubts; /* a stack that was cut is read again, too: g.trackingSeq is one byte, which a busy
                  * goroutine comes by again */
};

/* Compares one g with its record, which is brought up to date. */
static struct error *look_batch_compare(void *context, const struct gather_item *item,
                                        const uint8_t *bytes)
{
    struct look_batch_check *check = context;
    struct look_worker *worker = check->worker;
    uint32_t index = bulk_index(item);
    struct goroutine_record *record = &worker->records[index];
    struct goroutine_record now = {.g = item->address};
    const struct layout *layout = worker->look->runtime->layout;
    bool doubted = check->doubts && (record->flags & GOROUTINE_STACK_CUT) != 0;
    if (bytes != NULL && !doubted && !goroutine_has_moved(layout, bytes, record)) {
        goroutine_decode_status(layout, bytes, &now);
        record->status = now.status;
        record->wait_reason = now.wait_reason;
        return NULL;
    }
    if (bytes != NULL) {
        goroutine_decode(layout, bytes, item->address, &now);
    }
    if (!check->last || !goroutine_is_alive(&now)) {
        *record = now;
        worker->moved[worker->moved_count++] = index;
    } else {
        record->flags |= GOROUTINE_MOVED;
    }
    return NULL;
}

/* Reads the g's of the COUNT items again, whose stacks have been read. */
static struct error *look_batch_check(struct look_worker *worker, size_t count, int attempt)
{
    struct look_batch_check check = {.worker = worker,
                                     .last = attempt == LOOK_BATCH_ATTEMPTS,
                                     .doubts = attempt <= LOOK_BATCH_CUT_ATTEMPTS};
    uint32_t size = (uint32_t)worker->look->runtime->layout->g.size;
    worker->moved_count = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t index = bulk_index(&worker->items[i]);
        worker->items[i].address = worker->records[index].g;
        worker->items[i].tag = bulk_tag(size, index);
    }
    return bulk_visit(worker->bulk, worker->items, worker->scratch, count, look_batch_compare,
                      &check);
}

/* Claims entries for those of the COUNT records that live, before their stacks are read: batches
 * begin in the order of the list, which is nearly that of ids. */
static struct error *look_batch_claim(struct look_worker *worker, size_t count)
{
    struct look *look = worker->look;
    size_t alive = 0;
    for (size_t i = 0; i < count; i++) {
        alive += goroutine_is_alive(&worker->records[i]);
    }
    (void)pthread_mutex_lock(&look->lock);
    struct error *error = snapshot_builder_claim(look->builder, alive, &worker->first);
    (void)pthread_mutex_unlock(&look->lock);
    if (error == NULL) {
        (void)snapshot_builder_empty(look->builder, worker->first, alive);
    }
    return error;
}

/* Reads a batch until it holds still, or a few times. */
struct error *look_batch_read(struct look_worker *worker, size_t first, size_t count)
{
    struct look *look = worker->look;
    bool rests = worker->rest != NULL && process_rest_begin(worker->rest);
    worker->reader.words.count = 0;
    for (size_t i = 0; i < count; i++) {
        worker->items[i].address = look->list[first + i];
        worker->items[i].tag = bulk_tag(0, (uint32_t)i);
        worker->moved[i] = (uint32_t)i;
    }
    TRY(goroutine_read(worker->bulk, look->runtime->layout, worker->items, worker->scratch, count,
                       worker->records));
    TRY(look_batch_claim(worker, count));
    worker->moved_count = count;
    for (int attempt = 1; attempt <= LOOK_BATCH_ATTEMPTS && worker->moved_count > 0; attempt++) {
        size_t taken = 0;
        for (size_t i = 0; i < worker->moved_count; i++) {
            TRY(look_batch_take(worker, worker->moved[i], &taken));
        }
        TRY(stack_reader_read(&worker->reader, worker->records, worker->items, worker->scratch,
                              taken));
        if (look->frozen || (rests && process_rest_held(worker->rest))) {
            break;
        }
        rests = false;
        TRY(look_batch_check(worker, taken, attempt));
    }
    return NULL;
}
