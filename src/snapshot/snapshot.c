/* The finished snapshot: flat arrays and ids into them. */
#include "snapshot/snapshot.h"
#include "snapshot/snapshot_internal.h"
#include <stdlib.h>

/* Frees a snapshot. */
void snapshot_destroy(struct snapshot *snapshot)
{
    if (snapshot == NULL) {
        return;
    }
    intern_destroy(snapshot->strings);
    vector_deinit(&snapshot->goroutines);
    vector_deinit(&snapshot->frames);
    vector_deinit(&snapshot->stack_frames);
    vector_deinit(&snapshot->stacks);
    vector_deinit(&snapshot->label_items);
    vector_deinit(&snapshot->labels);
    vector_deinit(&snapshot->objects);
    vector_deinit(&snapshot->waits);
    for (size_t i = 0; i < snapshot->notes.count; i++) {
        free(snapshot->notes.items[i]);
    }
    vector_deinit(&snapshot->notes);
    snapshot_words_deinit(&snapshot->words);
    free(snapshot->waiters.first);
    free(snapshot->waiters.count);
    free(snapshot->waiters.senders);
    free(snapshot->waiters.receivers);
    free(snapshot->waiters.goroutines);
    free(snapshot->waiters.directions);
    free(snapshot);
}

/* Who the program is. */
const struct snapshot_program *snapshot_program(const struct snapshot *snapshot)
{
    return &snapshot->program;
}

/* The text of a string. */
const char *snapshot_string(const struct snapshot *snapshot, uint32_t id)
{
    return intern_text(snapshot->strings, id);
}

/* The size of a string. */
size_t snapshot_string_size(const struct snapshot *snapshot, uint32_t id)
{
    return intern_size(snapshot->strings, id);
}

/* Counts strings. */
size_t snapshot_string_count(const struct snapshot *snapshot)
{
    return intern_count(snapshot->strings);
}

/* All goroutines. */
const struct snapshot_goroutine *snapshot_goroutines(const struct snapshot *snapshot, size_t *count)
{
    *count = snapshot->goroutines.count;
    return snapshot->goroutines.items;
}

/* Flags of all together. */
unsigned snapshot_flags(const struct snapshot *snapshot)
{
    return snapshot->flags;
}

/* Binary search by id. */
const struct snapshot_goroutine *snapshot_find_goroutine(const struct snapshot *snapshot,
                                                         uint64_t id)
{
    size_t low = 0;
    size_t high = snapshot->goroutines.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (snapshot->goroutines.items[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == snapshot->goroutines.count) {
        return NULL;
    }
    const struct snapshot_goroutine *goroutine = &snapshot->goroutines.items[low];
    bool known = (goroutine->flags & GOROUTINE_ID_UNKNOWN) == 0;
    return known && goroutine->id == id ? goroutine : NULL;
}

/* One frame. */
const struct snapshot_frame *snapshot_frame(const struct snapshot *snapshot, uint32_t id)
{
    return &snapshot->frames.items[id - 1];
}

/* Counts frames. */
size_t snapshot_frame_count(const struct snapshot *snapshot)
{
    return snapshot->frames.count;
}

/* The frames of a stack. */
const uint32_t *snapshot_stack(const struct snapshot *snapshot, uint32_t id, size_t *count)
{
    if (id == 0) {
        *count = 0;
        return NULL;
    }
    const struct snapshot_span *span = &snapshot->stacks.items[id - 1];
    *count = (size_t)span->count;
    return snapshot->stack_frames.items + span->first;
}

/* Counts stacks. */
size_t snapshot_stack_count(const struct snapshot *snapshot)
{
    return snapshot->stacks.count;
}

/* The innermost frame with none of the flags, or 0. */
static uint32_t snapshot_frame_without(const struct snapshot *snapshot, const uint32_t *frames,
                                       size_t count, uint32_t flags)
{
    for (size_t i = 0; i < count; i++) {
        if ((snapshot_frame(snapshot, frames[i])->flags & flags) == 0) {
            return frames[i];
        }
    }
    return 0;
}

/* The frame that names a stack. */
uint32_t snapshot_user_frame(const struct snapshot *snapshot, uint32_t stack)
{
    const uint32_t never = FRAME_NOT_GO | FRAME_ELIDED | FRAME_WRAPPER;
    size_t count;
    const uint32_t *frames = snapshot_stack(snapshot, stack, &count);
    uint32_t frame = snapshot_frame_without(snapshot, frames, count,
                                            never | FRAME_RUNTIME | FRAME_STANDARD_LIBRARY);
    if (frame == 0) {
        frame = snapshot_frame_without(snapshot, frames, count, never | FRAME_RUNTIME);
    }
    return frame == 0 && count > 0 ? frames[0] : frame;
}

/* One object. */
const struct snapshot_object *snapshot_object(const struct snapshot *snapshot, uint32_t index)
{
    return &snapshot->objects.items[index];
}

/* Counts objects. */
size_t snapshot_object_count(const struct snapshot *snapshot)
{
    return snapshot->objects.count;
}

/* The waits of a goroutine. */
const struct snapshot_wait *snapshot_waits(const struct snapshot *snapshot,
                                           const struct snapshot_goroutine *goroutine,
                                           size_t *count)
{
    *count = goroutine->wait_count;
    return goroutine->wait_count == 0 ? NULL : snapshot->waits.items + goroutine->first_wait;
}

/* The labels of a set. */
const struct snapshot_label *snapshot_labels(const struct snapshot *snapshot, uint32_t id,
                                             size_t *count)
{
    if (id == 0) {
        *count = 0;
        return NULL;
    }
    const struct snapshot_span *span = &snapshot->labels.items[id - 1];
    *count = (size_t)span->count;
    return snapshot->label_items.items + span->first;
}

/* What degraded the look. */
const char *const *snapshot_notes(const struct snapshot *snapshot, size_t *count)
{
    *count = snapshot->notes.count;
    return (const char *const *)snapshot->notes.items;
}

/* Go's word for a status (gStatusStrings of runtime/traceback.go). */
const char *goroutine_status_text(enum goroutine_status status)
{
    static const char *const texts[GOROUTINE_STATUS_COUNT] = {
        [GOROUTINE_STATUS_UNKNOWN] = "unknown",     [GOROUTINE_STATUS_IDLE] = "idle",
        [GOROUTINE_STATUS_RUNNABLE] = "runnable",   [GOROUTINE_STATUS_RUNNING] = "running",
        [GOROUTINE_STATUS_SYSCALL] = "syscall",     [GOROUTINE_STATUS_WAITING] = "waiting",
        [GOROUTINE_STATUS_DEAD] = "dead",           [GOROUTINE_STATUS_COPYSTACK] = "copystack",
        [GOROUTINE_STATUS_PREEMPTED] = "preempted", [GOROUTINE_STATUS_LEAKED] = "leaked",
    };
    return (unsigned)status < GOROUTINE_STATUS_COUNT ? texts[status] : texts[0];
}
