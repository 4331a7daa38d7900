/* HTTP by libcurl, which is loaded at the first URL. */
#include "ingest/fetch.h"
#include "base/cleanup.h"
#include "base/library.h"
#include "base/string_builder.h"
#include "base/vector.h"
/* Its checks of types are macros that call its functions by name. */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    FETCH_CONNECT_SECONDS = 10,
    FETCH_SILENCE_SECONDS = 60, /* a million goroutines take a server 16 s before the first byte */
    FETCH_SECONDS = 600,
    FETCH_REDIRECTS = 5,
    FETCH_REASON_MAX = 120 /* characters of a server's explanation that are shown */
};

/* What is used of it. */
#define FETCH_CURL(X)                                                                              \
    X(easy_cleanup)                                                                                \
    X(easy_getinfo)                                                                                \
    X(easy_init)                                                                                   \
    X(easy_perform)                                                                                \
    X(easy_setopt)                                                                                 \
    X(easy_strerror) X(free) X(global_init) X(url) X(url_cleanup) X(url_get) X(url_set)

static struct {
#define FETCH_POINTER(name) __typeof__(curl_##name) *name;
    FETCH_CURL(FETCH_POINTER)
} fetch_curl;

/* One transfer. */
struct fetch {
    CURL *curl;
    char *display; /* the URL for people */
    VECTOR(uint8_t) body;
    size_t limit;
    struct error *error; /* why the body was not taken */
    char reason[CURL_ERROR_SIZE];
};

/* Frees a URL. */
static void fetch_cleanup_parts(CURLU **parts)
{
    if (*parts != NULL) {
        fetch_curl.url_cleanup(*parts);
    }
}

/* Loads libcurl and sets its own state up, once for all threads. */
static struct error *fetch_load(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool loaded;
    static const char *const files[] = {"libcurl-gnutls.so.4", "libcurl.so.4", NULL};
#define FETCH_ROW(name) {"curl_" #name, offsetof(__typeof__(fetch_curl), name)},
    static const struct library_function functions[] = {FETCH_CURL(FETCH_ROW)};
    struct error *error = NULL;
    pthread_mutex_lock(&lock);
    if (!loaded) {
        error = library_load(files, functions, sizeof functions / sizeof *functions, &fetch_curl);
        loaded = error == NULL;
        if (loaded) {
            (void)fetch_curl.global_init(CURL_GLOBAL_DEFAULT);
        }
    }
    pthread_mutex_unlock(&lock);
    return error;
}

/* Parses URL; ERROR_USAGE when it is none of http or https. */
static struct error *fetch_parse(const char *url, CURLU **ret)
{
    TRY(fetch_load());
    CURLU *parts = fetch_curl.url();
    if (parts == NULL) {
        return error_no_memory();
    }
    CURLUcode code = fetch_curl.url_set(parts, CURLUPART_URL, url, 0);
    char *scheme = NULL;
    bool fits = code == CURLUE_OK &&
                fetch_curl.url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    fetch_curl.free(scheme);
    if (!fits) {
        fetch_curl.url_cleanup(parts);
        return code == CURLUE_OUT_OF_MEMORY
                   ? error_no_memory()
                   : error_create(ERROR_USAGE, "%.200s is no http or https URL", url);
    }
    *ret = parts;
    return NULL;
}

/* The whole of PARTS as a heap string. */
static struct error *fetch_print(CURLU *parts, char **ret)
{
    char *text = NULL;
    CURLUcode code = fetch_curl.url_get(parts, CURLUPART_URL, &text, 0);
    *ret = code == CURLUE_OK ? strdup(text) : NULL;
    fetch_curl.free(text);
    return *ret == NULL ? error_no_memory() : NULL;
}

struct error *fetch_display(const char *url, char **ret)
{
    CLEANUP(fetch_cleanup_parts) CURLU *parts = NULL;
    TRY(fetch_parse(url, &parts));
    (void)fetch_curl.url_set(parts, CURLUPART_USER, NULL, 0);
    (void)fetch_curl.url_set(parts, CURLUPART_PASSWORD, NULL, 0);
    return fetch_print(parts, ret);
}

struct error *fetch_examine(const char *url, enum fetch_kind *ret, char **base_ret)
{
    static const char *const server_paths[] = {"/", "/debug/pprof", "/debug/pprof/"};
    CLEANUP(fetch_cleanup_parts) CURLU *parts = NULL;
    TRY(fetch_parse(url, &parts));
    char *path = NULL;
    char *query = NULL;
    *ret = FETCH_DOCUMENT;
    *base_ret = NULL;
    if (fetch_curl.url_get(parts, CURLUPART_PATH, &path, 0) != CURLUE_OK) {
        return error_no_memory();
    }
    bool asks = fetch_curl.url_get(parts, CURLUPART_QUERY, &query, 0) == CURLUE_OK;
    for (size_t i = 0; i < sizeof server_paths / sizeof *server_paths && !asks; i++) {
        *ret = strcmp(path, server_paths[i]) == 0 ? FETCH_SERVER : *ret;
    }
    fetch_curl.free(path);
    fetch_curl.free(query);
    if (*ret == FETCH_DOCUMENT) {
        return NULL;
    }
    (void)fetch_curl.url_set(parts, CURLUPART_FRAGMENT, NULL, 0);
    if (fetch_curl.url_set(parts, CURLUPART_PATH, "/debug/pprof/", 0) != CURLUE_OK) {
        return error_no_memory();
    }
    return fetch_print(parts, base_ret);
}

/* Takes a piece of the body; libcurl stops when fewer bytes are taken than there are. */
static size_t fetch_take(char *bytes, size_t one, size_t size, void *context)
{
    (void)one;
    struct fetch *fetch = context;
    if (size > fetch->limit - fetch->body.count) {
        fetch->error =
            error_create(ERROR_LIMIT, "%s: more than %zu MiB", fetch->display, fetch->limit >> 20);
        return 0;
    }
    fetch->error = vector_reserve(&fetch->body, fetch->body.count + size);
    if (fetch->error != NULL) {
        return 0;
    }
    memcpy(fetch->body.items + fetch->body.count, bytes, size);
    fetch->body.count += size;
    return size;
}

/* True for a host that is this machine: no proxy leads there. */
static bool fetch_is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
           strcmp(host, "[::1]") == 0;
}

/* Sets a transfer of URL up. */
static struct error *fetch_init(struct fetch *fetch, const char *url)
{
    CLEANUP(fetch_cleanup_parts) CURLU *parts = NULL;
    TRY(fetch_parse(url, &parts));
    TRY(fetch_display(url, &fetch->display));
    char *host = NULL;
    char *scheme = NULL;
    fetch->curl = fetch_curl.easy_init();
    bool complete = fetch->curl != NULL &&
                    fetch_curl.url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                    fetch_curl.url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK;
    CURL *curl = fetch->curl;
    CURLcode code = CURLE_OUT_OF_MEMORY;
    if (complete) {
        const char *further = strcmp(scheme, "https") == 0 ? "https" : "http,https";
        code = fetch_curl.easy_setopt(curl, CURLOPT_URL, url);
        code = code != 0 ? code : fetch_curl.easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
        code =
            code != 0 ? code : fetch_curl.easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, further);
        code = code != 0 || !fetch_is_loopback(host)
                   ? code
                   : fetch_curl.easy_setopt(curl, CURLOPT_PROXY, "");
    }
    fetch_curl.free(host);
    fetch_curl.free(scheme);
    if (code == CURLE_OUT_OF_MEMORY) {
        return error_no_memory();
    }
    return code == CURLE_OK
               ? NULL
               : error_create(ERROR_INTERNAL, "libcurl: %s", fetch_curl.easy_strerror(code));
}

/* Sets what holds for every transfer. */
static struct error *fetch_configure(struct fetch *fetch)
{
    CURL *curl = fetch->curl;
    const struct {
        CURLoption option;
        long value;
    } numbers[] = {
        {CURLOPT_NOSIGNAL, 1},
        {CURLOPT_FOLLOWLOCATION, 1},
        {CURLOPT_MAXREDIRS, FETCH_REDIRECTS},
        {CURLOPT_CONNECTTIMEOUT, FETCH_CONNECT_SECONDS},
        {CURLOPT_LOW_SPEED_LIMIT, 1},
        {CURLOPT_LOW_SPEED_TIME, FETCH_SILENCE_SECONDS},
        {CURLOPT_TIMEOUT, FETCH_SECONDS},
    };
    CURLcode code = fetch_curl.easy_setopt(curl, CURLOPT_ERRORBUFFER, fetch->reason);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && code == CURLE_OK; i++) {
        code = fetch_curl.easy_setopt(curl, numbers[i].option, numbers[i].value);
    }
    code = code != 0 ? code
                     : fetch_curl.easy_setopt(curl, CURLOPT_USERAGENT, "unpark/" UNPARK_VERSION);
    code = code != 0 ? code : fetch_curl.easy_setopt(curl, CURLOPT_WRITEFUNCTION, fetch_take);
    code = code != 0 ? code : fetch_curl.easy_setopt(curl, CURLOPT_WRITEDATA, fetch);
    return code == CURLE_OK
               ? NULL
               : error_create(ERROR_INTERNAL, "libcurl: %s", fetch_curl.easy_strerror(code));
}

/* Frees a transfer. */
static void fetch_deinit(struct fetch *fetch)
{
    if (fetch->curl != NULL) {
        fetch_curl.easy_cleanup(fetch->curl);
    }
    vector_deinit(&fetch->body);
    free(fetch->display);
    error_destroy(fetch->error);
}

/* The error for a transfer that failed. */
static struct error *fetch_fail(struct fetch *fetch, CURLcode code)
{
    const char *reason = fetch->reason[0] != '\0' ? fetch->reason : fetch_curl.easy_strerror(code);
    if (fetch->error != NULL) {
        return TAKE(fetch->error);
    }
    switch (code) {
    case CURLE_OUT_OF_MEMORY:
        return error_no_memory();
    case CURLE_COULDNT_RESOLVE_HOST:
        return error_create(ERROR_GONE, "%s: there is no such host", fetch->display);
    case CURLE_COULDNT_CONNECT:
        return error_create(ERROR_GONE, "%s: nothing answers there (%s)", fetch->display, reason);
    case CURLE_OPERATION_TIMEDOUT:
        return error_create(ERROR_IO, "%s: too slow (%s)", fetch->display, reason);
    case CURLE_UNSUPPORTED_PROTOCOL:
        return error_create(ERROR_PERMISSION, "%s: it leads to another protocol: not followed",
                            fetch->display);
    case CURLE_PEER_FAILED_VERIFICATION:
        return error_advise(error_create(ERROR_PERMISSION,
                                         "%s: its certificate is not trusted (%s)", fetch->display,
                                         reason),
                            "have curl fetch it with --cacert FILE and pipe it into unpark dump -");
    default:
        return error_create(ERROR_IO, "%s: %s", fetch->display, reason);
    }
}

/* Appends the first line of what the server said. */
static void fetch_add_reason(const struct fetch *fetch, struct string_builder *text)
{
    size_t size = 0;
    while (size < fetch->body.count && size < FETCH_REASON_MAX && fetch->body.items[size] >= ' ' &&
           fetch->body.items[size] != '<') {
        size++;
    }
    if (size > 0) {
        string_builder_add(text, ": ");
        string_builder_add_escaped(text, (const char *)fetch->body.items, size);
    }
}

/* The error for an answer that is none, NULL for 200. */
static struct error *fetch_check_status(const struct fetch *fetch)
{
    long status = 0;
    (void)fetch_curl.easy_getinfo(fetch->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status == 200) {
        return NULL;
    }
    CLEANUP(string_builder_deinit) struct string_builder text = {0};
    string_builder_format(&text, "%s: the server answers %ld", fetch->display, status);
    fetch_add_reason(fetch, &text);
    TRY(string_builder_error(&text));
    if (status == 404) {
        return error_advise(error_create(ERROR_NOT_FOUND, "%s", text.text),
                            "the program has no pprof endpoint there: give another port or path, "
                            "or read the process itself (unpark dump PID)");
    }
    enum error_code code = status == 401 || status == 403 ? ERROR_PERMISSION : ERROR_IO;
    return error_create(code, "%s", text.text);
}

struct error *fetch_url(const char *url, size_t limit, uint8_t **ret, size_t *size_ret)
{
    CLEANUP(fetch_deinit) struct fetch fetch = {.limit = limit};
    TRY(fetch_init(&fetch, url));
    TRY(fetch_configure(&fetch));
    CURLcode code = fetch_curl.easy_perform(fetch.curl);
    if (code != CURLE_OK) {
        return fetch_fail(&fetch, code);
    }
    TRY(fetch_check_status(&fetch));
    *ret = TAKE(fetch.body.items);
    *size_ret = fetch.body.count;
    return NULL;
}
