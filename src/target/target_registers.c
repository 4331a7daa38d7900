/* General registers as the kernel lays them out, one 64-bit little-endian word each.
 * amd64: struct user_regs_struct of arch/x86/include/asm/user_64.h, 27 words.
 * arm64: struct user_pt_regs of arch/arm64/include/uapi/asm/ptrace.h, x0..x30, sp, pc, pstate.
 * Vector registers: FXSAVE holds xmm0..15 at 160; an XSAVE area in standard format begins with the
 * same 512 bytes, then 64 bytes of header, then the upper halves and AVX-512's up to 2696 (Intel
 * SDM volume 1, 13.4). arm64's user_fpsimd_state begins with v0..v31. */
#include "target/target_internal.h"

#include "base/bytes.h"
#include <elf.h>
#include <string.h>

enum {
    TARGET_REGISTERS_AMD64_WORDS = 27,
    TARGET_REGISTERS_AMD64_PC = 16,
    TARGET_REGISTERS_AMD64_SP = 19,
    TARGET_REGISTERS_ARM64_WORDS = 34,
    TARGET_REGISTERS_ARM64_SP = 31,
    TARGET_REGISTERS_ARM64_PC = 32,
    TARGET_REGISTERS_XMM = 160,
    TARGET_REGISTERS_XMM_END = 416,
    TARGET_REGISTERS_XSAVE_UPPER = 576,
    TARGET_REGISTERS_XSAVE_END = 2696,
    TARGET_REGISTERS_FPSIMD_END = 512
};

/* Where rax rbx rcx rdx rsi rdi rbp rsp r8..r15 orig_rax fs_base are in user_regs_struct. */
static const uint8_t target_registers_amd64[] = {10, 5, 11, 12, 13, 14, 4, 19, 9,
                                                 8,  7, 6,  3,  2,  1,  0, 15, 21};

bool target_registers_decode(enum target_machine machine, const uint8_t *bytes, size_t size,
                             struct target_registers *ret)
{
    size_t words = machine == TARGET_MACHINE_AMD64 ? TARGET_REGISTERS_AMD64_WORDS
                                                   : TARGET_REGISTERS_ARM64_WORDS;
    memset(ret, 0, sizeof *ret);
    if (size < words * 8) {
        return false;
    }
    if (machine == TARGET_MACHINE_AMD64) {
        for (size_t i = 0; i < sizeof target_registers_amd64; i++) {
            ret->general[i] = bytes_u64(bytes + (size_t)target_registers_amd64[i] * 8);
        }
        ret->pc = bytes_u64(bytes + TARGET_REGISTERS_AMD64_PC * 8);
        ret->sp = bytes_u64(bytes + TARGET_REGISTERS_AMD64_SP * 8);
        return true;
    }
    for (size_t i = 0; i < TARGET_REGISTERS_ARM64_SP; i++) {
        ret->general[i] = bytes_u64(bytes + i * 8);
    }
    ret->sp = bytes_u64(bytes + TARGET_REGISTERS_ARM64_SP * 8);
    ret->pc = bytes_u64(bytes + TARGET_REGISTERS_ARM64_PC * 8);
    return true;
}

/* Keeps the words of BYTES from START to END, cut to SIZE, that user addresses could be. */
static void target_registers_keep(const uint8_t *bytes, size_t size, size_t start, size_t end,
                                  struct target_registers *registers)
{
    end = end < size ? end : size;
    for (size_t at = start; at + 8 <= end; at += 8) {
        uint64_t word = bytes_u64(bytes + at);
        if (word != 0 && word >> 56 == 0 && registers->vector_count < TARGET_VECTOR_WORDS) {
            registers->vector[registers->vector_count++] = word;
        }
    }
}

void target_registers_decode_vector(enum target_machine machine, const uint8_t *bytes, size_t size,
                                    bool extended, struct target_registers *registers)
{
    registers->vector_count = 0;
    if (machine == TARGET_MACHINE_ARM64) {
        registers->has_vector = size >= TARGET_REGISTERS_FPSIMD_END;
        target_registers_keep(bytes, size, 0, TARGET_REGISTERS_FPSIMD_END, registers);
        return;
    }
    registers->has_vector = size >= TARGET_REGISTERS_XMM_END;
    target_registers_keep(bytes, size, TARGET_REGISTERS_XMM, TARGET_REGISTERS_XMM_END, registers);
    if (extended) {
        target_registers_keep(bytes, size, TARGET_REGISTERS_XSAVE_UPPER, TARGET_REGISTERS_XSAVE_END,
                              registers);
    }
}

struct error *target_machine_of_elf(const uint8_t *bytes, size_t size, enum target_machine *ret)
{
    if (size < sizeof(Elf64_Ehdr) || memcmp(bytes, ELFMAG, SELFMAG) != 0) {
        return error_create(ERROR_CORRUPT, "not an ELF file");
    }
    if (bytes[EI_DATA] != ELFDATA2LSB) {
        return error_create(ERROR_UNSUPPORTED,
                            "a big-endian program; only amd64 and arm64 are read");
    }
    if (bytes[EI_CLASS] != ELFCLASS64) {
        return error_create(ERROR_UNSUPPORTED, "a 32-bit program; only amd64 and arm64 are read");
    }
    uint16_t machine = bytes_u16(bytes + offsetof(Elf64_Ehdr, e_machine));
    if (machine == EM_X86_64) {
        *ret = TARGET_MACHINE_AMD64;
        return NULL;
    }
    if (machine == EM_AARCH64) {
        *ret = TARGET_MACHINE_ARM64;
        return NULL;
    }
    return error_create(ERROR_UNSUPPORTED,
                        "a program for ELF machine %u; only amd64 and arm64 are read", machine);
}
