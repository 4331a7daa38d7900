/* A target that another debugger keeps stopped needs no stop of ours, only the proof that it did
 * not run meanwhile: every thread in state t or T before and after, with the same switch counters.
 */
#include "base/cleanup.h"
#include "base/string_builder.h"
#include "target/proc.h"
#include "target/target_stop.h"
#include <stdio.h>
#include <stdlib.h>

/* Enough for the status file of a thread. */
enum { TARGET_STOP_PASSIVE_TEXT = 8192 };

/* Reads the status of TID; *STOPPED tells whether it is in a stop, *TRACER who traces it (0: none).
 */
static struct error *target_stop_passive_look(pid_t pid, pid_t tid, struct target_stop_passive *ret,
                                              bool *stopped, pid_t *tracer)
{
    char path[64];
    char text[TARGET_STOP_PASSIVE_TEXT];
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/status", (int)pid, (int)tid);
    TRY(proc_read_head(path, text, sizeof text, NULL));
    const char *state = proc_find_field(text, "State:");
    *stopped = state != NULL && (*state == 't' || *state == 'T' || *state == 'Z' || *state == 'X');
    *tracer = (pid_t)proc_find_number(text, "TracerPid:", 0);
    ret->tid = tid;
    ret->switches = proc_find_number(text, "voluntary_ctxt_switches:", 0) +
                    proc_find_number(text, "nonvoluntary_ctxt_switches:", 0);
    return NULL;
}

struct error *target_stop_passive_init(struct target_stop *stop, bool *ret)
{
    CLEANUP_FREE pid_t *tids = NULL;
    size_t count;
    pid_t traced_by = 0;
    bool all = true;
    TRY(proc_list_threads(stop->pid, &tids, &count));
    for (size_t i = 0; i < count; i++) {
        struct target_stop_passive thread;
        bool stopped;
        pid_t tracer;
        struct error *error =
            target_stop_passive_look(stop->pid, tids[i], &thread, &stopped, &tracer);
        if (error_catch(&error, ERROR_GONE)) {
            all = false;
            continue;
        }
        TRY(error);
        TRY(vector_append(&stop->resting, thread));
        all = all && stopped;
        traced_by = tracer != 0 ? tracer : traced_by;
        if (tracer == 0 && i == 0) {
            break;
        }
    }
    if (traced_by != 0 && !all) {
        return target_stop_error_traced(traced_by);
    }
    *ret = traced_by != 0;
    return NULL;
}

bool target_stop_passive_still(const struct target_stop *stop)
{
    CLEANUP_FREE pid_t *tids = NULL;
    size_t count = 0;
    struct error *error = proc_list_threads(stop->pid, &tids, &count);
    bool still = error == NULL && count == stop->resting.count;
    for (size_t i = 0; still && i < count; i++) {
        struct target_stop_passive thread;
        const struct target_stop_passive *noted = &stop->resting.items[i];
        bool stopped = false;
        pid_t tracer;
        error = target_stop_passive_look(stop->pid, tids[i], &thread, &stopped, &tracer);
        still = error == NULL && stopped && thread.tid == noted->tid &&
                thread.switches == noted->switches;
    }
    error_destroy(error);
    return still;
}

struct error *target_stop_error_traced(pid_t tracer)
{
    char path[64];
    char text[64];
    size_t size = 0;
    CLEANUP(string_builder_deinit) struct string_builder builder = {0};
    (void)snprintf(path, sizeof path, "/proc/%d/comm", (int)tracer);
    struct error *error = proc_read_head(path, text, sizeof text, &size);
    if (error == NULL && size > 0) {
        string_builder_add(&builder, " (");
        string_builder_add_escaped(&builder, text, size - 1);
        string_builder_add_char(&builder, ')');
    }
    error_destroy(error);
    return error_advise(error_create(ERROR_PERMISSION,
                                     "cannot be stopped: process %d%s is already tracing it",
                                     (int)tracer, string_builder_text(&builder)),
                        "end that tracer, let it stop the process, or look without a stop");
}
