/* moduledata is where the runtime itself starts from: a structure in writable memory whose first
 * word points to the pclntab header and whose slices point to the tables behind it. Only writable
 * data is searched for it (a few MiB even in large programs), never the text. Section .go.module
 * (Go 1.26 and newer) is a shortcut, believed only when its content is right. */
#include "image/image_find.h"

#include <string.h>

enum {
    IMAGE_FIND_OVERLAP = MODULE_WORDS * 8,
    IMAGE_FIND_DATA_MAX = 1 << 30,             /* of one mapping of a file that is searched */
    IMAGE_FIND_ANONYMOUS_MAX = 64 << 20,       /* of one mapping without a file */
    IMAGE_FIND_ANONYMOUS_TOTAL_MAX = 256 << 20 /* of all of those */
};

/* A search in progress. */
struct image_find {
    struct memory *memory;
    struct image_found *found;
    struct error *error; /* of a visit */
    bool hit;            /* the current file or region has its module */
};

/* By path: a live target knows its executable, a core mostly. */
size_t image_find_executable(const struct memory *memory)
{
    const char *path = target_executable(memory->target);
    for (size_t i = 0; i < memory->files.count; i++) {
        if (path[0] != '\0' && strcmp(memory->files.items[i].path, path) == 0) {
            return i;
        }
    }
    return MEMORY_NO_FILE;
}

/* Takes the moduledata candidate at ADDRESS into the result. */
static struct error *image_find_take(struct image_find *find, uint64_t address)
{
    enum module_kind kind;
    uint32_t magic;
    TRY(module_examine(find->memory, address, &kind, &magic));
    if (kind == MODULE_KIND_CURRENT) {
        if (find->found->modules.count == 0) {
            find->found->magic = magic;
        }
        TRY(vector_append(&find->found->modules, address));
        find->hit = true;
    }
    find->found->old |= kind == MODULE_KIND_OLD;
    find->found->altered |= kind == MODULE_KIND_ALTERED;
    find->found->foreign |= kind == MODULE_KIND_FOREIGN;
    return NULL;
}

/* Looks at every aligned word of a piece of memory. */
static bool image_find_visit(void *context, uint64_t address, const uint8_t *bytes, size_t size)
{
    struct image_find *find = context;
    size_t start = (size_t)(-address % sizeof(uint64_t));
    for (size_t i = start; i + IMAGE_FIND_OVERLAP <= size; i += sizeof(uint64_t)) {
        if (module_looks_right(bytes + i)) {
            find->error = image_find_take(find, address + i);
            if (find->error != NULL || find->hit) {
                return true;
            }
        }
    }
    return false;
}

/* Searches one region. */
static struct error *image_find_region(struct image_find *find, const struct memory_region *region)
{
    TRY(memory_walk(find->memory, region->start, region->end, IMAGE_FIND_OVERLAP, image_find_visit,
                    find));
    return find->error;
}

/* Searches the regions of file INDEX: those that can be written now, or (RELOCATED) those that
 * could be once. */
static struct error *image_find_regions(struct image_find *find, size_t index, bool relocated)
{
    struct memory *memory = find->memory;
    for (size_t i = 0; i < memory->regions.count && !find->hit; i++) {
        struct memory_region region = memory->regions.items[i];
        if (region.file != index || (region.permissions & TARGET_PERMISSION_READ) == 0 ||
            region.end - region.start > IMAGE_FIND_DATA_MAX) {
            continue;
        }
        bool writable = (region.permissions & TARGET_PERMISSION_WRITE) != 0;
        bool once = !writable && memory_open_file(memory, index) &&
                    elf_file_is_writable(&memory->files.items[index].elf, region.file_offset);
        if (relocated ? once : writable) {
            TRY(image_find_region(find, &region));
        }
    }
    return NULL;
}

/* True when section headers show that file INDEX holds no Go code. */
static bool image_find_excludes(const struct elf_file *elf)
{
    static const char *const names[] = {".gopclntab", ".data.rel.ro.gopclntab", ".go.buildinfo",
                                        ".go.module"};
    Elf64_Shdr section;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (elf_file_find_section(elf, names[i], &section)) {
            return false;
        }
    }
    return elf->section_count > 0;
}

/* Searches one file of the target. */
static struct error *image_find_file(struct image_find *find, size_t index, bool executable)
{
    find->hit = false;
    if (memory_open_file(find->memory, index)) {
        const struct elf_file *elf = &find->memory->files.items[index].elf;
        Elf64_Shdr section;
        uint64_t address;
        if (!executable && image_find_excludes(elf)) {
            return NULL;
        }
        if (elf_file_find_section(elf, ".go.module", &section) &&
            memory_runtime_address(find->memory, index, section.sh_addr, &address)) {
            TRY(image_find_take(find, address));
        }
    } else if (find->memory->files.items[index].state == MEMORY_FILE_OTHER) {
        return NULL; /* a program's data, of any size */
    }
    TRY(image_find_regions(find, index, false));
    return image_find_regions(find, index, true);
}

/* True when REGION is writable memory with no executable file behind it. */
static bool image_find_is_anonymous(const struct memory *memory, const struct memory_region *region)
{
    const uint32_t wanted = TARGET_PERMISSION_READ | TARGET_PERMISSION_WRITE;
    return (region->permissions & wanted) == wanted &&
           (region->file == MEMORY_NO_FILE ||
            (memory->files.items[region->file].state == MEMORY_FILE_OTHER &&
             strncmp(memory->files.items[region->file].path, "/memfd:", strlen("/memfd:")) == 0));
}

/* Searches such memory, for programs that a packer unpacked there. */
static struct error *image_find_anonymous(struct image_find *find)
{
    uint64_t total = 0;
    find->hit = false;
    for (size_t i = 0; i < find->memory->regions.count && !find->hit; i++) {
        struct memory_region region = find->memory->regions.items[i];
        uint64_t size = region.end - region.start;
        if (image_find_is_anonymous(find->memory, &region) && size <= IMAGE_FIND_ANONYMOUS_MAX &&
            total + size <= IMAGE_FIND_ANONYMOUS_TOTAL_MAX) {
            total += size;
            TRY(image_find_region(find, &region));
        }
    }
    return NULL;
}

/* The executable first, so that its module is the first. */
struct error *image_find_modules(struct memory *memory, struct image_found *found)
{
    struct image_find find = {.memory = memory, .found = found};
    size_t executable = image_find_executable(memory);
    bool packed = true;
    if (executable != MEMORY_NO_FILE) {
        TRY(image_find_file(&find, executable, true));
        packed = !memory_open_file(memory, executable) ||
                 memory->files.items[executable].elf.section_count == 0;
    }
    for (size_t i = 0; i < memory->files.count; i++) {
        if (i != executable) {
            TRY(image_find_file(&find, i, false));
        }
    }
    if (found->modules.count == 0 && packed) {
        TRY(image_find_anonymous(&find));
    }
    return NULL;
}
