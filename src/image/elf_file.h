/* The parts of an ELF64 file that Unpark needs: program headers, sections by name, notes. */
#ifndef UNPARK_IMAGE_ELF_FILE_H
#define UNPARK_IMAGE_ELF_FILE_H

#include "base/error.h"
#include "image/image.h"
#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Views into the bytes of one file, which stay the caller's. Every range was checked. */
struct elf_file {
    struct image_bytes bytes; /* the whole file */
    uint16_t machine;         /* EM_X86_64, EM_AARCH64, ... */
    uint64_t segments;        /* offset of the program headers, all inside the file */
    size_t segment_count;
    uint64_t sections; /* offset of the section headers, all inside the file */
    size_t section_count;
    struct image_bytes section_names;
};

/* Reads the headers of BYTES. ERROR_NOT_GO when they are no ELF file, ERROR_UNSUPPORTED for a
 * 32-bit or big-endian one, ERROR_CORRUPT when the program headers are outside. Section headers
 * that are absent or broken count as none. */
NODISCARD struct error *elf_file_init(struct elf_file *file, struct image_bytes bytes);

/* Program header INDEX (below segment_count). */
Elf64_Phdr elf_file_segment(const struct elf_file *file, size_t index);

/* The section called NAME, whose bytes (unless SHT_NOBITS) are inside the file; false when none is.
 */
bool elf_file_find_section(const struct elf_file *file, const char *name, Elf64_Shdr *ret);

/* The first section of TYPE (SHT_SYMTAB, ...), under the same conditions. */
bool elf_file_find_section_type(const struct elf_file *file, uint32_t type, Elf64_Shdr *ret);

/* The bytes of SECTION in the file. */
struct image_bytes elf_file_section_bytes(const struct elf_file *file, const Elf64_Shdr *section);

/* The bytes of SEGMENT that are in the file. */
struct image_bytes elf_file_segment_bytes(const struct elf_file *file, const Elf64_Phdr *segment);

/* True when the loadable segment that holds file offset OFFSET may be written to by the program, so
 * that memory can differ from the file (relocations, data). Also true when no segment holds it. */
bool elf_file_is_writable(const struct elf_file *file, uint64_t offset);

/* The link-time address of file offset OFFSET; false when no loadable segment holds it. */
bool elf_file_address(const struct elf_file *file, uint64_t offset, uint64_t *ret);

/* The bytes of the file from link-time ADDRESS to the end of its segment; empty when there are
 * none. */
struct image_bytes elf_file_bytes_at(const struct elf_file *file, uint64_t address);

/* The descriptor of the note of OWNER and TYPE; false when there is none. */
bool elf_file_find_note(const struct elf_file *file, const char *owner, uint32_t type,
                        struct image_bytes *ret);

#endif
