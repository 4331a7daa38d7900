/* Strings are interned once for all, so one that must go can only go with the table: a new one is
 * made of what is still referred to, and every reference is moved to it. */
#include "snapshot/scrub.h"
#include "base/cleanup.h"
#include "snapshot/snapshot_internal.h"
#include <stdlib.h>
#include <string.h>

enum { SCRUB_ADDRESS_DIGITS = 5 };

/* How a string is changed on its way into the new table. */
typedef void scrub_change(struct string_builder *builder, const char *text, size_t size);

/* One run. */
struct scrub {
    struct snapshot *snapshot;
    struct intern *strings;
    uint32_t *kept; /* by old id: the new id of a string that stays as it is; 0: not yet */
    struct string_builder scratch;
};

/* Frees a run. */
static void scrub_deinit(struct scrub *scrub)
{
    intern_destroy(scrub->strings);
    free(scrub->kept);
    string_builder_deinit(&scrub->scratch);
}

/* Moves the string of *ID as it is. */
static struct error *scrub_keep(struct scrub *scrub, uint32_t *id)
{
    if (*id == 0) {
        return NULL;
    }
    uint32_t *kept = &scrub->kept[*id];
    if (*kept == 0) {
        TRY(intern_add(scrub->strings, snapshot_string(scrub->snapshot, *id),
                       snapshot_string_size(scrub->snapshot, *id), kept));
    }
    *id = *kept;
    return NULL;
}

/* Moves the string of *ID changed by CHANGE; what becomes empty becomes unknown. */
static struct error *scrub_move(struct scrub *scrub, uint32_t *id, scrub_change *change)
{
    if (*id == 0) {
        return NULL;
    }
    string_builder_clear(&scrub->scratch);
    change(&scrub->scratch, snapshot_string(scrub->snapshot, *id),
           snapshot_string_size(scrub->snapshot, *id));
    TRY(string_builder_error(&scrub->scratch));
    *id = 0;
    return scrub->scratch.size == 0
               ? NULL
               : intern_add(scrub->strings, string_builder_text(&scrub->scratch),
                            scrub->scratch.size, id);
}

/* The size of the home directory that TEXT begins with ("/home/NAME", "/Users/NAME", "/root", each
 * perhaps behind a drive letter), 0 for none. */
static size_t scrub_home(const char *text, size_t size)
{
    static const struct {
        const char *prefix;
        bool named;
    } homes[] = {{"/home/", true}, {"/Users/", true}, {"/root/", false}, {"/var/root/", false}};
    size_t drive = size > 2 && text[1] == ':' ? 2 : 0;
    for (size_t i = 0; i < sizeof homes / sizeof *homes; i++) {
        size_t length = strlen(homes[i].prefix);
        if (size - drive < length || memcmp(text + drive, homes[i].prefix, length) != 0) {
            continue;
        }
        if (!homes[i].named) {
            return drive + length - 1;
        }
        const char *name = text + drive + length;
        const char *end = memchr(name, '/', size - drive - length);
        return end == NULL ? size : (size_t)(end - text);
    }
    return 0;
}

/* Appends a path without its home directory. */
static void scrub_path(struct string_builder *builder, const char *text, size_t size)
{
    size_t home = scrub_home(text, size);
    string_builder_add(builder, home > 0 ? "~" : "");
    string_builder_add_bytes(builder, text + home, size - home);
}

/* Appends the last part of a path. */
static void scrub_base(struct string_builder *builder, const char *text, size_t size)
{
    const char *slash = memrchr(text, '/', size);
    size_t skip = slash == NULL ? 0 : (size_t)(slash - text) + 1;
    string_builder_add_bytes(builder, text + skip, size - skip);
}

/* Appends where a snapshot came from: "core file /data/x/core" keeps the last part of its path, a
 * URL its scheme. */
static void scrub_source(struct string_builder *builder, const char *text, size_t size)
{
    const char *scheme = memmem(text, size, "://", 3);
    if (scheme != NULL) {
        string_builder_add_bytes(builder, text, (size_t)(scheme - text));
        string_builder_add(builder, "://...");
        return;
    }
    const char *slash = memchr(text, '/', size);
    if (slash == NULL) {
        string_builder_add_bytes(builder, text, size);
        return;
    }
    const char *start = slash;
    while (start > text && start[-1] != ' ') {
        start--;
    }
    string_builder_add_bytes(builder, text, (size_t)(start - text));
    scrub_base(builder, start, size - (size_t)(start - text));
}

/* Appends the name of a system call without its arguments. */
static void scrub_system_call(struct string_builder *builder, const char *text, size_t size)
{
    const char *arguments = memchr(text, '(', size);
    string_builder_add_bytes(builder, text, arguments == NULL ? size : (size_t)(arguments - text));
}

/* Appends the kind of a descriptor: its first word, and whether it listens. */
static void scrub_descriptor(struct string_builder *builder, const char *text, size_t size)
{
    const char *space = memchr(text, ' ', size);
    string_builder_add_bytes(builder, text, space == NULL ? size : (size_t)(space - text));
    if (space != NULL && memmem(space, size - (size_t)(space - text), " listening", 10) != NULL) {
        string_builder_add(builder, " listening");
    }
}

/* Whether a build setting can hold nothing but facts about the build. */
static bool scrub_is_harmless(const char *line, size_t size)
{
    static const char *const harmless[] = {
        "-buildmode=", "-compiler=",   "-race=",        "-msan=",         "-asan=", "-trimpath=",
        "GOOS=",       "GOARCH=",      "GOAMD64=",      "GOARM64=",       "vcs=",   "vcs.revision=",
        "vcs.time=",   "CGO_ENABLED=", "vcs.modified=", "DefaultGODEBUG="};
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) {
        size_t length = strlen(harmless[i]);
        if (size >= length && memcmp(line, harmless[i], length) == 0) {
            return true;
        }
    }
    return false;
}

/* Appends the harmless lines of the build settings. */
static void scrub_settings(struct string_builder *builder, const char *text, size_t size)
{
    while (size > 0) {
        const char *end = memchr(text, '\n', size);
        size_t line = end == NULL ? size : (size_t)(end - text);
        if (scrub_is_harmless(text, line)) {
            string_builder_add(builder, builder->size > 0 ? "\n" : "");
            string_builder_add_bytes(builder, text, line);
        }
        line += end != NULL;
        text += line;
        size -= line;
    }
}

/* The hexadecimal digits at TEXT. */
static size_t scrub_digits(const char *text, size_t size)
{
    size_t count = 0;
    while (count < size && memchr("0123456789abcdefABCDEF", text[count], 22) != NULL) {
        count++;
    }
    return count;
}

/* Appends a text without addresses and home directories. */
void scrub_text(struct string_builder *builder, const char *text, size_t size)
{
    size_t at = 0;
    while (at < size) {
        size_t digits = size - at > 2 && text[at] == '0' && text[at + 1] == 'x'
                            ? scrub_digits(text + at + 2, size - at - 2)
                            : 0;
        size_t home = text[at] == '/' && (at == 0 || memchr(" '\"(=:", text[at - 1], 6) != NULL)
                          ? scrub_home(text + at, size - at)
                          : 0;
        if (digits >= SCRUB_ADDRESS_DIGITS) {
            string_builder_add(builder, "0x...");
            at += 2 + digits;
        } else if (home > 0) {
            string_builder_add_char(builder, '~');
            at += home;
        } else {
            string_builder_add_char(builder, text[at++]);
        }
    }
}

/* Moves the program's identity. */
static struct error *scrub_program(struct scrub *scrub)
{
    struct snapshot_program *program = &scrub->snapshot->program;
    TRY(scrub_move(scrub, &program->source, scrub_source));
    TRY(scrub_move(scrub, &program->executable, scrub_base));
    TRY(scrub_move(scrub, &program->settings, scrub_settings));
    TRY(scrub_keep(scrub, &program->go_version));
    TRY(scrub_keep(scrub, &program->path));
    TRY(scrub_keep(scrub, &program->module));
    TRY(scrub_keep(scrub, &program->module_version));
    TRY(scrub_keep(scrub, &program->revision));
    TRY(scrub_keep(scrub, &program->build_id));
    return scrub_keep(scrub, &program->machine);
}

/* Cleans the frames. */
static struct error *scrub_frames(struct scrub *scrub)
{
    struct snapshot *snapshot = scrub->snapshot;
    for (size_t i = 0; i < snapshot->frames.count; i++) {
        struct snapshot_frame *frame = &snapshot->frames.items[i];
        frame->pc = 0;
        frame->arguments = 0;
        TRY(scrub_keep(scrub, &frame->function));
        TRY(scrub_move(scrub, &frame->file, scrub_path));
    }
    return NULL;
}

/* Cleans one object. */
static struct error *scrub_object(struct scrub *scrub, struct snapshot_object *object)
{
    object->address = 0;
    switch ((enum snapshot_object_kind)object->kind) {
    case OBJECT_CHANNEL:
        return scrub_keep(scrub, &object->channel.element_type);
    case OBJECT_SEMAPHORE:
        return scrub_keep(scrub, &object->semaphore.role);
    case OBJECT_DESCRIPTOR:
        return scrub_move(scrub, &object->descriptor.description, scrub_descriptor);
    case OBJECT_SYSTEM_CALL:
        return scrub_move(scrub, &object->system_call.text, scrub_system_call);
    case OBJECT_UNKNOWN:
    case OBJECT_NIL_CHANNEL:
    case OBJECT_EMPTY_SELECT:
    case OBJECT_MUTEX:
    case OBJECT_RWMUTEX:
    case OBJECT_WAIT_GROUP:
    case OBJECT_COND:
    case OBJECT_TIMER:
    case OBJECT_COROUTINE:
    case OBJECT_KIND_COUNT:
        break;
    }
    return NULL;
}

/* Cleans the objects. */
static struct error *scrub_objects(struct scrub *scrub)
{
    struct snapshot *snapshot = scrub->snapshot;
    for (size_t i = 0; i < snapshot->objects.count; i++) {
        TRY(scrub_object(scrub, &snapshot->objects.items[i]));
    }
    return NULL;
}

/* Cleans the goroutines and drops what they referred to. */
static void scrub_goroutines(struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->goroutines.count; i++) {
        struct snapshot_goroutine *goroutine = &snapshot->goroutines.items[i];
        goroutine->address = 0;
        goroutine->arguments = 0;
        if (goroutine->labels != 0) {
            goroutine->labels = 0;
            goroutine->flags |= GOROUTINE_LABELS_UNKNOWN;
        }
    }
    snapshot_words_deinit(&snapshot->words);
    vector_deinit(&snapshot->labels);
    vector_deinit(&snapshot->label_items);
}

/* Cleans the notes. */
static struct error *scrub_notes(struct scrub *scrub)
{
    struct snapshot *snapshot = scrub->snapshot;
    for (size_t i = 0; i < snapshot->notes.count; i++) {
        char *note;
        string_builder_clear(&scrub->scratch);
        scrub_text(&scrub->scratch, snapshot->notes.items[i], strlen(snapshot->notes.items[i]));
        TRY(string_builder_take(&scrub->scratch, &note));
        free(snapshot->notes.items[i]);
        snapshot->notes.items[i] = note;
    }
    return NULL;
}

/* Takes the secrets out. */
struct error *snapshot_scrub(struct snapshot *snapshot)
{
    CLEANUP(scrub_deinit) struct scrub scrub = {.snapshot = snapshot};
    scrub.kept = calloc(snapshot_string_count(snapshot) + 1, sizeof *scrub.kept);
    if (scrub.kept == NULL) {
        return error_no_memory();
    }
    TRY(intern_create(&scrub.strings));
    TRY(scrub_program(&scrub));
    TRY(scrub_frames(&scrub));
    TRY(scrub_objects(&scrub));
    TRY(scrub_notes(&scrub));
    scrub_goroutines(snapshot);
    struct intern *old = snapshot->strings;
    snapshot->strings = TAKE(scrub.strings);
    intern_destroy(old);
    return NULL;
}
