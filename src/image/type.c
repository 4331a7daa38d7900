/* abi.Type, 48 bytes in Go 1.18 to 1.27 (the row has the places): size, ptrdata, tflag, kind (low
 * five bits; bit 6: GC program until 1.23), gcdata, str. str is an offset from the module's types
 * to a name: a byte of flags, uvarint length, bytes. tflag bit 1: the name is that of the pointer
 * to the type; bit 4: the mask is built on demand (since 1.24). */
#include "image/type.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/cursor.h"
#include "image/module.h"
#include <stdlib.h>

enum {
    TYPE_SIZE_MAX = 256, /* of a row's descriptor */
    TYPE_NAME_MAX = 64 * 1024,
    TYPE_NAME_PREFIX_MAX = 11, /* flags and length */
    TYPE_FLAG_EXTRA_STAR = 2,
    TYPE_FLAG_GC_ON_DEMAND = 16,
    TYPE_KIND_MASK = 31,
    TYPE_KIND_GC_PROGRAM = 64,
    TYPE_MINOR_GC_ON_DEMAND = 24
};

/* The module whose types hold ADDRESS, or NULL. */
static const struct module *type_module(const struct image *image, uint64_t address)
{
    for (size_t i = 0; i < image->modules.count; i++) {
        const struct module_tables *tables = &image->modules.items[i]->tables;
        if (address >= tables->types && address < tables->etypes) {
            return image->modules.items[i];
        }
    }
    return NULL;
}

/* Decodes what the row says. */
struct error *type_read(struct image *image, uint64_t address, struct type *ret)
{
    const struct module *module = type_module(image, address);
    const struct layout *layout = image->layout;
    uint8_t bytes[TYPE_SIZE_MAX];
    size_t size = (size_t)layout->type.size;
    if (module == NULL || address % sizeof(uint64_t) != 0 || size > sizeof bytes ||
        size > module->tables.etypes - address) {
        return error_create(ERROR_NOT_FOUND, "no Go type at 0x%llx", (unsigned long long)address);
    }
    TRY(image_read_static(image, address, bytes, size));
    uint8_t kind = bytes[layout->type.kind];
    uint8_t flags = bytes[layout->type.tflag];
    bool on_demand = layout->minor >= TYPE_MINOR_GC_ON_DEMAND;
    *ret = (struct type){
        .address = address,
        .size = bytes_u64(bytes + layout->type.bytes),
        .ptrdata = bytes_u64(bytes + layout->type.ptrdata),
        .gcdata = bytes_u64(bytes + layout->type.gcdata),
        .name = bytes_i32(bytes + layout->type.str),
        .kind = (enum type_kind)(kind & TYPE_KIND_MASK),
        .extra_star = (flags & TYPE_FLAG_EXTRA_STAR) != 0,
        .gc_program = !on_demand && (kind & TYPE_KIND_GC_PROGRAM) != 0,
        .gc_on_demand = on_demand && (flags & TYPE_FLAG_GC_ON_DEMAND) != 0,
    };
    if (ret->kind == TYPE_KIND_INVALID || ret->kind >= TYPE_KIND_COUNT ||
        ret->ptrdata > ret->size) {
        return error_create(ERROR_CORRUPT, "the Go type at 0x%llx makes no sense",
                            (unsigned long long)address);
    }
    return NULL;
}

/* Length of the name at ADDRESS, of which ROOM bytes at most are in the types; *SKIP is where its
 * bytes start. */
static struct error *type_name_size(struct image *image, uint64_t address, uint64_t room,
                                    uint64_t *skip, uint64_t *ret)
{
    uint8_t prefix[TYPE_NAME_PREFIX_MAX];
    size_t size = room < sizeof prefix ? (size_t)room : sizeof prefix;
    TRY(image_read_static(image, address, prefix, size));
    struct cursor cursor;
    cursor_init(&cursor, prefix, size, "Go type name", address);
    TRY(cursor_skip(&cursor, 1));
    TRY(cursor_uvarint(&cursor, ret));
    *skip = (uint64_t)(cursor.position - cursor.start);
    if (*ret > TYPE_NAME_MAX || *ret > room - *skip) {
        return error_create(ERROR_CORRUPT, "a Go type name of %llu bytes",
                            (unsigned long long)*ret);
    }
    return NULL;
}

/* Descriptor, length, bytes. */
struct error *type_name(struct image *image, uint64_t address, struct string_builder *ret)
{
    struct type type;
    TRY(type_read(image, address, &type));
    const struct module_tables *tables = &type_module(image, address)->tables;
    if (type.name <= 0 || (uint64_t)type.name >= tables->etypes - tables->types) {
        return error_create(ERROR_NOT_FOUND, "the Go type at 0x%llx has no name in its module",
                            (unsigned long long)address);
    }
    uint64_t start = tables->types + (uint64_t)type.name;
    uint64_t skip;
    uint64_t size;
    TRY(type_name_size(image, start, tables->etypes - start, &skip, &size));
    CLEANUP_FREE char *text = malloc(size + 1);
    if (text == NULL) {
        return error_no_memory();
    }
    TRY(image_read_static(image, start + skip, text, size));
    size_t star = type.extra_star && size > 0 && text[0] == '*' ? 1 : 0;
    string_builder_add_bytes(ret, text + star, size - star);
    return string_builder_error(ret);
}
