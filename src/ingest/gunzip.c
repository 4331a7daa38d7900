/* RFC 1952 by zlib; window bits 15, plus 16 for gzip alone. */
#include "ingest/gunzip.h"
#include <stdbool.h>
#include <stdlib.h>
#include <zlib.h>

enum { GUNZIP_WINDOW = 15 + 16, GUNZIP_PIECE = 65536 };

struct gunzip {
    z_stream zlib;
    gunzip_take *take;
    void *context;
    uint64_t limit, given;
    bool complete; /* between members */
    uint8_t piece[GUNZIP_PIECE];
};

struct error *gunzip_create(gunzip_take *take, void *context, uint64_t limit, struct gunzip **ret)
{
    struct gunzip *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        return error_no_memory();
    }
    stream->take = take;
    stream->context = context;
    stream->limit = limit;
    if (inflateInit2(&stream->zlib, GUNZIP_WINDOW) != Z_OK) {
        free(stream);
        return error_no_memory();
    }
    *ret = stream;
    return NULL;
}

void gunzip_destroy(struct gunzip *stream)
{
    if (stream != NULL) {
        (void)inflateEnd(&stream->zlib);
        free(stream);
    }
}

bool gunzip_is_complete(const struct gunzip *stream)
{
    return stream->complete;
}

/* Passes on what the latest step made. */
static struct error *gunzip_pass(struct gunzip *stream)
{
    size_t made = GUNZIP_PIECE - stream->zlib.avail_out;
    if (stream->limit != 0 && made > stream->limit - stream->given) {
        return error_create(ERROR_LIMIT, "more than %llu MiB when decompressed",
                            (unsigned long long)(stream->limit >> 20));
    }
    stream->given += made;
    return made == 0 ? NULL : stream->take(stream->context, stream->piece, made);
}

/* One step of zlib. */
static struct error *gunzip_step(struct gunzip *stream)
{
    stream->zlib.next_out = stream->piece;
    stream->zlib.avail_out = GUNZIP_PIECE;
    int result = inflate(&stream->zlib, Z_NO_FLUSH);
    if (result == Z_MEM_ERROR) {
        return error_no_memory();
    }
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
        return error_create(ERROR_CORRUPT, "a broken gzip stream: %s",
                            stream->zlib.msg == NULL ? "it needs a dictionary" : stream->zlib.msg);
    }
    stream->complete = result == Z_STREAM_END;
    return gunzip_pass(stream);
}

struct error *gunzip_feed(struct gunzip *stream, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        uInt part = size < UINT32_MAX / 2 ? (uInt)size : UINT32_MAX / 2;
        stream->zlib.next_in = (Bytef *)(uintptr_t)bytes;
        stream->zlib.avail_in = part;
        do {
            if (stream->complete) {
                (void)inflateReset(&stream->zlib);
                stream->complete = false;
            }
            TRY(gunzip_step(stream));
        } while (stream->zlib.avail_in > 0 || (stream->zlib.avail_out == 0 && !stream->complete));
        bytes += part;
        size -= part;
    }
    return NULL;
}

size_t gunzip_head(const uint8_t *bytes, size_t size, uint8_t *ret, size_t capacity)
{
    z_stream zlib = {0};
    if (inflateInit2(&zlib, GUNZIP_WINDOW) != Z_OK) {
        return 0;
    }
    zlib.next_in = (Bytef *)(uintptr_t)bytes;
    zlib.avail_in = size < UINT32_MAX ? (uInt)size : UINT32_MAX;
    zlib.next_out = ret;
    zlib.avail_out = capacity < UINT32_MAX ? (uInt)capacity : UINT32_MAX;
    size_t room = zlib.avail_out;
    (void)inflate(&zlib, Z_SYNC_FLUSH);
    size_t made = room - zlib.avail_out;
    (void)inflateEnd(&zlib);
    return made;
}
