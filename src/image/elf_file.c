/* ELF64, little-endian (System V ABI, chapter 4 and 5; gabi notes). Trusted as far as: header and
 * program headers are inside the file. Sections are a convenience that strip tools may remove or
 * damage: each is checked when it is used and skipped when it points outside. */
#include "image/elf_file.h"

#include <string.h>

/* More headers than any real file has; bounds the loops. */
enum { ELF_FILE_SEGMENTS_MAX = 4096, ELF_FILE_NOTES_MAX = 4096 };

/* True when SIZE bytes at OFFSET are inside BYTES. */
static bool elf_file_holds(struct image_bytes bytes, uint64_t offset, uint64_t size)
{
    return offset <= bytes.size && size <= bytes.size - offset;
}

/* Section header INDEX. */
static Elf64_Shdr elf_file_section(const struct elf_file *file, size_t index)
{
    Elf64_Shdr section;
    memcpy(&section, file->bytes.data + file->sections + index * sizeof section, sizeof section);
    return section;
}

/* Notes the section headers in FILE when they are sane. */
static void elf_file_init_sections(struct elf_file *file, const Elf64_Ehdr *header)
{
    size_t count = header->e_shnum;
    if (header->e_shentsize != sizeof(Elf64_Shdr) || count == 0 || header->e_shstrndx >= count ||
        !elf_file_holds(file->bytes, header->e_shoff, count * sizeof(Elf64_Shdr))) {
        return;
    }
    file->sections = header->e_shoff;
    file->section_count = count;
    Elf64_Shdr names = elf_file_section(file, header->e_shstrndx);
    file->section_names = elf_file_section_bytes(file, &names);
    if (file->section_names.size == 0) {
        file->section_count = 0;
    }
}

/* Checks the header and notes where the tables are. */
struct error *elf_file_init(struct elf_file *file, struct image_bytes bytes)
{
    *file = (struct elf_file){.bytes = bytes};
    if (bytes.size < EI_NIDENT || memcmp(bytes.data, ELFMAG, SELFMAG) != 0) {
        return error_create(ERROR_NOT_GO, "not an ELF file");
    }
    if (bytes.data[EI_CLASS] != ELFCLASS64) {
        return error_create(ERROR_UNSUPPORTED, "a 32-bit program: Unpark reads 64-bit ones");
    }
    if (bytes.data[EI_DATA] != ELFDATA2LSB) {
        return error_create(ERROR_UNSUPPORTED,
                            "a big-endian program: Unpark reads amd64 and arm64");
    }
    Elf64_Ehdr header;
    if (bytes.size < sizeof header) {
        return error_create(ERROR_CORRUPT, "ELF header: the file ends inside");
    }
    memcpy(&header, bytes.data, sizeof header);
    if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum > ELF_FILE_SEGMENTS_MAX ||
        !elf_file_holds(bytes, header.e_phoff, header.e_phnum * sizeof(Elf64_Phdr))) {
        return error_create(ERROR_CORRUPT, "ELF header: program headers are outside the file");
    }
    file->machine = header.e_machine;
    file->segments = header.e_phoff;
    file->segment_count = header.e_phnum;
    elf_file_init_sections(file, &header);
    return NULL;
}

/* Copies the header out, for alignment. */
Elf64_Phdr elf_file_segment(const struct elf_file *file, size_t index)
{
    Elf64_Phdr segment;
    memcpy(&segment, file->bytes.data + file->segments + index * sizeof segment, sizeof segment);
    return segment;
}

/* Empty when the section has no bytes or points outside. */
struct image_bytes elf_file_section_bytes(const struct elf_file *file, const Elf64_Shdr *section)
{
    if (section->sh_type == SHT_NOBITS ||
        !elf_file_holds(file->bytes, section->sh_offset, section->sh_size)) {
        return (struct image_bytes){NULL, 0};
    }
    return (struct image_bytes){file->bytes.data + section->sh_offset, section->sh_size};
}

/* Empty when the segment has no bytes or points outside; cut at the end of the file. */
struct image_bytes elf_file_segment_bytes(const struct elf_file *file, const Elf64_Phdr *segment)
{
    if (segment->p_offset >= file->bytes.size) {
        return (struct image_bytes){NULL, 0};
    }
    uint64_t left = file->bytes.size - segment->p_offset;
    uint64_t size = segment->p_filesz < left ? segment->p_filesz : left;
    return (struct image_bytes){file->bytes.data + segment->p_offset, size};
}

/* Linear: a file has a few dozen sections. */
bool elf_file_find_section(const struct elf_file *file, const char *name, Elf64_Shdr *ret)
{
    size_t size = strlen(name) + 1;
    for (size_t i = 0; i < file->section_count; i++) {
        Elf64_Shdr section = elf_file_section(file, i);
        if (elf_file_holds(file->section_names, section.sh_name, size) &&
            memcmp(file->section_names.data + section.sh_name, name, size) == 0 &&
            (section.sh_type == SHT_NOBITS ||
             elf_file_section_bytes(file, &section).data != NULL)) {
            *ret = section;
            return true;
        }
    }
    return false;
}

/* Linear, as above. */
bool elf_file_find_section_type(const struct elf_file *file, uint32_t type, Elf64_Shdr *ret)
{
    for (size_t i = 0; i < file->section_count; i++) {
        Elf64_Shdr section = elf_file_section(file, i);
        if (section.sh_type == type && elf_file_section_bytes(file, &section).data != NULL) {
            *ret = section;
            return true;
        }
    }
    return false;
}

/* The loadable segment that holds OFFSET. */
static bool elf_file_find_segment(const struct elf_file *file, uint64_t offset, Elf64_Phdr *ret)
{
    for (size_t i = 0; i < file->segment_count; i++) {
        Elf64_Phdr segment = elf_file_segment(file, i);
        if (segment.p_type == PT_LOAD && offset >= segment.p_offset &&
            offset - segment.p_offset < segment.p_filesz) {
            *ret = segment;
            return true;
        }
    }
    return false;
}

/* Unknown counts as writable, the safe side. */
bool elf_file_is_writable(const struct elf_file *file, uint64_t offset)
{
    Elf64_Phdr segment;
    return !elf_file_find_segment(file, offset, &segment) || (segment.p_flags & PF_W) != 0;
}

/* Offsets and addresses run in parallel inside a segment. */
bool elf_file_address(const struct elf_file *file, uint64_t offset, uint64_t *ret)
{
    Elf64_Phdr segment;
    if (!elf_file_find_segment(file, offset, &segment)) {
        return false;
    }
    *ret = segment.p_vaddr + (offset - segment.p_offset);
    return true;
}

/* The other direction. */
struct image_bytes elf_file_bytes_at(const struct elf_file *file, uint64_t address)
{
    for (size_t i = 0; i < file->segment_count; i++) {
        Elf64_Phdr segment = elf_file_segment(file, i);
        struct image_bytes bytes = elf_file_segment_bytes(file, &segment);
        if (segment.p_type == PT_LOAD && address >= segment.p_vaddr &&
            address - segment.p_vaddr < bytes.size) {
            uint64_t skipped = address - segment.p_vaddr;
            return (struct image_bytes){bytes.data + skipped, bytes.size - skipped};
        }
    }
    return (struct image_bytes){NULL, 0};
}

/* A size rounded up to the alignment of notes. */
static uint64_t elf_file_note_size(uint32_t size)
{
    return ((uint64_t)size + 3) & ~(uint64_t)3;
}

/* Looks through one run of notes. */
static bool elf_file_search_notes(struct image_bytes notes, const char *owner, uint32_t type,
                                  struct image_bytes *ret)
{
    size_t owner_size = strlen(owner) + 1;
    uint64_t at = 0;
    for (int i = 0; i < ELF_FILE_NOTES_MAX; i++) {
        Elf64_Nhdr note;
        if (!elf_file_holds(notes, at, sizeof note)) {
            return false;
        }
        memcpy(&note, notes.data + at, sizeof note);
        at += sizeof note;
        uint64_t descriptor = at + elf_file_note_size(note.n_namesz);
        if (!elf_file_holds(notes, at, note.n_namesz) ||
            !elf_file_holds(notes, descriptor, note.n_descsz)) {
            return false;
        }
        if (note.n_type == type && note.n_namesz >= owner_size && /* Go pads its owner with NULs */
            memcmp(notes.data + at, owner, owner_size) == 0) {
            *ret = (struct image_bytes){notes.data + descriptor, note.n_descsz};
            return true;
        }
        at = descriptor + elf_file_note_size(note.n_descsz);
    }
    return false;
}

/* Looks in every PT_NOTE. */
bool elf_file_find_note(const struct elf_file *file, const char *owner, uint32_t type,
                        struct image_bytes *ret)
{
    for (size_t i = 0; i < file->segment_count; i++) {
        Elf64_Phdr segment = elf_file_segment(file, i);
        if (segment.p_type == PT_NOTE &&
            elf_file_search_notes(elf_file_segment_bytes(file, &segment), owner, type, ret)) {
            return true;
        }
    }
    return false;
}
