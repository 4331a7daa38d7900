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
#include <stdlib.h>
#include <string.h>

enum {
    CHANNEL_BATCH = 1 << 17,     /* goroutines worked on at once */
    CHANNEL_CASES_MAX = 1 << 16, /* of one select */
    CHANNEL_SLOTS_MAX = 1 << 22, /* cases of one batch */
    CHANNEL_FEW = 64,            /* this many sudogs are read one by one */
    CHANNEL_QUEUE_STEPS = 4096,
    CHANNEL_STRUCT_MAX = 512,
    CHANNEL_CACHE_SIZE = 1 << 20
};

/* What an hchan says. */
struct channel_state {
    uint64_t length, capacity, element_type, timer;
    uint8_t closed;
    bool known; /* it could be read and may be a channel */
};

/* One case. */
struct channel_case {
    uint64_t sudog;
    uint64_t channel;
    uint64_t least; /* address of the case before's channel: never above this one's */
    uint64_t next;  /* sudog of the next case, 0 none */
    struct channel_state state;
    uint32_t index;  /* of the goroutine */
    uint32_t follow; /* slot of the next case, 0 none */
    uint32_t object;
    uint8_t direction;
    bool good; /* the sudog is the goroutine's */
};

/* One thread's batch of goroutines. */
struct channel_reader {
    struct target *target;
    const struct layout *layout;
    struct block_cache *cache;
    struct peek peek;
    const struct goruntime_parked *parked;
    VECTOR(struct channel_case) cases; /* the first ones of all goroutines come first */
    size_t first_count;
    VECTOR(struct gather_item) items; /* of sudogs, then of channels, ascending */
    VECTOR(struct snapshot_wait) waits;
    struct hash_map types; /* address of an element type: string id */
    uint32_t time_type;    /* string id of "time.Time", 0 until seen */
};

struct error *channel_reader_create(struct target *target, const struct layout *layout,
                                    struct channel_reader **ret)
{
    if (layout->sudog.size > CHANNEL_STRUCT_MAX) {
        return error_create(ERROR_INTERNAL, "the layout row has an impossible sudog");
    }
    struct channel_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        return error_no_memory();
    }
    struct error *error = block_cache_create(target, CHANNEL_CACHE_SIZE, &reader->cache);
    if (error != NULL) {
        free(reader);
        return error;
    }
    reader->target = target;
    reader->layout = layout;
    reader->peek = (struct peek){.target = target, .cache = reader->cache};
    *ret = reader;
    return NULL;
}

void channel_reader_destroy(struct channel_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    vector_deinit(&reader->cases);
    vector_deinit(&reader->items);
    vector_deinit(&reader->waits);
    hash_map_deinit(&reader->types);
    peek_deinit(&reader->peek);
    block_cache_destroy(reader->cache);
    free(reader);
}

/* Takes a sudog's bytes into case SLOT. */
static void channel_take_sudog(struct channel_reader *reader, size_t slot, const uint8_t *bytes)
{
    const struct layout *layout = reader->layout;
    struct channel_case *item = &reader->cases.items[slot];
    uint64_t channel = bytes_u64(bytes + layout->sudog.c);
    if (bytes_u64(bytes + layout->sudog.g) != reader->parked[item->index].g ||
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
static struct error *channel_add_case(struct channel_reader *reader, uint32_t index, uint64_t sudog,
                                      uint64_t least, uint8_t direction)
{
    struct channel_case item = {
        .sudog = sudog, .least = least, .index = index, .direction = direction};
    return vector_append(&reader->cases, item);
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
static struct error *channel_read_sudogs(struct channel_reader *reader, size_t first)
{
    size_t size = (size_t)reader->layout->sudog.size;
    if (reader->cases.count - first < CHANNEL_FEW) {
        uint8_t bytes[CHANNEL_STRUCT_MAX];
        for (size_t i = first; i < reader->cases.count; i++) {
            if (peek_read(&reader->peek, reader->cases.items[i].sudog, bytes, size)) {
                channel_take_sudog(reader, i, bytes);
            }
        }
        return peek_error(&reader->peek);
    }
    reader->items.count = 0;
    TRY(vector_reserve(&reader->items, reader->cases.count - first));
    for (size_t i = first; i < reader->cases.count; i++) {
        reader->items.items[reader->items.count++] =
            (struct gather_item){.address = reader->cases.items[i].sudog, .tag = i};
    }
    return gather_visit(reader->target, reader->items.items, reader->items.count, size,
                        channel_visit_sudog, reader);
}

/* Follows the selects' lists, one step of all of them at a time. */
static struct error *channel_read_cases(struct channel_reader *reader)
{
    size_t first = 0;
    for (size_t step = 0; step < CHANNEL_CASES_MAX && first < reader->cases.count; step++) {
        TRY(channel_read_sudogs(reader, first));
        size_t end = reader->cases.count;
        for (size_t i = first; i < end && reader->cases.count < CHANNEL_SLOTS_MAX; i++) {
            const struct channel_case *item = &reader->cases.items[i];
            if (item->good && item->direction == DIRECTION_UNKNOWN &&
                wait_is_pointer(item->next, 8) && item->next != item->sudog) {
                TRY(channel_add_case(reader, item->index, item->next, item->channel,
                                     DIRECTION_UNKNOWN));
                reader->cases.items[i].follow = (uint32_t)(reader->cases.count - 1);
            }
        }
        first = end;
    }
    return NULL;
}

/* Decodes an hchan. */
static void channel_decode(const struct layout *layout, const uint8_t *bytes,
                           struct channel_state *ret)
{
    uint32_t closed = bytes_u32(bytes + layout->hchan.closed);
    ret->length = bytes_u64(bytes + layout->hchan.qcount);
    ret->capacity = bytes_u64(bytes + layout->hchan.dataqsiz);
    ret->element_type = bytes_u64(bytes + layout->hchan.elemtype);
    ret->timer = layout->hchan.timer == LAYOUT_ABSENT ? 0 : bytes_u64(bytes + layout->hchan.timer);
    ret->closed = (uint8_t)closed;
    ret->known = ret->length <= ret->capacity && ret->capacity <= INT64_MAX && closed <= 1;
}

/* True when SUDOG is in the queue that starts at FIRST. */
static bool channel_queue_has(struct channel_reader *reader, uint64_t first, uint64_t sudog)
{
    for (size_t i = 0; i < CHANNEL_QUEUE_STEPS && first != 0; i++) {
        if (first == sudog) {
            return true;
        }
        if (!peek_u64(&reader->peek, first + (uint64_t)reader->layout->sudog.next, &first)) {
            return false;
        }
    }
    return false;
}

/* The direction of a case of a select on the channel of BYTES. */
static uint8_t channel_case_direction(struct channel_reader *reader,
                                      const struct channel_case *item, const uint8_t *bytes)
{
    const struct layout *layout = reader->layout;
    uint64_t receivers = bytes_u64(bytes + layout->hchan.recvq_first);
    uint64_t senders = bytes_u64(bytes + layout->hchan.sendq_first);
    if (receivers != 0 && senders != 0) {
        return channel_queue_has(reader, receivers, item->sudog) ? DIRECTION_RECEIVE
               : channel_queue_has(reader, senders, item->sudog) ? DIRECTION_SEND
                                                                 : DIRECTION_UNKNOWN;
    }
    return receivers != 0 ? DIRECTION_RECEIVE : senders != 0 ? DIRECTION_SEND : DIRECTION_UNKNOWN;
}

/* gather_visitor of hchans; tags are slots. */
static struct error *channel_visit(void *context, const struct gather_item *item,
                                   const uint8_t *bytes)
{
    struct channel_reader *reader = context;
    struct channel_case *slot = &reader->cases.items[item->tag];
    if (bytes == NULL) {
        return NULL;
    }
    channel_decode(reader->layout, bytes, &slot->state);
    if (slot->direction == DIRECTION_UNKNOWN) {
        slot->direction = channel_case_direction(reader, slot, bytes);
    }
    return NULL;
}

/* Reads the channels of all good cases. */
static struct error *channel_read_channels(struct channel_reader *reader)
{
    reader->items.count = 0;
    TRY(vector_reserve(&reader->items, reader->cases.count));
    for (size_t i = 0; i < reader->cases.count; i++) {
        if (reader->cases.items[i].good) {
            reader->items.items[reader->items.count++] =
                (struct gather_item){.address = reader->cases.items[i].channel, .tag = i};
        }
    }
    return gather_visit(reader->target, reader->items.items, reader->items.count,
                        (size_t)reader->layout->hchan.size, channel_visit, reader);
}

struct error *channel_read(struct channel_reader *reader, const struct goruntime_parked *parked,
                           const uint32_t *indices, size_t count)
{
    reader->parked = parked;
    reader->cases.count = 0;
    block_cache_clear(reader->cache); /* what it holds may be older than these goroutines */
    for (size_t i = 0; i < count; i++) {
        uint32_t index = indices == NULL ? (uint32_t)i : indices[i];
        if (wait_is_pointer(parked[index].waiting, 8)) {
            uint8_t direction = channel_direction((enum wait_reason)parked[index].wait_reason);
            TRY(channel_add_case(reader, index, parked[index].waiting, 0, direction));
        }
    }
    reader->first_count = reader->cases.count;
    TRY(channel_read_cases(reader));
    TRY(channel_read_channels(reader));
    return peek_error(&reader->peek);
}

/* The name of an element type; 0 when it has none that can be read. */
static struct error *channel_type(struct channel_reader *reader, struct goruntime_look_state *state,
                                  uint64_t address, uint32_t *ret)
{
    uint64_t *id;
    bool added;
    TRY(hash_map_entry(&reader->types, address, 0, &added, &id));
    if (added) {
        struct string_builder name = {0};
        struct error *error = type_name(state->runtime->image, address, &name);
        uint32_t string = 0;
        if (error == NULL) {
            error = snapshot_builder_string(state->builder, string_builder_text(&name), name.size,
                                            &string);
        }
        if (error == NULL && strcmp(string_builder_text(&name), "time.Time") == 0) {
            reader->time_type = string;
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
static int8_t channel_is_timer(const struct channel_reader *reader,
                               const struct channel_state *state,
                               const struct snapshot_object *object)
{
    if (state->timer != 0) {
        return 1;
    }
    bool like =
        object->channel.capacity == 1 &&
        (object->channel.element_type == 0 || object->channel.element_type == reader->time_type);
    return like ? -1 : 0;
}

/* The object of a case. */
static struct error *channel_object(struct channel_reader *reader,
                                    struct goruntime_look_state *state,
                                    const struct channel_case *item, struct snapshot_object *ret)
{
    *ret = (struct snapshot_object){.address = item->channel, .kind = OBJECT_CHANNEL};
    ret->channel.length = SNAPSHOT_UNKNOWN;
    ret->channel.capacity = SNAPSHOT_UNKNOWN;
    ret->channel.closed = -1;
    ret->channel.timer = -1;
    if (!item->state.known) {
        return NULL; /* unreadable, or not a channel any more */
    }
    ret->channel.length = (int64_t)item->state.length;
    ret->channel.capacity = (int64_t)item->state.capacity;
    ret->channel.closed = (int8_t)item->state.closed;
    TRY(channel_type(reader, state, item->state.element_type, &ret->channel.element_type));
    ret->channel.timer = channel_is_timer(reader, &item->state, ret);
    return NULL;
}

/* Adds the objects; neighbours in the order of addresses are often the same. */
static struct error *channel_publish_objects(struct channel_reader *reader,
                                             struct goruntime_look_state *state)
{
    enum { AHEAD = 16 };
    const struct channel_case *last = NULL;
    for (size_t i = 0; i < reader->items.count; i++) {
        if (reader->items.count - i > AHEAD) {
            snapshot_builder_prefetch_object(state->builder, reader->items.items[i + AHEAD].address,
                                             OBJECT_CHANNEL);
        }
        struct channel_case *item = &reader->cases.items[reader->items.items[i].tag];
        if (last != NULL && last->channel == item->channel) {
            item->object = last->object;
            continue;
        }
        struct snapshot_object object;
        TRY(channel_object(reader, state, item, &object));
        TRY(snapshot_builder_object(state->builder, &object, &item->object));
        last = item;
    }
    return NULL;
}

/* Hands over the waits of each goroutine, its cases in order. */
static struct error *channel_publish_waits(struct channel_reader *reader,
                                           struct goruntime_look_state *state)
{
    for (size_t i = 0; i < reader->first_count; i++) {
        size_t slot = i;
        reader->waits.count = 0;
        do {
            const struct channel_case *item = &reader->cases.items[slot];
            if (item->good) {
                struct snapshot_wait wait = {.object = item->object, .direction = item->direction};
                TRY(vector_append(&reader->waits, wait));
            }
            slot = item->follow;
        } while (slot != 0);
        if (reader->waits.count > 0) {
            TRY(snapshot_builder_waits(state->builder,
                                       reader->parked[reader->cases.items[i].index].index,
                                       reader->waits.items, reader->waits.count));
        }
    }
    return NULL;
}

struct error *channel_publish(struct channel_reader *reader, struct goruntime_look_state *state)
{
    TRY(channel_publish_objects(reader, state));
    return channel_publish_waits(reader, state);
}

/* Frees a reader with the block that holds it. */
CLEANUP_DEFINE(channel_reader, struct channel_reader, channel_reader_destroy)

/* Works batch by batch, so that memory stays small. */
struct error *channel_resolve(struct wait_resolver *resolver, const uint32_t *indices, size_t count)
{
    CLEANUP(cleanup_channel_reader) struct channel_reader *reader = NULL;
    TRY(channel_reader_create(resolver->state->runtime->target, resolver->layout, &reader));
    for (size_t i = 0; i < count; i += CHANNEL_BATCH) {
        size_t some = count - i < CHANNEL_BATCH ? count - i : CHANNEL_BATCH;
        TRY(channel_read(reader, resolver->parked, indices + i, some));
        TRY(channel_publish(reader, resolver->state));
    }
    return NULL;
}
