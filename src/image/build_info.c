/* Format (debug/buildinfo and cmd/link's buildinfo of Go 1.18 to 1.27):
 *   0  14 bytes  FF " Go buildinf:"      14  u8  pointer size      15  u8  flags
 *   flags bit 0: big-endian pointers; bit 1: strings inline (always since 1.18)
 *   32  uvarint size, Go version; uvarint size, module text between two 16-byte sentinels
 * Without bit 1 (Go 1.13 to 1.17) two pointers to Go strings follow at 16 instead.
 * Module text: lines "path\tP", "mod\tpath\tversion\tsum", "dep\t...", "=>\t..." (replaces the dep
 * above), "build\tkey=value". Unknown lines are skipped, so are texts without sentinels. */
#include "image/build_info.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/string_builder.h"
#include <stdlib.h>
#include <string.h>

enum {
    BUILD_INFO_HEADER_SIZE = 32,
    BUILD_INFO_FLAG_INLINE = 2,
    BUILD_INFO_SENTINEL_SIZE = 16,
    BUILD_INFO_VERSION_MAX = 4096,
    BUILD_INFO_SEGMENTS_MAX = 16 /* writable segments searched; real files have one or two */
};

/* A piece of text that is not NUL-terminated. */
struct build_info_text {
    const char *text;
    size_t size;
};

/* What the lines said, before it moves into one block. */
struct build_info_fields {
    struct build_info_text go_version, path, module, version, revision, revision_time;
    bool modified;
    struct string_builder settings;
    struct string_builder dependencies;
};

/* Frees the growing parts. */
static void build_info_fields_deinit(struct build_info_fields *fields)
{
    string_builder_deinit(&fields->settings);
    string_builder_deinit(&fields->dependencies);
}

/* Cuts the text up to SEPARATOR off the front of REST. */
static struct build_info_text build_info_cut(struct build_info_text *rest, char separator)
{
    struct build_info_text piece = *rest;
    const char *found = rest->size > 0 ? memchr(rest->text, separator, rest->size) : NULL;
    if (found == NULL) {
        rest->text += rest->size;
        rest->size = 0;
        return piece;
    }
    piece.size = (size_t)(found - rest->text);
    rest->text += piece.size + 1;
    rest->size -= piece.size + 1;
    return piece;
}

/* True when PIECE is exactly WORD. */
static bool build_info_is(struct build_info_text piece, const char *word)
{
    return piece.size == strlen(word) && memcmp(piece.text, word, piece.size) == 0;
}

/* Appends "path version" to the dependencies, on a new line unless a replacement. */
static void build_info_add_dependency(struct build_info_fields *fields, const char *before,
                                      struct build_info_text rest)
{
    struct build_info_text path = build_info_cut(&rest, '\t');
    struct build_info_text version = build_info_cut(&rest, '\t');
    if (fields->dependencies.size > 0) {
        string_builder_add(&fields->dependencies, before);
    }
    string_builder_add_bytes(&fields->dependencies, path.text, path.size);
    if (version.size > 0) {
        string_builder_add_char(&fields->dependencies, ' ');
        string_builder_add_bytes(&fields->dependencies, version.text, version.size);
    }
}

/* Takes one "key=value" of the build settings. */
static void build_info_add_setting(struct build_info_fields *fields, struct build_info_text line)
{
    if (fields->settings.size > 0) {
        string_builder_add_char(&fields->settings, '\n');
    }
    string_builder_add_bytes(&fields->settings, line.text, line.size);
    struct build_info_text value = line;
    struct build_info_text key = build_info_cut(&value, '=');
    if (build_info_is(key, "vcs.revision")) {
        fields->revision = value;
    } else if (build_info_is(key, "vcs.time")) {
        fields->revision_time = value;
    } else if (build_info_is(key, "vcs.modified")) {
        fields->modified = build_info_is(value, "true");
    }
}

/* Takes every line of the module text. */
static void build_info_parse_lines(struct build_info_fields *fields, struct build_info_text rest)
{
    while (rest.size > 0) {
        struct build_info_text line = build_info_cut(&rest, '\n');
        struct build_info_text kind = build_info_cut(&line, '\t');
        if (build_info_is(kind, "path")) {
            fields->path = line;
        } else if (build_info_is(kind, "mod")) {
            fields->module = build_info_cut(&line, '\t');
            fields->version = build_info_cut(&line, '\t');
        } else if (build_info_is(kind, "dep")) {
            build_info_add_dependency(fields, "\n", line);
        } else if (build_info_is(kind, "=>")) {
            build_info_add_dependency(fields, " => ", line);
        } else if (build_info_is(kind, "build")) {
            build_info_add_setting(fields, line);
        }
    }
}

/* Appends TEXT and a NUL to BLOCK and says where it starts. */
static size_t build_info_place(struct string_builder *block, const char *text, size_t size)
{
    size_t start = block->size;
    if (size > 0) {
        string_builder_add_bytes(block, text, size);
    }
    string_builder_add_char(block, '\0');
    return start;
}

/* Moves FIELDS into one heap block. */
static struct error *build_info_finish(const struct build_info_fields *fields,
                                       struct image_build_info *ret, char **storage)
{
    const struct build_info_text texts[] = {
        fields->go_version,
        fields->path,
        fields->module,
        fields->version,
        fields->revision,
        fields->revision_time,
        {fields->settings.text, fields->settings.size},
        {fields->dependencies.text, fields->dependencies.size},
    };
    enum { COUNT = sizeof texts / sizeof texts[0] };
    size_t starts[COUNT];
    TRY(string_builder_error(&fields->settings));
    TRY(string_builder_error(&fields->dependencies));
    CLEANUP(string_builder_deinit) struct string_builder block = {0};
    for (size_t i = 0; i < COUNT; i++) {
        starts[i] = build_info_place(&block, texts[i].text, texts[i].size);
    }
    TRY(string_builder_error(&block));
    char *text;
    TRY(string_builder_take(&block, &text));
    *ret = (struct image_build_info){
        .go_version = text + starts[0],
        .path = text + starts[1],
        .module = text + starts[2],
        .version = text + starts[3],
        .revision = text + starts[4],
        .revision_time = text + starts[5],
        .modified = fields->modified,
        .settings = text + starts[6],
        .dependencies = text + starts[7],
    };
    *storage = text;
    return NULL;
}

/* Reads one length-prefixed string. */
static struct error *build_info_parse_string(struct cursor *cursor, struct build_info_text *ret)
{
    uint64_t size;
    const uint8_t *bytes;
    TRY(cursor_uvarint(cursor, &size));
    TRY(cursor_bytes(cursor, size, &bytes));
    *ret = (struct build_info_text){(const char *)bytes, (size_t)size};
    return NULL;
}

/* Header, version, module text. */
struct error *build_info_parse(struct image_bytes blob, struct image_build_info *ret,
                               char **storage)
{
    if (blob.size < BUILD_INFO_HEADER_SIZE ||
        memcmp(blob.data, BUILD_INFO_MAGIC, BUILD_INFO_MAGIC_SIZE) != 0) {
        return error_create(ERROR_NOT_FOUND, "no Go build info");
    }
    if ((blob.data[15] & BUILD_INFO_FLAG_INLINE) == 0) {
        return error_create(ERROR_UNSUPPORTED, "Go build info: the form of Go 1.17 and older");
    }
    struct cursor cursor;
    cursor_init(&cursor, blob.data, blob.size, "Go build info", 0);
    TRY(cursor_skip(&cursor, BUILD_INFO_HEADER_SIZE));
    CLEANUP(build_info_fields_deinit) struct build_info_fields fields = {0};
    struct build_info_text lines;
    TRY(build_info_parse_string(&cursor, &fields.go_version));
    TRY(build_info_parse_string(&cursor, &lines));
    if (fields.go_version.size == 0 || fields.go_version.size > BUILD_INFO_VERSION_MAX) {
        return error_create(ERROR_CORRUPT, "Go build info: a version of %zu bytes",
                            fields.go_version.size);
    }
    if (lines.size >= 2 * BUILD_INFO_SENTINEL_SIZE) {
        lines.text += BUILD_INFO_SENTINEL_SIZE;
        lines.size -= (size_t)2 * BUILD_INFO_SENTINEL_SIZE;
        build_info_parse_lines(&fields, lines);
    }
    return build_info_finish(&fields, ret, storage);
}

/* Nothing but a version. */
struct error *build_info_create_unknown(const char *go_version, size_t size,
                                        struct image_build_info *ret, char **storage)
{
    struct build_info_fields fields = {.go_version = {go_version, size}};
    return build_info_finish(&fields, ret, storage);
}

/* Follows the version pointer of the form of Go 1.13 to 1.17, as far as the file holds it. */
static struct error *build_info_read_pointers(const struct elf_file *file, struct image_bytes blob,
                                              struct image_build_info *ret, char **storage)
{
    struct image_bytes header = {NULL, 0};
    struct image_bytes text = {NULL, 0};
    if (blob.data[14] == sizeof(uint64_t) && (blob.data[15] & 1) == 0) {
        header = elf_file_bytes_at(file, bytes_u64(blob.data + 16));
    }
    if (header.size >= 16) {
        text = elf_file_bytes_at(file, bytes_u64(header.data));
        uint64_t size = bytes_u64(header.data + 8);
        text.size = size <= text.size && size <= BUILD_INFO_VERSION_MAX ? (size_t)size : 0;
    }
    return build_info_create_unknown((const char *)text.data, text.size, ret, storage);
}

/* Either form of the blob at BLOB. */
static struct error *build_info_read_blob(const struct elf_file *file, struct image_bytes blob,
                                          struct image_build_info *ret, char **storage)
{
    struct error *error = build_info_parse(blob, ret, storage);
    if (error_catch(&error, ERROR_UNSUPPORTED)) {
        return build_info_read_pointers(file, blob, ret, storage);
    }
    return error;
}

/* Searches one segment; the text alone may occur elsewhere, so broken finds are passed over. */
static struct error *build_info_search(const struct elf_file *file, const Elf64_Phdr *segment,
                                       struct image_build_info *ret, char **storage)
{
    struct image_bytes rest = elf_file_segment_bytes(file, segment);
    const uint8_t *start = rest.data;
    while (rest.size >= BUILD_INFO_HEADER_SIZE) {
        const uint8_t *found =
            memmem(rest.data, rest.size, BUILD_INFO_MAGIC, BUILD_INFO_MAGIC_SIZE);
        if (found == NULL) {
            break;
        }
        rest.size -= (size_t)(found - rest.data);
        rest.data = found;
        uint64_t address = segment->p_vaddr + (uint64_t)(found - start);
        if (address % BUILD_INFO_ALIGNMENT == 0) {
            struct error *error = build_info_read_blob(file, rest, ret, storage);
            if (!error_catch(&error, ERROR_NOT_FOUND) && !error_catch(&error, ERROR_CORRUPT)) {
                return error;
            }
        }
        rest.data += BUILD_INFO_MAGIC_SIZE;
        rest.size -= BUILD_INFO_MAGIC_SIZE;
    }
    return error_create(ERROR_NOT_FOUND, "no Go build info");
}

/* The section first: it saves the search. */
struct error *build_info_read(const struct elf_file *file, struct image_build_info *ret,
                              char **storage)
{
    Elf64_Shdr section;
    if (elf_file_find_section(file, ".go.buildinfo", &section)) {
        struct image_bytes bytes = elf_file_section_bytes(file, &section);
        if (bytes.size >= BUILD_INFO_HEADER_SIZE) {
            struct error *error = build_info_read_blob(file, bytes, ret, storage);
            if (!error_catch(&error, ERROR_NOT_FOUND) && !error_catch(&error, ERROR_CORRUPT)) {
                return error;
            }
        }
    }
    int searched = 0;
    for (size_t i = 0; i < file->segment_count && searched < BUILD_INFO_SEGMENTS_MAX; i++) {
        Elf64_Phdr segment = elf_file_segment(file, i);
        if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) == 0) {
            continue;
        }
        searched++;
        struct error *error = build_info_search(file, &segment, ret, storage);
        if (!error_catch(&error, ERROR_NOT_FOUND)) {
            return error;
        }
    }
    return error_create(ERROR_NOT_FOUND, "no Go build info");
}
