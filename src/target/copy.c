/* A target whose bytes were fetched from another one: segments fetched in bulk, pages fetched
 * singly by whoever read them while the copy was open, and below both what nobody can write. */
#include "target/copy.h"
#include "base/cleanup.h"
#include "target/copy_internal.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Where this thread found a segment last: reads go through memory in order. */
static _Thread_local size_t copy_hint;

/* Whether segment INDEX is the last one that begins at or before ADDRESS. */
static bool copy_is_place(const struct copy *copy, size_t index, uint64_t address)
{
    return index < copy->segments.count && copy->segments.items[index].address <= address &&
           (index + 1 == copy->segments.count || address < copy->segments.items[index + 1].address);
}

/* The segment that holds ADDRESS, or NULL; *NEXT (may be NULL) is where the next one begins. */
static const struct copy_segment *copy_find_segment(const struct copy *copy, uint64_t address,
                                                    uint64_t *next)
{
    size_t low = 0;
    size_t high = copy->segments.count;
    for (size_t i = copy_hint; i <= copy_hint + 1; i++) {
        if (copy_is_place(copy, i, address)) {
            low = i + 1;
            high = i + 1;
        }
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (copy->segments.items[middle].address <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (next != NULL) {
        *next = low < copy->segments.count ? copy->segments.items[low].address : UINT64_MAX;
    }
    if (low == 0) {
        return NULL;
    }
    copy_hint = low - 1;
    const struct copy_segment *segment = &copy->segments.items[low - 1];
    return address - segment->address < segment->size ? segment : NULL;
}

/* True when the base may still be asked for ADDRESS after sealing: a file's page that nobody can
 * write. */
static bool copy_is_constant(const struct copy *copy, uint64_t address)
{
    const struct target_mapping *mapping = target_find_mapping(&copy->head, address);
    return mapping != NULL && (mapping->permissions & TARGET_PERMISSION_WRITE) == 0 &&
           mapping->path[0] == '/';
}

/* Fetches the page that holds ADDRESS from the base and keeps it; *RET is NULL when unreadable. */
static struct error *copy_fetch_page(struct copy *copy, uint64_t address, const uint8_t **ret)
{
    uint64_t number = address >> COPY_PAGE_SHIFT;
    uint8_t *page = NULL;
    TRY(copy_allocate(copy, COPY_PAGE, &page));
    struct error *error = target_read(copy->base, number << COPY_PAGE_SHIFT, page, COPY_PAGE);
    if (error != NULL) {
        if (!error_catch(&error, ERROR_FAULT)) {
            return error;
        }
        page = NULL;
    }
    TRY(hash_map_put(&copy->pages, number, (uint64_t)(uintptr_t)page));
    copy->held += page == NULL ? 0 : COPY_PAGE;
    *ret = page;
    return NULL;
}

/* The bytes of the page of ADDRESS, fetching it while open; *RET is NULL when there are none. */
static struct error *copy_page(struct copy *copy, uint64_t address, const uint8_t **ret)
{
    struct error *error = NULL;
    if (!copy->sealed) {
        pthread_mutex_lock(&copy->lock);
    }
    const uint64_t *known = hash_map_get(&copy->pages, address >> COPY_PAGE_SHIFT);
    *ret = known == NULL ? NULL : (const uint8_t *)(uintptr_t)*known;
    if (known == NULL && !copy->sealed) {
        error = copy_fetch_page(copy, address, ret);
    }
    if (!copy->sealed) {
        pthread_mutex_unlock(&copy->lock);
    }
    return error;
}

/* Reads one range up to its first absent byte. */
static struct error *copy_read_range(struct copy *copy, struct target_range *range)
{
    range->done = 0;
    while (range->done < range->size) {
        uint64_t address = range->address + range->done;
        uint64_t next;
        size_t left = range->size - range->done;
        const struct copy_segment *segment = copy_find_segment(copy, address, &next);
        if (segment != NULL) {
            uint64_t have = segment->size - (address - segment->address);
            size_t size = have < left ? (size_t)have : left;
            memcpy(range->destination + range->done, segment->bytes + (address - segment->address),
                   size);
            range->done += size;
            continue;
        }
        uint64_t stop = (address | (COPY_PAGE - 1)) + 1;
        stop = next < stop ? next : stop;
        size_t size = stop - address < left ? (size_t)(stop - address) : left;
        if (copy_is_constant(copy, address)) {
            struct target_range rest = {address, size, range->destination + range->done, 0};
            TRY(target_read_ranges(copy->base, &rest, 1));
            range->done += rest.done;
            if (rest.done < size) {
                return NULL;
            }
            continue;
        }
        const uint8_t *page;
        TRY(copy_page(copy, address, &page));
        if (page == NULL) {
            return NULL;
        }
        memcpy(range->destination + range->done, page + address % COPY_PAGE, size);
        range->done += size;
    }
    return NULL;
}

static struct error *copy_read_ranges(struct target *target, struct target_range *ranges,
                                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        TRY(copy_read_range((struct copy *)target, &ranges[i]));
    }
    return NULL;
}

/* Bytes that lie in one segment or one page. */
static const uint8_t *copy_view(const struct target *target, uint64_t address, size_t size)
{
    const struct copy *copy = (const struct copy *)target;
    const struct copy_segment *segment = copy_find_segment(copy, address, NULL);
    if (segment != NULL) {
        uint64_t offset = address - segment->address;
        return segment->size - offset >= size ? segment->bytes + offset : NULL;
    }
    if (!copy->sealed || address % COPY_PAGE + size > COPY_PAGE) {
        return NULL;
    }
    const uint64_t *page = hash_map_get(&copy->pages, address >> COPY_PAGE_SHIFT);
    return page == NULL || *page == 0 ? NULL
                                      : (const uint8_t *)(uintptr_t)*page + address % COPY_PAGE;
}

static struct error *copy_open_file(struct target *target, const struct target_mapping *mapping,
                                    int *ret)
{
    return target_open_file(((struct copy *)target)->base, mapping, ret);
}

static struct error *copy_threads(struct target *target, struct target_thread **ret,
                                  size_t *count_ret)
{
    const struct copy *copy = (const struct copy *)target;
    if (!copy->sealed) {
        return target_threads(copy->base, ret, count_ret);
    }
    *ret = reallocarray(NULL, copy->thread_count + 1, sizeof **ret);
    if (*ret == NULL) {
        return error_no_memory();
    }
    if (copy->thread_count > 0) {
        memcpy(*ret, copy->threads, copy->thread_count * sizeof **ret);
    }
    *count_ret = copy->thread_count;
    return NULL;
}

static struct error *copy_system_call(struct target *target, pid_t tid,
                                      struct target_system_call *ret)
{
    const struct copy *copy = (const struct copy *)target;
    if (!copy->sealed) {
        return target_system_call(copy->base, tid, ret);
    }
    for (size_t i = 0; i < copy->calls.count; i++) {
        if (copy->calls.items[i].tid == tid) {
            *ret = copy->calls.items[i].call;
        }
    }
    return NULL;
}

static bool copy_monotonic_now(const struct target *target, uint64_t *ret)
{
    const struct copy *copy = (const struct copy *)target;
    if (!copy->sealed) {
        return target_monotonic_now(copy->base, ret);
    }
    *ret = copy->clock;
    return copy->has_clock;
}

static void copy_destroy(struct target *target)
{
    struct copy *copy = (struct copy *)target;
    for (size_t i = 0; i < copy->blocks.count; i++) {
        munmap(copy->blocks.items[i].memory, copy->blocks.items[i].size);
    }
    vector_deinit(&copy->blocks);
    vector_deinit(&copy->segments);
    copy_plan_deinit(&copy->reserved);
    vector_deinit(&copy->calls);
    hash_map_deinit(&copy->pages);
    pthread_mutex_destroy(&copy->lock);
    free(copy->threads);
    free(copy);
}

/* Takes over the base's mappings as they are now. */
static struct error *copy_mappings(struct copy *copy)
{
    size_t count;
    const struct target_mapping *mappings = target_mappings(copy->base, &count);
    size_t text = 1;
    for (size_t i = 0; i < count; i++) {
        text += strlen(mappings[i].path) + 1;
    }
    struct target_mapping_list list = {.count = count};
    list.items = reallocarray(NULL, count + 1, sizeof *list.items);
    list.text = malloc(text);
    if (list.items == NULL || list.text == NULL) {
        target_mappings_deinit(&list);
        return error_no_memory();
    }
    char *at = list.text;
    for (size_t i = 0; i < count; i++) {
        list.items[i] = mappings[i];
        list.items[i].path = at;
        at = stpcpy(at, mappings[i].path) + 1;
    }
    target_mappings_deinit(&copy->head.mappings);
    copy->head.mappings = list;
    return NULL;
}

/* What has been mapped since the copy was made may hold what C keeps. */
static struct error *copy_refresh(struct target *target)
{
    struct copy *copy = (struct copy *)target;
    if (copy->sealed) {
        return NULL;
    }
    TRY(target_refresh_mappings(copy->base));
    return copy_mappings(copy);
}

static const struct target_operations copy_operations = {
    .destroy = copy_destroy,
    .refresh = copy_refresh,
    .read_ranges = copy_read_ranges,
    .view = copy_view,
    .open_file = copy_open_file,
    .threads = copy_threads,
    .system_call = copy_system_call,
    .monotonic_now = copy_monotonic_now,
};

struct error *copy_create(struct target *base, struct target **ret)
{
    struct copy *copy = calloc(1, sizeof *copy);
    if (copy == NULL) {
        return error_no_memory();
    }
    copy->base = base;
    copy->head.operations = &copy_operations;
    copy->head.kind = TARGET_KIND_COPY;
    copy->head.machine = target_machine(base);
    copy->head.pid = target_pid(base);
    pthread_mutex_init(&copy->lock, NULL);
    copy->head.name = strdup(target_name(base));
    copy->head.executable = strdup(target_executable(base));
    struct error *error = copy->head.name == NULL || copy->head.executable == NULL
                              ? error_no_memory()
                              : copy_mappings(copy);
    if (error != NULL) {
        target_destroy(&copy->head);
        return error;
    }
    *ret = &copy->head;
    return NULL;
}

struct error *copy_seal(struct target *target)
{
    struct copy *copy = (struct copy *)target;
    TRY(copy_mappings(copy));
    TRY(target_threads(copy->base, &copy->threads, &copy->thread_count));
    for (size_t i = 0; i < copy->thread_count; i++) {
        struct copy_system_call call = {.tid = copy->threads[i].tid};
        TRY(target_system_call(copy->base, call.tid, &call.call));
        if (call.call.known) {
            TRY(vector_append(&copy->calls, call));
        }
    }
    copy->has_clock = target_monotonic_now(copy->base, &copy->clock);
    copy->sealed = true;
    return NULL;
}

void copy_trim(struct target *target)
{
    struct copy *copy = (struct copy *)target;
    for (size_t i = 0; i < copy->blocks.count; i++) {
        struct copy_block *block = &copy->blocks.items[i];
        size_t used = (block->used + COPY_PAGE - 1) & ~(size_t)(COPY_PAGE - 1);
        if (used < block->size && munmap(block->memory + used, block->size - used) == 0) {
            block->size = used;
        }
    }
}

uint64_t copy_size(const struct target *target)
{
    return ((const struct copy *)target)->held;
}
