/* What a frame is, judged by names alone: for sources that tell a function and a file, but nothing
 * else about it. */
#ifndef UNPARK_INGEST_FRAME_KIND_H
#define UNPARK_INGEST_FRAME_KIND_H

#include <stdint.h>

/* FRAME_RUNTIME, FRAME_STANDARD_LIBRARY and FRAME_HIDDEN (which Go's traceback leaves out for
 * users) as they apply to FUNCTION, a name as Go prints it ("" unknown), in FILE ("" unknown). */
uint32_t frame_kind(const char *function, const char *file);

#endif
