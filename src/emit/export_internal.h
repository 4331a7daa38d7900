/* What the files of the export formats share. */
#ifndef UNPARK_EMIT_EXPORT_INTERNAL_H
#define UNPARK_EMIT_EXPORT_INTERNAL_H

#include "base/string_builder.h"
#include "emit/export.h"
#include "emit/stack_text.h"
#include "emit/wait_summary.h"

/* Appends what a reader calls the program, "etcd v3.5.4": the last part of its import path, module
 * or executable, and its version. Not escaped. */
void export_add_program(struct string_builder *builder, const struct snapshot *snapshot);

/* Appends where and when: "process 4711, go1.26.11 linux/amd64, 2026-11-24 02:01:07 UTC". Not
 * escaped. */
void export_add_origin(struct string_builder *builder, const struct snapshot *snapshot);

/* Appends the state of goroutines: Go's wait reason, or the status. */
const char *export_state(uint8_t status, uint8_t wait_reason);

/* ---- the page ---- */

/* One page being written. */
struct export_page {
    const struct export_view *view;
    struct snapshot *snapshot;
    struct emit_sink *sink;
    struct wait_summarizer waits;
    struct string_builder scratch;
};

/* Writes what is in the page's scratch text, as text, and empties it. */
void export_page_flush(struct export_page *page);

/* Writes string ID of the target's as a name; "?" for 0. */
void export_page_string(struct export_page *page, uint32_t id);

/* Writes function and place of frame ID as <code>function</code> <span>file:line</span>. */
void export_page_frame(struct export_page *page, uint32_t id);

/* Writes STACK and who created it as a list. */
void export_page_stack(struct export_page *page, uint32_t stack,
                       const struct stack_text_creator *creator);

/* Writes " for 2m03s to 5m10s" as the text of a span, nothing when no age is known. */
void export_page_age(struct export_page *page, int64_t min_ns, int64_t max_ns);

/* Writes what COUNT goroutines wait for as paragraphs. */
void export_page_waits(struct export_page *page, const uint32_t *members, size_t count);

/* The sections. */
void export_page_findings(struct export_page *page);
void export_page_groups(struct export_page *page);
NODISCARD struct error *export_page_graph(struct export_page *page);

#endif
