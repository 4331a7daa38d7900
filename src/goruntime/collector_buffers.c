/* The collector of Go 1.26 on queues spans (the address of a span and the number of an object in
 * it, in one word) in rings that it gets from the system, and loads the words of a span into a
 * buffer per p before it looks at them. Neither is cleared afterwards. All rings that exist are
 * in one doubly linked list, to which the queue of a p leads. */
#include "goruntime/collector_buffers.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/vector.h"
#include "goruntime/internal.h"
#include "goruntime/peek.h"
#include <stdlib.h>

enum {
    COLLECTOR_PS_MAX = 1 << 16,
    COLLECTOR_RINGS_MAX = 1 << 16,
    COLLECTOR_RING_MIN = 512, /* a page of words */
    COLLECTOR_RING_MAX = 1 << 26,
    COLLECTOR_RING_ALIGNMENT = 4096,
    COLLECTOR_SCAN_BUFFER = 8192 /* one page of Go's heap */
};

struct collector {
    const struct layout *layout;
    struct peek peek;
    uint64_t *ps;
    size_t p_count;
    VECTOR(struct copy_range) found;
};

/* Frees what a search had. */
static void collector_deinit(struct collector *collector)
{
    peek_deinit(&collector->peek);
    free(collector->ps);
    vector_deinit(&collector->found);
}

/* True when the release has what is looked for. */
static bool collector_is_known(const struct layout *layout)
{
    return layout->p.gcw_id != LAYOUT_ABSENT && layout->p.gcw_ptr_buf != LAYOUT_ABSENT &&
           layout->p.gcw_span_queue_head != LAYOUT_ABSENT &&
           layout->span_spmc.ring != LAYOUT_ABSENT;
}

/* Reads the addresses of all p's; none when their collector's ids are not theirs. */
static struct error *collector_read_ps(struct collector *collector, uint64_t allp)
{
    uint64_t array;
    uint64_t count;
    if (allp == 0 || !peek_u64(&collector->peek, allp, &array) ||
        !peek_u64(&collector->peek, allp + 8, &count) || count == 0 || count > COLLECTOR_PS_MAX) {
        return NULL;
    }
    collector->ps = calloc(count, sizeof *collector->ps);
    if (collector->ps == NULL) {
        return error_no_memory();
    }
    for (uint64_t i = 0; i < count; i++) {
        uint32_t id;
        uint64_t *p = &collector->ps[i];
        if (!peek_u64(&collector->peek, array + i * 8, p) ||
            !peek_u32(&collector->peek, *p + (uint64_t)collector->layout->p.gcw_id, &id) ||
            id != i) {
            return NULL;
        }
    }
    collector->p_count = count;
    return NULL;
}

/* Adds the ring of the node at SPMC; false when it is none. */
static bool collector_add_ring(struct collector *collector, uint64_t spmc, struct error **error)
{
    uint64_t ring;
    uint32_t capacity;
    if (!peek_u64(&collector->peek, spmc + (uint64_t)collector->layout->span_spmc.ring, &ring) ||
        !peek_u32(&collector->peek, spmc + (uint64_t)collector->layout->span_spmc.cap, &capacity) ||
        ring == 0 || ring % COLLECTOR_RING_ALIGNMENT != 0 || capacity < COLLECTOR_RING_MIN ||
        capacity > COLLECTOR_RING_MAX || (capacity & (capacity - 1)) != 0) {
        return false;
    }
    *error = vector_append(&collector->found, ((struct copy_range){ring, (uint64_t)capacity * 8}));
    return *error == NULL;
}

/* Adds the rings of the list that the node at SPMC is in, to both sides as far as it hangs
 * together; *RET: at least that node is one. */
static struct error *collector_add_rings(struct collector *collector, uint64_t spmc, bool *ret)
{
    const int32_t links[2] = {collector->layout->span_spmc.next, collector->layout->span_spmc.prev};
    struct error *error = NULL;
    *ret = spmc != 0 && collector_add_ring(collector, spmc, &error);
    for (size_t side = 0; *ret && side < 2; side++) {
        uint64_t at = spmc;
        for (size_t i = 0; i < COLLECTOR_RINGS_MAX; i++) {
            uint64_t next;
            uint64_t back;
            if (!peek_u64(&collector->peek, at + (uint64_t)links[side], &next) || next == 0 ||
                !peek_u64(&collector->peek, next + (uint64_t)links[1 - side], &back) ||
                back != at || !collector_add_ring(collector, next, &error)) {
                break;
            }
            at = next;
        }
    }
    return error;
}

/* Adds the scan buffers of all p's. */
static struct error *collector_add_scan_buffers(struct collector *collector)
{
    for (size_t i = 0; i < collector->p_count; i++) {
        uint64_t buffer;
        uint64_t field = collector->ps[i] + (uint64_t)collector->layout->p.gcw_ptr_buf;
        if (peek_u64(&collector->peek, field, &buffer) && buffer != 0 && buffer % 8 == 0) {
            TRY(vector_append(&collector->found,
                              ((struct copy_range){buffer, COLLECTOR_SCAN_BUFFER})));
        }
    }
    return NULL;
}

/* Searches. Ids alone say too little: they are there as well in a program that was built without
 * this collector (GOEXPERIMENT=nogreenteagc), where other fields follow. A ring must prove that the
 * fields are where they should be. */
static struct error *collector_search(struct collector *collector, uint64_t allp)
{
    bool listed = false;
    TRY(collector_read_ps(collector, allp));
    for (size_t i = 0; i < collector->p_count && !listed; i++) {
        uint64_t head;
        uint64_t field = collector->ps[i] + (uint64_t)collector->layout->p.gcw_span_queue_head;
        if (peek_u64(&collector->peek, field, &head)) {
            TRY(collector_add_rings(collector, head, &listed));
        }
    }
    if (listed) {
        TRY(collector_add_scan_buffers(collector));
    }
    return peek_error(&collector->peek);
}

struct error *collector_buffers_find(struct goruntime *runtime, struct copy_range **ret,
                                     size_t *count_ret)
{
    struct collector collector CLEANUP(collector_deinit) = {.layout = runtime->layout,
                                                            .peek = {.target = runtime->target}};
    *ret = NULL;
    *count_ret = 0;
    if (!collector_is_known(runtime->layout)) {
        return NULL;
    }
    TRY(collector_search(&collector, runtime->globals.allp));
    *count_ret = collector.found.count;
    *ret = TAKE(collector.found.items);
    return NULL;
}
