/* Stepping from a frame to its caller by the pcsp tables, as the runtime's own unwinder does. What
 * a step does depends on the pc and on how it was reached only, so it is worked out once and kept.
 */
#ifndef UNPARK_GORUNTIME_UNWIND_H
#define UNPARK_GORUNTIME_UNWIND_H

#include "image/function.h"

/* How the pc of a frame was come by. */
enum unwind_origin {
    UNWIND_CALL,     /* a return address in the callee's frame */
    UNWIND_SIGPANIC, /* the same, the callee being sigpanic: the pc is the faulting instruction */
    UNWIND_INJECTED, /* the same for asyncPreempt and debugCall */
    UNWIND_PARKED,   /* innermost: saved by the scheduler */
    UNWIND_SYSCALL,  /* innermost: saved on entry to a system call or C code */
    UNWIND_TRAP,     /* innermost: registers of an interrupted thread */
    UNWIND_ORIGIN_COUNT
};

/* What comes after a frame. */
enum unwind_end {
    UNWIND_NEXT,   /* its caller */
    UNWIND_TOP,    /* nothing: the goroutine began here */
    UNWIND_CUT,    /* its caller cannot be found */
    UNWIND_FOREIGN /* this is no frame: code without tables */
};

/* Facts for stepping that hold for one target. */
struct unwind_rules {
    const struct image *image;
    const struct layout *layout;
    bool link_register; /* arm64: a call leaves its return address in a register */
};

/* One frame, as far as it is the same for every goroutine that is there. */
struct unwind_step {
    struct function function;
    uint64_t symbol_pc; /* the address to symbolise: pc, or pc - 1 within the call instruction */
    uint32_t size;      /* from sp to the caller's sp, the return address included on amd64 */
    enum unwind_end end;
    enum unwind_origin caller; /* origin of the caller's pc */
};

/* Sets RULES for IMAGE and MACHINE. */
void unwind_rules_init(struct unwind_rules *rules, const struct image *image,
                       enum target_machine machine);

/* Works out the frame at PC. ERROR_NOT_FOUND when PC is in no Go function, ERROR_CORRUPT.
 * Thread-safe. */
NODISCARD struct error *unwind_resolve(const struct unwind_rules *rules, uint64_t pc,
                                       enum unwind_origin origin, struct unwind_step *ret);

/* Bytes between a frame's end and its arguments in the caller's frame. */
static inline uint64_t unwind_arguments_offset(const struct unwind_rules *rules)
{
    return rules->link_register ? 8 : 0;
}

#endif
