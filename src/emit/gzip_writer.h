/* Compressing what goes into a sink. The same bytes always give the same stream. */
#ifndef UNPARK_EMIT_GZIP_WRITER_H
#define UNPARK_EMIT_GZIP_WRITER_H

#include "emit/emit_sink.h"

struct gzip_writer;

/* A new gzip stream into SINK, which must outlive it. */
NODISCARD struct error *gzip_writer_create(struct emit_sink *sink, struct gzip_writer **ret);
void gzip_writer_destroy(struct gzip_writer *writer);

/* Appends SIZE bytes; failures stick in the sink. */
void gzip_writer_add(struct gzip_writer *writer, const void *bytes, size_t size);

/* Ends the stream; failures stick in the sink. */
void gzip_writer_finish(struct gzip_writer *writer);

#endif
