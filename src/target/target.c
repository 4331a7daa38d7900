/* The face of the room: hands each request to the kind of target it is for. */
#include "base/cleanup.h"
#include "target/target_internal.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

void target_destroy(struct target *target)
{
    if (target == NULL) {
        return;
    }
    target_resume(target);
    target_mappings_deinit(&target->mappings);
    free(target->name);
    free(target->executable);
    free(target->cut);
    target->operations->destroy(target);
}

enum target_kind target_kind(const struct target *target)
{
    return target->kind;
}

enum target_machine target_machine(const struct target *target)
{
    return target->machine;
}

pid_t target_pid(const struct target *target)
{
    return target->pid;
}

const char *target_name(const struct target *target)
{
    return target->name;
}

const char *target_cut(const struct target *target)
{
    return target->cut;
}

const char *target_executable(const struct target *target)
{
    return target->executable == NULL ? "" : target->executable;
}

const struct target_mapping *target_mappings(const struct target *target, size_t *count)
{
    *count = target->mappings.count;
    return target->mappings.items;
}

const struct target_mapping *target_find_mapping(const struct target *target, uint64_t address)
{
    return target_mappings_find(&target->mappings, address);
}

struct error *target_refresh_mappings(struct target *target)
{
    return target->operations->refresh == NULL ? NULL : target->operations->refresh(target);
}

struct error *target_read(struct target *target, uint64_t address, void *destination, size_t size)
{
    struct target_range range = {.address = address, .size = size, .destination = destination};
    TRY(target->operations->read_ranges(target, &range, 1));
    return range.done == size ? NULL : error_fault(address + range.done, "memory");
}

struct error *target_read_ranges(struct target *target, struct target_range *ranges, size_t count)
{
    return target->operations->read_ranges(target, ranges, count);
}

const uint8_t *target_view(const struct target *target, uint64_t address, size_t size)
{
    return target->operations->view == NULL ? NULL
                                            : target->operations->view(target, address, size);
}

struct error *target_open_file(struct target *target, const struct target_mapping *mapping,
                               int *ret)
{
    if (target->operations->open_file == NULL) {
        return error_create(ERROR_NOT_FOUND, "no file is behind this memory");
    }
    return target->operations->open_file(target, mapping, ret);
}

struct error *target_threads(struct target *target, struct target_thread **ret, size_t *count_ret)
{
    if (target->operations->threads == NULL) {
        *ret = NULL;
        *count_ret = 0;
        return NULL;
    }
    return target->operations->threads(target, ret, count_ret);
}

struct error *target_system_call(struct target *target, pid_t tid, struct target_system_call *ret)
{
    memset(ret, 0, sizeof *ret);
    if (target->operations->system_call == NULL) {
        return NULL;
    }
    return target->operations->system_call(target, tid, ret);
}

struct error *target_stop(struct target *target, uint64_t limit_ns)
{
    if (target->stopped) {
        return NULL;
    }
    if (target->operations->stop != NULL) {
        TRY(target->operations->stop(target, limit_ns));
    }
    target->stopped = true;
    return NULL;
}

void target_resume(struct target *target)
{
    if (target->stopped && target->operations->resume != NULL) {
        target->operations->resume(target);
    }
    target->stopped = false;
}

bool target_is_stopped(const struct target *target)
{
    return target->stopped;
}

bool target_stop_held(struct target *target)
{
    if (target->operations->stop_held == NULL) {
        return true;
    }
    return target->stopped && target->operations->stop_held(target);
}

uint64_t target_stopped_ns(const struct target *target)
{
    return target->stopped_ns;
}

bool target_monotonic_now(const struct target *target, uint64_t *ret)
{
    if (target->operations->monotonic_now == NULL) {
        return false;
    }
    return target->operations->monotonic_now(target, ret);
}
