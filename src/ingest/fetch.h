/* Fetching what is behind a URL. */
#ifndef UNPARK_INGEST_FETCH_H
#define UNPARK_INGEST_FETCH_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a URL that names a server, and not one of its documents, stands for. */
enum fetch_kind {
    FETCH_DOCUMENT, /* a path of its own: fetched as it is */
    FETCH_SERVER    /* http://host:6060 or .../debug/pprof/ : the server's profiles */
};

/* What URL (http or https) names; of a server the address of its profiles, ending in a slash, as a
 * heap string in *BASE_RET, else NULL. ERROR_USAGE when it is no such URL. */
NODISCARD struct error *fetch_examine(const char *url, enum fetch_kind *ret, char **base_ret);

/* URL without user and password, for people: a heap string. */
NODISCARD struct error *fetch_display(const char *url, char **ret);

/* Gets URL by http or https (redirects stay within them, and within https once it is) into the heap
 * block *RET. Connecting may take 10 seconds, silence last a minute, and all of it ten minutes;
 * more than LIMIT bytes are an ERROR_LIMIT. Nothing listening there, or no such host: ERROR_GONE.
 * 404: ERROR_NOT_FOUND. 401 and 403: ERROR_PERMISSION. Loopback addresses are asked without a
 * proxy, others through the one that the environment names. Messages name the address without user
 * and password. */
NODISCARD struct error *fetch_url(const char *url, size_t limit, uint8_t **ret, size_t *size_ret);

#endif
