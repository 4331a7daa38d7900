#include "service/service_file.h"
#include "base/cleanup.h"
#include "ingest/ingest.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct service_file {
    int descriptor; /* owned; -1 for a URL */
    char *name;     /* of a URL, the URL itself */
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

struct error *service_file_open_special(const char *text, struct service_file **ret)
{
    if (service_file_is_url(text)) {
        return error_create(ERROR_UNSUPPORTED, "%s: this build cannot fetch URLs", text);
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
    free(file);
}

const char *service_file_name(const struct service_file *file)
{
    return file->name;
}

struct error *service_file_read(struct service_file *file, struct snapshot_builder *builder)
{
    bool again = lseek(file->descriptor, 0, SEEK_SET) == 0;
    if (file->used && !again) {
        return error_advise(error_create(ERROR_USAGE, "a pipe can be read only once"),
                            "write it to a file first");
    }
    file->used = true;
    return ingest_read_descriptor(file->descriptor, file->dump, builder);
}
