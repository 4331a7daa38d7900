/* The used stacks of many goroutines, read together and unwound right where they were read. */
#ifndef UNPARK_GORUNTIME_STACK_READER_H
#define UNPARK_GORUNTIME_STACK_READER_H

#include "goruntime/goroutine_reader.h"
#include "goruntime/stack_trie.h"

/* One worker's means. */
struct stack_reader {
    struct target *target; /* not owned */
    struct bulk *bulk;     /* not owned */
    struct stack_trie trie;
    VECTOR(uint64_t) words; /* argument words of the current batch */
    uint8_t *deep;          /* a piece of a stack larger than one read; NULL until needed */
};

/* Sets READER up; ARGUMENTS: keep argument words. stack_reader_deinit afterwards, also after an
 * error. */
NODISCARD struct error *stack_reader_init(struct stack_reader *reader, struct target *target,
                                          struct bulk *bulk, const struct unwind_rules *rules,
                                          bool arguments);
void stack_reader_deinit(struct stack_reader *reader);

/* True when RECORD says where its stack is and starts, and that makes sense. */
bool stack_reader_can_read(const struct goroutine_record *record);

/* Reads and unwinds the stacks of the records whose numbers (bulk_index) are in ITEMS, COUNT of
 * them, all of which stack_reader_can_read: sets node, words and the flags GOROUTINE_STACK_CUT and
 * GOROUTINE_STACK_UNKNOWN. Sorts ITEMS; SCRATCH has room for COUNT. */
NODISCARD struct error *stack_reader_read(struct stack_reader *reader,
                                          struct goroutine_record *records,
                                          struct gather_item *items, struct gather_item *scratch,
                                          size_t count);

#endif
