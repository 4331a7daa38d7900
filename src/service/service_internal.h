/* What the files of this room share. */
#ifndef UNPARK_SERVICE_SERVICE_INTERNAL_H
#define UNPARK_SERVICE_SERVICE_INTERNAL_H

#include "base/error.h"
#include "goruntime/goruntime.h"
#include "image/image.h"
#include "service/service.h"
#include "service/service_file.h"
#include "service/service_recording.h"
#include "target/target.h"
#include <pthread.h>
#include <sys/types.h>

/* One target, opened as far as requests needed it so far. */
struct service {
    pthread_mutex_t lock;      /* held for the length of a request */
    struct service_file *file; /* somebody's account; then there is nothing of what follows */
    struct service_recording *recording; /* the same goes for a recording */
    struct target *target;               /* memory; NULL with FILE or RECORDING */
    struct image *image;                 /* NULL until the first request */
    struct goruntime *runtime;           /* NULL until the first request */
};

/* Finds the Go code and the runtime of the target, once. */
NODISCARD struct error *service_prepare(struct service *service);

/* Fills in who the program is. */
NODISCARD struct error *service_identify(struct service *service, struct snapshot_builder *builder);

/* Takes a snapshot of the service's FILE, or of what else stands in its place, with argument words
 * when ARGUMENTS; with the lock held. */
NODISCARD struct error *service_take_file(struct service *service, bool arguments,
                                          struct snapshot **ret);

/* The target's name in messages. */
const char *service_name(const struct service *service);

/* ERROR (may be NULL) with the target's name in front, unless a lower room put it there already. */
NODISCARD struct error *service_name_error(const struct service *service, struct error *error);

/* Counts the threads of the target, when the look did not. */
NODISCARD struct error *service_count_threads(struct service *service,
                                              struct snapshot_program *program);

/* Nanoseconds of Unix time; SNAPSHOT_UNKNOWN when the clock fails. */
int64_t service_wall_clock(void);

/* The one Go process whose command, executable or main module holds PATTERN. ERROR_GONE when there
 * is none; several are an ERROR_USAGE that lists them. */
NODISCARD struct error *service_find_process(const char *pattern, pid_t *ret);

/* Counts the goroutines of PROCESSES (COUNT of them) on a few threads and fills goroutines,
 * system_goroutines and reach. Processes that vanished get pid 0. Each may take 2 seconds; the
 * thread of one that takes longer is left behind. */
NODISCARD struct error *service_count_goroutines(struct service_process *processes, size_t count);

#endif
