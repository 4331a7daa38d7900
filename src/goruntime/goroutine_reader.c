/* runtime.g by the offsets of the layout row. Status numbers (runtime/runtime2.go, _Gidle and on)
 * are the same in Go 1.18 to 1.27; 1.26 added leaked and deadextra. */
#include "goruntime/goroutine_reader.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "goruntime/internal.h"
#include <stdlib.h>
#include <string.h>

enum {
    GOROUTINE_SCAN_BIT = 0x1000,   /* _Gscan */
    GOROUTINE_LIST_MAX = 100 << 20 /* g's that a list may have */
};

/* By the runtime's number. */
static const uint8_t goroutine_statuses[] = {
    GOROUTINE_STATUS_IDLE,      GOROUTINE_STATUS_RUNNABLE, GOROUTINE_STATUS_RUNNING,
    GOROUTINE_STATUS_SYSCALL,   GOROUTINE_STATUS_WAITING,  GOROUTINE_STATUS_UNKNOWN,
    GOROUTINE_STATUS_DEAD,      GOROUTINE_STATUS_UNKNOWN,  GOROUTINE_STATUS_COPYSTACK,
    GOROUTINE_STATUS_PREEMPTED, GOROUTINE_STATUS_LEAKED,   GOROUTINE_STATUS_DEAD,
};

/* The word at OFFSET, 0 when the release has no such field. */
static uint64_t goroutine_word(const uint8_t *bytes, int32_t offset)
{
    return offset == LAYOUT_ABSENT ? 0 : bytes_u64(bytes + offset);
}

/* The byte at OFFSET, likewise. */
static uint8_t goroutine_byte(const uint8_t *bytes, int32_t offset)
{
    return offset == LAYOUT_ABSENT ? 0 : bytes[offset];
}

/* Where the stack of a goroutine that does not run starts. */
static void goroutine_decode_start(const struct layout *layout, const uint8_t *bytes,
                                   struct goroutine_record *record)
{
    uint64_t syscallsp = goroutine_word(bytes, layout->g.syscallsp);
    record->sched_pc = goroutine_word(bytes, layout->g.sched_pc);
    record->sched_sp = goroutine_word(bytes, layout->g.sched_sp);
    record->sched_lr = goroutine_word(bytes, layout->g.sched_lr);
    if (syscallsp != 0) {
        record->pc = goroutine_word(bytes, layout->g.syscallpc);
        record->sp = syscallsp;
        record->lr = 0;
        record->origin = UNWIND_SYSCALL;
        return;
    }
    record->pc = record->sched_pc;
    record->sp = record->sched_sp;
    record->lr = record->sched_lr;
    record->origin = UNWIND_PARKED;
}

/* Decodes status and wait reason. */
void goroutine_decode_status(const struct layout *layout, const uint8_t *bytes,
                             struct goroutine_record *ret)
{
    uint32_t status = bytes_u32(bytes + layout->g.atomicstatus);
    uint32_t number = status & ~(uint32_t)GOROUTINE_SCAN_BIT;
    ret->flags = number == status ? 0 : GOROUTINE_SCAN;
    ret->status =
        number < sizeof goroutine_statuses ? goroutine_statuses[number] : GOROUTINE_STATUS_UNKNOWN;
    uint8_t reason = goroutine_byte(bytes, layout->g.waitreason);
    ret->wait_reason =
        reason < layout->wait_reason_count ? layout->wait_reasons[reason] : WAIT_REASON_NONE;
}

/* Decodes one g. */
void goroutine_decode(const struct layout *layout, const uint8_t *bytes, uint64_t address,
                      struct goroutine_record *ret)
{
    *ret = (struct goroutine_record){.g = address};
    goroutine_decode_status(layout, bytes, ret);
    ret->goid = goroutine_word(bytes, layout->g.goid);
    ret->stack_lo = goroutine_word(bytes, layout->g.stack_lo);
    ret->stack_hi = goroutine_word(bytes, layout->g.stack_hi);
    goroutine_decode_start(layout, bytes, ret);
    ret->m = goroutine_word(bytes, layout->g.m);
    ret->lockedm = goroutine_word(bytes, layout->g.lockedm);
    ret->waitsince = goroutine_word(bytes, layout->g.waitsince);
    ret->gopc = goroutine_word(bytes, layout->g.gopc);
    ret->startpc = goroutine_word(bytes, layout->g.startpc);
    ret->parent = goroutine_word(bytes, layout->g.parent_goid);
    ret->waiting = goroutine_word(bytes, layout->g.waiting);
    ret->timer = goroutine_word(bytes, layout->g.timer);
    ret->sleep_when = goroutine_word(bytes, layout->g.sleep_when);
    ret->coroarg = goroutine_word(bytes, layout->g.coroarg);
    ret->labels = goroutine_word(bytes, layout->g.labels);
    ret->bubble = goroutine_word(bytes, layout->g.bubble);
    ret->x_regs = goroutine_word(bytes, layout->g.x_regs);
    ret->sequence = goroutine_byte(bytes, layout->g.tracking_seq);
    ret->running_cleanups = goroutine_byte(bytes, layout->g.running_cleanups) != 0;
}

/* Dead and never used g's have no goroutine. */
bool goroutine_is_alive(const struct goroutine_record *record)
{
    return record->goid != 0 && record->status != GOROUTINE_STATUS_UNKNOWN &&
           record->status != GOROUTINE_STATUS_IDLE && record->status != GOROUTINE_STATUS_DEAD;
}

/* Compares what a run changes. A goroutine that became runnable has not moved yet. */
bool goroutine_has_moved(const struct layout *layout, const uint8_t *bytes,
                         const struct goroutine_record *then)
{
    struct goroutine_record now;
    if (goroutine_word(bytes, layout->g.goid) != then->goid ||
        goroutine_byte(bytes, layout->g.tracking_seq) != then->sequence ||
        goroutine_word(bytes, layout->g.stack_lo) != then->stack_lo ||
        goroutine_word(bytes, layout->g.stack_hi) != then->stack_hi) {
        return true;
    }
    goroutine_decode_status(layout, bytes, &now);
    goroutine_decode_start(layout, bytes, &now);
    return now.pc != then->pc || now.sp != then->sp || now.status == GOROUTINE_STATUS_RUNNING ||
           now.status == GOROUTINE_STATUS_COPYSTACK || now.status == GOROUTINE_STATUS_DEAD ||
           now.status == GOROUTINE_STATUS_IDLE || now.status == GOROUTINE_STATUS_UNKNOWN;
}

/* What the visitor of goroutine_read needs. */
struct goroutine_read_context {
    const struct layout *layout;
    struct goroutine_record *records;
};

/* Decodes one g of a batch. */
static struct error *goroutine_visit(void *context, const struct gather_item *item,
                                     const uint8_t *bytes)
{
    const struct goroutine_read_context *read = context;
    struct goroutine_record *record = &read->records[bulk_index(item)];
    if (bytes == NULL) {
        *record = (struct goroutine_record){.g = item->address};
    } else {
        goroutine_decode(read->layout, bytes, item->address, record);
    }
    return NULL;
}

/* Reads a batch. */
struct error *goroutine_read(struct bulk *bulk, const struct layout *layout,
                             struct gather_item *items, struct gather_item *scratch, size_t count,
                             struct goroutine_record *records)
{
    struct goroutine_read_context context = {.layout = layout, .records = records};
    for (size_t i = 0; i < count; i++) {
        items[i].tag = bulk_tag((uint32_t)layout->g.size, bulk_index(&items[i]));
    }
    return bulk_visit(bulk, items, scratch, count, goroutine_visit, &context);
}

/* Drops nil and addresses that cannot be; returns how many are left. */
static size_t goroutine_list_filter(uint64_t *list, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (list[i] != 0 && (list[i] & 7) == 0 && list[i] >> 57 == 0) {
            list[kept++] = list[i];
        }
    }
    return kept;
}

/* Reads allglen, then allgptr, as the runtime does without its lock: the array then has at least
 * that many entries. */
struct error *goroutine_list(struct goruntime *runtime, uint64_t **ret, size_t *count_ret)
{
    const struct goruntime_globals *globals = &runtime->globals;
    uint64_t count;
    uint64_t array;
    TRY(target_read(runtime->target, globals->allglen, &count, sizeof count));
    TRY(target_read(runtime->target, globals->allgptr, &array, sizeof array));
    if (count > GOROUTINE_LIST_MAX) {
        return error_create(ERROR_CORRUPT, "the list of goroutines claims %llu entries",
                            (unsigned long long)count);
    }
    if (count > 0) {
        uint64_t last; /* no memory for a claim that is not true */
        TRY(target_read(runtime->target, array + (count - 1) * sizeof last, &last, sizeof last));
    }
    uint64_t *list CLEANUP_FREE = malloc(count == 0 ? 1 : (size_t)count * sizeof *list);
    if (list == NULL) {
        return error_no_memory();
    }
    if (count > 0) {
        TRY(target_read(runtime->target, array, list, (size_t)count * sizeof *list));
    }
    *count_ret = goroutine_list_filter(list, (size_t)count);
    *ret = TAKE(list);
    return NULL;
}
