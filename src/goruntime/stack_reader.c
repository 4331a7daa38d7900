/* A stack is used from sp up to stack.hi. Walks stay inside of it, end after a fixed number of
 * frames and never turn back, whatever the words say. */
#include "goruntime/stack_reader.h"

#include "base/bytes.h"
#include <stdlib.h>
#include <string.h>

enum {
    STACK_FRAMES_MAX = 100000, /* per goroutine */
    STACK_STUCK_MAX = 2,       /* frames in a row that leave sp where it is */
    STACK_DEEP_MARGIN = 4096   /* bytes below the wanted word that a further read starts at */
};

/* A stack must be smaller than this: runtime.maxstacksize is 1 GB, its hard limit 2 GB. */
#define STACK_SIZE_MAX ((uint64_t)1 << 31)

/* The part of one stack that is in our memory. */
struct stack_window {
    const uint8_t *bytes;
    uint64_t start, end; /* addresses of that part */
    uint64_t low, high;  /* of what is used of the stack */
};

/* Where a walk is. */
struct stack_walk {
    struct goroutine_record *record;
    struct stack_window window;
    uint64_t pc, sp, lr; /* lr: return address in a register, 0 unknown */
    uint32_t node;
    unsigned stuck;
};

/* Sets up the trie. */
struct error *stack_reader_init(struct stack_reader *reader, struct target *target,
                                struct bulk *bulk, const struct unwind_rules *rules, bool arguments)
{
    *reader = (struct stack_reader){.target = target, .bulk = bulk};
    return stack_trie_init(&reader->trie, rules, arguments);
}

/* Frees everything. */
void stack_reader_deinit(struct stack_reader *reader)
{
    stack_trie_deinit(&reader->trie);
    vector_deinit(&reader->words);
    free(reader->deep);
    reader->deep = NULL;
}

/* Checks the bounds of a stack. */
bool stack_reader_can_read(const struct goroutine_record *record)
{
    uint64_t size = record->stack_hi - record->stack_lo;
    return record->stack_lo < record->stack_hi && size <= STACK_SIZE_MAX &&
           record->sp >= record->stack_lo && record->sp < record->stack_hi &&
           (record->sp & 7) == 0 && (record->stack_hi & 7) == 0;
}

/* Reads the part of the stack around ADDRESS into the reader's own buffer; false when it is
 * unreadable. */
static struct error *stack_reader_refill(struct stack_reader *reader, struct stack_window *window,
                                         uint64_t address, bool *ret)
{
    if (reader->deep == NULL) {
        reader->deep = malloc(BULK_PIECE_MAX);
        if (reader->deep == NULL) {
            return error_no_memory();
        }
    }
    uint64_t start =
        address - window->low > STACK_DEEP_MARGIN ? address - STACK_DEEP_MARGIN : window->low;
    uint64_t left = window->high - start;
    struct target_range range = {.address = start,
                                 .size = left < BULK_PIECE_MAX ? (size_t)left : BULK_PIECE_MAX,
                                 .destination = reader->deep};
    TRY(target_read_ranges(reader->target, &range, 1));
    window->bytes = reader->deep;
    window->start = start;
    window->end = start + range.done;
    *ret = address + 8 <= window->end;
    return NULL;
}

/* The word at ADDRESS of the stack; *FOUND is false when it is outside or unreadable. */
static inline struct error *stack_reader_word(struct stack_reader *reader,
                                              struct stack_window *window, uint64_t address,
                                              uint64_t *ret, bool *found)
{
    if (address < window->low || address > window->high - 8) {
        *found = false;
        return NULL;
    }
    *found = true;
    if (address < window->start || address + 8 > window->end) {
        TRY(stack_reader_refill(reader, window, address, found));
        if (!*found) {
            return NULL;
        }
    }
    *ret = bytes_u64(window->bytes + (address - window->start));
    return NULL;
}

/* Keeps the argument words of a frame that ends at FP. Words may lie unaligned and partly behind
 * the stack's end, as the runtime reads 8 bytes whatever the size. */
static struct error *stack_reader_take_words(struct stack_reader *reader, struct stack_walk *walk,
                                             const struct stack_node *node, uint64_t fp)
{
    uint64_t base = fp + unwind_arguments_offset(&reader->trie.rules);
    struct goroutine_record *record = walk->record;
    TRY(vector_reserve(&reader->words, reader->words.count + node->slot_count));
    for (uint32_t i = 0; i < node->slot_count; i++) {
        struct arguments_slot slot = reader->trie.slots.items[node->first_slot + i];
        uint64_t address = base + slot.offset;
        uint64_t last = walk->window.high - 8;
        unsigned behind = address > last && address - last < 8 ? (unsigned)(address - last) : 0;
        uint64_t word = 0;
        bool found;
        TRY(stack_reader_word(reader, &walk->window, address - behind, &word, &found));
        record->has_words = record->has_words && found && behind + slot.size <= 8;
        word = behind == 0 ? word : word >> (8 * behind);
        if (slot.size < 8) {
            word &= ((uint64_t)1 << (8 * slot.size)) - 1;
        }
        reader->words.items[reader->words.count++] = word;
    }
    record->word_count += node->slot_count;
    return NULL;
}

/* Moves WALK from the frame of NODE, which ends at FP, to its caller; *GO_ON is false when there is
 * none. */
static struct error *stack_reader_leave(struct stack_reader *reader, struct stack_walk *walk,
                                        const struct stack_node *node, uint64_t fp, bool *go_on)
{
    bool link_register = reader->trie.rules.link_register;
    enum unwind_origin caller = (enum unwind_origin)node->caller;
    if (link_register && node->size == 0 && walk->lr != 0) {
        walk->pc = walk->lr;
        *go_on = true;
    } else {
        TRY(stack_reader_word(reader, &walk->window, link_register ? walk->sp : fp - 8, &walk->pc,
                              go_on));
    }
    walk->lr = 0;
    walk->stuck = fp == walk->sp ? walk->stuck + 1 : 0;
    walk->sp = fp;
    if (link_register && (caller == UNWIND_SIGPANIC || caller == UNWIND_INJECTED) && *go_on) {
        /* The signal handler pushed the link register before it faked the call. */
        TRY(stack_reader_word(reader, &walk->window, fp, &walk->lr, go_on));
        walk->sp += 16;
    }
    *go_on = *go_on && walk->stuck <= STACK_STUCK_MAX;
    return NULL;
}

/* Goes on by one frame; *GO_ON is false at the end, where GOROUTINE_STACK_CUT is taken back if the
 * walk came to the goroutine's first frame. */
static struct error *stack_reader_step(struct stack_reader *reader, struct stack_walk *walk,
                                       bool *go_on)
{
    uint32_t next = stack_trie_again(&reader->trie, walk->node, walk->pc);
    *go_on = false;
    if (next == 0) {
        TRY(stack_trie_step(&reader->trie, walk->node, walk->pc, &next));
    }
    const struct stack_node *node = &reader->trie.nodes.items[next];
    if (next == 0 || node->end == UNWIND_FOREIGN) {
        return NULL;
    }
    walk->node = next;
    uint64_t fp = walk->sp + node->size;
    bool inside = fp >= walk->sp && fp <= walk->window.high;
    if (node->slot_count > 0 && inside) {
        TRY(stack_reader_take_words(reader, walk, node, fp));
    } else if (node->slot_count > 0) {
        walk->record->has_words = false;
    }
    if (node->end == UNWIND_TOP) {
        walk->record->flags &= (uint16_t)~GOROUTINE_STACK_CUT;
        return NULL;
    }
    if (node->end == UNWIND_CUT || !inside) {
        return NULL;
    }
    return stack_reader_leave(reader, walk, node, fp, go_on);
}

/* A call of a nil function leaves pc 0: its caller is the innermost frame. */
static struct error *stack_reader_skip_nil(struct stack_reader *reader, struct stack_walk *walk,
                                           bool *go_on)
{
    *go_on = true;
    if (walk->pc != 0) {
        return NULL;
    }
    TRY(stack_reader_word(reader, &walk->window, walk->sp, &walk->pc, go_on));
    walk->lr = 0;
    walk->sp += reader->trie.rules.link_register ? 0 : 8;
    return NULL;
}

/* Unwinds the stack of RECORD, whose innermost bytes are in WINDOW. */
static struct error *stack_reader_walk(struct stack_reader *reader, struct goroutine_record *record,
                                       const struct stack_window *window)
{
    struct stack_walk walk = {.record = record,
                              .window = *window,
                              .pc = record->pc,
                              .sp = record->sp,
                              .lr = record->lr,
                              .node = stack_trie_root((enum unwind_origin)record->origin)};
    uint32_t root = walk.node;
    bool go_on;
    record->first_word = (uint32_t)reader->words.count;
    record->word_count = 0;
    record->has_words = true;
    record->flags |= GOROUTINE_STACK_CUT;
    TRY(stack_reader_skip_nil(reader, &walk, &go_on));
    for (unsigned i = 0; i < STACK_FRAMES_MAX && go_on; i++) {
        TRY(stack_reader_step(reader, &walk, &go_on));
    }
    record->node = walk.node == root ? 0 : walk.node;
    if (record->node == 0) {
        record->flags |= GOROUTINE_STACK_UNKNOWN;
        record->flags &= (uint16_t)~GOROUTINE_STACK_CUT;
    }
    return NULL;
}

/* What the visitor needs. */
struct stack_visit {
    struct stack_reader *reader;
    struct goroutine_record *records;
};

/* Unwinds one stack of a batch. */
static struct error *stack_reader_visit(void *context, const struct gather_item *item,
                                        const uint8_t *bytes)
{
    struct stack_visit *visit = context;
    struct goroutine_record *record = &visit->records[bulk_index(item)];
    uint64_t used = record->stack_hi - record->sp;
    uint64_t there = used < BULK_PIECE_MAX ? used : BULK_PIECE_MAX;
    struct stack_window window = {.bytes = bytes,
                                  .start = record->sp,
                                  .end = bytes == NULL ? record->sp : record->sp + there,
                                  .low = record->sp,
                                  .high = record->stack_hi};
    return stack_reader_walk(visit->reader, record, &window);
}

/* Reads and unwinds. */
struct error *stack_reader_read(struct stack_reader *reader, struct goroutine_record *records,
                                struct gather_item *items, struct gather_item *scratch,
                                size_t count)
{
    struct stack_visit visit = {.reader = reader, .records = records};
    for (size_t i = 0; i < count; i++) {
        uint32_t index = bulk_index(&items[i]);
        struct goroutine_record *record = &records[index];
        uint64_t used = record->stack_hi - record->sp;
        items[i].address = record->sp;
        items[i].tag = bulk_tag(used < BULK_PIECE_MAX ? (uint32_t)used : BULK_PIECE_MAX, index);
        record->flags &= (uint16_t) ~(GOROUTINE_STACK_CUT | GOROUTINE_STACK_UNKNOWN);
    }
    return bulk_visit(reader->bulk, items, scratch, count, stack_reader_visit, &visit);
}
