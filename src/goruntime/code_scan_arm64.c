/* Static data that arm64 code refers to: ADRP and what is done with the register afterwards.
 *
 * Format (Arm ARM, A64): four bytes per instruction. ADRP sets a register to a page address
 * relative to its own page; ADD with an immediate, or the offset of a load or store, makes the
 * address whole. Registers are followed in a straight line: a call forgets all of them (Go has no
 * callee-saved ones), any other write forgets one. Go 1.25 and later prefer ADRP, ADD, LDP. */
#include "base/bytes.h"
#include "goruntime/code_scan.h"

enum code_scan_value { CODE_SCAN_UNKNOWN, CODE_SCAN_ADDRESS, CODE_SCAN_CONSTANT };

/* What is known of the registers, and where references go. */
struct code_scan_state {
    struct {
        enum code_scan_value kind;
        uint64_t value;
    } registers[32];
    uint64_t pc;
    struct code_reference *references;
    size_t count;
    size_t capacity;
};

/* Sign-extends the low BITS of VALUE. */
static int64_t code_scan_sign(uint64_t value, unsigned bits)
{
    uint64_t top = 1ull << (bits - 1);
    value &= (top << 1) - 1;
    return (int64_t)((value ^ top) - top);
}

/* Stores one reference. An address that the instruction before only computed for this access is
 * replaced by it. */
static void code_scan_refer(struct code_scan_state *state, enum code_reference_kind kind,
                            uint64_t target, int64_t constant)
{
    if (kind != CODE_REFERENCE_ADDRESS && state->count > 0) {
        const struct code_reference *last = &state->references[state->count - 1];
        if (last->kind == CODE_REFERENCE_ADDRESS && last->target == target &&
            last->instruction + 4 == state->pc) {
            state->count--;
        }
    }
    if (state->count < state->capacity) {
        state->references[state->count++] = (struct code_reference){
            .instruction = state->pc, .target = target, .constant = constant, .kind = kind};
    }
}

/* Sets register INDEX; writes to 31 (zero or stack pointer) are not followed. */
static void code_scan_set(struct code_scan_state *state, unsigned index, enum code_scan_value kind,
                          uint64_t value)
{
    if (index != 31) {
        state->registers[index].kind = kind;
        state->registers[index].value = value;
    }
}

/* ADR and ADRP. */
static void code_scan_page(struct code_scan_state *state, uint32_t word)
{
    uint64_t field = (uint64_t)(word >> 5 & 0x7ffff) << 2 | (word >> 29 & 3);
    int64_t offset = code_scan_sign(field, 21);
    bool page = word >> 31 != 0;
    uint64_t value =
        page ? (state->pc & ~0xfffull) + ((uint64_t)offset << 12) : state->pc + (uint64_t)offset;
    code_scan_set(state, word & 31, CODE_SCAN_ADDRESS, value);
    if (!page) {
        code_scan_refer(state, CODE_REFERENCE_ADDRESS, value, 0);
    }
}

/* ADD (immediate, 64 bit). */
static void code_scan_add(struct code_scan_state *state, uint32_t word)
{
    unsigned from = word >> 5 & 31;
    uint64_t immediate = word >> 10 & 0xfff;
    if (word >> 22 & 1) {
        immediate <<= 12;
    }
    if (from == 31 || state->registers[from].kind != CODE_SCAN_ADDRESS) {
        code_scan_set(state, word & 31, CODE_SCAN_UNKNOWN, 0);
        return;
    }
    uint64_t value = state->registers[from].value + immediate;
    code_scan_set(state, word & 31, CODE_SCAN_ADDRESS, value);
    code_scan_refer(state, CODE_REFERENCE_ADDRESS, value, 0);
}

/* A load or store of register T at base register N plus OFFSET. */
static void code_scan_access(struct code_scan_state *state, uint32_t word, bool load,
                             uint64_t offset, bool vector)
{
    unsigned base = word >> 5 & 31;
    unsigned t = word & 31;
    if (base != 31 && state->registers[base].kind == CODE_SCAN_ADDRESS) {
        uint64_t target = state->registers[base].value + offset;
        bool constant = !vector && (t == 31 || state->registers[t].kind == CODE_SCAN_CONSTANT);
        int64_t value = constant && t != 31 ? (int64_t)state->registers[t].value : 0;
        code_scan_refer(state,
                        load       ? CODE_REFERENCE_LOAD
                        : constant ? CODE_REFERENCE_STORE_CONSTANT
                                   : CODE_REFERENCE_STORE,
                        target, load ? 0 : value);
    }
    if (load && !vector) {
        code_scan_set(state, t, CODE_SCAN_UNKNOWN, 0);
    }
}

/* Loads and stores; false when WORD is another kind of them. */
static bool code_scan_memory(struct code_scan_state *state, uint32_t word)
{
    bool vector = word >> 26 & 1;
    unsigned size = word >> 30;
    unsigned opc = word >> 22 & 3;
    if ((word & 0x3b000000) == 0x39000000) { /* unsigned offset */
        unsigned scale = vector ? (opc >> 1) << 2 | size : size;
        code_scan_access(state, word, (opc & (vector ? 1 : 3)) != 0,
                         (uint64_t)(word >> 10 & 0xfff) << scale, vector);
        return true;
    }
    if ((word & 0x3b200c00) == 0x38000000) { /* signed, unscaled offset */
        code_scan_access(state, word, (opc & (vector ? 1 : 3)) != 0,
                         (uint64_t)code_scan_sign(word >> 12, 9), vector);
        return true;
    }
    if ((word & 0x3b800000) == 0x29000000) { /* pair, signed offset */
        unsigned scale = vector ? 2 + size : size >> 1 ? 3 : 2;
        bool load = word >> 22 & 1;
        code_scan_access(state, word, load, (uint64_t)code_scan_sign(word >> 15, 7) << scale,
                         vector);
        if (load && !vector) {
            code_scan_set(state, word >> 10 & 31, CODE_SCAN_UNKNOWN, 0);
        }
        return true;
    }
    if ((word & 0x3ffffc00) == 0x08dffc00 || (word & 0x3ffffc00) == 0x089ffc00) { /* ldar, stlr */
        code_scan_access(state, word, word >> 22 & 1, 0, false);
        return true;
    }
    return false;
}

/* One instruction. */
static void code_scan_step(struct code_scan_state *state, uint32_t word)
{
    if ((word & 0x1f000000) == 0x10000000) {
        code_scan_page(state, word);
    } else if ((word & 0xff800000) == 0x91000000) {
        code_scan_add(state, word);
    } else if ((word & 0x7f800000) == 0x52800000) { /* movz */
        uint64_t value = (uint64_t)(word >> 5 & 0xffff) << (16 * (word >> 21 & 3));
        code_scan_set(state, word & 31, CODE_SCAN_CONSTANT, value);
    } else if ((word & 0xfc000000) == 0x94000000 || (word & 0xfffffc1f) == 0xd63f0000) { /* calls */
        for (unsigned i = 0; i < 32; i++) {
            state->registers[i].kind = CODE_SCAN_UNKNOWN;
        }
    } else if ((word & 0x0a000000) == 0x08000000) { /* loads and stores */
        if (!code_scan_memory(state, word)) {
            code_scan_set(state, word & 31, CODE_SCAN_UNKNOWN, 0);
            code_scan_set(state, word >> 5 & 31, CODE_SCAN_UNKNOWN, 0); /* written back */
            code_scan_set(state, word >> 16 & 31, CODE_SCAN_UNKNOWN, 0);
        }
    } else if ((word & 0x1c000000) == 0x10000000 || (word & 0x0e000000) == 0x0a000000) {
        code_scan_set(state, word & 31, CODE_SCAN_UNKNOWN, 0); /* integer arithmetic */
    }
}

/* The references of arm64 code. */
size_t code_scan_arm64(const uint8_t *code, size_t size, uint64_t address,
                       struct code_reference *references, size_t capacity)
{
    struct code_scan_state state = {.references = references, .capacity = capacity};
    for (size_t at = 0; size - at >= 4 && state.count < capacity; at += 4) {
        state.pc = address + at;
        code_scan_step(&state, bytes_u32(code + at));
    }
    return state.count;
}
