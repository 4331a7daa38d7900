/* Memory that C code may use, by exclusion.
 *
 * C code may legally hold pointers to pinned Go objects (cgo's rules), so in programs with C code
 * every writable word that is not known to be something else counts. Known: Go's heap and module
 * sections; mappings that the runtime named "Go: ..." (1.25 on; differently named mappings are
 * never merged); buffers of the collector; the part of a system stack below the stack pointer, or
 * the frames of the runtime on it while its thread rests, which are dead but full of old words. */
#include "goruntime/roots_foreign.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/vector.h"
#include "goruntime/collector_buffers.h"
#include "goruntime/heap_internal.h"
#include "goruntime/internal.h"
#include "goruntime/roots_rest.h"
#include "image/function.h"
#include <stdlib.h>
#include <string.h>

enum {
    FOREIGN_THREADS_MAX = 1 << 20,
    FOREIGN_RED_ZONE = 128,
    FOREIGN_ARENA_TABLE = 8 << 22,
    FOREIGN_ARENAS_MAX = 1 << 22
};

/* A range that is not C's. */
struct foreign_range {
    uint64_t start, end;
};

struct foreign {
    struct goruntime *runtime;
    bool stopped; /* the registers of every thread are known */
    VECTOR(struct foreign_range) excluded;
    VECTOR(struct copy_range) found;
};

/* True when C code shares the process: a C library or a brk heap is mapped, or Go code that C calls
 * is linked in (a core does not name the brk heap). */
static bool foreign_has_c(struct goruntime *runtime)
{
    size_t count;
    struct function function;
    const struct target_mapping *mappings = target_mappings(runtime->target, &count);
    struct error *error = function_find_name(runtime->image, "crosscall2", &function);
    if (error == NULL) {
        return true;
    }
    error_destroy(error);
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

/* The stack of the g at G; false when it cannot be read. */
static bool foreign_stack(struct foreign *foreign, uint64_t g, uint64_t *low, uint64_t *high)
{
    const struct layout *layout = foreign->runtime->layout;
    return g != 0 && foreign_word(foreign, g + (uint64_t)(uint32_t)layout->g.stack_lo, low) &&
           foreign_word(foreign, g + (uint64_t)(uint32_t)layout->g.stack_hi, high) && *low < *high;
}

/* Finds how far down the system stack [LOW, HIGH) of the m at M is in use; false when nobody knows,
 * as while its thread handles a signal. */
static bool foreign_stack_pointer(struct foreign *foreign, uint64_t m, uint64_t low, uint64_t high,
                                  const struct target_thread *threads, size_t count, uint64_t *ret)
{
    const struct layout *layout = foreign->runtime->layout;
    uint64_t tid = 0;
    uint64_t g0 = 0;
    uint64_t curg = 0;
    uint64_t own[2];
    const struct target_thread *thread = NULL;
    if (!foreign_word(foreign, m + (uint64_t)(uint32_t)layout->m.procid, &tid) ||
        !foreign_word(foreign, m + (uint64_t)(uint32_t)layout->m.g0, &g0) ||
        !foreign_word(foreign, m + (uint64_t)(uint32_t)layout->m.curg, &curg) ||
        !foreign_word(foreign, g0 + (uint64_t)(uint32_t)layout->g.sched_sp, ret)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t sp = threads[i].registers.sp;
        pid_t inner = threads[i].inner_tid != 0 ? threads[i].inner_tid : threads[i].tid;
        if (sp >= low && sp < high) {
            *ret = sp;
            return true;
        }
        thread = tid != 0 && (uint64_t)inner == tid ? &threads[i] : thread;
    }
    return thread == NULL || (foreign_stack(foreign, curg, &own[0], &own[1]) &&
                              thread->registers.sp >= own[0] && thread->registers.sp < own[1]);
}

/* Finds below which address the system stack of the m at M is known to be dead; 0: not known. */
static uint64_t foreign_stack_dead(struct foreign *foreign, uint64_t m,
                                   const struct target_thread *threads, size_t count)
{
    struct roots_rest rest = {0};
    uint64_t tid = 0;
    if (!foreign_word(foreign, m + (uint64_t)(uint32_t)foreign->runtime->layout->m.procid, &tid)) {
        return 0;
    }
    for (size_t i = 0; tid != 0 && i < count; i++) {
        pid_t inner = threads[i].inner_tid != 0 ? threads[i].inner_tid : threads[i].tid;
        if ((uint64_t)inner == tid) {
            roots_rest_find(foreign->runtime, m, &threads[i], &rest);
        }
    }
    return rest.system_stack;
}

/* Leaves out the unused part of the system stack of the m at M. */
static struct error *foreign_exclude_stack(struct foreign *foreign, uint64_t m,
                                           const struct target_thread *threads, size_t count)
{
    uint64_t g0;
    uint64_t low;
    uint64_t high;
    uint64_t live;
    if (!foreign_word(foreign, m + (uint64_t)(uint32_t)foreign->runtime->layout->m.g0, &g0) ||
        !foreign_stack(foreign, g0, &low, &high)) {
        return NULL;
    }
    if (!foreign->stopped) {
        return foreign_exclude(foreign, low, high);
    }
    uint64_t dead = foreign_stack_dead(foreign, m, threads, count);
    if (dead > low && dead <= high) {
        return foreign_exclude(foreign, low, dead);
    }
    if (!foreign_stack_pointer(foreign, m, low, high, threads, count, &live) || live < low ||
        live >= high || live - low <= FOREIGN_RED_ZONE) {
        return NULL;
    }
    return foreign_exclude(foreign, low, live - FOREIGN_RED_ZONE);
}

/* Leaves out the unused parts of all system stacks; all of them when the registers of a thread are
 * not known: roots_threads sees to it that nothing is proved then. */
static struct error *foreign_exclude_stacks(struct foreign *foreign)
{
    const struct layout *layout = foreign->runtime->layout;
    CLEANUP_FREE struct target_thread *threads = NULL;
    size_t count = 0;
    uint64_t m = 0;
    TRY(target_threads(foreign->runtime->target, &threads, &count));
    foreign->stopped = true;
    for (size_t i = 0; i < count; i++) {
        foreign->stopped = foreign->stopped && threads[i].has_registers;
    }
    if (foreign->runtime->globals.allm == 0 ||
        !foreign_word(foreign, foreign->runtime->globals.allm, &m)) {
        return NULL;
    }
    for (size_t i = 0; m != 0 && i < FOREIGN_THREADS_MAX; i++) {
        TRY(foreign_exclude_stack(foreign, m, threads, count));
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

/* Leaves out the arenas whose numbers the slice of words at ADDRESS holds. */
static struct error *foreign_exclude_heap_list(struct foreign *foreign, uint64_t address)
{
    uint64_t base = heap_arena_index(foreign->runtime->layout, 0);
    uint64_t array;
    uint64_t count;
    if (!foreign_word(foreign, address, &array) || !foreign_word(foreign, address + 8, &count)) {
        return NULL;
    }
    count = count > FOREIGN_ARENAS_MAX ? 0 : count;
    CLEANUP_FREE uint64_t *numbers = malloc(count * sizeof *numbers + 1);
    if (numbers == NULL) {
        return error_no_memory();
    }
    struct error *error =
        target_read(foreign->runtime->target, array, numbers, count * sizeof *numbers);
    if (error != NULL) {
        error_destroy(error); /* then more counts as C's than is */
        return NULL;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t start = (numbers[i] - base) << HEAP_ARENA_SHIFT;
        TRY(foreign_exclude(foreign, start, start + (UINT64_C(1) << HEAP_ARENA_SHIFT)));
    }
    return NULL;
}

/* Leaves out Go's heap, arena by arena: C's memory may lie between two. */
static struct error *foreign_exclude_heap(struct foreign *foreign)
{
    const struct layout *layout = foreign->runtime->layout;
    uint64_t mheap = foreign->runtime->globals.mheap;
    const int32_t lists[] = {layout->mheap.all_arenas, layout->mheap.user_arena_arenas};
    for (size_t i = 0; mheap != 0 && i < 2; i++) {
        if (lists[i] != LAYOUT_ABSENT) {
            TRY(foreign_exclude_heap_list(foreign, mheap + (uint64_t)(uint32_t)lists[i]));
        }
    }
    return NULL;
}

/* Leaves out the span records: a span's start address is also that of its first object. */
static struct error *foreign_exclude_spans(struct foreign *foreign)
{
    uint64_t size = (uint64_t)(uint32_t)foreign->runtime->layout->mspan.size;
    CLEANUP_FREE uint8_t *owned = NULL;
    const uint8_t *list = NULL;
    size_t count = 0;
    if (foreign->runtime->globals.mheap == 0) {
        return NULL;
    }
    TRY(heap_span_pointers(foreign->runtime, &owned, &list, &count));
    for (size_t i = 0; i < count;) { /* most were made one behind the other */
        uint64_t start = bytes_u64(list + i * 8);
        uint64_t end = start + size;
        for (i++; i < count && bytes_u64(list + i * 8) == end; i++) {
            end += size;
        }
        TRY(foreign_exclude(foreign, start, start == 0 ? 0 : end));
    }
    return NULL;
}

/* Leaves out buffers of the collector, which are full of addresses that nobody uses any more. */
static struct error *foreign_exclude_collector(struct foreign *foreign)
{
    CLEANUP_FREE struct copy_range *buffers = NULL;
    size_t count = 0;
    TRY(collector_buffers_find(foreign->runtime, &buffers, &count));
    for (size_t i = 0; i < count; i++) {
        TRY(foreign_exclude(foreign, buffers[i].address, buffers[i].address + buffers[i].size));
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
static struct error *foreign_collect(struct foreign *foreign)
{
    TRY(foreign_exclude_heap(foreign));
    TRY(foreign_exclude_modules(foreign));
    TRY(foreign_exclude_arenas(foreign));
    TRY(foreign_exclude_spans(foreign));
    TRY(foreign_exclude_collector(foreign));
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

struct error *roots_foreign_ranges(struct goruntime *runtime, struct copy_range **ret,
                                   size_t *count_ret)
{
    struct foreign foreign = {.runtime = runtime};
    *ret = NULL;
    *count_ret = 0;
    if (!foreign_has_c(runtime)) {
        return NULL;
    }
    struct error *error = foreign_collect(&foreign);
    vector_deinit(&foreign.excluded);
    if (error != NULL) {
        vector_deinit(&foreign.found);
        return error;
    }
    *ret = foreign.found.items;
    *count_ret = foreign.found.count;
    return NULL;
}
