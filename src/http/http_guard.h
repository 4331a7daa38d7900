/* Who may ask a server of ours: pure decisions about what a request says. */
#ifndef UNPARK_HTTP_HTTP_GUARD_H
#define UNPARK_HTTP_HTTP_GUARD_H

#include "base/error.h"
#include "base/vector.h"
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Where a server listens. */
struct http_address {
    struct sockaddr_storage socket;
    socklen_t size;
    bool loopback; /* reached from this machine only */
    bool any;      /* every address of this machine */
};

enum {
    HTTP_TOKEN_BYTES = 16, /* of a generated token */
    HTTP_TOKEN_MIN = 16,   /* characters of a given one */
    HTTP_TOKEN_MAX = 128
};

/* What requests must bring along. Zero is empty; http_guard_deinit frees it. */
struct http_guard {
    VECTOR(char *) hosts; /* what Host may say, "127.0.0.1:6060", exactly */
    bool any_number;      /* besides: every numeric address with PORT, for listening everywhere */
    uint16_t port;
    bool tls;
    char *token; /* demanded, or NULL */
};

/* Where TEXT ("127.0.0.1:6060", "[::1]:0", "localhost:6060", ":6060" for every address) says. A
 * host must be numeric or localhost: names of other machines are none to listen at. ERROR_USAGE. */
NODISCARD struct error *http_guard_parse_address(const char *text, struct http_address *ret);

/* Lets Host name ADDRESS, which now has its port, in every way that it is usually written: loopback
 * as 127.0.0.1, localhost and [::1], another one as itself, all of them when it is every address.
 * The port is left out where it is the scheme's own. */
NODISCARD struct error *http_guard_set_address(struct http_guard *guard,
                                               const struct http_address *address);

/* Lets Host say NAME (of a machine, without port), too. */
NODISCARD struct error *http_guard_add_name(struct http_guard *guard, const char *name);

/* Demands TOKEN: HTTP_TOKEN_MIN to HTTP_TOKEN_MAX of A-Z a-z 0-9 . _ ~ -, else ERROR_USAGE. NULL: a
 * new one of 128 random bits. */
NODISCARD struct error *http_guard_set_token(struct http_guard *guard, const char *token);
void http_guard_deinit(struct http_guard *guard);

/* Whether HOST, the one Host header (NULL: none), is right: no prefix, suffix or other port will
 * do.
 */
bool http_guard_allows_host(const struct http_guard *guard, const char *host);

/* Whether the token is there: in AUTHORIZATION ("Bearer TOKEN") or as QUERY (the parameter token);
 * either may be NULL. True when none is demanded. Takes the same time for every wrong one. */
bool http_guard_allows_token(const struct http_guard *guard, const char *authorization,
                             const char *query);

/* Whether a browser that sends SITE (Sec-Fetch-Site) and ORIGIN, either may be NULL, asks of its
 * own and not for a page of somebody else. */
bool http_guard_allows_site(const struct http_guard *guard, const char *site, const char *origin);

#endif
