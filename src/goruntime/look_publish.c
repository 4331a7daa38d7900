/* Records into the builder, one worker at a time. */
#include "goruntime/coroutine.h"
#include "goruntime/look_internal.h"

/* How long a goroutine with WAITSINCE has waited, when both clocks are known. */
static int64_t look_publish_age(const struct look *look, const struct goroutine_record *record)
{
    bool waits = record->status == GOROUTINE_STATUS_WAITING ||
                 record->status == GOROUTINE_STATUS_SYSCALL ||
                 record->status == GOROUTINE_STATUS_LEAKED;
    uint64_t now = look->state.now_ns;
    if (!waits || record->waitsince == 0 || now == 0 || record->waitsince > now) {
        return SNAPSHOT_UNKNOWN;
    }
    return (int64_t)(now - record->waitsince);
}

/* True when the goroutine is the runtime's own just now. */
static struct error *look_publish_is_system(struct look *look,
                                            const struct goroutine_record *record,
                                            const struct stack_trie *trie, bool *ret)
{
    enum symbol_origin origin;
    TRY(symbols_origin(&look->symbols, record->startpc, &origin));
    bool user_code = trie->nodes.items[record->node].user_code;
    *ret = origin == SYMBOL_ORIGIN_SYSTEM || (origin == SYMBOL_ORIGIN_FINALIZERS && !user_code) ||
           (origin == SYMBOL_ORIGIN_CLEANUPS && !record->running_cleanups);
    return NULL;
}

/* The id of the bubble at ADDRESS: its own since Go 1.25, its root's goid in 1.24. */
static struct error *look_publish_read_bubble(struct look *look, uint64_t address, uint32_t *ret)
{
    const struct layout *layout = look->runtime->layout;
    uint64_t id = 0;
    struct error *error = NULL;
    *ret = UINT32_MAX;
    if (layout->synctest_bubble.id != LAYOUT_ABSENT) {
        error =
            block_cache_u64(look->state.cache, address + (uint64_t)layout->synctest_bubble.id, &id);
    } else if (layout->synctest_group.root != LAYOUT_ABSENT) {
        uint64_t root;
        error = block_cache_u64(look->state.cache, address + (uint64_t)layout->synctest_group.root,
                                &root);
        if (error == NULL) {
            error = block_cache_u64(look->state.cache, root + (uint64_t)layout->g.goid, &id);
        }
    }
    if (error_catch(&error, ERROR_FAULT)) {
        return NULL;
    }
    TRY(error);
    if (id > 0 && id < UINT32_MAX) {
        *ret = (uint32_t)id;
    }
    return NULL;
}

/* The same, read once per bubble. */
static struct error *look_publish_bubble(struct look *look, uint64_t address, uint32_t *ret)
{
    const uint64_t *known = address == 0 ? NULL : hash_map_get(&look->bubbles, address);
    *ret = known == NULL ? 0 : (uint32_t)*known;
    if (address == 0 || known != NULL) {
        return NULL;
    }
    TRY(look_publish_read_bubble(look, address, ret));
    return hash_map_put(&look->bubbles, address, *ret);
}

/* Fills in who made the goroutine. */
static struct error *look_publish_creator(struct look *look, const struct goroutine_record *record,
                                          struct snapshot_goroutine *goroutine)
{
    TRY(symbols_start(&look->symbols, record->startpc, &goroutine->start));
    if (record->goid == 1) {
        return NULL; /* started by the runtime */
    }
    TRY(symbols_creator(&look->symbols, record->gopc, &goroutine->creator));
    goroutine->parent = record->parent;
    if (goroutine->creator == 0) {
        goroutine->flags |= GOROUTINE_CREATOR_UNKNOWN;
    }
    return NULL;
}

/* Fills in the labels. */
static struct error *look_publish_labels(struct look *look, const struct goroutine_record *record,
                                         struct snapshot_goroutine *goroutine)
{
    bool known = true;
    if (!look->wanted->labels || record->labels == 0) {
        return NULL;
    }
    TRY(labels_resolve(&look->state, record->labels, &goroutine->labels, &known));
    if (!known) {
        goroutine->flags |= GOROUTINE_LABELS_UNKNOWN;
    }
    return NULL;
}

/* True when the worker that read the goroutine finds out by itself what it waits for: its channels,
 * unless it may be the other side of a coroutine, or we are in a stop, where that can wait. */
static bool look_publish_is_own(struct look *look, const struct goruntime_parked *parked,
                                uint32_t start)
{
    if (look->parked_max == SIZE_MAX || !wait_is_on_channel(parked)) {
        return false;
    }
    if (start != look->start) {
        look->start = start;
        look->start_is_coroutine = coroutine_is_start(snapshot_builder_peek(look->builder), start);
    }
    return !look->start_is_coroutine;
}

/* Keeps what resolving its wait needs. */
static struct error *look_publish_park(struct look_worker *worker,
                                       const struct goroutine_record *record, uint32_t start,
                                       size_t index)
{
    struct look *look = worker->look;
    if (!look->wanted->objects) {
        return NULL; /* running ones are kept too: they may be the other side of a coroutine */
    }
    struct goruntime_parked parked = {.index = index,
                                      .g = record->g,
                                      .waiting = record->waiting,
                                      .timer = record->timer,
                                      .sleep_when = record->sleep_when,
                                      .coroarg = record->coroarg,
                                      .m = record->m,
                                      .stack_lo = record->stack_lo,
                                      .stack_hi = record->stack_hi,
                                      .sp = record->sp,
                                      .status = record->status,
                                      .wait_reason = record->wait_reason};
    return look_publish_is_own(look, &parked, start) ? vector_append(&worker->parked, parked)
                                                     : vector_append(&look->parked, parked);
}

/* Counts what degrades the look. */
static void look_publish_count(struct look *look, const struct goroutine_record *record)
{
    bool unread = (record->flags & GOROUTINE_STACK_UNKNOWN) != 0 &&
                  record->status != GOROUTINE_STATUS_RUNNING &&
                  record->status != GOROUTINE_STATUS_COPYSTACK;
    look->goroutines++;
    look->moved += (record->flags & GOROUTINE_MOVED) != 0;
    look->cut += (record->flags & GOROUTINE_STACK_CUT) != 0;
    look->unreadable += unread;
}

/* Fills in GOROUTINE, entry INDEX of the builder. */
static struct error *look_publish_goroutine(struct look_worker *worker,
                                            const struct goroutine_record *record,
                                            struct snapshot_goroutine *goroutine, size_t index)
{
    struct look *look = worker->look;
    struct stack_trie *trie = &worker->reader.trie;
    bool system;
    goroutine->id = record->goid;
    goroutine->address = record->g;
    goroutine->age_ns = look_publish_age(look, record);
    goroutine->flags = record->flags;
    goroutine->status = record->status;
    goroutine->wait_reason = record->wait_reason;
    if (record->node != 0) {
        TRY(symbols_stack(&look->symbols, trie, record->node, &goroutine->stack));
    }
    TRY(look_publish_creator(look, record, goroutine));
    TRY(look_publish_is_system(look, record, trie, &system));
    goroutine->flags |= system ? GOROUTINE_SYSTEM : 0;
    goroutine->flags |= record->lockedm != 0 ? GOROUTINE_LOCKED : 0;
    goroutine->flags |= record->status == GOROUTINE_STATUS_LEAKED ? GOROUTINE_LEAKED : 0;
    goroutine->thread =
        running_tid(&look->running, record->lockedm != 0 ? record->lockedm : record->m);
    TRY(look_publish_bubble(look, record->bubble, &goroutine->bubble));
    TRY(look_publish_labels(look, record, goroutine));
    if (look->wanted->arguments && record->node != 0 && record->has_words) {
        TRY(snapshot_builder_arguments(look->builder, index,
                                       worker->reader.words.items + record->first_word,
                                       record->word_count));
    }
    look_publish_count(look, record);
    return look_publish_park(worker, record, goroutine->start, index);
}

/* Resolves waits. */
struct error *look_publish_waits(struct look *look)
{
    if (look->parked.count > 0) {
        TRY(wait_resolve(&look->state, look->parked.items, look->parked.count));
        look->parked.count = 0;
    }
    return NULL;
}

/* Publishes a batch. */
struct error *look_publish(struct look_worker *worker, size_t count)
{
    struct look *look = worker->look;
    size_t index = worker->first;
    worker->parked.count = 0;
    for (size_t i = 0; i < count; i++) {
        if (goroutine_is_alive(&worker->records[i])) {
            TRY(look_publish_goroutine(worker, &worker->records[i],
                                       snapshot_builder_goroutine(look->builder, index), index));
            index++;
        }
    }
    if (look->parked.count >= look->parked_max) {
        TRY(look_publish_waits(look));
    }
    look->done += count;
    if (look->wanted->progress != NULL) {
        look->wanted->progress(look->wanted->progress_context, look->done, look->count);
    }
    return NULL;
}
