/* A small HTTP server for one user's tools: every request is checked by a guard first (Host, token,
 * where it comes from, method), every answer carries the headers that keep browsers at bay. */
#ifndef UNPARK_HTTP_HTTP_SERVER_H
#define UNPARK_HTTP_HTTP_SERVER_H

#include "base/error.h"
#include "http/http_guard.h"

struct http_server;
struct http_request;

/* What to answer; the server takes over what it holds. */
struct http_answer {
    unsigned status;       /* 200 */
    const char *type;      /* of the content; static */
    const char *file_name; /* to save it by; static, or NULL */
    const char *location;  /* to go to instead; static, or NULL */
    char *text;            /* heap; the body, unless there is a descriptor */
    int descriptor;        /* of a file that is the body, from its start; -1 none */
};

/* Answers a GET or HEAD of PATH (undecoded, without query); other methods never come here. Called
 * by many threads at once. ANSWER starts as 404, with nothing else. */
typedef void http_handler(void *context, const char *path, const struct http_request *request,
                          struct http_answer *answer);

struct http_server_options {
    const struct http_address *address;
    const char *token;        /* demanded, or NULL */
    bool make_token;          /* demand a new one */
    const char *const *names; /* of this machine that Host may say, NULL-terminated; or NULL */
    char *certificate, *key;  /* PEM texts for TLS; NULL: plain HTTP. Until destroyed */
    http_handler *handler;
    void *context;
};

/* Listens and serves, by threads of its own, at most HTTP_CONNECTIONS_MAX at a time. */
enum { HTTP_CONNECTIONS_MAX = 32 };
NODISCARD struct error *http_server_create(const struct http_server_options *options,
                                           struct http_server **ret);

/* Ends: no more requests, those begun are finished. NULL is fine. */
void http_server_destroy(struct http_server *server);

/* The address to open, "http://127.0.0.1:6060", without a slash; lives as long as SERVER. */
const char *http_server_url(const struct http_server *server);

/* The token that requests must bring along, or NULL; lives as long as SERVER. */
const char *http_server_token(const struct http_server *server);

/* The parameter NAME of the query, undecoded, or NULL. */
const char *http_request_query(const struct http_request *request, const char *name);

#endif
