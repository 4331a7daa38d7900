/* HTTP/1.1 by libmicrohttpd, which is loaded for the first server: a thread for each connection,
 * little memory for each request's head, and an end to connections that say nothing. Bodies of
 * requests are never read. */
#include "http/http_server.h"
#include "base/cleanup.h"
#include "base/library.h"
#include "base/string_builder.h"
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HTTP_HEAD_MAX = 16384, /* bytes of memory for a connection: its request's head must fit */
    HTTP_IDLE_SECONDS = 30,
    HTTP_BACKLOG = 64
};

/* What is used of libmicrohttpd. */
#define HTTP_SERVER_MHD(X)                                                                         \
    X(add_response_header)                                                                         \
    X(create_response_from_buffer)                                                                 \
    X(create_response_from_fd64)                                                                   \
    X(destroy_response)                                                                            \
    X(get_connection_values)                                                                       \
    X(lookup_connection_value) X(queue_response) X(start_daemon) X(stop_daemon)

static struct {
#define HTTP_SERVER_POINTER(name) __typeof__(MHD_##name) *name;
    HTTP_SERVER_MHD(HTTP_SERVER_POINTER)
} http_server_mhd;

struct http_server {
    struct MHD_Daemon *daemon;
    struct http_guard guard;
    http_handler *handler;
    void *context;
    char *url;
};

struct http_request {
    struct MHD_Connection *connection;
};

/* What every answer carries. */
static const char *const http_server_headers[][2] = {
    {"Cache-Control", "no-store"},
    {"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
                                "form-action 'none'; frame-ancestors 'none'"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Referrer-Policy", "no-referrer"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
};

const char *http_request_query(const struct http_request *request, const char *name)
{
    return http_server_mhd.lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND,
                                                   name);
}

const char *http_server_url(const struct http_server *server)
{
    return server->url;
}

const char *http_server_token(const struct http_server *server)
{
    return server->guard.token;
}

/* Turns ANSWER into a response; NULL when memory is short. */
static struct MHD_Response *http_server_make(struct http_answer *answer)
{
    struct stat status;
    if (answer->descriptor >= 0 && fstat(answer->descriptor, &status) == 0) {
        struct MHD_Response *response =
            http_server_mhd.create_response_from_fd64((uint64_t)status.st_size, answer->descriptor);
        answer->descriptor = response == NULL ? answer->descriptor : -1;
        return response;
    }
    size_t size = answer->text == NULL ? 0 : strlen(answer->text);
    struct MHD_Response *response = http_server_mhd.create_response_from_buffer(
        size, answer->text == NULL ? (void *)(uintptr_t) "" : answer->text,
        answer->text == NULL ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_FREE);
    answer->text = response == NULL ? answer->text : NULL;
    return response;
}

/* Adds the headers of ANSWER; false when memory is short. */
static bool http_server_add_headers(struct MHD_Response *response, const struct http_answer *answer)
{
    bool added = true;
    for (size_t i = 0; i < sizeof http_server_headers / sizeof *http_server_headers; i++) {
        added = added && http_server_mhd.add_response_header(response, http_server_headers[i][0],
                                                             http_server_headers[i][1]) == MHD_YES;
    }
    const char *type = answer->type == NULL ? "text/plain; charset=utf-8" : answer->type;
    added = added && http_server_mhd.add_response_header(response, "Content-Type", type) == MHD_YES;
    if (answer->file_name != NULL) {
        char disposition[128];
        snprintf(disposition, sizeof disposition, "attachment; filename=\"%s\"", answer->file_name);
        added = added && http_server_mhd.add_response_header(response, "Content-Disposition",
                                                             disposition) == MHD_YES;
    }
    if (answer->location != NULL) {
        added = added && http_server_mhd.add_response_header(response, "Location",
                                                             answer->location) == MHD_YES;
    }
    if (answer->status == MHD_HTTP_UNAUTHORIZED) {
        added = added && http_server_mhd.add_response_header(response, "WWW-Authenticate",
                                                             "Bearer") == MHD_YES;
    }
    if (answer->status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        added =
            added && http_server_mhd.add_response_header(response, "Allow", "GET, HEAD") == MHD_YES;
    }
    return added;
}

/* Sends ANSWER and frees what it holds. */
static enum MHD_Result http_server_send(struct MHD_Connection *connection,
                                        struct http_answer *answer)
{
    enum MHD_Result result = MHD_NO;
    struct MHD_Response *response = http_server_make(answer);
    if (response != NULL && http_server_add_headers(response, answer)) {
        result = http_server_mhd.queue_response(connection, answer->status, response);
    }
    if (response != NULL) {
        http_server_mhd.destroy_response(response);
    }
    cleanup_close(&answer->descriptor);
    free(answer->text);
    return result;
}

/* Counts the headers NAME of a request. */
struct http_server_count {
    const char *name;
    size_t count;
};

/* Counts one header. */
static enum MHD_Result http_server_count(void *context, enum MHD_ValueKind kind, const char *key,
                                         const char *value)
{
    (void)kind;
    (void)value;
    struct http_server_count *count = context;
    count->count += strcasecmp(key, count->name) == 0;
    return MHD_YES;
}

/* The one header NAME of a request; NULL when there is none or several. */
static const char *http_server_header(struct MHD_Connection *connection, const char *name)
{
    struct http_server_count count = {.name = name};
    (void)http_server_mhd.get_connection_values(connection, MHD_HEADER_KIND, http_server_count,
                                                &count);
    return count.count == 1
               ? http_server_mhd.lookup_connection_value(connection, MHD_HEADER_KIND, name)
               : NULL;
}

/* Whether a header NAME is there at all. */
static bool http_server_has_header(struct MHD_Connection *connection, const char *name)
{
    struct http_server_count count = {.name = name};
    (void)http_server_mhd.get_connection_values(connection, MHD_HEADER_KIND, http_server_count,
                                                &count);
    return count.count > 0;
}

/* Decides whether a request is to be answered: 200, or the status to refuse it with and why. */
static unsigned http_server_check(const struct http_server *server,
                                  struct MHD_Connection *connection, const char *method,
                                  const char **why)
{
    const char *host = http_server_header(connection, MHD_HTTP_HEADER_HOST);
    const char *origin = http_server_header(connection, MHD_HTTP_HEADER_ORIGIN);
    const char *site = http_server_header(connection, "Sec-Fetch-Site");
    bool twice = (origin == NULL && http_server_has_header(connection, MHD_HTTP_HEADER_ORIGIN)) ||
                 (site == NULL && http_server_has_header(connection, "Sec-Fetch-Site"));
    if (!http_guard_allows_host(&server->guard, host)) {
        *why = "this server does not go by that name: use the address that unpark printed, or give "
               "it the name with --host\n";
        return MHD_HTTP_MISDIRECTED_REQUEST;
    }
    if (twice || !http_guard_allows_site(&server->guard, site, origin)) {
        *why = "pages of others may not ask here\n";
        return MHD_HTTP_FORBIDDEN;
    }
    struct http_request request = {connection};
    if (!http_guard_allows_token(&server->guard,
                                 http_server_header(connection, MHD_HTTP_HEADER_AUTHORIZATION),
                                 http_request_query(&request, "token"))) {
        *why = "a token is needed: Authorization: Bearer TOKEN, or ?token=TOKEN\n";
        return MHD_HTTP_UNAUTHORIZED;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        *why = "only GET and HEAD\n";
        return MHD_HTTP_METHOD_NOT_ALLOWED;
    }
    return MHD_HTTP_OK;
}

/* Answers one request, as soon as its head is there. */
static enum MHD_Result http_server_answer(void *context, struct MHD_Connection *connection,
                                          const char *path, const char *method, const char *version,
                                          const char *upload, size_t *upload_size, void **state)
{
    static int seen;
    (void)version;
    (void)upload;
    struct http_server *server = context;
    struct http_answer answer = {.status = MHD_HTTP_NOT_FOUND, .descriptor = -1};
    const char *why = NULL;
    unsigned status = http_server_check(server, connection, method, &why);
    if (status != MHD_HTTP_OK) {
        answer.status = status;
        answer.text = strdup(why);
        return http_server_send(connection, &answer);
    }
    if (*state == NULL) {
        *state = &seen; /* libmicrohttpd sends answers that have a body at the second call only */
        return MHD_YES;
    }
    if (*upload_size != 0) {
        *upload_size = 0;
        return MHD_YES;
    }
    struct http_request request = {connection};
    server->handler(server->context, path, &request, &answer);
    return http_server_send(connection, &answer);
}

/* Leaves what libmicrohttpd would decode as it is: no name here needs decoding. */
static size_t http_server_keep(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

/* A socket that listens at ADDRESS; *ADDRESS then has the port that was found. */
static struct error *http_server_listen(struct http_address *address, int *ret)
{
    const int yes = 1;
    CLEANUP_CLOSE int descriptor =
        socket(address->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) {
        return error_errno(errno, "socket");
    }
    (void)setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(descriptor, (struct sockaddr *)&address->socket, address->size) != 0 ||
        listen(descriptor, HTTP_BACKLOG) != 0) {
        struct error *error = error_errno(errno, "cannot listen there");
        return error_advise(error, "give another address or port with --listen");
    }
    if (getsockname(descriptor, (struct sockaddr *)&address->socket, &address->size) != 0) {
        return error_errno(errno, "getsockname");
    }
    *ret = descriptor;
    descriptor = -1;
    return NULL;
}

/* Fills the guard: names that Host may say, and the token. */
static struct error *http_server_guard(struct http_server *server,
                                       const struct http_server_options *options)
{
    for (size_t i = 0; options->names != NULL && options->names[i] != NULL; i++) {
        TRY(http_guard_add_name(&server->guard, options->names[i]));
    }
    if (options->token != NULL || options->make_token) {
        TRY(http_guard_set_token(&server->guard, options->token));
    }
    return NULL;
}

/* Makes the address to open: the first that Host may say fits. */
static struct error *http_server_make_url(struct http_server *server,
                                          const struct http_address *address)
{
    const struct http_guard *guard = &server->guard;
    size_t at = address->loopback ? guard->hosts.count - 1 : 0; /* what is listened at comes last */
    struct string_builder url = {0};
    string_builder_add(&url, guard->tls ? "https://" : "http://");
    string_builder_add(&url, guard->hosts.items[at]);
    struct error *error = string_builder_take(&url, &server->url);
    string_builder_deinit(&url);
    return error;
}

/* Starts the threads on the socket LISTENING, which the daemon takes over. */
static struct error *http_server_start(struct http_server *server,
                                       const struct http_server_options *options, int listening,
                                       bool six)
{
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL;
    flags |= six ? (unsigned)MHD_USE_IPv6 : 0u;
    static const char versions[] = "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1";
    struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, options->certificate},
                                   {MHD_OPTION_HTTPS_MEM_KEY, 0, options->key},
                                   {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)versions},
                                   {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    bool secured = options->certificate != NULL;
    flags |= secured ? (unsigned)MHD_USE_TLS : 0u;
    server->daemon = http_server_mhd.start_daemon(
        flags, 0, NULL, NULL, http_server_answer, server, MHD_OPTION_LISTEN_SOCKET, listening,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)HTTP_IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_HEAD_MAX,
        MHD_OPTION_UNESCAPE_CALLBACK, http_server_keep, server, MHD_OPTION_ARRAY,
        secured ? tls : none, MHD_OPTION_END);
    if (server->daemon == NULL) {
        return secured
                   ? error_create(ERROR_USAGE, "cannot serve with these --cert and --key: one is "
                                               "damaged, or they are not of one pair")
                   : error_create(ERROR_IO, "cannot start to serve");
    }
    return NULL;
}

/* Loads libmicrohttpd, once. */
static struct error *http_server_load(void)
{
    static const char *const files[] = {"libmicrohttpd.so.12", NULL};
#define HTTP_SERVER_ROW(name) {"MHD_" #name, offsetof(__typeof__(http_server_mhd), name)},
    static const struct library_function functions[] = {HTTP_SERVER_MHD(HTTP_SERVER_ROW)};
    return http_server_mhd.start_daemon != NULL
               ? NULL
               : library_load(files, functions, sizeof functions / sizeof *functions,
                              &http_server_mhd);
}

struct error *http_server_create(const struct http_server_options *options,
                                 struct http_server **ret)
{
    struct http_address address = *options->address;
    CLEANUP_CLOSE int listening = -1;
    TRY(http_server_load());
    struct http_server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        return error_no_memory();
    }
    server->handler = options->handler;
    server->context = options->context;
    struct error *error = http_server_listen(&address, &listening);
    server->guard.tls = options->certificate != NULL;
    error = error != NULL ? error : http_guard_set_address(&server->guard, &address);
    error = error != NULL ? error : http_server_make_url(server, &address);
    error = error != NULL ? error : http_server_guard(server, options);
    if (error == NULL) {
        bool six = address.socket.ss_family == AF_INET6;
        error = http_server_start(server, options, listening, six);
    }
    if (error != NULL) {
        http_server_destroy(server);
        return error;
    }
    listening = -1;
    *ret = server;
    return NULL;
}

void http_server_destroy(struct http_server *server)
{
    if (server == NULL) {
        return;
    }
    if (server->daemon != NULL) {
        http_server_mhd.stop_daemon(server->daemon);
    }
    http_guard_deinit(&server->guard);
    free(server->url);
    free(server);
}
