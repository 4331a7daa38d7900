/* What a core does not mention of its executable. The kernel lists every mapping, as a PT_LOAD
 * without bytes at least; gdb's gcore lists only what it dumps, and leaves out file-backed memory
 * that the program did not change: of a Go program .rodata and .gopclntab. The program headers of
 * the executable tell what was there. Invariant: mappings stay sorted and disjoint; existing ones
 * are never changed. */
#include "target/target_core.h"

#include "base/cleanup.h"
#include <stdlib.h>
#include <string.h>

enum { TARGET_CORE_GAP_PAGE = 4096, TARGET_CORE_GAPS_MAX = 1024 };

/* Inserts MAPPING at INDEX of the core's mappings. */
static struct error *target_core_insert(struct target_core *core, size_t index,
                                        struct target_mapping mapping)
{
    struct target_mapping_list *list = &core->head.mappings;
    struct target_mapping *items = reallocarray(list->items, list->count + 1, sizeof *items);
    if (items == NULL) {
        return error_no_memory();
    }
    list->items = items;
    memmove(&items[index + 1], &items[index], (list->count - index) * sizeof *items);
    items[index] = mapping;
    list->count++;
    return NULL;
}

/* Adds MAPPING where nothing is mapped yet. */
static struct error *target_core_fill(struct target_core *core, struct target_mapping mapping)
{
    const struct target_mapping_list *list = &core->head.mappings;
    size_t index = 0;
    while (mapping.start < mapping.end) {
        while (index < list->count && list->items[index].end <= mapping.start) {
            index++;
        }
        uint64_t next = index < list->count ? list->items[index].start : UINT64_MAX;
        if (next > mapping.start) {
            struct target_mapping part = mapping;
            part.end = next < part.end ? next : part.end;
            TRY(target_core_insert(core, index, part));
        }
        uint64_t end = list->items[index].end;
        end = end < mapping.end ? end : mapping.end;
        mapping.file_offset += end - mapping.start;
        mapping.start = end;
    }
    return NULL;
}

struct error *target_core_fill_gaps(struct target_core *core, int descriptor)
{
    CLEANUP(target_elf_deinit) struct target_elf elf = {0};
    uint64_t bias, base;
    TRY(target_elf_init_file(&elf, descriptor));
    if (!target_elf_bias(&elf, core->facts.headers, &bias, &base)) {
        return NULL;
    }
    for (size_t i = 0; i < elf.segments.count && i < TARGET_CORE_GAPS_MAX; i++) {
        const struct target_elf_segment *segment = &elf.segments.items[i];
        uint64_t slack = segment->address % TARGET_CORE_GAP_PAGE;
        uint64_t start = segment->address - slack + bias;
        uint64_t size = segment->file_size + slack;
        size += (TARGET_CORE_GAP_PAGE - size % TARGET_CORE_GAP_PAGE) % TARGET_CORE_GAP_PAGE;
        if (segment->writable || segment->offset < slack || segment->file_size > INT64_MAX ||
            start > INT64_MAX || start + size > INT64_MAX) {
            continue;
        }
        struct target_mapping mapping = {.start = start,
                                         .end = start + size,
                                         .file_offset = segment->offset - slack,
                                         .permissions =
                                             TARGET_PERMISSION_READ |
                                             (segment->executable ? TARGET_PERMISSION_EXECUTE : 0u),
                                         .path = core->head.executable};
        TRY(target_core_fill(core, mapping));
    }
    return NULL;
}
