/* Diagnostics to stderr, off unless the user asks (-v) or something degrades a result. */
#ifndef UNPARK_BASE_LOG_H
#define UNPARK_BASE_LOG_H

#include "base/error.h"

enum log_level { LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Receives each line that passes the level; TEXT has no newline. */
typedef void log_sink(enum log_level level, const char *text, void *context);

/* Sets where lines go and how many; a NULL sink (the start state) drops all. Not thread-safe: call
 * before threads start. */
void log_configure(enum log_level level, log_sink *sink, void *context);

/* One line about our own work, not a result. Bytes from targets must be escaped by the caller. */
void log_line(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
