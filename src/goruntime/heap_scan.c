/* Which words of an object are pointers, by whatever the release keeps about it.
 *
 * Source: runtime/mbitmap.go of each release; see enum heap_map. Objects without a contiguous view
 * are read piece by piece. A pointer map that cannot be read makes its object conservative: more is
 * then reachable, never less. */
#include "goruntime/heap_scan.h"
#include "goruntime/internal.h"

/* One object being scanned. */
struct heap_scan_job {
    const struct heap *heap;
    struct heap_types *types;
    const struct heap_span *span;
    const struct heap_object *object;
    heap_visitor *visitor;
    void *context;
    const struct heap_type *type; /* of a header or large type */
    uint64_t header;              /* bytes before the first element */
};

/* Up to 1.21 with one bit a word: bits of the object's words, 64 at a time, until noMorePtrs. */
static void heap_scan_arena_bits(const struct heap_scan_job *job,
                                 const struct heap_scan_bytes *bytes)
{
    const struct layout *layout = job->heap->runtime->layout;
    for (uint64_t at = 0; at < bytes->size;) {
        uint64_t address = bytes->address + at;
        const struct heap_arena *arena =
            job->heap->arenas[(address >> HEAP_ARENA_SHIFT) - job->heap->first_arena];
        uint64_t word = (address & ((UINT64_C(1) << HEAP_ARENA_SHIFT) - 1)) / 8;
        uint64_t valid = 64 - word % 64;
        uint64_t left = (bytes->size - at) / 8;
        valid = valid > left ? left : valid;
        struct heap_scan_bytes part = {bytes->data + at, address, valid * 8};
        if (arena == NULL || arena->bitmap == NULL) {
            heap_scan_all(&part, job->visitor, job->context);
        } else {
            uint64_t mask_bytes = UINT64_C(1) << (HEAP_ARENA_SHIFT - 6);
            heap_scan_mask(&part, arena->bitmap, mask_bytes, word, job->visitor, job->context);
            uint64_t group = word / 64;
            const uint8_t *no_more = arena->bitmap + layout->heap_arena.no_more_ptrs;
            if ((no_more[group / 8] >> group % 8 & 1) != 0) {
                return;
            }
        }
        at += valid * 8;
    }
}

/* 1.18 and 1.19 with two bits a word: four words a byte, low nibble pointer, high nibble "go on".
 */
static void heap_scan_arena_pairs(const struct heap_scan_job *job,
                                  const struct heap_scan_bytes *bytes)
{
    for (uint64_t at = 0; at < bytes->size; at += 8) {
        uint64_t address = bytes->address + at;
        const struct heap_arena *arena =
            job->heap->arenas[(address >> HEAP_ARENA_SHIFT) - job->heap->first_arena];
        if (arena == NULL || arena->bitmap == NULL) {
            heap_scan_word(bytes, at / 8, job->visitor, job->context);
            continue;
        }
        uint64_t word = (address & ((UINT64_C(1) << HEAP_ARENA_SHIFT) - 1)) / 8;
        uint8_t pair = (uint8_t)(arena->bitmap[word / 4] >> word % 4);
        if ((pair & 0x10) == 0) {
            return;
        }
        if ((pair & 0x01) != 0) {
            heap_scan_word(bytes, at / 8, job->visitor, job->context);
        }
    }
}

/* Scans one piece of the job's object. */
static void heap_scan_piece(const struct heap_scan_job *job, const struct heap_scan_bytes *bytes)
{
    switch ((enum heap_map)job->span->map) {
    case HEAP_MAP_NONE:
        return;
    case HEAP_MAP_CONSERVATIVE:
        heap_scan_all(bytes, job->visitor, job->context);
        return;
    case HEAP_MAP_SPAN_BITS:
        heap_scan_mask(bytes, job->span->bits, ((uint64_t)job->span->pages << HEAP_PAGE_SHIFT) / 64,
                       (bytes->address - job->span->start) / 8, job->visitor, job->context);
        return;
    case HEAP_MAP_HEADER:
    case HEAP_MAP_LARGE_TYPE:
        heap_scan_typed(bytes, job->type, bytes->address - job->object->address - job->header,
                        job->visitor, job->context);
        return;
    case HEAP_MAP_ARENA_BITS:
        heap_scan_arena_bits(job, bytes);
        return;
    case HEAP_MAP_ARENA_PAIRS:
        heap_scan_arena_pairs(job, bytes);
        return;
    }
}

/* Finds the type of an object that has one; false when the object holds no pointers (yet). */
static bool heap_scan_prepare(struct heap_scan_job *job, const uint8_t *first_word)
{
    static const struct heap_type conservative = {0};
    if (job->span->map == HEAP_MAP_HEADER) {
        uint64_t address = bytes_u64(first_word);
        if (address == 0) {
            return false;
        }
        job->type = heap_types_find(job->types, address);
        job->header = 8;
    } else if (job->span->map == HEAP_MAP_LARGE_TYPE) {
        job->type = job->span->large_type == 0 ? &conservative
                                               : heap_types_find(job->types, job->span->large_type);
    }
    return true;
}

/* Scans an object that has no view by reading it; false when bytes of it are missing. */
static bool heap_scan_unviewed(struct heap_scan_job *job)
{
    struct target *target = job->heap->runtime->target;
    uint8_t buffer[HEAP_SCAN_PIECE];
    uint64_t end = job->object->address + job->object->size;
    bool complete = true;
    for (uint64_t at = job->object->address; at < end;) {
        size_t size = end - at > sizeof buffer ? sizeof buffer : (size_t)(end - at);
        struct error *error = target_read(target, at, buffer, size);
        if (error != NULL) {
            error_destroy(error);
            complete = false;
        } else if (at == job->object->address && !heap_scan_prepare(job, buffer)) {
            return true;
        } else {
            uint64_t skip = at == job->object->address ? job->header : 0;
            struct heap_scan_bytes piece = {buffer + skip, at + skip, size - skip};
            heap_scan_piece(job, &piece);
        }
        if (!complete && job->type == NULL) {
            return false;
        }
        at += size;
    }
    return complete;
}

bool heap_scan(const struct heap *heap, struct heap_types *types, const struct heap_object *object,
               heap_visitor *visitor, void *context)
{
    struct heap_scan_job job = {
        .heap = heap,
        .types = types,
        .span = &heap->spans[object->span],
        .object = object,
        .visitor = visitor,
        .context = context,
    };
    if (job.span->map == HEAP_MAP_NONE) {
        return true;
    }
    if (job.span->view == NULL) {
        return heap_scan_unviewed(&job);
    }
    const uint8_t *data = job.span->view + (object->address - job.span->start);
    if (!heap_scan_prepare(&job, data)) {
        return true;
    }
    struct heap_scan_bytes bytes = {data + job.header, object->address + job.header,
                                    object->size - job.header};
    heap_scan_piece(&job, &bytes);
    return true;
}
