/* The paths of net/http/pprof that are about goroutines:
 *   /debug/pprof/               what there is
 *   /debug/pprof/goroutine      debug=0 (pprof, gzip), 1 (counted text), 2 (Go's traceback)
 *   /debug/pprof/goroutineleak  the same of those that are proved to leak; 2: all, the leaked
 * marked An answer is written to an unnamed file first: of a million goroutines it is larger than
 * memory should be, and its size is known before its first byte leaves. */
#include "http/pprof_endpoint.h"
#include "base/cleanup.h"
#include "emit/counted_write.h"
#include "emit/dump.h"
#include "emit/pprof_write.h"
#include "http/pprof_look.h"
#include "http/pprof_page.h"
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Version numbers of the pprof tool's "debug" parameter. */
enum { PPROF_DEBUG_PROFILE = 0, PPROF_DEBUG_COUNTED = 1, PPROF_DEBUG_TEXT = 2 };

struct pprof_endpoint {
    struct pprof_looks looks;
    char *name;  /* of the target */
    int process; /* readable when the target has ended; -1: it is no process */
    int gone;    /* readable when a look found it gone */
};

/* An empty file without a name, for this process alone. */
static struct error *pprof_endpoint_open_file(int *ret)
{
    const char *folder = getenv("TMPDIR");
    *ret = open(folder == NULL || *folder == '\0' ? "/tmp" : folder, O_TMPFILE | O_RDWR | O_CLOEXEC,
                0600);
    if (*ret < 0) {
        *ret = memfd_create("unpark-answer", MFD_CLOEXEC);
    }
    return *ret < 0 ? error_errno(errno, "no file for the answer") : NULL;
}

/* What a request wants. */
struct pprof_wish {
    bool leaks;
    int debug;
};

/* Writes LOOK as Go's traceback text. */
static struct error *pprof_endpoint_write_text(const struct pprof_look *look,
                                               struct emit_sink *sink)
{
    size_t count;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(look->snapshot, &count);
    CLEANUP_FREE uint32_t *selection = reallocarray(NULL, count + 1, sizeof *selection);
    if (selection == NULL) {
        return error_no_memory();
    }
    struct dump_view view = {
        .snapshot = look->snapshot, .selection = selection, .leaked = look->leaked};
    for (size_t i = 0; i < count; i++) {
        if ((goroutines[i].flags & GOROUTINE_SYSTEM) == 0) {
            selection[view.count++] = (uint32_t)i;
        }
    }
    return dump_go_write(&view, sink);
}

/* Writes what WISH wants of LOOK into SINK. */
static struct error *pprof_endpoint_write_look(const struct pprof_wish *wish,
                                               const struct pprof_look *look,
                                               struct emit_sink *sink)
{
    struct goroutine_counts_view counted = {
        .snapshot = look->snapshot, .leaked = look->leaked, .only_leaked = wish->leaks};
    struct pprof_view profile = {.snapshot = look->snapshot,
                                 .leaked = look->leaked,
                                 .kind = wish->leaks ? PPROF_LEAKS : PPROF_GOROUTINES};
    switch (wish->debug) {
    case PPROF_DEBUG_PROFILE:
        return pprof_write(&profile, sink);
    case PPROF_DEBUG_COUNTED:
        return counted_write(&counted, sink);
    default:
        return pprof_endpoint_write_text(look, sink);
    }
}

/* Writes the answer to WISH into a new file. */
static struct error *pprof_endpoint_write(const struct pprof_wish *wish,
                                          const struct pprof_look *look, int *ret)
{
    CLEANUP_CLOSE int descriptor = -1;
    struct emit_sink sink;
    TRY(pprof_endpoint_open_file(&descriptor));
    TRY(emit_sink_init(&sink, emit_sink_write_descriptor, &descriptor));
    struct error *error = pprof_endpoint_write_look(wish, look, &sink);
    emit_sink_deinit(&sink);
    TRY(error);
    *ret = descriptor;
    descriptor = -1;
    return NULL;
}

/* Answers that there is no answer, with MESSAGE, which it takes over. */
static void pprof_endpoint_refuse(struct http_answer *answer, unsigned status, char *message)
{
    answer->status = status;
    answer->type = NULL;
    answer->file_name = NULL;
    answer->text = message;
}

/* The status that tells a failed look. */
static unsigned pprof_endpoint_status(enum error_code code)
{
    return code == ERROR_INTERNAL ? MHD_HTTP_INTERNAL_SERVER_ERROR : MHD_HTTP_SERVICE_UNAVAILABLE;
}

/* Answers WISH with LOOK, NULL when memory was short. */
static void pprof_endpoint_answer(struct pprof_endpoint *endpoint, const struct pprof_wish *wish,
                                  const struct pprof_look *look, struct http_answer *answer)
{
    static const uint64_t one = 1;
    if (look == NULL || look->snapshot == NULL) {
        if (look != NULL && look->code == ERROR_GONE && endpoint->process >= 0) {
            (void)!write(endpoint->gone, &one, sizeof one);
        }
        const char *message =
            look == NULL || look->message == NULL ? "out of memory\n" : look->message;
        pprof_endpoint_refuse(
            answer, look == NULL ? MHD_HTTP_SERVICE_UNAVAILABLE : pprof_endpoint_status(look->code),
            strdup(message));
        return;
    }
    struct error *error = pprof_endpoint_write(wish, look, &answer->descriptor);
    if (error != NULL) {
        pprof_endpoint_refuse(answer, pprof_endpoint_status(error_code(error)),
                              strdup(error_message(error)));
        error_destroy(error);
        return;
    }
    answer->status = MHD_HTTP_OK;
    if (wish->debug == PPROF_DEBUG_PROFILE) {
        answer->type = "application/octet-stream";
        answer->file_name = wish->leaks ? "goroutineleak.pb.gz" : "goroutine.pb.gz";
    }
}

/* Answers with a profile. */
static void pprof_endpoint_profile(struct pprof_endpoint *endpoint, bool leaks,
                                   const struct http_request *request, struct http_answer *answer)
{
    const char *debug = http_request_query(request, "debug");
    long number = debug == NULL ? 0 : strtol(debug, NULL, 10); /* as net/http/pprof: 0 if none */
    struct pprof_wish wish = {.leaks = leaks,
                              .debug = number <= 0   ? PPROF_DEBUG_PROFILE
                                       : number == 1 ? PPROF_DEBUG_COUNTED
                                                     : PPROF_DEBUG_TEXT};
    if (http_request_query(request, "seconds") != NULL) {
        pprof_endpoint_refuse(answer, MHD_HTTP_BAD_REQUEST,
                              strdup("differences over time (seconds=) are not served: fetch "
                                     "twice, and use go tool pprof -diff_base\n"));
        return;
    }
    enum pprof_look_kind kind = leaks                            ? PPROF_LOOK_LEAKS
                                : wish.debug == PPROF_DEBUG_TEXT ? PPROF_LOOK_TEXT
                                                                 : PPROF_LOOK_COUNTS;
    struct pprof_look *look = pprof_looks_get(&endpoint->looks, kind);
    pprof_endpoint_answer(endpoint, &wish, look, answer);
    if (look != NULL) {
        pprof_looks_return(&endpoint->looks, look);
    }
}

/* Answers with the index page. */
static void pprof_endpoint_index(struct pprof_endpoint *endpoint,
                                 const struct http_request *request, struct http_answer *answer)
{
    struct pprof_look *look = pprof_looks_get(&endpoint->looks, PPROF_LOOK_COUNTS);
    struct pprof_wish none = {.debug = PPROF_DEBUG_COUNTED};
    if (look == NULL || look->snapshot == NULL) {
        pprof_endpoint_answer(endpoint, &none, look, answer);
    } else {
        struct error *error =
            pprof_page_make(look->snapshot, http_request_query(request, "token"), &answer->text);
        error_destroy(error);
        answer->status = error == NULL ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
        answer->type = error == NULL ? "text/html; charset=utf-8" : NULL;
    }
    if (look != NULL) {
        pprof_looks_return(&endpoint->looks, look);
    }
}

void pprof_endpoint_handle(void *context, const char *path, const struct http_request *request,
                           struct http_answer *answer)
{
    struct pprof_endpoint *endpoint = context;
    if (strcmp(path, "/debug/pprof/goroutine") == 0) {
        pprof_endpoint_profile(endpoint, false, request, answer);
    } else if (strcmp(path, "/debug/pprof/goroutineleak") == 0) {
        pprof_endpoint_profile(endpoint, true, request, answer);
    } else if (strcmp(path, "/debug/pprof/") == 0 || strcmp(path, "/debug/pprof") == 0 ||
               strcmp(path, "/") == 0) {
        pprof_endpoint_index(endpoint, request, answer);
    } else {
        pprof_endpoint_refuse(answer, MHD_HTTP_NOT_FOUND,
                              strdup("there is /debug/pprof/goroutine and "
                                     "/debug/pprof/goroutineleak; what else net/http/pprof serves "
                                     "cannot be read from outside\n"));
    }
}

/* Takes a first look: the target's name, and a descriptor that tells of its end. */
static struct error *pprof_endpoint_begin(struct pprof_endpoint *endpoint)
{
    struct snapshot *first;
    struct service_look request = {.labels = true};
    TRY(service_snapshot(endpoint->looks.options.service, &request, &first));
    int64_t pid = service_process(endpoint->looks.options.service);
    endpoint->name = strdup(snapshot_string(first, snapshot_program(first)->source));
    snapshot_destroy(first);
    if (endpoint->name == NULL) {
        return error_no_memory();
    }
    endpoint->gone = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (endpoint->gone < 0) {
        return error_errno(errno, "eventfd");
    }
    if (pid != 0) {
        endpoint->process = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    }
    return NULL;
}

struct error *pprof_endpoint_create(const struct pprof_endpoint_options *options,
                                    struct pprof_endpoint **ret)
{
    struct pprof_endpoint *endpoint = calloc(1, sizeof *endpoint);
    if (endpoint == NULL) {
        return error_no_memory();
    }
    endpoint->process = -1;
    endpoint->gone = -1;
    pprof_looks_init(&endpoint->looks, options);
    struct error *error = pprof_endpoint_begin(endpoint);
    if (error != NULL) {
        pprof_endpoint_destroy(endpoint);
        return error;
    }
    *ret = endpoint;
    return NULL;
}

void pprof_endpoint_destroy(struct pprof_endpoint *endpoint)
{
    if (endpoint == NULL) {
        return;
    }
    pprof_looks_deinit(&endpoint->looks);
    cleanup_close(&endpoint->process);
    cleanup_close(&endpoint->gone);
    free(endpoint->name);
    free(endpoint);
}

const char *pprof_endpoint_name(const struct pprof_endpoint *endpoint)
{
    return endpoint->name;
}

struct error *pprof_endpoint_wait(struct pprof_endpoint *endpoint, int descriptor)
{
    struct pollfd polled[] = {{.fd = descriptor, .events = POLLIN},
                              {.fd = endpoint->process, .events = POLLIN},
                              {.fd = endpoint->gone, .events = POLLIN}};
    while (poll(polled, sizeof polled / sizeof *polled, -1) < 0) {
        if (errno != EINTR) {
            return error_errno(errno, "poll");
        }
    }
    return polled[0].revents != 0 ? NULL : error_create(ERROR_GONE, "%s has ended", endpoint->name);
}
