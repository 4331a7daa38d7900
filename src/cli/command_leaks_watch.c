#include "cli/command_leaks_watch.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hash_map.h"
#include "cli/signals.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

CLEANUP_DEFINE(memory, struct service_watch, service_watch_destroy)

/* The run of a watch. */
struct watch_run {
    struct service *service;
    const struct command_leaks_plan *plan;
    struct service_watch *memory;
    struct service_leaks *latest; /* NULL before the first look */
    struct hash_map known;        /* findings that were reported: key and verdict */
    int interrupt;                /* readable after SIGINT, or -1 */
    int process;                  /* readable when the program has ended, or -1 */
};

/* Collects the findings of RUN's latest look that are new, and reports the look. Doubtful ones are
 * not news: a next look may settle them. */
static struct error *watch_report(struct watch_run *run)
{
    const struct finding_list *findings = &run->latest->findings;
    CLEANUP_FREE size_t *fresh = calloc(findings->count + 1, sizeof *fresh);
    if (fresh == NULL) {
        return error_no_memory();
    }
    size_t count = 0;
    for (size_t i = 0; i < findings->count; i++) {
        bool added = false;
        uint64_t *value;
        uint64_t key = findings->items[i].key ^ hash_u64(findings->items[i].verdict);
        if (findings->items[i].verdict != LEAK_VERDICT_UNKNOWN) {
            TRY(hash_map_entry(&run->known, key, 1, &added, &value));
        }
        if (added) {
            fresh[count++] = i;
        }
    }
    return run->plan->looked(run->plan->context, run->latest, fresh, count);
}

/* Looks once; SETTLE: leaves nothing open. */
static struct error *watch_look(struct watch_run *run, bool settle)
{
    struct service_leaks *leaks = NULL;
    struct service_leaks_options look = run->plan->look;
    look.watch = run->memory;
    look.settle = settle;
    TRY(service_find_leaks(run->service, &look, &leaks));
    service_leaks_destroy(run->latest);
    run->latest = leaks;
    if (run->process < 0) {
        int64_t pid = snapshot_program(leaks->snapshot)->pid;
        run->process = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    }
    return watch_report(run);
}

/* Waits until the clock shows UNTIL or the program has ended; false after SIGINT. */
static bool watch_wait(const struct watch_run *run, uint64_t until)
{
    struct pollfd events[] = {{.fd = run->interrupt, .events = POLLIN},
                              {.fd = run->process, .events = POLLIN}};
    for (;;) {
        uint64_t now = clock_now();
        uint64_t left_ms = until <= now ? 0 : (until - now + 999999) / 1000000;
        int ready = poll(events, 2, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms);
        if (ready > 0 && (events[0].revents & POLLIN) != 0) {
            return false;
        }
        if ((ready > 0 && (events[1].revents & POLLIN) != 0) || (ready <= 0 && until <= now)) {
            return true;
        }
    }
}

/* Notes in OUTCOME that ERROR, which is consumed, ended a watch with looks; what is no fault of the
 * program is passed on. */
static struct error *watch_cut(struct error *error, struct command_leaks_outcome *outcome)
{
    enum error_code code = error_code(error);
    if (code == ERROR_OUT_OF_MEMORY || code == ERROR_IO || code == ERROR_PIPE ||
        code == ERROR_INTERNAL || code == ERROR_USAGE) {
        return error;
    }
    outcome->cut = strdup(error_message(error));
    error_destroy(error);
    return outcome->cut == NULL ? error_no_memory() : NULL;
}

/* Looks until the end. */
static struct error *watch_loop(struct watch_run *run, struct command_leaks_outcome *outcome)
{
    TRY(watch_look(run, true));
    uint64_t start = clock_now();
    uint64_t end = start + run->plan->duration_ns;
    for (uint64_t next = start; next < end;) {
        next += run->plan->every_ns;
        next = next < clock_now() ? clock_now() : next;
        next = end - next < run->plan->every_ns / 2 || next > end ? end : next;
        if (!watch_wait(run, next)) {
            outcome->interrupted = true;
            return NULL;
        }
        struct error *error = watch_look(run, next == end);
        if (error != NULL) {
            return watch_cut(error, outcome);
        }
    }
    return NULL;
}

struct error *command_leaks_watch(struct service *service, const struct command_leaks_plan *plan,
                                  struct command_leaks_outcome *outcome_ret,
                                  struct service_leaks **leaks_ret)
{
    CLEANUP(cleanup_memory) struct service_watch *memory = NULL;
    *outcome_ret = (struct command_leaks_outcome){0};
    TRY(service_watch_create(&memory));
    struct watch_run run = {.service = service,
                            .plan = plan,
                            .memory = memory,
                            .interrupt = signals_catch_interrupt(),
                            .process = -1};
    struct error *error = watch_loop(&run, outcome_ret);
    signals_release_interrupt();
    cleanup_close(&run.process);
    hash_map_deinit(&run.known);
    if (error != NULL) {
        service_leaks_destroy(run.latest);
        free(outcome_ret->cut);
        outcome_ret->cut = NULL;
        return error;
    }
    *leaks_ret = run.latest;
    return NULL;
}
