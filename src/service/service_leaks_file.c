/* Leaks of a target without memory: a dump or a profile. */
#include "service/service_leaks_file.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "service/service_internal.h"
#include <stdlib.h>
#include <string.h>

CLEANUP_DEFINE(leaks, struct service_leaks, service_leaks_destroy)

/* The class of a goroutine that the program itself found leaked. */
static enum leak_class service_leaks_file_class(const struct snapshot_goroutine *goroutine)
{
    switch ((enum wait_reason)goroutine->wait_reason) {
    case WAIT_REASON_CHAN_RECEIVE_NIL:
    case WAIT_REASON_CHAN_SEND_NIL:
        return LEAK_CLASS_NIL_CHANNEL;
    case WAIT_REASON_SELECT_NO_CASES:
        return LEAK_CLASS_EMPTY_SELECT;
    case WAIT_REASON_CHAN_RECEIVE:
    case WAIT_REASON_CHAN_SEND:
    case WAIT_REASON_SELECT:
        return LEAK_CLASS_CHANNEL;
    case WAIT_REASON_SYNC_MUTEX_LOCK:
    case WAIT_REASON_SYNC_RWMUTEX_LOCK:
    case WAIT_REASON_SYNC_RWMUTEX_RLOCK:
        return LEAK_CLASS_MUTEX;
    case WAIT_REASON_SYNC_WAITGROUP_WAIT:
        return LEAK_CLASS_WAIT_GROUP;
    case WAIT_REASON_SYNC_COND_WAIT:
        return LEAK_CLASS_CONDITION;
    default:
        return LEAK_CLASS_NONE;
    }
}

/* What somebody's account says of GOROUTINE: a proof only where the program made it itself. */
static struct finding_verdict service_leaks_file_verdict(const struct snapshot_goroutine *goroutine)
{
    if ((goroutine->flags & GOROUTINE_SYSTEM) != 0) {
        return (struct finding_verdict){LEAK_VERDICT_SYSTEM, LEAK_CLASS_NONE, LEAK_REASON_NONE};
    }
    if ((goroutine->flags & GOROUTINE_LEAKED) != 0) {
        return (struct finding_verdict){LEAK_VERDICT_PROVED,
                                        (uint8_t)service_leaks_file_class(goroutine),
                                        LEAK_REASON_BY_PROGRAM};
    }
    return (struct finding_verdict){LEAK_VERDICT_WAITING, LEAK_CLASS_NONE, LEAK_REASON_NO_MEMORY};
}

/* The view of a file, a pipe or a URL: evidence, and what the program itself proved. */
struct error *service_leaks_of_file(struct service *service,
                                    const struct service_leaks_options *options,
                                    struct service_leaks **ret)
{
    static const char obstacle[] =
        "goroutines were described here, not their memory; a proof needs the running process "
        "(unpark leaks PID) or a core file of it (gcore PID)";
    CLEANUP(cleanup_leaks) struct service_leaks *leaks = calloc(1, sizeof *leaks);
    if (leaks == NULL) {
        return error_no_memory();
    }
    if (options->watch != NULL) {
        return error_create(ERROR_USAGE, "%s: only a live process can be watched",
                            service_file_name(service->file));
    }
    if (options->freeze == SERVICE_FREEZE_ALWAYS) {
        return error_create(ERROR_USAGE, "%s: only a process can be stopped",
                            service_name(service));
    }
    TRY(service_take_file(service, false, &leaks->snapshot));
    uint64_t start = clock_now();
    size_t count;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(leaks->snapshot, &count);
    leaks->verdicts = calloc(count + 1, sizeof *leaks->verdicts);
    leaks->obstacle = strdup(obstacle);
    if (leaks->verdicts == NULL || leaks->obstacle == NULL) {
        return error_no_memory();
    }
    for (size_t i = 0; i < count; i++) {
        leaks->verdicts[i] = service_leaks_file_verdict(&goroutines[i]);
    }
    leaks->analysis_ns = clock_now() - start;
    *ret = TAKE(leaks);
    return NULL;
}
