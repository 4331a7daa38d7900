/* Roots of the threads themselves: their registers, and the system stacks (g0, gsignal) that
 * runtime code runs on. All conservative: runtime code keeps no stack maps there. */
#include "base/bytes.h"
#include "base/cleanup.h"
#include "goruntime/heap_scan.h"
#include "goruntime/internal.h"
#include "goruntime/roots.h"
#include <stdlib.h>

enum {
    ROOTS_THREADS_MAX = 1 << 20,
    ROOTS_SYSTEM_STACK_WHOLE = 64 << 10, /* a system stack up to this size is read whole */
    ROOTS_SYSTEM_STACK_MAX = 16 << 20,
    ROOTS_G_BYTES = 1024
};

struct roots_thread_walk {
    struct goruntime *runtime;
    heap_visitor *visitor;
    void *context;
    const struct target_thread *threads;
    size_t thread_count;
    bool complete;
};

/* Reads SIZE bytes; a failure makes the walk incomplete. */
static bool roots_thread_read(struct roots_thread_walk *walk, uint64_t address, void *destination,
                              size_t size)
{
    struct error *error = target_read(walk->runtime->target, address, destination, size);
    if (error != NULL) {
        error_destroy(error);
        walk->complete = false;
        return false;
    }
    return true;
}

/* Visits the words of [start, end). */
static struct error *roots_thread_words(struct roots_thread_walk *walk, uint64_t start,
                                        uint64_t end)
{
    start &= ~UINT64_C(7);
    if (start >= end || end - start > ROOTS_SYSTEM_STACK_MAX) {
        return NULL;
    }
    CLEANUP_FREE uint8_t *bytes = malloc(end - start);
    if (bytes == NULL) {
        return error_no_memory();
    }
    if (roots_thread_read(walk, start, bytes, end - start)) {
        struct heap_scan_bytes words = {bytes, start, end - start};
        heap_scan_all(&words, walk->visitor, walk->context);
    }
    return NULL;
}

/* Visits the system stack whose g is at G: from the stack pointer of the thread that is on it, else
 * from where it was left. */
static struct error *roots_thread_stack(struct roots_thread_walk *walk, uint64_t g)
{
    const struct layout *layout = walk->runtime->layout;
    uint8_t bytes[ROOTS_G_BYTES];
    if (g == 0 || (size_t)layout->g.size > sizeof bytes ||
        !roots_thread_read(walk, g, bytes, (size_t)layout->g.size)) {
        return NULL;
    }
    uint64_t low = bytes_u64(bytes + layout->g.stack_lo);
    uint64_t high = bytes_u64(bytes + layout->g.stack_hi);
    uint64_t saved = bytes_u64(bytes + layout->g.sched_sp);
    for (size_t i = 0; i < walk->thread_count; i++) {
        const struct target_registers *registers = &walk->threads[i].registers;
        if (walk->threads[i].has_registers && registers->sp >= low && registers->sp < high) {
            return roots_thread_words(walk, registers->sp, high);
        }
    }
    if (low < high && high - low <= ROOTS_SYSTEM_STACK_WHOLE) {
        return roots_thread_words(walk, low, high);
    }
    return saved >= low && saved < high ? roots_thread_words(walk, saved, high) : NULL;
}

/* Visits the stacks of every m. */
static struct error *roots_thread_ms(struct roots_thread_walk *walk)
{
    const struct layout *layout = walk->runtime->layout;
    uint8_t word[8];
    if (walk->runtime->globals.allm == 0) {
        walk->complete = false;
        return NULL;
    }
    if (!roots_thread_read(walk, walk->runtime->globals.allm, word, sizeof word)) {
        return NULL;
    }
    uint64_t m = bytes_u64(word);
    for (size_t i = 0; m != 0; i++) {
        uint64_t parts[2] = {0, 0};
        if (i == ROOTS_THREADS_MAX) {
            walk->complete = false;
            return NULL;
        }
        if (!roots_thread_read(walk, m + (uint64_t)(uint32_t)layout->m.g0, &parts[0], 8) ||
            !roots_thread_read(walk, m + (uint64_t)(uint32_t)layout->m.gsignal, &parts[1], 8) ||
            !roots_thread_read(walk, m + (uint64_t)(uint32_t)layout->m.alllink, word, 8)) {
            return NULL;
        }
        TRY(roots_thread_stack(walk, parts[0]));
        TRY(roots_thread_stack(walk, parts[1]));
        m = bytes_u64(word);
    }
    return NULL;
}

struct error *roots_threads(struct goruntime *runtime, heap_visitor *visitor, void *context,
                            bool *complete_ret)
{
    CLEANUP_FREE struct target_thread *threads = NULL;
    struct roots_thread_walk walk = {
        .runtime = runtime, .visitor = visitor, .context = context, .complete = true};
    TRY(target_threads(runtime->target, &threads, &walk.thread_count));
    walk.threads = threads;
    for (size_t i = 0; i < walk.thread_count; i++) {
        if (!threads[i].has_registers) {
            walk.complete = false;
            continue;
        }
        size_t count = sizeof threads[i].registers.general / sizeof(uint64_t);
        for (size_t j = 0; j < count; j++) {
            if (threads[i].registers.general[j] != 0) {
                visitor(context, 0, threads[i].registers.general[j]);
            }
        }
    }
    TRY(roots_thread_ms(&walk));
    *complete_ret = walk.complete;
    return NULL;
}
