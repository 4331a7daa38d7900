/* An address space laid over files. Files are read with pread, never mapped: a file that shrinks
 * while it is read then gives fewer bytes, not a signal. */
#include "target/target_space.h"

#include "base/cleanup.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

void target_space_deinit(struct target_space *space)
{
    vector_deinit(&space->pieces);
}

struct error *target_space_add(struct target_space *space, struct target_space_piece piece)
{
    if (piece.start >= piece.end) {
        return NULL;
    }
    return vector_append(&space->pieces, piece);
}

/* Orders indices of PIECES by start. */
static int target_space_compare(const void *left, const void *right, void *pieces)
{
    const struct target_space_piece *a =
        (struct target_space_piece *)pieces + *(const size_t *)left;
    const struct target_space_piece *b =
        (struct target_space_piece *)pieces + *(const size_t *)right;
    return a->start != b->start ? (a->start > b->start) - (a->start < b->start) : (a > b) - (a < b);
}

/* Adds INDEX to the binary heap of COUNT indices, greatest first. */
static void target_space_push(size_t *heap, size_t count, size_t index)
{
    size_t at = count;
    for (; at > 0 && heap[(at - 1) / 2] < index; at = (at - 1) / 2) {
        heap[at] = heap[(at - 1) / 2];
    }
    heap[at] = index;
}

/* Removes the greatest of COUNT indices. */
static void target_space_pop(size_t *heap, size_t count)
{
    size_t last = heap[count - 1];
    size_t at = 0;
    for (;;) {
        size_t child = at * 2 + 1;
        if (child + 1 < count - 1 && heap[child + 1] > heap[child]) {
            child++;
        }
        if (child >= count - 1 || heap[child] <= last) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
}

/* Appends what PIECE holds from START to END to SPACE, joined to its last piece when it goes on. */
static struct error *target_space_emit(struct target_space *space,
                                       const struct target_space_piece *piece, uint64_t start,
                                       uint64_t end)
{
    struct target_space_piece part = *piece;
    part.offset += start - piece->start;
    part.start = start;
    part.end = end;
    if (space->pieces.count > 0) {
        struct target_space_piece *last = &space->pieces.items[space->pieces.count - 1];
        if (last->end == start && last->descriptor == part.descriptor &&
            last->offset + (last->end - last->start) == part.offset) {
            last->end = end;
            return NULL;
        }
    }
    return vector_append(&space->pieces, part);
}

/* Sweeps over PIECES in ORDER of their starts; HEAP holds those begun, the latest added on top. */
static struct error *target_space_sweep(const struct target_space_piece *pieces,
                                        const size_t *order, size_t *heap, size_t count,
                                        struct target_space *ret)
{
    size_t next = 0;
    size_t begun = 0;
    uint64_t position = 0;
    for (;;) {
        for (; next < count && pieces[order[next]].start <= position; next++) {
            target_space_push(heap, begun++, order[next]);
        }
        while (begun > 0 && pieces[heap[0]].end <= position) {
            target_space_pop(heap, begun--);
        }
        if (begun == 0 && next == count) {
            return NULL;
        }
        if (begun == 0) {
            position = pieces[order[next]].start;
            continue;
        }
        const struct target_space_piece *top = &pieces[heap[0]];
        uint64_t end = top->end;
        if (next < count && pieces[order[next]].start < end) {
            end = pieces[order[next]].start;
        }
        TRY(target_space_emit(ret, top, position, end));
        position = end;
    }
}

struct error *target_space_seal(struct target_space *space)
{
    size_t count = space->pieces.count;
    if (count == 0) {
        return NULL;
    }
    CLEANUP_FREE size_t *order = reallocarray(NULL, count, sizeof *order);
    CLEANUP_FREE size_t *heap = reallocarray(NULL, count, sizeof *heap);
    if (order == NULL || heap == NULL) {
        return error_no_memory();
    }
    for (size_t i = 0; i < count; i++) {
        order[i] = i;
    }
    qsort_r(order, count, sizeof *order, target_space_compare, space->pieces.items);
    struct target_space sealed = {0};
    struct error *error = target_space_sweep(space->pieces.items, order, heap, count, &sealed);
    if (error != NULL) {
        target_space_deinit(&sealed);
        return error;
    }
    target_space_deinit(space);
    *space = sealed;
    return NULL;
}

/* The index of the first piece that ends behind ADDRESS. */
static size_t target_space_find(const struct target_space *space, uint64_t address)
{
    size_t low = 0;
    size_t high = space->pieces.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (space->pieces.items[middle].end <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Reads SIZE bytes of a file; *DONE_RET tells how many there were. */
static struct error *target_space_read_file(int descriptor, uint64_t offset, uint8_t *destination,
                                            size_t size, size_t *done_ret)
{
    *done_ret = 0;
    while (*done_ret < size && offset + *done_ret <= INT64_MAX) {
        ssize_t got = pread(descriptor, destination + *done_ret, size - *done_ret,
                            (off_t)(offset + *done_ret));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return error_errno(errno, "cannot read the file behind memory");
        }
        if (got == 0) {
            break;
        }
        *done_ret += (size_t)got;
    }
    return NULL;
}

struct error *target_space_read(const struct target_space *space, struct target_range *ranges,
                                size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct target_range *range = &ranges[i];
        range->done = 0;
        size_t index = target_space_find(space, range->address);
        while (range->done < range->size && index < space->pieces.count) {
            const struct target_space_piece *piece = &space->pieces.items[index++];
            uint64_t address = range->address + range->done;
            if (address < range->address || piece->start > address) {
                break;
            }
            size_t wanted = range->size - range->done;
            wanted = piece->end - address < wanted ? (size_t)(piece->end - address) : wanted;
            size_t done;
            TRY(target_space_read_file(piece->descriptor, piece->offset + (address - piece->start),
                                       range->destination + range->done, wanted, &done));
            range->done += done;
            if (done < wanted) {
                break;
            }
        }
    }
    return NULL;
}
