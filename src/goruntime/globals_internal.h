/* What the files that find globals share. */
#ifndef UNPARK_GORUNTIME_GLOBALS_INTERNAL_H
#define UNPARK_GORUNTIME_GLOBALS_INTERNAL_H

#include "goruntime/code_scan.h"
#include "goruntime/globals.h"
#include "goruntime/peek.h"

enum {
    GLOBALS_REFERENCES_MAX = 512,
    GLOBALS_HEAD_SIZE = 80 /* of a g, up to sched.g, in all releases */
};

/* One search. */
struct globals_search {
    struct image *image;
    enum target_machine machine;
    struct peek peek;
};

/* References of one function to its module's variables (or, through a table of addresses, to those
 * of another module). */
struct globals_references {
    struct code_reference items[GLOBALS_REFERENCES_MAX];
    size_t count;
};

/* The references of the function called NAME; none when there is no such function. */
NODISCARD struct error *globals_references_init(struct globals_search *search, const char *name,
                                                struct globals_references *references);

/* True when ADDRESS is among a module's variables; BSS_ONLY: among those that start as zero. */
bool globals_is_variable(const struct image *image, uint64_t address, bool bss_only);

/* True when the GLOBALS_HEAD_SIZE bytes at HEAD, read from ADDRESS, are those of a g: its sched.g
 * is itself and its stack is one. */
bool globals_is_head(const uint8_t *head, uint64_t address);

/* Calls VISIT for every aligned word of every module's variables, as long as it returns true. */
typedef bool globals_word_visitor(void *context, uint64_t address, const uint8_t *bytes,
                                  size_t left);
NODISCARD struct error *globals_visit_words(struct globals_search *search,
                                            globals_word_visitor *visit, void *context);

#endif
