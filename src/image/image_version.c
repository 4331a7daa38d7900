/* runtime.buildVersion is a Go string (pointer, length) in the module's data that points to text
 * such as "go1.27.4". Other strings may look alike (programs that know about Go versions), so
 * runtime.schedinit decides: since Go 1.18 and before it compares buildVersion with "", and its
 * code refers to no other such string. */
#include "image/image_version.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include <stdlib.h>
#include <string.h>

enum {
    IMAGE_VERSION_SIZE_MIN = 5, /* "go1.1" */
    IMAGE_VERSION_SIZE_MAX = 256,
    IMAGE_VERSION_CANDIDATES_MAX = 256,
    IMAGE_VERSION_CODE_MAX = 16384,   /* bytes of schedinit that are looked at */
    IMAGE_VERSION_DATA_MAX = 1 << 30, /* bytes of data searched */
    IMAGE_VERSION_REGIONS = 4         /* loaded regions of string text kept at hand */
};

/* A string in data whose text is a version. */
struct image_version_candidate {
    uint64_t address; /* of the string's pointer */
    const char *text;
    size_t size;
    int minor;
};

/* A search in progress. */
struct image_version {
    struct memory *memory;
    uint32_t magic;
    struct image_version_candidate candidates[IMAGE_VERSION_CANDIDATES_MAX];
    size_t count;
    struct {
        uint64_t start;
        struct image_bytes bytes;
    } regions[IMAGE_VERSION_REGIONS];
    size_t region_next;
    struct error *error; /* the first that is about us or the target, not about its bytes */
};

/* Takes ERROR: bytes that cannot be read or make no sense only show that they are not what is
 * looked for, any other failure ends the search. */
static void image_version_note(struct image_version *search, struct error *error)
{
    if (error != NULL && search->error == NULL &&
        (error_code(error) == ERROR_OUT_OF_MEMORY || error_code(error) == ERROR_GONE)) {
        search->error = error;
        return;
    }
    error_destroy(error);
}

/* SIZE bytes of text at ADDRESS in memory that is not written, or NULL. Whole regions are loaded,
 * as strings lie together. */
static const char *image_version_text(struct image_version *search, uint64_t address, uint64_t size)
{
    const struct memory_region *region = memory_find_region(search->memory, address);
    if (region == NULL || (region->permissions & TARGET_PERMISSION_WRITE) != 0 ||
        (region->permissions & TARGET_PERMISSION_READ) == 0) {
        return NULL;
    }
    uint64_t offset = address - region->start;
    for (size_t i = 0; i < IMAGE_VERSION_REGIONS; i++) {
        struct image_bytes bytes = search->regions[i].bytes;
        if (bytes.data != NULL && search->regions[i].start == region->start) {
            bool inside = offset < bytes.size && size <= bytes.size - offset;
            return inside ? (const char *)bytes.data + offset : NULL;
        }
    }
    size_t slot = search->region_next++ % IMAGE_VERSION_REGIONS;
    struct error *error = memory_load_rest(search->memory, region->start, MEMORY_TRUST_CONSTANT,
                                           &search->regions[slot].bytes);
    if (error != NULL) {
        image_version_note(search, error);
        search->regions[slot].bytes = (struct image_bytes){(const uint8_t *)"", 0};
    }
    search->regions[slot].start = region->start;
    struct image_bytes bytes = search->regions[slot].bytes;
    bool inside = offset < bytes.size && size <= bytes.size - offset;
    return inside ? (const char *)bytes.data + offset : NULL;
}

/* True when the pclntab's magic number is that of MINOR. */
static bool image_version_fits_magic(uint32_t magic, int minor)
{
    return magic == MODULE_MAGIC_GO1_18 ? minor == 18 || minor == 19 : minor >= 20;
}

/* Takes the words at ADDRESS when they are a version string. */
static void image_version_take(struct image_version *search, uint64_t address, const uint8_t *words)
{
    uint64_t size = bytes_u64(words + 8);
    if (size < IMAGE_VERSION_SIZE_MIN || size > IMAGE_VERSION_SIZE_MAX) {
        return;
    }
    const char *text = image_version_text(search, bytes_u64(words), size);
    if (text == NULL || (text[0] != 'g' && text[0] != 'd')) {
        return;
    }
    int minor = layout_parse_minor(text, size);
    if (minor != LAYOUT_ABSENT && image_version_fits_magic(search->magic, minor) &&
        memchr(text, 0, size) == NULL) {
        search->candidates[search->count++] =
            (struct image_version_candidate){address, text, size, minor};
    }
}

/* Looks at every aligned pair of words. */
static bool image_version_visit(void *context, uint64_t address, const uint8_t *bytes, size_t size)
{
    struct image_version *search = context;
    size_t start = (size_t)(-address % sizeof(uint64_t));
    for (size_t i = start; i + 16 <= size; i += sizeof(uint64_t)) {
        if (search->count == IMAGE_VERSION_CANDIDATES_MAX || search->error != NULL) {
            return true;
        }
        image_version_take(search, address + i, bytes + i);
    }
    return false;
}

/* The candidate that ADDRESS is a word of, or NULL. */
static const struct image_version_candidate *image_version_at(const struct image_version *search,
                                                              uint64_t address)
{
    for (size_t i = 0; i < search->count; i++) {
        uint64_t start = search->candidates[i].address;
        if (address == start || address == start + sizeof(uint64_t)) {
            return &search->candidates[i];
        }
    }
    return NULL;
}

/* The first candidate that amd64 CODE at PC refers to relative to the instruction pointer. Operands
 * of 0, 1 or 4 bytes may follow the displacement. */
static const struct image_version_candidate *
image_version_scan_amd64(const struct image_version *search, const uint8_t *code, size_t size,
                         uint64_t pc)
{
    static const uint64_t operands[] = {0, 1, 4};
    for (size_t i = 0; i + 4 <= size; i++) {
        uint64_t target = pc + i + 4 + (uint64_t)(int64_t)bytes_i32(code + i);
        for (size_t k = 0; k < sizeof operands / sizeof operands[0]; k++) {
            const struct image_version_candidate *hit =
                image_version_at(search, target + operands[k]);
            if (hit != NULL) {
                return hit;
            }
        }
    }
    return NULL;
}

/* The first candidate that arm64 CODE at PC refers to: ADRP, then ADD or LDR with an immediate. */
static const struct image_version_candidate *
image_version_scan_arm64(const struct image_version *search, const uint8_t *code, size_t size,
                         uint64_t pc)
{
    uint64_t pages[32] = {0};
    for (size_t i = 0; i + 4 <= size; i += 4) {
        uint32_t word = bytes_u32(code + i);
        uint64_t base = pages[word >> 5 & 31];
        uint64_t immediate = word >> 10 & 0xfff;
        uint64_t target = 0;
        if ((word & 0x9f000000u) == 0x90000000u) { /* ADRP */
            uint64_t page = (uint64_t)(word >> 5 & 0x7ffff) << 2 | (word >> 29 & 3);
            page = (page ^ 0x100000u) - 0x100000u; /* sign of 21 bits */
            pages[word & 31] = ((pc + i) & ~(uint64_t)0xfff) + (page << 12);
        } else if ((word & 0xff800000u) == 0x91000000u) { /* ADD, 64-bit, immediate */
            target = base + (immediate << ((word >> 22 & 1) * 12));
        } else if ((word & 0xffc00000u) == 0xf9400000u) { /* LDR, 64-bit, unsigned offset */
            target = base + immediate * sizeof(uint64_t);
        }
        const struct image_version_candidate *hit =
            target != 0 ? image_version_at(search, target) : NULL;
        if (hit != NULL) {
            return hit;
        }
    }
    return NULL;
}

/* The candidate that runtime.schedinit of TABLES refers to, or NULL. */
static const struct image_version_candidate *
image_version_referenced(struct image_version *search, const struct module_tables *tables,
                         const struct layout *layout)
{
    uint8_t code[IMAGE_VERSION_CODE_MAX];
    struct image *image = NULL;
    struct function function;
    const struct image_version_candidate *hit = NULL;
    struct error *error = image_create_from_tables(tables, layout, &image);
    if (error == NULL) {
        error = function_find_name(image, "runtime.schedinit", &function);
    }
    if (error == NULL) {
        uint64_t size = function.end - function.entry;
        size = size < sizeof code ? size : sizeof code;
        error = memory_read(search->memory, function.entry, code, size);
        if (error == NULL) {
            hit = layout->machine == LAYOUT_MACHINE_AMD64
                      ? image_version_scan_amd64(search, code, size, function.entry)
                      : image_version_scan_arm64(search, code, size, function.entry);
        }
    }
    image_destroy(image);
    image_version_note(search, error);
    return hit;
}

/* A row to read the function table with: names and entries lie at equal places in all rows, the
 * rest is not looked at. NULL when no candidate has a row that the moduledata fits. */
static const struct layout *image_version_row(struct image_version *search, uint64_t address)
{
    enum layout_machine machine = target_machine(search->memory->target) == TARGET_MACHINE_ARM64
                                      ? LAYOUT_MACHINE_ARM64
                                      : LAYOUT_MACHINE_AMD64;
    for (size_t i = 0; i < search->count; i++) {
        const struct layout *row = layout_find(search->candidates[i].minor, machine);
        if (row != NULL) {
            struct error *error = module_check(search->memory, address, row);
            if (error == NULL) {
                return row;
            }
            image_version_note(search, error);
        }
    }
    return NULL;
}

/* The candidate to believe: the one that schedinit uses, else the only minor number there is. */
static const struct image_version_candidate *image_version_choose(struct image_version *search,
                                                                  uint64_t address)
{
    const struct layout *row = image_version_row(search, address);
    struct module *module = NULL;
    const struct image_version_candidate *hit = NULL;
    if (row != NULL) {
        struct error *error = module_create(search->memory, address, row, &module);
        if (error == NULL) {
            hit = image_version_referenced(search, &module->tables, row);
        }
        image_version_note(search, error);
        module_destroy(module);
    }
    for (size_t i = 1; hit == NULL && i < search->count; i++) {
        if (search->candidates[i].minor != search->candidates[0].minor) {
            return NULL;
        }
    }
    return hit != NULL || search->count == 0 ? hit : &search->candidates[0];
}

/* Searches noptrdata and data, which every release has at the same place of moduledata. */
static struct error *image_version_search(struct image_version *search, uint64_t address)
{
    uint8_t words[MODULE_WORDS * sizeof(uint64_t)];
    TRY(target_read(search->memory->target, address, words, sizeof words));
    for (size_t i = 0; i < 2; i++) {
        const uint8_t *range = words + (MODULE_WORD_NOPTRDATA + 2 * i) * sizeof(uint64_t);
        uint64_t start = bytes_u64(range);
        uint64_t extent = memory_extent(search->memory, start);
        uint64_t size = bytes_u64(range + 8) - start;
        extent = extent < IMAGE_VERSION_DATA_MAX ? extent : IMAGE_VERSION_DATA_MAX;
        TRY(memory_walk(search->memory, start, start + (size < extent ? size : extent), 16,
                        image_version_visit, search));
    }
    return search->error;
}

/* Search, then choice. */
struct error *image_version_find(struct memory *memory, uint64_t address, uint32_t magic,
                                 char **ret)
{
    CLEANUP_FREE struct image_version *search = calloc(1, sizeof *search);
    if (search == NULL) {
        return error_no_memory();
    }
    search->memory = memory;
    search->magic = magic;
    TRY(image_version_search(search, address));
    const struct image_version_candidate *choice = image_version_choose(search, address);
    TRY(search->error);
    if (choice == NULL) {
        return error_create(ERROR_UNSUPPORTED,
                            "a Go program without build info that does not tell its Go version");
    }
    *ret = strndup(choice->text, choice->size);
    return *ret == NULL ? error_no_memory() : NULL;
}
