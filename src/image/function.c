/* The function table of a pclntab (runtime/symtab.go, runtime2.go: _func).
 *   ftab: nfunc+1 pairs of u32 {entry offset from text, offset of the _func in pclntable},
 * ascending; the last pair only ends the last function. _func: the row's fixed part, then npcdata x
 * u32 offsets into pctab, then nfuncdata x u32 offsets from gofunc (0xffffffff: absent). Every
 * offset is checked against its table before it is followed. */
#include "image/function.h"

#include "base/bytes.h"
#include "image/function_table.h"
#include <string.h>

enum { FUNCTION_FTAB_ENTRY = 8 };

#define FUNCTION_DATA_ABSENT 0xffffffffu

/* The closing one counts. */
size_t function_ftab_count(const struct module *module)
{
    return module->tables.ftab.size / FUNCTION_FTAB_ENTRY;
}

/* Entry address of ftab entry INDEX (below function_ftab_count). */
static uint64_t function_ftab_entry(const struct module *module, size_t index)
{
    return module->tables.text + bytes_u32(module->tables.ftab.data + index * FUNCTION_FTAB_ENTRY);
}

/* A table that contradicts itself. */
static struct error *function_corrupt(uint64_t entry, const char *what)
{
    return error_create(ERROR_CORRUPT, "pclntab: %s of the function at 0x%llx is outside its table",
                        what, (unsigned long long)entry);
}

/* Checked to hold the fixed part. */
static const uint8_t *function_record(const struct module *module, size_t index, uint32_t *offset)
{
    *offset = bytes_u32(module->tables.ftab.data + index * FUNCTION_FTAB_ENTRY + 4);
    struct image_bytes table = module->tables.pclntable;
    uint64_t size = (uint64_t)module->layout->func.size;
    return *offset <= table.size && size <= table.size - *offset ? table.data + *offset : NULL;
}

/* A look at one field, for the index of names. */
const char *function_ftab_name(const struct module *module, size_t index)
{
    uint32_t offset;
    const uint8_t *record = function_record(module, index, &offset);
    if (record == NULL) {
        return NULL;
    }
    return module_string(module->tables.funcnametab,
                         bytes_u32(record + module->layout->func.name_off));
}

/* Looks no further into the name than that. */
bool function_ftab_is_runtime(const struct module *module, size_t index)
{
    uint32_t offset;
    const uint8_t *record = function_record(module, index, &offset);
    if (record == NULL) {
        return false;
    }
    struct image_bytes names = module->tables.funcnametab;
    size_t size = strlen(FUNCTION_RUNTIME_PREFIX);
    uint64_t at = bytes_u32(record + module->layout->func.name_off);
    return at < names.size && size < names.size - at &&
           memcmp(names.data + at, FUNCTION_RUNTIME_PREFIX, size) == 0;
}

/* Every field, the lists behind the record included in the check. */
struct error *function_decode(const struct module *module, size_t index, struct function *ret)
{
    const struct layout *layout = module->layout;
    uint64_t entry = function_ftab_entry(module, index);
    uint32_t offset;
    const uint8_t *record = function_record(module, index, &offset);
    if (record == NULL) {
        return function_corrupt(entry, "the record");
    }
    *ret = (struct function){
        .module = module,
        .entry = entry,
        .end = function_ftab_entry(module, index + 1),
        .name =
            module_string(module->tables.funcnametab, bytes_u32(record + layout->func.name_off)),
        .record = offset,
        .args = bytes_i32(record + layout->func.args),
        .deferreturn = bytes_u32(record + layout->func.deferreturn),
        .pcsp = bytes_u32(record + layout->func.pcsp),
        .pcfile = bytes_u32(record + layout->func.pcfile),
        .pcln = bytes_u32(record + layout->func.pcln),
        .npcdata = bytes_u32(record + layout->func.npcdata),
        .cu_offset = bytes_u32(record + layout->func.cu_offset),
        .nfuncdata = record[layout->func.nfuncdata],
        .start_line = layout->func.start_line == LAYOUT_ABSENT
                          ? 0
                          : bytes_i32(record + layout->func.start_line),
        .func_id = record[layout->func.func_id],
        .flags = record[layout->func.flag],
    };
    uint64_t variable = 4 * ((uint64_t)ret->npcdata + ret->nfuncdata);
    if (variable > module->tables.pclntable.size - offset - (uint64_t)layout->func.size) {
        return function_corrupt(entry, "the record's tail");
    }
    if (ret->end < entry) {
        return function_corrupt(entry, "the end");
    }
    return ret->name == NULL ? function_corrupt(entry, "the name") : NULL;
}

/* Binary search; even in a table that does not ascend, what it ends at holds PC. */
struct error *function_find(const struct image *image, uint64_t pc, struct function *ret)
{
    const struct module *module = image_find_module(image, pc);
    size_t count = module != NULL ? function_ftab_count(module) : 0;
    if (count < 2 || pc < function_ftab_entry(module, 0) ||
        pc >= function_ftab_entry(module, count - 1)) {
        return error_create(ERROR_NOT_FOUND, "no Go function at 0x%llx", (unsigned long long)pc);
    }
    size_t low = 0;          /* entry <= pc */
    size_t high = count - 1; /* entry > pc */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (function_ftab_entry(module, middle) <= pc) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return function_decode(module, low, ret);
}

/* The offset of PCDATA table INDEX follows the record's fixed part. */
struct error *function_pcdata(const struct function *function, enum function_pcdata index,
                              uint64_t pc, int32_t *ret)
{
    *ret = -1;
    if ((uint32_t)index >= function->npcdata) {
        return NULL;
    }
    const struct module *module = function->module;
    const uint8_t *tail =
        module->tables.pclntable.data + function->record + (size_t)module->layout->func.size;
    return function_pcvalue(function, bytes_u32(tail + 4 * (size_t)index), pc, ret);
}

/* The FUNCDATA offsets follow the PCDATA ones. */
struct error *function_data(const struct function *function, enum function_data index,
                            struct image_bytes *ret)
{
    *ret = (struct image_bytes){NULL, 0};
    if ((uint32_t)index >= function->nfuncdata) {
        return NULL;
    }
    const struct module *module = function->module;
    const uint8_t *tail = module->tables.pclntable.data + function->record +
                          (size_t)module->layout->func.size + 4 * (size_t)function->npcdata;
    uint32_t offset = bytes_u32(tail + 4 * (size_t)index);
    if (offset == FUNCTION_DATA_ABSENT) {
        return NULL;
    }
    struct image_bytes table = module->tables.funcdata;
    if (offset >= table.size) {
        return function_corrupt(function->entry, "funcdata");
    }
    *ret = (struct image_bytes){table.data + offset, table.size - offset};
    return NULL;
}
