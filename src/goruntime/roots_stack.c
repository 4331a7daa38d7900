/* The live words of one goroutine, frame by frame.
 *
 * Follows runtime/mgcmark.go (scanstack, scanframeworker): locals and arguments by stack maps;
 * stack objects only when something alive points into them; the frame that an injected call
 * interrupted conservatively; defers, panics and sched.ctxt besides. What cannot be known is read
 * conservatively, what cannot be read makes the visit incomplete. */
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/vector.h"
#include "goruntime/heap_scan.h"
#include "goruntime/internal.h"
#include "goruntime/roots.h"
#include "goruntime/roots_frame.h"
#include <stdlib.h>

enum {
    ROOTS_STACK_BYTES_MAX = 1 << 30, /* Go's own limit on 64-bit systems */
    ROOTS_FRAMES_MAX = 1 << 24,
    ROOTS_DEFERS_MAX = 1 << 20,
    ROOTS_G_BYTES = 1024,
    ROOTS_VECTOR_BYTES_AMD64 = 2112, /* xRegState, 1.26 on */
    ROOTS_VECTOR_BYTES_ARM64 = 512,
    ROOTS_CACHE_SIZE = 16 << 20,
    ROOTS_RED_ZONE = 128, /* bytes below the stack pointer that code without Go's rules may use */
    ROOTS_STATUS_SYSCALL = 3
};

#define ROOTS_STATUS_SCAN UINT32_C(0x1000)

/* A stack object of a frame that was met. */
struct roots_stack_object {
    uint64_t address;
    const struct roots_frame_object *record;
    bool visited;
};

struct roots_stack_frame {
    uint64_t sp, end;
    const char *name;
};

struct roots_stacks {
    struct goruntime *runtime;
    struct unwind_rules rules;
    struct roots_frames *frames;
    struct block_cache *cache;     /* of unviewable stacks, defers */
    struct target_thread *threads; /* with registers, where the target holds still */
    size_t thread_count;
    VECTOR(struct roots_stack_object) objects; /* of the goroutine being visited */
    VECTOR(uint64_t) pointers;                 /* live words that point into the stack */
    VECTOR(struct roots_stack_frame) trail;
    VECTOR(uint8_t) buffer;
    /* The goroutine being visited. */
    const uint8_t *bytes; /* of [low, high) */
    uint64_t low, high;
    heap_visitor *visitor;
    void *context;
    bool complete;
    struct error *error;
};

struct error *roots_stacks_create(struct goruntime *runtime, struct roots_stacks **ret)
{
    struct roots_stacks *stacks = calloc(1, sizeof *stacks);
    if (stacks == NULL) {
        return error_no_memory();
    }
    stacks->runtime = runtime;
    unwind_rules_init(&stacks->rules, runtime->image, target_machine(runtime->target));
    struct error *error = roots_frames_create(&stacks->rules, runtime->image, &stacks->frames);
    if (error == NULL) {
        error = block_cache_create(runtime->target, ROOTS_CACHE_SIZE, &stacks->cache);
    }
    if (error == NULL) {
        error = target_threads(runtime->target, &stacks->threads, &stacks->thread_count);
    }
    if (error != NULL) {
        roots_stacks_destroy(stacks);
        return error;
    }
    *ret = stacks;
    return NULL;
}

void roots_stacks_destroy(struct roots_stacks *stacks)
{
    if (stacks == NULL) {
        return;
    }
    roots_frames_destroy(stacks->frames);
    block_cache_destroy(stacks->cache);
    free(stacks->threads);
    vector_deinit(&stacks->objects);
    vector_deinit(&stacks->pointers);
    vector_deinit(&stacks->trail);
    vector_deinit(&stacks->buffer);
    error_destroy(stacks->error);
    free(stacks);
}

/* Keeps ERROR, if any, for the end of the visit. */
static void roots_stack_note(struct roots_stacks *stacks, struct error *error)
{
    if (error != NULL) {
        error_destroy(stacks->error);
        stacks->error = error;
    }
}

/* Takes one live word: into the stack it may keep a stack object of a frame further out, which is
 * looked up when all frames are known; else it goes to the visitor. */
static void roots_stack_word(void *context, uint64_t slot, uint64_t value)
{
    struct roots_stacks *stacks = context;
    if (value - stacks->low < stacks->high - stacks->low) {
        roots_stack_note(stacks, vector_append(&stacks->pointers, value));
    } else {
        stacks->visitor(stacks->context, slot, value);
    }
}

/* The words of [start, end), cut to the stack; by MASK when it is not NULL (COUNT bits). */
static void roots_stack_words(struct roots_stacks *stacks, uint64_t start, uint64_t end,
                              const uint8_t *mask, uint64_t count)
{
    start = start < stacks->low ? stacks->low : start;
    end = end > stacks->high ? stacks->high : end;
    if (start >= end) {
        return;
    }
    struct heap_scan_bytes bytes = {stacks->bytes + (start - stacks->low), start, end - start};
    if (mask == NULL) {
        heap_scan_all(&bytes, roots_stack_word, stacks);
    } else {
        heap_scan_mask(&bytes, mask, (count + 7) / 8, 0, roots_stack_word, stacks);
    }
}

/* Where the parts of a frame are. */
struct roots_stack_place {
    uint64_t sp, varp, argp;
};

/* The place of FRAME at SP (runtime/traceback.go: fp, varp, argp). */
static struct roots_stack_place roots_stack_place(const struct roots_stacks *stacks,
                                                  const struct roots_frame *frame, uint64_t sp)
{
    uint64_t fp = sp + frame->step.size;
    uint64_t varp = stacks->rules.link_register ? fp : fp - 8;
    varp -= varp > sp ? 8 : 0;
    return (struct roots_stack_place){sp, varp, fp + unwind_arguments_offset(&stacks->rules)};
}

/* Notes the stack objects of FRAME. */
static struct error *roots_stack_objects(struct roots_stacks *stacks,
                                         const struct roots_frame *frame,
                                         const struct roots_stack_place *place)
{
    for (uint32_t i = 0; i < frame->object_count; i++) {
        const struct roots_frame_object *record = &frame->objects[i];
        uint64_t base = record->offset < 0 ? place->varp : place->argp;
        struct roots_stack_object object = {base + (uint64_t)(int64_t)record->offset, record,
                                            false};
        TRY(vector_append(&stacks->objects, object));
    }
    return NULL;
}

/* Visits the slots of one frame; CONSERVATIVE: its maps do not hold here. */
static void roots_stack_frame(struct roots_stacks *stacks, const struct roots_frame *frame,
                              const struct roots_stack_place *place, bool conservative)
{
    if (frame->dead && !conservative) {
        return;
    }
    const struct roots_frame_map *locals = &frame->locals;
    if (conservative || locals->conservative) {
        roots_stack_words(stacks, place->sp, place->varp, NULL, 0);
    } else if (place->varp > place->sp) {
        uint64_t start = place->varp - (uint64_t)locals->count * 8;
        if (start >= stacks->low && start <= place->varp) {
            roots_stack_words(stacks, start, place->varp, locals->bits, locals->count);
        } else {
            stacks->complete = false;
        }
    }
    const struct roots_frame_map *arguments = &frame->arguments;
    uint64_t end = place->argp + (uint64_t)arguments->count * 8;
    bool all = conservative || arguments->conservative;
    roots_stack_words(stacks, place->argp, end, all ? NULL : arguments->bits, arguments->count);
}

/* Orders stack objects by address. */
static int roots_stack_compare(const void *left, const void *right)
{
    uint64_t a = ((const struct roots_stack_object *)left)->address;
    uint64_t b = ((const struct roots_stack_object *)right)->address;
    return a < b ? -1 : a > b;
}

/* The stack object that holds ADDRESS, or NULL. */
static struct roots_stack_object *roots_stack_find(struct roots_stacks *stacks, uint64_t address)
{
    size_t low = 0;
    size_t high = stacks->objects.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (stacks->objects.items[middle].address <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    struct roots_stack_object *object = low == 0 ? NULL : &stacks->objects.items[low - 1];
    return object != NULL && address - object->address < object->record->size ? object : NULL;
}

/* Visits the stack objects that live words point to, and what they point to in turn. */
static void roots_stack_drain(struct roots_stacks *stacks)
{
    if (stacks->objects.count > 0) {
        qsort(stacks->objects.items, stacks->objects.count, sizeof *stacks->objects.items,
              roots_stack_compare);
    }
    for (size_t i = 0; i < stacks->pointers.count; i++) {
        struct roots_stack_object *object = roots_stack_find(stacks, stacks->pointers.items[i]);
        if (object == NULL || object->visited) {
            continue;
        }
        object->visited = true;
        const struct roots_frame_object *record = object->record;
        uint64_t words = record->mask == NULL ? record->size / 8 : record->words;
        roots_stack_words(stacks, object->address, object->address + words * 8, record->mask,
                          record->mask == NULL ? 0 : words + 64);
    }
}

/* The return address of the frame at PLACE of FRAME; false when it lies outside the stack. */
static bool roots_stack_return(const struct roots_stacks *stacks, const struct roots_frame *frame,
                               uint64_t sp, uint64_t *ret)
{
    uint64_t at = stacks->rules.link_register ? sp : sp + frame->step.size - 8;
    if (frame->step.size < 8 || at < stacks->low || at + 8 > stacks->high) {
        return false;
    }
    *ret = bytes_u64(stacks->bytes + (at - stacks->low));
    return true;
}

/* Where a goroutine's frames begin. */
struct roots_stack_start {
    uint64_t sp, pc, lr;
    enum unwind_origin origin;
};

/* Walks the frames from START outwards. */
static struct error *roots_stack_walk(struct roots_stacks *stacks, struct roots_stack_start start)
{
    bool conservative = false;
    for (size_t count = 0; count < ROOTS_FRAMES_MAX; count++) {
        const struct roots_frame *frame;
        TRY(roots_frames_find(stacks->frames, start.pc, start.origin, &frame));
        if (!frame->known) {
            roots_stack_words(stacks, start.sp, stacks->high, NULL, 0);
            return NULL;
        }
        struct roots_stack_place place = roots_stack_place(stacks, frame, start.sp);
        struct roots_stack_frame trail = {start.sp, place.argp, frame->step.function.name};
        TRY(vector_append(&stacks->trail, trail));
        TRY(roots_stack_objects(stacks, frame, &place));
        roots_stack_frame(stacks, frame, &place, conservative || frame->injected);
        conservative = frame->injected;
        if (frame->step.end == UNWIND_TOP) {
            return NULL;
        }
        uint64_t caller = 0;
        bool leaf = stacks->rules.link_register && frame->step.size == 0;
        if (leaf) {
            caller = start.lr;
        }
        if (frame->step.end != UNWIND_NEXT ||
            (!leaf && !roots_stack_return(stacks, frame, start.sp, &caller))) {
            roots_stack_words(stacks, start.sp + frame->step.size, stacks->high, NULL, 0);
            return NULL;
        }
        start =
            (struct roots_stack_start){start.sp + frame->step.size, caller, 0, frame->step.caller};
        if (stacks->rules.link_register && frame->injected) {
            start.sp += 16; /* the signal handler pushed the link register (4.2) */
        }
    }
    stacks->complete = false;
    return NULL;
}

/* Visits SIZE bytes at ADDRESS conservatively. */
static void roots_stack_block(struct roots_stacks *stacks, uint64_t address, size_t size)
{
    uint8_t bytes[ROOTS_VECTOR_BYTES_AMD64];
    struct error *error = block_cache_read(stacks->cache, address, bytes, size);
    if (error != NULL) {
        error_destroy(error);
        stacks->complete = false;
        return;
    }
    struct heap_scan_bytes block = {bytes, address, size};
    heap_scan_all(&block, roots_stack_word, stacks);
}

/* Visits the chain of defer records: their functions, and the records in the heap. */
static void roots_stack_defers(struct roots_stacks *stacks, uint64_t record)
{
    const struct layout *layout = stacks->runtime->layout;
    for (size_t i = 0; record != 0; i++) {
        uint8_t bytes[128];
        size_t size = (size_t)layout->defer.size;
        struct error *error = size > sizeof bytes || i == ROOTS_DEFERS_MAX
                                  ? error_create(ERROR_CORRUPT, "endless defers")
                                  : block_cache_read(stacks->cache, record, bytes, size);
        if (error != NULL) {
            error_destroy(error);
            stacks->complete = false;
            return;
        }
        uint64_t link = bytes_u64(bytes + layout->defer.link);
        roots_stack_word(stacks, record, bytes_u64(bytes + layout->defer.fn));
        if (link != 0) {
            roots_stack_word(stacks, record, link);
        }
        if (bytes[layout->defer.heap] != 0) {
            roots_stack_word(stacks, record, record);
        }
        record = link;
    }
}

size_t roots_vector_size(const struct layout *layout)
{
    return layout->machine == LAYOUT_MACHINE_AMD64 ? ROOTS_VECTOR_BYTES_AMD64
                                                   : ROOTS_VECTOR_BYTES_ARM64;
}

/* Visits what g itself holds besides its frames. */
static void roots_stack_extras(struct roots_stacks *stacks, uint64_t g, const uint8_t *bytes)
{
    const struct layout *layout = stacks->runtime->layout;
    uint64_t context = bytes_u64(bytes + layout->g.sched_ctxt);
    if (context != 0) {
        roots_stack_word(stacks, g + (uint64_t)(uint32_t)layout->g.sched_ctxt, context);
    }
    roots_stack_defers(stacks, bytes_u64(bytes + layout->g.defer));
    uint64_t panic = bytes_u64(bytes + layout->g.panic);
    if (panic != 0) {
        roots_stack_word(stacks, g, panic);
    }
    if (layout->g.x_regs != LAYOUT_ABSENT) {
        uint64_t state = bytes_u64(bytes + layout->g.x_regs);
        if (state != 0) {
            roots_stack_block(stacks, state, roots_vector_size(layout));
        }
    }
}

/* Makes [low, high) of the target's memory readable as stacks->bytes. */
static struct error *roots_stack_load(struct roots_stacks *stacks, uint64_t low, uint64_t high)
{
    stacks->low = low;
    stacks->high = high;
    if (low >= high || high - low > ROOTS_STACK_BYTES_MAX) {
        stacks->high = low;
        stacks->complete = false;
        return NULL;
    }
    size_t size = (size_t)(high - low);
    stacks->bytes = target_view(stacks->runtime->target, low, size);
    if (stacks->bytes != NULL) {
        return NULL;
    }
    TRY(vector_reserve(&stacks->buffer, size));
    struct error *error = target_read(stacks->runtime->target, low, stacks->buffer.items, size);
    if (error != NULL && error_code(error) == ERROR_FAULT) {
        error_destroy(error);
        error = NULL;
        stacks->high = low;
        stacks->complete = false;
    }
    stacks->bytes = stacks->buffer.items;
    return error;
}

/* Where the frames of a goroutine that does not run begin (go-runtime.md 4.1). */
static struct roots_stack_start roots_stack_begin(const struct layout *layout, const uint8_t *bytes)
{
    uint64_t syscall_sp = bytes_u64(bytes + layout->g.syscallsp);
    if (syscall_sp != 0) {
        return (struct roots_stack_start){syscall_sp, bytes_u64(bytes + layout->g.syscallpc), 0,
                                          UNWIND_SYSCALL};
    }
    return (struct roots_stack_start){bytes_u64(bytes + layout->g.sched_sp),
                                      bytes_u64(bytes + layout->g.sched_pc),
                                      bytes_u64(bytes + layout->g.sched_lr), UNWIND_PARKED};
}

/* Where the used part of [LOW, HIGH) begins: at the stack pointer of the thread that is on it, else
 * (it is on its system or signal stack) at LOW. */
static uint64_t roots_stack_bottom(const struct roots_stacks *stacks, uint64_t low, uint64_t high)
{
    for (size_t i = 0; i < stacks->thread_count; i++) {
        const struct target_thread *thread = &stacks->threads[i];
        uint64_t sp = thread->registers.sp;
        if (thread->has_registers && sp >= low + ROOTS_RED_ZONE && sp < high) {
            return (sp - ROOTS_RED_ZONE) & ~UINT64_C(7);
        }
    }
    return low;
}

/* What of the stack of the g in BYTES counts, and how: [*LOW_RET, *HIGH_RET) by maps from START, or
 * every word. A g that an m has though it is neither running nor in a system call executes on the
 * system stack (casGToWaiting): sched is stale. A collector that holds it (scan bit) may be moving
 * its stack: every word has arrived in the new one, but pointers into it have not been adjusted. */
static enum roots_stack_mode roots_stack_choose(const struct roots_stacks *stacks,
                                                const uint8_t *bytes,
                                                struct roots_stack_start *start,
                                                enum roots_stack_mode mode, uint64_t *low_ret,
                                                uint64_t *high_ret)
{
    const struct layout *layout = stacks->runtime->layout;
    uint32_t status = bytes_u32(bytes + layout->g.atomicstatus);
    *low_ret = bytes_u64(bytes + layout->g.stack_lo);
    *high_ret = bytes_u64(bytes + layout->g.stack_hi);
    *start = roots_stack_begin(layout, bytes);
    bool held = bytes_u64(bytes + layout->g.m) != 0 &&
                (status & ~ROOTS_STATUS_SCAN) != ROOTS_STATUS_SYSCALL;
    if (mode == ROOTS_STACK_CONSERVATIVE || held || start->sp < *low_ret ||
        start->sp >= *high_ret) {
        *low_ret = roots_stack_bottom(stacks, *low_ret, *high_ret);
        return ROOTS_STACK_CONSERVATIVE;
    }
    *low_ret = start->sp;
    return (status & ROOTS_STATUS_SCAN) != 0 ? ROOTS_STACK_CONSERVATIVE : ROOTS_STACK_PRECISE;
}

struct error *roots_stacks_visit(struct roots_stacks *stacks, uint64_t g,
                                 enum roots_stack_mode mode, heap_visitor *visitor, void *context,
                                 bool *complete_ret)
{
    const struct layout *layout = stacks->runtime->layout;
    uint8_t bytes[ROOTS_G_BYTES];
    size_t size = (size_t)layout->g.size;
    *complete_ret = false;
    if (size > sizeof bytes) {
        return error_create(ERROR_INTERNAL, "a g of %zu bytes", size);
    }
    struct error *error = target_read(stacks->runtime->target, g, bytes, size);
    if (error != NULL) {
        return error_catch(&error, ERROR_FAULT) ? NULL : error;
    }
    stacks->visitor = visitor;
    stacks->context = context;
    stacks->complete = true;
    stacks->objects.count = 0;
    stacks->pointers.count = 0;
    stacks->trail.count = 0;
    uint64_t low;
    uint64_t high;
    struct roots_stack_start start;
    mode = roots_stack_choose(stacks, bytes, &start, mode, &low, &high);
    TRY(roots_stack_load(stacks, low, high));
    if (mode == ROOTS_STACK_PRECISE && stacks->high > stacks->low) {
        TRY(roots_stack_walk(stacks, start));
    } else {
        roots_stack_words(stacks, stacks->low, stacks->high, NULL, 0);
    }
    roots_stack_extras(stacks, g, bytes);
    roots_stack_drain(stacks);
    *complete_ret = stacks->complete;
    return TAKE(stacks->error);
}

const char *roots_stacks_function(const struct roots_stacks *stacks, uint64_t slot)
{
    for (size_t i = 0; i < stacks->trail.count; i++) {
        if (slot >= stacks->trail.items[i].sp && slot < stacks->trail.items[i].end) {
            return stacks->trail.items[i].name;
        }
    }
    return NULL;
}
