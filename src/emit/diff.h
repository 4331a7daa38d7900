/* A difference of two snapshots as text for people and as JSON. */
#ifndef UNPARK_EMIT_DIFF_H
#define UNPARK_EMIT_DIFF_H

#include "emit/emit_sink.h"
#include "emit/emit_style.h"
#include "snapshot/difference.h"

/* What to show and how. Everything is the caller's. */
struct diff_view {
    const struct difference *difference;
    struct snapshot *before, *after; /* that it compares */
    size_t limit;                    /* groups shown at most; 0: no limit */
    bool unchanged;                  /* show groups that did not change, too */
    bool all_frames;                 /* show frames of the runtime and the standard library */
    struct emit_style style;         /* text only */
};

/* Whether ITEM is to be shown. */
bool diff_shows(const struct diff_view *view, const struct difference_item *item);

/* What the comparison could not look at, one line each into TEXTS, which has room for
 * DIFF_NOTES_MAX; returns how many. Static. */
enum { DIFF_NOTES_MAX = 6 };
size_t diff_notes(const struct difference *difference, const char **texts);

/* Groups that changed, then one summary line. */
NODISCARD struct error *diff_text_write(const struct diff_view *view, struct emit_sink *sink);

/* One object of schema "unpark.diff/1" (docs/json.md). */
NODISCARD struct error *diff_json_write(const struct diff_view *view, struct emit_sink *sink);

#endif
