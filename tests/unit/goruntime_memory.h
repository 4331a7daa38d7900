/* A made-up target for tests of the goruntime room: one writable region, a runtime that looks at it
 * by a real layout row, a builder. */
#ifndef UNPARK_TESTS_UNIT_GORUNTIME_MEMORY_H
#define UNPARK_TESTS_UNIT_GORUNTIME_MEMORY_H

#include "goruntime/internal.h"
#include "support.h"

enum { GORUNTIME_MEMORY_SIZE = 1 << 18 };

/* Where the region is. */
static const uint64_t goruntime_memory_start = 0x100000;

struct goruntime_memory {
    uint8_t bytes[GORUNTIME_MEMORY_SIZE];
    struct target *target;
    struct goruntime runtime;
    struct goruntime_look look;
    struct goruntime_look_state state;
};

/* Writes SIZE bytes at ADDRESS, which must be inside. */
static inline void goruntime_memory_put(struct goruntime_memory *memory, uint64_t address,
                                        const void *data, size_t size)
{
    uint64_t offset = address - goruntime_memory_start;
    if (size > GORUNTIME_MEMORY_SIZE || offset > GORUNTIME_MEMORY_SIZE - size) {
        fail_msg("0x%llx is outside of the region", (unsigned long long)address);
        return;
    }
    memcpy(memory->bytes + offset, data, size);
}

/* Writes a word at ADDRESS plus OFFSET. */
static inline void goruntime_memory_word(struct goruntime_memory *memory, uint64_t address,
                                         int64_t offset, uint64_t value)
{
    goruntime_memory_put(memory, address + (uint64_t)offset, &value, sizeof value);
}

/* Opens an empty region and looks at it as Go 1.MINOR would leave it. */
static inline struct goruntime_memory *goruntime_memory_create(int minor)
{
    struct goruntime_memory *memory = calloc(1, sizeof *memory);
    const struct target_mapping mapping = {.start = goruntime_memory_start,
                                           .end = goruntime_memory_start + GORUNTIME_MEMORY_SIZE,
                                           .permissions =
                                               TARGET_PERMISSION_READ | TARGET_PERMISSION_WRITE,
                                           .path = ""};
    const uint8_t *bytes = memory->bytes;
    assert_success(target_open_memory(TARGET_MACHINE_AMD64, &mapping, &bytes, 1, &memory->target));
    memory->runtime.target = memory->target;
    memory->runtime.layout = layout_find(minor, LAYOUT_MACHINE_AMD64);
    assert_non_null(memory->runtime.layout);
    memory->look.objects = true;
    memory->state.runtime = &memory->runtime;
    memory->state.look = &memory->look;
    memory->state.now_ns = 1000;
    assert_success(snapshot_builder_create(&memory->state.builder));
    assert_success(block_cache_create(memory->target, 1 << 20, &memory->state.cache));
    return memory;
}

/* Ends building; the state is used up. */
static inline struct snapshot *goruntime_memory_finish(struct goruntime_memory *memory)
{
    struct snapshot *snapshot = NULL;
    assert_success(snapshot_builder_finish(memory->state.builder, &snapshot));
    memory->state.builder = NULL;
    return snapshot;
}

/* Frees everything. */
static inline void goruntime_memory_destroy(struct goruntime_memory *memory)
{
    goruntime_look_state_deinit(&memory->state);
    snapshot_builder_destroy(memory->state.builder);
    block_cache_destroy(memory->state.cache);
    target_destroy(memory->target);
    free(memory);
}

#endif
