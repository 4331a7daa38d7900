#include "cli/output.h"
#include "base/cleanup.h"
#include "cli/signals.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OUTPUT_PIPE = 1 << 20 };

/* The complaint that PATH cannot be written; the fault is the output's, whatever errno says. */
static struct error *output_error(const char *path, int number)
{
    return error_create(ERROR_IO, "--output: cannot write '%s': %s", path, strerror(number));
}

/* The folder of PATH as a heap string, or NULL. */
static char *output_folder(const char *path)
{
    CLEANUP_FREE char *copy = strdup(path);
    return copy == NULL ? NULL : strdup(dirname(copy));
}

/* Opens a named temporary file beside OUTPUT's path, for file systems without nameless ones. */
static struct error *output_open_named(struct output *output, const char *path)
{
    sigset_t old;
    if (asprintf(&output->temporary, "%s.XXXXXX", output->path) < 0) {
        output->temporary = NULL;
        return error_no_memory();
    }
    signals_hold(&old);
    output->descriptor = mkostemp(output->temporary, O_CLOEXEC);
    int number = errno;
    if (output->descriptor >= 0) {
        signals_remove_on_death(output->temporary);
    }
    signals_release(&old);
    if (output->descriptor < 0) {
        free(TAKE(output->temporary));
        return output_error(path, number);
    }
    return NULL;
}

/* Opens an unfinished file beside OUTPUT's path. */
static struct error *output_open_unfinished(struct output *output, const char *path)
{
    CLEANUP_FREE char *folder = output_folder(output->path);
    if (folder == NULL) {
        return error_no_memory();
    }
    output->descriptor = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (output->descriptor >= 0) {
        return NULL;
    }
    if (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL) {
        return output_open_named(output, path);
    }
    return output_error(path, errno);
}

/* Lets more wait in a pipe than the 64 KiB that it begins with: millions of goroutines are hundreds
 * of MiB, and every change between writer and reader costs. Where it is no pipe, or more is not
 * allowed, nothing changes. */
static void output_widen(int descriptor)
{
    (void)fcntl(descriptor, F_SETPIPE_SZ, OUTPUT_PIPE);
}

/* Opens what PATH names. */
static struct error *output_open(struct output *output, const char *path)
{
    struct stat status;
    if (path == NULL || strcmp(path, "-") == 0) {
        output->descriptor = dup(STDOUT_FILENO);
        if (output->descriptor < 0) {
            return output_error("stdout", errno);
        }
        output_widen(output->descriptor);
        return NULL;
    }
    bool exists = stat(path, &status) == 0;
    if (exists && S_ISDIR(status.st_mode)) {
        return error_create(ERROR_USAGE, "--output: '%s' is a directory", path);
    }
    if (exists && !S_ISREG(status.st_mode)) {
        output->descriptor = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        return output->descriptor >= 0 ? NULL : output_error(path, errno);
    }
    output->path = exists ? realpath(path, NULL) : strdup(path);
    if (output->path == NULL) {
        return errno == ENOMEM ? error_no_memory() : output_error(path, errno);
    }
    TRY(output_open_unfinished(output, path));
    if (exists && fchmod(output->descriptor, status.st_mode & 07777) != 0) {
        return output_error(path, errno);
    }
    return NULL;
}

struct error *output_init(struct output *output, const char *path)
{
    *output = (struct output){.descriptor = -1};
    struct error *error = output_open(output, path);
    if (error == NULL) {
        error = emit_sink_init(&output->sink, emit_sink_write_descriptor, &output->descriptor);
    }
    if (error != NULL) {
        output_deinit(output);
    }
    return error;
}

/* Gives the nameless file a temporary name; 0 or an errno value. */
static int output_link(struct output *output)
{
    char descriptor[64];
    (void)snprintf(descriptor, sizeof descriptor, "/proc/self/fd/%d", output->descriptor);
    if (linkat(AT_FDCWD, descriptor, AT_FDCWD, output->path, AT_SYMLINK_FOLLOW) == 0) {
        return 0;
    }
    if (errno != EEXIST) {
        return errno;
    }
    for (unsigned attempt = 0; attempt < 100; attempt++) {
        char *name;
        if (asprintf(&name, "%s.%d.%u", output->path, (int)getpid(), attempt) < 0) {
            return ENOMEM;
        }
        if (linkat(AT_FDCWD, descriptor, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0) {
            output->temporary = name;
            return 0;
        }
        int number = errno;
        free(name);
        if (number != EEXIST) {
            return number;
        }
    }
    return EEXIST;
}

/* Gives the complete file its name; no signal comes between its two steps. */
static int output_publish(struct output *output)
{
    sigset_t old;
    signals_hold(&old);
    int number = output->temporary == NULL ? output_link(output) : 0;
    if (number == 0 && output->temporary != NULL) {
        number = rename(output->temporary, output->path) == 0 ? 0 : errno;
        if (number == 0) {
            signals_remove_on_death(NULL);
            free(TAKE(output->temporary));
        }
    }
    signals_release(&old);
    return number;
}

struct error *output_commit(struct output *output)
{
    TRY(emit_sink_flush(&output->sink));
    if (output->path != NULL) {
        int number = output_publish(output);
        if (number != 0) {
            return output_error(output->path, number);
        }
    }
    int descriptor = output->descriptor;
    output->descriptor = -1;
    return close(descriptor) == 0
               ? NULL
               : output_error(output->path != NULL ? output->path : "stdout", errno);
}

void output_deinit(struct output *output)
{
    emit_sink_deinit(&output->sink);
    if (output->descriptor >= 0) {
        (void)close(output->descriptor);
        output->descriptor = -1;
    }
    if (output->temporary != NULL) {
        (void)unlink(output->temporary);
        signals_remove_on_death(NULL);
    }
    free(output->temporary);
    free(output->path);
    output->temporary = NULL;
    output->path = NULL;
}
