/* Memory that C code may use, by exclusion.
 *
 * C code may legally hold pointers to pinned Go objects (cgo's rules), so in programs with C code
 * every writable word that is not known to be something else counts. Known: Go's heap and module
 * sections; mappings that the runtime named "Go: ..." (1.25 on; differently named mappings are
 * never merged); the part of a system stack below the stack pointer, which is dead but full of old
 * words. */
#include "goruntime/roots_foreign.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/vector.h"
#include "goruntime/heap_internal.h"
#include "goruntime/internal.h"
#include <stdlib.h>
#include <string.h>

enum { FOREIGN_THREADS_MAX = 1 << 20, FOREIGN_RED_ZONE = 128, FOREIGN_ARENA_TABLE = 8 << 22 };

/* A range that is not C's. */
struct foreign_range {
    uint64_t start, end;
};

struct foreign {
    struct goruntime *runtime;
    VECTOR(struct foreign_range) excluded;
    VECTOR(struct copy_range) found;
};

/* True when C code shares the process: a C library or a brk heap is mapped. */
static bool foreign_has_c(struct target *target)
{
    size_t count;
    const struct target_mapping *mappings = target_mappings(target, &count);
    for (size_t i = 0; i < count; i++) {
        const char *path = mappings[i].path;
        if (strcmp(path, "[heap]") == 0 || strstr(path, ".so") != NULL ||
            strstr(path, "ld-musl") != NULL) {
            return true;
        }
    }
    return false;
}

/* Leaves [start, end) out. */
static struct error *foreign_exclude(struct foreign *foreign, uint64_t start, uint64_t end)
{
    struct foreign_range range = {start, end};
    return start < end ? vector_append(&foreign->excluded, range) : NULL;
}

/* Reads a word; false when it cannot. */
static bool foreign_word(struct foreign *foreign, uint64_t address, uint64_t *ret)
{
    uint8_t word[8];
    struct error *error = target_read(foreign->runtime->target, address, word, sizeof word);
    if (error != NULL) {
        error_destroy(error);
        return false;
    }
    *ret = bytes_u64(word);
    return true;
}

/* Leaves out the unused part of the system stack of g0 at G; every thread's registers are in
 * THREADS. */
static struct error *foreign_exclude_stack(struct foreign *foreign, uint64_t g,
                                           const struct target_thread *threads, size_t count)
{
    const struct layout *layout = foreign->runtime->layout;
    uint64_t low;
    uint64_t high;
    uint64_t live;
    if (!foreign_word(foreign, g + (uint64_t)(uint32_t)layout->g.stack_lo, &low) ||
        !foreign_word(foreign, g + (uint64_t)(uint32_t)layout->g.stack_hi, &high) ||
        !foreign_word(foreign, g + (uint64_t)(uint32_t)layout->g.sched_sp, &live)) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        if (threads[i].registers.sp >= low && threads[i].registers.sp < high) {
            live = threads[i].registers.sp;
        }
    }
    if (live < low || live >= high || live - low <= FOREIGN_RED_ZONE) {
        return NULL;
    }
    return foreign_exclude(foreign, low, live - FOREIGN_RED_ZONE);
}

/* Leaves out the unused parts of all system stacks, when every thread's registers are known. */
static struct error *foreign_exclude_stacks(struct foreign *foreign)
{
    const struct layout *layout = foreign->runtime->layout;
    CLEANUP_FREE struct target_thread *threads = NULL;
    size_t count = 0;
    uint64_t m = 0;
    TRY(target_threads(foreign->runtime->target, &threads, &count));
    for (size_t i = 0; i < count; i++) {
        if (!threads[i].has_registers) {
            return NULL;
        }
    }
    if (foreign->runtime->globals.allm == 0 ||
        !foreign_word(foreign, foreign->runtime->globals.allm, &m)) {
        return NULL;
    }
    for (size_t i = 0; m != 0 && i < FOREIGN_THREADS_MAX; i++) {
        uint64_t g;
        if (!foreign_word(foreign, m + (uint64_t)(uint32_t)layout->m.g0, &g)) {
            return NULL;
        }
        TRY(foreign_exclude_stack(foreign, g, threads, count));
        if (!foreign_word(foreign, m + (uint64_t)(uint32_t)layout->m.alllink, &m)) {
            return NULL;
        }
    }
    return NULL;
}

/* Leaves out the sections of Go modules. */
static struct error *foreign_exclude_modules(struct foreign *foreign)
{
    struct image *image = foreign->runtime->image;
    for (size_t i = 0; i < image_module_count(image); i++) {
        const struct module_tables *tables = module_tables(image_module(image, i));
        TRY(foreign_exclude(foreign, tables->noptrdata, tables->enoptrdata));
        TRY(foreign_exclude(foreign, tables->data, tables->edata));
        TRY(foreign_exclude(foreign, tables->bss, tables->ebss));
        TRY(foreign_exclude(foreign, tables->noptrbss, tables->enoptrbss));
    }
    return NULL;
}

/* Leaves out the table of arenas, 32 MiB of which hardly a page is in use. */
static struct error *foreign_exclude_arenas(struct foreign *foreign)
{
    const struct layout *layout = foreign->runtime->layout;
    uint64_t table;
    if (foreign->runtime->globals.mheap == 0 ||
        !foreign_word(foreign,
                      foreign->runtime->globals.mheap + (uint64_t)(uint32_t)layout->mheap.arenas,
                      &table)) {
        return NULL;
    }
    return foreign_exclude(foreign, table, table + FOREIGN_ARENA_TABLE);
}

/* Leaves out the span records: a span's start address is also that of its first object. */
static struct error *foreign_exclude_spans(struct foreign *foreign)
{
    uint64_t size = (uint64_t)(uint32_t)foreign->runtime->layout->mspan.size;
    CLEANUP_FREE struct gather_item *spans = NULL;
    size_t count = 0;
    if (foreign->runtime->globals.mheap == 0) {
        return NULL;
    }
    TRY(heap_span_addresses(foreign->runtime, &spans, &count));
    CLEANUP_FREE struct gather_item *scratch = reallocarray(NULL, count + 1, sizeof *scratch);
    if (scratch == NULL) {
        return error_no_memory();
    }
    gather_sort(spans, scratch, count);
    for (size_t i = 0; i < count;) {
        uint64_t start = spans[i].address;
        uint64_t end = start + size;
        for (i++; i < count && spans[i].address == end; i++) {
            end += size;
        }
        TRY(foreign_exclude(foreign, start, end));
    }
    return NULL;
}

/* Orders ranges by start. */
static int foreign_compare(const void *left, const void *right)
{
    uint64_t a = ((const struct foreign_range *)left)->start;
    uint64_t b = ((const struct foreign_range *)right)->start;
    return a < b ? -1 : a > b;
}

/* Adds what of MAPPING is not excluded, in whole words. */
static struct error *foreign_add(struct foreign *foreign, const struct target_mapping *mapping)
{
    uint64_t at = mapping->start;
    for (size_t i = 0; i <= foreign->excluded.count && at < mapping->end; i++) {
        bool last = i == foreign->excluded.count;
        uint64_t stop = last ? mapping->end : foreign->excluded.items[i].start;
        stop = stop > mapping->end ? mapping->end : stop;
        uint64_t start = (at + 7) & ~UINT64_C(7);
        uint64_t end = stop & ~UINT64_C(7);
        if (start < end) {
            TRY(vector_append(&foreign->found, ((struct copy_range){start, end - start})));
        }
        if (!last && foreign->excluded.items[i].end > at) {
            at = foreign->excluded.items[i].end;
        }
        at = last ? mapping->end : at;
    }
    return NULL;
}

/* True when MAPPING may hold C's data. */
static bool foreign_is_candidate(const struct target_mapping *mapping)
{
    uint32_t need = TARGET_PERMISSION_READ | TARGET_PERMISSION_WRITE;
    return (mapping->permissions & need) == need && strncmp(mapping->path, "[vvar", 5) != 0 &&
           strncmp(mapping->path, "[anon: Go:", 10) != 0;
}

/* Collects the exclusions and then what is left. */
static struct error *foreign_collect(struct foreign *foreign, uint64_t heap_low, uint64_t heap_high)
{
    TRY(foreign_exclude(foreign, heap_low, heap_high));
    TRY(foreign_exclude_modules(foreign));
    TRY(foreign_exclude_arenas(foreign));
    TRY(foreign_exclude_spans(foreign));
    TRY(foreign_exclude_stacks(foreign));
    if (foreign->excluded.count > 0) {
        qsort(foreign->excluded.items, foreign->excluded.count, sizeof *foreign->excluded.items,
              foreign_compare);
    }
    size_t count;
    const struct target_mapping *mappings = target_mappings(foreign->runtime->target, &count);
    for (size_t i = 0; i < count; i++) {
        if (foreign_is_candidate(&mappings[i])) {
            TRY(foreign_add(foreign, &mappings[i]));
        }
    }
    return NULL;
}

struct error *roots_foreign_ranges(struct goruntime *runtime, uint64_t heap_low, uint64_t heap_high,
                                   struct copy_range **ret, size_t *count_ret)
{
    struct foreign foreign = {.runtime = runtime};
    *ret = NULL;
    *count_ret = 0;
    if (!foreign_has_c(runtime->target)) {
        return NULL;
    }
    struct error *error = foreign_collect(&foreign, heap_low, heap_high);
    vector_deinit(&foreign.excluded);
    if (error != NULL) {
        vector_deinit(&foreign.found);
        return error;
    }
    *ret = foreign.found.items;
    *count_ret = foreign.found.count;
    return NULL;
}
