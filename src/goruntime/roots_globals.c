/* Roots in global variables: data and bss of every module by the masks that the runtime keeps for
 * them, and, where C code shares the process, every other writable word.
 *
 * Source: moduledata.gcdatamask and gcbssmask, bitvectors of one bit a word (runtime/symtab.go); C
 * memory may hold pinned Go pointers legally (cgo's rules), so there every aligned word counts. */
#include "base/bytes.h"
#include "base/cleanup.h"
#include "goruntime/heap_scan.h"
#include "goruntime/internal.h"
#include "goruntime/roots.h"
#include "goruntime/roots_foreign.h"
#include <stdlib.h>

enum { ROOTS_PIECE = 64 << 10, ROOTS_MASK_MAX = 512 << 20 };

/* Reads SIZE bytes at ADDRESS; false, and *COMPLETE false, when it cannot. */
static bool roots_read(struct target *target, uint64_t address, void *destination, size_t size,
                       bool *complete)
{
    struct error *error = target_read(target, address, destination, size);
    if (error != NULL) {
        error_destroy(error);
        *complete = false;
        return false;
    }
    return true;
}

/* Visits the words of [start, end) by MASK (one bit a word, BITS of them; NULL: all words). */
static void roots_range(struct target *target, uint64_t start, uint64_t end, const uint8_t *mask,
                        uint64_t bits, heap_visitor *visitor, void *context, bool *complete)
{
    uint8_t buffer[ROOTS_PIECE];
    for (uint64_t at = start; at < end;) {
        size_t size = end - at > sizeof buffer ? sizeof buffer : (size_t)(end - at);
        if (roots_read(target, at, buffer, size, complete)) {
            struct heap_scan_bytes bytes = {buffer, at, size};
            if (mask == NULL) {
                heap_scan_all(&bytes, visitor, context);
            } else {
                heap_scan_mask(&bytes, mask, (bits + 7) / 8, (at - start) / 8, visitor, context);
            }
        }
        at += size;
    }
}

/* Visits one masked section; without its mask, all of it. */
static struct error *roots_section(struct target *target, uint64_t start, uint64_t end,
                                   uint64_t mask_address, uint64_t bits, heap_visitor *visitor,
                                   void *context, bool *complete)
{
    if (end <= start) {
        return NULL;
    }
    uint64_t words = (end - start + 7) / 8;
    CLEANUP_FREE uint8_t *mask = NULL;
    if (mask_address != 0 && bits >= words && bits / 8 < ROOTS_MASK_MAX) {
        size_t size = (size_t)((words + 7) / 8);
        bool readable = true;
        mask = calloc(size + 8, 1);
        if (mask == NULL) {
            return error_no_memory();
        }
        if (!roots_read(target, mask_address, mask, size, &readable)) {
            free(TAKE(mask));
        }
    }
    roots_range(target, start, end, mask, words + 64, visitor, context, complete);
    return NULL;
}

struct error *roots_globals(struct goruntime *runtime, heap_visitor *visitor, void *context,
                            bool *complete_ret)
{
    *complete_ret = true;
    for (size_t i = 0; i < image_module_count(runtime->image); i++) {
        const struct module_tables *tables = module_tables(image_module(runtime->image, i));
        TRY(roots_section(runtime->target, tables->data, tables->edata, tables->gcdatamask,
                          tables->gcdatamask_bits, visitor, context, complete_ret));
        TRY(roots_section(runtime->target, tables->bss, tables->ebss, tables->gcbssmask,
                          tables->gcbssmask_bits, visitor, context, complete_ret));
    }
    CLEANUP_FREE struct copy_range *foreign = NULL;
    size_t count = 0;
    TRY(roots_foreign_ranges(runtime, &foreign, &count));
    for (size_t i = 0; i < count; i++) {
        roots_range(runtime->target, foreign[i].address, foreign[i].address + foreign[i].size, NULL,
                    0, visitor, context, complete_ret);
    }
    return NULL;
}
