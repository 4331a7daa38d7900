/* The self-check of a layout row (go-runtime.md 3.3): the fields of each sampled g must agree with
 * each other and with the program's text. The target runs meanwhile, so a few may be torn. */
#include "goruntime/self_check.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "goruntime/peek.h"
#include "target/gather.h"
#include <stdlib.h>

enum {
    SELF_CHECK_SAMPLE = 512, /* g's, in SELF_CHECK_BLOCKS runs of neighbours */
    SELF_CHECK_BLOCKS = 16,
    SELF_CHECK_SUDOGS = 128,
    SELF_CHECK_GS_MAX = 100000000,
    SELF_CHECK_STACK_MAX = 1 << 30, /* runtime.maxstackceiling is twice the default of 1 GB */
    SELF_CHECK_STATUS_SCAN = 0x1000,
    SELF_CHECK_STATUS_LEAKED = 10,
    SELF_CHECK_LEAKED_SINCE = 26
};

/* What can be odd about a g. */
enum self_check_oddity {
    SELF_CHECK_FINE,
    SELF_CHECK_UNREADABLE,
    SELF_CHECK_SELF,
    SELF_CHECK_STATUS,
    SELF_CHECK_STACK,
    SELF_CHECK_SAVED,
    SELF_CHECK_PC,
    SELF_CHECK_REASON,
    SELF_CHECK_CODE,
    SELF_CHECK_ID,
    SELF_CHECK_WAITING,
    SELF_CHECK_DEAD,
    SELF_CHECK_ODDITIES
};

static const char *const self_check_texts[SELF_CHECK_ODDITIES] = {
    "",
    "a g cannot be read",
    "g.sched.g is not the g itself",
    "g.atomicstatus is no known status",
    "g.stack is no stack",
    "g.sched.sp is outside g.stack",
    "g.sched.pc is outside the Go text",
    "g.waitreason is no known reason",
    "g.gopc or g.startpc is outside the Go text",
    "g.goid is not unique",
    "g.waiting does not lead back to the g",
    "no goroutine is alive",
};

/* One check under way. */
struct self_check_state {
    struct image *image;
    const struct layout *layout;
    size_t checked;
    size_t counts[SELF_CHECK_ODDITIES];
    struct gather_item sudogs[SELF_CHECK_SUDOGS]; /* their g words; the tag is the g's address */
    size_t sudog_count;
    uint64_t ids[SELF_CHECK_SAMPLE];
    size_t id_count;
};

/* The g's offset in row's terms, loaded. */
static uint64_t self_check_u64(const uint8_t *g, int32_t offset)
{
    return bytes_u64(g + offset);
}

/* True when PC is 0 or Go code. */
static bool self_check_is_code(const struct self_check_state *state, uint64_t pc)
{
    return pc == 0 || image_find_module(state->image, pc) != NULL;
}

/* True for the status numbers of the row's release. */
static bool self_check_is_status(const struct self_check_state *state, uint32_t status)
{
    uint32_t last =
        state->layout->minor >= SELF_CHECK_LEAKED_SINCE ? SELF_CHECK_STATUS_LEAKED + 1 : 9;
    return status <= last && status != 5 && status != 7;
}

/* What is odd about a parked g. */
static enum self_check_oddity self_check_parked(struct self_check_state *state, uint64_t address,
                                                const uint8_t *g)
{
    const struct layout *layout = state->layout;
    uint64_t sp = self_check_u64(g, layout->g.sched_sp);
    if (sp < self_check_u64(g, layout->g.stack_lo) || sp > self_check_u64(g, layout->g.stack_hi)) {
        return SELF_CHECK_SAVED;
    }
    uint64_t pc = self_check_u64(g, layout->g.sched_pc);
    if (pc == 0 || !self_check_is_code(state, pc)) {
        return SELF_CHECK_PC;
    }
    if (g[layout->g.waitreason] >= layout->wait_reason_count) {
        return SELF_CHECK_REASON;
    }
    uint64_t waiting = self_check_u64(g, layout->g.waiting);
    if ((waiting & 7) != 0) {
        return SELF_CHECK_WAITING;
    }
    if (waiting != 0 && state->sudog_count < SELF_CHECK_SUDOGS) {
        state->sudogs[state->sudog_count++] =
            (struct gather_item){.address = waiting + (uint64_t)layout->sudog.g, .tag = address};
    }
    return SELF_CHECK_FINE;
}

/* What is odd about the g whose bytes are G. */
static enum self_check_oddity self_check_g(struct self_check_state *state, uint64_t address,
                                           const uint8_t *g)
{
    const struct layout *layout = state->layout;
    if (self_check_u64(g, layout->g.sched_pc + 8) != address) {
        return SELF_CHECK_SELF;
    }
    uint32_t status = bytes_u32(g + layout->g.atomicstatus) & ~(uint32_t)SELF_CHECK_STATUS_SCAN;
    if (!self_check_is_status(state, status)) {
        return SELF_CHECK_STATUS;
    }
    if (status == 0 || status == 6 || status == 11) {
        return SELF_CHECK_FINE; /* idle, dead: the rest is left over */
    }
    uint64_t lo = self_check_u64(g, layout->g.stack_lo);
    uint64_t hi = self_check_u64(g, layout->g.stack_hi);
    if (lo == 0 || hi <= lo || ((lo | hi) & 7) != 0 || hi - lo > 2ull * SELF_CHECK_STACK_MAX) {
        return SELF_CHECK_STACK;
    }
    if (!self_check_is_code(state, self_check_u64(g, layout->g.startpc)) ||
        !self_check_is_code(state, self_check_u64(g, layout->g.gopc))) {
        return SELF_CHECK_CODE;
    }
    state->ids[state->id_count++] = self_check_u64(g, layout->g.goid);
    if (status == 4 || status == SELF_CHECK_STATUS_LEAKED) {
        return self_check_parked(state, address, g);
    }
    return SELF_CHECK_FINE;
}

/* Takes one sampled g. */
static struct error *self_check_visit(void *context, const struct gather_item *item,
                                      const uint8_t *bytes)
{
    struct self_check_state *state = context;
    enum self_check_oddity oddity =
        bytes == NULL ? SELF_CHECK_UNREADABLE : self_check_g(state, item->address, bytes);
    state->checked++;
    state->counts[oddity]++;
    return NULL;
}

/* Takes the g word of one sudog, whose g was fine so far. */
static struct error *self_check_visit_sudog(void *context, const struct gather_item *item,
                                            const uint8_t *bytes)
{
    struct self_check_state *state = context;
    if (bytes == NULL || bytes_u64(bytes) != item->tag) {
        state->counts[SELF_CHECK_FINE]--;
        state->counts[SELF_CHECK_WAITING]++;
    }
    return NULL;
}

/* Ascending. */
static int self_check_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Counts goids that are 0 or occur twice. */
static void self_check_ids(struct self_check_state *state)
{
    qsort(state->ids, state->id_count, sizeof *state->ids, self_check_compare);
    for (size_t i = 0; i < state->id_count; i++) {
        bool odd = state->ids[i] == 0 || (i > 0 && state->ids[i] == state->ids[i - 1]);
        state->counts[SELF_CHECK_ID] += odd;
    }
}

/* The blocks to sample of an array of COUNT pointers at ARRAY, read to WORDS; returns how many. */
static size_t self_check_plan(uint64_t array, uint64_t count, uint8_t *words,
                              struct target_range *ranges)
{
    uint64_t block = SELF_CHECK_SAMPLE / SELF_CHECK_BLOCKS;
    uint64_t blocks = count <= SELF_CHECK_SAMPLE ? (count + block - 1) / block : SELF_CHECK_BLOCKS;
    for (uint64_t i = 0; i < blocks; i++) {
        uint64_t first =
            count <= SELF_CHECK_SAMPLE ? i * block : (count - block) * i / (blocks - 1);
        uint64_t size = count - first < block ? count - first : block;
        ranges[i] = (struct target_range){.address = array + first * 8,
                                          .size = (size_t)size * 8,
                                          .destination = words + i * block * 8};
    }
    return (size_t)blocks;
}

/* Addresses of sampled g's into ITEMS (room for SELF_CHECK_SAMPLE). */
static struct error *self_check_sample(struct target *target,
                                       const struct goruntime_globals *globals,
                                       struct gather_item *items, size_t *ret)
{
    struct peek peek = {.target = target};
    uint64_t count;
    uint64_t array;
    *ret = 0;
    if (!peek_u64(&peek, globals->allglen, &count) || !peek_u64(&peek, globals->allgptr, &array)) {
        TRY(peek_error(&peek));
        return error_fault(globals->allglen, "allgs");
    }
    if (count > SELF_CHECK_GS_MAX || array > UINT64_MAX - count * 8) {
        return error_create(ERROR_CORRUPT, "the list of goroutines has an impossible length");
    }
    uint8_t words[SELF_CHECK_SAMPLE * 8];
    struct target_range ranges[SELF_CHECK_BLOCKS];
    size_t blocks = self_check_plan(array, count, words, ranges);
    TRY(target_read_ranges(target, ranges, blocks));
    for (size_t i = 0; i < blocks; i++) {
        bool whole = ranges[i].done == ranges[i].size;
        for (size_t k = 0; whole && k < ranges[i].size; k += 8) {
            items[(*ret)++].address = bytes_u64(ranges[i].destination + k);
        }
    }
    return NULL;
}

/* Checks one row. */
struct error *self_check_row(struct target *target, struct image *image,
                             const struct layout *layout, const struct goruntime_globals *globals,
                             struct self_check *ret)
{
    CLEANUP_FREE struct gather_item *items = calloc(SELF_CHECK_SAMPLE, sizeof *items);
    CLEANUP_FREE struct self_check_state *state = calloc(1, sizeof *state);
    if (items == NULL || state == NULL) {
        return error_no_memory();
    }
    state->image = image;
    state->layout = layout;
    size_t count;
    TRY(self_check_sample(target, globals, items, &count));
    TRY(gather_visit(target, items, count, (size_t)layout->g.size, self_check_visit, state));
    TRY(gather_visit(target, state->sudogs, state->sudog_count, sizeof(uint64_t),
                     self_check_visit_sudog, state));
    self_check_ids(state);
    if (state->id_count == 0) { /* the runtime's own never end */
        state->counts[SELF_CHECK_DEAD] = state->checked;
    }
    *ret = (struct self_check){.layout = layout, .checked = state->checked, .reason = ""};
    size_t worst = 0;
    for (size_t i = 1; i < SELF_CHECK_ODDITIES; i++) {
        ret->odd += state->counts[i];
        if (state->counts[i] > worst) {
            worst = state->counts[i];
            ret->reason = self_check_texts[i];
        }
    }
    return NULL;
}

/* One odd g in twenty, and one in any case, may be torn. */
bool self_check_passed(const struct self_check *check)
{
    return check->checked > 0 && check->odd < check->checked &&
           check->odd <= check->checked / 20 + 1;
}
