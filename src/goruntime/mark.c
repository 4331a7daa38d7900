/* Tracing: a bit per object, a queue of spans per worker, a pool of spans to share.
 *
 * Heaps are larger than caches. A pointer therefore goes through a ring, in which its page entry,
 * which has all that is needed of its span, and its mark word are asked for one after the other,
 * each many pointers before it is used. What is queued is not the object but its span, once, behind
 * all others: until its turn comes more of its objects get marked, and they are scanned together,
 * in the order of memory. Marks are set atomically; so is the bit that says which worker scans an
 * object. */
#include "goruntime/mark.h"
#include "base/cleanup.h"
#include "base/large.h"
#include "base/vector.h"
#include "goruntime/heap_internal.h"
#include "goruntime/heap_scan.h"
#include "goruntime/internal.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    MARK_STAGE = 32,            /* pointers between two steps of one */
    MARK_RING = 2 * MARK_STAGE, /* pointers under way */
    MARK_BLOCK = 256,           /* spans that move between workers at once */
    MARK_SHARE_MIN = 64,        /* a worker with more than this shares */
    MARK_THREADS_MAX = 32
};

/* Indices of spans, first in, first out. */
struct mark_queue {
    uint32_t *items;
    size_t capacity; /* a power of two, or 0 */
    size_t first, count;
};

/* What a byte of mark.spans says. */
enum {
    MARK_SPAN_QUEUED = 1 << 0, /* in a queue, or the pool */
    MARK_SPAN_POINTERS = 1 << 1,
    MARK_SPAN_WATCHED = 1 << 2 /* holds watched objects */
};

/* A pointer under way. */
struct mark_pointer {
    uint64_t value;               /* once its object is known: the object's number */
    const struct heap_page *page; /* NULL: no pointer to an object */
    uint32_t span;                /* once its object is known */
};

/* One worker. */
struct mark_worker {
    struct mark *mark;
    struct heap_types *types;
    struct mark_queue queue;
    VECTOR(uint64_t) hits; /* watched objects that were marked */
    struct mark_pointer ring[MARK_RING];
    unsigned ring_at;
    uint64_t incomplete;
    uint64_t count;
    uint64_t hidden_base; /* object whose hidden words are skipped; 0 none */
    struct error *error;
};

/* Some objects. Most spans have none of them, and one byte says so. */
struct mark_set {
    uint64_t *objects; /* a bit per object; NULL: the set is empty */
    uint8_t *spans;    /* a byte per span: holds members */
};

struct mark {
    const struct heap *heap;
    _Atomic uint64_t *bits;    /* by object: marked */
    _Atomic uint64_t *scanned; /* by object: scanned, or being so */
    _Atomic uint8_t *spans;    /* by span: MARK_SPAN_ bits */
    struct mark_set hidden;    /* sudogs with hidden words */
    struct mark_set watched;   /* objects that somebody waits for */
    int32_t hidden_offsets[4];
    size_t hidden_count; /* offsets */
    struct mark_worker *workers;
    unsigned threads;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct mark_queue pool; /* shared spans; under lock */
    unsigned idle;          /* under lock */
    bool done;              /* under lock */
    bool has_run;
    atomic_uint hungry; /* idle workers, for a cheap look */
};

/* Doubles QUEUE. */
static struct error *mark_queue_grow(struct mark_queue *queue)
{
    size_t capacity = queue->capacity == 0 ? MARK_BLOCK : 2 * queue->capacity;
    uint32_t *items = reallocarray(NULL, capacity, sizeof *items);
    if (items == NULL) {
        return error_no_memory();
    }
    for (size_t i = 0; i < queue->count; i++) {
        items[i] = queue->items[(queue->first + i) & (queue->capacity - 1)];
    }
    free(queue->items);
    queue->items = items;
    queue->capacity = capacity;
    queue->first = 0;
    return NULL;
}

/* Adds SPAN at the end. */
static inline struct error *mark_queue_put(struct mark_queue *queue, uint32_t span)
{
    if (queue->count == queue->capacity) {
        TRY(mark_queue_grow(queue));
    }
    queue->items[(queue->first + queue->count++) & (queue->capacity - 1)] = span;
    return NULL;
}

/* Takes the first of a QUEUE that is not empty. */
static inline uint32_t mark_queue_take(struct mark_queue *queue)
{
    uint32_t span = queue->items[queue->first];
    queue->first = (queue->first + 1) & (queue->capacity - 1);
    queue->count--;
    return span;
}

/* Moves up to COUNT of FROM to TO. */
static struct error *mark_queue_move(struct mark_queue *from, struct mark_queue *to, size_t count)
{
    for (; count > 0 && from->count > 0; count--) {
        TRY(mark_queue_put(to, from->items[from->first]));
        (void)mark_queue_take(from);
    }
    return NULL;
}

/* Empties SET. */
static void mark_set_deinit(struct mark_set *set)
{
    free(set->objects);
    free(set->spans);
}

/* Adds OBJECT of HEAP to SET. */
static struct error *mark_set_add(struct mark_set *set, const struct heap *heap,
                                  const struct heap_object *object)
{
    if (set->objects == NULL) {
        set->objects = calloc(heap->object_count / 64 + 1, sizeof *set->objects);
        set->spans = calloc(heap->span_count + 1, 1);
        if (set->objects == NULL || set->spans == NULL) {
            mark_set_deinit(set);
            *set = (struct mark_set){0};
            return error_no_memory();
        }
    }
    set->objects[object->number / 64] |= UINT64_C(1) << object->number % 64;
    set->spans[object->span] = 1;
    return NULL;
}

/* True when object NUMBER of span SPAN is in SET. */
static inline bool mark_set_has(const struct mark_set *set, uint32_t span, uint64_t number)
{
    return set->spans != NULL && set->spans[span] != 0 &&
           (set->objects[number / 64] >> number % 64 & 1) != 0;
}

/* Workers that fit the machine. */
static unsigned mark_default_threads(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > MARK_THREADS_MAX ? MARK_THREADS_MAX : (unsigned)count;
}

/* Bytes of the marks. */
static size_t mark_bits_size(const struct heap *heap)
{
    return (heap->object_count / 64 + 1) * sizeof(uint64_t);
}

struct error *mark_create(const struct heap *heap, unsigned threads, struct mark **ret)
{
    struct mark *mark = calloc(1, sizeof *mark);
    if (mark == NULL) {
        return error_no_memory();
    }
    mark->heap = heap;
    mark->threads = threads == 0                 ? mark_default_threads()
                    : threads > MARK_THREADS_MAX ? MARK_THREADS_MAX
                                                 : threads;
    pthread_mutex_init(&mark->lock, NULL);
    pthread_cond_init(&mark->changed, NULL);
    mark->bits = large_allocate(mark_bits_size(heap));
    mark->workers = calloc(mark->threads, sizeof *mark->workers);
    mark->scanned = large_allocate(mark_bits_size(heap));
    mark->spans = calloc(heap->span_count + 1, 1);
    if (mark->bits == NULL || mark->scanned == NULL || mark->spans == NULL ||
        mark->workers == NULL) {
        mark_destroy(mark);
        return error_no_memory();
    }
    for (size_t i = 0; i < heap->span_count; i++) {
        mark->spans[i] = heap->spans[i].map == HEAP_MAP_NONE ? 0 : MARK_SPAN_POINTERS;
    }
    for (unsigned i = 0; i < mark->threads; i++) {
        mark->workers[i].mark = mark;
        struct error *error = heap_types_create(heap, &mark->workers[i].types);
        if (error != NULL) {
            mark_destroy(mark);
            return error;
        }
    }
    *ret = mark;
    return NULL;
}

void mark_destroy(struct mark *mark)
{
    if (mark == NULL) {
        return;
    }
    for (unsigned i = 0; mark->workers != NULL && i < mark->threads; i++) {
        heap_types_destroy(mark->workers[i].types);
        free(mark->workers[i].queue.items);
        vector_deinit(&mark->workers[i].hits);
        error_destroy(mark->workers[i].error);
    }
    free(mark->pool.items);
    pthread_mutex_destroy(&mark->lock);
    pthread_cond_destroy(&mark->changed);
    free(mark->workers);
    large_free((void *)mark->bits, mark_bits_size(mark->heap));
    large_free((void *)mark->scanned, mark_bits_size(mark->heap));
    free((void *)mark->spans);
    mark_set_deinit(&mark->hidden);
    mark_set_deinit(&mark->watched);
    free(mark);
}

/* Lists the offsets of a sudog's hidden words: channel and element, both words of pairs (1.26 on).
 */
static void mark_hidden_offsets(struct mark *mark)
{
    const struct layout *layout = mark->heap->runtime->layout;
    int32_t offsets[2] = {layout->sudog.elem, layout->sudog.c};
    for (size_t i = 0; i < 2; i++) {
        mark->hidden_offsets[mark->hidden_count++] = offsets[i];
        if (layout->minor >= 26) {
            mark->hidden_offsets[mark->hidden_count++] = offsets[i] - 8;
        }
    }
}

struct error *mark_hide_sudogs(struct mark *mark, const uint64_t *addresses, size_t count)
{
    if (mark->hidden_count == 0) {
        mark_hidden_offsets(mark);
    }
    for (size_t i = 0; i < count; i++) {
        struct heap_object object;
        uint64_t size = (uint64_t)(uint32_t)mark->heap->runtime->layout->sudog.size;
        /* What is no sudog by its place and size keeps its words, whatever list led here. */
        if (heap_find(mark->heap, addresses[i], &object) && object.address == addresses[i] &&
            object.size >= size && object.size < 2 * size) {
            TRY(mark_set_add(&mark->hidden, mark->heap, &object));
        }
    }
    return NULL;
}

struct error *mark_watch(struct mark *mark, uint64_t address, bool *in_heap_ret,
                         uint64_t *number_ret)
{
    struct heap_object object;
    *in_heap_ret = heap_find(mark->heap, address, &object);
    if (!*in_heap_ret) {
        return NULL;
    }
    *number_ret = object.number;
    mark->spans[object.span] |= MARK_SPAN_WATCHED;
    return mark_set_add(&mark->watched, mark->heap, &object);
}

void mark_take_hits(struct mark *mark, void (*take)(void *context, uint64_t number), void *context)
{
    for (unsigned i = 0; i < mark->threads; i++) {
        struct mark_worker *worker = &mark->workers[i];
        for (size_t j = 0; j < worker->hits.count; j++) {
            take(context, worker->hits.items[j]);
        }
        worker->hits.count = 0;
    }
}

/* Keeps ERROR, if any, for the end of the run. */
static inline void mark_note(struct mark_worker *worker, struct error *error)
{
    if (error != NULL) {
        error_destroy(worker->error);
        worker->error = error;
    }
}

/* Queues the span with number SPAN, whose byte is FLAGS, unless it is in a queue. */
static inline void mark_queue_span(struct mark_worker *worker, uint32_t span,
                                   _Atomic uint8_t *flags)
{
    if ((atomic_fetch_or(flags, MARK_SPAN_QUEUED) & MARK_SPAN_QUEUED) == 0) {
        mark_note(worker, mark_queue_put(&worker->queue, span));
    }
}

/* Marks object NUMBER of span SPAN and queues the span when it was not marked and holds pointers.
 */
static inline void mark_object(struct mark_worker *worker, uint32_t span, uint64_t number)
{
    struct mark *mark = worker->mark;
    uint64_t bit = UINT64_C(1) << number % 64;
    _Atomic uint64_t *word = &mark->bits[number / 64];
    if ((atomic_load_explicit(word, memory_order_relaxed) & bit) != 0 ||
        (atomic_fetch_or(word, bit) & bit) != 0) {
        return;
    }
    worker->count++;
    _Atomic uint8_t *flags = &mark->spans[span];
    uint8_t is = atomic_load(flags);
    if ((is & MARK_SPAN_WATCHED) != 0 && mark_set_has(&mark->watched, span, number)) {
        mark_note(worker, vector_append(&worker->hits, number));
    }
    if ((is & (MARK_SPAN_POINTERS | MARK_SPAN_QUEUED)) == MARK_SPAN_POINTERS) {
        mark_queue_span(worker, span, flags);
    }
}

/* Second step of a pointer in the ring: its object. */
static inline void mark_find_object(struct mark_worker *worker, struct mark_pointer *pointer)
{
    const struct heap_page *page = pointer->page;
    if (page == NULL) {
        return;
    }
    if (page->span == 0 || !heap_page_number(page, pointer->value, &pointer->value)) {
        pointer->page = NULL;
        return;
    }
    pointer->span = page->span - 1;
    __builtin_prefetch((const void *)&worker->mark->bits[pointer->value / 64], 1);
}

/* Lets VALUE, which may lie on PAGE (NULL: nothing), enter the ring: the oldest pointer leaves it,
 * and the one half as old takes its next step. */
static inline void mark_enter(struct mark_worker *worker, uint64_t value,
                              const struct heap_page *page)
{
    unsigned at = worker->ring_at;
    struct mark_pointer *pointer = &worker->ring[at];
    if (pointer->page != NULL) {
        mark_object(worker, pointer->span, pointer->value);
    }
    pointer->value = value;
    pointer->page = page;
    __builtin_prefetch(page);
    mark_find_object(worker, &worker->ring[(at + MARK_STAGE) % MARK_RING]);
    worker->ring_at = (at + 1) % MARK_RING;
}

/* Takes a pointer found while scanning. */
static void mark_visit(void *context, uint64_t slot, uint64_t value)
{
    struct mark_worker *worker = context;
    const struct heap *heap = worker->mark->heap;
    if (value - heap->lowest >= heap->highest - heap->lowest) {
        return;
    }
    if (worker->hidden_base != 0) {
        for (size_t i = 0; i < worker->mark->hidden_count; i++) {
            if (slot - worker->hidden_base == (uint64_t)(uint32_t)worker->mark->hidden_offsets[i]) {
                return;
            }
        }
    }
    const struct heap_page *page = heap_page_of(heap, value);
    if (page != NULL) {
        mark_enter(worker, value, page);
    }
}

/* Lets everything leave the ring. */
static void mark_flush(struct mark_worker *worker)
{
    for (unsigned i = 0; i < MARK_RING; i++) {
        mark_enter(worker, 0, NULL);
    }
}

/* Scans OBJECT of SPAN, which has its pointer bits, as heap_scan does; most objects are of this
 * kind, and here the visitor is known to the compiler. */
static inline void mark_scan_bits(struct mark_worker *worker, const struct heap_span *span,
                                  const struct heap_object *object)
{
    uint64_t offset = object->address - span->start;
    struct heap_scan_bytes bytes = {span->view + offset, object->address, object->size};
    heap_scan_mask(&bytes, span->bits, ((uint64_t)span->pages << HEAP_PAGE_SHIFT) / 64, offset / 8,
                   mark_visit, worker);
}

/* Scans object INDEX of span SPAN_INDEX. */
static void mark_scan(struct mark_worker *worker, uint32_t span_index, uint64_t index)
{
    struct mark *mark = worker->mark;
    const struct heap_span *span = &mark->heap->spans[span_index];
    struct heap_object object = {
        .address = span->start + index * span->element_size,
        .size = span->element_size,
        .number = span->first_object + index,
        .span = span_index,
    };
    worker->hidden_base =
        mark_set_has(&mark->hidden, span_index, object.number) ? object.address : 0;
    if (span->map == HEAP_MAP_SPAN_BITS && span->view != NULL) {
        mark_scan_bits(worker, span, &object);
    } else if (!heap_scan(mark->heap, worker->types, &object, mark_visit, worker)) {
        worker->incomplete++;
    }
}

/* Starts loading the objects of SPAN whose bits are set in WANTED; FIRST is the number of the first
 * bit's. */
static inline void mark_prefetch_objects(const struct heap_span *span, uint64_t first,
                                         uint64_t wanted)
{
    for (; span->view != NULL && wanted != 0; wanted &= wanted - 1) {
        uint64_t index = first + (uint64_t)__builtin_ctzll(wanted) - span->first_object;
        __builtin_prefetch(span->view + index * span->element_size);
    }
}

/* Scans all objects of span SPAN_INDEX that are marked and that nobody scans. Who marks another one
 * meanwhile finds the span out of the queue and puts it there again. */
static void mark_scan_span(struct mark_worker *worker, uint32_t span_index)
{
    struct mark *mark = worker->mark;
    const struct heap_span *span = &mark->heap->spans[span_index];
    uint64_t end = span->first_object + span->object_count;
    atomic_fetch_and(&mark->spans[span_index], (uint8_t)~MARK_SPAN_QUEUED);
    for (uint64_t at = span->first_object; at < end; at = (at | 63) + 1) {
        uint64_t mask = UINT64_MAX << at % 64;
        if (end - (at & ~UINT64_C(63)) < 64) {
            mask &= (UINT64_C(1) << end % 64) - 1;
        }
        uint64_t wanted = atomic_load(&mark->bits[at / 64]) & mask;
        wanted &= ~atomic_load(&mark->scanned[at / 64]);
        if (wanted == 0) {
            continue;
        }
        wanted &= ~atomic_fetch_or(&mark->scanned[at / 64], wanted);
        mark_prefetch_objects(span, at & ~UINT64_C(63), wanted);
        for (; wanted != 0; wanted &= wanted - 1) {
            uint64_t number = (at & ~UINT64_C(63)) + (uint64_t)__builtin_ctzll(wanted);
            mark_scan(worker, span_index, number - span->first_object);
        }
    }
}

/* Starts loading what scanning the next span will need first. */
static inline void mark_prefetch_next(const struct mark_worker *worker)
{
    const struct mark_queue *queue = &worker->queue;
    if (queue->count > 1) {
        uint32_t next = queue->items[(queue->first + 1) & (queue->capacity - 1)];
        const struct heap_span *span = &worker->mark->heap->spans[next];
        __builtin_prefetch(span);
        __builtin_prefetch((const void *)&worker->mark->spans[next]);
    }
    if (queue->count > 0) {
        const struct heap_span *span = &worker->mark->heap->spans[queue->items[queue->first]];
        __builtin_prefetch((const void *)&worker->mark->bits[span->first_object / 64]);
        __builtin_prefetch((const void *)&worker->mark->scanned[span->first_object / 64]);
        __builtin_prefetch(span->bits);
    }
}

/* Takes the next span to scan; false when this worker has none. */
static bool mark_next(struct mark_worker *worker, uint32_t *ret)
{
    if (worker->queue.count == 0) {
        mark_flush(worker);
    }
    if (worker->queue.count == 0) {
        return false;
    }
    *ret = mark_queue_take(&worker->queue);
    mark_prefetch_next(worker);
    return true;
}

/* Moves half of WORKER's queue to the pool, at most a block at a time. */
static void mark_share(struct mark_worker *worker)
{
    struct mark *mark = worker->mark;
    size_t give = worker->queue.count / 2;
    pthread_mutex_lock(&mark->lock);
    struct error *error =
        mark_queue_move(&worker->queue, &mark->pool, give > MARK_BLOCK ? MARK_BLOCK : give);
    pthread_cond_broadcast(&mark->changed);
    pthread_mutex_unlock(&mark->lock);
    error_destroy(error); /* without memory for the pool the work simply stays here */
}

/* Takes work from the pool, waiting for others; false when all is done. */
static bool mark_steal(struct mark_worker *worker)
{
    struct mark *mark = worker->mark;
    bool found = false;
    pthread_mutex_lock(&mark->lock);
    mark->idle++;
    atomic_fetch_add(&mark->hungry, 1);
    while (mark->pool.count == 0 && !mark->done) {
        if (mark->idle == mark->threads) {
            mark->done = true;
            pthread_cond_broadcast(&mark->changed);
            break;
        }
        pthread_cond_wait(&mark->changed, &mark->lock);
    }
    if (mark->pool.count > 0 && !mark->done) {
        struct error *error = mark_queue_move(&mark->pool, &worker->queue, MARK_BLOCK);
        found = error == NULL;
        if (error != NULL) {
            mark_note(worker, error);
            mark->done = true;
            pthread_cond_broadcast(&mark->changed);
        }
        mark->idle--;
        atomic_fetch_sub(&mark->hungry, 1);
    }
    pthread_mutex_unlock(&mark->lock);
    return found;
}

/* A worker's life: scan until nobody has anything left. */
static void *mark_work(void *argument)
{
    struct mark_worker *worker = argument;
    uint32_t span;
    do {
        while (worker->error == NULL && mark_next(worker, &span)) {
            mark_scan_span(worker, span);
            if (worker->queue.count > MARK_SHARE_MIN &&
                atomic_load_explicit(&worker->mark->hungry, memory_order_relaxed) > 0) {
                mark_share(worker);
            }
        }
    } while (mark_steal(worker));
    return NULL;
}

void mark_add(struct mark *mark, uint64_t value)
{
    const struct heap_span *span = heap_span_of(mark->heap, value);
    if (span != NULL && value < span->limit) {
        mark_object(&mark->workers[0], (uint32_t)(span - mark->heap->spans),
                    span->first_object + heap_index_in_span(span, value));
    }
}

struct error *mark_run(struct mark *mark)
{
    pthread_t threads[MARK_THREADS_MAX];
    unsigned started = 1;
    mark->idle = 0;
    mark->done = false;
    atomic_store(&mark->hungry, 0);
    unsigned wanted = mark->threads;
    /* After the first run little is left to find, and a short queue is not worth a thread. */
    if (mark->has_run && mark->workers[0].queue.count < MARK_SHARE_MIN / 8) {
        wanted = 1;
    }
    mark->has_run = true;
    unsigned threads_before = mark->threads;
    for (; started < wanted; started++) {
        if (pthread_create(&threads[started], NULL, mark_work, &mark->workers[started]) != 0) {
            break;
        }
    }
    pthread_mutex_lock(&mark->lock);
    mark->threads = started;
    pthread_mutex_unlock(&mark->lock);
    mark_work(&mark->workers[0]);
    for (unsigned i = 1; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    mark->threads = threads_before;
    for (unsigned i = 0; i < mark->threads; i++) {
        if (mark->workers[i].error != NULL) {
            return TAKE(mark->workers[i].error);
        }
    }
    return NULL;
}

bool mark_is_marked(const struct mark *mark, uint64_t number)
{
    return (atomic_load_explicit(&mark->bits[number / 64], memory_order_relaxed) >> number % 64 &
            1) != 0;
}

bool mark_reaches(const struct mark *mark, uint64_t address)
{
    struct heap_object object;
    return !heap_find(mark->heap, address, &object) || mark_is_marked(mark, object.number);
}

uint64_t mark_incomplete(const struct mark *mark)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < mark->threads; i++) {
        sum += mark->workers[i].incomplete;
    }
    return sum;
}

uint64_t mark_count(const struct mark *mark)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < mark->threads; i++) {
        sum += mark->workers[i].count;
    }
    return sum;
}
