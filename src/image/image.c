#include "image/image.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/string_builder.h"
#include "image/build_info.h"
#include "image/function_table.h"
#include "image/image_diagnose.h"
#include "image/image_find.h"
#include "image/image_version.h"
#include "image/module.h"
#include <stdlib.h>
#include <string.h>

enum {
    IMAGE_MODULES_MAX = 4096,   /* of a moduledata.next chain */
    IMAGE_BUILD_ID_MAX = 256,   /* bytes of a note */
    IMAGE_NOTE_GO_BUILD_ID = 4, /* type of the note of owner "Go" */
    IMAGE_BUILD_INFO_HEADER_SIZE = 32
};

/* Frees a search result. */
static void image_found_deinit(struct image_found *found)
{
    vector_deinit(&found->modules);
}

/* The layout machine of the target. */
static enum layout_machine image_machine(const struct image *image)
{
    return target_machine(image->target) == TARGET_MACHINE_ARM64 ? LAYOUT_MACHINE_ARM64
                                                                 : LAYOUT_MACHINE_AMD64;
}

/* The ELF file that holds ADDRESS, else the executable; NULL when neither can be read. */
static const struct elf_file *image_elf(struct image *image, uint64_t address)
{
    const struct memory_region *region = memory_find_region(&image->memory, address);
    size_t index = region != NULL ? region->file : image_find_executable(&image->memory);
    if (index == MEMORY_NO_FILE || !memory_open_file(&image->memory, index)) {
        return NULL;
    }
    return &image->memory.files.items[index].elf;
}

/* Looks for the build info blob in the memory around moduledata ADDRESS, for want of a file. */
static struct error *image_read_build_info_memory(struct image *image, uint64_t address)
{
    const struct memory_region *region = memory_find_region(&image->memory, address);
    struct image_bytes bytes;
    TRY(memory_load_rest(&image->memory, region->start, MEMORY_TRUST_CONSTANT, &bytes));
    for (size_t at = 0; at + IMAGE_BUILD_INFO_HEADER_SIZE <= bytes.size;
         at += BUILD_INFO_ALIGNMENT) {
        if (memcmp(bytes.data + at, BUILD_INFO_MAGIC, BUILD_INFO_MAGIC_SIZE) != 0) {
            continue;
        }
        struct error *error =
            build_info_parse((struct image_bytes){bytes.data + at, bytes.size - at},
                             &image->build_info, &image->build_info_storage);
        if (!error_catch(&error, ERROR_CORRUPT) && !error_catch(&error, ERROR_UNSUPPORTED)) {
            return error;
        }
    }
    return error_create(ERROR_NOT_FOUND, "no Go build info");
}

/* Reads the build info that belongs to moduledata ADDRESS (0: to the executable). Having none is no
 * error; *FOUND says. */
static struct error *image_read_build_info(struct image *image, uint64_t address, bool *found)
{
    const struct elf_file *elf = image_elf(image, address);
    struct error *error = NULL;
    if (elf != NULL) {
        error = build_info_read(elf, &image->build_info, &image->build_info_storage);
    } else if (memory_find_region(&image->memory, address) != NULL) {
        error = image_read_build_info_memory(image, address);
    } else {
        error = error_create(ERROR_NOT_FOUND, "no executable");
    }
    *found = error == NULL;
    return error_catch(&error, ERROR_NOT_FOUND) || error_catch(&error, ERROR_CORRUPT) ? NULL
                                                                                      : error;
}

/* Takes VERSION when it has a row that moduledata ADDRESS fits. */
static struct error *image_try_version(struct image *image, uint64_t address, const char *version)
{
    int minor = layout_parse_minor(version, strlen(version));
    TRY(image_diagnose_release(&image->memory, minor, version));
    const struct layout *row = layout_find_version(version, strlen(version), image_machine(image));
    if (row == NULL) {
        return error_create(ERROR_UNSUPPORTED, "%s: no layout of Go 1.%d for its machine",
                            target_name(image->target), minor);
    }
    TRY(error_wrap(module_check(&image->memory, address, row), "%s", target_name(image->target)));
    char *copy = strdup(version);
    if (copy == NULL) {
        return error_no_memory();
    }
    free(image->go_version);
    image->go_version = copy;
    image->layout = row;
    return NULL;
}

/* Decides on version and row by the first module: the build info's version, or else (none, or it
 * does not fit) what the runtime itself has in memory. */
static struct error *image_decide_version(struct image *image, const struct image_found *found)
{
    uint64_t address = found->modules.items[0];
    bool has_build_info;
    struct error *stated = NULL;
    TRY(image_read_build_info(image, address, &has_build_info));
    if (has_build_info && image->build_info.go_version[0] != '\0') {
        stated = image_try_version(image, address, image->build_info.go_version);
        if (stated == NULL || error_code(stated) != ERROR_UNSUPPORTED) {
            return stated;
        }
    }
    CLEANUP_FREE char *version = NULL;
    struct error *error = image_version_find(&image->memory, address, found->magic, &version);
    if (error == NULL) {
        error = image_try_version(image, address, version);
    }
    if (stated != NULL && error != NULL && error_code(error) == ERROR_UNSUPPORTED) {
        error_destroy(error); /* both failed: what the file states is the better reason */
        return stated;
    }
    error_destroy(stated);
    if (error == NULL && !has_build_info) {
        error = build_info_create_unknown(version, strlen(version), &image->build_info,
                                          &image->build_info_storage);
    }
    return error;
}

/* True when the module at ADDRESS is already known. */
static bool image_has_module(const struct image *image, uint64_t address)
{
    for (size_t i = 0; i < image->modules.count; i++) {
        if (image->modules.items[i]->tables.moduledata == address) {
            return true;
        }
    }
    return false;
}

/* Adds the module at ADDRESS and those that its runtime loaded after it (plugins). */
static struct error *image_add_modules(struct image *image, uint64_t address)
{
    while (address != 0 && !image_has_module(image, address)) {
        enum module_kind kind;
        uint32_t magic;
        if (image->modules.count == IMAGE_MODULES_MAX) {
            return error_create(ERROR_LIMIT, "more than %d Go modules", IMAGE_MODULES_MAX);
        }
        TRY(module_examine(&image->memory, address, &kind, &magic));
        if (kind != MODULE_KIND_CURRENT) {
            return error_create(ERROR_CORRUPT, "moduledata at 0x%llx makes no sense",
                                (unsigned long long)address);
        }
        TRY(module_check(&image->memory, address, image->layout));
        TRY(vector_reserve(&image->modules, image->modules.count + 1));
        struct module *module;
        TRY(module_create(&image->memory, address, image->layout, &module));
        image->modules.items[image->modules.count++] = module;
        address = module->next;
    }
    return NULL;
}

/* Loads every module. The first must load; another one that does not (a second Go runtime of
 * another release in a shared object) is left out with a warning. */
static struct error *image_load_modules(struct image *image, const struct image_found *found)
{
    for (size_t i = 0; i < found->modules.count; i++) {
        struct error *error = image_add_modules(image, found->modules.items[i]);
        if (error != NULL && (image->modules.count == 0 || error_code(error) == ERROR_GONE ||
                              error_code(error) == ERROR_OUT_OF_MEMORY)) {
            return error;
        }
        if (error != NULL) {
            log_line(LOG_LEVEL_WARNING, "a Go module is left out: %s", error_message(error));
            error_destroy(error);
        }
    }
    return NULL;
}

/* Notes the GNU build id as hex, else the Go build id. */
static struct error *image_read_build_id(struct image *image)
{
    const struct elf_file *elf = image_elf(image, image->modules.items[0]->tables.moduledata);
    CLEANUP(string_builder_deinit) struct string_builder text = {0};
    struct image_bytes id;
    if (elf != NULL && elf_file_find_note(elf, "GNU", NT_GNU_BUILD_ID, &id) &&
        id.size <= IMAGE_BUILD_ID_MAX) {
        for (size_t i = 0; i < id.size; i++) {
            string_builder_format(&text, "%02x", id.data[i]);
        }
    } else if (elf != NULL && elf_file_find_note(elf, "Go", IMAGE_NOTE_GO_BUILD_ID, &id) &&
               id.size <= IMAGE_BUILD_ID_MAX) {
        string_builder_add_escaped(&text, (const char *)id.data, id.size);
    }
    TRY(string_builder_error(&text));
    return string_builder_take(&text, &image->build_id);
}

/* Fills a fresh image. */
static struct error *image_init(struct image *image)
{
    CLEANUP(image_found_deinit) struct image_found found = {0};
    TRY(memory_init(&image->memory, image->target));
    TRY(image_find_modules(&image->memory, &found));
    if (found.modules.count == 0) {
        bool has_build_info;
        TRY(image_read_build_info(image, 0, &has_build_info));
        return image_diagnose(&image->memory, &found, has_build_info ? &image->build_info : NULL);
    }
    TRY(image_decide_version(image, &found));
    TRY(image_load_modules(image, &found));
    return image_read_build_id(image);
}

/* ERROR of a core whose executable cannot be read becomes the reason for it: what is missing there
 * (read-only data are rarely dumped) made the core look like something else. */
static struct error *image_explain(const struct image *image, struct error *error)
{
    size_t index = image_find_executable(&image->memory);
    if (target_kind(image->target) != TARGET_KIND_CORE ||
        error_code(error) == ERROR_OUT_OF_MEMORY ||
        (index != MEMORY_NO_FILE && image->memory.files.items[index].state == MEMORY_FILE_ELF)) {
        return error;
    }
    const char *path = target_executable(image->target);
    struct error *reason = error_create(
        ERROR_GONE, "%s: its executable%s%s cannot be read, and the core alone does not suffice",
        target_name(image->target), path[0] != '\0' ? " " : "", path);
    error_destroy(error);
    return error_advise(reason, "name the executable that the core came from (--exe)");
}

/* Find, decide, load. */
struct error *image_create(struct target *target, struct image **ret)
{
    struct image *image = calloc(1, sizeof *image);
    if (image == NULL) {
        return error_no_memory();
    }
    image->target = target;
    struct error *error = image_init(image);
    if (image->memory.exhausted) {
        error_destroy(error);
        error = error_no_memory();
    }
    if (error != NULL) {
        error = image_explain(image, error);
        image_destroy(image);
        return error;
    }
    *ret = image;
    return NULL;
}

/* One module, nothing else. */
struct error *image_create_from_tables(const struct module_tables *tables,
                                       const struct layout *layout, struct image **ret)
{
    struct image *image = calloc(1, sizeof *image);
    struct module *module = calloc(1, sizeof *module);
    struct error *error = image != NULL && module != NULL ? vector_append(&image->modules, module)
                                                          : error_no_memory();
    if (error != NULL) {
        free(module);
        free(image);
        return error;
    }
    module->tables = *tables;
    module->layout = layout;
    image->layout = layout;
    *ret = image;
    return NULL;
}

/* Everything but the target. */
void image_destroy(struct image *image)
{
    if (image == NULL) {
        return;
    }
    for (size_t i = 0; i < image->modules.count; i++) {
        module_destroy(image->modules.items[i]);
    }
    vector_deinit(&image->modules);
    function_name_index_destroy(image->names);
    function_name_index_destroy(image->runtime_names);
    memory_deinit(&image->memory);
    free(image->build_info_storage);
    free(image->go_version);
    free(image->build_id);
    free(image);
}

/* Read-only view. */
const struct image_build_info *image_build_info(const struct image *image)
{
    return &image->build_info;
}

/* Decided by image_create. */
const char *image_go_version(const struct image *image)
{
    return image->go_version;
}

/* Decided by image_create. */
const struct layout *image_layout(const struct image *image)
{
    return image->layout;
}

/* Read by image_create. */
const char *image_build_id(const struct image *image)
{
    return image->build_id;
}

/* At least one. */
size_t image_module_count(const struct image *image)
{
    return image->modules.count;
}

/* The executable's module is the first when it has one. */
const struct module *image_module(const struct image *image, size_t index)
{
    return image->modules.items[index];
}

/* Linear: modules are few. */
const struct module *image_find_module(const struct image *image, uint64_t pc)
{
    for (size_t i = 0; i < image->modules.count; i++) {
        const struct module_tables *tables = &image->modules.items[i]->tables;
        if (pc >= tables->minpc && pc < tables->maxpc) {
            return image->modules.items[i];
        }
    }
    return NULL;
}

/* Read-only view. */
const struct module_tables *module_tables(const struct module *module)
{
    return &module->tables;
}

/* From the mapped file where that is right. */
struct error *image_read_static(struct image *image, uint64_t address, void *destination,
                                size_t size)
{
    return memory_read(&image->memory, address, destination, size);
}
