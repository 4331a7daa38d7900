/* Resolving what goroutines wait for, and their labels, in memory that the input chose: a region
 * whose addresses are small, so that the fuzzer finds pointers. All kinds of waits but channels,
 * whose types need an image. Whatever the memory says, the look ends and frees what it made. */
#include "goruntime/internal.h"
#include <stdlib.h>
#include <string.h>

enum {
    FUZZ_START = 0x10000,
    FUZZ_SIZE = 0x10000,
    FUZZ_GOROUTINES = 8,
    FUZZ_GOROUTINE_SIZE = 512,
    FUZZ_SEMTABLE = 0x8000
};

static const uint8_t fuzz_reasons[] = {
    WAIT_REASON_SEMACQUIRE,      WAIT_REASON_SYNC_MUTEX_LOCK,     WAIT_REASON_SYNC_RWMUTEX_RLOCK,
    WAIT_REASON_SYNC_COND_WAIT,  WAIT_REASON_SYNC_WAITGROUP_WAIT, WAIT_REASON_IO_WAIT,
    WAIT_REASON_SLEEP,           WAIT_REASON_COROUTINE,           WAIT_REASON_CHAN_SEND_NIL,
    WAIT_REASON_SELECT_NO_CASES, WAIT_REASON_GC_SWEEP_WAIT,
};

/* Entry point of the fuzzer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A word of the region. */
static uint64_t fuzz_word(const uint8_t *region, size_t offset)
{
    uint64_t word;
    memcpy(&word, region + offset, sizeof word);
    return word;
}

/* One look at eight goroutines in REGION. */
static struct error *fuzz_look(struct goruntime_look_state *state, const uint8_t *region)
{
    struct goruntime_parked parked[FUZZ_GOROUTINES];
    struct snapshot_goroutine *goroutines;
    size_t first;
    TRY(snapshot_builder_goroutines(state->builder, FUZZ_GOROUTINES, &goroutines, &first));
    for (size_t i = 0; i < FUZZ_GOROUTINES; i++) {
        size_t at = i * FUZZ_GOROUTINE_SIZE;
        goroutines[i].id = i + 1;
        goroutines[i].address = FUZZ_START + at;
        goroutines[i].parent = region[at + 400] % FUZZ_GOROUTINES;
        parked[i] = (struct goruntime_parked){
            .index = first + i,
            .g = FUZZ_START + at,
            .waiting = fuzz_word(region, at + 408),
            .timer = fuzz_word(region, at + 416),
            .sleep_when = fuzz_word(region, at + 424),
            .coroarg = fuzz_word(region, at + 432),
            .stack_lo = fuzz_word(region, at + 440),
            .stack_hi = fuzz_word(region, at + 448),
            .sp = fuzz_word(region, at + 456),
            .status = GOROUTINE_STATUS_WAITING,
            .wait_reason = fuzz_reasons[region[at + 464] % sizeof fuzz_reasons]};
    }
    for (size_t i = 0; i < FUZZ_GOROUTINES; i++) {
        uint32_t labels;
        bool known;
        TRY(labels_resolve(state, parked[i].timer, &labels, &known));
    }
    TRY(wait_resolve(state, parked, FUZZ_GOROUTINES / 2));
    TRY(wait_resolve(state, parked + FUZZ_GOROUTINES / 2, FUZZ_GOROUTINES / 2));
    return wait_resolve_rest(state);
}

/* The input: the release, then the region (the rest of it is zero). */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t region[FUZZ_SIZE];
    if (size == 0) {
        return 0;
    }
    memset(region, 0, sizeof region);
    memcpy(region, data + 1, size - 1 < sizeof region ? size - 1 : sizeof region);
    const struct target_mapping mapping = {.start = FUZZ_START,
                                           .end = FUZZ_START + FUZZ_SIZE,
                                           .permissions = TARGET_PERMISSION_READ,
                                           .path = ""};
    const uint8_t *bytes = region;
    struct goruntime runtime = {
        .layout =
            layout_find(LAYOUT_MINOR_MIN + data[0] % (LAYOUT_MINOR_MAX - LAYOUT_MINOR_MIN + 1),
                        LAYOUT_MACHINE_AMD64),
        .globals = {.allglen = FUZZ_START, .semtable = FUZZ_START + FUZZ_SEMTABLE}};
    struct goruntime_look look = {.objects = true, .labels = true};
    struct goruntime_look_state state = {.runtime = &runtime, .look = &look, .now_ns = 1};
    struct error *error =
        target_open_memory(TARGET_MACHINE_AMD64, &mapping, &bytes, 1, &runtime.target);
    if (error == NULL) {
        error = snapshot_builder_create(&state.builder);
    }
    if (error == NULL) {
        error = block_cache_create(runtime.target, 1 << 20, &state.cache);
    }
    if (error == NULL) {
        error = fuzz_look(&state, region);
    }
    if (error != NULL) {
        abort(); /* memory that lies makes things unknown, it is no error */
    }
    goruntime_look_state_deinit(&state);
    snapshot_builder_destroy(state.builder);
    block_cache_destroy(state.cache);
    target_destroy(runtime.target);
    return 0;
}
