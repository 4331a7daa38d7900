/* Findings as text for people and as JSON. */
#ifndef UNPARK_EMIT_LEAKS_H
#define UNPARK_EMIT_LEAKS_H

#include "emit/emit_sink.h"
#include "emit/emit_style.h"
#include "leak/finding.h"

/* How several looks went. Times are Unix time in nanoseconds; SNAPSHOT_UNKNOWN. */
struct leaks_watch {
    uint32_t looks; /* 0: one look only */
    int64_t first_ns, last_ns;
    uint64_t proofs_kept;                        /* proved earlier, not proved again */
    uint64_t proofs_lost;                        /* proved, and yet no longer in that wait */
    int64_t descriptors_first, descriptors_last; /* open; SNAPSHOT_UNKNOWN */
    int64_t threads_first, threads_last;         /* SNAPSHOT_UNKNOWN */
    bool interrupted;                            /* the user ended it early */
    const char *cut;                             /* why it ended early otherwise, or NULL */
};

/* What to show and how. Everything is the caller's. */
struct leaks_view {
    struct snapshot *snapshot; /* not const: an index may be built */
    const struct finding_verdict *verdicts;
    const struct finding_list *findings;
    bool only_proved;
    bool user_frames;    /* hide frames of the runtime and the standard library */
    size_t limit;        /* findings shown at most, with those behind them; 0: no limit */
    uint64_t stopped_ns; /* how long the program was stopped */
    uint32_t stops;      /* how often */
    uint64_t copied_bytes;
    uint64_t analysis_ns;
    bool consistent;      /* the memory was of one moment: proofs were possible */
    const char *obstacle; /* why nothing could be proved, or NULL */
    const char *witness;  /* path for the explained goroutine, lines; or NULL */
    uint64_t explain;     /* goid of the explained goroutine, which is there; 0 none */
    const char *target;   /* what the user named the program by, for advice; or NULL */
    struct leaks_watch watch;
    struct emit_style style;
};

/* Findings, worst first, then one summary line. */
NODISCARD struct error *leaks_text_write(const struct leaks_view *view, struct emit_sink *sink);

/* Why the goroutine at INDEX is or is not stuck. */
NODISCARD struct error *leaks_text_write_goroutine(const struct leaks_view *view, size_t index,
                                                   struct emit_sink *sink);

/* Appends FINDING in a few words: "60 goroutines in chan send at main.price.func1 main.go:42". */
NODISCARD struct error *leaks_text_describe(struct string_builder *builder,
                                            const struct snapshot *snapshot,
                                            const struct finding *finding);

/* One object of schema "unpark.leaks/1" (docs/json.md). */
NODISCARD struct error *leaks_json_write(const struct leaks_view *view, struct emit_sink *sink);

/* The same as lines: each finding that is shown an object of its own (leaks_json_write_line), then
 * schema, target and summary. */
NODISCARD struct error *leaks_json_write_lines(const struct leaks_view *view,
                                               struct emit_sink *sink);

/* Finding INDEX as a line {"look": N, "finding": {...}}, flushed. */
NODISCARD struct error *leaks_json_write_line(const struct leaks_view *view, size_t index,
                                              struct emit_sink *sink);

/* True when FINDING is to be shown in VIEW. */
bool leaks_shows(const struct leaks_view *view, const struct finding *finding);

/* Which of the findings are shown, those behind another directly after it. */
struct leaks_selection {
    size_t *items; /* indices into the view's findings */
    size_t count;
    size_t hidden;  /* left out */
    size_t *places; /* by index into the view's findings: place in items, SIZE_MAX: left out */
};
NODISCARD struct error *leaks_selection_init(struct leaks_selection *selection,
                                             const struct leaks_view *view);
void leaks_selection_deinit(struct leaks_selection *selection);

#endif
