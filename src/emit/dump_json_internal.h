/* What the files of the JSON output share. */
#ifndef UNPARK_EMIT_DUMP_JSON_INTERNAL_H
#define UNPARK_EMIT_DUMP_JSON_INTERNAL_H

#include "base/arena.h"
#include "emit/dump_internal.h"
#include "emit/json_writer.h"
#include "emit/wait_summary.h"

/* A frame rendered as JSON; text NULL: not yet. */
struct dump_json_frame {
    const char *text;
    size_t size;
};

/* One run. */
struct dump_json {
    const struct dump_view *view;
    struct json_writer writer;
    struct wait_summarizer waits;
    struct dump_json_frame *frames; /* by frame id */
    struct arena texts;
    struct string_builder scratch;
};

/* Writes frame ID as the value of NAME, null for 0. */
void dump_json_write_frame(struct dump_json *json, const char *name, uint32_t id);

/* Writes object INDEX as the value of NAME. */
void dump_json_write_object(struct dump_json *json, const char *name, uint32_t index);

/* Writes the string of ID as the value of NAME, null for 0. */
void dump_json_write_string(struct json_writer *writer, const struct snapshot *snapshot,
                            const char *name, uint32_t id);

/* Writes NS, Unix time, as the value of NAME: RFC 3339, null when unknown. */
void dump_json_write_time(struct json_writer *writer, const char *name, int64_t ns);

/* Writes the groups or goroutines within the limit, one by one; with LINES each is a line. */
void dump_json_write_items(struct dump_json *json, bool lines);

#endif
