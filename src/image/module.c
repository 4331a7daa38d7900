/* moduledata and the header of the pclntab (runtime/symtab.go, cmd/link/internal/ld/pcln.go).
 * Header, 72 bytes on 64-bit in Go 1.18 to 1.27 (64 in 1.16 and 1.17, without textStart):
 *   0 u32 magic   4 u8 0   5 u8 0   6 u8 pc quantum   7 u8 pointer size   8 u64 nfunc   16 u64
 * nfiles 24 u64 textStart (0 since 1.26; unrelocated in the file of a PIE: never used) 32 40 48 56
 * 64  u64 offsets of funcnametab, cutab, filetab, pctab, func table from the header moduledata
 * holds slices that point to the same places, which is how one confirms the other. The length of
 * the cutab slice is four times too large before 1.26. */
#include "image/module.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include <stdlib.h>
#include <string.h>

enum {
    MODULE_HEADER_SIZE = 72,
    MODULE_HEADER_OFFSETS = 32,
    MODULE_HEADER_OFFSETS_OLD = 24,
    MODULE_MOVED_MAX = 4096,     /* funcnametab follows the header closely */
    MODULE_MASK_SLACK = 64,      /* bits by which a mask may miss the size of its section */
    MODULE_STRING_MAX = 1 << 20, /* names of instantiated generics are long, not that long */
    MODULE_SIZE_MAX = 4096       /* of a moduledata; a row beyond it is broken */
};

/* The end of a module is soon behind its last section. */
#define MODULE_END_MAX ((uint64_t)1 << 30)

/* Word INDEX of moduledata BYTES. */
static uint64_t module_word(const uint8_t *bytes, size_t index)
{
    return bytes_u64(bytes + index * sizeof(uint64_t));
}

/* Lengths equal capacities, tables follow one another. */
bool module_looks_right(const uint8_t *bytes)
{
    uint64_t header = module_word(bytes, MODULE_WORD_HEADER);
    uint64_t names = module_word(bytes, MODULE_WORD_FUNCNAMETAB);
    if (header == 0 || header % sizeof(uint64_t) != 0 || names <= header ||
        names - header > MODULE_MOVED_MAX) {
        return false;
    }
    for (size_t slice = MODULE_WORD_FUNCNAMETAB; slice <= MODULE_WORD_FTAB; slice += 3) {
        if (module_word(bytes, slice) < names ||
            module_word(bytes, slice + 1) != module_word(bytes, slice + 2)) {
            return false;
        }
    }
    return module_word(bytes, MODULE_WORD_FTAB + 1) > 0 &&
           module_word(bytes, MODULE_WORD_MINPC) <= module_word(bytes, MODULE_WORD_MAXPC);
}

/* True when the header's five offsets at OFFSETS lead where the slices of WORDS point. */
static bool module_agrees(const uint8_t *words, const uint8_t *header, size_t offsets)
{
    static const size_t slices[] = {MODULE_WORD_FUNCNAMETAB, MODULE_WORD_CUTAB, MODULE_WORD_FILETAB,
                                    MODULE_WORD_PCTAB, MODULE_WORD_PCLNTABLE};
    uint64_t start = module_word(words, MODULE_WORD_HEADER);
    for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) {
        uint64_t offset = bytes_u64(header + offsets + i * sizeof(uint64_t));
        if (start + offset != module_word(words, slices[i])) {
            return false;
        }
    }
    return true;
}

/* What the header at the first word of WORDS says; MACHINE is the target's, whose instructions the
 * pc quantum (sys.PCQuantum) must fit. */
static enum module_kind module_classify(const uint8_t *words, const uint8_t *header,
                                        enum target_machine machine)
{
    uint8_t quantum = machine == TARGET_MACHINE_ARM64 ? 4 : 1;
    uint32_t magic = bytes_u32(header);
    bool sane = header[7] == sizeof(uint64_t) && (header[6] == 1 || header[6] == 4);
    if (sane && magic == MODULE_MAGIC_GO1_16 &&
        module_agrees(words, header, MODULE_HEADER_OFFSETS_OLD)) {
        return MODULE_KIND_OLD;
    }
    if (!module_agrees(words, header, MODULE_HEADER_OFFSETS)) {
        return MODULE_KIND_NONE;
    }
    bool known = magic == MODULE_MAGIC_GO1_18 || magic == MODULE_MAGIC_GO1_20;
    bool counted = bytes_u64(header + 8) + 1 == module_word(words, MODULE_WORD_FTAB + 1);
    if (!known || !sane || !counted) {
        return MODULE_KIND_ALTERED;
    }
    return header[6] == quantum ? MODULE_KIND_CURRENT : MODULE_KIND_FOREIGN;
}

/* Reads both ends. */
struct error *module_examine(struct memory *memory, uint64_t address, enum module_kind *ret,
                             uint32_t *magic)
{
    uint8_t words[MODULE_WORDS * sizeof(uint64_t)];
    uint8_t header[MODULE_HEADER_SIZE];
    *ret = MODULE_KIND_NONE;
    *magic = 0;
    struct error *error = target_read(memory->target, address, words, sizeof words);
    if (error == NULL && module_looks_right(words)) {
        error = memory_read(memory, module_word(words, MODULE_WORD_HEADER), header, sizeof header);
        if (error == NULL) {
            *magic = bytes_u32(header);
            *ret = module_classify(words, header, target_machine(memory->target));
        }
    }
    return error_catch(&error, ERROR_FAULT) ? NULL : error;
}

/* A field that is not as expected. */
static struct error *module_refuse(const struct layout *layout, const char *field, uint64_t value)
{
    return error_create(ERROR_UNSUPPORTED, "moduledata is not that of Go 1.%d: %s is 0x%llx",
                        (int)layout->minor, field, (unsigned long long)value);
}

/* Checks the ranges that every release has at the same place. */
static struct error *module_check_ranges(const struct memory *memory, const uint8_t *bytes,
                                         const struct layout *layout)
{
    uint64_t text = module_word(bytes, MODULE_WORD_TEXT);
    uint64_t minpc = module_word(bytes, MODULE_WORD_MINPC);
    uint64_t maxpc = module_word(bytes, MODULE_WORD_MAXPC);
    if (text > module_word(bytes, MODULE_WORD_ETEXT) || minpc < text || maxpc < minpc ||
        !memory_holds(memory, minpc, 1)) {
        return module_refuse(layout, "text", text);
    }
    for (size_t i = MODULE_WORD_NOPTRDATA; i < MODULE_WORDS; i += 2) {
        if (module_word(bytes, i) > module_word(bytes, i + 1)) {
            return module_refuse(layout, "a data section", module_word(bytes, i));
        }
    }
    return NULL;
}

/* Checks a garbage collector mask: as many bits as words from START to END, and readable. It is
 * empty until the runtime has started. */
static struct error *module_check_mask(const struct memory *memory, const uint8_t *bytes,
                                       int32_t offset, uint64_t start, uint64_t end,
                                       const struct layout *layout)
{
    uint32_t bits = bytes_u32(bytes + offset);
    uint64_t data = bytes_u64(bytes + offset + 8);
    uint64_t words = (end - start) / sizeof(uint64_t);
    bool fits = bits <= words + MODULE_MASK_SLACK && words <= bits + MODULE_MASK_SLACK;
    if (bits > 0 && (!fits || !memory_holds(memory, data, ((uint64_t)bits + 7) / 8))) {
        return module_refuse(layout, "a pointer mask", data);
    }
    return NULL;
}

/* Checks the fields whose places differ between releases. */
static struct error *module_check_fields(const struct memory *memory, const uint8_t *bytes,
                                         const struct layout *layout)
{
    uint64_t end = bytes_u64(bytes + layout->moduledata.end);
    uint64_t types = bytes_u64(bytes + layout->moduledata.types);
    uint64_t etypes = bytes_u64(bytes + layout->moduledata.etypes);
    uint64_t rodata = bytes_u64(bytes + layout->moduledata.rodata);
    uint64_t gofunc = bytes_u64(bytes + layout->moduledata.gofunc);
    uint64_t next = bytes_u64(bytes + layout->moduledata.next);
    uint64_t last = module_word(bytes, MODULE_WORDS - 1); /* enoptrbss */
    if (end < last || end - last > MODULE_END_MAX) {
        return module_refuse(layout, "end", end);
    }
    if (types > etypes || !memory_holds(memory, types, etypes - types)) {
        return module_refuse(layout, "types", types);
    }
    if (!memory_holds(memory, rodata, 1)) {
        return module_refuse(layout, "rodata", rodata);
    }
    if (!memory_holds(memory, gofunc, 1)) {
        return module_refuse(layout, "gofunc", gofunc);
    }
    if (next != 0 && (next % sizeof(uint64_t) != 0 || !memory_holds(memory, next, 1))) {
        return module_refuse(layout, "next", next);
    }
    TRY(module_check_mask(memory, bytes, layout->moduledata.gcdatamask,
                          module_word(bytes, MODULE_WORD_NOPTRDATA + 2),
                          module_word(bytes, MODULE_WORD_NOPTRDATA + 3), layout));
    return module_check_mask(memory, bytes, layout->moduledata.gcbssmask,
                             module_word(bytes, MODULE_WORD_NOPTRDATA + 4),
                             module_word(bytes, MODULE_WORD_NOPTRDATA + 5), layout);
}

/* The whole moduledata at ADDRESS as it is now, in a heap block. */
static struct error *module_read(struct memory *memory, uint64_t address,
                                 const struct layout *layout, uint8_t **ret)
{
    size_t size = (size_t)layout->moduledata.size;
    if (layout->moduledata.size < (int32_t)(MODULE_WORDS * sizeof(uint64_t)) ||
        size > MODULE_SIZE_MAX) {
        return error_create(ERROR_INTERNAL, "layout row of Go 1.%d: moduledata of %zu bytes",
                            (int)layout->minor, size);
    }
    CLEANUP_FREE uint8_t *bytes = malloc(size);
    if (bytes == NULL) {
        return error_no_memory();
    }
    TRY(target_read(memory->target, address, bytes, size));
    *ret = TAKE(bytes);
    return NULL;
}

/* Common places first, then those of the row. */
struct error *module_check(struct memory *memory, uint64_t address, const struct layout *layout)
{
    CLEANUP_FREE uint8_t *bytes = NULL;
    TRY(module_read(memory, address, layout, &bytes));
    TRY(module_check_ranges(memory, bytes, layout));
    return module_check_fields(memory, bytes, layout);
}

/* Copies addresses out of moduledata BYTES. */
static void module_fill(struct module *module, const uint8_t *bytes)
{
    const struct layout *layout = module->layout;
    struct module_tables *tables = &module->tables;
    tables->minpc = module_word(bytes, MODULE_WORD_MINPC);
    tables->maxpc = module_word(bytes, MODULE_WORD_MAXPC);
    tables->text = module_word(bytes, MODULE_WORD_TEXT);
    tables->etext = module_word(bytes, MODULE_WORD_ETEXT);
    tables->noptrdata = module_word(bytes, MODULE_WORD_NOPTRDATA);
    tables->enoptrdata = module_word(bytes, MODULE_WORD_NOPTRDATA + 1);
    tables->data = module_word(bytes, MODULE_WORD_NOPTRDATA + 2);
    tables->edata = module_word(bytes, MODULE_WORD_NOPTRDATA + 3);
    tables->bss = module_word(bytes, MODULE_WORD_NOPTRDATA + 4);
    tables->ebss = module_word(bytes, MODULE_WORD_NOPTRDATA + 5);
    tables->noptrbss = module_word(bytes, MODULE_WORD_NOPTRDATA + 6);
    tables->enoptrbss = module_word(bytes, MODULE_WORD_NOPTRDATA + 7);
    tables->types = bytes_u64(bytes + layout->moduledata.types);
    tables->etypes = bytes_u64(bytes + layout->moduledata.etypes);
    tables->rodata = bytes_u64(bytes + layout->moduledata.rodata);
    tables->gofunc = bytes_u64(bytes + layout->moduledata.gofunc);
    tables->gcdatamask_bits = bytes_u32(bytes + layout->moduledata.gcdatamask);
    tables->gcdatamask = bytes_u64(bytes + layout->moduledata.gcdatamask + 8);
    tables->gcbssmask_bits = bytes_u32(bytes + layout->moduledata.gcbssmask);
    tables->gcbssmask = bytes_u64(bytes + layout->moduledata.gcbssmask + 8);
    module->next = bytes_u64(bytes + layout->moduledata.next);
}

/* The part of BLOB (which starts at BASE) that SIZE bytes at ADDRESS take; cut at its end, empty
 * when outside. */
static struct image_bytes module_slice(struct image_bytes blob, uint64_t base, uint64_t address,
                                       uint64_t size)
{
    if (address < base || address - base > blob.size) {
        return (struct image_bytes){NULL, 0};
    }
    uint64_t left = blob.size - (address - base);
    return (struct image_bytes){blob.data + (address - base), size < left ? size : left};
}

/* Loads header to end of the function table in one piece, and cuts the tables out of it. */
static struct error *module_load_tables(struct memory *memory, struct module *module,
                                        const uint8_t *bytes)
{
    struct module_tables *tables = &module->tables;
    uint64_t header = module_word(bytes, MODULE_WORD_HEADER);
    uint64_t last = module_word(bytes, MODULE_WORD_PCLNTABLE);
    uint64_t extent = memory_extent(memory, header);
    uint64_t size = last - header;
    uint64_t functions = module_word(bytes, MODULE_WORD_PCLNTABLE + 1);
    if (last < header || size < MODULE_HEADER_SIZE || size > extent || functions > extent - size) {
        return error_create(ERROR_CORRUPT, "pclntab at 0x%llx reaches beyond mapped memory",
                            (unsigned long long)header);
    }
    struct image_bytes blob;
    TRY(memory_load(memory, header, size + functions, MEMORY_TRUST_CONSTANT, &blob));
    tables->pc_quantum = blob.data[6];
    static const size_t slices[] = {MODULE_WORD_FUNCNAMETAB, MODULE_WORD_FILETAB, MODULE_WORD_PCTAB,
                                    MODULE_WORD_PCLNTABLE};
    struct image_bytes *targets[] = {&tables->funcnametab, &tables->filetab, &tables->pctab,
                                     &tables->pclntable};
    for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) {
        uint64_t length = module_word(bytes, slices[i] + 1);
        *targets[i] = module_slice(blob, header, module_word(bytes, slices[i]), length);
    }
    /* Entries of ftab are pairs of 32-bit numbers, of cutab single ones with an unreliable length.
     */
    uint64_t entries = module_word(bytes, MODULE_WORD_FTAB + 1);
    tables->ftab = module_slice(blob, header, module_word(bytes, MODULE_WORD_FTAB),
                                entries <= blob.size / 8 ? entries * 8 : 0);
    uint64_t cutab = module_word(bytes, MODULE_WORD_CUTAB);
    uint64_t filetab = module_word(bytes, MODULE_WORD_FILETAB);
    tables->cutab = module_slice(blob, header, cutab, filetab > cutab ? filetab - cutab : 0);
    return NULL;
}

/* Addresses, then bytes. */
struct error *module_create(struct memory *memory, uint64_t address, const struct layout *layout,
                            struct module **ret)
{
    CLEANUP_FREE uint8_t *bytes = NULL;
    TRY(module_read(memory, address, layout, &bytes));
    CLEANUP_FREE struct module *module = calloc(1, sizeof *module);
    if (module == NULL) {
        return error_no_memory();
    }
    module->layout = layout;
    module->tables.moduledata = address;
    module_fill(module, bytes);
    TRY(module_load_tables(memory, module, bytes));
    TRY(memory_load_rest(memory, module->tables.gofunc, MEMORY_TRUST_CONSTANT,
                         &module->tables.funcdata));
    *ret = TAKE(module);
    return NULL;
}

/* The bytes belong to the memory. */
void module_destroy(struct module *module)
{
    free(module);
}

/* The NUL must be inside, and not too far. */
const char *module_string(struct image_bytes table, uint64_t offset)
{
    if (offset >= table.size) {
        return NULL;
    }
    size_t left = table.size - offset;
    if (memchr(table.data + offset, 0, left < MODULE_STRING_MAX ? left : MODULE_STRING_MAX) ==
        NULL) {
        return NULL;
    }
    return (const char *)table.data + offset;
}
