/* The runtime's other variables: candidates from anchor functions (go-runtime.md 2), each believed
 * only when what is there looks as the layout row says. Lists of the target are followed with
 * bounds. */
#include "goruntime/globals.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "goruntime/globals_internal.h"

enum {
    GLOBALS_ATTEMPTS = 4,
    GLOBALS_PAUSE_NS = 1000000, /* grows with every attempt */
    GLOBALS_MS_MAX = 100000,
    GLOBALS_PS_MAX = 1 << 20,
    GLOBALS_SPANS_MAX = 1 << 28,
    GLOBALS_MAXMCOUNT = 10000, /* what schedinit stores in sched.maxmcount */
    GLOBALS_SEMAPHORES = 251,  /* runtime.semTabSize */
    GLOBALS_SEMAPHORE_STRIDE_MAX = 128,
    GLOBALS_CLEANUPS_SPAN = 512
};

/* A search by a layout row. */
struct globals_rest {
    struct globals_search search;
    const struct layout *layout;
    struct goruntime_globals *globals;
};

/* True when CANDIDATE is the variable that is looked for. */
typedef bool globals_check(struct globals_rest *rest, uint64_t candidate);

/* True when M is one: its g0 names it, or its g0 is not there yet. */
static bool globals_is_m(struct globals_rest *rest, uint64_t m)
{
    const struct layout *layout = rest->layout;
    uint64_t g0;
    uint64_t back;
    return m != 0 && (m & 7) == 0 &&
           peek_u64(&rest->search.peek, m + (uint64_t)layout->m.g0, &g0) && g0 != 0 &&
           peek_u64(&rest->search.peek, g0 + (uint64_t)layout->g.m, &back) && back == m;
}

/* The length of the list of m's at ADDRESS, 0 when it is none. */
static size_t globals_count_ms(struct globals_rest *rest, uint64_t address)
{
    uint64_t m;
    size_t count = 0;
    if ((address & 7) != 0 || !peek_u64(&rest->search.peek, address, &m)) {
        return 0;
    }
    while (m != 0) {
        if (count == GLOBALS_MS_MAX || (count < 64 && !globals_is_m(rest, m)) ||
            !peek_u64(&rest->search.peek, m + (uint64_t)rest->layout->m.alllink, &m)) {
            return 0;
        }
        count++;
    }
    return count;
}

/* True for the address of allm. */
static bool globals_check_allm(struct globals_rest *rest, uint64_t candidate)
{
    return globals_count_ms(rest, candidate) > 0;
}

/* True for the slice of p's: numbered from 0. */
static bool globals_check_allp(struct globals_rest *rest, uint64_t candidate)
{
    uint8_t slice[24];
    if ((candidate & 7) != 0 || !peek_read(&rest->search.peek, candidate, slice, sizeof slice)) {
        return false;
    }
    uint64_t array = bytes_u64(slice);
    uint64_t count = bytes_u64(slice + 8);
    if (array == 0 || count == 0 || count > bytes_u64(slice + 16) || count > GLOBALS_PS_MAX) {
        return false;
    }
    for (uint64_t i = 0; i < count && i < 4; i++) {
        uint64_t p;
        uint32_t id;
        if (!peek_u64(&rest->search.peek, array + i * 8, &p) || (p & 7) != 0 || p == 0 ||
            !peek_u32(&rest->search.peek, p + (uint64_t)rest->layout->p.id, &id) || id != i) {
            return false;
        }
    }
    return true;
}

/* True for the table of semaphore roots: counts are sane, trees are aligned pointers. */
static bool globals_check_semtable(struct globals_rest *rest, uint64_t candidate)
{
    size_t stride = (size_t)rest->layout->sema_root_stride;
    uint8_t table[GLOBALS_SEMAPHORES * GLOBALS_SEMAPHORE_STRIDE_MAX];
    if ((candidate & 7) != 0 || stride < 24 || stride > GLOBALS_SEMAPHORE_STRIDE_MAX ||
        !peek_read(&rest->search.peek, candidate, table, GLOBALS_SEMAPHORES * stride)) {
        return false;
    }
    for (size_t i = 0; i < GLOBALS_SEMAPHORES; i++) {
        const uint8_t *root = table + i * stride; /* lock 0, treap 8, nwait 16; all releases */
        uint64_t treap = bytes_u64(root + 8);
        uint64_t first;
        if ((treap & 7) != 0 || bytes_u32(root + 16) > (1u << 30) ||
            (treap != 0 && !peek_u64(&rest->search.peek, treap, &first))) {
            return false;
        }
    }
    return true;
}

/* True for mheap_: allspans is a slice of spans that start on pages, sweepgen is even. */
static bool globals_check_mheap(struct globals_rest *rest, uint64_t candidate)
{
    const struct layout *layout = rest->layout;
    uint8_t slice[24];
    uint32_t sweepgen;
    if ((candidate & 7) != 0 ||
        !peek_read(&rest->search.peek, candidate + (uint64_t)layout->mheap.allspans, slice,
                   sizeof slice) ||
        !peek_u32(&rest->search.peek, candidate + (uint64_t)layout->mheap.sweepgen, &sweepgen)) {
        return false;
    }
    uint64_t array = bytes_u64(slice);
    uint64_t count = bytes_u64(slice + 8);
    if (count == 0 || count > bytes_u64(slice + 16) || count > GLOBALS_SPANS_MAX ||
        (sweepgen & 1) != 0) {
        return false;
    }
    for (uint64_t i = 0; i < count && i < 8; i++) {
        uint64_t span;
        uint64_t start;
        if (!peek_u64(&rest->search.peek, array + i * 8, &span) || (span & 7) != 0 ||
            !peek_u64(&rest->search.peek, span + (uint64_t)layout->mspan.start_addr, &start) ||
            (start & 0xfff) != 0) {
            return false;
        }
    }
    return true;
}

/* The first variable that ANCHOR refers to and that passes CHECK; ADDRESSES_ONLY leaves out what is
 * merely read. */
static struct error *globals_by_anchor(struct globals_rest *rest, const char *anchor,
                                       globals_check *check, bool addresses_only, uint64_t *ret)
{
    struct globals_references references;
    TRY(globals_references_init(&rest->search, anchor, &references));
    for (size_t i = 0; i < references.count && *ret == 0; i++) {
        const struct code_reference *reference = &references.items[i];
        bool address = reference->kind == CODE_REFERENCE_ADDRESS &&
                       globals_is_variable(rest->search.image, reference->target, true);
        if ((address || !addresses_only) && check(rest, reference->target)) {
            *ret = reference->target;
        }
    }
    return peek_error(&rest->search.peek);
}

/* The same for the first of ANCHORS (a NULL-terminated list) that leads to one. The program runs
 * meanwhile and may just be changing what is checked: a few tries are made. */
static struct error *globals_by_anchors(struct globals_rest *rest, const char *const *anchors,
                                        globals_check *check, bool addresses_only, uint64_t *ret)
{
    bool live = target_kind(rest->search.peek.target) == TARGET_KIND_LIVE;
    unsigned attempts = live ? GLOBALS_ATTEMPTS : 1;
    for (unsigned attempt = 0; attempt < attempts && *ret == 0; attempt++) {
        clock_sleep(attempt * GLOBALS_PAUSE_NS);
        for (size_t i = 0; anchors[i] != NULL && *ret == 0; i++) {
            TRY(globals_by_anchor(rest, anchors[i], check, addresses_only, ret));
        }
    }
    return NULL;
}

/* sched, from where schedinit stores the limit of threads. */
static struct error *globals_find_sched(struct globals_rest *rest)
{
    struct globals_references references;
    TRY(globals_references_init(&rest->search, "runtime.schedinit", &references));
    for (size_t i = 0; i < references.count; i++) {
        const struct code_reference *reference = &references.items[i];
        if (reference->kind == CODE_REFERENCE_STORE_CONSTANT &&
            reference->constant == GLOBALS_MAXMCOUNT) {
            rest->globals->sched = reference->target - (uint64_t)rest->layout->schedt.maxmcount;
            return NULL;
        }
    }
    return NULL;
}

/* True when REFERENCES hold a KIND of access to TARGET. */
static bool globals_refers(const struct globals_references *references,
                           enum code_reference_kind kind, uint64_t target)
{
    for (size_t i = 0; i < references->count; i++) {
        if (references->items[i].kind == kind && references->items[i].target == target) {
            return true;
        }
    }
    return false;
}

/* finq: what queuefinalizer reads first once it has locked finlock. allfin: the only variable that
 * it sets and that the collector reads. */
static struct error *globals_find_finalizers(struct globals_rest *rest,
                                             const struct globals_references *roots)
{
    struct globals_references queue;
    TRY(globals_references_init(&rest->search, "runtime.queuefinalizer", &queue));
    bool locked = false;
    for (size_t i = 0; i < queue.count; i++) {
        const struct code_reference *reference = &queue.items[i];
        if (reference->kind == CODE_REFERENCE_ADDRESS) {
            locked = true;
        } else if (locked && rest->globals->finq == 0) {
            rest->globals->finq = reference->target;
        }
        bool set = globals_refers(&queue, CODE_REFERENCE_STORE, reference->target);
        if (set && globals_refers(roots, CODE_REFERENCE_LOAD, reference->target)) {
            rest->globals->allfin = reference->target;
        }
    }
    return NULL;
}

/* gcCleanups: the lowest address that the goroutine of cleanups takes, if the collector reads a
 * field of it. */
static struct error *globals_find_cleanups(struct globals_rest *rest,
                                           const struct globals_references *roots)
{
    struct globals_references run;
    TRY(globals_references_init(&rest->search, "runtime.runCleanups", &run));
    uint64_t lowest = 0;
    for (size_t i = 0; i < run.count; i++) {
        uint64_t target = run.items[i].target;
        if (run.items[i].kind == CODE_REFERENCE_ADDRESS && (lowest == 0 || target < lowest)) {
            lowest = target;
        }
    }
    for (size_t i = 0; lowest != 0 && i < roots->count; i++) {
        uint64_t target = roots->items[i].target;
        if (target >= lowest && target - lowest < GLOBALS_CLEANUPS_SPAN) {
            rest->globals->gc_cleanups = lowest;
        }
    }
    return NULL;
}

/* A search for the head of the longest list of m's. */
struct globals_allm_scan {
    struct globals_rest *rest;
    size_t best;
};

/* Looks whether a list of m's starts here; the idle ones are a shorter one. */
static bool globals_allm_visit(void *context, uint64_t address, const uint8_t *bytes, size_t left)
{
    struct globals_allm_scan *scan = context;
    (void)left;
    uint64_t m = bytes_u64(bytes);
    if (m < 4096 || (m & 7) != 0 || !globals_is_m(scan->rest, m)) {
        return true;
    }
    size_t count = globals_count_ms(scan->rest, address);
    if (count > scan->best) {
        scan->best = count;
        scan->rest->globals->allm = address;
    }
    return true;
}

/* allm by its anchors, then by looking at every variable. */
static struct error *globals_find_allm(struct globals_rest *rest)
{
    static const char *const anchors[] = {"runtime.mcommoninit", "runtime.schedtrace", NULL};
    TRY(globals_by_anchors(rest, anchors, globals_check_allm, false, &rest->globals->allm));
    if (rest->globals->allm != 0) {
        return NULL;
    }
    struct globals_allm_scan scan = {.rest = rest};
    return globals_visit_words(&rest->search, globals_allm_visit, &scan);
}

/* Finds what LAYOUT allows to check. */
struct error *globals_find_rest(struct target *target, struct image *image,
                                const struct layout *layout, struct goruntime_globals *globals)
{
    static const char *const allp[] = {"runtime.preemptall", "runtime.timeSleepUntil",
                                       "runtime.gcMarkTinyAllocs", NULL};
    static const char *const mheap[] = {"runtime.(*mcentral).grow", "runtime.allocmcache.func1",
                                        "runtime.mallocinit", NULL};
    static const char *const semtable[] = {"runtime.semrelease1", "runtime.semacquire1",
                                           "runtime.semroot", "runtime.(*semTable).rootFor", NULL};
    struct globals_rest rest = {
        .search = {.image = image, .machine = target_machine(target), .peek = {.target = target}},
        .layout = layout,
        .globals = globals,
    };
    TRY(globals_find_allm(&rest));
    TRY(globals_by_anchors(&rest, allp, globals_check_allp, false, &globals->allp));
    TRY(globals_by_anchors(&rest, mheap, globals_check_mheap, true, &globals->mheap));
    TRY(globals_by_anchors(&rest, semtable, globals_check_semtable, true, &globals->semtable));
    TRY(globals_find_sched(&rest));
    struct globals_references roots;
    TRY(globals_references_init(&rest.search, "runtime.markroot", &roots));
    TRY(globals_find_finalizers(&rest, &roots));
    TRY(globals_find_cleanups(&rest, &roots));
    return peek_error(&rest.search.peek);
}
