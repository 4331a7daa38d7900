/* Decompressing gzip in pieces: whatever the stream claims, memory holds one piece. */
#ifndef UNPARK_INGEST_GUNZIP_H
#define UNPARK_INGEST_GUNZIP_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gunzip;

/* Takes SIZE decompressed bytes. */
typedef struct error *gunzip_take(void *context, const uint8_t *bytes, size_t size);

/* A new stream, which gives what it decompresses to TAKE; more than LIMIT bytes are an ERROR_LIMIT
 * (0: any number). */
NODISCARD struct error *gunzip_create(gunzip_take *take, void *context, uint64_t limit,
                                      struct gunzip **ret);
void gunzip_destroy(struct gunzip *stream);

/* Gives it SIZE more bytes of the gzip stream. Members may follow each other. ERROR_CORRUPT, or
 * what TAKE returned. */
NODISCARD struct error *gunzip_feed(struct gunzip *stream, const uint8_t *bytes, size_t size);

/* Whether the stream has come to its end; a stream cut off before has given what it held. */
bool gunzip_is_complete(const struct gunzip *stream);

/* Decompresses the head of the SIZE bytes at BYTES into at most CAPACITY bytes at RET; returns how
 * many, 0 when it is no gzip stream. */
size_t gunzip_head(const uint8_t *bytes, size_t size, uint8_t *ret, size_t capacity);

#endif
