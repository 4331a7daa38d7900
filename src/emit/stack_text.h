/* Stacks for people: a line per frame, function and place in two columns. Each frame is rendered
 * once. */
#ifndef UNPARK_EMIT_STACK_TEXT_H
#define UNPARK_EMIT_STACK_TEXT_H

#include "base/arena.h"
#include "base/string_builder.h"
#include "emit/emit_sink.h"
#include "emit/emit_style.h"
#include "snapshot/snapshot.h"

/* A rendered frame; function NULL: not yet. */
struct stack_text_frame {
    const char *function, *place; /* escaped; place is "file:line" */
    uint32_t function_size, function_width, place_size;
    uint32_t flags; /* enum snapshot_frame_flag bits */
};

struct stack_text {
    const struct snapshot *snapshot;
    struct emit_style style;
    struct emit_sink *sink;
    bool user_frames;                /* hide frames of the runtime and the standard library */
    uint64_t hidden;                 /* frames hidden so far, each as often as it was hidden */
    struct stack_text_frame *frames; /* by frame id */
    struct arena texts;
    struct string_builder scratch;
};

/* Sets TEXT up to write stacks of SNAPSHOT to SINK; both must outlive it. */
NODISCARD struct error *stack_text_init(struct stack_text *text, const struct snapshot *snapshot,
                                        const struct emit_style *style, struct emit_sink *sink);
void stack_text_deinit(struct stack_text *text);

/* Who created goroutines, for the last line of their stack. */
struct stack_text_creator {
    uint32_t frame;  /* 0: none or unknown */
    uint64_t parent; /* goid, 0 unknown */
    bool several;    /* parents differ */
    bool unknown;    /* the source does not say who */
};

/* Writes STACK and the creator, indented by INDENT columns. */
void stack_text_write(struct stack_text *text, uint32_t stack,
                      const struct stack_text_creator *creator, size_t indent);

/* Writes "function  file:line" of one frame without indent or end of line. */
void stack_text_write_frame(struct stack_text *text, uint32_t frame);

#endif
