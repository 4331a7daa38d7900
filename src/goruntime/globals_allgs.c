/* allglen and allgptr: what the runtime itself reads without a lock (proc.go, atomicAllG). */
#include "base/bytes.h"
#include "goruntime/globals_internal.h"

enum { GLOBALS_ALLGS_MAX = 100000000, GLOBALS_ALLGS_SAMPLE = 32 };

/* Functions that read the pair, best first; with inlining off only the second does. */
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

/* How well an array of COUNT pointers at ARRAY passes as allgs. */
static bool globals_allgs_fit(struct globals_search *search, uint64_t array, uint64_t count)
{
    if (count == 0 || count > GLOBALS_ALLGS_MAX || array == 0 || (array & 7) != 0 ||
        array > UINT64_MAX - count * 8) {
        return false;
    }
    uint64_t last;
    if (!peek_u64(&search->peek, array + (count - 1) * 8, &last) || !globals_is_g(search, last)) {
        return false; /* a capacity, not a length */
    }
    return globals_allgs_sample(search, array, count);
}

/* True when the words at LENGTH and POINTER pass as allglen and allgptr. */
static bool globals_allgs_pair(struct globals_search *search, uint64_t length, uint64_t pointer)
{
    uint64_t count;
    uint64_t array;
    return length != pointer && peek_u64(&search->peek, length, &count) &&
           peek_u64(&search->peek, pointer, &array) && globals_allgs_fit(search, array, count);
}

/* Tries the references of one anchor, in the order in which the code makes them. */
static bool globals_allgs_by_anchor(struct globals_search *search,
                                    const struct globals_references *references,
                                    struct goruntime_globals *globals)
{
    size_t count = references->count < 24 ? references->count : 24;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++) {
            uint64_t length = references->items[i].target;
            uint64_t pointer = references->items[k].target;
            if (globals_allgs_pair(search, length, pointer)) {
                globals->allglen = length;
                globals->allgptr = pointer;
                return true;
            }
        }
    }
    return false;
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

/* Finds the pair by anchors, then by looking at every variable. */
struct error *globals_find_allgs(struct target *target, struct image *image,
                                 struct goruntime_globals *globals)
{
    struct globals_search search = {
        .image = image, .machine = target_machine(target), .peek = {.target = target}};
    struct globals_references references;
    size_t anchors = sizeof globals_allgs_anchors / sizeof *globals_allgs_anchors;
    bool empty = false;
    for (size_t i = 0; i < anchors; i++) {
        TRY(globals_references_init(&search, globals_allgs_anchors[i], &references));
        bool found = globals_allgs_by_anchor(&search, &references, globals);
        empty = empty || (!found && globals_allgs_empty(&search, &references));
        TRY(peek_error(&search.peek));
        if (found) {
            return NULL;
        }
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
