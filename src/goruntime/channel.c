/* Channels that goroutines wait for.
 *
 * Format (runtime/chan.go, select.go, runtime2.go): g.waiting is a sudog, for a select the first of
 * one per case, linked by waitlink in the order of the channels' addresses; sudog.c is the hchan.
 * Which way a case goes is not in the sudog: it is in the channel's queue of receivers or of
 * senders, and both queues are filled at once only by selects that do both.
 *
 * Invariants: a sudog counts only when it names its g and keeps that order; a select has at most
 * 65536 cases (as in Go); a queue is followed for a bounded number of steps. */
#include "goruntime/channel.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/hash_map.h"
#include "image/type.h"
#include "target/gather.h"
#include <string.h>

enum {
    CHANNEL_BATCH = 1 << 17,     /* goroutines worked on at once */
    CHANNEL_CASES_MAX = 1 << 16, /* of one select */
    CHANNEL_SLOTS_MAX = 1 << 22, /* cases of one batch */
    CHANNEL_FEW = 64,            /* this many sudogs are read one by one */
    CHANNEL_QUEUE_STEPS = 4096,
    CHANNEL_STRUCT_MAX = 512
};

/* One case. */
struct channel_case {
    uint64_t sudog;
    uint64_t channel;
    uint64_t least; /* address of the case before's channel: never above this one's */
    uint64_t next;  /* sudog of the next case, 0 none */
    uint32_t index; /* of the goroutine */
    uint32_t object;
    uint8_t direction;
    bool good; /* the sudog is the goroutine's */
};

/* One batch of goroutines. */
struct channel_batch {
    struct wait_resolver *resolver;
    VECTOR(struct channel_case) cases;
    VECTOR(struct gather_item) items;
    VECTOR(struct snapshot_wait) waits;
    struct hash_map types; /* address of an element type: string id */
    uint32_t time_type;    /* string id of "time.Time", 0 until seen */
};

/* Frees what a batch holds. */
static void channel_batch_deinit(struct channel_batch *batch)
{
    vector_deinit(&batch->cases);
    vector_deinit(&batch->items);
    vector_deinit(&batch->waits);
    hash_map_deinit(&batch->types);
}

/* Takes a sudog's bytes into case SLOT. */
static void channel_take_sudog(struct channel_batch *batch, size_t slot, const uint8_t *bytes)
{
    const struct layout *layout = batch->resolver->layout;
    struct channel_case *item = &batch->cases.items[slot];
    uint64_t channel = bytes_u64(bytes + layout->sudog.c);
    if (bytes_u64(bytes + layout->sudog.g) != batch->resolver->parked[item->index].g ||
        !wait_is_pointer(channel, 8) || channel < item->least) {
        return;
    }
    item->good = true;
    item->channel = channel;
    item->next = bytes_u64(bytes + layout->sudog.waitlink);
}

/* gather_visitor of sudogs; tags are slots. */
static struct error *channel_visit_sudog(void *context, const struct gather_item *item,
                                         const uint8_t *bytes)
{
    if (bytes != NULL) {
        channel_take_sudog(context, (size_t)item->tag, bytes);
    }
    return NULL;
}

/* Adds a case to be read. */
static struct error *channel_add_case(struct channel_batch *batch, uint32_t index, uint64_t sudog,
                                      uint64_t least, uint8_t direction)
{
    struct channel_case item = {
        .sudog = sudog, .least = least, .index = index, .direction = direction};
    return vector_append(&batch->cases, item);
}

/* The direction that WAIT_REASON tells, DIRECTION_UNKNOWN for selects. */
static uint8_t channel_direction(enum wait_reason reason)
{
    switch (reason) {
    case WAIT_REASON_CHAN_RECEIVE:
    case WAIT_REASON_CHAN_RECEIVE_SYNCTEST:
    case WAIT_REASON_CHAN_RECEIVE_DURABLE:
        return DIRECTION_RECEIVE;
    case WAIT_REASON_CHAN_SEND:
    case WAIT_REASON_CHAN_SEND_SYNCTEST:
    case WAIT_REASON_CHAN_SEND_DURABLE:
        return DIRECTION_SEND;
    default:
        return DIRECTION_UNKNOWN;
    }
}

/* Reads the sudogs of the cases from FIRST on: many at once, few one by one. */
static struct error *channel_read_sudogs(struct channel_batch *batch, size_t first)
{
    struct wait_resolver *resolver = batch->resolver;
    size_t size = (size_t)resolver->layout->sudog.size;
    if (batch->cases.count - first < CHANNEL_FEW) {
        uint8_t bytes[CHANNEL_STRUCT_MAX];
        for (size_t i = first; i < batch->cases.count; i++) {
            if (peek_read(&resolver->peek, batch->cases.items[i].sudog, bytes, size)) {
                channel_take_sudog(batch, i, bytes);
            }
        }
        return peek_error(&resolver->peek);
    }
    batch->items.count = 0;
    TRY(vector_reserve(&batch->items, batch->cases.count - first));
    for (size_t i = first; i < batch->cases.count; i++) {
        batch->items.items[batch->items.count++] =
            (struct gather_item){.address = batch->cases.items[i].sudog, .tag = i};
    }
    return gather_visit(resolver->state->runtime->target, batch->items.items, batch->items.count,
                        size, channel_visit_sudog, batch);
}

/* Follows the selects' lists, one step of all of them at a time. */
static struct error *channel_read_cases(struct channel_batch *batch)
{
    size_t first = 0;
    for (size_t step = 0; step < CHANNEL_CASES_MAX && first < batch->cases.count; step++) {
        TRY(channel_read_sudogs(batch, first));
        size_t end = batch->cases.count;
        for (size_t i = first; i < end && batch->cases.count < CHANNEL_SLOTS_MAX; i++) {
            const struct channel_case *item = &batch->cases.items[i];
            if (item->good && item->direction == DIRECTION_UNKNOWN &&
                wait_is_pointer(item->next, 8) && item->next != item->sudog) {
                TRY(channel_add_case(batch, item->index, item->next, item->channel,
                                     DIRECTION_UNKNOWN));
            }
        }
        first = end;
    }
    return NULL;
}

/* The name of an element type; 0 when it has none that can be read. */
static struct error *channel_type(struct channel_batch *batch, uint64_t address, uint32_t *ret)
{
    uint64_t *id;
    bool added;
    TRY(hash_map_entry(&batch->types, address, 0, &added, &id));
    if (added) {
        struct wait_resolver *resolver = batch->resolver;
        struct string_builder name = {0};
        struct error *error = type_name(resolver->state->runtime->image, address, &name);
        uint32_t string = 0;
        if (error == NULL) {
            error = snapshot_builder_string(resolver->state->builder, string_builder_text(&name),
                                            name.size, &string);
        }
        if (error == NULL && strcmp(string_builder_text(&name), "time.Time") == 0) {
            batch->time_type = string;
        }
        string_builder_deinit(&name);
        if (!error_catch(&error, ERROR_NOT_FOUND) && !error_catch(&error, ERROR_CORRUPT) &&
            !error_catch(&error, ERROR_FAULT)) {
            TRY(error);
        }
        *id = string;
    }
    *ret = (uint32_t)*id;
    return NULL;
}

/* Whether the channel is a timer's. Before Go 1.23, and in programs that ask for the old behaviour,
 * a timer's channel is not marked; it looks as any buffer for one time.Time. */
static int8_t channel_is_timer(const struct channel_batch *batch, const uint8_t *bytes,
                               const struct snapshot_object *object)
{
    int32_t offset = batch->resolver->layout->hchan.timer;
    if (offset != LAYOUT_ABSENT && bytes_u64(bytes + offset) != 0) {
        return 1;
    }
    bool like = object->channel.capacity == 1 && (object->channel.element_type == 0 ||
                                                  object->channel.element_type == batch->time_type);
    return like ? -1 : 0;
}

/* Decodes an hchan; BYTES may be NULL. */
static struct error *channel_decode(struct channel_batch *batch, uint64_t address,
                                    const uint8_t *bytes, struct snapshot_object *ret)
{
    const struct layout *layout = batch->resolver->layout;
    *ret = (struct snapshot_object){.address = address, .kind = OBJECT_CHANNEL};
    ret->channel.length = SNAPSHOT_UNKNOWN;
    ret->channel.capacity = SNAPSHOT_UNKNOWN;
    ret->channel.closed = -1;
    ret->channel.timer = -1;
    if (bytes == NULL) {
        return NULL;
    }
    uint64_t length = bytes_u64(bytes + layout->hchan.qcount);
    uint64_t capacity = bytes_u64(bytes + layout->hchan.dataqsiz);
    uint32_t closed = bytes_u32(bytes + layout->hchan.closed);
    if (length > capacity || capacity > INT64_MAX || closed > 1) {
        return NULL; /* not a channel any more */
    }
    ret->channel.length = (int64_t)length;
    ret->channel.capacity = (int64_t)capacity;
    ret->channel.closed = (int8_t)closed;
    TRY(channel_type(batch, bytes_u64(bytes + layout->hchan.elemtype), &ret->channel.element_type));
    ret->channel.timer = channel_is_timer(batch, bytes, ret);
    return NULL;
}

/* True when SUDOG is in the queue that starts at FIRST. */
static bool channel_queue_has(struct wait_resolver *resolver, uint64_t first, uint64_t sudog)
{
    for (size_t i = 0; i < CHANNEL_QUEUE_STEPS && first != 0; i++) {
        if (first == sudog) {
            return true;
        }
        if (!peek_u64(&resolver->peek, first + (uint64_t)resolver->layout->sudog.next, &first)) {
            return false;
        }
    }
    return false;
}

/* The direction of a case of a select on the channel of BYTES. */
static uint8_t channel_case_direction(struct channel_batch *batch, const struct channel_case *item,
                                      const uint8_t *bytes)
{
    const struct layout *layout = batch->resolver->layout;
    uint64_t receivers = bytes_u64(bytes + layout->hchan.recvq_first);
    uint64_t senders = bytes_u64(bytes + layout->hchan.sendq_first);
    if (receivers != 0 && senders != 0) {
        return channel_queue_has(batch->resolver, receivers, item->sudog) ? DIRECTION_RECEIVE
               : channel_queue_has(batch->resolver, senders, item->sudog) ? DIRECTION_SEND
                                                                          : DIRECTION_UNKNOWN;
    }
    return receivers != 0 ? DIRECTION_RECEIVE : senders != 0 ? DIRECTION_SEND : DIRECTION_UNKNOWN;
}

/* gather_visitor of hchans; tags are slots. */
static struct error *channel_visit(void *context, const struct gather_item *item,
                                   const uint8_t *bytes)
{
    struct channel_batch *batch = context;
    struct channel_case *slot = &batch->cases.items[item->tag];
    struct snapshot_object object;
    TRY(channel_decode(batch, item->address, bytes, &object));
    TRY(snapshot_builder_object(batch->resolver->state->builder, &object, &slot->object));
    if (slot->direction == DIRECTION_UNKNOWN && bytes != NULL) {
        slot->direction = channel_case_direction(batch, slot, bytes);
    }
    return NULL;
}

/* Reads the channels of all good cases. */
static struct error *channel_read_channels(struct channel_batch *batch)
{
    struct wait_resolver *resolver = batch->resolver;
    batch->items.count = 0;
    TRY(vector_reserve(&batch->items, batch->cases.count));
    for (size_t i = 0; i < batch->cases.count; i++) {
        if (batch->cases.items[i].good) {
            batch->items.items[batch->items.count++] =
                (struct gather_item){.address = batch->cases.items[i].channel, .tag = i};
        }
    }
    return gather_visit(resolver->state->runtime->target, batch->items.items, batch->items.count,
                        (size_t)resolver->layout->hchan.size, channel_visit, batch);
}

/* Hands over the waits of each goroutine, its cases in order. */
static struct error *channel_set_waits(struct channel_batch *batch)
{
    struct wait_resolver *resolver = batch->resolver;
    size_t count = batch->cases.count;
    batch->items.count = 0;
    TRY(vector_reserve(&batch->items, 2 * count));
    struct gather_item *items = batch->items.items;
    for (size_t i = 0; i < count; i++) {
        items[i] = (struct gather_item){.address = batch->cases.items[i].index, .tag = i};
    }
    gather_sort(items, items + count, count);
    for (size_t i = 0; i < count;) {
        uint64_t index = items[i].address;
        batch->waits.count = 0;
        for (; i < count && items[i].address == index; i++) {
            const struct channel_case *item = &batch->cases.items[items[i].tag];
            if (item->good) {
                struct snapshot_wait wait = {.object = item->object, .direction = item->direction};
                TRY(vector_append(&batch->waits, wait));
            }
        }
        if (batch->waits.count > 0) {
            TRY(snapshot_builder_waits(resolver->state->builder, resolver->parked[index].index,
                                       batch->waits.items, batch->waits.count));
        }
    }
    return NULL;
}

/* Works batch by batch, so that memory stays small. */
struct error *channel_resolve(struct wait_resolver *resolver, const uint32_t *indices, size_t count)
{
    CLEANUP(channel_batch_deinit) struct channel_batch batch = {.resolver = resolver};
    if (resolver->layout->sudog.size > CHANNEL_STRUCT_MAX) {
        return error_create(ERROR_INTERNAL, "the layout row has an impossible sudog");
    }
    for (size_t i = 0; i < count;) {
        batch.cases.count = 0;
        for (size_t end = i + CHANNEL_BATCH; i < count && i < end; i++) {
            const struct goruntime_parked *parked = &resolver->parked[indices[i]];
            if (wait_is_pointer(parked->waiting, 8)) {
                uint8_t direction = channel_direction((enum wait_reason)parked->wait_reason);
                TRY(channel_add_case(&batch, indices[i], parked->waiting, 0, direction));
            }
        }
        TRY(channel_read_cases(&batch));
        TRY(channel_read_channels(&batch));
        TRY(channel_set_waits(&batch));
        TRY(peek_error(&resolver->peek));
    }
    return NULL;
}
