/* Tracing: a bit per object, a stack of objects per worker, a pool of full blocks to share.
 *
 * Heaps are larger than caches, so every step is split from the load that it needs: a pointer goes
 * through a ring, in which its page entry, its span record and its mark word are asked for one
 * after the other, each many pointers before it is used; an object goes through a shorter one
 * between being taken and being scanned. Marks are set atomically: an object is scanned by the one
 * worker that set its bit. */
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
    MARK_STAGE = 24,            /* pointers between two steps of one */
    MARK_RING = 3 * MARK_STAGE, /* pointers under way */
    MARK_QUEUE = 32,             /* objects under way */
    MARK_BLOCK = 1024,          /* entries that move between workers at once */
    MARK_SHARE_MIN = 2048,      /* a worker with more than this shares */
    MARK_THREADS_MAX = 32
};

/* An object as span and index in it. */
struct mark_entry {
    uint32_t span;
    uint32_t index;
};

struct mark_stack {
    VECTOR(struct mark_entry) entries;
};

/* A pointer under way. */
struct mark_pointer {
    uint64_t value;               /* 0: none, or found to be no pointer to an object */
    const struct heap_span *span; /* once looked up */
    uint64_t number;              /* of its object, once known */
};

/* One worker. */
struct mark_worker {
    struct mark *mark;
    struct heap_types *types;
    struct mark_stack stack;
    VECTOR(uint64_t) hits; /* watched objects that were marked */
    struct mark_pointer ring[MARK_RING];
    unsigned ring_at;
    struct mark_entry queue[MARK_QUEUE]; /* objects whose bytes are on their way */
    unsigned queue_first, queue_count;
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
    _Atomic uint64_t *bits;
    struct mark_set hidden;  /* sudogs with hidden words */
    struct mark_set watched; /* objects that somebody waits for */
    int32_t hidden_offsets[4];
    size_t hidden_count; /* offsets */
    struct mark_worker *workers;
    unsigned threads;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct mark_stack pool; /* shared entries; under lock */
    unsigned idle;          /* under lock */
    bool done;              /* under lock */
    atomic_uint hungry;     /* idle workers, for a cheap look */
};

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
    if (mark->bits == NULL || mark->workers == NULL) {
        mark_destroy(mark);
        return error_no_memory();
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
        vector_deinit(&mark->workers[i].stack.entries);
        vector_deinit(&mark->workers[i].hits);
        error_destroy(mark->workers[i].error);
    }
    vector_deinit(&mark->pool.entries);
    pthread_mutex_destroy(&mark->lock);
    pthread_cond_destroy(&mark->changed);
    free(mark->workers);
    large_free((void *)mark->bits, mark_bits_size(mark->heap));
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

/* Marks object NUMBER of SPAN and pushes it when it was not marked and holds pointers. */
static inline void mark_object(struct mark_worker *worker, const struct heap_span *span,
                               uint64_t number)
{
    struct mark *mark = worker->mark;
    uint64_t bit = UINT64_C(1) << number % 64;
    _Atomic uint64_t *word = &mark->bits[number / 64];
    if ((atomic_load_explicit(word, memory_order_relaxed) & bit) != 0 ||
        (atomic_fetch_or_explicit(word, bit, memory_order_relaxed) & bit) != 0) {
        return;
    }
    worker->count++;
    uint32_t span_index = (uint32_t)(span - mark->heap->spans);
    if (mark_set_has(&mark->watched, span_index, number)) {
        mark_note(worker, vector_append(&worker->hits, number));
    }
    if (span->map == HEAP_MAP_NONE) {
        return;
    }
    struct mark_entry entry = {span_index, (uint32_t)(number - span->first_object)};
    mark_note(worker, vector_append(&worker->stack.entries, entry));
}

/* First step of a pointer that entered the ring: its span. */
static inline void mark_find_span(struct mark_worker *worker, struct mark_pointer *pointer)
{
    if (pointer->value != 0) {
        pointer->span = heap_span_of(worker->mark->heap, pointer->value);
        __builtin_prefetch(pointer->span);
        pointer->value = pointer->span == NULL ? 0 : pointer->value;
    }
}

/* Second step: its object. */
static inline void mark_find_object(struct mark_worker *worker, struct mark_pointer *pointer)
{
    if (pointer->value != 0 && pointer->value >= pointer->span->limit) {
        pointer->value = 0;
    }
    if (pointer->value != 0) {
        pointer->number =
            pointer->span->first_object + heap_index_in_span(pointer->span, pointer->value);
        __builtin_prefetch((const void *)&worker->mark->bits[pointer->number / 64], 1);
    }
}

/* Lets VALUE (0: nothing) enter the ring: the oldest pointer leaves it, others take their steps. */
static inline void mark_enter(struct mark_worker *worker, uint64_t value)
{
    unsigned at = worker->ring_at;
    struct mark_pointer *pointer = &worker->ring[at];
    if (pointer->value != 0) {
        mark_object(worker, pointer->span, pointer->number);
    }
    *pointer = (struct mark_pointer){.value = value};
    if (value != 0) {
        heap_prefetch_page(worker->mark->heap, value);
    }
    mark_find_span(worker, &worker->ring[(at + MARK_RING - MARK_STAGE) % MARK_RING]);
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
    mark_enter(worker, value);
}

/* Lets everything leave the ring. */
static void mark_flush(struct mark_worker *worker)
{
    for (unsigned i = 0; i < MARK_RING; i++) {
        mark_enter(worker, 0);
    }
}

/* Starts loading the bytes of the object of ENTRY and where its pointers are. */
static inline void mark_prefetch_object(const struct heap *heap, struct mark_entry entry)
{
    const struct heap_span *span = &heap->spans[entry.span];
    if (span->view == NULL) {
        return;
    }
    uint64_t offset = entry.index * span->element_size;
    __builtin_prefetch(span->view + offset);
    if (span->map == HEAP_MAP_SPAN_BITS) {
        __builtin_prefetch(span->bits + offset / 64);
    }
}

/* Takes the next object to scan; false when this worker has none. */
static bool mark_next(struct mark_worker *worker, struct mark_entry *ret)
{
    while (worker->queue_count < MARK_QUEUE) {
        if (worker->stack.entries.count == 0 && worker->queue_count == 0) {
            mark_flush(worker);
        }
        if (worker->stack.entries.count == 0) {
            break;
        }
        struct mark_entry entry = worker->stack.entries.items[--worker->stack.entries.count];
        mark_prefetch_object(worker->mark->heap, entry);
        worker->queue[(worker->queue_first + worker->queue_count++) % MARK_QUEUE] = entry;
    }
    if (worker->queue_count == 0) {
        return false;
    }
    *ret = worker->queue[worker->queue_first];
    worker->queue_first = (worker->queue_first + 1) % MARK_QUEUE;
    worker->queue_count--;
    return true;
}

/* Scans one object. */
static void mark_scan(struct mark_worker *worker, struct mark_entry entry)
{
    struct mark *mark = worker->mark;
    const struct heap_span *span = &mark->heap->spans[entry.span];
    struct heap_object object = {
        .address = span->start + entry.index * span->element_size,
        .size = span->element_size,
        .number = span->first_object + entry.index,
        .span = entry.span,
    };
    worker->hidden_base =
        mark_set_has(&mark->hidden, entry.span, object.number) ? object.address : 0;
    if (!heap_scan(mark->heap, worker->types, &object, mark_visit, worker)) {
        worker->incomplete++;
    }
}

/* Moves the newest half of WORKER's stack to the pool, at most a block at a time. */
static void mark_share(struct mark_worker *worker)
{
    struct mark *mark = worker->mark;
    pthread_mutex_lock(&mark->lock);
    size_t give = worker->stack.entries.count / 2;
    give = give > MARK_BLOCK ? MARK_BLOCK : give;
    struct error *error = vector_reserve(&mark->pool.entries, mark->pool.entries.count + give);
    if (error == NULL) {
        worker->stack.entries.count -= give;
        memcpy(mark->pool.entries.items + mark->pool.entries.count,
               worker->stack.entries.items + worker->stack.entries.count,
               give * sizeof *worker->stack.entries.items);
        mark->pool.entries.count += give;
        pthread_cond_broadcast(&mark->changed);
    }
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
    while (mark->pool.entries.count == 0 && !mark->done) {
        if (mark->idle == mark->threads) {
            mark->done = true;
            pthread_cond_broadcast(&mark->changed);
            break;
        }
        pthread_cond_wait(&mark->changed, &mark->lock);
    }
    if (mark->pool.entries.count > 0 && !mark->done) {
        size_t take = mark->pool.entries.count > MARK_BLOCK ? MARK_BLOCK : mark->pool.entries.count;
        struct error *error = vector_reserve(&worker->stack.entries, take);
        if (error == NULL) {
            mark->pool.entries.count -= take;
            memcpy(worker->stack.entries.items, mark->pool.entries.items + mark->pool.entries.count,
                   take * sizeof *worker->stack.entries.items);
            worker->stack.entries.count = take;
            found = true;
        } else {
            worker->error = error;
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
    struct mark_entry entry;
    do {
        while (worker->error == NULL && mark_next(worker, &entry)) {
            mark_scan(worker, entry);
            if (worker->stack.entries.count > MARK_SHARE_MIN &&
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
        mark_object(&mark->workers[0], span, span->first_object + heap_index_in_span(span, value));
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
    /* A short queue is not worth a thread; a long one is shared as soon as others are hungry. */
    if (mark->workers[0].stack.entries.count < 64) {
        wanted = 1;
    }
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
