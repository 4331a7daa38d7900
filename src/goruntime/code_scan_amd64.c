/* Lengths and RIP-relative operands of amd64 instructions.
 *
 * Format (Intel SDM volume 2): legacy prefixes, REX, opcode (one byte, 0F xx, 0F 38 xx, 0F 3A xx,
 * or VEX and EVEX forms of the last three), ModRM, SIB, displacement, immediate. ModRM with mod 0
 * and rm 5 is a 32-bit displacement from the end of the instruction, so the immediate's length
 * matters. Go's compiler and assembler reach all static data by that form.
 *
 * Invariant: no read beyond SIZE. */
#include "base/bytes.h"
#include "goruntime/code_scan.h"

/* What follows an opcode: n nothing, m ModRM, b byte, z word of operand size (at most 4 bytes), B
 * and Z ModRM and such an immediate, h two bytes, e three bytes, o an 8-byte offset, v operand size
 * up to 8 bytes, g and G ModRM with an immediate for test only, - invalid or handled before. */
static const char code_scan_one_byte[] = "mmmmbz--mmmmbz--mmmmbz--mmmmbz--" /* 00 */
                                         "mmmmbz--mmmmbz--mmmmbz--mmmmbz--" /* 20 */
                                         "----------------nnnnnnnnnnnnnnnn" /* 40 */
                                         "---m----zZbBnnnnbbbbbbbbbbbbbbbb" /* 60 */
                                         "BZ-Bmmmmmmmmmmmmnnnnnnnnnn-nnnnn" /* 80 */
                                         "oooonnnnbznnnnnnbbbbbbbbvvvvvvvv" /* a0 */
                                         "BBhn--BZenhnnb-nmmmm---nmmmmmmmm" /* c0 */
                                         "bbbbbbbbzz-bnnnn----nngGnnnnnnmm" /* e0 */;

static const char code_scan_two_byte[] = "mmmm-nnnnn-n-mn-mmmmmmmmmmmmmmmm" /* 00 */
                                         "mmmm----mmmmmmmmnnnnnnnn--------" /* 20 */
                                         "mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm" /* 40 */
                                         "mmmmmmmmmmmmmmmmBBBBmmmnmmmmmmmm" /* 60 */
                                         "zzzzzzzzzzzzzzzzmmmmmmmmmmmmmmmm" /* 80 */
                                         "nnnmBm--nnnmBmmmmmmmmmmmmmBmmmmm" /* a0 */
                                         "mmBmBBBmnnnnnnnnmmmmmmmmmmmmmmmm" /* c0 */
                                         "mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm" /* e0 */;

_Static_assert(sizeof code_scan_one_byte == 257 && sizeof code_scan_two_byte == 257,
               "one letter per opcode");

enum code_scan_map { CODE_SCAN_MAP_ONE, CODE_SCAN_MAP_0F, CODE_SCAN_MAP_0F38, CODE_SCAN_MAP_0F3A };

/* One decoded instruction. */
struct code_scan_instruction {
    size_t length;
    enum code_scan_map map;
    uint8_t opcode;
    uint8_t modrm;
    bool wide;        /* REX.W */
    bool short_words; /* operand size prefix */
    bool rip_relative;
    int32_t displacement;
    size_t immediate_size;
    size_t immediate_at;
};

/* The decoder's position. */
struct code_scan_bytes {
    const uint8_t *code;
    size_t size;
    size_t at;
};

/* The next byte; false at the end. */
static bool code_scan_next(struct code_scan_bytes *bytes, uint8_t *ret)
{
    if (bytes->at >= bytes->size) {
        return false;
    }
    *ret = bytes->code[bytes->at++];
    return true;
}

/* True for the legacy prefixes. */
static bool code_scan_is_prefix(uint8_t byte)
{
    switch (byte) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64:
    case 0x65:
    case 0x66:
    case 0x67:
    case 0xf0:
    case 0xf2:
    case 0xf3:
        return true;
    default:
        return false;
    }
}

/* Prefixes and REX; *BYTE is the first byte after them. */
static bool code_scan_prefixes(struct code_scan_bytes *bytes,
                               struct code_scan_instruction *instruction, uint8_t *byte)
{
    if (!code_scan_next(bytes, byte)) {
        return false;
    }
    for (int count = 0; code_scan_is_prefix(*byte); count++) {
        instruction->short_words |= *byte == 0x66;
        if (count == 14 || !code_scan_next(bytes, byte)) {
            return false;
        }
    }
    if ((*byte & 0xf0) == 0x40) {
        instruction->wide = (*byte & 8) != 0;
        return code_scan_next(bytes, byte);
    }
    return true;
}

/* The opcode map after a VEX (C4, C5) or EVEX (62) byte, and the opcode. */
static bool code_scan_vector(struct code_scan_bytes *bytes, uint8_t byte,
                             struct code_scan_instruction *instruction)
{
    size_t payload = byte == 0xc5 ? 1 : byte == 0xc4 ? 2 : 3;
    uint8_t map = 1;
    for (size_t i = 0; i < payload; i++) {
        uint8_t value;
        if (!code_scan_next(bytes, &value)) {
            return false;
        }
        if (i == 0 && payload > 1) {
            map = value & (payload == 3 ? 7 : 31);
        }
    }
    if (map < 1 || map > 3) {
        return false;
    }
    instruction->map = (enum code_scan_map)map;
    return code_scan_next(bytes, &instruction->opcode);
}

/* The opcode and its map. */
static bool code_scan_opcode(struct code_scan_bytes *bytes, uint8_t byte,
                             struct code_scan_instruction *instruction)
{
    if (byte == 0xc4 || byte == 0xc5 || byte == 0x62) {
        return code_scan_vector(bytes, byte, instruction);
    }
    instruction->opcode = byte;
    if (byte != 0x0f) {
        return true;
    }
    instruction->map = CODE_SCAN_MAP_0F;
    if (!code_scan_next(bytes, &instruction->opcode)) {
        return false;
    }
    if (instruction->opcode != 0x38 && instruction->opcode != 0x3a) {
        return true;
    }
    instruction->map = instruction->opcode == 0x38 ? CODE_SCAN_MAP_0F38 : CODE_SCAN_MAP_0F3A;
    return code_scan_next(bytes, &instruction->opcode);
}

/* What follows the opcode, in the letters of the tables. */
static char code_scan_form(const struct code_scan_instruction *instruction)
{
    switch (instruction->map) {
    case CODE_SCAN_MAP_ONE:
        return code_scan_one_byte[instruction->opcode];
    case CODE_SCAN_MAP_0F:
        return code_scan_two_byte[instruction->opcode];
    case CODE_SCAN_MAP_0F38:
        return 'm';
    default:
        return 'B';
    }
}

/* The ModRM byte with SIB and displacement. */
static bool code_scan_modrm(struct code_scan_bytes *bytes,
                            struct code_scan_instruction *instruction)
{
    uint8_t modrm;
    if (!code_scan_next(bytes, &modrm)) {
        return false;
    }
    instruction->modrm = modrm;
    unsigned mod = modrm >> 6;
    unsigned rm = modrm & 7;
    if (mod == 3) {
        return true;
    }
    size_t displacement = mod == 1 ? 1 : mod == 2 ? 4 : 0;
    if (rm == 4) {
        uint8_t sib;
        if (!code_scan_next(bytes, &sib)) {
            return false;
        }
        if (mod == 0 && (sib & 7) == 5) {
            displacement = 4;
        }
    } else if (rm == 5 && mod == 0) {
        displacement = 4;
        instruction->rip_relative = true;
    }
    if (bytes->size - bytes->at < displacement) {
        return false;
    }
    if (instruction->rip_relative) {
        instruction->displacement = bytes_i32(bytes->code + bytes->at);
    }
    bytes->at += displacement;
    return true;
}

/* The size of the immediate that FORM means. */
static size_t code_scan_immediate(const struct code_scan_instruction *instruction, char form)
{
    size_t word = instruction->short_words && !instruction->wide ? 2 : 4;
    bool test = (instruction->modrm & 0x30) == 0;
    switch (form) {
    case 'b':
    case 'B':
        return 1;
    case 'z':
    case 'Z':
        return word;
    case 'h':
        return 2;
    case 'e':
        return 3;
    case 'o':
        return 8;
    case 'v':
        return instruction->wide ? 8 : word;
    case 'g':
        return test ? 1 : 0;
    case 'G':
        return test ? word : 0;
    default:
        return 0;
    }
}

/* Decodes one instruction; false when it is unknown or cut off. */
static bool code_scan_decode(const uint8_t *code, size_t size,
                             struct code_scan_instruction *instruction)
{
    *instruction = (struct code_scan_instruction){0};
    struct code_scan_bytes bytes = {code, size < 15 ? size : 15, 0};
    uint8_t byte;
    if (!code_scan_prefixes(&bytes, instruction, &byte) ||
        !code_scan_opcode(&bytes, byte, instruction)) {
        return false;
    }
    char form = code_scan_form(instruction);
    bool modrm = form == 'm' || form == 'B' || form == 'Z' || form == 'g' || form == 'G';
    if (form == '-' || (modrm && !code_scan_modrm(&bytes, instruction))) {
        return false;
    }
    instruction->immediate_at = bytes.at;
    instruction->immediate_size = code_scan_immediate(instruction, form);
    if (bytes.size - bytes.at < instruction->immediate_size) {
        return false;
    }
    instruction->length = bytes.at + instruction->immediate_size;
    return true;
}

/* The length of the instruction at CODE, or 0. */
size_t code_scan_amd64_length(const uint8_t *code, size_t size)
{
    struct code_scan_instruction instruction;
    return code_scan_decode(code, size, &instruction) ? instruction.length : 0;
}

/* How the instruction uses its memory operand. */
static enum code_reference_kind code_scan_kind(const struct code_scan_instruction *instruction)
{
    uint8_t opcode = instruction->opcode;
    if (instruction->map == CODE_SCAN_MAP_0F) {
        bool extend = opcode == 0xb6 || opcode == 0xb7 || opcode == 0xbe || opcode == 0xbf;
        bool load = opcode == 0x10 || opcode == 0x28 || opcode == 0x6f || opcode == 0x7e;
        bool store = opcode == 0x11 || opcode == 0x29 || opcode == 0x7f || opcode == 0xd6;
        return extend || load ? CODE_REFERENCE_LOAD
               : store        ? CODE_REFERENCE_STORE
                              : CODE_REFERENCE_OTHER;
    }
    if (instruction->map != CODE_SCAN_MAP_ONE) {
        return CODE_REFERENCE_OTHER;
    }
    switch (opcode) {
    case 0x8d:
        return CODE_REFERENCE_ADDRESS;
    case 0x63:
    case 0x8a:
    case 0x8b:
        return CODE_REFERENCE_LOAD;
    case 0x86: /* xchg is how sync/atomic stores */
    case 0x87:
    case 0x88:
    case 0x89:
        return CODE_REFERENCE_STORE;
    case 0xc6:
    case 0xc7:
        return CODE_REFERENCE_STORE_CONSTANT;
    default:
        return CODE_REFERENCE_OTHER;
    }
}

/* The immediate at BYTES, sign-extended from its size. */
static int64_t code_scan_constant(const uint8_t *bytes, size_t size)
{
    switch (size) {
    case 1:
        return (int8_t)bytes[0];
    case 2:
        return (int16_t)bytes_u16(bytes);
    case 4:
        return bytes_i32(bytes);
    default:
        return 0;
    }
}

/* The references of amd64 code. */
size_t code_scan_amd64(const uint8_t *code, size_t size, uint64_t address,
                       struct code_reference *references, size_t capacity)
{
    size_t count = 0;
    for (size_t at = 0; at < size && count < capacity;) {
        struct code_scan_instruction instruction;
        if (!code_scan_decode(code + at, size - at, &instruction)) {
            at++;
            continue;
        }
        if (instruction.rip_relative) {
            references[count++] = (struct code_reference){
                .instruction = address + at,
                .target =
                    address + at + instruction.length + (uint64_t)(int64_t)instruction.displacement,
                .kind = code_scan_kind(&instruction),
                .constant = code_scan_constant(code + at + instruction.immediate_at,
                                               instruction.immediate_size),
            };
        }
        at += instruction.length;
    }
    return count;
}
