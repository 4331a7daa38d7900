/* The rules are those of runtime/traceback.go, the same in Go 1.18 to 1.27 but for one: before 1.21
 * only the caller of sigpanic was symbolised at its pc, since then also those of asyncPreempt and
 * debugCall. */
#include "goruntime/unwind.h"

enum {
    UNWIND_TRAP_SINCE = 21, /* first minor release with the rule above */
    UNWIND_RETURN_ADDRESS_SIZE = 8,
    UNWIND_FRAME_MAX = 1 << 30 /* a larger frame is no frame */
};

/* Takes the facts from the image's row. */
void unwind_rules_init(struct unwind_rules *rules, const struct image *image,
                       enum target_machine machine)
{
    rules->image = image;
    rules->layout = image_layout(image);
    rules->link_register = machine == TARGET_MACHINE_ARM64;
}

/* True when the pc is an instruction that was being executed, not one to return to. */
static bool unwind_is_trap(const struct unwind_rules *rules, enum unwind_origin origin)
{
    return origin == UNWIND_TRAP || origin == UNWIND_SIGPANIC ||
           (origin == UNWIND_INJECTED && rules->layout->minor >= UNWIND_TRAP_SINCE);
}

/* The origin of the pc that a frame of FUNCTION returns to. */
static enum unwind_origin unwind_caller(const struct unwind_rules *rules,
                                        const struct function *function)
{
    if (function->func_id == rules->layout->func_id_sigpanic) {
        return UNWIND_SIGPANIC;
    }
    if (function->func_id == rules->layout->func_id_async_preempt ||
        function->func_id == rules->layout->func_id_debug_call) {
        return UNWIND_INJECTED;
    }
    return UNWIND_CALL;
}

/* True when FUNCTION moves the stack pointer in ways that its table does not tell. cgocallback
 * does, yet keeps both stacks walkable; one that entered a system call saved its place before. */
static bool unwind_writes_sp(const struct unwind_rules *rules, const struct function *function,
                             enum unwind_origin origin)
{
    return (function->flags & FUNCTION_SP_WRITE) != 0 && origin != UNWIND_SYSCALL &&
           function->func_id != rules->layout->func_id_cgocallback;
}

/* Works out a frame. */
struct error *unwind_resolve(const struct unwind_rules *rules, uint64_t pc,
                             enum unwind_origin origin, struct unwind_step *ret)
{
    struct function *function = &ret->function;
    TRY(function_find(rules->image, pc, function));
    ret->symbol_pc = pc > function->entry && !unwind_is_trap(rules, origin) ? pc - 1 : pc;
    ret->caller = unwind_caller(rules, function);
    ret->size = 0;
    if (function->pcsp == 0) {
        ret->end = UNWIND_FOREIGN;
        return NULL;
    }
    if ((function->flags & FUNCTION_TOP_FRAME) != 0) {
        ret->end = UNWIND_TOP;
    } else if (unwind_writes_sp(rules, function, origin)) {
        ret->end = UNWIND_CUT;
    } else {
        ret->end = UNWIND_NEXT;
    }
    int32_t delta;
    TRY(function_pcvalue(function, function->pcsp, pc, &delta));
    if (delta < 0 || delta > UNWIND_FRAME_MAX || (delta & 7) != 0) {
        ret->end = ret->end == UNWIND_TOP ? UNWIND_TOP : UNWIND_CUT;
        return NULL;
    }
    ret->size = (uint32_t)delta + (rules->link_register ? 0 : UNWIND_RETURN_ADDRESS_SIZE);
    return NULL;
}
