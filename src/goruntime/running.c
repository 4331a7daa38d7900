/* Threads by runtime.allm (runtime/runtime2.go). A thread in a signal handler stands on its gsignal
 * stack, to whose top the kernel wrote a ucontext: which stack this is, and the interrupted
 * registers (include/uapi/asm-generic/ucontext.h, arch/x86/include/asm/sigframe.h,
 * arch/arm64/kernel/signal.c). */
#include "goruntime/running.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "goruntime/internal.h"
#include <stdlib.h>

enum {
    RUNNING_THREADS_MAX = 1 << 20,
    RUNNING_M_SIZE_MAX = 1 << 14,
    RUNNING_SIGNAL_STACK_MAX = 1 << 20,
    RUNNING_CONTEXT_SIZE = 448, /* of a ucontext, up to its registers' end */
    RUNNING_STACK_LOW = 16,     /* uc_stack: ss_sp, ss_flags, ss_size */
    RUNNING_STACK_SIZE = 32,
    RUNNING_AMD64_SP = 160, /* uc_mcontext 40, then rsp as the 16th register */
    RUNNING_AMD64_PC = 168,
    RUNNING_ARM64_LR = 424, /* uc_mcontext 176, fault address, then x30 */
    RUNNING_ARM64_SP = 432,
    RUNNING_ARM64_PC = 440,
    RUNNING_ARM64_X30 = 30
};

/* A place in the code. */
struct running_place {
    uint64_t pc, sp, lr;
};

/* Frees the tables. */
void running_deinit(struct running *running)
{
    vector_deinit(&running->threads);
    hash_map_deinit(&running->by_m);
}

/* Reads SIZE bytes; *FOUND is false when they are not readable. */
static struct error *running_read(struct target *target, uint64_t address, void *destination,
                                  size_t size, bool *found)
{
    struct target_range range = {.address = address, .size = size, .destination = destination};
    TRY(target_read_ranges(target, &range, 1));
    *found = range.done == size;
    return NULL;
}

/* The stack of the g at G. */
static struct error *running_read_stack(struct goruntime *runtime, uint64_t g,
                                        struct running_stack *ret)
{
    uint64_t words[2];
    bool found = false;
    *ret = (struct running_stack){0};
    if (g != 0) {
        TRY(running_read(runtime->target, g + (uint64_t)runtime->layout->g.stack_lo, words,
                         sizeof words, &found));
    }
    if (found && words[0] < words[1]) {
        *ret = (struct running_stack){.low = words[0], .high = words[1]};
    }
    return NULL;
}

/* The word at OFFSET, 0 when the release has no such field. */
static uint64_t running_word(const uint8_t *bytes, int32_t offset)
{
    return offset == LAYOUT_ABSENT ? 0 : bytes_u64(bytes + offset);
}

/* Decodes the m whose BYTES are at ADDRESS. */
static struct error *running_decode(struct goruntime *runtime, const uint8_t *bytes,
                                    uint64_t address, bool frozen, struct running_thread *ret)
{
    const struct layout *layout = runtime->layout;
    *ret = (struct running_thread){.m = address,
                                   .curg = running_word(bytes, layout->m.curg),
                                   .vdso_pc = running_word(bytes, layout->m.vdso_pc),
                                   .vdso_sp = running_word(bytes, layout->m.vdso_sp),
                                   .tid = (int32_t)running_word(bytes, layout->m.procid)};
    if (frozen) {
        TRY(running_read_stack(runtime, running_word(bytes, layout->m.g0), &ret->g0));
        TRY(running_read_stack(runtime, running_word(bytes, layout->m.gsignal), &ret->gsignal));
    }
    return NULL;
}

/* Walks the list of m's. */
static struct error *running_walk(struct running *running, struct goruntime *runtime, bool frozen)
{
    const struct layout *layout = runtime->layout;
    uint8_t bytes[RUNNING_M_SIZE_MAX];
    size_t size = (size_t)layout->m.size;
    uint64_t m = 0;
    bool found = runtime->globals.allm != 0 && size <= sizeof bytes;
    if (found) {
        TRY(running_read(runtime->target, runtime->globals.allm, &m, sizeof m, &found));
    }
    while (found && m != 0 && running->threads.count < RUNNING_THREADS_MAX &&
           hash_map_get(&running->by_m, m) == NULL) {
        struct running_thread thread;
        TRY(running_read(runtime->target, m, bytes, size, &found));
        if (!found) {
            break;
        }
        TRY(running_decode(runtime, bytes, m, frozen, &thread));
        TRY(hash_map_put(&running->by_m, m, running->threads.count));
        TRY(vector_append(&running->threads, thread));
        m = running_word(bytes, layout->m.alllink);
    }
    return NULL;
}

/* Replaces the target's own thread ids by ours and adds registers. */
static struct error *running_match(struct running *running, struct goruntime *runtime)
{
    struct target_thread *threads CLEANUP_FREE = NULL;
    struct hash_map by_tid CLEANUP(hash_map_deinit) = {0};
    size_t count;
    TRY(target_threads(runtime->target, &threads, &count));
    running->thread_count = count;
    for (size_t i = 0; i < count; i++) {
        pid_t inner = threads[i].inner_tid != 0 ? threads[i].inner_tid : threads[i].tid;
        TRY(hash_map_put(&by_tid, (uint64_t)inner, i));
    }
    for (size_t i = 0; i < running->threads.count; i++) {
        struct running_thread *thread = &running->threads.items[i];
        const uint64_t *at = hash_map_get(&by_tid, (uint64_t)thread->tid);
        if (at == NULL) {
            thread->tid = 0;
            continue;
        }
        thread->tid = threads[*at].tid;
        thread->registers = threads[*at].registers;
        thread->has_registers = threads[*at].has_registers;
    }
    return NULL;
}

/* Reads the list. */
struct error *running_init(struct running *running, struct goruntime *runtime, bool frozen)
{
    *running = (struct running){0};
    TRY(running_walk(running, runtime, frozen));
    return running_match(running, runtime);
}

/* The thread whose m is at M, or NULL. */
static const struct running_thread *running_find(const struct running *running, uint64_t m)
{
    const uint64_t *index = m == 0 ? NULL : hash_map_get(&running->by_m, m);
    return index == NULL ? NULL : &running->threads.items[*index];
}

/* The thread's id. */
int32_t running_tid(const struct running *running, uint64_t m)
{
    const struct running_thread *thread = running_find(running, m);
    return thread == NULL ? 0 : thread->tid;
}

/* True when ADDRESS is in STACK. */
static bool running_is_on(const struct running_stack *stack, uint64_t address)
{
    return address >= stack->low && address < stack->high;
}

/* Decodes the registers in the ucontext at BYTES. */
static struct running_place running_decode_context(const struct unwind_rules *rules,
                                                   const uint8_t *bytes)
{
    if (!rules->link_register) {
        return (struct running_place){.pc = bytes_u64(bytes + RUNNING_AMD64_PC),
                                      .sp = bytes_u64(bytes + RUNNING_AMD64_SP)};
    }
    return (struct running_place){.pc = bytes_u64(bytes + RUNNING_ARM64_PC),
                                  .sp = bytes_u64(bytes + RUNNING_ARM64_SP),
                                  .lr = bytes_u64(bytes + RUNNING_ARM64_LR)};
}

/* Moves PLACE, in a signal handler on STACK, to where the signal arrived that came first: its
 * ucontext is the highest on the stack, whatever the handler is written in and whatever interrupted
 * it. What an earlier signal left there has been overwritten by this one. */
static struct error *running_leave_handler(const struct unwind_rules *rules, struct target *target,
                                           const struct running_stack *stack,
                                           struct running_place *place, bool *found)
{
    size_t size = (size_t)(stack->high - place->sp);
    *found = false;
    if (size > RUNNING_SIGNAL_STACK_MAX || size < RUNNING_CONTEXT_SIZE) {
        return NULL;
    }
    uint8_t *bytes CLEANUP_FREE = malloc(size);
    bool readable;
    if (bytes == NULL) {
        return error_no_memory();
    }
    TRY(running_read(target, place->sp, bytes, size, &readable));
    for (size_t at = (size - RUNNING_CONTEXT_SIZE) & ~(size_t)7; readable && !*found; at -= 8) {
        const uint8_t *context = bytes + at;
        if (bytes_u64(context + RUNNING_STACK_LOW) == stack->low &&
            bytes_u64(context + RUNNING_STACK_SIZE) == stack->high - stack->low) {
            *place = running_decode_context(rules, context);
            *found = !running_is_on(stack, place->sp);
        }
        if (at == 0) {
            break;
        }
    }
    return NULL;
}

/* Starts RECORD at PLACE. */
static void running_start(struct goroutine_record *record, const struct running_place *place,
                          enum unwind_origin origin)
{
    record->pc = place->pc;
    record->sp = place->sp;
    record->lr = place->lr;
    record->origin = (uint8_t)origin;
}

/* Finds where the goroutine's own stack starts. */
struct error *running_place(const struct running *running, const struct unwind_rules *rules,
                            struct target *target, struct goroutine_record *record, bool *found)
{
    const struct running_thread *thread = running_find(running, record->m);
    struct running_stack own = {.low = record->stack_lo, .high = record->stack_hi};
    *found = false;
    if (thread == NULL || !thread->has_registers || thread->curg != record->g) {
        return NULL;
    }
    struct running_place place = {.pc = thread->registers.pc, .sp = thread->registers.sp};
    if (rules->link_register) {
        place.lr = thread->registers.general[RUNNING_ARM64_X30];
    }
    if (running_is_on(&thread->gsignal, place.sp)) {
        TRY(running_leave_handler(rules, target, &thread->gsignal, &place, found));
        if (!*found) {
            return NULL;
        }
    }
    *found = true;
    if (running_is_on(&own, thread->vdso_sp)) {
        /* As the runtime does; the functions that call the vDSO write to sp. */
        place = (struct running_place){.pc = thread->vdso_pc, .sp = thread->vdso_sp};
        running_start(record, &place, UNWIND_PARKED);
    } else if (running_is_on(&own, place.sp)) {
        running_start(record, &place, UNWIND_TRAP);
    } else if (record->origin != UNWIND_SYSCALL) {
        place = (struct running_place){
            .pc = record->sched_pc, .sp = record->sched_sp, .lr = record->sched_lr};
        running_start(record, &place, UNWIND_PARKED);
        *found = running_is_on(&own, place.sp);
    }
    return NULL;
}
