#include "service/service_recording.h"
#include "base/cleanup.h"
#include "snapshot/recording.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct service_recording {
    struct recording *recording;
    size_t index; /* of the moment */
    char *name;
};

CLEANUP_DEFINE(service_recording, struct service_recording, service_recording_close)

/* Splits TEXT, on the heap in *PATH_RET, into a path and a moment (NULL: none given); *PATH_RET is
 * NULL when there is no recording at that path. */
static struct error *service_recording_split(const char *text, char **path_ret,
                                             const char **moment_ret)
{
    CLEANUP_FREE char *path = strdup(text);
    if (path == NULL) {
        return error_no_memory();
    }
    *path_ret = NULL;
    *moment_ret = NULL;
    char *at = strrchr(path, '@');
    if (access(path, F_OK) != 0 && at != NULL) {
        *at = '\0';
        *moment_ret = text + (at - path) + 1;
    }
    if (recording_is(path)) {
        *path_ret = TAKE(path);
    }
    return NULL;
}

struct error *service_recording_open(const char *text, struct service_recording **ret)
{
    CLEANUP_FREE char *path = NULL;
    const char *moment;
    *ret = NULL;
    TRY(service_recording_split(text, &path, &moment));
    if (path == NULL) {
        return NULL;
    }
    CLEANUP(cleanup_service_recording)
    struct service_recording *recording = calloc(1, sizeof *recording);
    if (recording == NULL) {
        return error_no_memory();
    }
    if (asprintf(&recording->name, "recording %s", path) < 0) {
        recording->name = NULL;
        return error_no_memory();
    }
    TRY(recording_open(path, &recording->recording));
    TRY(error_wrap(
        recording_find(recording->recording, moment == NULL ? "last" : moment, &recording->index),
        "%s", recording->name));
    *ret = TAKE(recording);
    return NULL;
}

void service_recording_close(struct service_recording *recording)
{
    if (recording == NULL) {
        return;
    }
    recording_close(recording->recording);
    free(recording->name);
    free(recording);
}

const char *service_recording_name(const struct service_recording *recording)
{
    return recording->name;
}

struct error *service_recording_load(const struct service_recording *recording,
                                     struct snapshot **ret)
{
    return recording_load(recording->recording, recording->index, ret);
}
