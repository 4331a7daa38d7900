/* What leaves as a file: one view in many formats. export_format.h lists them. */
#ifndef UNPARK_EMIT_EXPORT_H
#define UNPARK_EMIT_EXPORT_H

#include "emit/dump.h"
#include "emit/leaks.h"

/* What to write. Everything is the caller's. */
struct export_view {
    struct dump_view dump; /* its groups are NULL only for formats and requests of single ones */
    const struct leaks_view *leaks;             /* findings, or NULL: not looked for */
    const char *leaks_obstacle;                 /* why there are no findings, or NULL */
    const struct finding_reference *references; /* who refers to what is waited for; or NULL */
    size_t reference_count;
};

/* A table (RFC 4180): a line for each group, or for each goroutine when VIEW has no groups, under a
 * line of headings. Cells that a spreadsheet would take for a formula begin with an apostrophe. */
NODISCARD struct error *export_csv_write(const struct export_view *view, struct emit_sink *sink);

/* Folded stacks: "main.main;main.run;[select] 12", one line for each distinct stack and state,
 * sorted; ';' in names is written ':'. */
NODISCARD struct error *export_folded_write(const struct export_view *view, struct emit_sink *sink);

/* speedscope's JSON: one sampled profile, a sample for each distinct stack and state, its weight
 * the number of goroutines. */
NODISCARD struct error *export_speedscope_write(const struct export_view *view,
                                                struct emit_sink *sink);

/* A pprof file: a goroutine count, and goroutineleak beside it when VIEW says what is leaked; with
 * groups as Go's own profile, without a sample for each goroutine with its id, state and age. */
NODISCARD struct error *export_pprof_write(const struct export_view *view, struct emit_sink *sink);

/* A flame graph as one SVG file that needs nothing else. */
NODISCARD struct error *export_flamegraph_write(const struct export_view *view,
                                                struct emit_sink *sink);

/* The wait graph, for Graphviz and for Mermaid; unpark graph has more to say of it. */
NODISCARD struct error *export_dot_write(const struct export_view *view, struct emit_sink *sink);
NODISCARD struct error *export_mermaid_write(const struct export_view *view,
                                             struct emit_sink *sink);

/* A report as one HTML file that needs nothing else. */
NODISCARD struct error *export_html_write(const struct export_view *view, struct emit_sink *sink);

#endif
