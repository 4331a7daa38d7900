/* A target of the caller's own memory, for tests and fuzzing. */
#include "target/target_internal.h"

#include "base/cleanup.h"
#include <stdlib.h>
#include <string.h>

/* The head comes first: a struct target points at it. */
struct target_memory {
    struct target head;
    const uint8_t **bytes; /* per mapping, the caller's */
};

/* Frees what is not of the head. */
static void target_memory_destroy(struct target *target)
{
    struct target_memory *memory = (struct target_memory *)target;
    free(memory->bytes);
    free(memory);
}

/* Copies what lies in mappings, range by range. */
static struct error *target_memory_read_ranges(struct target *target, struct target_range *ranges,
                                               size_t count)
{
    const struct target_memory *memory = (const struct target_memory *)target;
    for (size_t i = 0; i < count; i++) {
        struct target_range *range = &ranges[i];
        range->done = 0;
        while (range->done < range->size) {
            uint64_t address = range->address + range->done;
            const struct target_mapping *mapping = target_find_mapping(target, address);
            if (address < range->address || mapping == NULL ||
                (mapping->permissions & TARGET_PERMISSION_READ) == 0) {
                break;
            }
            size_t index = (size_t)(mapping - target->mappings.items);
            uint64_t left = mapping->end - address;
            size_t size = range->size - range->done;
            size = left < size ? (size_t)left : size;
            memcpy(range->destination + range->done,
                   memory->bytes[index] + (address - mapping->start), size);
            range->done += size;
        }
    }
    return NULL;
}

/* Bytes that lie within one mapping. */
static const uint8_t *target_memory_view(const struct target *target, uint64_t address, size_t size)
{
    const struct target_memory *memory = (const struct target_memory *)target;
    const struct target_mapping *mapping = target_find_mapping(target, address);
    if (mapping == NULL || (mapping->permissions & TARGET_PERMISSION_READ) == 0 ||
        mapping->end - address < size) {
        return NULL;
    }
    return memory->bytes[mapping - target->mappings.items] + (address - mapping->start);
}

static const struct target_operations target_memory_operations = {
    .destroy = target_memory_destroy,
    .view = target_memory_view,
    .read_ranges = target_memory_read_ranges,
};

struct error *target_open_memory(enum target_machine machine, const struct target_mapping *mappings,
                                 const uint8_t *const *bytes, size_t count, struct target **ret)
{
    struct target_memory *memory = calloc(1, sizeof *memory);
    if (memory == NULL) {
        return error_no_memory();
    }
    memory->head.operations = &target_memory_operations;
    memory->head.kind = TARGET_KIND_MEMORY;
    memory->head.machine = machine;
    memory->head.name = strdup("memory");
    memory->head.mappings.items = calloc(count + 1, sizeof *mappings);
    memory->head.mappings.count = count;
    memory->bytes = calloc(count + 1, sizeof *memory->bytes);
    if (memory->head.name == NULL || memory->head.mappings.items == NULL || memory->bytes == NULL) {
        target_destroy(&memory->head);
        return error_no_memory();
    }
    uint64_t floor = 0;
    for (size_t i = 0; i < count; i++) {
        if (mappings[i].start < floor || mappings[i].end <= mappings[i].start) {
            target_destroy(&memory->head);
            return error_create(ERROR_USAGE, "mapping %zu is empty or out of order", i);
        }
        floor = mappings[i].end;
        memory->head.mappings.items[i] = mappings[i];
        memory->bytes[i] = bytes[i];
    }
    *ret = &memory->head;
    return NULL;
}
