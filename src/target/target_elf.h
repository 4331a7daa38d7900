/* The little of an executable that matching it to a core needs: program headers and build ids. */
#ifndef UNPARK_TARGET_ELF_H
#define UNPARK_TARGET_ELF_H

#include "base/vector.h"
#include "target/target.h"

enum { TARGET_ELF_ID_MAX = 255 };

/* A build id; size 0: none. */
struct target_elf_id {
    uint8_t bytes[TARGET_ELF_ID_MAX + 1]; /* NUL behind */
    size_t size;
};

/* One PT_LOAD. */
struct target_elf_segment {
    uint64_t offset;
    uint64_t address;
    uint64_t file_size;
    bool writable;
    bool executable;
};

/* The first bytes of an ELF file, decoded. */
struct target_elf {
    enum target_machine machine;
    bool fixed; /* ET_EXEC: loaded where it says */
    uint64_t entry;
    uint64_t headers; /* file offset of the program headers */
    VECTOR(struct target_elf_segment) segments;
    struct target_elf_id gnu; /* NT_GNU_BUILD_ID */
    struct target_elf_id go;  /* Go's build id note */
};

/* Decodes the first SIZE bytes of a file at BYTES; notes beyond them are unknown. ERROR_CORRUPT and
 * ERROR_UNSUPPORTED as target_machine_of_elf. target_elf_deinit afterwards, also on error. */
NODISCARD struct error *target_elf_init(struct target_elf *elf, const uint8_t *bytes, size_t size);

/* Reads the head of the file DESCRIPTOR and decodes it. */
NODISCARD struct error *target_elf_init_file(struct target_elf *elf, int descriptor);

/* Frees what init allocated. */
void target_elf_deinit(struct target_elf *elf);

/* How two files compare by their ids. */
enum target_elf_match { TARGET_ELF_UNKNOWN, TARGET_ELF_SAME, TARGET_ELF_DIFFERENT };
enum target_elf_match target_elf_compare(const struct target_elf *left,
                                         const struct target_elf *right);

/* The id of ELF as text for people: GNU hex, or Go's id, escaped; "" when none. */
NODISCARD struct error *target_elf_id_text(const struct target_elf *elf, char **ret);

/* Where ELF was loaded when its program headers are at HEADERS (AT_PHDR; 0 unknown, which a file
 * linked to a fixed place can do without): *BIAS is how far from where it was linked, *BASE where
 * its offset 0 is. False when that cannot be. */
bool target_elf_bias(const struct target_elf *elf, uint64_t headers, uint64_t *bias,
                     uint64_t *base);

#endif
