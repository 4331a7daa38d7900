/* RFC 1952 by zlib: no time and no name in the header, as fast as Go's own profiles. */
#include "emit/gzip_writer.h"
#include <stdlib.h>
#include <zlib.h>

enum { GZIP_WRITER_WINDOW = 15 + 16, GZIP_WRITER_MEMORY = 8, GZIP_WRITER_PIECE = 65536 };

struct gzip_writer {
    z_stream zlib;
    struct emit_sink *sink;
    char piece[GZIP_WRITER_PIECE];
};

struct error *gzip_writer_create(struct emit_sink *sink, struct gzip_writer **ret)
{
    struct gzip_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) {
        return error_no_memory();
    }
    writer->sink = sink;
    if (deflateInit2(&writer->zlib, Z_BEST_SPEED, Z_DEFLATED, GZIP_WRITER_WINDOW,
                     GZIP_WRITER_MEMORY, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(writer);
        return error_no_memory();
    }
    *ret = writer;
    return NULL;
}

void gzip_writer_destroy(struct gzip_writer *writer)
{
    if (writer != NULL) {
        (void)deflateEnd(&writer->zlib);
        free(writer);
    }
}

/* Compresses what is left of the input. */
static void gzip_writer_run(struct gzip_writer *writer, int flush)
{
    do {
        writer->zlib.next_out = (Bytef *)writer->piece;
        writer->zlib.avail_out = GZIP_WRITER_PIECE;
        (void)deflate(&writer->zlib, flush);
        emit_sink_add_bytes(writer->sink, writer->piece,
                            GZIP_WRITER_PIECE - writer->zlib.avail_out);
    } while (writer->zlib.avail_out == 0);
}

void gzip_writer_add(struct gzip_writer *writer, const void *bytes, size_t size)
{
    const Bytef *rest = bytes;
    while (size > 0 && !emit_sink_failed(writer->sink)) {
        uInt part = size < UINT32_MAX ? (uInt)size : UINT32_MAX;
        writer->zlib.next_in = (Bytef *)(uintptr_t)rest;
        writer->zlib.avail_in = part;
        gzip_writer_run(writer, Z_NO_FLUSH);
        rest += part;
        size -= part;
    }
}

void gzip_writer_finish(struct gzip_writer *writer)
{
    writer->zlib.next_in = NULL;
    writer->zlib.avail_in = 0;
    gzip_writer_run(writer, Z_FINISH);
}
