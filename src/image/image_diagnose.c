#include "image/image_diagnose.h"

#include "base/cleanup.h"
#include "base/string_builder.h"
#include <string.h>

enum { IMAGE_DIAGNOSE_SEARCH_MAX = 64 << 20 /* bytes of a file searched for hints */ };

/* VERSION made fit for a message. */
static void image_diagnose_add_version(struct string_builder *text, const char *version)
{
    size_t size = strlen(version);
    string_builder_add_escaped(text, version, size < 64 ? size : 64);
}

/* Older, newer, or not a release number at all. */
struct error *image_diagnose_release(const struct memory *memory, int minor, const char *version)
{
    if (minor >= LAYOUT_MINOR_MIN && minor <= LAYOUT_MINOR_MAX) {
        return NULL;
    }
    CLEANUP(string_builder_deinit) struct string_builder text = {0};
    image_diagnose_add_version(&text, version);
    const char *name = target_name(memory->target);
    if (minor == LAYOUT_ABSENT) {
        return error_create(
            ERROR_UNSUPPORTED,
            "%s: built with \"%s\", which names no Go release: Unpark reads Go 1.%d "
            "to 1.%d",
            name, string_builder_text(&text), LAYOUT_MINOR_MIN, LAYOUT_MINOR_MAX);
    }
    if (minor < LAYOUT_MINOR_MIN) {
        return error_create(ERROR_UNSUPPORTED, "%s: built with %s: Unpark reads Go 1.%d and newer",
                            name, string_builder_text(&text), LAYOUT_MINOR_MIN);
    }
    return error_create(ERROR_UNSUPPORTED,
                        "%s: built with %s, newer than this Unpark knows (up to Go 1.%d)", name,
                        string_builder_text(&text), LAYOUT_MINOR_MAX);
}

/* True when the bytes of section NAME of ELF, or any section of TYPE, contain TEXT. */
static bool image_diagnose_contains(const struct elf_file *elf, const char *section_name,
                                    const char *text)
{
    Elf64_Shdr section;
    if (!elf_file_find_section(elf, section_name, &section)) {
        return false;
    }
    struct image_bytes bytes = elf_file_section_bytes(elf, &section);
    size_t size = bytes.size < IMAGE_DIAGNOSE_SEARCH_MAX ? bytes.size : IMAGE_DIAGNOSE_SEARCH_MAX;
    return size > 0 && memmem(bytes.data, size, text, strlen(text)) != NULL;
}

/* True when a symbol of ELF contains TEXT. */
static bool image_diagnose_has_symbol(const struct elf_file *elf, const char *text)
{
    return image_diagnose_contains(elf, ".strtab", text) ||
           image_diagnose_contains(elf, ".dynstr", text);
}

/* True when gccgo's library is mapped or its marks are in ELF (may be NULL). */
static bool image_diagnose_is_gccgo(const struct memory *memory, const struct elf_file *elf)
{
    for (size_t i = 0; i < memory->files.count; i++) {
        const char *path = memory->files.items[i].path;
        const char *name = strrchr(path, '/');
        if (name != NULL && strncmp(name, "/libgo.so", strlen("/libgo.so")) == 0) {
            return true;
        }
    }
    Elf64_Shdr section;
    return elf != NULL && (elf_file_find_section(elf, ".go_export", &section) ||
                           image_diagnose_has_symbol(elf, "__go_init_main") ||
                           image_diagnose_has_symbol(elf, "runtime_go_allg"));
}

/* True when a pclntab header of Go 1.2 to 1.15 is in read-only data of ELF. */
static bool image_diagnose_is_ancient(const struct elf_file *elf)
{
    static const uint8_t magic[] = {0xfb, 0xff, 0xff, 0xff, 0, 0};
    for (size_t i = 0; i < elf->segment_count; i++) {
        Elf64_Phdr segment = elf_file_segment(elf, i);
        struct image_bytes bytes = elf_file_segment_bytes(elf, &segment);
        const uint8_t *start = bytes.data;
        size_t left =
            bytes.size < IMAGE_DIAGNOSE_SEARCH_MAX ? bytes.size : IMAGE_DIAGNOSE_SEARCH_MAX;
        while (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) == 0 && left > sizeof magic) {
            const uint8_t *hit = memmem(start, left, magic, sizeof magic);
            if (hit == NULL || left - (size_t)(hit - start) < 8) {
                break;
            }
            uint64_t address = segment.p_vaddr + (uint64_t)(hit - bytes.data);
            if (address % 8 == 0 && (hit[6] == 1 || hit[6] == 4) && hit[7] == 8) {
                return true;
            }
            left -= (size_t)(hit + 1 - start);
            start = hit + 1;
        }
    }
    return false;
}

/* What a Go compiler left in it, if any did. */
static struct error *image_diagnose_compiler(const struct memory *memory, const char *name,
                                             const struct elf_file *elf)
{
    if (image_diagnose_is_gccgo(memory, elf)) {
        return error_create(ERROR_NOT_GO,
                            "%s: built with gccgo, whose runtime is another one: Unpark reads "
                            "programs built with the standard Go toolchain",
                            name);
    }
    if (elf != NULL && image_diagnose_has_symbol(elf, "tinygo_")) {
        return error_create(ERROR_NOT_GO,
                            "%s: built with TinyGo, whose runtime is another one: Unpark reads "
                            "programs built with the standard Go toolchain",
                            name);
    }
    if (elf != NULL && image_diagnose_is_ancient(elf)) {
        return error_create(ERROR_UNSUPPORTED,
                            "%s: built with Go 1.15 or older: Unpark reads Go 1.%d and newer", name,
                            LAYOUT_MINOR_MIN);
    }
    return error_create(ERROR_NOT_GO, "%s: not a Go program", name);
}

/* The strongest evidence first. */
struct error *image_diagnose(struct memory *memory, const struct image_found *found,
                             const struct image_build_info *build_info)
{
    const char *name = target_name(memory->target);
    size_t executable = image_find_executable(memory);
    const struct elf_file *elf = NULL;
    if (executable != MEMORY_NO_FILE && memory_open_file(memory, executable)) {
        elf = &memory->files.items[executable].elf;
    }
    if (build_info != NULL && build_info->go_version[0] != '\0') {
        const char *version = build_info->go_version;
        TRY(image_diagnose_release(memory, layout_parse_minor(version, strlen(version)), version));
    }
    if (found->old) {
        return error_create(ERROR_UNSUPPORTED,
                            "%s: built with Go 1.16 or 1.17: Unpark reads Go 1.%d and newer", name,
                            LAYOUT_MINOR_MIN);
    }
    if (found->foreign) {
        return error_create(ERROR_UNSUPPORTED,
                            "%s: its Go code is for another processor than the process runs on: "
                            "Unpark does not read emulated programs",
                            name);
    }
    if (found->altered) {
        return error_create(ERROR_NOT_GO,
                            "%s: a Go program whose function table was altered (garble?): its "
                            "functions cannot be read",
                            name);
    }
    if (build_info != NULL) {
        return error_create(ERROR_NOT_GO,
                            "%s: a Go program whose function table was not found (altered, packed, "
                            "or not by the standard Go toolchain)",
                            name);
    }
    return image_diagnose_compiler(memory, name, elf);
}
