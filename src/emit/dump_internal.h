/* What the dump formats share. */
#ifndef UNPARK_EMIT_DUMP_INTERNAL_H
#define UNPARK_EMIT_DUMP_INTERNAL_H

#include "emit/dump.h"

/* Goroutines in VIEW, before its limit. */
size_t dump_view_count(const struct dump_view *view);

/* Index of the goroutine at POSITION of VIEW. */
static inline size_t dump_view_index(const struct dump_view *view, size_t position)
{
    return view->selection == NULL ? position : view->selection[position];
}

/* True for somebody's account of goroutines (a text, a profile): there was no memory to read, so
 * that what is not told is not worth a line each time. */
bool dump_is_account(const struct snapshot *snapshot);

/* COUNT groups or goroutines, cut by the view's limit. */
size_t dump_limit(const struct dump_view *view, size_t count);

#endif
