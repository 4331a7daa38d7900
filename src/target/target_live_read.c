/* Bytes of a live process. */
#include "target/target_live.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    TARGET_LIVE_BATCH = 1024,      /* UIO_MAXIOV, include/uapi/linux/uio.h */
    TARGET_LIVE_GAP = 4096,        /* bytes that cost less to read over than a further range does */
    TARGET_LIVE_CALL_MAX = 1 << 30 /* below MAX_RW_COUNT, which cuts a call silently */
};

/* Addresses of programs end below this on amd64 (5-level paging) and arm64 (52 bits). */
#define TARGET_LIVE_ADDRESS_END ((uint64_t)1 << 57)

/* The range number of pieces that nobody wants. */
#define TARGET_LIVE_NOBODY SIZE_MAX

/* One call to the kernel: pieces of consecutive ranges. Pieces that lie close together are one
 * remote range, and what lies between them goes to waste: the kernel's work is by range and page.
 */
struct target_live_batch {
    struct iovec local[TARGET_LIVE_BATCH];
    uint64_t address[TARGET_LIVE_BATCH]; /* of each local piece */
    size_t index[TARGET_LIVE_BATCH];     /* the range of each local piece, or nobody's */
    size_t count;
    struct iovec remote[TARGET_LIVE_BATCH];
    size_t remote_count;
    size_t room; /* bytes that the call may still move */
};

/* Where bytes go that nobody wants. */
static _Thread_local uint8_t target_live_waste[TARGET_LIVE_GAP];

struct error *target_live_check(const struct target_live *live)
{
    uint8_t byte;
    if (live->memory >= 0 && pread(live->memory, &byte, 1, live->probe) == 0) {
        return target_live_gone(live);
    }
    return NULL;
}

/* Adds one local piece. */
static void target_live_add_local(struct target_live_batch *batch, uint8_t *destination,
                                  uint64_t address, size_t size, size_t index)
{
    size_t at = batch->count++;
    batch->local[at] = (struct iovec){destination, size};
    batch->address[at] = address;
    batch->index[at] = index;
    batch->room -= size;
}

/* Adds SIZE bytes at ADDRESS of range INDEX, joined to the piece before when it is near; false when
 * there is no room. */
static bool target_live_add(struct target_live_batch *batch, uint8_t *destination, uint64_t address,
                            size_t size, size_t index)
{
    struct iovec *last = batch->remote_count == 0 ? NULL : &batch->remote[batch->remote_count - 1];
    uint64_t end = last == NULL ? 0 : (uintptr_t)last->iov_base + last->iov_len;
    if (last != NULL && address >= end && address - end <= TARGET_LIVE_GAP) {
        size_t gap = (size_t)(address - end);
        if (batch->count + 2 > TARGET_LIVE_BATCH || gap + size > batch->room) {
            return false;
        }
        if (gap > 0) {
            target_live_add_local(batch, target_live_waste, end, gap, TARGET_LIVE_NOBODY);
        }
        last->iov_len += gap + size;
    } else {
        if (batch->count == TARGET_LIVE_BATCH || size > batch->room) {
            return false;
        }
        batch->remote[batch->remote_count++] = (struct iovec){(void *)(uintptr_t)address, size};
    }
    target_live_add_local(batch, destination, address, size, index);
    return true;
}

/* Fills BATCH with what is left of RANGES from *NEXT on; moves *NEXT behind the ranges taken. */
static void target_live_fill(struct target_live_batch *batch, struct target_range *ranges,
                             size_t count, size_t *next)
{
    batch->room = TARGET_LIVE_CALL_MAX;
    batch->count = 0;
    batch->remote_count = 0;
    for (; *next < count; ++*next) {
        struct target_range *range = &ranges[*next];
        uint64_t address = range->address + range->done;
        size_t size = range->size - range->done;
        if (size == 0 || address < range->address || address >= TARGET_LIVE_ADDRESS_END) {
            continue;
        }
        bool whole = size <= TARGET_LIVE_CALL_MAX;
        size = whole ? size : TARGET_LIVE_CALL_MAX;
        if (!target_live_add(batch, range->destination + range->done, address, size, *next) ||
            !whole) {
            break;
        }
    }
}

/* Reads BATCH through /proc/PID/mem, which stops like process_vm_readv does. */
static ssize_t target_live_read_file(const struct target_live *live,
                                     const struct target_live_batch *batch)
{
    size_t total = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct iovec *local = &batch->local[i];
        ssize_t got =
            batch->index[i] == TARGET_LIVE_NOBODY
                ? (ssize_t)local->iov_len
                : pread(live->memory, local->iov_base, local->iov_len, (off_t)batch->address[i]);
        if (got > 0) {
            total += (size_t)got;
        }
        if (got < 0 || (size_t)got < local->iov_len) {
            break;
        }
    }
    if (total == 0) {
        errno = EFAULT;
        return -1;
    }
    return (ssize_t)total;
}

/* Credits the ranges of BATCH with the GOT bytes read; *NEXT moves to where reading goes on. */
static void target_live_credit(const struct target_live_batch *batch, struct target_range *ranges,
                               size_t got, size_t *next)
{
    for (size_t i = 0; i < batch->count; i++) {
        size_t wanted = batch->local[i].iov_len;
        if (got < wanted && batch->index[i] == TARGET_LIVE_NOBODY) {
            *next = batch->index[i + 1]; /* what lies between is unreadable: start behind it */
            return;
        }
        if (got < wanted) {
            /* Unreadable from here on: give up this range, go on with the one behind it. */
            ranges[batch->index[i]].done += got;
            *next = batch->index[i] + 1;
            return;
        }
        if (batch->index[i] != TARGET_LIVE_NOBODY) {
            ranges[batch->index[i]].done += wanted;
        }
        got -= wanted;
    }
}

/* Makes one call for BATCH; *GOT_RET is 0 when its first page is unreadable. */
static struct error *target_live_call(struct target_live *live,
                                      const struct target_live_batch *batch, size_t *got_ret)
{
    *got_ret = 0;
    for (;;) {
        pid_t tid = atomic_load(&live->tid);
        bool through_file = atomic_load(&live->through_file);
        ssize_t got = through_file ? target_live_read_file(live, batch)
                                   : process_vm_readv(tid, batch->local, batch->count,
                                                      batch->remote, batch->remote_count, 0);
        if (got >= 0) {
            *got_ret = (size_t)got;
            return NULL;
        }
        if (errno == EFAULT || errno == EIO) {
            return NULL;
        }
        if (errno == ESRCH) {
            TRY(target_live_next_thread(live, tid));
        } else if ((errno == EPERM || errno == ENOSYS) && !through_file && live->memory >= 0) {
            atomic_store(&live->through_file, true);
        } else if (errno != EINTR) {
            return error_errno(errno, "cannot read memory of %s", live->head.name);
        }
    }
}

struct error *target_live_read_ranges(struct target *target, struct target_range *ranges,
                                      size_t count)
{
    struct target_live *live = (struct target_live *)target;
    struct target_live_batch batch;
    for (size_t i = 0; i < count; i++) {
        ranges[i].done = 0;
    }
    for (size_t next = 0; next < count;) {
        target_live_fill(&batch, ranges, count, &next);
        if (batch.count == 0) {
            break;
        }
        size_t got;
        TRY(target_live_call(live, &batch, &got));
        target_live_credit(&batch, ranges, got, &next);
    }
    return target_live_check(live);
}

struct error *target_live_probe(struct target_live *live)
{
    uint8_t byte;
    struct target_range range = {.size = 1, .destination = &byte};
    for (size_t i = 0; i < live->head.mappings.count; i++) {
        const struct target_mapping *mapping = &live->head.mappings.items[i];
        if ((mapping->permissions & TARGET_PERMISSION_READ) != 0) {
            range.address = mapping->start;
            live->probe = (off_t)mapping->start;
            return target_live_read_ranges(&live->head, &range, 1);
        }
    }
    return error_create(ERROR_GONE, "%s has no memory", live->head.name);
}
