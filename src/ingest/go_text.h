/* Go's traceback text, fed in pieces: what runtime.Stack, debug=2, panics, fatal errors and SIGQUIT
 * print, alone or anywhere inside of a log. */
#ifndef UNPARK_INGEST_GO_TEXT_H
#define UNPARK_INGEST_GO_TEXT_H

#include "base/error.h"
#include "snapshot/snapshot.h"
#include <stddef.h>
#include <stdint.h>

struct go_text;

/* A new parser that fills BUILDER (as created; it must outlive the parser) with dump number DUMP of
 * the text, counted from 1; 0 is the last one. */
NODISCARD struct error *go_text_create(struct snapshot_builder *builder, uint64_t dump,
                                       struct go_text **ret);
void go_text_destroy(struct go_text *text);

/* Leaves out argument words, before anything is fed: who does not show them need not keep them. */
void go_text_leave_arguments(struct go_text *text);

/* The next SIZE bytes; pieces may end anywhere. */
NODISCARD struct error *go_text_feed(struct go_text *text, const char *bytes, size_t size);

/* The end of the text: completes BUILDER. ERROR_NOT_FOUND when there was no goroutine, or no dump
 * of that number. */
NODISCARD struct error *go_text_finish(struct go_text *text);

#endif
