/* Roots of the threads themselves: their registers, and the system stacks (g0, gsignal) that
 * runtime code runs on. All conservative, but for what is known to be dead (roots_rest.h). A thread
 * in a signal handler keeps what it interrupted on its signal stack, registers included; what it
 * was doing on its system stack is then known to nobody, so the whole stack counts. */
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/hash_map.h"
#include "goruntime/heap_scan.h"
#include "goruntime/internal.h"
#include "goruntime/roots.h"
#include "goruntime/roots_rest.h"
#include <stdlib.h>

enum {
    ROOTS_THREADS_MAX = 1 << 20,
    ROOTS_SYSTEM_STACK_WHOLE = 64 << 10, /* a system stack up to this size is read whole */
    ROOTS_SYSTEM_STACK_MAX = 16 << 20,
    ROOTS_RED_ZONE = 128, /* bytes below its stack pointer that a C function may use */
    ROOTS_ORIG_RAX = 16,  /* in target_registers.general: negative outside of system calls */
    ROOTS_G_BYTES = 1024
};

struct roots_thread_walk {
    struct goruntime *runtime;
    heap_visitor *visitor;
    void *context;
    const struct target_thread *threads;
    size_t thread_count;
    struct hash_map by_tid; /* as the target sees it: index in threads */
    bool *resting;          /* per thread: nothing is in its registers */
    bool complete;
};

/* The fields of an m that lead to stacks. */
struct roots_thread_m {
    uint64_t g0, gsignal, curg, procid, link;
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
        walk->complete = walk->complete && start >= end;
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

/* The limits of the stack of the g at G, and where it was left; false when there is none. */
static bool roots_thread_limits(struct roots_thread_walk *walk, uint64_t g, uint64_t *low,
                                uint64_t *high, uint64_t *saved)
{
    const struct layout *layout = walk->runtime->layout;
    uint8_t bytes[ROOTS_G_BYTES];
    if (g == 0) {
        return false;
    }
    if ((size_t)layout->g.size > sizeof bytes) {
        walk->complete = false;
        return false;
    }
    if (!roots_thread_read(walk, g, bytes, (size_t)layout->g.size)) {
        return false;
    }
    *low = bytes_u64(bytes + layout->g.stack_lo);
    *high = bytes_u64(bytes + layout->g.stack_hi);
    *saved = bytes_u64(bytes + layout->g.sched_sp);
    return *low < *high;
}

/* Visits the signal stack whose g is at G: whole, or from SP when it is a large one that C made. */
static struct error *roots_thread_signal_stack(struct roots_thread_walk *walk, uint64_t g,
                                               uint64_t sp)
{
    uint64_t low;
    uint64_t high;
    uint64_t saved;
    if (!roots_thread_limits(walk, g, &low, &high, &saved)) {
        return NULL;
    }
    bool on = sp >= low && sp < high;
    if (high - low <= ROOTS_SYSTEM_STACK_WHOLE) {
        return roots_thread_words(walk, low, high);
    }
    return on ? roots_thread_words(walk, sp, high) : NULL;
}

/* Visits the system stack of M, whose thread's stack pointer is SP, 0 unknown: from DEAD when all
 * below is known to be dead (0: not known); from SP when the thread is on it; from where it was
 * left when the thread is on its goroutine's stack or none; else whole. */
static struct error *roots_thread_system_stack(struct roots_thread_walk *walk,
                                               const struct roots_thread_m *m, uint64_t sp,
                                               uint64_t dead)
{
    uint64_t low;
    uint64_t high;
    uint64_t saved;
    uint64_t own[3];
    if (!roots_thread_limits(walk, m->g0, &low, &high, &saved)) {
        return NULL;
    }
    if (dead >= low && dead <= high) {
        return roots_thread_words(walk, dead, high);
    }
    for (size_t i = 0; sp == 0 && i < walk->thread_count; i++) {
        uint64_t other = walk->threads[i].registers.sp; /* a thread not known to Go yet */
        sp = other >= low && other < high ? other : 0;
    }
    if (sp >= low && sp < high) {
        return roots_thread_words(walk, sp - low < ROOTS_RED_ZONE ? low : sp - ROOTS_RED_ZONE,
                                  high);
    }
    if (high - low <= ROOTS_SYSTEM_STACK_WHOLE) {
        return roots_thread_words(walk, low, high);
    }
    bool left = sp == 0 || (roots_thread_limits(walk, m->curg, &own[0], &own[1], &own[2]) &&
                            sp >= own[0] && sp < own[1]);
    return left && saved >= low && saved < high ? roots_thread_words(walk, saved, high)
           : left                               ? NULL
                                                : roots_thread_words(walk, low, high);
}

/* Reads the m at ADDRESS. */
static bool roots_thread_m(struct roots_thread_walk *walk, uint64_t address,
                           struct roots_thread_m *ret)
{
    const struct layout *layout = walk->runtime->layout;
    const struct {
        int32_t offset;
        uint64_t *field;
    } fields[] = {{layout->m.g0, &ret->g0},
                  {layout->m.gsignal, &ret->gsignal},
                  {layout->m.curg, &ret->curg},
                  {layout->m.procid, &ret->procid},
                  {layout->m.alllink, &ret->link}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        uint8_t word[8];
        if (!roots_thread_read(walk, address + (uint64_t)(uint32_t)fields[i].offset, word,
                               sizeof word)) {
            return false;
        }
        *fields[i].field = bytes_u64(word);
    }
    return true;
}

/* Visits the stacks of the m at ADDRESS, and notes whether its thread rests. */
static struct error *roots_thread_visit_m(struct roots_thread_walk *walk, uint64_t address,
                                          const struct roots_thread_m *m)
{
    const uint64_t *index = m->procid == 0 ? NULL : hash_map_get(&walk->by_tid, m->procid);
    const struct target_thread *thread = index == NULL ? NULL : &walk->threads[*index];
    uint64_t sp = thread == NULL ? 0 : thread->registers.sp;
    struct roots_rest rest;
    roots_rest_find(walk->runtime, address, thread, &rest);
    if (index != NULL) {
        walk->resting[*index] = rest.registers;
    }
    TRY(roots_thread_system_stack(walk, m, sp, rest.system_stack));
    return rest.signal_stack ? NULL : roots_thread_signal_stack(walk, m->gsignal, sp);
}

/* Visits the stacks of every m. */
static struct error *roots_thread_ms(struct roots_thread_walk *walk)
{
    uint8_t word[8];
    if (walk->runtime->globals.allm == 0) {
        walk->complete = false;
        return NULL;
    }
    if (!roots_thread_read(walk, walk->runtime->globals.allm, word, sizeof word)) {
        return NULL;
    }
    uint64_t at = bytes_u64(word);
    for (size_t i = 0; at != 0; i++) {
        struct roots_thread_m m;
        if (i == ROOTS_THREADS_MAX) {
            walk->complete = false;
            return NULL;
        }
        if (!roots_thread_m(walk, at, &m)) {
            return NULL;
        }
        TRY(roots_thread_visit_m(walk, at, &m));
        at = m.link;
    }
    return NULL;
}

/* True when vector registers of THREAD may hold what is nowhere else. Go on amd64 copies through
 * them; no calling convention keeps them across a call, hence not across a system call, from which
 * stale words would only be old. On arm64 neither is known, and nothing is lost by looking. */
static bool roots_thread_uses_vector(const struct roots_thread_walk *walk,
                                     const struct target_thread *thread)
{
    return target_machine(walk->runtime->target) != TARGET_MACHINE_AMD64 ||
           (int64_t)thread->registers.general[ROOTS_ORIG_RAX] < 0;
}

/* True when the registers of every thread are known. */
static bool roots_thread_knows_registers(const struct roots_thread_walk *walk)
{
    bool amd64 = target_machine(walk->runtime->target) == TARGET_MACHINE_AMD64;
    for (size_t i = 0; i < walk->thread_count; i++) {
        const struct target_thread *thread = &walk->threads[i];
        if (!thread->has_registers ||
            (amd64 && !thread->registers.has_vector && roots_thread_uses_vector(walk, thread))) {
            return false;
        }
    }
    return true;
}

/* Visits the registers of every thread that does not rest. */
static void roots_thread_registers(struct roots_thread_walk *walk)
{
    for (size_t i = 0; i < walk->thread_count; i++) {
        const struct target_registers *registers = &walk->threads[i].registers;
        if (walk->resting[i]) {
            continue;
        }
        for (size_t j = 0; j < sizeof registers->general / sizeof *registers->general; j++) {
            if (registers->general[j] != 0) {
                walk->visitor(walk->context, 0, registers->general[j]);
            }
        }
        bool vector = roots_thread_uses_vector(walk, &walk->threads[i]);
        for (size_t j = 0; vector && j < registers->vector_count; j++) {
            walk->visitor(walk->context, 0, registers->vector[j]);
        }
    }
}

/* Visits the stacks, and then the registers of the threads that do not rest. Without the registers
 * nobody can prove anything; then nothing is visited, so that a look without a stop is not kept
 * from seeing that a stop is worth while by old words, of which it cannot tell that they are. */
static struct error *roots_thread_all(struct roots_thread_walk *walk)
{
    if (!roots_thread_knows_registers(walk)) {
        walk->complete = false;
        return NULL;
    }
    for (size_t i = 0; i < walk->thread_count; i++) {
        const struct target_thread *thread = &walk->threads[i];
        pid_t tid = thread->inner_tid != 0 ? thread->inner_tid : thread->tid;
        TRY(hash_map_put(&walk->by_tid, (uint64_t)tid, i));
    }
    TRY(roots_thread_ms(walk));
    roots_thread_registers(walk);
    return NULL;
}

struct error *roots_threads(struct goruntime *runtime, heap_visitor *visitor, void *context,
                            bool *complete_ret)
{
    CLEANUP_FREE struct target_thread *threads = NULL;
    struct roots_thread_walk walk = {
        .runtime = runtime, .visitor = visitor, .context = context, .complete = true};
    TRY(target_threads(runtime->target, &threads, &walk.thread_count));
    CLEANUP_FREE bool *resting = calloc(walk.thread_count + 1, sizeof *resting);
    if (resting == NULL) {
        return error_no_memory();
    }
    walk.threads = threads;
    walk.resting = resting;
    struct error *error = roots_thread_all(&walk);
    hash_map_deinit(&walk.by_tid);
    *complete_ret = walk.complete;
    return error;
}
