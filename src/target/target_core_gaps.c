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

/* Mappings to be added. */
struct target_core_gaps {
    VECTOR(struct target_mapping) items;
};

/* Notes the parts of MAPPING where the core has none. */
static struct error *target_core_note_gaps(const struct target_core *core,
                                           struct target_mapping mapping,
                                           struct target_core_gaps *gaps)
{
    const struct target_mapping_list *list = &core->head.mappings;
    size_t index = target_mappings_first(list, mapping.start);
    while (mapping.start < mapping.end) {
        uint64_t next = index < list->count ? list->items[index].start : UINT64_MAX;
        if (next > mapping.start) {
            struct target_mapping part = mapping;
            part.end = next < part.end ? next : part.end;
            TRY(vector_append(&gaps->items, part));
        }
        if (next >= mapping.end) {
            return NULL;
        }
        uint64_t end = list->items[index++].end;
        end = end < mapping.end ? end : mapping.end;
        mapping.file_offset += end - mapping.start;
        mapping.start = end;
    }
    return NULL;
}

/* Adds GAPS to the mappings, all at once: one by one a core of very many mappings would take hours.
 */
static struct error *target_core_add_gaps(struct target_core *core,
                                          const struct target_core_gaps *gaps)
{
    struct target_mapping_list *list = &core->head.mappings;
    size_t added = gaps->items.count;
    if (added == 0) {
        return NULL;
    }
    struct target_mapping *items = reallocarray(list->items, list->count + added, sizeof *items);
    if (items == NULL) {
        return error_no_memory();
    }
    memcpy(items + list->count, gaps->items.items, added * sizeof *items);
    list->items = items;
    list->count = target_core_order_mappings(items, list->count + added);
    return NULL;
}

/* Notes the gaps in what ELF's read-only segments say was mapped at BIAS. */
static struct error *target_core_find_gaps(const struct target_core *core,
                                           const struct target_elf *elf, uint64_t bias,
                                           struct target_core_gaps *gaps)
{
    for (size_t i = 0; i < elf->segments.count && i < TARGET_CORE_GAPS_MAX; i++) {
        const struct target_elf_segment *segment = &elf->segments.items[i];
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
        TRY(target_core_note_gaps(core, mapping, gaps));
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
    struct target_core_gaps gaps = {0};
    struct error *error = target_core_find_gaps(core, &elf, bias, &gaps);
    if (error == NULL) {
        error = target_core_add_gaps(core, &gaps);
    }
    vector_deinit(&gaps.items);
    return error;
}
