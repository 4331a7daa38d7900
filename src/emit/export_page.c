/* The parts of a page that several sections are made of. */
#include "emit/describe.h"
#include "emit/describe_waits.h"
#include "emit/export_internal.h"
#include "emit/markup.h"

/* Writes the scratch text. */
void export_page_flush(struct export_page *page)
{
    emit_sink_fail(page->sink, string_builder_error(&page->scratch));
    markup_add_name(page->sink, string_builder_text(&page->scratch), page->scratch.size);
    string_builder_clear(&page->scratch);
}

/* Writes a string of the target's. */
void export_page_string(struct export_page *page, uint32_t id)
{
    if (id == 0) {
        emit_sink_add(page->sink, "?");
        return;
    }
    markup_add_name(page->sink, snapshot_string(page->snapshot, id),
                    snapshot_string_size(page->snapshot, id));
}

/* Writes a frame. */
void export_page_frame(struct export_page *page, uint32_t id)
{
    if (id == 0) {
        emit_sink_add(page->sink, "<code>?</code>");
        return;
    }
    const struct snapshot_frame *frame = snapshot_frame(page->snapshot, id);
    emit_sink_add(page->sink, "<code>");
    if ((frame->flags & FRAME_ELIDED) != 0) {
        emit_sink_add(page->sink, "(frames that the source left out)");
    } else if (frame->function == 0 && (frame->flags & FRAME_NOT_GO) != 0) {
        emit_sink_add(page->sink, "(code outside Go)");
    } else {
        export_page_string(page, frame->function);
    }
    emit_sink_add(page->sink, "</code>");
    if (frame->file != 0) {
        emit_sink_add(page->sink, " <span class=\"at\">");
        export_page_string(page, frame->file);
        if (frame->line != 0) {
            emit_sink_format(page->sink, ":%u", frame->line);
        }
        emit_sink_add(page->sink, "</span>");
    }
}

/* The class of a frame's line. */
static const char *export_page_frame_class(uint32_t flags)
{
    return (flags & FRAME_RUNTIME) != 0 ? " class=\"rt\""
           : (flags & (FRAME_STANDARD_LIBRARY | FRAME_NOT_GO | FRAME_ELIDED)) != 0
               ? " class=\"std\""
               : "";
}

/* Writes who created goroutines. */
static void export_page_creator(struct export_page *page, const struct stack_text_creator *creator)
{
    if (creator->frame == 0) {
        return;
    }
    emit_sink_add(page->sink, "<li class=\"by\">created by ");
    export_page_frame(page, creator->frame);
    if (creator->several) {
        emit_sink_add(page->sink, " in several goroutines");
    } else if (creator->parent != 0) {
        emit_sink_format(page->sink, " in goroutine %llu", (unsigned long long)creator->parent);
    }
    emit_sink_add(page->sink, "</li>\n");
}

/* Writes a stack. */
void export_page_stack(struct export_page *page, uint32_t stack,
                       const struct stack_text_creator *creator)
{
    const uint32_t hidden =
        page->view->dump.user_frames ? FRAME_RUNTIME | FRAME_STANDARD_LIBRARY : 0;
    size_t count;
    const uint32_t *frames = snapshot_stack(page->snapshot, stack, &count);
    emit_sink_add(page->sink, "<ol class=\"stack\">\n");
    for (size_t i = 0; i < count && !emit_sink_failed(page->sink); i++) {
        const struct snapshot_frame *frame = snapshot_frame(page->snapshot, frames[i]);
        if ((frame->flags & hidden) == 0) {
            emit_sink_format(page->sink, "<li%s>", export_page_frame_class(frame->flags));
            export_page_frame(page, frames[i]);
            emit_sink_add(page->sink, "</li>\n");
        }
    }
    if (count == 0) {
        emit_sink_add(page->sink, "<li class=\"std\">the stack was not read</li>\n");
    }
    export_page_creator(page, creator);
    emit_sink_add(page->sink, "</ol>\n");
}

/* Writes how long. */
void export_page_age(struct export_page *page, int64_t min_ns, int64_t max_ns)
{
    if (max_ns == SNAPSHOT_UNKNOWN) {
        return;
    }
    struct string_builder longest = {0};
    describe_duration(&page->scratch, min_ns);
    describe_duration(&longest, max_ns);
    bool equal = page->scratch.text != NULL && longest.text != NULL &&
                 strcmp(page->scratch.text, longest.text) == 0;
    if (!equal) {
        string_builder_add(&page->scratch, " to ");
        string_builder_add(&page->scratch, string_builder_text(&longest));
    }
    string_builder_deinit(&longest);
    export_page_flush(page);
}

/* Writes what goroutines wait for. */
void export_page_waits(struct export_page *page, const uint32_t *members, size_t count)
{
    struct wait_summary summary;
    wait_summarizer_sum(&page->waits, members, count, &summary);
    if (summary.count == 0) {
        return;
    }
    emit_sink_add(page->sink, "<p class=\"object\">");
    emit_sink_fail(page->sink, describe_waits_line(&page->scratch, page->snapshot, &summary));
    export_page_flush(page);
    emit_sink_add(page->sink, "</p>\n");
}
