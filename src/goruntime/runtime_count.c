/* Counting goroutines without their stacks: of each g only what lies between its status and its
 * start function is read. */
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/hash_map.h"
#include "goruntime/internal.h"
#include "goruntime/peek.h"
#include "goruntime/start_function.h"
#include "target/gather.h"
#include <stdlib.h>

enum { RUNTIME_COUNT_BATCH = 65536, RUNTIME_COUNT_MAX = 100000000 };

/* One count under way. */
struct runtime_count {
    struct goruntime *runtime;
    struct hash_map starts; /* startpc: 1 when the runtime's own */
    uint64_t first;         /* offset of the first byte that is read of a g */
    uint64_t totals[2];     /* program's, runtime's own */
};

/* The map is emptied. */
static void runtime_count_deinit(struct runtime_count *count)
{
    hash_map_deinit(&count->starts);
}

/* The lower and upper end of the fields that are read. */
static void runtime_count_range(const struct layout *layout, uint64_t *first, uint64_t *end)
{
    uint64_t status = (uint64_t)layout->g.atomicstatus;
    uint64_t start = (uint64_t)layout->g.startpc;
    *first = status < start ? status : start;
    *end = (status < start ? start : status) + 8;
}

/* Counts one g. */
static struct error *runtime_count_visit(void *context, const struct gather_item *item,
                                         const uint8_t *bytes)
{
    struct runtime_count *count = context;
    const struct layout *layout = count->runtime->layout;
    (void)item;
    if (bytes == NULL) {
        return NULL;
    }
    uint32_t status = bytes_u32(bytes + ((uint64_t)layout->g.atomicstatus - count->first)) & 0xfff;
    if (status == 0 || status == 6 || status == 11) {
        return NULL; /* idle, dead, of a thread that C made and left */
    }
    uint64_t start = bytes_u64(bytes + ((uint64_t)layout->g.startpc - count->first));
    uint64_t *system;
    bool added;
    TRY(hash_map_entry(&count->starts, start, 0, &added, &system));
    if (added) {
        *system = start_function_is_system(count->runtime->image, start);
    }
    count->totals[*system]++;
    return NULL;
}

/* Counts the g's whose addresses are the SIZE words at ARRAY. */
static struct error *runtime_count_batch(struct runtime_count *count, uint64_t array, size_t size,
                                         uint8_t *words, struct gather_item *items)
{
    struct peek peek = {.target = count->runtime->target};
    if (!peek_read(&peek, array, words, size * 8)) {
        TRY(peek_error(&peek));
        return error_fault(array, "allgs");
    }
    uint64_t end;
    runtime_count_range(count->runtime->layout, &count->first, &end);
    size_t kept = 0;
    for (size_t i = 0; i < size; i++) {
        uint64_t g = bytes_u64(words + i * 8);
        if (g != 0 && g < UINT64_MAX - end) {
            items[kept++].address = g + count->first;
        }
    }
    return gather_visit(count->runtime->target, items, kept, (size_t)(end - count->first),
                        runtime_count_visit, count);
}

/* Counts all goroutines that are not dead. */
struct error *goruntime_count(struct goruntime *runtime, uint64_t *user, uint64_t *system)
{
    struct peek peek = {.target = runtime->target};
    uint64_t length;
    uint64_t array;
    if (!peek_u64(&peek, runtime->globals.allglen, &length) ||
        !peek_u64(&peek, runtime->globals.allgptr, &array)) {
        TRY(peek_error(&peek));
        return error_fault(runtime->globals.allglen, "allgs");
    }
    if (length > RUNTIME_COUNT_MAX || array > UINT64_MAX - length * 8) {
        return error_create(ERROR_CORRUPT, "the list of goroutines has an impossible length");
    }
    size_t batch = length < RUNTIME_COUNT_BATCH ? (size_t)length : RUNTIME_COUNT_BATCH;
    CLEANUP_FREE uint8_t *words = malloc(batch * 8 + 1);
    CLEANUP_FREE struct gather_item *items = calloc(batch + 1, sizeof *items);
    CLEANUP(runtime_count_deinit) struct runtime_count count = {.runtime = runtime};
    if (words == NULL || items == NULL) {
        return error_no_memory();
    }
    for (uint64_t at = 0; at < length; at += batch) {
        size_t size = length - at < batch ? (size_t)(length - at) : batch;
        TRY(runtime_count_batch(&count, array + at * 8, size, words, items));
    }
    *user = count.totals[0];
    *system = count.totals[1];
    return NULL;
}
