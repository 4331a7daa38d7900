/* The files behind a core: the executable and the shared objects whose pages the core leaves out. A
 * file stands in only when it is the one that ran: by build id (the core holds the first page of
 * each file as a rule), else, for the executable, by entry point and by the pages that both hold.
 * Only memory that the program could not write is taken from files. */
#include "target/target_core.h"

#include "base/cleanup.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TARGET_CORE_PAGE = 4096,
    TARGET_CORE_HEAD = 64 << 10,     /* of a mapped file, where its ids are looked for */
    TARGET_CORE_LIBRARIES_MAX = 200, /* one descriptor each */
    TARGET_CORE_SAMPLES_MAX = 64     /* pages compared with the executable's */
};

int target_core_open_regular(const char *path)
{
    struct stat stat_buffer;
    /* Looked at first: opening a device or FIFO that a core names could have effects. */
    if (stat(path, &stat_buffer) != 0 || !S_ISREG(stat_buffer.st_mode)) {
        return -1;
    }
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

/* Decodes the ELF file that is mapped at BASE from what the core holds of it; false when it holds
 * too little. target_elf_deinit afterwards in any case. */
static struct error *target_core_mapped_elf(struct target_core *core, uint64_t base,
                                            struct target_elf *ret, bool *known)
{
    memset(ret, 0, sizeof *ret);
    *known = false;
    CLEANUP_FREE uint8_t *bytes = malloc(TARGET_CORE_HEAD);
    if (bytes == NULL) {
        return error_no_memory();
    }
    struct target_range range = {.address = base, .size = TARGET_CORE_HEAD, .destination = bytes};
    TRY(target_space_read(&core->dumped, &range, 1));
    struct error *error = target_elf_init(ret, bytes, range.done);
    *known = error == NULL;
    if (error != NULL && !error_catch(&error, ERROR_CORRUPT)) {
        (void)error_catch(&error, ERROR_UNSUPPORTED);
    }
    return error;
}

/* Adds FILE's bytes for the memory from START to END unless the core's program could write there.
 */
static struct error *target_core_lay(struct target_core *core, const struct target_mapping *mapping,
                                     int descriptor)
{
    if ((mapping->permissions & TARGET_PERMISSION_WRITE) != 0) {
        return NULL;
    }
    struct target_space_piece piece = {.start = mapping->start,
                                       .end = mapping->end,
                                       .offset = mapping->file_offset,
                                       .descriptor = descriptor};
    return target_space_add(&core->space, piece);
}

/* Lays DESCRIPTOR under every mapping of PATH. */
static struct error *target_core_lay_path(struct target_core *core, const char *path,
                                          int descriptor)
{
    for (size_t i = 0; i < core->head.mappings.count; i++) {
        const struct target_mapping *mapping = &core->head.mappings.items[i];
        if (strcmp(mapping->path, path) == 0) {
            TRY(target_core_lay(core, mapping, descriptor));
        }
    }
    return NULL;
}

/* The NT_FILE entry of the executable, by the addresses that the kernel told it. */
static const struct target_core_file *target_core_executable_file(const struct target_core *core)
{
    const struct target_core_file *file = NULL;
    if (core->facts.headers != 0) {
        file = target_core_find_file(core, core->facts.headers);
    }
    if (file == NULL && core->facts.entry != 0) {
        file = target_core_find_file(core, core->facts.entry);
    }
    for (size_t i = 0; file == NULL && core->facts.command[0] != '\0' && i < core->files.count;
         i++) {
        const char *slash = strrchr(core->files.items[i].path, '/');
        if (slash != NULL && strncmp(slash + 1, core->facts.command, 15) == 0) {
            file = &core->files.items[i];
        }
    }
    return file;
}

struct error *target_core_executable_path(struct target_core *core, char **ret)
{
    char name[PATH_MAX] = "";
    const struct target_core_file *file = target_core_executable_file(core);
    if (file == NULL && core->facts.name_address != 0) {
        struct target_range range = {.address = core->facts.name_address,
                                     .size = sizeof name - 1,
                                     .destination = (uint8_t *)name};
        TRY(target_space_read(&core->dumped, &range, 1));
        name[range.done] = '\0';
    }
    *ret = strdup(file != NULL ? file->path : name);
    return *ret == NULL ? error_no_memory() : NULL;
}

/* Names every mapping that FILE's segments explain; for cores without NT_FILE (qemu-user). */
static void target_core_name_mappings(struct target_core *core, const struct target_elf *elf,
                                      uint64_t bias)
{
    for (size_t i = 0; i < core->head.mappings.count; i++) {
        struct target_mapping *mapping = &core->head.mappings.items[i];
        for (size_t j = 0; j < elf->segments.count; j++) {
            const struct target_elf_segment *segment = &elf->segments.items[j];
            uint64_t address = segment->address + bias;
            uint64_t slack = address % TARGET_CORE_PAGE;
            if (segment->file_size > 0 && mapping->start >= address - slack &&
                mapping->start < address + segment->file_size && segment->offset >= slack) {
                mapping->path = core->head.executable;
                mapping->file_offset = segment->offset - slack + (mapping->start - address + slack);
            }
        }
    }
}

/* Takes the names back that target_core_name_mappings gave. */
static void target_core_unname_mappings(struct target_core *core)
{
    for (size_t i = 0; i < core->head.mappings.count; i++) {
        struct target_mapping *mapping = &core->head.mappings.items[i];
        if (mapping->path == core->head.executable) {
            mapping->path = "";
            mapping->file_offset = 0;
        }
    }
}

/* True when OFFSET of ELF's file is of a segment that is never written, not even by a linker. */
static bool target_core_is_constant(const struct target_elf *elf, uint64_t offset)
{
    bool found = false;
    for (size_t i = 0; i < elf->segments.count; i++) {
        const struct target_elf_segment *segment = &elf->segments.items[i];
        if (offset >= segment->offset && offset - segment->offset < segment->file_size) {
            if (segment->writable ||
                segment->file_size - (offset - segment->offset) < TARGET_CORE_PAGE) {
                return false;
            }
            found = true;
        }
    }
    return found;
}

/* Compares a page that both the core (at ADDRESS) and DESCRIPTOR (at OFFSET) hold; true when one
 * holds less than that or both are the same. */
static struct error *target_core_same_page(struct target_core *core, uint64_t address,
                                           int descriptor, uint64_t offset, bool *ret)
{
    uint8_t dumped[TARGET_CORE_PAGE];
    uint8_t filed[TARGET_CORE_PAGE];
    struct target_range range = {.address = address, .size = sizeof dumped, .destination = dumped};
    *ret = true;
    TRY(target_space_read(&core->dumped, &range, 1));
    ssize_t got = range.done < sizeof dumped || offset > INT64_MAX
                      ? 0
                      : pread(descriptor, filed, sizeof filed, (off_t)offset);
    *ret = got < (ssize_t)sizeof filed || memcmp(dumped, filed, sizeof dumped) == 0;
    return NULL;
}

/* Looks for constant pages that differ between the core and the file DESCRIPTOR named PATH. */
static struct error *target_core_compare_pages(struct target_core *core,
                                               const struct target_elf *elf, const char *path,
                                               int descriptor, bool *same)
{
    int samples = 0;
    *same = true;
    for (size_t i = 0; i < core->head.mappings.count; i++) {
        const struct target_mapping *mapping = &core->head.mappings.items[i];
        if (strcmp(mapping->path, path) != 0 ||
            (mapping->permissions & TARGET_PERMISSION_WRITE) != 0) {
            continue;
        }
        uint64_t pages = (mapping->end - mapping->start) / TARGET_CORE_PAGE;
        uint64_t step = pages / 16 + 1;
        for (uint64_t page = 0; page < pages && *same && samples < TARGET_CORE_SAMPLES_MAX;
             page += step, samples++) {
            uint64_t offset = mapping->file_offset + page * TARGET_CORE_PAGE;
            if (target_core_is_constant(elf, offset)) {
                TRY(target_core_same_page(core, mapping->start + page * TARGET_CORE_PAGE,
                                          descriptor, offset, same));
            }
        }
    }
    return NULL;
}

/* The mismatch, with both ids. */
static struct error *target_core_mismatch(const struct target_elf *file,
                                          const struct target_elf *core_elf, const char *path)
{
    CLEANUP_FREE char *file_id = NULL;
    CLEANUP_FREE char *core_id = NULL;
    CLEANUP(string_builder_deinit) struct string_builder builder = {0};
    TRY(target_elf_id_text(file, &file_id));
    TRY(target_elf_id_text(core_elf, &core_id));
    string_builder_add_escaped(&builder, path, strlen(path));
    TRY(string_builder_error(&builder));
    const char *name = string_builder_text(&builder);
    struct error *error =
        core_id[0] == '\0'
            ? error_create(ERROR_USAGE,
                           "%s is not the executable of this core: its contents or entry point "
                           "differ",
                           name)
            : error_create(ERROR_USAGE,
                           "%s is not the executable of this core: its build id is %s, the core's "
                           "is %s",
                           name, file_id[0] == '\0' ? "missing" : file_id, core_id);
    return error_advise(error, "give the very file that was running");
}

/* Checks by entry point and constant pages whether the file DESCRIPTOR (decoded as FILE) is what
 * runs in the core at BIAS, after its mappings are named. */
static struct error *target_core_check_contents(struct target_core *core,
                                                const struct target_elf *file, int descriptor,
                                                bool placed, uint64_t bias, bool *same)
{
    *same = file->machine == core->head.machine;
    if (*same && placed && core->facts.entry != 0) {
        *same = core->facts.entry == file->entry + bias;
    }
    if (*same) {
        TRY(target_core_compare_pages(core, file, target_executable(&core->head), descriptor,
                                      same));
    }
    return NULL;
}

/* Decodes the header of DESCRIPTOR; whatever is wrong with it is ERROR_USAGE. */
static struct error *target_core_decode_executable(const char *path, int descriptor,
                                                   struct target_elf *ret)
{
    struct error *error = target_elf_init_file(ret, descriptor);
    if (error == NULL || error_code(error) == ERROR_OUT_OF_MEMORY) {
        return error;
    }
    CLEANUP(string_builder_deinit) struct string_builder builder = {0};
    string_builder_add_escaped(&builder, path, strlen(path));
    struct error *usage = error_create(ERROR_USAGE, "%s is not the executable of this core: %s",
                                       string_builder_text(&builder), error_message(error));
    error_destroy(error);
    return usage;
}

/* Judges whether the file DESCRIPTOR at PATH is what ran; ERROR_USAGE when not. */
static struct error *target_core_judge(struct target_core *core, const char *path, int descriptor)
{
    CLEANUP(target_elf_deinit) struct target_elf file = {0};
    CLEANUP(target_elf_deinit) struct target_elf mapped = {0};
    TRY(target_core_decode_executable(path, descriptor, &file));
    const struct target_core_file *entry = target_core_executable_file(core);
    uint64_t bias = 0;
    uint64_t base = 0;
    bool placed = target_elf_bias(&file, core->facts.headers, &bias, &base);
    if (entry != NULL) {
        base = entry->start - entry->offset;
    } else if (placed) {
        target_core_name_mappings(core, &file, bias);
    }
    bool known;
    TRY(target_core_mapped_elf(core, base, &mapped, &known));
    enum target_elf_match match = target_elf_compare(&file, &mapped);
    if (match == TARGET_ELF_UNKNOWN) {
        bool same = false;
        if (placed || entry != NULL) {
            TRY(target_core_check_contents(core, &file, descriptor, placed, bias, &same));
        }
        match = same ? TARGET_ELF_SAME : TARGET_ELF_DIFFERENT;
    }
    return match == TARGET_ELF_SAME ? NULL : target_core_mismatch(&file, &mapped, path);
}

/* Adopts the file at PATH as the executable: ERROR_USAGE when it is another, ERROR_GONE when it
 * cannot be opened. */
static struct error *target_core_adopt(struct target_core *core, const char *path)
{
    bool unnamed = core->head.executable[0] == '\0';
    CLEANUP_CLOSE int descriptor = target_core_open_regular(path);
    if (descriptor < 0) {
        return error_create(ERROR_GONE, "cannot open the executable");
    }
    if (unnamed) {
        char *name = strdup(path);
        if (name == NULL) {
            return error_no_memory();
        }
        free(core->head.executable);
        core->head.executable = name;
    }
    struct error *error = target_core_judge(core, path, descriptor);
    if (error != NULL) {
        target_core_unname_mappings(core);
        core->head.executable[0] = unnamed ? '\0' : core->head.executable[0];
        return error;
    }
    TRY(target_core_fill_gaps(core, descriptor));
    TRY(target_core_lay_path(core, core->head.executable, descriptor));
    core->executable = descriptor;
    descriptor = -1;
    return NULL;
}

/* Tries FOLDER/NAME, or NAME alone when FOLDER is NULL; *DONE when it was adopted. What is wrong
 * with a file that we found ourselves is only told. */
static struct error *target_core_try(struct target_core *core, const char *folder, const char *name,
                                     bool *done)
{
    CLEANUP(string_builder_deinit) struct string_builder builder = {0};
    if (*done || name[0] == '\0') {
        return NULL;
    }
    if (folder != NULL) {
        string_builder_add(&builder, folder);
        string_builder_add_char(&builder, '/');
    }
    string_builder_add(&builder, name);
    TRY(string_builder_error(&builder));
    struct error *error = target_core_adopt(core, string_builder_text(&builder));
    *done = error == NULL;
    if (error != NULL && error_code(error) == ERROR_USAGE) {
        log_line(LOG_LEVEL_WARNING, "%s", error_message(error));
        error_destroy(error);
        return NULL;
    }
    (void)error_catch(&error, ERROR_GONE);
    return error;
}

/* Looks where the core says, then beside the core. */
static struct error *target_core_search(struct target_core *core)
{
    const char *path = core->head.executable;
    const char *slash = strrchr(path, '/');
    CLEANUP_FREE char *base = strdup(slash == NULL ? path : slash + 1);
    CLEANUP_FREE char *folder = strdup(core->path);
    CLEANUP_FREE char *known = strdup(path);
    if (base == NULL || folder == NULL || known == NULL) {
        return error_no_memory();
    }
    char *end = strrchr(folder, '/');
    if (end == NULL) {
        (void)strcpy(folder, ".");
    } else {
        end[end == folder ? 1 : 0] = '\0';
    }
    bool done = false;
    TRY(target_core_try(core, NULL, known, &done));
    TRY(target_core_try(core, folder, base, &done));
    if (strchr(core->facts.command, '/') == NULL) {
        TRY(target_core_try(core, folder, core->facts.command, &done));
    }
    if (!done) {
        CLEANUP(string_builder_deinit) struct string_builder builder = {0};
        string_builder_add_escaped(&builder, known, strlen(known));
        log_line(LOG_LEVEL_WARNING,
                 "%s: its executable%s%s was not found; what the core leaves out is unknown",
                 core->head.name, known[0] == '\0' ? "" : " ", string_builder_text(&builder));
    }
    return NULL;
}

struct error *target_core_find_executable(struct target_core *core, const char *exe)
{
    TRY(target_core_executable_path(core, &core->head.executable));
    if (exe == NULL) {
        return target_core_search(core);
    }
    struct error *error = target_core_adopt(core, exe);
    if (error_catch(&error, ERROR_GONE)) {
        return error_create(ERROR_USAGE, "cannot open the executable %s", exe);
    }
    return error;
}

/* Opens the library that FILE begins when it is provably the one that was mapped. */
static struct error *target_core_open_library(struct target_core *core,
                                              const struct target_core_file *file)
{
    CLEANUP(target_elf_deinit) struct target_elf mapped = {0};
    CLEANUP(target_elf_deinit) struct target_elf found = {0};
    bool known;
    TRY(target_core_mapped_elf(core, file->start, &mapped, &known));
    if (!known || (mapped.gnu.size == 0 && mapped.go.size == 0)) {
        return NULL;
    }
    CLEANUP_CLOSE int descriptor = target_core_open_regular(file->path);
    if (descriptor < 0) {
        return NULL;
    }
    struct error *error = target_elf_init_file(&found, descriptor);
    if (error != NULL && error_code(error) == ERROR_OUT_OF_MEMORY) {
        return error;
    }
    if (error != NULL || target_elf_compare(&found, &mapped) != TARGET_ELF_SAME) {
        error_destroy(error);
        return NULL;
    }
    struct target_core_source source = {.descriptor = descriptor, .path = file->path};
    TRY(vector_append(&core->sources, source));
    descriptor = -1;
    return target_core_lay_path(core, source.path, source.descriptor);
}

/* True when PATH is already at hand. */
static bool target_core_has_source(const struct target_core *core, const char *path)
{
    for (size_t i = 0; i < core->sources.count; i++) {
        if (strcmp(core->sources.items[i].path, path) == 0) {
            return true;
        }
    }
    return strcmp(core->head.executable, path) == 0;
}

struct error *target_core_open_libraries(struct target_core *core)
{
    size_t tried = 0;
    for (size_t i = 0; i < core->files.count; i++) {
        const struct target_core_file *file = &core->files.items[i];
        if (file->offset != 0 || file->path[0] != '/' || target_core_has_source(core, file->path)) {
            continue;
        }
        if (++tried > TARGET_CORE_LIBRARIES_MAX) {
            break;
        }
        TRY(target_core_open_library(core, file));
    }
    return NULL;
}
