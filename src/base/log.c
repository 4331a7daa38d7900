#include "base/log.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

/* Longer lines are cut: a log line must not allocate, it may report that memory is short. */
enum { LOG_LINE_SIZE = 1024 };

static enum log_level log_level_wanted = LOG_LEVEL_WARNING;
static log_sink *log_sink_wanted;
static void *log_sink_context;

/* Sets level and sink. */
void log_configure(enum log_level level, log_sink *sink, void *context)
{
    log_level_wanted = level;
    log_sink_wanted = sink;
    log_sink_context = context;
}

/* Formats one line and hands it to the sink. */
void log_line(enum log_level level, const char *format, ...)
{
    if (log_sink_wanted == NULL || level > log_level_wanted) {
        return;
    }
    char text[LOG_LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size >= 0) {
        log_sink_wanted(level, text, log_sink_context);
    }
}
