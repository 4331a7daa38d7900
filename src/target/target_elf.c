/* ELF64 little-endian (gABI chapters 4 and 5): header, program headers, notes. A note is name size,
 * description size, type (4 bytes each), name and description, both padded to 4. Linkers put both
 * build ids into the first page, which the kernel dumps even where it leaves the rest of a file
 * out. */
#include "target/target_elf.h"

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/string_builder.h"
#include "target/target_internal.h"
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TARGET_ELF_HEAD = 64 << 10,     /* bytes of a file that are looked at */
    TARGET_ELF_SEGMENTS_MAX = 1024, /* program headers of an executable */
    TARGET_ELF_NOTES_MAX = 256,
    TARGET_ELF_NOTE_GO_BUILD_ID = 4 /* cmd/internal/buildid: ELF note "Go\0\0", type 4 */
};

void target_elf_deinit(struct target_elf *elf)
{
    vector_deinit(&elf->segments);
}

/* Keeps SIZE bytes at BYTES as ID when it has none yet. */
static void target_elf_keep(struct target_elf_id *id, const uint8_t *bytes, uint64_t size)
{
    if (id->size == 0 && size > 0 && size <= TARGET_ELF_ID_MAX) {
        memcpy(id->bytes, bytes, (size_t)size);
        id->size = (size_t)size;
    }
}

/* Reads one note at CURSOR into ELF. */
static struct error *target_elf_note(struct target_elf *elf, struct cursor *cursor)
{
    uint32_t name_size;
    uint32_t size;
    uint32_t type;
    const uint8_t *name;
    const uint8_t *bytes;
    TRY(cursor_u32(cursor, &name_size));
    TRY(cursor_u32(cursor, &size));
    TRY(cursor_u32(cursor, &type));
    TRY(cursor_bytes(cursor, ((uint64_t)name_size + 3) & ~(uint64_t)3, &name));
    TRY(cursor_bytes(cursor, size, &bytes));
    if (type == NT_GNU_BUILD_ID && name_size == 4 && memcmp(name, "GNU", 4) == 0) {
        target_elf_keep(&elf->gnu, bytes, size);
    }
    if (type == TARGET_ELF_NOTE_GO_BUILD_ID && name_size == 4 && memcmp(name, "Go\0", 4) == 0) {
        target_elf_keep(&elf->go, bytes, size);
    }
    uint64_t padding = (4 - size % 4) % 4;
    return cursor_skip(cursor, padding < cursor_left(cursor) ? padding : cursor_left(cursor));
}

/* Reads the notes of the SIZE bytes at OFFSET of the head, as far as they are there. */
static void target_elf_notes(struct target_elf *elf, const uint8_t *bytes, size_t have,
                             uint64_t offset, uint64_t size)
{
    if (offset >= have) {
        return;
    }
    struct cursor cursor;
    size_t left = have - (size_t)offset;
    cursor_init(&cursor, bytes + offset, size < left ? (size_t)size : left, "ELF notes", offset);
    for (int i = 0; i < TARGET_ELF_NOTES_MAX && cursor_left(&cursor) > 0; i++) {
        struct error *error = target_elf_note(elf, &cursor);
        if (error != NULL) {
            /* Cut off or broken: the ids stay unknown. */
            error_destroy(error);
            return;
        }
    }
}

/* Reads one program header at CURSOR. */
static struct error *target_elf_header(struct target_elf *elf, struct cursor *cursor,
                                       const uint8_t *bytes, size_t size)
{
    Elf64_Phdr header;
    const uint8_t *at;
    TRY(cursor_bytes(cursor, sizeof header, &at));
    memcpy(&header, at, sizeof header);
    if (header.p_type == PT_NOTE) {
        target_elf_notes(elf, bytes, size, header.p_offset, header.p_filesz);
    }
    if (header.p_type != PT_LOAD) {
        return NULL;
    }
    struct target_elf_segment segment = {.offset = header.p_offset,
                                         .address = header.p_vaddr,
                                         .file_size = header.p_filesz,
                                         .writable = (header.p_flags & PF_W) != 0,
                                         .executable = (header.p_flags & PF_X) != 0};
    return vector_append(&elf->segments, segment);
}

struct error *target_elf_init(struct target_elf *elf, const uint8_t *bytes, size_t size)
{
    memset(elf, 0, sizeof *elf);
    TRY(target_machine_of_elf(bytes, size, &elf->machine));
    Elf64_Ehdr header;
    memcpy(&header, bytes, sizeof header);
    elf->fixed = header.e_type == ET_EXEC;
    elf->entry = header.e_entry;
    elf->headers = header.e_phoff;
    if (header.e_type != ET_EXEC && header.e_type != ET_DYN) {
        return error_create(ERROR_CORRUPT, "not an executable or shared object");
    }
    if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum > TARGET_ELF_SEGMENTS_MAX) {
        return error_create(ERROR_CORRUPT, "absurd program headers");
    }
    struct cursor cursor;
    cursor_init(&cursor, bytes, size, "ELF program headers", 0);
    TRY(cursor_seek(&cursor, header.e_phoff));
    for (unsigned i = 0; i < header.e_phnum; i++) {
        TRY(target_elf_header(elf, &cursor, bytes, size));
    }
    return NULL;
}

struct error *target_elf_init_file(struct target_elf *elf, int descriptor)
{
    memset(elf, 0, sizeof *elf);
    CLEANUP_FREE uint8_t *bytes = malloc(TARGET_ELF_HEAD);
    if (bytes == NULL) {
        return error_no_memory();
    }
    size_t size = 0;
    while (size < TARGET_ELF_HEAD) {
        ssize_t got = pread(descriptor, bytes + size, TARGET_ELF_HEAD - size, (off_t)size);
        if (got < 0 && errno != EINTR) {
            return error_errno(errno, "cannot read the file");
        }
        if (got == 0) {
            break;
        }
        size += got > 0 ? (size_t)got : 0;
    }
    return target_elf_init(elf, bytes, size);
}

/* Compares two ids. */
static enum target_elf_match target_elf_compare_ids(const struct target_elf_id *left,
                                                    const struct target_elf_id *right)
{
    if (left->size == 0 || right->size == 0) {
        return TARGET_ELF_UNKNOWN;
    }
    return left->size == right->size && memcmp(left->bytes, right->bytes, left->size) == 0
               ? TARGET_ELF_SAME
               : TARGET_ELF_DIFFERENT;
}

enum target_elf_match target_elf_compare(const struct target_elf *left,
                                         const struct target_elf *right)
{
    enum target_elf_match gnu = target_elf_compare_ids(&left->gnu, &right->gnu);
    enum target_elf_match go = target_elf_compare_ids(&left->go, &right->go);
    if (gnu == TARGET_ELF_DIFFERENT || go == TARGET_ELF_DIFFERENT) {
        return TARGET_ELF_DIFFERENT;
    }
    return gnu == TARGET_ELF_SAME || go == TARGET_ELF_SAME ? TARGET_ELF_SAME : TARGET_ELF_UNKNOWN;
}

struct error *target_elf_id_text(const struct target_elf *elf, char **ret)
{
    CLEANUP(string_builder_deinit) struct string_builder builder = {0};
    for (size_t i = 0; i < elf->gnu.size; i++) {
        string_builder_format(&builder, "%02x", elf->gnu.bytes[i]);
    }
    if (elf->gnu.size == 0) {
        string_builder_add_escaped(&builder, (const char *)elf->go.bytes, elf->go.size);
    }
    return string_builder_take(&builder, ret);
}

bool target_elf_bias(const struct target_elf *elf, uint64_t headers, uint64_t *bias, uint64_t *base)
{
    for (size_t i = 0; i < elf->segments.count; i++) {
        const struct target_elf_segment *segment = &elf->segments.items[i];
        if (segment->offset <= elf->headers &&
            elf->headers - segment->offset < segment->file_size) {
            uint64_t linked = segment->address + (elf->headers - segment->offset);
            *bias = headers == 0 ? 0 : headers - linked;
            *base = linked + *bias - elf->headers;
            return elf->fixed ? *bias == 0 : headers != 0 && *bias % 4096 == 0;
        }
    }
    return false;
}
