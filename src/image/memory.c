#include "image/memory.h"

#include "base/cleanup.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Bounds on what hostile tables can make us allocate, and the piece in which memory is walked. */
#define MEMORY_LOAD_MAX ((uint64_t)1 << 30)
enum { MEMORY_PIECE = 1 << 20, MEMORY_PAGE = 4096 };

/* The file that MAPPING shows, added when new; MEMORY_NO_FILE for anonymous memory. Devices count
 * as anonymous, too: opening one can have effects. */
static struct error *memory_add_file(struct memory *memory, const struct target_mapping *mapping,
                                     size_t *ret)
{
    *ret = MEMORY_NO_FILE;
    if (mapping->path == NULL || mapping->path[0] != '/' ||
        strncmp(mapping->path, "/dev/", strlen("/dev/")) == 0) {
        return NULL;
    }
    for (size_t i = memory->files.count; i > 0; i--) {
        const struct memory_file *file = &memory->files.items[i - 1];
        if (file->inode == mapping->inode && file->device == mapping->device &&
            file->deleted == mapping->deleted && strcmp(file->path, mapping->path) == 0) {
            *ret = i - 1;
            return NULL;
        }
    }
    struct memory_file file = {
        .inode = mapping->inode,
        .device = mapping->device,
        .deleted = mapping->deleted,
    };
    TRY(vector_reserve(&memory->files, memory->files.count + 1));
    file.path = strdup(mapping->path);
    if (file.path == NULL) {
        return error_no_memory();
    }
    *ret = memory->files.count;
    memory->files.items[memory->files.count++] = file;
    return NULL;
}

/* Files are only listed here. */
struct error *memory_init(struct memory *memory, struct target *target)
{
    *memory = (struct memory){.target = target};
    size_t count;
    const struct target_mapping *mappings = target_mappings(target, &count);
    for (size_t i = 0; i < count; i++) {
        struct memory_region region = {
            .start = mappings[i].start,
            .end = mappings[i].end,
            .file_offset = mappings[i].file_offset,
            .permissions = mappings[i].permissions,
        };
        TRY(memory_add_file(memory, &mappings[i], &region.file));
        TRY(vector_append(&memory->regions, region));
    }
    return NULL;
}

/* Unmaps and frees. */
void memory_deinit(struct memory *memory)
{
    for (size_t i = 0; i < memory->files.count; i++) {
        struct memory_file *file = &memory->files.items[i];
        if (file->elf.bytes.data != NULL) {
            munmap((void *)(uintptr_t)file->elf.bytes.data, file->elf.bytes.size);
        }
        free(file->path);
    }
    for (size_t i = 0; i < memory->blocks.count; i++) {
        free(memory->blocks.items[i]);
    }
    vector_deinit(&memory->files);
    vector_deinit(&memory->blocks);
    vector_deinit(&memory->regions);
}

/* Maps the file open at DESCRIPTOR and reads its headers. */
static void memory_map_file(struct memory *memory, struct memory_file *file, int descriptor)
{
    struct stat status;
    if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size <= 0) {
        return;
    }
    size_t size = (size_t)status.st_size;
    void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (bytes == MAP_FAILED) {
        return;
    }
    struct error *error = elf_file_init(&file->elf, (struct image_bytes){bytes, size});
    if (error == NULL) {
        file->state = MEMORY_FILE_ELF;
        return;
    }
    memory->exhausted |= error_code(error) == ERROR_OUT_OF_MEMORY;
    error_destroy(error);
    munmap(bytes, size);
    file->elf = (struct elf_file){0};
    file->state = MEMORY_FILE_OTHER;
}

/* A file that cannot be opened is no failure: its memory is read instead. Only the want of memory
 * of our own is noted, as it would change the result. */
bool memory_open_file(struct memory *memory, size_t index)
{
    struct memory_file *file = &memory->files.items[index];
    if (file->state != MEMORY_FILE_UNTRIED) {
        return file->state == MEMORY_FILE_ELF;
    }
    file->state = MEMORY_FILE_UNREADABLE;
    size_t region = 0;
    while (memory->regions.items[region].file != index) { /* every file has one */
        region++;
    }
    const struct target_mapping *mapping =
        target_find_mapping(memory->target, memory->regions.items[region].start);
    if (mapping == NULL) {
        return false;
    }
    CLEANUP_CLOSE int descriptor = -1;
    struct error *error = target_open_file(memory->target, mapping, &descriptor);
    if (error != NULL) {
        memory->exhausted |= error_code(error) == ERROR_OUT_OF_MEMORY;
        error_destroy(error);
        return false;
    }
    memory_map_file(memory, file, descriptor);
    return file->state == MEMORY_FILE_ELF;
}

/* Binary search. */
const struct memory_region *memory_find_region(const struct memory *memory, uint64_t address)
{
    size_t low = 0;
    size_t high = memory->regions.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct memory_region *region = &memory->regions.items[middle];
        if (address < region->start) {
            high = middle;
        } else if (address >= region->end) {
            low = middle + 1;
        } else {
            return region;
        }
    }
    return NULL;
}

/* Regions are sorted: the next one is beside. */
uint64_t memory_extent(const struct memory *memory, uint64_t address)
{
    const struct memory_region *region = memory_find_region(memory, address);
    const struct memory_region *last = memory->regions.items + memory->regions.count;
    uint64_t end = address;
    while (region != NULL && region < last && (region->permissions & TARGET_PERMISSION_READ) != 0 &&
           (end == address || region->start == end)) {
        end = region->end;
        region++;
    }
    return end - address;
}

/* Also false when ADDRESS + SIZE wraps. */
bool memory_holds(const struct memory *memory, uint64_t address, uint64_t size)
{
    return memory_extent(memory, address) >= size;
}

/* The bytes of [ADDRESS, ADDRESS+SIZE) in a mapped file, or NULL when memory must be asked. */
static const uint8_t *memory_file_bytes(struct memory *memory, uint64_t address, uint64_t size,
                                        enum memory_trust trust)
{
    const struct memory_region *region = memory_find_region(memory, address);
    if (region == NULL || region->file == MEMORY_NO_FILE || size > region->end - address ||
        (region->permissions & TARGET_PERMISSION_WRITE) != 0 ||
        !memory_open_file(memory, region->file)) {
        return NULL;
    }
    const struct elf_file *elf = &memory->files.items[region->file].elf;
    uint64_t offset = region->file_offset + (address - region->start);
    if (offset > elf->bytes.size || size > elf->bytes.size - offset ||
        (trust == MEMORY_TRUST_STATIC && elf_file_is_writable(elf, offset))) {
        return NULL;
    }
    return elf->bytes.data + offset;
}

/* The block is kept for memory_deinit. */
struct error *memory_load(struct memory *memory, uint64_t address, uint64_t size,
                          enum memory_trust trust, struct image_bytes *ret)
{
    const uint8_t *bytes = memory_file_bytes(memory, address, size, trust);
    if (bytes != NULL) {
        *ret = (struct image_bytes){bytes, size};
        return NULL;
    }
    if (!memory_holds(memory, address, size)) {
        return error_fault(address, "Go tables");
    }
    if (size > MEMORY_LOAD_MAX) {
        return error_create(ERROR_LIMIT, "Go tables of more than 1 GiB");
    }
    TRY(vector_reserve(&memory->blocks, memory->blocks.count + 1));
    CLEANUP_FREE void *block = malloc(size > 0 ? size : 1);
    if (block == NULL) {
        return error_no_memory();
    }
    TRY(target_read(memory->target, address, block, size));
    *ret = (struct image_bytes){block, size};
    memory->blocks.items[memory->blocks.count++] = TAKE(block);
    return NULL;
}

/* Behind the end of the file a region has nothing but zeros or faults. */
struct error *memory_load_rest(struct memory *memory, uint64_t address, enum memory_trust trust,
                               struct image_bytes *ret)
{
    const struct memory_region *region = memory_find_region(memory, address);
    if (region == NULL) {
        return error_fault(address, "Go tables");
    }
    uint64_t size = region->end - address;
    if (region->file != MEMORY_NO_FILE && memory_open_file(memory, region->file)) {
        uint64_t offset = region->file_offset + (address - region->start);
        uint64_t whole = memory->files.items[region->file].elf.bytes.size;
        if (offset < whole && size > whole - offset) {
            size = whole - offset;
        }
    }
    return memory_load(memory, address, size, trust, ret);
}

/* A copy either way. */
struct error *memory_read(struct memory *memory, uint64_t address, void *destination, size_t size)
{
    const uint8_t *bytes = memory_file_bytes(memory, address, size, MEMORY_TRUST_STATIC);
    if (bytes != NULL) {
        memcpy(destination, bytes, size);
        return NULL;
    }
    return target_read(memory->target, address, destination, size);
}

/* The load bias follows from any region that shows the start of a loadable segment. */
bool memory_runtime_address(const struct memory *memory, size_t index, uint64_t address,
                            uint64_t *ret)
{
    const struct elf_file *elf = &memory->files.items[index].elf;
    for (size_t i = 0; i < memory->regions.count; i++) {
        const struct memory_region *region = &memory->regions.items[i];
        for (size_t s = 0; region->file == index && s < elf->segment_count; s++) {
            Elf64_Phdr segment = elf_file_segment(elf, s);
            bool executable = (region->permissions & TARGET_PERMISSION_EXECUTE) != 0;
            if (segment.p_type == PT_LOAD && executable == ((segment.p_flags & PF_X) != 0) &&
                segment.p_offset >= region->file_offset &&
                segment.p_offset - region->file_offset < region->end - region->start) {
                uint64_t start = region->start + (segment.p_offset - region->file_offset);
                *ret = start - segment.p_vaddr + address;
                return true;
            }
        }
    }
    return false;
}

/* Reads what is readable of a piece: whole, or page by page. */
static struct error *memory_walk_piece(struct memory *memory, uint64_t address, uint8_t *piece,
                                       size_t size, memory_visitor *visitor, void *context,
                                       bool *ended)
{
    for (size_t at = 0; at < size && !*ended;) {
        struct target_range range = {
            .address = address + at,
            .size = size - at,
            .destination = piece + at,
        };
        TRY(target_read_ranges(memory->target, &range, 1));
        if (range.done > 0) {
            *ended = visitor(context, range.address, range.destination, range.done);
        }
        at += range.done;
        if (at < size) { /* stopped at an unreadable page: go on behind it */
            at += MEMORY_PAGE - (address + at) % MEMORY_PAGE;
        }
    }
    return NULL;
}

/* Pieces overlap so that nothing is missed at their borders. */
struct error *memory_walk(struct memory *memory, uint64_t start, uint64_t end, size_t overlap,
                          memory_visitor *visitor, void *context)
{
    uint64_t room = start < end && end - start < MEMORY_PIECE ? end - start : MEMORY_PIECE;
    CLEANUP_FREE uint8_t *piece = malloc(room);
    if (piece == NULL) {
        return error_no_memory();
    }
    bool ended = false;
    while (start < end && !ended) {
        uint64_t left = end - start;
        size_t size = left < MEMORY_PIECE ? (size_t)left : MEMORY_PIECE;
        TRY(memory_walk_piece(memory, start, piece, size, visitor, context, &ended));
        if (size == left) {
            break;
        }
        start += size - overlap;
    }
    return NULL;
}
