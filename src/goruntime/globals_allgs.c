/* allglen and allgptr: what the runtime itself reads without a lock (proc.go, atomicAllG). The
 * list grows meanwhile, and g's in it are set up: newproc1 lists a new g, and clears sched of one
 * that it takes again, before it names the g in sched.g. */
#include "base/bytes.h"
#include "base/clock.h"
#include "goruntime/globals_internal.h"

enum {
    GLOBALS_ALLGS_MAX = 100000000,
    GLOBALS_ALLGS_SAMPLE = 32,
    GLOBALS_ALLGS_REFERENCES = 24, /* of an anchor, tried in all pairs */
    GLOBALS_ALLGS_ATTEMPTS = 4,
    GLOBALS_ALLGS_PAUSE_NS = 1000000
};

/* Functions that read the pair, the length first; best first; with inlining off only the second
 * does. */
static const char *const globals_allgs_anchors[] = {
    "runtime.forEachGRace",
    "runtime.atomicAllG",
    "runtime.forEachG",
    "runtime.allgadd",
};

/* Reads COUNT RANGES at once, as a peek does; ranges that cannot be read are not done. */
static bool globals_allgs_read(struct globals_search *search, struct target_range *ranges,
                               size_t count)
{
    if (search->peek.failure == NULL) {
        search->peek.failure = target_read_ranges(search->peek.target, ranges, count);
    }
    return search->peek.failure == NULL;
}

/* Counts the g's among the SAMPLE pointers whose bytes are WORDS. */
static size_t globals_allgs_count(struct globals_search *search, const uint8_t (*words)[8],
                                  size_t sample)
{
    uint8_t heads[GLOBALS_ALLGS_SAMPLE][GLOBALS_HEAD_SIZE];
    struct target_range ranges[GLOBALS_ALLGS_SAMPLE];
    size_t count = 0;
    for (size_t i = 0; i < sample; i++) {
        uint64_t g = bytes_u64(words[i]);
        if (g != 0 && (g & 7) == 0) {
            ranges[count] = (struct target_range){
                .address = g, .size = sizeof heads[count], .destination = heads[count]};
            count++;
        }
    }
    if (!globals_allgs_read(search, ranges, count)) {
        return 0;
    }
    size_t good = 0;
    for (size_t i = 0; i < count; i++) {
        good += ranges[i].done == ranges[i].size && globals_is_head(heads[i], ranges[i].address);
    }
    return good;
}

/* True when enough of a sample of the COUNT pointers at ARRAY are those of g's. */
static bool globals_allgs_sample(struct globals_search *search, uint64_t array, uint64_t count)
{
    uint8_t words[GLOBALS_ALLGS_SAMPLE][8];
    struct target_range ranges[GLOBALS_ALLGS_SAMPLE];
    size_t sample = count < GLOBALS_ALLGS_SAMPLE ? (size_t)count : GLOBALS_ALLGS_SAMPLE;
    for (size_t i = 0; i < sample; i++) {
        ranges[i] = (struct target_range){.address = array + count * i / sample * 8,
                                          .size = sizeof words[i],
                                          .destination = words[i]};
    }
    if (!globals_allgs_read(search, ranges, sample)) {
        return false;
    }
    for (size_t i = 0; i < sample; i++) {
        if (ranges[i].done != ranges[i].size) {
            return false;
        }
    }
    size_t good = globals_allgs_count(search, words, sample);
    return good > 0 && sample - good <= 2 + sample / 8;
}

/* True when a g is at ADDRESS, or one that is being set up. */
static bool globals_allgs_has_g(struct globals_search *search, uint64_t address)
{
    uint8_t head[GLOBALS_HEAD_SIZE];
    return address != 0 && (address & 7) == 0 &&
           peek_read(&search->peek, address, head, sizeof head) &&
           (globals_is_head(head, address) || globals_is_head(head, 0));
}

/* True when an array of COUNT pointers at ARRAY passes as allgs. */
static bool globals_allgs_fit(struct globals_search *search, uint64_t array, uint64_t count)
{
    if (count == 0 || count > GLOBALS_ALLGS_MAX || array == 0 || (array & 7) != 0 ||
        array > UINT64_MAX - count * 8) {
        return false;
    }
    uint64_t last;
    if (!peek_u64(&search->peek, array + (count - 1) * 8, &last) ||
        !globals_allgs_has_g(search, last)) {
        return false; /* a capacity, not a length */
    }
    return globals_allgs_sample(search, array, count);
}

/* The length when the words at LENGTH and POINTER pass as allglen and allgptr, else 0. */
static uint64_t globals_allgs_pair(struct globals_search *search, uint64_t length, uint64_t pointer)
{
    uint64_t count;
    uint64_t array;
    bool fits = length != pointer && peek_u64(&search->peek, length, &count) &&
                peek_u64(&search->peek, pointer, &array) && globals_allgs_fit(search, array, count);
    return fits ? count : 0;
}

/* Finds the pair among the first REFERENCES, at most COUNT, of an anchor: of those that pass the
 * longest, as anything that is 1 passes for the length of a list of one. *BEST is its length. */
static void globals_allgs_best(struct globals_search *search,
                               const struct globals_references *references, size_t count,
                               struct goruntime_globals *globals, uint64_t *best)
{
    count = references->count < count ? references->count : count;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++) {
            uint64_t length = references->items[i].target;
            uint64_t pointer = references->items[k].target;
            uint64_t found = globals_allgs_pair(search, length, pointer);
            if (found > *best) {
                *best = found;
                globals->allglen = length;
                globals->allgptr = pointer;
            }
        }
    }
}

/* True when the pair that an anchor reads first is there, but still empty. */
static bool globals_allgs_empty(struct globals_search *search,
                                const struct globals_references *references)
{
    uint64_t count;
    uint64_t array;
    return references->count >= 2 && peek_u64(&search->peek, references->items[0].target, &count) &&
           count == 0 && peek_u64(&search->peek, references->items[1].target, &array) && array == 0;
}

/* A search for the slice allgs itself. */
struct globals_allgs_scan {
    struct globals_search *search;
    struct goruntime_globals *globals;
    uint64_t best; /* its length: other slices of g's (deadlock reports, profiles) are shorter */
};

/* Looks whether a slice of g's starts here. */
static bool globals_allgs_visit(void *context, uint64_t address, const uint8_t *bytes, size_t left)
{
    struct globals_allgs_scan *scan = context;
    if (left < 24) {
        return true;
    }
    uint64_t array = bytes_u64(bytes);
    uint64_t length = bytes_u64(bytes + 8);
    uint64_t capacity = bytes_u64(bytes + 16);
    if (length > scan->best && length <= capacity && capacity <= GLOBALS_ALLGS_MAX &&
        globals_allgs_fit(scan->search, array, length)) {
        scan->best = length;
        scan->globals->allgptr = address;
        scan->globals->allglen = address + 8;
    }
    return true;
}

/* Finds the pair among the first COUNT references of each anchor; *FOUND when there is one, *EMPTY
 * when it is there without a g. */
static struct error *globals_allgs_by_anchors(struct globals_search *search, size_t count,
                                              struct goruntime_globals *globals, bool *found,
                                              bool *empty)
{
    struct globals_references references;
    size_t anchors = sizeof globals_allgs_anchors / sizeof *globals_allgs_anchors;
    uint64_t best = 0;
    for (size_t i = 0; i < anchors && best == 0; i++) {
        TRY(globals_references_init(search, globals_allgs_anchors[i], &references));
        globals_allgs_best(search, &references, count, globals, &best);
        *empty = *empty || (best == 0 && globals_allgs_empty(search, &references));
        TRY(peek_error(&search->peek));
    }
    *found = best != 0;
    return NULL;
}

/* Finds the pair by the first two references of anchors, which are it as far as we know compilers;
 * then by all of them; then by looking at every variable. */
struct error *globals_find_allgs(struct target *target, struct image *image,
                                 struct goruntime_globals *globals)
{
    struct globals_search search = {
        .image = image, .machine = target_machine(target), .peek = {.target = target}};
    unsigned attempts = target_kind(target) == TARGET_KIND_LIVE ? GLOBALS_ALLGS_ATTEMPTS : 1;
    bool empty = false;
    bool found = false;
    for (unsigned i = 0; i < attempts && !found && !empty; i++) {
        clock_sleep(i * (uint64_t)GLOBALS_ALLGS_PAUSE_NS);
        TRY(globals_allgs_by_anchors(&search, 2, globals, &found, &empty));
    }
    if (!found) {
        TRY(globals_allgs_by_anchors(&search, GLOBALS_ALLGS_REFERENCES, globals, &found, &empty));
    }
    if (found) {
        return NULL;
    }
    struct globals_allgs_scan scan = {.search = &search, .globals = globals};
    TRY(globals_visit_words(&search, globals_allgs_visit, &scan));
    if (scan.best == 0) {
        return error_create(ERROR_UNSUPPORTED,
                            empty ? "the Go runtime has not started yet"
                                  : "the list of goroutines was not found in the Go runtime");
    }
    return NULL;
}
