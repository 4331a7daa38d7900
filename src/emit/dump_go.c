/* Go's own traceback text, as runtime/traceback.go of Go 1.18 to 1.27 prints it for runtime.Stack
 * with all: goroutineheader, traceback1 and traceback2 (gentraceback up to 1.20), printcreatedby.
 * What differs between releases: up to 1.20  the innermost 100 physical frames are walked, hidden
 * ones counted; the line about elided frames follows when exactly 100 were printed; no creator's id
 *   from 1.21   50 innermost and 50 outermost printed frames, "...N frames elided..." between;
 *               " in goroutine P" behind the creator
 *   1.24        ", synctest group N"; from 1.25 ", synctest bubble N" and " (durable)"
 *   from 1.26   " (leaked)", labels: inside the brackets in 1.26, behind them from 1.27
 * Each frame is rendered once, as pieces of text between its argument words; goroutines fill in
 * their words. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/vector.h"
#include "emit/dump_go_header.h"
#include "emit/dump_internal.h"
#include "layout/layout.h"
#include <stdalign.h>
#include <stdlib.h>

enum {
    DUMP_GO_LEGACY_MAX = 100, /* _TracebackMaxFrames, up to 1.20 */
    DUMP_GO_INNER = 50,       /* tracebackInnerFrames, from 1.21 */
    DUMP_GO_OUTER = 50,       /* tracebackOuterFrames */
    DUMP_GO_FIRST_WORDS = 256
};

static const char dump_go_word = '\001';

/* A rendered frame; text NULL: not yet. */
struct dump_go_frame {
    const char *text;
    const uint32_t *words; /* offsets in the text where argument words go, ascending */
    uint32_t size;
    uint32_t word_count;
    uint32_t args_first, args_end; /* the argument list in the text */
    bool hidden;
    bool hidden_first; /* panic: left out when nothing was printed before it */
    bool inlined;
    bool elided; /* a line that the source left in place of frames */
};

/* A rendered creator: the id goes in at SPLIT. */
struct dump_go_creator {
    const char *text; /* NULL: not yet */
    uint32_t size, split;
};

/* One run. */
struct dump_go {
    const struct dump_view *view;
    struct emit_sink *sink;
    struct dump_go_header header;
    struct dump_go_frame *frames;     /* by frame id */
    struct dump_go_creator *creators; /* by frame id */
    VECTOR(uint32_t) offsets;         /* words of the frame being rendered */
    struct arena texts;
    struct string_builder scratch;
    uint64_t *words;
    size_t word_capacity;
    size_t word_count;
    bool words_known; /* of the current goroutine */
};

/* Where a walk over a stack stands. */
struct dump_go_walk {
    size_t frame; /* first frame of the physical frame to go on with */
    size_t word;  /* argument words before it */
    size_t last;  /* logical frames counted within it */
    bool ended;   /* the walk reached the end of the stack */
};

/* Appends a string of the target's. */
static void dump_go_add_string(struct dump_go *run, struct string_builder *builder, uint32_t id)
{
    if (id == 0) {
        string_builder_add(builder, "?");
        return;
    }
    string_builder_add_escaped(builder, snapshot_string(run->view->snapshot, id),
                               snapshot_string_size(run->view->snapshot, id));
}

/* Appends the argument list and notes where its words go. */
static struct error *dump_go_add_arguments(struct dump_go *run, const struct snapshot_frame *frame)
{
    if ((frame->flags & FRAME_INLINED) != 0 || frame->arguments == 0) {
        string_builder_add(&run->scratch, "...");
        return NULL;
    }
    const char *text = snapshot_string(run->view->snapshot, frame->arguments);
    size_t left = snapshot_string_size(run->view->snapshot, frame->arguments);
    for (;;) {
        const char *word = memchr(text, dump_go_word, left);
        size_t size = word == NULL ? left : (size_t)(word - text);
        string_builder_add_escaped(&run->scratch, text, size);
        if (word == NULL) {
            return NULL;
        }
        TRY(vector_append(&run->offsets, (uint32_t)run->scratch.size));
        text = word + 1;
        left -= size + 1;
    }
}

/* Appends ":line +0x1d" and the end of the line. */
static void dump_go_add_place(struct dump_go *run, const struct snapshot_frame *frame, bool offset)
{
    string_builder_add_char(&run->scratch, '\t');
    dump_go_add_string(run, &run->scratch, frame->file);
    string_builder_add_char(&run->scratch, ':');
    string_builder_add_u64(&run->scratch, frame->line);
    if (offset && frame->entry_offset != UINT32_MAX && frame->entry_offset != 0) {
        string_builder_add(&run->scratch, " +");
        string_builder_add_hex(&run->scratch, frame->entry_offset);
    }
    string_builder_add_char(&run->scratch, '\n');
}

/* Appends C code as printCgoTraceback does. */
static void dump_go_add_foreign(struct dump_go *run, const struct snapshot_frame *frame)
{
    if (frame->function == 0) {
        string_builder_add(&run->scratch, "non-Go function at pc=");
    } else {
        dump_go_add_string(run, &run->scratch, frame->function);
        string_builder_add(&run->scratch, "\n\t");
        if (frame->file != 0) {
            dump_go_add_string(run, &run->scratch, frame->file);
            string_builder_format(&run->scratch, ":%u ", frame->line);
        }
        string_builder_add(&run->scratch, "pc=");
    }
    string_builder_add_hex(&run->scratch, frame->pc);
    string_builder_add_char(&run->scratch, '\n');
}

/* Appends the lines of an ordinary frame. */
static struct error *dump_go_add_frame(struct dump_go *run, const struct snapshot_frame *frame,
                                       struct dump_go_frame *ret)
{
    dump_go_add_string(run, &run->scratch, frame->function);
    string_builder_add_char(&run->scratch, '(');
    ret->args_first = (uint32_t)run->scratch.size;
    TRY(dump_go_add_arguments(run, frame));
    ret->args_end = (uint32_t)run->scratch.size;
    string_builder_add(&run->scratch, ")\n");
    dump_go_add_place(run, frame, (frame->flags & FRAME_INLINED) == 0);
    return NULL;
}

/* Appends what stands for frames that the source left out. */
static void dump_go_add_elided(struct dump_go *run, const struct snapshot_frame *frame)
{
    if (frame->line == 0) {
        string_builder_add(&run->scratch, "...additional frames elided...\n");
    } else {
        string_builder_format(&run->scratch, "...%u frames elided...\n", frame->line);
    }
}

/* Copies the scratch text to where it stays. */
static struct error *dump_go_keep_text(struct dump_go *run, const char **text, uint32_t *size)
{
    TRY(string_builder_error(&run->scratch));
    char *copy;
    TRY(arena_copy(&run->texts, string_builder_text(&run->scratch), run->scratch.size, &copy));
    *text = copy;
    *size = (uint32_t)run->scratch.size;
    return NULL;
}

/* Renders frame ID. */
static struct error *dump_go_render(struct dump_go *run, uint32_t id)
{
    const struct snapshot_frame *frame = snapshot_frame(run->view->snapshot, id);
    const char *function = snapshot_string(run->view->snapshot, frame->function);
    struct dump_go_frame rendered = {
        .hidden = (frame->flags & (FRAME_HIDDEN | FRAME_WRAPPER)) != 0,
        .hidden_first = strcmp(function, "panic") == 0 && (frame->flags & FRAME_RUNTIME) != 0,
        .inlined = (frame->flags & FRAME_INLINED) != 0,
        .elided = (frame->flags & FRAME_ELIDED) != 0,
    };
    string_builder_clear(&run->scratch);
    run->offsets.count = 0;
    if (rendered.elided) {
        dump_go_add_elided(run, frame);
    } else if ((frame->flags & FRAME_NOT_GO) != 0) {
        dump_go_add_foreign(run, frame);
    } else {
        TRY(dump_go_add_frame(run, frame, &rendered));
    }
    TRY(dump_go_keep_text(run, &rendered.text, &rendered.size));
    size_t bytes = run->offsets.count * sizeof *run->offsets.items;
    if (bytes > 0) {
        void *words;
        TRY(arena_allocate(&run->texts, bytes, alignof(uint32_t), &words));
        rendered.words = memcpy(words, run->offsets.items, bytes);
        rendered.word_count = (uint32_t)run->offsets.count;
    }
    run->frames[id] = rendered;
    return NULL;
}

/* The rendered frame ID; a failure goes to the sink and leaves an empty text. */
static inline const struct dump_go_frame *dump_go_frame(struct dump_go *run, uint32_t id)
{
    struct dump_go_frame *frame = &run->frames[id];
    if (__builtin_expect(frame->text == NULL, 0)) {
        emit_sink_fail(run->sink, dump_go_render(run, id));
    }
    return frame;
}

/* Writes a frame whose words are not known, or not all. */
static void dump_go_write_unknown(struct dump_go *run, const struct dump_go_frame *frame)
{
    emit_sink_add_bytes(run->sink, frame->text, frame->args_first);
    emit_sink_add(run->sink, "...");
    emit_sink_add_bytes(run->sink, frame->text + frame->args_end, frame->size - frame->args_end);
}

/* Writes a frame whose argument words begin at WORD. */
static void dump_go_write_frame(struct dump_go *run, const struct dump_go_frame *frame, size_t word)
{
    struct emit_sink *sink = run->sink;
    size_t room = frame->size + (size_t)frame->word_count * EMIT_SINK_HEX_ROOM;
    if (frame->word_count == 0) {
        emit_sink_add_bytes(sink, frame->text, frame->size);
        return;
    }
    if (!run->words_known || word + frame->word_count > run->word_count || room > sink->capacity) {
        dump_go_write_unknown(run, frame);
        return;
    }
    emit_sink_make_room(sink, room);
    char *at = sink->buffer + sink->size;
    uint32_t done = 0;
    for (uint32_t i = 0; i < frame->word_count; i++) {
        uint32_t size = frame->words[i] - done;
        memcpy(at, frame->text + done, size);
        at = emit_sink_put_hex(at + size, run->words[word + i]);
        done = frame->words[i];
    }
    memcpy(at, frame->text + done, frame->size - done);
    sink->size = (size_t)(at - sink->buffer) + frame->size - done;
}

/* Whether Go prints a frame when PRINTED came before it in this walk. */
static inline bool dump_go_shows(const struct dump_go_frame *frame, bool show_all, size_t printed)
{
    return show_all || !(frame->hidden || (frame->hidden_first && printed == 0));
}

/* Writes a stack in which nothing can be elided; returns the frames printed, with the source's own
 * lines for elided ones. */
static size_t dump_go_write_short(struct dump_go *run, const uint32_t *frames, size_t count,
                                  bool show_all)
{
    size_t printed = 0;
    size_t elided = 0;
    size_t word = 0;
    for (size_t i = 0; i < count; i++) {
        const struct dump_go_frame *frame = dump_go_frame(run, frames[i]);
        if (frame->elided || dump_go_shows(frame, show_all, printed)) {
            dump_go_write_frame(run, frame, word);
            printed += !frame->elided;
            elided += frame->elided;
        }
        word += frame->word_count;
    }
    return printed + elided;
}

/* traceback2: from where WALK stands, passes over SKIP printable frames, then prints up to MAX.
 * Returns how many it passed or printed; WALK is where it stopped. */
static size_t dump_go_write_part(struct dump_go *run, const uint32_t *frames, size_t count,
                                 bool show_all, size_t skip, size_t max, struct dump_go_walk *walk)
{
    size_t n = 0;
    size_t word = walk->word;
    walk->last = 0;
    for (size_t i = walk->frame; i < count; i++) {
        const struct dump_go_frame *frame = dump_go_frame(run, frames[i]);
        if (dump_go_shows(frame, show_all, n)) {
            if (skip == 0 && max == 0) {
                return n;
            }
            n++;
            walk->last++;
            if (skip > 0) {
                skip--;
            } else {
                max--;
                dump_go_write_frame(run, frame, word);
            }
        }
        word += frame->word_count;
        if (!frame->inlined) {
            *walk = (struct dump_go_walk){.frame = i + 1, .word = word};
        }
    }
    walk->ended = true;
    walk->last = 0;
    return n;
}

/* traceback1 from 1.21 on; returns the frames of the first part. */
static size_t dump_go_write_long(struct dump_go *run, const uint32_t *frames, size_t count,
                                 bool show_all)
{
    struct dump_go_walk walk = {0};
    size_t n = dump_go_write_part(run, frames, count, show_all, 0, DUMP_GO_INNER, &walk);
    if (n < DUMP_GO_INNER || walk.ended) {
        return n;
    }
    size_t last = walk.last;
    struct dump_go_walk rest = {.frame = walk.frame, .word = walk.word};
    size_t remaining = dump_go_write_part(run, frames, count, show_all, SIZE_MAX, 0, &rest);
    size_t elided = remaining > last + DUMP_GO_OUTER ? remaining - last - DUMP_GO_OUTER : 0;
    if (elided > 0) {
        emit_sink_format(run->sink, "...%zu frames elided...\n", elided);
    }
    walk.last = 0;
    (void)dump_go_write_part(run, frames, count, show_all, last + elided, DUMP_GO_OUTER, &walk);
    return n;
}

/* gentraceback up to 1.20. */
static size_t dump_go_write_legacy(struct dump_go *run, const uint32_t *frames, size_t count,
                                   bool show_all)
{
    size_t printed = 0;
    size_t physical = 0;
    size_t word = 0;
    for (size_t i = 0; i < count && physical < DUMP_GO_LEGACY_MAX; i++) {
        const struct dump_go_frame *frame = dump_go_frame(run, frames[i]);
        if (dump_go_shows(frame, show_all, printed)) {
            dump_go_write_frame(run, frame, word);
            printed++;
        }
        word += frame->word_count;
        physical += !frame->inlined;
    }
    if (printed == DUMP_GO_LEGACY_MAX) {
        emit_sink_add(run->sink, "...additional frames elided...\n");
    }
    return printed;
}

/* Whether the source itself has left frames out. */
static bool dump_go_is_elided(struct dump_go *run, const uint32_t *frames, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (dump_go_frame(run, frames[i])->elided) {
            return true;
        }
    }
    return false;
}

/* Writes a stack; when every frame is hidden, all are shown. */
static void dump_go_write_stack(struct dump_go *run, const uint32_t *frames, size_t count)
{
    size_t (*write)(struct dump_go *, const uint32_t *, size_t, bool) = dump_go_write_short;
    if (count >= DUMP_GO_INNER && !dump_go_is_elided(run, frames, count)) {
        write = run->header.minor <= 20 ? dump_go_write_legacy : dump_go_write_long;
    }
    if (write(run, frames, count, false) == 0) {
        (void)write(run, frames, count, true);
    }
}

/* Fetches the argument words of a goroutine. */
static struct error *dump_go_fetch_words(struct dump_go *run,
                                         const struct snapshot_goroutine *goroutine)
{
    run->words_known = goroutine->arguments != 0;
    run->word_count = 0;
    if (!run->words_known) {
        return NULL;
    }
    snapshot_arguments(run->view->snapshot, goroutine, run->words, run->word_capacity,
                       &run->word_count);
    if (run->word_count <= run->word_capacity) {
        return NULL;
    }
    uint64_t *words = realloc(run->words, run->word_count * sizeof *words);
    if (words == NULL) {
        run->words_known = false;
        return error_no_memory();
    }
    run->words = words;
    run->word_capacity = run->word_count;
    snapshot_arguments(run->view->snapshot, goroutine, run->words, run->word_capacity,
                       &run->word_count);
    return NULL;
}

/* Renders the creator FRAME. */
static struct error *dump_go_render_creator(struct dump_go *run, const struct snapshot_frame *frame,
                                            struct dump_go_creator *ret)
{
    string_builder_clear(&run->scratch);
    string_builder_add(&run->scratch, "created by ");
    dump_go_add_string(run, &run->scratch, frame->function);
    uint32_t split = (uint32_t)run->scratch.size;
    string_builder_add_char(&run->scratch, '\n');
    dump_go_add_place(run, frame, true);
    TRY(dump_go_keep_text(run, &ret->text, &ret->size));
    ret->split = split;
    return NULL;
}

/* Writes who created a goroutine; hidden functions and main's creator are not shown. */
static void dump_go_write_creator(struct dump_go *run, const struct snapshot_goroutine *goroutine)
{
    if (goroutine->creator == 0 || goroutine->id == 1) {
        return;
    }
    const struct snapshot_frame *frame = snapshot_frame(run->view->snapshot, goroutine->creator);
    if ((frame->flags & FRAME_HIDDEN) != 0) {
        return;
    }
    struct dump_go_creator *creator = &run->creators[goroutine->creator];
    if (creator->text == NULL) {
        emit_sink_fail(run->sink, dump_go_render_creator(run, frame, creator));
    }
    emit_sink_add_bytes(run->sink, creator->text, creator->split);
    if (goroutine->parent != 0 && run->header.minor >= 21) {
        emit_sink_add(run->sink, " in goroutine ");
        emit_sink_add_u64(run->sink, goroutine->parent);
    }
    if (creator->text != NULL) {
        emit_sink_add_bytes(run->sink, creator->text + creator->split,
                            creator->size - creator->split);
    }
}

/* Writes one goroutine. */
static void dump_go_write_goroutine(struct dump_go *run, size_t index)
{
    size_t all;
    const struct snapshot *snapshot = run->view->snapshot;
    const struct snapshot_goroutine *goroutine = &snapshot_goroutines(snapshot, &all)[index];
    bool leaked = run->view->leaked != NULL && run->view->leaked[index] != 0;
    dump_go_header_write(&run->header, snapshot, goroutine, leaked, run->sink);
    size_t count;
    const uint32_t *frames = snapshot_stack(snapshot, goroutine->stack, &count);
    if (count == 0) {
        emit_sink_add(run->sink, "\tgoroutine running on other thread; stack unavailable\n");
    } else {
        emit_sink_fail(run->sink, dump_go_fetch_words(run, goroutine));
        dump_go_write_stack(run, frames, count);
    }
    dump_go_write_creator(run, goroutine);
}

/* Sets a run up. */
static struct error *dump_go_init(struct dump_go *run, const struct dump_view *view,
                                  struct emit_sink *sink)
{
    *run = (struct dump_go){.view = view, .sink = sink};
    dump_go_header_init(&run->header, view);
    run->frames = calloc(snapshot_frame_count(view->snapshot) + 1, sizeof *run->frames);
    run->creators = calloc(snapshot_frame_count(view->snapshot) + 1, sizeof *run->creators);
    run->words = malloc(DUMP_GO_FIRST_WORDS * sizeof *run->words);
    run->word_capacity = DUMP_GO_FIRST_WORDS;
    bool complete = run->frames != NULL && run->creators != NULL && run->words != NULL;
    return complete ? NULL : error_no_memory();
}

/* Frees a run. */
static void dump_go_deinit(struct dump_go *run)
{
    free(run->frames);
    free(run->creators);
    vector_deinit(&run->offsets);
    free(run->words);
    arena_deinit(&run->texts);
    string_builder_deinit(&run->scratch);
}

/* Refuses a view in which the source only counted goroutines. */
static struct error *dump_go_check(const struct dump_view *view)
{
    size_t all;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(view->snapshot, &all);
    size_t count = dump_view_count(view);
    for (size_t i = 0; i < count; i++) {
        if ((goroutines[dump_view_index(view, i)].flags & GOROUTINE_ID_UNKNOWN) != 0) {
            struct error *error = error_create(
                ERROR_UNSUPPORTED,
                "%s counts goroutines without telling their ids and states, "
                "which Go's text consists of",
                snapshot_string(view->snapshot, snapshot_program(view->snapshot)->source));
            return error_advise(error, "use another format, or read the process, a core file or "
                                       "its text dump (debug=2)");
        }
    }
    return NULL;
}

/* Writes all goroutines of a view. */
struct error *dump_go_write(const struct dump_view *view, struct emit_sink *sink)
{
    TRY(dump_go_check(view));
    CLEANUP(dump_go_deinit) struct dump_go run;
    TRY(dump_go_init(&run, view, sink));
    size_t count = dump_limit(view, dump_view_count(view));
    for (size_t i = 0; i < count && !emit_sink_failed(sink); i++) {
        if (i > 0) {
            emit_sink_add_bytes(sink, "\n", 1);
        }
        dump_go_write_goroutine(&run, dump_view_index(view, i));
    }
    return emit_sink_flush(sink);
}
