#include "emit/stack_text.h"
#include "emit/emit_width.h"
#include <stdlib.h>

enum { STACK_TEXT_COLUMN_MAX = 64, STACK_TEXT_GAP = 2 };

static const uint32_t stack_text_library = FRAME_RUNTIME | FRAME_STANDARD_LIBRARY;

/* Sets a writer up. */
struct error *stack_text_init(struct stack_text *text, const struct snapshot *snapshot,
                              const struct emit_style *style, struct emit_sink *sink)
{
    *text = (struct stack_text){.snapshot = snapshot, .style = *style, .sink = sink};
    text->frames = calloc(snapshot_frame_count(snapshot) + 1, sizeof *text->frames);
    return text->frames == NULL ? error_no_memory() : NULL;
}

/* Frees a writer. */
void stack_text_deinit(struct stack_text *text)
{
    free(text->frames);
    arena_deinit(&text->texts);
    string_builder_deinit(&text->scratch);
}

/* Appends a string of the target's. */
static void stack_text_add_string(struct stack_text *text, uint32_t id)
{
    if (id == 0) {
        string_builder_add_char(&text->scratch, '?');
        return;
    }
    string_builder_add_escaped(&text->scratch, snapshot_string(text->snapshot, id),
                               snapshot_string_size(text->snapshot, id));
}

/* Keeps the scratch text. */
static struct error *stack_text_keep(struct stack_text *text, const char **ret, uint32_t *size_ret)
{
    TRY(string_builder_error(&text->scratch));
    char *copy;
    TRY(arena_copy(&text->texts, string_builder_text(&text->scratch), text->scratch.size, &copy));
    *ret = copy;
    *size_ret = (uint32_t)text->scratch.size;
    string_builder_clear(&text->scratch);
    return NULL;
}

/* Appends what stands in the first column. */
static void stack_text_add_function(struct stack_text *text, const struct snapshot_frame *frame)
{
    if ((frame->flags & FRAME_ELIDED) != 0) {
        if (frame->line == 0) {
            string_builder_add(&text->scratch, "... more frames that the source left out");
        } else {
            string_builder_format(&text->scratch, "... %u frames that the source left out",
                                  frame->line);
        }
    } else if (frame->function == 0) {
        string_builder_add(&text->scratch,
                           (frame->flags & FRAME_NOT_GO) != 0 ? "code outside Go" : "?");
        if (frame->pc != 0) {
            string_builder_add(&text->scratch, " at ");
            string_builder_add_hex(&text->scratch, frame->pc);
        }
    } else {
        stack_text_add_string(text, frame->function);
    }
}

/* Renders frame ID. */
static struct error *stack_text_render(struct stack_text *text, uint32_t id)
{
    const struct snapshot_frame *frame = snapshot_frame(text->snapshot, id);
    struct stack_text_frame rendered = {.flags = frame->flags};
    const char *function;
    string_builder_clear(&text->scratch);
    stack_text_add_function(text, frame);
    TRY(stack_text_keep(text, &function, &rendered.function_size));
    if (frame->file != 0) {
        stack_text_add_string(text, frame->file);
        if (frame->line != 0) {
            string_builder_add_char(&text->scratch, ':');
            string_builder_add_u64(&text->scratch, frame->line);
        }
    }
    TRY(stack_text_keep(text, &rendered.place, &rendered.place_size));
    rendered.function = function;
    rendered.function_width = (uint32_t)emit_width(function, rendered.function_size);
    text->frames[id] = rendered;
    return NULL;
}

/* The rendered frame ID; a failure goes to the sink and leaves empty texts. */
static inline const struct stack_text_frame *stack_text_frame(struct stack_text *text, uint32_t id)
{
    if (text->frames[id].function == NULL) {
        emit_sink_fail(text->sink, stack_text_render(text, id));
    }
    return &text->frames[id];
}

/* The role of a frame. */
static enum emit_role stack_text_role(uint32_t flags)
{
    return (flags & (stack_text_library | FRAME_NOT_GO | FRAME_ELIDED)) != 0 ? EMIT_DIM : EMIT_USER;
}

/* Writes a first column and a place, WIDTH columns apart. */
static void stack_text_line(struct stack_text *text, const struct stack_text_frame *frame,
                            size_t used, size_t width)
{
    if (frame->place_size == 0) {
        return;
    }
    emit_sink_add_spaces(text->sink, (used < width ? width - used : 0) + STACK_TEXT_GAP);
    emit_sink_add_bytes(text->sink, frame->place, frame->place_size);
}

/* Writes one frame. */
void stack_text_write_frame(struct stack_text *text, uint32_t frame)
{
    const struct stack_text_frame *rendered = stack_text_frame(text, frame);
    enum emit_role role = stack_text_role(rendered->flags);
    emit_style_begin(&text->style, text->sink, role);
    emit_sink_add_bytes(text->sink, rendered->function, rendered->function_size);
    stack_text_line(text, rendered, 0, 0);
    emit_style_end(&text->style, text->sink, role);
}

/* Whether a frame is hidden. */
static inline bool stack_text_hides(const struct stack_text *text,
                                    const struct stack_text_frame *frame)
{
    return text->user_frames && (frame->flags & stack_text_library) != 0;
}

/* The width of the first column: the widest name, but not wider than the maximum. */
static size_t stack_text_column(struct stack_text *text, const uint32_t *frames, size_t count)
{
    size_t width = 0;
    for (size_t i = 0; i < count; i++) {
        const struct stack_text_frame *frame = stack_text_frame(text, frames[i]);
        if (!stack_text_hides(text, frame) && frame->function_width > width &&
            (frame->flags & FRAME_ELIDED) == 0) {
            width = frame->function_width;
        }
    }
    return width < STACK_TEXT_COLUMN_MAX ? width : STACK_TEXT_COLUMN_MAX;
}

/* Writes the creator's line. */
static void stack_text_write_creator(struct stack_text *text,
                                     const struct stack_text_creator *creator, size_t width,
                                     size_t indent)
{
    if (creator->frame == 0) {
        if (creator->unknown) {
            emit_sink_add_spaces(text->sink, indent);
            emit_sink_add(text->sink, "created by ?\n");
        }
        return;
    }
    const struct stack_text_frame *frame = stack_text_frame(text, creator->frame);
    string_builder_clear(&text->scratch);
    if (creator->several) {
        string_builder_add(&text->scratch, " in several goroutines");
    } else if (creator->parent != 0) {
        string_builder_add(&text->scratch, " in goroutine ");
        string_builder_add_u64(&text->scratch, creator->parent);
    }
    size_t where = text->scratch.size;
    emit_sink_add_spaces(text->sink, indent);
    emit_sink_add(text->sink, "created by ");
    emit_sink_add_bytes(text->sink, frame->function, frame->function_size);
    emit_sink_add_builder(text->sink, &text->scratch);
    stack_text_line(text, frame, strlen("created by ") + frame->function_width + where, width);
    emit_sink_add(text->sink, "\n");
}

/* Writes the frames; returns how many were hidden. */
static size_t stack_text_write_frames(struct stack_text *text, const uint32_t *frames, size_t count,
                                      size_t width, size_t indent)
{
    size_t hidden = 0;
    for (size_t i = 0; i < count && !emit_sink_failed(text->sink); i++) {
        const struct stack_text_frame *frame = stack_text_frame(text, frames[i]);
        if (stack_text_hides(text, frame)) {
            hidden++;
            continue;
        }
        enum emit_role role = stack_text_role(frame->flags);
        emit_sink_add_spaces(text->sink, indent);
        emit_style_begin(&text->style, text->sink, role);
        emit_sink_add_bytes(text->sink, frame->function, frame->function_size);
        stack_text_line(text, frame, frame->function_width, width);
        emit_style_end(&text->style, text->sink, role);
        emit_sink_add(text->sink, "\n");
    }
    return hidden;
}

/* Writes a stack. */
void stack_text_write(struct stack_text *text, uint32_t stack,
                      const struct stack_text_creator *creator, size_t indent)
{
    size_t count;
    const uint32_t *frames = snapshot_stack(text->snapshot, stack, &count);
    size_t width = stack_text_column(text, frames, count);
    size_t hidden = stack_text_write_frames(text, frames, count, width, indent);
    if (hidden > 0) {
        text->hidden += hidden;
        emit_sink_add_spaces(text->sink, indent);
        emit_style_begin(&text->style, text->sink, EMIT_DIM);
        emit_sink_format(text->sink, "(%zu runtime and library frame%s hidden)", hidden,
                         hidden == 1 ? "" : "s");
        emit_style_end(&text->style, text->sink, EMIT_DIM);
        emit_sink_add(text->sink, "\n");
    }
    stack_text_write_creator(text, creator, width, indent);
}
