/* Identification of an executable file alone, for lists of processes: the build info, or when that
 * is missing the marks of Go's linker (sections; a pclntab header when there are no section
 * headers). */
#include "base/bytes.h"
#include "base/cleanup.h"
#include "image/build_info.h"
#include "image/module.h"
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum {
    IMAGE_IDENTIFY_SEGMENTS_MAX = 16, /* searched for a header; real files have four to six */
    IMAGE_IDENTIFY_HEADER_SIZE = 72,
    IMAGE_IDENTIFY_NAMES_MAX = 4096 /* where funcnametab starts; linkers align it, to 96 */
};

/* True when a pclntab header of Go 1.18 or newer is at HEADER (IMAGE_IDENTIFY_HEADER_SIZE bytes):
 * its five offsets, from 32 on, ascend from behind it. */
static bool image_identify_is_header(const uint8_t *header)
{
    uint32_t magic = bytes_u32(header);
    if ((magic != MODULE_MAGIC_GO1_18 && magic != MODULE_MAGIC_GO1_20) || header[4] != 0 ||
        header[5] != 0 || (header[6] != 1 && header[6] != 4) || header[7] != sizeof(uint64_t) ||
        bytes_u64(header + 32) < IMAGE_IDENTIFY_HEADER_SIZE ||
        bytes_u64(header + 32) > IMAGE_IDENTIFY_NAMES_MAX) {
        return false;
    }
    for (size_t at = 40; at < IMAGE_IDENTIFY_HEADER_SIZE; at += sizeof(uint64_t)) {
        if (bytes_u64(header + at) <= bytes_u64(header + at - sizeof(uint64_t))) {
            return false;
        }
    }
    return true;
}

/* True when BYTES contain such a header, aligned as linkers do. */
static bool image_identify_search(struct image_bytes bytes)
{
    static const uint8_t middle[] = {0xff, 0xff, 0xff, 0, 0}; /* behind the magic's first byte */
    const uint8_t *position = bytes.data;
    size_t left = bytes.size;
    while (left > IMAGE_IDENTIFY_HEADER_SIZE) {
        const uint8_t *hit = memmem(position, left, middle, sizeof middle);
        if (hit == NULL) {
            return false;
        }
        left -= (size_t)(hit + 1 - position);
        position = hit + 1;
        size_t offset = (size_t)(hit - bytes.data);
        if (offset % 8 == 1 && bytes.size - offset >= IMAGE_IDENTIFY_HEADER_SIZE &&
            image_identify_is_header(hit - 1)) {
            return true;
        }
    }
    return false;
}

/* True when ELF is a Go program by other marks than its build info. */
static bool image_identify_has_marks(const struct elf_file *elf)
{
    static const char *const names[] = {".gopclntab", ".data.rel.ro.gopclntab", ".go.module"};
    Elf64_Shdr section;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (elf_file_find_section(elf, names[i], &section)) {
            return true;
        }
    }
    int searched = 0;
    for (size_t i = 0; elf->section_count == 0 && i < elf->segment_count; i++) {
        Elf64_Phdr segment = elf_file_segment(elf, i);
        if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) == 0 &&
            searched++ < IMAGE_IDENTIFY_SEGMENTS_MAX &&
            image_identify_search(elf_file_segment_bytes(elf, &segment))) {
            return true;
        }
    }
    return false;
}

/* Identifies the file whose bytes are BYTES. */
static struct error *image_identify_bytes(struct image_bytes bytes, struct image_build_info *ret,
                                          char **storage)
{
    struct elf_file elf;
    struct error *error = elf_file_init(&elf, bytes);
    if (error_catch(&error, ERROR_CORRUPT)) {
        return error_create(ERROR_NOT_GO, "a broken ELF file");
    }
    TRY(error);
    error = build_info_read(&elf, ret, storage);
    if (!error_catch(&error, ERROR_NOT_FOUND) && !error_catch(&error, ERROR_CORRUPT)) {
        return error;
    }
    if (image_identify_has_marks(&elf)) {
        return build_info_create_unknown("", 0, ret, storage);
    }
    return error_create(ERROR_NOT_GO, "not a Go program");
}

/* The file is only mapped while it is looked at. */
struct error *image_identify_file(int descriptor, struct image_build_info *ret, char **storage)
{
    struct stat status;
    if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size <= 0) {
        return error_create(ERROR_NOT_GO, "not a regular file with content");
    }
    size_t size = (size_t)status.st_size;
    void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (bytes == MAP_FAILED) {
        return error_create(ERROR_IO, "an executable of %zu bytes cannot be mapped", size);
    }
    struct error *error = image_identify_bytes((struct image_bytes){bytes, size}, ret, storage);
    munmap(bytes, size);
    return error;
}
