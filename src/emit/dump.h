/* A snapshot's goroutines as text for people, as Go's own traceback, and as JSON. */
#ifndef UNPARK_EMIT_DUMP_H
#define UNPARK_EMIT_DUMP_H

#include "emit/emit_sink.h"
#include "emit/emit_style.h"
#include "emit/json_writer.h"
#include "snapshot/group.h"
#include "snapshot/snapshot.h"

/* Whether Go's text shows labels in its headers. */
enum dump_labels {
    DUMP_LABELS_AS_TARGET, /* as the target itself would: by its release and built-in GODEBUG */
    DUMP_LABELS_ALWAYS,    /* in the target's syntax, or in that of Go 1.27 where it has none */
    DUMP_LABELS_NEVER
};

/* What to show and how. Everything is the caller's. */
struct dump_view {
    struct snapshot *snapshot;       /* not const: an index may be built */
    const uint32_t *selection;       /* goroutines (indices) to show, in order; NULL: all */
    size_t count;                    /* of SELECTION */
    const struct group_list *groups; /* of SELECTION: shows groups; NULL: goroutines singly */
    size_t limit;                    /* groups or goroutines shown at most; 0: no limit */
    bool user_frames;                /* hide frames of the runtime and the standard library */
    struct emit_style style;         /* text for people only */
    enum dump_labels labels;         /* Go's text only */
    const uint8_t *leaked; /* by goroutine index: 1 marks it (leaked) in Go's text; or NULL */
};

/* What a view shows and what it leaves out. */
struct dump_counts {
    uint64_t user, system;                      /* goroutines of the whole snapshot */
    uint64_t selected;                          /* in the view */
    uint64_t system_hidden;                     /* system goroutines not in the view */
    uint64_t user_hidden;                       /* user goroutines not in the view */
    uint64_t by_status[GOROUTINE_STATUS_COUNT]; /* of the view */
};

/* Counts. */
void dump_count(const struct dump_view *view, struct dump_counts *ret);

/* The default output: groups or single goroutines, then one summary line. */
NODISCARD struct error *dump_text_write(const struct dump_view *view, struct emit_sink *sink);

/* Everything known about the goroutine at INDEX, and who else waits for the same. */
NODISCARD struct error *dump_text_write_goroutine(const struct dump_view *view, size_t index,
                                                  struct emit_sink *sink);

/* The text that runtime.Stack(buf, true) of the target's release prints for these goroutines; in
 * the selection's order (groups are ignored). A program of unknown release is printed as the
 * newest. ERROR_UNSUPPORTED when the source only counted some of them: Go's text needs ids. */
NODISCARD struct error *dump_go_write(const struct dump_view *view, struct emit_sink *sink);

/* One object of schema "unpark.dump/1" (docs/json.md). */
NODISCARD struct error *dump_json_write(const struct dump_view *view, struct emit_sink *sink);

/* The same as lines: each group or goroutine an object of its own, then {"summary": ...}. */
NODISCARD struct error *dump_json_write_lines(const struct dump_view *view, struct emit_sink *sink);

/* Writes the "target" object as dump_json_write does, for other JSON outputs. */
void dump_json_target(struct json_writer *writer, const struct snapshot *snapshot);

#endif
