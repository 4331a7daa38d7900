/* Every format that a snapshot can leave in: one record each, from which the choices of --format,
 * the help, the manual page and the meaning of a file's name derive. */
#ifndef UNPARK_EMIT_EXPORT_FORMAT_H
#define UNPARK_EMIT_EXPORT_FORMAT_H

#include "emit/export.h"

typedef struct error *export_write(const struct export_view *view, struct emit_sink *sink);

/* Whether a format has a place for findings. */
enum export_findings {
    EXPORT_FINDINGS_NONE,
    EXPORT_FINDINGS_ON_REQUEST, /* marks them when they were asked for */
    EXPORT_FINDINGS_ALWAYS
};

struct export_format {
    const char *name;              /* "speedscope" */
    const char *const *extensions; /* NULL-terminated, the usual one first: ".speedscope.json" */
    const char *summary;           /* one line, no full stop */
    bool single;                   /* is of goroutines, never of groups */
    bool each;                     /* can be of groups and of single goroutines */
    bool objects, arguments;       /* what it shows and a look must hold */
    enum export_findings findings;
    export_write *write;
};

/* The records, in display order. */
const struct export_format *export_formats(size_t *count);

/* The format of that name, or NULL. */
const struct export_format *export_format_find(const char *name);

/* The format that the name of the file at PATH ends with, the longest ending first; NULL for none.
 */
const struct export_format *export_format_of_file(const char *path);

#endif
