#include "goruntime/mark.h"
#include "heap_fixture.h"

enum {
    EDGES_MAX = 16, /* of one object that the test draws; more are refused */
    TYPES = 12,
    WATCHED = 300,
    HIDDEN = 4000,
    ROUNDS = 5,
    ROOTS = 24, /* of a round */
    CLASS_SUDOG = 7
};

/* A kind of span: what the graph consists of. */
struct kind {
    uint64_t pages, size;
    uint8_t spanclass;
    unsigned weight;
};

static const struct kind kinds[] = {{1, 16, 2 << 1, 10},
                                    {1, 48, 5 << 1, 10},
                                    {1, 96, CLASS_SUDOG << 1, 10},
                                    {1, 512, 28 << 1, 10},
                                    {1, 1024, 36 << 1, 8},
                                    {4, 8192, 54 << 1, 4},
                                    {3, 0, 0, 3},
                                    {12, 0, 0, 1},
                                    {1, 32, 4 << 1 | 1, 6},
                                    {2, 0, 1, 2},
                                    {1, 128, CLASS_SUDOG << 1, 6}};

/* One object as the test knows it. */
struct object {
    uint64_t address, size;
    uint32_t edges[EDGES_MAX];
    uint16_t words[EDGES_MAX]; /* that hold them */
    bool decoys[EDGES_MAX];    /* no pointers: followed only where nothing says so */
    unsigned edge_count;
    bool noscan, marked, watched;
    bool conservative; /* the bits of its span cannot be viewed */
    bool unread;       /* bytes of it cannot be read, */
    uint64_t read;     /* only so many before them */
};

/* A graph and what is known of it. */
struct graph {
    struct heap_fixture *fixture;
    struct object *objects; /* by address, as the heap numbers them */
    size_t count, capacity;
    uint64_t types[TYPES];
    uint8_t masks[TYPES][8]; /* of 64 words */
    uint64_t random;
    uint32_t hits[WATCHED];
    size_t hit_count;
    uint64_t incomplete;
};

static uint64_t draw(struct graph *graph, uint64_t below)
{
    graph->random ^= graph->random << 13;
    graph->random ^= graph->random >> 7;
    graph->random ^= graph->random << 17;
    return (graph->random >> 11) % below;
}

/* A value that points into OBJECT: often at its start, sometimes at its last byte. */
static uint64_t point_at(struct graph *graph, const struct object *object)
{
    switch (draw(graph, 4)) {
    case 0:
        return object->address + draw(graph, object->size);
    case 1:
        return object->address + object->size - 1;
    default:
        return object->address;
    }
}

/* Adds the objects of one span; COUNT of them. */
static void add_objects(struct graph *graph, uint64_t page, uint64_t size, uint64_t count,
                        bool noscan)
{
    for (uint64_t i = 0; i < count; i++) {
        if (graph->count == graph->capacity) {
            graph->capacity = graph->capacity == 0 ? 1024 : 2 * graph->capacity;
            graph->objects = reallocarray(graph->objects, graph->capacity, sizeof *graph->objects);
            assert_non_null(graph->objects);
        }
        graph->objects[graph->count++] = (struct object){
            .address = heap_fixture_page(page) + i * size, .size = size, .noscan = noscan};
    }
}

/* Fills the heap's pages with spans of all kinds, with gaps, in no order in the table. */
static void make_spans(struct graph *graph)
{
    unsigned weights = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        weights += kinds[i].weight;
    }
    for (uint64_t page = 0; page + 12 <= HEAP_FIXTURE_PAGES;) {
        uint64_t pick = draw(graph, weights);
        const struct kind *kind = kinds;
        while (pick >= kind->weight) {
            pick -= kind++->weight;
        }
        uint64_t bytes = kind->pages << HEAP_PAGE_SHIFT;
        uint64_t size = kind->size == 0 ? bytes : kind->size;
        bool in_span = graph->fixture->runtime.layout->minor >= 22 && size <= HEAP_SPAN_BITS_MAX;
        uint64_t count = (bytes - (in_span ? bytes / 64 : 0)) / size;
        size_t span =
            heap_fixture_span(graph->fixture, page, kind->pages, size, count, kind->spanclass);
        uint64_t other = draw(graph, span + 1); /* the table is in no order */
        uint64_t swap = graph->fixture->list[other];
        graph->fixture->list[other] = graph->fixture->list[span];
        graph->fixture->list[span] = swap;
        if (kind->size == 0 && (kind->spanclass & 1) == 0 &&
            graph->fixture->runtime.layout->minor >= 22) {
            uint64_t type = graph->types[draw(graph, TYPES)];
            memcpy(heap_fixture_mspan(graph->fixture, span,
                                      graph->fixture->runtime.layout->mspan.large_type),
                   &type, 8);
        }
        add_objects(graph, page, size, count, (kind->spanclass & 1) != 0);
        page += kind->pages + (draw(graph, 8) == 0);
    }
}

/* Makes types whose masks are random. */
static void make_types(struct graph *graph)
{
    for (size_t i = 0; i < TYPES; i++) {
        for (size_t j = 0; j < 8; j++) {
            graph->masks[i][j] = (uint8_t)draw(graph, 256);
        }
        graph->masks[i][0] |= 1;
        graph->types[i] = heap_fixture_type(graph->fixture, 64 * 8, 64, graph->masks[i]);
    }
}

/* The span of OBJECT as the fixture built it: its first page and how many. */
static void span_of(const struct graph *graph, const struct object *object, uint64_t *page,
                    uint64_t *pages)
{
    const struct layout *layout = graph->fixture->runtime.layout;
    static const struct graph *last_graph;
    static size_t last;
    if (last_graph != graph) {
        last = 0;
        last_graph = graph;
    }
    for (;; last = (last + 1) % graph->fixture->span_count) {
        uint64_t start;
        memcpy(&start, heap_fixture_mspan(graph->fixture, last, layout->mspan.start_addr), 8);
        memcpy(pages, heap_fixture_mspan(graph->fixture, last, layout->mspan.npages), 8);
        if (object->address >= start && object->address - start < *pages << HEAP_PAGE_SHIFT) {
            *page = (start - HEAP_FIXTURE_START) >> HEAP_PAGE_SHIFT;
            return;
        }
    }
}

/* Says that word WORD of OBJECT is a pointer, where a bit says so; false when its type decides, and
 * says no. TYPE is the type's number. */
static bool make_pointer(struct graph *graph, const struct object *object, uint64_t word,
                         size_t type)
{
    const struct layout *layout = graph->fixture->runtime.layout;
    uint64_t slot = object->address + word * 8;
    if (layout->minor <= 21) {
        heap_fixture_arena_bit(graph->fixture, slot, true);
        for (uint64_t i = 0; layout->minor <= 19 && i < word; i++) {
            heap_fixture_arena_bit(graph->fixture, object->address + i * 8, false);
        }
        return true;
    }
    if (object->size <= HEAP_SPAN_BITS_MAX) {
        uint64_t page;
        uint64_t pages;
        span_of(graph, object, &page, &pages);
        heap_fixture_span_bit(graph->fixture, page, pages, 0, slot);
        return true;
    }
    uint64_t element = word; /* of the run of types, which large objects begin at once */
    if (object->size < (UINT64_C(3) << HEAP_PAGE_SHIFT)) {
        if (word == 0) {
            return false; /* its header */
        }
        element--;
    }
    element %= 64;
    return (graph->masks[type][element / 8] >> element % 8 & 1) != 0;
}

/* The number of the type that OBJECT has; it is given one where the object itself says it. */
static size_t give_type(struct graph *graph, const struct object *object)
{
    const struct layout *layout = graph->fixture->runtime.layout;
    if (layout->minor <= 21 || object->size <= HEAP_SPAN_BITS_MAX || object->noscan) {
        return 0;
    }
    size_t type = (size_t)draw(graph, TYPES);
    if (object->size < (UINT64_C(3) << HEAP_PAGE_SHIFT)) {
        heap_fixture_store(graph->fixture, object->address, graph->types[type]);
        return type;
    }
    for (size_t i = 0; i < graph->fixture->span_count; i++) {
        uint64_t start;
        uint64_t address;
        memcpy(&start, heap_fixture_mspan(graph->fixture, i, layout->mspan.start_addr), 8);
        memcpy(&address, heap_fixture_mspan(graph->fixture, i, layout->mspan.large_type), 8);
        if (start == object->address) {
            for (type = 0; graph->types[type] != address; type++) {
            }
        }
    }
    return type;
}

/* Draws the words of object NUMBER: pointers, and decoys that only look like some. */
static void make_words(struct graph *graph, size_t number)
{
    struct object *object = &graph->objects[number];
    size_t type = give_type(graph, object);
    uint64_t words = object->size / 8;
    uint64_t wanted = draw(graph, 4) == 0 ? draw(graph, EDGES_MAX) : draw(graph, 4);
    for (uint64_t i = 0; i < wanted; i++) {
        uint64_t word = draw(graph, words);
        uint64_t value;
        memcpy(&value, heap_fixture_bytes(graph->fixture, object->address + word * 8, 8), 8);
        /* Near ones often: real heaps are so, and spans get queued again. */
        uint64_t target = draw(graph, 3) == 0 ? (number + draw(graph, 40)) % graph->count
                                              : draw(graph, graph->count);
        if (value != 0) {
            continue; /* taken */
        }
        if (draw(graph, 20) == 0) { /* a pointer to behind the last object of a span, or of many */
            while (target + 1 < graph->count &&
                   graph->objects[target].address + graph->objects[target].size ==
                       graph->objects[target + 1].address) {
                target++;
            }
            heap_fixture_store(graph->fixture, object->address + word * 8,
                               graph->objects[target].address + graph->objects[target].size);
            if (!object->noscan) {
                (void)make_pointer(graph, object, word, type);
            }
            continue;
        }
        heap_fixture_store(graph->fixture, object->address + word * 8,
                           point_at(graph, &graph->objects[target]));
        bool decoy = object->noscan || draw(graph, 8) == 0;
        bool typed = object->size > HEAP_SPAN_BITS_MAX && !object->noscan &&
                     graph->fixture->runtime.layout->minor >= 22;
        if (typed) {
            decoy = !make_pointer(graph, object, word, type);
        } else if (!decoy) {
            (void)make_pointer(graph, object, word, type);
        }
        object->edges[object->edge_count] = (uint32_t)target;
        object->decoys[object->edge_count] = decoy;
        object->words[object->edge_count++] = (uint16_t)word;
    }
}

/* A graph for Go 1.MINOR drawn from SEED; not opened yet. */
static struct graph *graph_create(int minor, uint64_t seed)
{
    struct graph *graph = calloc(1, sizeof *graph);
    graph->random = seed * 0x9e3779b97f4a7c15u + 1;
    graph->fixture = heap_fixture_create(minor);
    make_types(graph);
    make_spans(graph);
    for (size_t i = 0; i < graph->count; i++) {
        make_words(graph, i);
    }
    assert_true(graph->count > 20000);
    return graph;
}

static void graph_destroy(struct graph *graph)
{
    heap_fixture_destroy(graph->fixture);
    free(graph->objects);
    free(graph);
}

/* Marks what is reachable from object NUMBER, breadth first, as a textbook does. */
static void mark_plainly(struct graph *graph, size_t number)
{
    size_t *queue = calloc(graph->count, sizeof *queue);
    size_t first = 0;
    size_t end = 0;
    if (!graph->objects[number].marked) {
        graph->objects[number].marked = true;
        queue[end++] = number;
    }
    while (first < end) {
        const struct object *object = &graph->objects[queue[first++]];
        graph->incomplete += object->unread;
        for (unsigned i = 0; i < object->edge_count; i++) {
            struct object *target = &graph->objects[object->edges[i]];
            bool skipped = (object->decoys[i] && !object->conservative) ||
                           (object->unread && object->words[i] * UINT64_C(8) >= object->read);
            if (!skipped && !target->marked) {
                target->marked = true;
                queue[end++] = object->edges[i];
            }
        }
    }
    free(queue);
}

/* Hides the words of some sudogs, and drops what they point at from the graph. */
static void hide_some(struct graph *graph, struct mark *mark)
{
    const struct layout *layout = graph->fixture->runtime.layout;
    uint64_t addresses[HIDDEN];
    size_t count = 0;
    uint64_t size = layout->minor >= 26 ? 128 : 96;
    while (count < HIDDEN) {
        size_t number = (size_t)draw(graph, graph->count);
        struct object *object = &graph->objects[number];
        addresses[count] = object->address;
        if (object->size != size) {
            /* No sudog: it must keep its words. So must one that is pointed into. */
            count += object->size > 2 * size || object->size < 64 ? 1 : 0;
            continue;
        }
        if (draw(graph, 6) == 0) {
            addresses[count++] += 8;
            continue;
        }
        count++;
        unsigned kept = 0;
        for (unsigned i = 0; i < object->edge_count; i++) {
            int32_t offset = object->words[i] * 8;
            bool hidden = offset == layout->sudog.elem || offset == layout->sudog.c ||
                          (layout->minor >= 26 &&
                           (offset == layout->sudog.elem - 8 || offset == layout->sudog.c - 8));
            if (!hidden) {
                object->edges[kept] = object->edges[i];
                object->decoys[kept] = object->decoys[i];
                object->words[kept++] = object->words[i];
            }
        }
        object->edge_count = kept;
    }
    assert_success(mark_hide_sudogs(mark, addresses, HIDDEN));
}

/* Watches some objects. */
static void watch_some(struct graph *graph, struct mark *mark)
{
    for (size_t i = 0; i < WATCHED; i++) {
        size_t number = (size_t)draw(graph, graph->count);
        bool in_heap = false;
        uint64_t told = UINT64_MAX;
        assert_success(mark_watch(mark, point_at(graph, &graph->objects[number]), &in_heap, &told));
        assert_true(in_heap);
        assert_int_equal(told, number);
        graph->objects[number].watched = true;
    }
    bool in_heap = true;
    uint64_t told;
    assert_success(mark_watch(mark, 0x500000, &in_heap, &told));
    assert_false(in_heap);
}

static void take(void *context, uint64_t number)
{
    struct graph *graph = context;
    assert_true(number < graph->count);
    assert_true(graph->objects[number].watched); /* exactly once: it is unwatched here */
    graph->objects[number].watched = false;
    assert_true(graph->hit_count < WATCHED);
    graph->hits[graph->hit_count++] = (uint32_t)number;
}

/* Compares MARK with what was marked plainly. */
static void compare(struct graph *graph, const struct mark *mark)
{
    uint64_t marked = 0;
    for (size_t i = 0; i < graph->count; i++) {
        if (mark_is_marked(mark, i) != graph->objects[i].marked) {
            fail_msg("object %zu of %zu bytes at 0x%llx is%s marked", i,
                     (size_t)graph->objects[i].size, (unsigned long long)graph->objects[i].address,
                     graph->objects[i].marked ? " not" : "");
        }
        marked += graph->objects[i].marked;
        /* Who is watched still was not marked; nobody is told of twice. */
        assert_false(graph->objects[i].watched && graph->objects[i].marked);
    }
    assert_int_equal(mark_count(mark), marked);
    assert_int_equal(mark_incomplete(mark), graph->incomplete);
    assert_true(mark_reaches(mark, 0));
    const struct object *some = &graph->objects[draw(graph, graph->count)];
    assert_int_equal(mark_reaches(mark, some->address + some->size - 1), some->marked);
}

/* Marks GRAPH from random roots in several rounds with THREADS workers. */
static void run(struct graph *graph, struct heap *heap, unsigned threads)
{
    struct mark *mark = NULL;
    size_t hits = 0;
    assert_success(mark_create(heap, threads, &mark));
    hide_some(graph, mark);
    watch_some(graph, mark);
    for (size_t round = 0; round < ROUNDS; round++) {
        /* One root, none, then more than one thread is worth. */
        size_t roots = round == 0 ? 1 : round == 1 ? 0 : ROOTS * round;
        for (size_t i = 0; i < roots; i++) {
            size_t number = (size_t)draw(graph, graph->count);
            mark_add(mark, point_at(graph, &graph->objects[number]));
            mark_plainly(graph, number);
            mark_add(mark, draw(graph, UINT64_MAX)); /* garbage */
        }
        assert_success(mark_run(mark));
        mark_take_hits(mark, take, graph);
        compare(graph, mark);
        hits = graph->hit_count;
        mark_take_hits(mark, take, graph);
        assert_int_equal(graph->hit_count, hits);
    }
    assert_true(hits > 0);
    assert_true(mark_count(mark) > graph->count / 20);
    assert_true(mark_count(mark) < graph->count);
    mark_destroy(mark);
}

static void test_marking_is_what_a_plain_search_finds(void **state)
{
    (void)state;
    static const int minors[] = {19, 21, 22, 24, 26, 27};
    static const unsigned threads[] = {1, 2, 4};
    for (size_t i = 0; i < sizeof minors / sizeof *minors; i++) {
        for (size_t j = 0; j < 3; j++) {
            struct graph *graph = graph_create(minors[i], i * 3 + j + 1);
            struct heap *heap = NULL;
            heap_fixture_open(graph->fixture);
            assert_success(heap_create(&graph->fixture->runtime, &heap));
            assert_int_equal(heap_odd_spans(heap), 0);
            assert_int_equal(heap_object_count(heap), graph->count);
            run(graph, heap, threads[j]);
            heap_destroy(heap);
            graph_destroy(graph);
        }
    }
}

/* Maps the heap in pieces, of which some cannot be read, and says so to the objects. */
static void cut(struct graph *graph)
{
    struct heap_fixture *fixture = graph->fixture;
    uint64_t offset = 0;
    for (size_t i = 0; i < HEAP_FIXTURE_PIECES; i++) {
        fixture->pieces[i] = (struct heap_fixture_piece){offset, i % 3 != 2};
        uint64_t most = i % 3 == 2 ? 100000 : sizeof fixture->heap / HEAP_FIXTURE_PIECES;
        offset += draw(graph, most / 8) * 8 + 8;
    }
    fixture->piece_count = HEAP_FIXTURE_PIECES;
    for (size_t i = 0; i < graph->count; i++) {
        struct object *object = &graph->objects[i];
        uint64_t page;
        uint64_t pages;
        span_of(graph, object, &page, &pages);
        uint64_t start = object->address - HEAP_FIXTURE_START;
        for (size_t j = 1; j < HEAP_FIXTURE_PIECES; j++) {
            uint64_t from = fixture->pieces[j].offset;
            uint64_t to =
                j + 1 < HEAP_FIXTURE_PIECES ? fixture->pieces[j + 1].offset : sizeof fixture->heap;
            bool split = from > page << HEAP_PAGE_SHIFT && from < (page + pages) << HEAP_PAGE_SHIFT;
            bool missing = !fixture->pieces[j].readable;
            bool no_view = split || (missing && from <= page << HEAP_PAGE_SHIFT &&
                                     to > page << HEAP_PAGE_SHIFT);
            object->conservative |= no_view && !object->noscan &&
                                    fixture->runtime.layout->minor >= 22 &&
                                    object->size <= HEAP_SPAN_BITS_MAX;
            if (missing && !object->noscan && !object->unread && from < start + object->size &&
                to > start) {
                object->unread = true;
                object->read = from < start ? 0 : (from - start) >> 16 << 16; /* whole pieces */
            }
        }
    }
}

static void test_what_cannot_be_viewed_or_read(void **state)
{
    (void)state;
    static const int minors[] = {19, 21, 22, 24, 27};
    for (size_t i = 0; i < 10; i++) {
        struct graph *graph = graph_create(minors[i / 2], 100 + i);
        struct heap *heap = NULL;
        cut(graph);
        heap_fixture_open(graph->fixture);
        assert_success(heap_create(&graph->fixture->runtime, &heap));
        run(graph, heap, i % 2 == 0 ? 1 : 4);
        assert_true(graph->incomplete > 0);
        heap_destroy(heap);
        graph_destroy(graph);
    }
}

/* What an exhausted run needs. */
struct exhaustion {
    struct graph *graph;
    struct heap *heap;
};

static void ignore(void *context, uint64_t number)
{
    (void)context;
    (void)number;
}

/* Marks in two rounds with one worker, so that the order of allocations is always the same. */
static struct error *mark_work(struct exhaustion *exhaustion, struct mark *mark)
{
    struct graph *graph = exhaustion->graph;
    bool in_heap;
    uint64_t number;
    TRY(mark_hide_sudogs(mark, &graph->objects[5].address, 1));
    for (size_t i = 0; i < 40; i++) {
        TRY(mark_watch(mark, graph->objects[i * 20].address, &in_heap, &number));
    }
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = round; i < graph->count; i += 50) {
            mark_add(mark, graph->objects[i].address);
        }
        TRY(mark_run(mark));
        mark_take_hits(mark, ignore, NULL);
    }
    /* Had anything been lost in silence, this would tell. */
    for (size_t i = 0; i < graph->count; i++) {
        assert_int_equal(mark_is_marked(mark, i), graph->objects[i].marked);
    }
    return NULL;
}

static struct error *exhaust(void *context)
{
    struct exhaustion *exhaustion = context;
    struct mark *mark = NULL;
    TRY(mark_create(exhaustion->heap, 1, &mark));
    struct error *error = mark_work(exhaustion, mark);
    mark_destroy(mark);
    return error;
}

static void test_nothing_is_lost_when_memory_runs_out(void **state)
{
    (void)state;
    struct exhaustion exhaustion = {.graph = graph_create(21, 7)};
    struct graph *graph = exhaustion.graph;
    heap_fixture_open(graph->fixture);
    assert_success(heap_create(&graph->fixture->runtime, &exhaustion.heap));
    for (size_t i = 0; i < graph->count; i++) {
        if (i % 50 < 2) {
            mark_plainly(graph, i);
        }
    }
    support_exhaust(exhaust, &exhaustion);
    heap_destroy(exhaustion.heap);
    graph_destroy(graph);
}

/* A chain through all spans, and a heap without any: one worker has all the work, or none. */
static void test_heaps_of_odd_shapes(void **state)
{
    (void)state;
    for (unsigned threads = 0; threads <= 4; threads++) {
        struct heap_fixture *fixture = heap_fixture_create(19);
        struct heap *heap = NULL;
        struct mark *mark = NULL;
        for (uint64_t page = 0; page < HEAP_FIXTURE_PAGES; page++) {
            heap_fixture_span(fixture, page, 1, 4096, 2, 40 << 1);
            uint64_t next = heap_fixture_page((page * 7 + 1) % HEAP_FIXTURE_PAGES);
            for (uint64_t i = 0; i < 2; i++) {
                uint64_t slot = heap_fixture_page(page) + i * 4096;
                heap_fixture_arena_bit(fixture, slot, true);
                heap_fixture_store(fixture, slot, i == 0 ? slot + 4096 : next);
            }
        }
        heap_fixture_open(fixture);
        assert_success(heap_create(&fixture->runtime, &heap));
        assert_success(mark_create(heap, threads, &mark));
        mark_add(mark, HEAP_FIXTURE_START);
        mark_add(mark, HEAP_FIXTURE_START);
        assert_int_equal(mark_count(mark), 1);
        assert_success(mark_run(mark));
        /* page -> 7 page + 1 modulo 1024 is a permutation: all that lie on 0's circle. */
        uint64_t length = 1;
        for (uint64_t page = 1; page != 0; page = (page * 7 + 1) % HEAP_FIXTURE_PAGES) {
            length++;
        }
        assert_int_equal(mark_count(mark), 2 * length);
        mark_destroy(mark);
        heap_destroy(heap);
        uint64_t none = 0;
        memcpy(fixture->mheap + fixture->runtime.layout->mheap.allspans + 8, &none, 8);
        assert_success(heap_create(&fixture->runtime, &heap));
        assert_success(mark_create(heap, threads, &mark));
        mark_add(mark, HEAP_FIXTURE_START);
        mark_add(mark, 0);
        mark_add(mark, UINT64_MAX);
        assert_success(mark_run(mark));
        assert_int_equal(mark_count(mark), 0);
        assert_true(mark_reaches(mark, HEAP_FIXTURE_START));
        mark_destroy(mark);
        heap_destroy(heap);
        heap_fixture_destroy(fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_cannot_be_viewed_or_read),
        cmocka_unit_test(test_nothing_is_lost_when_memory_runs_out),
        cmocka_unit_test(test_heaps_of_odd_shapes),
        cmocka_unit_test(test_marking_is_what_a_plain_search_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
