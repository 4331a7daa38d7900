/* A core file (ELF64 little-endian, ET_CORE; gABI, fs/binfmt_elf.c). PT_LOADs hold memory, p_filesz
 * bytes of p_memsz: the kernel leaves out what files hold (coredump_filter, 0x33 by default), a
 * full disk or a limit cuts the end off. What is left out is not zero, it is unknown, unless the
 * file behind it is found and proved the same. More than 65,534 program headers: their number is in
 * section header 0. Invariants: loads keep the order of the file (later ones win); mappings are
 * sorted and disjoint. */
#include "target/target_core.h"

#include "base/cleanup.h"
#include "base/log.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TARGET_CORE_HEADERS_MAX = 4 << 20 /* program headers */ };

/* Releases what is not of the head. */
static void target_core_destroy(struct target *target)
{
    struct target_core *core = (struct target_core *)target;
    for (size_t i = 0; i < core->sources.count; i++) {
        close(core->sources.items[i].descriptor);
    }
    if (core->executable >= 0) {
        close(core->executable);
    }
    if (core->descriptor >= 0) {
        close(core->descriptor);
    }
    vector_deinit(&core->sources);
    vector_deinit(&core->loads);
    vector_deinit(&core->files);
    vector_deinit(&core->threads);
    target_space_deinit(&core->dumped);
    target_space_deinit(&core->space);
    free(core->file_text);
    free(core->path);
    free(core);
}

static struct error *target_core_read_ranges(struct target *target, struct target_range *ranges,
                                             size_t count)
{
    const struct target_core *core = (const struct target_core *)target;
    return error_wrap(target_space_read(&core->space, ranges, count), "%s", target->name);
}

static struct error *target_core_threads(struct target *target, struct target_thread **ret,
                                         size_t *count_ret)
{
    const struct target_core *core = (const struct target_core *)target;
    size_t count = core->threads.count;
    *ret = reallocarray(NULL, count + 1, sizeof **ret);
    if (*ret == NULL) {
        return error_no_memory();
    }
    if (count > 0) {
        memcpy(*ret, core->threads.items, count * sizeof **ret);
    }
    *count_ret = count;
    return NULL;
}

static struct error *target_core_open_file(struct target *target,
                                           const struct target_mapping *mapping, int *ret)
{
    const struct target_core *core = (const struct target_core *)target;
    int found = -1;
    if (core->executable >= 0 && mapping->path[0] != '\0' &&
        strcmp(mapping->path, target_executable(target)) == 0) {
        found = core->executable;
    }
    for (size_t i = 0; i < core->sources.count && found < 0; i++) {
        if (strcmp(mapping->path, core->sources.items[i].path) == 0) {
            found = core->sources.items[i].descriptor;
        }
    }
    if (found < 0) {
        return error_create(ERROR_NOT_FOUND, "the file behind the memory at 0x%llx is not at hand",
                            (unsigned long long)mapping->start);
    }
    int descriptor = fcntl(found, F_DUPFD_CLOEXEC, 0);
    if (descriptor < 0) {
        return error_errno(errno, "cannot duplicate a descriptor");
    }
    *ret = descriptor;
    return NULL;
}

static const struct target_operations target_core_operations = {
    .destroy = target_core_destroy,
    .read_ranges = target_core_read_ranges,
    .open_file = target_core_open_file,
    .threads = target_core_threads,
};

/* Reads SIZE bytes of the core file at OFFSET. */
static struct error *target_core_pread(const struct target_core *core, uint64_t offset,
                                       void *destination, size_t size)
{
    if (offset > core->size || size > core->size - offset) {
        return error_create(ERROR_CORRUPT, "%s is cut off before its program headers end",
                            core->head.name);
    }
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(core->descriptor, (uint8_t *)destination + done, size - done,
                            (off_t)(offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return error_errno(errno, "cannot read %s", core->head.name);
        }
        if (got == 0) {
            return error_create(ERROR_CORRUPT, "%s shrank while it was read", core->head.name);
        }
        done += (size_t)got;
    }
    return NULL;
}

/* Checks the header and finds the program headers. */
static struct error *target_core_header(struct target_core *core, Elf64_Ehdr *header,
                                        uint64_t *count_ret)
{
    uint8_t bytes[sizeof *header] = {0};
    size_t have = core->size < sizeof bytes ? (size_t)core->size : sizeof bytes;
    TRY(target_core_pread(core, 0, bytes, have));
    struct error *error = target_machine_of_elf(bytes, have, &core->head.machine);
    if (error_catch(&error, ERROR_CORRUPT)) {
        return error_create(ERROR_USAGE, "%s is no core file", core->path);
    }
    TRY(error_wrap(error, "%s", core->head.name));
    memcpy(header, bytes, sizeof *header);
    if (header->e_type != ET_CORE) {
        return error_create(ERROR_USAGE, "%s is an ELF file but no core", core->path);
    }
    if (header->e_phentsize != sizeof(Elf64_Phdr)) {
        return error_create(ERROR_CORRUPT, "%s has program headers of %u bytes", core->head.name,
                            header->e_phentsize);
    }
    *count_ret = header->e_phnum;
    if (header->e_phnum == PN_XNUM) {
        Elf64_Shdr section;
        TRY(target_core_pread(core, header->e_shoff, &section, sizeof section));
        *count_ret = section.sh_info;
    }
    return NULL;
}

/* Takes one program header: memory is noted, notes are read. */
static struct error *target_core_segment(struct target_core *core, const Elf64_Phdr *header)
{
    if (header->p_type == PT_NOTE) {
        return target_core_read_notes(core, header->p_offset, header->p_filesz);
    }
    if (header->p_type != PT_LOAD || header->p_memsz == 0 ||
        header->p_vaddr > UINT64_MAX - header->p_memsz) {
        return NULL;
    }
    struct target_core_load load = {
        .start = header->p_vaddr,
        .size = header->p_memsz,
        .file_size = header->p_filesz < header->p_memsz ? header->p_filesz : header->p_memsz,
        .offset = header->p_offset,
        .permissions = ((header->p_flags & PF_R) != 0 ? TARGET_PERMISSION_READ : 0u) |
                       ((header->p_flags & PF_W) != 0 ? TARGET_PERMISSION_WRITE : 0u) |
                       ((header->p_flags & PF_X) != 0 ? TARGET_PERMISSION_EXECUTE : 0u)};
    TRY(vector_append(&core->loads, load));
    if (load.offset >= core->size) {
        return NULL;
    }
    uint64_t there = core->size - load.offset;
    there = there < load.file_size ? there : load.file_size;
    struct target_space_piece piece = {.start = load.start,
                                       .end = load.start + there,
                                       .offset = load.offset,
                                       .descriptor = core->descriptor};
    return target_space_add(&core->dumped, piece);
}

/* Reads every program header. */
static struct error *target_core_segments(struct target_core *core)
{
    Elf64_Ehdr header;
    uint64_t count;
    TRY(target_core_header(core, &header, &count));
    if (count > TARGET_CORE_HEADERS_MAX) {
        return error_create(ERROR_LIMIT, "%s claims %llu program headers", core->head.name,
                            (unsigned long long)count);
    }
    enum { BATCH = 256 };
    Elf64_Phdr headers[BATCH];
    for (uint64_t i = 0; i < count; i += BATCH) {
        size_t batch = count - i < BATCH ? (size_t)(count - i) : BATCH;
        uint64_t offset = i * sizeof *headers;
        if (header.e_phoff > UINT64_MAX - offset) {
            return error_create(ERROR_CORRUPT, "%s: absurd program headers", core->head.name);
        }
        TRY(target_core_pread(core, header.e_phoff + offset, headers, batch * sizeof *headers));
        for (size_t j = 0; j < batch; j++) {
            TRY(target_core_segment(core, &headers[j]));
        }
    }
    if (core->loads.count == 0) {
        return error_create(ERROR_CORRUPT, "%s holds no memory", core->head.name);
    }
    return target_space_seal(&core->dumped);
}

const struct target_core_file *target_core_find_file(const struct target_core *core,
                                                     uint64_t address)
{
    size_t low = 0;
    size_t high = core->files.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (core->files.items[middle].end <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == core->files.count || core->files.items[low].start > address) {
        return NULL;
    }
    return &core->files.items[low];
}

/* Orders mappings by start for qsort. */
static int target_core_compare_mappings(const void *left, const void *right)
{
    const struct target_mapping *a = left;
    const struct target_mapping *b = right;
    return (a->start > b->start) - (a->start < b->start);
}

size_t target_core_order_mappings(struct target_mapping *items, size_t count)
{
    uint64_t floor = 0;
    size_t kept = 0;
    qsort(items, count, sizeof *items, target_core_compare_mappings);
    for (size_t i = 0; i < count; i++) {
        struct target_mapping mapping = items[i];
        if (mapping.start < floor) {
            mapping.file_offset += floor - mapping.start;
            mapping.start = floor;
        }
        if (mapping.start < mapping.end) {
            floor = mapping.end;
            items[kept++] = mapping;
        }
    }
    return kept;
}

/* Makes the mappings from the loads, named by NT_FILE. */
static struct error *target_core_map(struct target_core *core)
{
    struct target_mapping *items = calloc(core->loads.count, sizeof *items);
    if (items == NULL) {
        return error_no_memory();
    }
    core->head.mappings.items = items;
    for (size_t i = 0; i < core->loads.count; i++) {
        const struct target_core_load *load = &core->loads.items[i];
        const struct target_core_file *file = target_core_find_file(core, load->start);
        items[i] = (struct target_mapping){.start = load->start,
                                           .end = load->start + load->size,
                                           .permissions = load->permissions,
                                           .path = file == NULL ? "" : file->path};
        if (file != NULL) {
            items[i].file_offset = file->offset + (load->start - file->start);
            items[i].deleted = file->deleted;
        }
    }
    core->head.mappings.count = target_core_order_mappings(items, core->loads.count);
    return NULL;
}

/* Says when the file ends before the memory that its headers promise. */
static struct error *target_core_warn_cut(struct target_core *core)
{
    uint64_t end = 0;
    for (size_t i = 0; i < core->loads.count; i++) {
        const struct target_core_load *load = &core->loads.items[i];
        uint64_t size = load->file_size;
        if (size > 0 && load->offset <= UINT64_MAX - size && load->offset + size > end) {
            end = load->offset + size;
        }
    }
    if (end <= core->size) {
        return NULL;
    }
    if (asprintf(&core->head.cut, "is cut off: its headers tell of %llu bytes, it has %llu",
                 (unsigned long long)end, (unsigned long long)core->size) < 0) {
        core->head.cut = NULL;
        return error_no_memory();
    }
    log_line(LOG_LEVEL_WARNING, "%s %s; the rest is unknown", core->head.name, core->head.cut);
    return NULL;
}

/* Opens the file and sets the names. */
static struct error *target_core_open(struct target_core *core, const char *path)
{
    CLEANUP(string_builder_deinit) struct string_builder builder = {0};
    string_builder_add(&builder, "core file ");
    string_builder_add_escaped(&builder, path, strlen(path));
    TRY(string_builder_take(&builder, &core->head.name));
    core->path = strdup(path);
    if (core->path == NULL) {
        return error_no_memory();
    }
    core->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (core->descriptor < 0) {
        return error_errno(errno, "cannot open %s", core->head.name);
    }
    struct stat stat;
    if (fstat(core->descriptor, &stat) != 0) {
        return error_errno(errno, "cannot open %s", core->head.name);
    }
    if (!S_ISREG(stat.st_mode)) {
        return error_create(ERROR_USAGE, "%s is no regular file", core->head.name);
    }
    core->size = (uint64_t)stat.st_size;
    return NULL;
}

/* Fills CORE; on an error the caller destroys it. */
static struct error *target_core_init(struct target_core *core, const char *path, const char *exe)
{
    TRY(target_core_open(core, path));
    TRY(target_core_segments(core));
    TRY(target_core_warn_cut(core));
    core->head.pid = core->facts.pid;
    if (core->head.pid == 0 && core->threads.count > 0) {
        core->head.pid = core->threads.items[0].tid;
    }
    TRY(target_core_map(core));
    TRY(target_core_find_executable(core, exe));
    TRY(target_core_open_libraries(core));
    for (size_t i = 0; i < core->dumped.pieces.count; i++) {
        TRY(target_space_add(&core->space, core->dumped.pieces.items[i]));
    }
    return target_space_seal(&core->space);
}

struct error *target_open_core(const char *path, const char *exe, struct target **ret)
{
    struct target_core *core = calloc(1, sizeof *core);
    if (core == NULL) {
        return error_no_memory();
    }
    core->head.operations = &target_core_operations;
    core->head.kind = TARGET_KIND_CORE;
    core->descriptor = -1;
    core->executable = -1;
    struct error *error = target_core_init(core, path, exe);
    if (error != NULL) {
        target_destroy(&core->head);
        return error;
    }
    *ret = &core->head;
    return NULL;
}
