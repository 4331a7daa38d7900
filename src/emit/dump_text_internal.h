/* What the files of the text output share. */
#ifndef UNPARK_EMIT_DUMP_TEXT_INTERNAL_H
#define UNPARK_EMIT_DUMP_TEXT_INTERNAL_H

#include "emit/dump_internal.h"
#include "emit/stack_text.h"
#include "emit/wait_summary.h"

/* One run. */
struct dump_text {
    const struct dump_view *view;
    struct emit_sink *sink;
    struct stack_text stacks;
    struct wait_summarizer waits;
    struct string_builder scratch;
    bool no_ages, no_waits, no_labels; /* an account that tells them of no goroutine */
};

/* What is shown as one record: a group, or one goroutine. */
struct dump_text_record {
    const struct snapshot_goroutine *first;
    const uint32_t *members; /* indices */
    size_t count;            /* of members */
    uint64_t goroutines;     /* that they stand for */
    uint16_t flags;          /* that all members share */
    int64_t age_min_ns, age_max_ns;
    size_t age_unknown;
    bool labels_differ, parents_differ;
};

/* Writes what the record's goroutines wait for, a line each, indented by two columns. */
void dump_text_write_waits(struct dump_text *text, const struct dump_text_record *record);

/* Appends the scratch text to the sink and empties it. */
void dump_text_flush_scratch(struct dump_text *text);

/* Writes the program's line at the top and an empty line. */
void dump_text_write_program(struct dump_text *text);

/* Writes notes and the summary line; SHOWN goroutines were within the limit. */
void dump_text_write_summary(struct dump_text *text, uint64_t shown);

/* Writes a record's first line, its waits, ids, labels. */
void dump_text_write_head(struct dump_text *text, const struct dump_text_record *record);

#endif
