/* Findings as text for people and as JSON. */
#ifndef UNPARK_EMIT_LEAKS_H
#define UNPARK_EMIT_LEAKS_H

#include "emit/emit_sink.h"
#include "emit/emit_style.h"
#include "leak/finding.h"

/* What to show and how. Everything is the caller's. */
struct leaks_view {
    struct snapshot *snapshot; /* not const: an index may be built */
    const struct finding_verdict *verdicts;
    const struct finding_list *findings;
    bool only_proved;
    bool user_frames;    /* hide frames of the runtime and the standard library */
    size_t limit;        /* findings shown at most; 0: no limit */
    uint64_t stopped_ns; /* how long the program was stopped */
    uint64_t copied_bytes;
    uint64_t analysis_ns;
    bool consistent;      /* the memory was of one moment: proofs were possible */
    const char *obstacle; /* why nothing could be proved, or NULL */
    const char *witness;  /* path for the explained goroutine, lines; or NULL */
    struct emit_style style;
};

/* Findings, worst first, then one summary line. */
NODISCARD struct error *leaks_text_write(const struct leaks_view *view, struct emit_sink *sink);

/* Why the goroutine at INDEX is or is not stuck. */
NODISCARD struct error *leaks_text_write_goroutine(const struct leaks_view *view, size_t index,
                                                   struct emit_sink *sink);

/* One object of schema "unpark.leaks/1" (docs/json.md). */
NODISCARD struct error *leaks_json_write(const struct leaks_view *view, struct emit_sink *sink);

/* True when FINDING is to be shown in VIEW. */
bool leaks_shows(const struct leaks_view *view, const struct finding *finding);

#endif
