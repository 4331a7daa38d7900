/* Threads that hold nothing (runtime/proc.go, lock_futex.go, netpoll_epoll.go of Go 1.18 to 1.27).
 *
 * Go's collector stops Ps, not threads: it marks from start to end while threads without a P sleep,
 * and looks neither at their registers nor at their system stacks; nor at the registers of a thread
 * whose goroutine is in a system call. What only they held would be freed under them, so they hold
 * nothing: an old channel there is a leftover. It is the runtime that keeps to this, C code need
 * not. Hence the conditions, and whatever differs from them keeps all it has:
 *
 * - The innermost frames on the system stack are exactly those of a thread that sleeps in the
 *   kernel until it is given work, it has no P and runs no goroutine: registers and the runtime's
 *   frames are dead. What lies above them may be C's. A thread that waits for a lock, or has a list
 *   of goroutines in hand, stands elsewhere.
 * - Go code runs on the goroutine's own stack: of the system stack only what lies above the point
 *   where it was left is in use. In the system call of a goroutine that has told the scheduler,
 *   made by a function that calls nothing, registers are dead.
 * - Go code runs on one of these two: no signal handler does, so the signal stack is dead. */
#include "goruntime/roots_rest.h"
#include "base/bytes.h"
#include "goruntime/internal.h"
#include "goruntime/unwind.h"
#include <string.h>

enum {
    REST_FRAMES_MAX = 16,
    REST_WINDOW = 8192, /* bytes of a system stack that are looked at; netpoll has 2 KiB of events
                         * in its frame */
    REST_ORIG_RAX = 16, /* in target_registers.general: negative outside of system calls */
    REST_STEPS = 5,
    REST_NAMES = 5,
    REST_STATUS_SYSCALL = 3,
    REST_STATUS_SCAN = 0x1000,
    REST_G_BYTES = 1024
};

/* One frame of a path, by its possible linker names. */
struct rest_step {
    bool optional; /* inlined in some releases */
    const char *names[REST_NAMES];
};

/* Functions that make a system call, call nothing and keep nothing in registers meanwhile. */
static const char *const rest_calls[] = {"runtime.futex",
                                         "syscall.Syscall",
                                         "syscall.Syscall6",
                                         "runtime/internal/syscall.Syscall6",
                                         "internal/runtime/syscall.Syscall6",
                                         "internal/runtime/syscall/linux.Syscall6"};

/* Frames of threads that sleep until there is work, innermost first. */
static const struct rest_step rest_paths[][REST_STEPS] = {
    {{false, {"runtime.futex"}},
     {true, {"runtime.futexsleep"}},
     {false, {"runtime.notesleep"}},
     {true, {"runtime.mPark"}},
     {false,
      {"runtime.stopm", "runtime.stoplockedm", "runtime.gcstopm", "runtime.templateThread"}}},
    {{false,
      {"runtime.epollwait", "runtime/internal/syscall.Syscall6",
       "internal/runtime/syscall.Syscall6", "internal/runtime/syscall/linux.Syscall6"}},
     {true,
      {"runtime/internal/syscall.EpollWait", "internal/runtime/syscall.EpollWait",
       "internal/runtime/syscall/linux.EpollWait"}},
     {false, {"runtime.netpoll"}},
     {false, {"runtime.findRunnable", "runtime.findrunnable"}}},
    {{false, {"runtime.futex"}},
     {true, {"runtime.futexsleep"}},
     {true, {"runtime.notetsleep_internal"}},
     {false, {"runtime.notetsleep"}},
     {false, {"runtime.sysmon"}}},
    {{false, {"runtime.usleep"}}, {false, {"runtime.sysmon"}}}};

/* The fields of one g. */
struct rest_g {
    uint64_t low, high, sched_sp, syscall_sp;
    uint32_t status;
};

/* One m and its thread. */
struct rest_m {
    struct goruntime *runtime;
    const struct target_registers *registers;
    struct rest_g g0, curg;
    bool has_curg, has_p, in_c;
};

/* The part of a system stack that is being unwound. */
struct rest_walk {
    struct unwind_rules rules;
    uint64_t start, size; /* of what is in bytes */
    uint64_t pc, sp;
    uint8_t bytes[REST_WINDOW];
};

/* Reads SIZE bytes; false when that fails. */
static bool rest_read(struct goruntime *runtime, uint64_t address, void *destination, size_t size)
{
    struct error *error = target_read(runtime->target, address, destination, size);
    bool done = error == NULL;
    error_destroy(error);
    return done;
}

/* Reads the g at ADDRESS. */
static bool rest_read_g(struct goruntime *runtime, uint64_t address, struct rest_g *ret)
{
    const struct layout *layout = runtime->layout;
    uint8_t bytes[REST_G_BYTES];
    if ((size_t)layout->g.size > sizeof bytes ||
        !rest_read(runtime, address, bytes, (size_t)layout->g.size)) {
        return false;
    }
    *ret = (struct rest_g){.low = bytes_u64(bytes + layout->g.stack_lo),
                           .high = bytes_u64(bytes + layout->g.stack_hi),
                           .sched_sp = bytes_u64(bytes + layout->g.sched_sp),
                           .syscall_sp = bytes_u64(bytes + layout->g.syscallsp),
                           .status = bytes_u32(bytes + layout->g.atomicstatus)};
    return ret->low < ret->high;
}

/* Reads the m at ADDRESS. */
static bool rest_read_m(struct rest_m *m, uint64_t address)
{
    struct goruntime *runtime = m->runtime;
    const struct layout *layout = runtime->layout;
    uint64_t words[3];
    uint8_t in_c;
    const int32_t offsets[] = {layout->m.g0, layout->m.curg, layout->m.p};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        if (offsets[i] == LAYOUT_ABSENT ||
            !rest_read(runtime, address + (uint64_t)(uint32_t)offsets[i], &words[i],
                       sizeof words[i])) {
            return false;
        }
    }
    if (layout->m.incgo == LAYOUT_ABSENT ||
        !rest_read(runtime, address + (uint64_t)(uint32_t)layout->m.incgo, &in_c, sizeof in_c)) {
        return false;
    }
    m->has_curg = words[1] != 0;
    m->has_p = words[2] != 0;
    m->in_c = in_c != 0;
    return rest_read_g(runtime, words[0], &m->g0) &&
           (!m->has_curg || rest_read_g(runtime, words[1], &m->curg));
}

/* True when ADDRESS is on the stack of G. */
static bool rest_is_on(const struct rest_g *g, uint64_t address)
{
    return address >= g->low && address < g->high;
}

/* True when the thread is in a system call. */
static bool rest_is_in_call(const struct rest_m *m)
{
    return (int64_t)m->registers->general[REST_ORIG_RAX] >= 0;
}

/* True when NAME is that of STEP. */
static bool rest_is_step(const struct rest_step *step, const char *name)
{
    for (size_t i = 0; i < REST_NAMES && step->names[i] != NULL; i++) {
        if (strcmp(step->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* True when the innermost of the COUNT frames with NAMES are those of PATH. */
static bool rest_is_path(const struct rest_step *path, const char *const *names, size_t count)
{
    size_t at = 0;
    for (size_t i = 0; i < REST_STEPS && path[i].names[0] != NULL; i++) {
        if (at < count && rest_is_step(&path[i], names[at])) {
            at++;
        } else if (!path[i].optional) {
            return false;
        }
    }
    return true;
}

/* Moves WALK to the caller; false where there is none on this stack, or it is not known. */
static bool rest_step_out(struct rest_walk *walk, const struct unwind_step *step)
{
    uint64_t end = walk->sp + step->size;
    if (step->end != UNWIND_NEXT || step->caller != UNWIND_CALL || step->size < 8 ||
        end < walk->sp || end - walk->start > walk->size) {
        return false;
    }
    walk->pc = bytes_u64(walk->bytes + (end - 8 - walk->start));
    walk->sp = end;
    return true;
}

/* Where the runtime's frames end on the system stack of a thread that rests; 0 when it does not. */
static uint64_t rest_frames_end(const struct rest_m *m)
{
    struct rest_walk walk = {.pc = m->registers->pc, .sp = m->registers->sp};
    const char *names[REST_FRAMES_MAX];
    size_t count = 0;
    unwind_rules_init(&walk.rules, m->runtime->image, TARGET_MACHINE_AMD64);
    walk.start = walk.sp;
    walk.size = m->g0.high - walk.sp < REST_WINDOW ? m->g0.high - walk.sp : REST_WINDOW;
    if (!rest_read(m->runtime, walk.start, walk.bytes, (size_t)walk.size)) {
        return 0;
    }
    bool more = true;
    while (more && count < REST_FRAMES_MAX) {
        struct unwind_step step;
        struct error *error =
            unwind_resolve(&walk.rules, walk.pc, count == 0 ? UNWIND_TRAP : UNWIND_CALL, &step);
        if (error != NULL || step.end == UNWIND_FOREIGN) {
            error_destroy(error);
            break;
        }
        names[count++] = step.function.name;
        more = rest_step_out(&walk, &step);
    }
    for (size_t i = 0; i < sizeof rest_paths / sizeof *rest_paths; i++) {
        if (rest_is_path(rest_paths[i], names, count)) {
            return walk.sp;
        }
    }
    return 0;
}

/* True when a goroutine that has told the scheduler is in a system call. */
static bool rest_is_goroutine_call(const struct rest_m *m, const char *name)
{
    if (!rest_is_in_call(m) || m->curg.syscall_sp == 0 ||
        (m->curg.status & ~(uint32_t)REST_STATUS_SCAN) != REST_STATUS_SYSCALL) {
        return false;
    }
    for (size_t i = 0; i < sizeof rest_calls / sizeof *rest_calls; i++) {
        if (strcmp(name, rest_calls[i]) == 0) {
            return true;
        }
    }
    return false;
}

void roots_rest_find(struct goruntime *runtime, uint64_t m, const struct target_thread *thread,
                     struct roots_rest *ret)
{
    struct rest_m state = {.runtime = runtime};
    struct function function;
    *ret = (struct roots_rest){0};
    if (thread == NULL || !thread->has_registers ||
        target_machine(runtime->target) != TARGET_MACHINE_AMD64 || !rest_read_m(&state, m) ||
        state.in_c) {
        return;
    }
    state.registers = &thread->registers;
    struct error *error = function_find(runtime->image, thread->registers.pc, &function);
    if (error != NULL) {
        error_destroy(error); /* C code, or the kernel's: whatever it does */
        return;
    }
    uint64_t sp = thread->registers.sp;
    if (rest_is_on(&state.g0, sp)) {
        ret->signal_stack = true;
        if (!state.has_p && !state.has_curg && rest_is_in_call(&state)) {
            ret->system_stack = rest_frames_end(&state);
            ret->registers = ret->system_stack != 0;
        }
    } else if (state.has_curg && rest_is_on(&state.curg, sp)) {
        ret->signal_stack = true;
        ret->system_stack = rest_is_on(&state.g0, state.g0.sched_sp) ? state.g0.sched_sp : 0;
        ret->registers = rest_is_goroutine_call(&state, function.name);
    }
}
