/* pc-value tables (runtime/symtab.go, cmd/internal/obj/pcln.go): a stream of pairs of unsigned
 * LEB128 numbers of at most 32 bits: value delta (zig-zag), then pc delta in units of the pc
 * quantum. It starts with value -1 at the function's entry; a pair's value holds for pcs below the
 * pc after its delta. A value delta of 0 that is not the first ends the table. */
#include "image/function.h"

#include "image/module.h"

enum {
    FUNCTION_PCVALUE_PAIRS_MAX = 1 << 20, /* pairs walked for one lookup */
    FUNCTION_PCVALUE_VARINT_MAX = 5       /* bytes of a 32-bit LEB128 number */
};

/* A pc-value table while it is walked. */
struct function_pcvalue {
    const uint8_t *position;
    const uint8_t *end;
    uint64_t pc; /* VALUE holds below it */
    int32_t value;
    bool first;
};

/* One number; false when the table ends inside it or it is too long. */
static bool function_pcvalue_varint(struct function_pcvalue *table, uint32_t *ret)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < FUNCTION_PCVALUE_VARINT_MAX && table->position < table->end; i++) {
        uint8_t byte = *table->position++;
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *ret = (uint32_t)value;
            return true;
        }
    }
    return false;
}

/* Goes to the next pair; *ENDED when the table says so. False when its bytes are broken. */
static bool function_pcvalue_step(struct function_pcvalue *table, uint32_t quantum, bool *ended)
{
    uint32_t value_delta;
    uint32_t pc_delta;
    if (!function_pcvalue_varint(table, &value_delta)) {
        return false;
    }
    if (value_delta == 0 && !table->first) {
        *ended = true;
        return true;
    }
    if (!function_pcvalue_varint(table, &pc_delta)) {
        return false;
    }
    uint32_t delta = (value_delta & 1) != 0 ? ~(value_delta >> 1) : value_delta >> 1;
    table->value = (int32_t)((uint32_t)table->value + delta);
    table->pc += (uint64_t)pc_delta * quantum;
    table->first = false;
    return true;
}

/* Walks pairs until one holds PC. */
struct error *function_pcvalue(const struct function *function, uint32_t offset, uint64_t pc,
                               int32_t *ret)
{
    const struct module_tables *tables = &function->module->tables;
    *ret = -1;
    if (offset == 0) {
        return NULL;
    }
    if (offset >= tables->pctab.size) {
        return error_create(ERROR_CORRUPT, "pclntab: a pc-value table of %s is outside",
                            function->name);
    }
    struct function_pcvalue table = {
        .position = tables->pctab.data + offset,
        .end = tables->pctab.data + tables->pctab.size,
        .pc = function->entry,
        .value = -1,
        .first = true,
    };
    for (int i = 0; i < FUNCTION_PCVALUE_PAIRS_MAX; i++) {
        bool ended = false;
        if (!function_pcvalue_step(&table, tables->pc_quantum, &ended)) {
            break;
        }
        if (ended) {
            return NULL;
        }
        if (pc < table.pc) {
            *ret = table.value;
            return NULL;
        }
    }
    return error_create(ERROR_CORRUPT, "pclntab: a pc-value table of %s has no end",
                        function->name);
}
