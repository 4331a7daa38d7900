/* runtime/pprof, printCountProfile and printStackRecord (ingest/counted_read.c has the grammar).
 * Blocks: most goroutines first, then by their text. Leading calls of the runtime and
 * runtime.goexit are not printed unless there is nothing else; columns are filled up with tabs of 8
 * as text/tabwriter does. Of calls that were inlined into each other the runtime prints addresses
 * of their own, while a snapshot knows one address of all: that one is printed. */
#include "emit/counted_write.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/vector.h"
#include "ingest/pprof_marks.h"
#include <string.h>

enum { COUNTED_TAB = 8 };

/* A block under its key: "@ 0xPC ...", and the labels. */
struct counted_block {
    const struct goroutine_count *count;
    const char *key;
};

/* One line of a block. */
struct counted_call {
    const struct snapshot_frame *frame;
    char *place;  /* "main.f+0x1d" */
    size_t width; /* of it, in characters */
};

/* One run. */
struct counted_run {
    const struct snapshot *snapshot;
    struct emit_sink *sink;
    struct string_builder scratch;
    struct arena texts; /* keys */
    VECTOR(struct counted_block) blocks;
    VECTOR(struct counted_call) calls; /* of the present block */
    VECTOR(char *) labels;             /* of the present block */
};

/* Frees the strings of the present block. */
static void counted_clear(struct counted_run *run)
{
    for (size_t i = 0; i < run->calls.count; i++) {
        free(run->calls.items[i].place);
    }
    for (size_t i = 0; i < run->labels.count; i++) {
        free(run->labels.items[i]);
    }
    run->calls.count = 0;
    run->labels.count = 0;
}

/* Frees a run. */
static void counted_deinit(struct counted_run *run)
{
    counted_clear(run);
    vector_deinit(&run->blocks);
    vector_deinit(&run->calls);
    vector_deinit(&run->labels);
    arena_deinit(&run->texts);
    string_builder_deinit(&run->scratch);
}

/* Appends string ID as by %q: what is not printable ASCII or well-formed UTF-8 is escaped. */
static void counted_add_quoted(struct counted_run *run, uint32_t id)
{
    const char *text = snapshot_string(run->snapshot, id);
    size_t size = snapshot_string_size(run->snapshot, id);
    static const char escaped[] = "\a\b\f\n\r\t\v\\\"";
    static const char letters[] = "abfnrtv\\\"";
    size_t plain = 0;
    string_builder_add_char(&run->scratch, '"');
    for (size_t i = 0; i <= size; i++) {
        const char *special = i < size && text[i] != '\0' ? strchr(escaped, text[i]) : NULL;
        if (i == size || special != NULL) {
            string_builder_add_escaped(&run->scratch, text + plain, i - plain);
            plain = i + 1;
        }
        if (special != NULL) {
            string_builder_add_char(&run->scratch, '\\');
            string_builder_add_char(&run->scratch, letters[special - escaped]);
        }
    }
    string_builder_add_char(&run->scratch, '"');
}

/* Ascending. */
static int counted_compare_labels(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

/* Appends the labels of set ID to the key, sorted. */
static struct error *counted_add_labels(struct counted_run *run, uint32_t id,
                                        struct string_builder *key)
{
    size_t count;
    const struct snapshot_label *labels = snapshot_labels(run->snapshot, id, &count);
    for (size_t i = 0; i < count; i++) {
        char *pair;
        counted_add_quoted(run, labels[i].key);
        string_builder_add_char(&run->scratch, ':');
        counted_add_quoted(run, labels[i].value);
        TRY(string_builder_take(&run->scratch, &pair));
        struct error *error = vector_append(&run->labels, pair);
        if (error != NULL) {
            free(pair);
            return error;
        }
    }
    if (count > 0) {
        qsort(run->labels.items, count, sizeof *run->labels.items, counted_compare_labels);
        string_builder_add(key, "\n# labels: {");
        for (size_t i = 0; i < count; i++) {
            string_builder_add(key, i == 0 ? "" : ", ");
            string_builder_add(key, run->labels.items[i]);
        }
        string_builder_add_char(key, '}');
    }
    return NULL;
}

/* Makes the key of COUNT. */
static struct error *counted_make_key(struct counted_run *run, const struct goroutine_count *count,
                                      const char **ret)
{
    CLEANUP(string_builder_deinit) struct string_builder key = {0};
    size_t frames;
    const uint32_t *stack = snapshot_stack(run->snapshot, count->stack, &frames);
    string_builder_add_char(&key, '@');
    for (size_t i = 0; i < frames; i++) {
        const struct snapshot_frame *frame = snapshot_frame(run->snapshot, stack[i]);
        if ((frame->flags & (FRAME_INLINED | FRAME_WRAPPER | FRAME_ELIDED)) == 0 &&
            frame->pc != 0) {
            string_builder_add_char(&key, ' ');
            string_builder_add_hex(&key, frame->pc + 1);
        }
    }
    struct error *error = counted_add_labels(run, count->labels, &key);
    counted_clear(run);
    TRY(error);
    TRY(string_builder_error(&key));
    char *copy;
    TRY(arena_copy(&run->texts, string_builder_text(&key), key.size, &copy));
    *ret = copy;
    return NULL;
}

/* Most goroutines first, then by key. */
static int counted_compare_blocks(const void *left, const void *right)
{
    const struct counted_block *a = left;
    const struct counted_block *b = right;
    int order = (b->count->goroutines > a->count->goroutines) -
                (b->count->goroutines < a->count->goroutines);
    return order != 0 ? order : strcmp(a->key, b->key);
}

/* Sorts COUNTS into the blocks. */
static struct error *counted_sort(struct counted_run *run, const struct goroutine_counts *counts)
{
    for (size_t i = 0; i < counts->count; i++) {
        struct counted_block block = {.count = &counts->items[i]};
        TRY(counted_make_key(run, block.count, &block.key));
        TRY(vector_append(&run->blocks, block));
    }
    if (run->blocks.count > 0) {
        qsort(run->blocks.items, run->blocks.count, sizeof *run->blocks.items,
              counted_compare_blocks);
    }
    return NULL;
}

/* Characters of UTF-8 text. */
static size_t counted_width(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

/* The name of FRAME as the linker has it. */
static const char *counted_name(const struct counted_run *run, const struct snapshot_frame *frame)
{
    const char *name = snapshot_string(run->snapshot, frame->function);
    return strcmp(name, "panic") == 0 ? "runtime.gopanic" : name;
}

/* Collects the calls of a stack; OUTER is the physical frame that each one is in. */
static struct error *counted_add_call(struct counted_run *run, const struct snapshot_frame *frame,
                                      const struct snapshot_frame *outer)
{
    struct counted_call call = {.frame = frame};
    const char *name = counted_name(run, frame);
    if ((frame->flags & FRAME_ELIDED) != 0) {
        string_builder_format(&run->scratch, "...%u frames elided...", frame->line);
    } else {
        string_builder_add_escaped(&run->scratch, name, strlen(name));
        if (outer->entry_offset != UINT32_MAX && outer->entry_offset != 0) {
            string_builder_add_char(&run->scratch, '+');
            string_builder_add_hex(&run->scratch, outer->entry_offset - 1);
        }
    }
    TRY(string_builder_take(&run->scratch, &call.place));
    call.width = counted_width(call.place);
    struct error *error = vector_append(&run->calls, call);
    if (error != NULL) {
        free(call.place);
    }
    return error;
}

/* True for a call that is not printed before one that is. */
static bool counted_is_leading(const char *name)
{
    return strncmp(name, "runtime.", strlen("runtime.")) == 0 ||
           strncmp(name, "internal/runtime/", strlen("internal/runtime/")) == 0;
}

/* Collects what is printed of stack ID; with EVERYTHING also leading calls of the runtime. */
static struct error *counted_collect(struct counted_run *run, uint32_t id, bool everything)
{
    size_t count;
    const uint32_t *stack = snapshot_stack(run->snapshot, id, &count);
    for (size_t i = 0; i < count; i++) {
        const struct snapshot_frame *frame = snapshot_frame(run->snapshot, stack[i]);
        const char *name = counted_name(run, frame);
        bool shown = everything || run->calls.count > 0 || !counted_is_leading(name);
        if ((frame->flags & FRAME_WRAPPER) != 0 || strcmp(name, "runtime.goexit") == 0 || !shown) {
            continue;
        }
        size_t outer = i;
        while (outer + 1 < count &&
               (snapshot_frame(run->snapshot, stack[outer])->flags & FRAME_INLINED) != 0) {
            outer++;
        }
        TRY(counted_add_call(run, frame, snapshot_frame(run->snapshot, stack[outer])));
    }
    return NULL;
}

/* Writes TEXT and tabs up to where a column of WIDTH characters ends. */
static void counted_pad(struct counted_run *run, const char *text, size_t size, size_t width)
{
    size_t column = (width + 1 + COUNTED_TAB - 1) / COUNTED_TAB * COUNTED_TAB;
    emit_sink_add(run->sink, text);
    for (size_t tabs = (column - size + COUNTED_TAB - 1) / COUNTED_TAB; tabs > 0; tabs--) {
        emit_sink_add_bytes(run->sink, "\t", 1);
    }
}

/* Writes the collected calls. */
static void counted_write_calls(struct counted_run *run)
{
    size_t addresses = 1;
    size_t places = 0;
    char text[24];
    for (size_t i = 0; i < run->calls.count; i++) {
        const struct counted_call *call = &run->calls.items[i];
        size_t size =
            call->frame->pc == 0 ? 1 : (size_t)(emit_sink_put_hex(text, call->frame->pc) - text);
        addresses = size > addresses ? size : addresses;
        places = call->width > places ? call->width : places;
    }
    for (size_t i = 0; i < run->calls.count; i++) {
        const struct counted_call *call = &run->calls.items[i];
        *emit_sink_put_hex(text, call->frame->pc) = '\0';
        const char *address = call->frame->pc == 0 ? "?" : text;
        const char *file = snapshot_string(run->snapshot, call->frame->file);
        emit_sink_add(run->sink, "#\t");
        if (call->width == 0) {
            emit_sink_add(run->sink, address);
        } else {
            counted_pad(run, address, strlen(address), addresses);
            counted_pad(run, call->place, call->width, places);
            emit_sink_add_escaped(run->sink, file, strlen(file));
            emit_sink_format(run->sink, ":%u",
                             (call->frame->flags & FRAME_ELIDED) != 0 ? 0 : call->frame->line);
        }
        emit_sink_add(run->sink, "\n");
    }
    emit_sink_add(run->sink, "\n");
}

/* Writes one block. */
static struct error *counted_write_block(struct counted_run *run, const struct counted_block *block)
{
    emit_sink_add_u64(run->sink, block->count->goroutines);
    emit_sink_add(run->sink, " ");
    emit_sink_add(run->sink, block->key);
    emit_sink_add(run->sink, "\n");
    struct error *error = counted_collect(run, block->count->stack, false);
    if (error == NULL && run->calls.count == 0) {
        error = counted_collect(run, block->count->stack, true);
    }
    if (error == NULL) {
        counted_write_calls(run);
    }
    counted_clear(run);
    return error;
}

struct error *counted_write(const struct goroutine_counts_view *view, struct emit_sink *sink)
{
    CLEANUP(goroutine_counts_deinit) struct goroutine_counts counts = {0};
    CLEANUP(counted_deinit) struct counted_run run = {.snapshot = view->snapshot, .sink = sink};
    struct goroutine_counts_view by_stack = *view;
    by_stack.by_state = false;
    by_stack.by_leak = false;
    TRY(goroutine_counts_init(&counts, &by_stack));
    TRY(counted_sort(&run, &counts));
    emit_sink_add(sink, view->only_leaked ? PPROF_MARKS_LEAK : PPROF_MARKS_GOROUTINE);
    emit_sink_add(sink, " profile: total ");
    emit_sink_add_u64(sink, counts.goroutines);
    emit_sink_add(sink, "\n");
    for (size_t i = 0; i < run.blocks.count && !emit_sink_failed(sink); i++) {
        TRY(counted_write_block(&run, &run.blocks.items[i]));
    }
    return emit_sink_flush(sink);
}
