#include "emit/wait_summary.h"
#include <stdlib.h>
#include <string.h>

/* A `seen` entry: the sum's number above one bit for each direction. */
enum { WAIT_SUMMARY_BITS = 8, WAIT_SUMMARY_SUMS = 1 << 24 };

/* Sets a summarizer up. */
struct error *wait_summarizer_init(struct wait_summarizer *summarizer,
                                   const struct snapshot *snapshot)
{
    *summarizer = (struct wait_summarizer){.snapshot = snapshot};
    summarizer->seen = calloc(snapshot_object_count(snapshot) + 1, sizeof *summarizer->seen);
    return summarizer->seen == NULL ? error_no_memory() : NULL;
}

/* Frees a summarizer. */
void wait_summarizer_deinit(struct wait_summarizer *summarizer)
{
    free(summarizer->seen);
}

/* Waits that all goroutines have in common. */
struct wait_summarizer_common {
    struct snapshot_wait waits[WAIT_SUMMARY_MAX];
    size_t count;
};

/* Whether WAIT is one of the first of WAITS. */
static bool wait_summarizer_has(const struct snapshot_wait *waits, size_t count,
                                const struct snapshot_wait *wait)
{
    enum { LOOK_AT = 64 }; /* cases of a select */
    for (size_t i = 0; i < count && i < LOOK_AT; i++) {
        if (waits[i].object == wait->object && waits[i].direction == wait->direction) {
            return true;
        }
    }
    return false;
}

/* Finds what the selects of all members have in common: the first one's cases, less those that some
 * other lacks. */
static void wait_summarizer_find_common(const struct wait_summarizer *summarizer,
                                        const struct snapshot_goroutine *goroutines,
                                        const uint32_t *members, size_t count,
                                        struct wait_summarizer_common *common)
{
    if (count == 0) {
        return;
    }
    size_t wait_count;
    const struct snapshot_wait *waits =
        snapshot_waits(summarizer->snapshot, &goroutines[members[0]], &wait_count);
    for (size_t i = 0; i < wait_count && wait_count > 1 && common->count < WAIT_SUMMARY_MAX; i++) {
        common->waits[common->count++] = waits[i];
    }
    for (size_t i = 1; i < count && common->count > 0; i++) {
        waits = snapshot_waits(summarizer->snapshot, &goroutines[members[i]], &wait_count);
        size_t kept = 0;
        for (size_t k = 0; k < common->count; k++) {
            if (wait_summarizer_has(waits, wait_count, &common->waits[k])) {
                common->waits[kept++] = common->waits[k];
            }
        }
        common->count = kept;
    }
}

/* The item that counts such a wait, added when new; NULL when there is no room. */
static struct wait_summary_item *wait_summarizer_item(const struct wait_summarizer *summarizer,
                                                      const struct snapshot_wait *wait, bool shared,
                                                      struct wait_summary *summary)
{
    const struct snapshot_object *object = snapshot_object(summarizer->snapshot, wait->object);
    uint32_t type = object->kind == OBJECT_CHANNEL ? object->channel.element_type : 0;
    for (size_t i = 0; i < summary->count; i++) {
        struct wait_summary_item *item = &summary->items[i];
        if (!shared && !item->shared && item->kind == object->kind &&
            item->direction == wait->direction && item->element_type == type) {
            return item;
        }
    }
    if (summary->count == WAIT_SUMMARY_MAX) {
        return NULL;
    }
    struct wait_summary_item *item = &summary->items[summary->count++];
    *item = (struct wait_summary_item){.kind = (enum snapshot_object_kind)object->kind,
                                       .direction = (enum snapshot_direction)wait->direction,
                                       .element_type = type,
                                       .shared = shared,
                                       .example = wait->object,
                                       .due_min_ns = SNAPSHOT_UNKNOWN,
                                       .due_max_ns = SNAPSHOT_UNKNOWN};
    return item;
}

/* Widens the range of due times. */
static void wait_summarizer_due(struct wait_summary_item *item, int64_t due_ns)
{
    if (due_ns == SNAPSHOT_UNKNOWN) {
        return;
    }
    if (item->due_min_ns == SNAPSHOT_UNKNOWN || due_ns < item->due_min_ns) {
        item->due_min_ns = due_ns;
    }
    if (item->due_max_ns == SNAPSHOT_UNKNOWN || due_ns > item->due_max_ns) {
        item->due_max_ns = due_ns;
    }
}

/* Counts one wait unless its object was counted in this direction. */
static void wait_summarizer_add(struct wait_summarizer *summarizer,
                                const struct snapshot_wait *wait,
                                const struct wait_summarizer_common *common,
                                struct wait_summary *summary)
{
    uint32_t bit = 1u << (wait->direction & (WAIT_SUMMARY_BITS - 1));
    uint32_t seen = summarizer->seen[wait->object];
    if (seen >> WAIT_SUMMARY_BITS != summarizer->sum) {
        seen = summarizer->sum << WAIT_SUMMARY_BITS;
    }
    if ((seen & bit) != 0) {
        return;
    }
    summarizer->seen[wait->object] = seen | bit;
    struct wait_summary_item *item = wait_summarizer_item(
        summarizer, wait, wait_summarizer_has(common->waits, common->count, wait), summary);
    if (item == NULL) {
        summary->more++;
        return;
    }
    item->objects++;
    if (item->kind == OBJECT_TIMER) {
        wait_summarizer_due(item,
                            snapshot_object(summarizer->snapshot, wait->object)->timer.due_ns);
    }
}

/* Begins a new sum; old marks count no longer. */
static void wait_summarizer_begin(struct wait_summarizer *summarizer)
{
    if (++summarizer->sum == WAIT_SUMMARY_SUMS) {
        size_t objects = snapshot_object_count(summarizer->snapshot);
        memset(summarizer->seen, 0, objects * sizeof *summarizer->seen);
        summarizer->sum = 1;
    }
}

/* Members of a large group lie far apart: asks for what will be needed, in three steps ahead. */
static void wait_summarizer_prefetch(const struct wait_summarizer *summarizer,
                                     const struct snapshot_goroutine *goroutines,
                                     const uint32_t *members, size_t left)
{
    enum { GOROUTINES = 24, WAITS = 16, OBJECTS = 8 };
    size_t count;
    if (left <= GOROUTINES) {
        return;
    }
    __builtin_prefetch(&goroutines[members[GOROUTINES]].first_wait);
    __builtin_prefetch(snapshot_waits(summarizer->snapshot, &goroutines[members[WAITS]], &count));
    const struct snapshot_wait *waits =
        snapshot_waits(summarizer->snapshot, &goroutines[members[OBJECTS]], &count);
    if (count > 0) {
        __builtin_prefetch(&summarizer->seen[waits->object]);
        __builtin_prefetch(snapshot_object(summarizer->snapshot, waits->object));
    }
}

/* Sums waits up. */
void wait_summarizer_sum(struct wait_summarizer *summarizer, const uint32_t *members, size_t count,
                         struct wait_summary *ret)
{
    *ret = (struct wait_summary){0};
    struct wait_summarizer_common common = {.count = 0};
    wait_summarizer_begin(summarizer);
    size_t all;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(summarizer->snapshot, &all);
    wait_summarizer_find_common(summarizer, goroutines, members, count, &common);
    for (size_t i = 0; i < count; i++) {
        size_t wait_count;
        wait_summarizer_prefetch(summarizer, goroutines, members + i, count - i);
        const struct snapshot_wait *waits =
            snapshot_waits(summarizer->snapshot, &goroutines[members[i]], &wait_count);
        ret->without += wait_count == 0 ? goroutines[members[i]].count : 0;
        ret->alternatives |= wait_count > 1;
        for (size_t k = 0; k < wait_count; k++) {
            wait_summarizer_add(summarizer, &waits[k], &common, ret);
        }
    }
}
