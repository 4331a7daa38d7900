/* profile.proto of github.com/google/pprof: protobuf messages whose fields may come in any order,
 * so the tables are collected in one pass and references are checked when all are there. Profile 1
 * sample_type*  2 sample*  3 mapping*  4 location*  5 function*  6 string_table* 9 time_nanos  13
 * comment* ValueType 1 type  2 unit             Mapping  5 filename  6 build_id Location  1 id  3
 * address  4 line*   Line     1 function_id  2 line Function  1 id  2 name  4 filename Invariants:
 * string 0 is empty; ids are unique and not 0; a table has at most one entry for every two bytes of
 * the file, and at most its limit. */
#include "ingest/pprof_file.h"
#include "base/cleanup.h"
#include <string.h>

enum {
    PPROF_FILE_ENTRIES_MAX = 8 << 20, /* of each table */
    PPROF_FILE_INLINED_MAX = 1024,    /* calls at one location */
    PPROF_FILE_TYPES_MAX = 64,
    PPROF_FILE_COMMENTS_MAX = 64
};

/* Wire types of protobuf. */
enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct error *pprof_file_field(struct cursor *message, struct pprof_field *ret)
{
    uint64_t tag;
    TRY(cursor_uvarint(message, &tag));
    *ret = (struct pprof_field){.number = (uint32_t)(tag >> 3)};
    if (tag >> 3 == 0 || tag >> 3 > UINT32_MAX >> 3) {
        return error_create(ERROR_CORRUPT, "%s: field number %llu", message->what,
                            (unsigned long long)(tag >> 3));
    }
    uint32_t word = 0;
    switch (tag & 7) {
    case WIRE_VARINT:
        return cursor_uvarint(message, &ret->value);
    case WIRE_FIXED64:
        return cursor_u64(message, &ret->value);
    case WIRE_FIXED32:
        TRY(cursor_u32(message, &word));
        ret->value = word;
        return NULL;
    case WIRE_BYTES:
        ret->is_bytes = true;
        TRY(cursor_uvarint(message, &ret->value));
        return cursor_sub(message, ret->value, message->what, &ret->bytes);
    default:
        return error_create(ERROR_CORRUPT, "%s: a field of wire type %u", message->what,
                            (unsigned)(tag & 7));
    }
}

/* ERROR_LIMIT when TABLE holds COUNT entries, as many as it may. */
static struct error *pprof_file_check_room(size_t count, size_t limit, const char *table)
{
    return count < limit ? NULL
                         : error_create(ERROR_LIMIT, "pprof file: more than %zu %s", limit, table);
}

struct error *pprof_file_string(const struct pprof_file *file, uint64_t index, uint32_t *ret)
{
    if (index >= file->strings.count) {
        return error_create(ERROR_CORRUPT, "pprof file: string %llu of %zu",
                            (unsigned long long)index, file->strings.count);
    }
    *ret = (uint32_t)index;
    return NULL;
}

/* The bytes of a field. */
static struct pprof_text pprof_file_text(const struct cursor *bytes)
{
    return (struct pprof_text){(const char *)bytes->start, cursor_left(bytes)};
}

/* Adds a string. */
static struct error *pprof_file_add_string(struct pprof_file *file, const struct cursor *bytes)
{
    TRY(pprof_file_check_room(file->strings.count, PPROF_FILE_ENTRIES_MAX, "strings"));
    return vector_append(&file->strings, pprof_file_text(bytes));
}

/* A reference that is checked when all tables are there. */
static uint32_t pprof_file_clip(uint64_t value)
{
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

/* Adds a ValueType. */
static struct error *pprof_file_add_type(struct pprof_file *file, struct cursor message)
{
    struct pprof_value_type type = {0};
    message.what = "pprof sample type";
    while (cursor_left(&message) > 0) {
        struct pprof_field field;
        TRY(pprof_file_field(&message, &field));
        type.type = field.number == 1 ? pprof_file_clip(field.value) : type.type;
        type.unit = field.number == 2 ? pprof_file_clip(field.value) : type.unit;
    }
    TRY(pprof_file_check_room(file->sample_types.count, PPROF_FILE_TYPES_MAX, "sample types"));
    return vector_append(&file->sample_types, type);
}

/* Adds a Function. */
static struct error *pprof_file_add_function(struct pprof_file *file, struct cursor message)
{
    struct pprof_function function = {0};
    message.what = "pprof function";
    while (cursor_left(&message) > 0) {
        struct pprof_field field;
        TRY(pprof_file_field(&message, &field));
        function.id = field.number == 1 ? field.value : function.id;
        function.name = field.number == 2 ? pprof_file_clip(field.value) : function.name;
        function.file = field.number == 4 ? pprof_file_clip(field.value) : function.file;
    }
    TRY(pprof_file_check_room(file->functions.count, PPROF_FILE_ENTRIES_MAX, "functions"));
    return vector_append(&file->functions, function);
}

/* Adds a Line; its function is found when all are there, until then it is the index of its id. */
static struct error *pprof_file_add_line(struct pprof_file *file, struct cursor message,
                                         uint64_t **ids, size_t *capacity)
{
    uint64_t function = 0;
    uint64_t number = 0;
    message.what = "pprof line";
    while (cursor_left(&message) > 0) {
        struct pprof_field field;
        TRY(pprof_file_field(&message, &field));
        function = field.number == 1 ? field.value : function;
        number = field.number == 2 ? field.value : number;
    }
    TRY(pprof_file_check_room(file->lines.count, PPROF_FILE_ENTRIES_MAX, "lines"));
    TRY(vector_grow((void **)ids, capacity, file->lines.count + 1, sizeof **ids));
    (*ids)[file->lines.count] = function;
    struct pprof_line line = {.line = number > INT32_MAX ? 0 : (uint32_t)number};
    return vector_append(&file->lines, line);
}

/* What lives only while the tables are collected. */
struct pprof_file_scratch {
    uint64_t *ids; /* by line: the function's id */
    size_t capacity;
    bool mapped; /* a mapping was seen */
};

/* Adds a Location. */
static struct error *pprof_file_add_location(struct pprof_file *file, struct cursor message,
                                             struct pprof_file_scratch *scratch)
{
    struct pprof_location location = {.first_line = (uint32_t)file->lines.count};
    message.what = "pprof location";
    while (cursor_left(&message) > 0) {
        struct pprof_field field;
        TRY(pprof_file_field(&message, &field));
        location.id = field.number == 1 ? field.value : location.id;
        location.address = field.number == 3 ? field.value : location.address;
        if (field.number == 4 && field.is_bytes) {
            TRY(pprof_file_add_line(file, field.bytes, &scratch->ids, &scratch->capacity));
            location.line_count++;
        }
    }
    TRY(pprof_file_check_room(location.line_count, PPROF_FILE_INLINED_MAX,
                              "inlined calls at one place"));
    TRY(pprof_file_check_room(file->locations.count, PPROF_FILE_ENTRIES_MAX, "locations"));
    return vector_append(&file->locations, location);
}

/* Takes what the first Mapping, which is the main program, tells. */
static struct error *pprof_file_add_mapping(struct pprof_file *file, struct cursor message,
                                            struct pprof_file_scratch *scratch)
{
    message.what = "pprof mapping";
    while (cursor_left(&message) > 0) {
        struct pprof_field field;
        TRY(pprof_file_field(&message, &field));
        if (!scratch->mapped && field.number == 5) {
            file->executable = pprof_file_clip(field.value);
        } else if (!scratch->mapped && field.number == 6) {
            file->build_id = pprof_file_clip(field.value);
        }
    }
    scratch->mapped = true;
    return NULL;
}

/* Adds a comment, or several packed ones. */
static struct error *pprof_file_add_comment(struct pprof_file *file, struct pprof_field *field)
{
    while (field->is_bytes && cursor_left(&field->bytes) > 0) {
        uint64_t value;
        TRY(cursor_uvarint(&field->bytes, &value));
        TRY(pprof_file_check_room(file->comments.count, PPROF_FILE_COMMENTS_MAX, "comments"));
        TRY(vector_append(&file->comments, pprof_file_clip(value)));
    }
    if (field->is_bytes) {
        return NULL;
    }
    TRY(pprof_file_check_room(file->comments.count, PPROF_FILE_COMMENTS_MAX, "comments"));
    return vector_append(&file->comments, pprof_file_clip(field->value));
}

/* Takes one field of the Profile. */
static struct error *pprof_file_add(struct pprof_file *file, struct pprof_field *field,
                                    struct pprof_file_scratch *scratch)
{
    if (field->number == 13) {
        return pprof_file_add_comment(file, field);
    }
    if (!field->is_bytes) {
        file->time_nanos = field->number == 9 ? (int64_t)field->value : file->time_nanos;
        return NULL;
    }
    switch (field->number) {
    case 1:
        return pprof_file_add_type(file, field->bytes);
    case 2:
        TRY(pprof_file_check_room(file->samples.count, PPROF_FILE_ENTRIES_MAX, "samples"));
        return vector_append(&file->samples, pprof_file_text(&field->bytes));
    case 3:
        return pprof_file_add_mapping(file, field->bytes, scratch);
    case 4:
        return pprof_file_add_location(file, field->bytes, scratch);
    case 5:
        return pprof_file_add_function(file, field->bytes);
    case 6:
        return pprof_file_add_string(file, &field->bytes);
    default:
        return NULL;
    }
}

/* By id. */
static int pprof_file_compare_functions(const void *left, const void *right)
{
    uint64_t a = ((const struct pprof_function *)left)->id;
    uint64_t b = ((const struct pprof_function *)right)->id;
    return (a > b) - (a < b);
}

/* By id. */
static int pprof_file_compare_locations(const void *left, const void *right)
{
    uint64_t a = ((const struct pprof_location *)left)->id;
    uint64_t b = ((const struct pprof_location *)right)->id;
    return (a > b) - (a < b);
}

/* The error for an id that is 0 or there twice. */
static struct error *pprof_file_bad_id(const char *what, uint64_t id)
{
    return error_create(ERROR_CORRUPT, "pprof file: %s id %llu%s", what, (unsigned long long)id,
                        id == 0 ? "" : " twice");
}

/* Sorts both tables by id and checks the ids. */
static struct error *pprof_file_sort(struct pprof_file *file)
{
    if (file->functions.count > 0) {
        qsort(file->functions.items, file->functions.count, sizeof *file->functions.items,
              pprof_file_compare_functions);
    }
    if (file->locations.count > 0) {
        qsort(file->locations.items, file->locations.count, sizeof *file->locations.items,
              pprof_file_compare_locations);
    }
    uint64_t last = 0;
    for (size_t i = 0; i < file->functions.count; last = file->functions.items[i++].id) {
        if (file->functions.items[i].id == last) {
            return pprof_file_bad_id("function", last);
        }
    }
    last = 0;
    for (size_t i = 0; i < file->locations.count; last = file->locations.items[i++].id) {
        if (file->locations.items[i].id == last) {
            return pprof_file_bad_id("location", last);
        }
    }
    return NULL;
}

/* The index of the function with ID; UINT32_MAX when there is none. */
static uint32_t pprof_file_function(const struct pprof_file *file, uint64_t id)
{
    struct pprof_function key = {.id = id};
    if (id - 1 < file->functions.count && file->functions.items[id - 1].id == id) {
        return (uint32_t)(id - 1); /* numbered from 1, as nearly every writer does */
    }
    struct pprof_function *found = file->functions.count == 0
                                       ? NULL
                                       : bsearch(&key, file->functions.items, file->functions.count,
                                                 sizeof key, pprof_file_compare_functions);
    return found == NULL ? UINT32_MAX : (uint32_t)(found - file->functions.items);
}

struct pprof_location *pprof_file_location(const struct pprof_file *file, uint64_t id)
{
    struct pprof_location key = {.id = id};
    if (id - 1 < file->locations.count && file->locations.items[id - 1].id == id) {
        return &file->locations.items[id - 1];
    }
    return file->locations.count == 0 ? NULL
                                      : bsearch(&key, file->locations.items, file->locations.count,
                                                sizeof key, pprof_file_compare_locations);
}

/* Checks every reference and finds the functions of the lines. */
static struct error *pprof_file_resolve(struct pprof_file *file, const uint64_t *ids)
{
    uint32_t string;
    TRY(pprof_file_sort(file));
    if (file->strings.count == 0 || file->strings.items[0].size != 0) {
        return error_create(ERROR_CORRUPT, "pprof file: string 0 is not empty");
    }
    for (size_t i = 0; i < file->functions.count; i++) {
        TRY(pprof_file_string(file, file->functions.items[i].name, &string));
        TRY(pprof_file_string(file, file->functions.items[i].file, &string));
    }
    for (size_t i = 0; i < file->sample_types.count; i++) {
        TRY(pprof_file_string(file, file->sample_types.items[i].type, &string));
        TRY(pprof_file_string(file, file->sample_types.items[i].unit, &string));
    }
    for (size_t i = 0; i < file->comments.count; i++) {
        TRY(pprof_file_string(file, file->comments.items[i], &string));
    }
    for (size_t i = 0; ids != NULL && i < file->lines.count; i++) {
        file->lines.items[i].function = pprof_file_function(file, ids[i]);
        if (ids[i] != 0 && file->lines.items[i].function == UINT32_MAX) {
            return error_create(ERROR_CORRUPT, "pprof file: there is no function %llu",
                                (unsigned long long)ids[i]);
        }
    }
    TRY(pprof_file_string(file, file->executable, &string));
    return pprof_file_string(file, file->build_id, &string);
}

struct error *pprof_file_init(struct pprof_file *file, const uint8_t *bytes, size_t size)
{
    *file = (struct pprof_file){0};
    struct cursor message;
    cursor_init(&message, bytes, size, "pprof file", 0);
    struct pprof_file_scratch scratch = {0};
    struct error *error = NULL;
    while (error == NULL && cursor_left(&message) > 0) {
        struct pprof_field field;
        error = pprof_file_field(&message, &field);
        if (error == NULL) {
            error = pprof_file_add(file, &field, &scratch);
        }
    }
    if (error == NULL) {
        error = pprof_file_resolve(file, scratch.ids);
    }
    free(scratch.ids);
    return error;
}

void pprof_file_deinit(struct pprof_file *file)
{
    vector_deinit(&file->strings);
    vector_deinit(&file->sample_types);
    vector_deinit(&file->functions);
    vector_deinit(&file->locations);
    vector_deinit(&file->lines);
    vector_deinit(&file->samples);
    vector_deinit(&file->comments);
}
