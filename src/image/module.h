/* Inside of the room: one module (pclntab and moduledata) and the image that holds all of a target.
 */
#ifndef UNPARK_IMAGE_MODULE_H
#define UNPARK_IMAGE_MODULE_H

#include "base/vector.h"
#include "image/function.h"
#include "image/image.h"
#include "image/memory.h"

/* Magic numbers of the pclntab header over time. */
#define MODULE_MAGIC_GO1_2 0xfffffffbu
#define MODULE_MAGIC_GO1_16 0xfffffffau
#define MODULE_MAGIC_GO1_18 0xfffffff0u
#define MODULE_MAGIC_GO1_20 0xfffffff1u

/* Words of moduledata that lie at equal places in Go 1.18 to 1.27 (the first seven since 1.16), as
 * indices of 8-byte words; a slice is {pointer, length, capacity}. */
enum module_word {
    MODULE_WORD_HEADER = 0,
    MODULE_WORD_FUNCNAMETAB = 1,
    MODULE_WORD_CUTAB = 4,
    MODULE_WORD_FILETAB = 7,
    MODULE_WORD_PCTAB = 10,
    MODULE_WORD_PCLNTABLE = 13,
    MODULE_WORD_FTAB = 16,
    MODULE_WORD_MINPC = 20,
    MODULE_WORD_MAXPC = 21,
    MODULE_WORD_TEXT = 22,
    MODULE_WORD_ETEXT = 23,
    MODULE_WORD_NOPTRDATA = 24, /* then enoptrdata, data, edata, bss, ebss, noptrbss, enoptrbss */
    MODULE_WORDS = 32
};

/* What a moduledata candidate turned out to be. */
enum module_kind {
    MODULE_KIND_NONE,    /* not moduledata */
    MODULE_KIND_CURRENT, /* Go 1.18 or newer */
    MODULE_KIND_OLD,     /* Go 1.16 or 1.17 */
    MODULE_KIND_ALTERED, /* right in shape, but with a magic number of no release */
    MODULE_KIND_FOREIGN  /* Go 1.18 or newer, for another machine than the target's */
};

/* One module. Its bytes belong to the image's memory. */
struct module {
    struct module_tables tables;
    const struct layout *layout;
    uint64_t next; /* moduledata.next */
};

struct function_name_index;

/* All modules of a target. */
struct image {
    struct target *target; /* not owned; NULL when made from tables */
    struct memory memory;
    VECTOR(struct module *) modules;
    const struct layout *layout;
    struct image_build_info build_info;
    char *build_info_storage;
    char *go_version;
    char *build_id;
    struct function_name_index *names;         /* NULL until a function is looked for by name */
    struct function_name_index *runtime_names; /* of package runtime, likewise */
};

/* True when the words could be the start of a moduledata; a quick look that few data pass. BYTES
 * has room for MODULE_WORDS. */
bool module_looks_right(const uint8_t *bytes);

/* Decides about the moduledata at ADDRESS by comparing it with the header it points to; *MAGIC is
 * the header's. Unreadable memory is MODULE_KIND_NONE. ERROR_GONE when the target ended. */
NODISCARD struct error *module_examine(struct memory *memory, uint64_t address,
                                       enum module_kind *ret, uint32_t *magic);

/* Checks that the moduledata at ADDRESS makes sense in the shape of LAYOUT: ERROR_UNSUPPORTED with
 * the first field that does not. */
NODISCARD struct error *module_check(struct memory *memory, uint64_t address,
                                     const struct layout *layout);

/* Loads the module at ADDRESS, which module_check accepted. Errors as memory_load. */
NODISCARD struct error *module_create(struct memory *memory, uint64_t address,
                                      const struct layout *layout, struct module **ret);
void module_destroy(struct module *module);

/* The NUL-terminated string at OFFSET of TABLE, or NULL when it is not all inside (or
 * longer than 1 MiB). */
const char *module_string(struct image_bytes table, uint64_t offset);

/* An image of one module around TABLES, whose bytes stay the caller's; for tests and fuzzing. There
 * is no target: image_read_static must not be called. */
NODISCARD struct error *image_create_from_tables(const struct module_tables *tables,
                                                 const struct layout *layout, struct image **ret);

#endif
