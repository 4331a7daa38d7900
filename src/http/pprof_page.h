/* The page at /debug/pprof/. */
#ifndef UNPARK_HTTP_PPROF_PAGE_H
#define UNPARK_HTTP_PPROF_PAGE_H

#include "base/error.h"
#include "snapshot/snapshot.h"

/* The page for SNAPSHOT as a heap string. TOKEN, of checked characters, goes into the links; NULL:
 * none. */
NODISCARD struct error *pprof_page_make(const struct snapshot *snapshot, const char *token,
                                        char **ret);

#endif
