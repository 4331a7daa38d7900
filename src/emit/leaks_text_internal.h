/* What the files of the text about leaks share. */
#ifndef UNPARK_EMIT_LEAKS_TEXT_INTERNAL_H
#define UNPARK_EMIT_LEAKS_TEXT_INTERNAL_H

#include "emit/leaks.h"
#include "emit/stack_text.h"
#include "emit/wait_summary.h"

/* One run. */
struct leaks_text {
    const struct leaks_view *view;
    struct emit_sink *sink;
    struct stack_text stacks;
    struct wait_summarizer waits;
    struct string_builder line;
};

/* Writes the line that was built, in ROLE, and empties it. */
void leaks_text_flush(struct leaks_text *text, enum emit_role role);

/* What a goroutine does, in Go's words. */
const char *leaks_text_state(uint8_t status, uint8_t wait_reason);

/* Writes one finding; BEHIND: it waits behind the one before it. */
void leaks_text_finding(struct leaks_text *text, const struct finding *finding, bool behind);

/* Writes what the goroutines of FINDING wait for. */
void leaks_text_objects(struct leaks_text *text, const struct finding *finding);

/* Who created the goroutines of FINDING. */
struct stack_text_creator leaks_text_creator(const struct leaks_text *text,
                                             const struct finding *finding);

#endif
