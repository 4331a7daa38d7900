#include "service/service_file.h"
#include "base/cleanup.h"
#include "ingest/fetch.h"
#include "ingest/ingest.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More than a dump of a million goroutines takes; what the runtime prints ends at 64 MiB. */
#define SERVICE_FILE_FETCH_MAX ((size_t)1 << 30)

struct service_file {
    int descriptor; /* owned; -1 for a URL */
    char *name;     /* of a URL, the URL itself without user and password */
    char *url;      /* NULL for a file; of a server the address of its profiles, with a slash */
    bool server;    /* the URL names a server, which is asked for what it has */
    uint64_t dump;
    bool used;
};

/* True for what is fetched. */
static bool service_file_is_url(const char *text)
{
    return strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
}

bool service_file_is_special(const char *text)
{
    return strcmp(text, "-") == 0 || service_file_is_url(text);
}

/* Takes over DESCRIPTOR and NAME, a heap string or NULL when memory was short. */
static struct error *service_file_make(int descriptor, char *name, uint64_t dump,
                                       struct service_file **ret)
{
    struct service_file *file = name == NULL ? NULL : calloc(1, sizeof *file);
    if (file == NULL) {
        free(name);
        cleanup_close(&descriptor);
        return error_no_memory();
    }
    *file = (struct service_file){.descriptor = descriptor, .name = name, .dump = dump};
    *ret = file;
    return NULL;
}

struct error *service_file_create(int descriptor, const char *path, uint64_t dump,
                                  struct service_file **ret)
{
    char *name;
    if (asprintf(&name, "file %s", path) < 0) {
        name = NULL;
    }
    return service_file_make(descriptor, name, dump, ret);
}

/* Opens a URL; nothing is fetched yet. */
static struct error *service_file_open_url(const char *url, struct service_file **ret)
{
    enum fetch_kind kind;
    CLEANUP_FREE char *address = NULL;
    char *name = NULL;
    TRY(fetch_examine(url, &kind, &address));
    if (address == NULL && (address = strdup(url)) == NULL) {
        return error_no_memory();
    }
    TRY(fetch_display(url, &name));
    TRY(service_file_make(-1, name, INGEST_LAST_DUMP, ret));
    (*ret)->url = TAKE(address);
    (*ret)->server = kind == FETCH_SERVER;
    return NULL;
}

struct error *service_file_open_special(const char *text, struct service_file **ret)
{
    if (service_file_is_url(text)) {
        return service_file_open_url(text, ret);
    }
    if (isatty(STDIN_FILENO) == 1) {
        return error_advise(error_create(ERROR_USAGE, "standard input is a terminal"),
                            "pipe a dump into it: kubectl logs POD | unpark dump -");
    }
    int descriptor = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    if (descriptor < 0) {
        return error_errno(errno, "standard input");
    }
    return service_file_make(descriptor, strdup("standard input"), INGEST_LAST_DUMP, ret);
}

void service_file_close(struct service_file *file)
{
    if (file == NULL) {
        return;
    }
    cleanup_close(&file->descriptor);
    free(file->name);
    free(file->url);
    free(file);
}

const char *service_file_name(const struct service_file *file)
{
    return file->name;
}

/* Fetches the URL followed by TAIL. */
static struct error *service_file_fetch(const struct service_file *file, const char *tail,
                                        uint8_t **ret, size_t *size_ret)
{
    char *url;
    if (asprintf(&url, "%s%s", file->url, tail) < 0) {
        return error_no_memory();
    }
    struct error *error = fetch_url(url, SERVICE_FILE_FETCH_MAX, ret, size_ret);
    free(url);
    return error;
}

/* Lets the program look for leaks itself (Go 1.27): what it finds is marked in the text that it
 * prints afterwards. */
static struct error *service_file_ask_leaks(const struct service_file *file,
                                            struct snapshot_builder *builder)
{
    CLEANUP_FREE uint8_t *bytes = NULL;
    size_t size = 0;
    struct error *error = service_file_fetch(file, "goroutineleak?debug=1", &bytes, &size);
    if (error == NULL) {
        return NULL;
    }
    if (error_code(error) == ERROR_OUT_OF_MEMORY || error_code(error) == ERROR_GONE ||
        error_code(error) == ERROR_PERMISSION) {
        return error;
    }
    bool absent = error_code(error) == ERROR_NOT_FOUND;
    struct error *failure =
        absent ? snapshot_builder_note(builder, "the program has no goroutineleak profile of its "
                                                "own (Go 1.27 brings it)")
               : snapshot_builder_note(builder, "no leak profile: %s", error_message(error));
    error_destroy(error);
    return failure;
}

/* Reads what is behind a URL. */
static struct error *service_file_read_url(const struct service_file *file, bool arguments,
                                           struct snapshot_builder *builder)
{
    CLEANUP_FREE uint8_t *bytes = NULL;
    size_t size = 0;
    if (file->server) {
        TRY(service_file_ask_leaks(file, builder));
    }
    TRY(service_file_fetch(file, file->server ? "goroutine?debug=2" : "", &bytes, &size));
    struct ingest_wish wish = {.dump = file->dump, .arguments = arguments};
    return ingest_read(bytes, size, &wish, builder);
}

struct error *service_file_read(struct service_file *file, bool arguments,
                                struct snapshot_builder *builder)
{
    if (file->url != NULL) {
        return service_file_read_url(file, arguments, builder);
    }
    bool again = lseek(file->descriptor, 0, SEEK_SET) == 0;
    if (file->used && !again) {
        return error_advise(error_create(ERROR_USAGE, "a pipe can be read only once"),
                            "write it to a file first");
    }
    file->used = true;
    struct ingest_wish wish = {.dump = file->dump, .arguments = arguments};
    return ingest_read_descriptor(file->descriptor, &wish, builder);
}
