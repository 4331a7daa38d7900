/* From bytes to the reader of their format. A text is passed on in pieces, decompressed or not; the
 * other formats are small and are read as a whole. */
#include "ingest/ingest.h"
#include "base/cleanup.h"
#include "base/vector.h"
#include "ingest/go_text.h"
#include "ingest/gunzip.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

CLEANUP_DEFINE(gunzip, struct gunzip, gunzip_destroy)
CLEANUP_DEFINE(go_text, struct go_text, go_text_destroy)

/* Small enough to be still in the processor's cache when it is parsed. */
enum { INGEST_PIECE = 1 << 16 };

/* A profile or a counted text beyond this is absurd: a million stacks of 50 frames are smaller. */
#define INGEST_WHOLE_MAX ((size_t)1 << 30)

/* Bytes held as a whole. */
struct ingest_whole {
    VECTOR(uint8_t) bytes;
};

/* Appends to the struct ingest_whole at CONTEXT. */
static struct error *ingest_whole_take(void *context, const uint8_t *bytes, size_t size)
{
    struct ingest_whole *whole = context;
    if (size > INGEST_WHOLE_MAX - whole->bytes.count) {
        return error_create(ERROR_LIMIT, "more than %zu MiB of profile", INGEST_WHOLE_MAX >> 20);
    }
    TRY(vector_reserve(&whole->bytes, whole->bytes.count + size));
    memcpy(whole->bytes.items + whole->bytes.count, bytes, size);
    whole->bytes.count += size;
    return NULL;
}

/* Frees WHOLE. */
static void ingest_whole_deinit(struct ingest_whole *whole)
{
    vector_deinit(&whole->bytes);
}

/* Passes bytes on to the struct go_text at CONTEXT. */
static struct error *ingest_text_take(void *context, const uint8_t *bytes, size_t size)
{
    return go_text_feed(context, (const char *)bytes, size);
}

/* Where the bytes of one source go. */
struct ingest_flow {
    gunzip_take *take;
    void *context;
    struct gunzip *gunzip; /* in between, or NULL */
};

/* Passes on SIZE bytes of the source. */
static struct error *ingest_flow_feed(struct ingest_flow *flow, const uint8_t *bytes, size_t size)
{
    return flow->gunzip != NULL ? gunzip_feed(flow->gunzip, bytes, size)
                                : flow->take(flow->context, bytes, size);
}

/* Reads up to SIZE bytes; fewer only at the end. */
static struct error *ingest_fill(int descriptor, uint8_t *bytes, size_t size, size_t *ret)
{
    *ret = 0;
    while (*ret < size) {
        ssize_t got = read(descriptor, bytes + *ret, size - *ret);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return error_errno(errno, "cannot read");
        }
        if (got == 0) {
            return NULL;
        }
        *ret += (size_t)got;
    }
    return NULL;
}

/* What is still to come of a source: bytes in memory (a head that was read already, or all), then
 * what DESCRIPTOR gives unless it is negative. */
struct ingest_source {
    const uint8_t *bytes;
    size_t size;
    int descriptor;
};

/* Passes all of SOURCE on to FLOW. */
static struct error *ingest_pump(const struct ingest_source *source, struct ingest_flow *flow)
{
    TRY(ingest_flow_feed(flow, source->bytes, source->size));
    if (source->descriptor < 0) {
        return NULL;
    }
    CLEANUP_FREE uint8_t *piece = malloc(INGEST_PIECE);
    if (piece == NULL) {
        return error_no_memory();
    }
    for (size_t got = INGEST_PIECE; got == INGEST_PIECE;) {
        TRY(ingest_fill(source->descriptor, piece, INGEST_PIECE, &got));
        TRY(ingest_flow_feed(flow, piece, got));
    }
    return NULL;
}

/* Reads a text in pieces. */
static struct error *ingest_text(const struct ingest_source *source, const struct ingest_wish *wish,
                                 struct snapshot_builder *builder)
{
    CLEANUP(cleanup_go_text) struct go_text *text = NULL;
    CLEANUP(cleanup_gunzip) struct gunzip *gunzip = NULL;
    TRY(go_text_create(builder, wish->dump, &text));
    if (!wish->arguments) {
        go_text_leave_arguments(text);
    }
    if (ingest_is_gzip(source->bytes, source->size)) {
        TRY(gunzip_create(ingest_text_take, text, 0, &gunzip));
    }
    struct ingest_flow flow = {ingest_text_take, text, gunzip};
    TRY(ingest_pump(source, &flow));
    TRY(go_text_finish(text));
    if (gunzip != NULL && !gunzip_is_complete(gunzip)) {
        return snapshot_builder_note(builder,
                                     "the gzip stream is cut off: goroutines may be missing");
    }
    return NULL;
}

/* Reads a format that is read as a whole; gzip is taken off a text, while pprof's reader does that
 * itself. */
static struct error *ingest_profile(const struct ingest_source *source, enum ingest_format format,
                                    struct snapshot_builder *builder)
{
    CLEANUP(ingest_whole_deinit) struct ingest_whole whole = {0};
    CLEANUP(cleanup_gunzip) struct gunzip *gunzip = NULL;
    bool unpack = format == INGEST_COUNTED_TEXT && ingest_is_gzip(source->bytes, source->size);
    if (unpack) {
        TRY(gunzip_create(ingest_whole_take, &whole, INGEST_WHOLE_MAX, &gunzip));
    }
    if (unpack || source->descriptor >= 0) {
        struct ingest_flow flow = {ingest_whole_take, &whole, gunzip};
        TRY(ingest_pump(source, &flow));
    }
    bool held = unpack || source->descriptor >= 0;
    const uint8_t *bytes = held ? whole.bytes.items : source->bytes;
    size_t size = held ? whole.bytes.count : source->size;
    return format == INGEST_PPROF ? ingest_pprof_read(bytes, size, builder)
                                  : ingest_counted_read(bytes, size, builder);
}

/* What to do about bytes that no reader takes. */
static const char *ingest_advice(const struct ingest_source *source)
{
    const uint8_t *bytes = source->bytes;
    bool wide = source->size >= 2 &&
                ((bytes[0] == 0xff && bytes[1] == 0xfe) || (bytes[0] == 0xfe && bytes[1] == 0xff));
    return wide ? "it is UTF-16, as PowerShell writes it: iconv -f UTF-16 -t UTF-8 FILE | unpark "
                  "dump -"
                : "give Go's text (debug=2, SIGQUIT, a crash log), a goroutine profile or a core "
                  "file";
}

/* Recognises SOURCE and reads it. */
static struct error *ingest_any(const struct ingest_source *source, const struct ingest_wish *wish,
                                struct snapshot_builder *builder)
{
    enum ingest_format format = ingest_recognize(source->bytes, source->size);
    if (format == INGEST_GO_TEXT) {
        return ingest_text(source, wish, builder);
    }
    if (format == INGEST_UNKNOWN) {
        return error_advise(
            error_create(ERROR_NOT_GO, source->size == 0
                                           ? "it is empty"
                                           : "neither a core file, nor a goroutine dump, nor a "
                                             "goroutine profile"),
            "%s", ingest_advice(source));
    }
    if (wish->dump > 1) {
        return error_create(ERROR_USAGE, "a profile holds one dump, not %llu",
                            (unsigned long long)wish->dump);
    }
    return ingest_profile(source, format, builder);
}

struct error *ingest_read(const uint8_t *bytes, size_t size, const struct ingest_wish *wish,
                          struct snapshot_builder *builder)
{
    struct ingest_source source = {bytes, size, -1};
    return ingest_any(&source, wish, builder);
}

struct error *ingest_read_descriptor(int descriptor, const struct ingest_wish *wish,
                                     struct snapshot_builder *builder)
{
    size_t got = 0;
    CLEANUP_FREE uint8_t *head = malloc(INGEST_HEAD_SIZE);
    if (head == NULL) {
        return error_no_memory();
    }
    TRY(ingest_fill(descriptor, head, INGEST_HEAD_SIZE, &got));
    struct ingest_source source = {head, got, got == INGEST_HEAD_SIZE ? descriptor : -1};
    return ingest_any(&source, wish, builder);
}

struct error *ingest_go_text_read(const uint8_t *bytes, size_t size,
                                  struct snapshot_builder *builder)
{
    struct ingest_source source = {bytes, size, -1};
    struct ingest_wish wish = {.dump = INGEST_LAST_DUMP, .arguments = true};
    return ingest_text(&source, &wish, builder);
}
