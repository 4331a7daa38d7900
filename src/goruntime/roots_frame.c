/* Stack maps and stack objects.
 *
 * Source: runtime/stkframe.go, stack.go, symtab.go of Go 1.18 to 1.27. A stack map is {int32 n,
 * int32 nbit, n bitmaps of ceil(nbit / 8) bytes}; PCDATA_StackMapIndex at the continuation pc - 1
 * (the pc itself at a function's entry) chooses one, -1 means 0. Stack objects: uint64 count, then
 * records of 16 bytes {int32 off, int32 size, int32 ptrbytes, uint32 mask offset from rodata};
 * ptrbytes < 0 (up to 1.23) is a program. */
#include "goruntime/roots_frame.h"
#include "base/arena.h"
#include "base/bytes.h"
#include "base/cursor.h"
#include "base/hash_map.h"
#include <stdlib.h>
#include <string.h>

enum {
    ROOTS_FRAME_MAP_BITS_MAX = 1 << 24,
    ROOTS_FRAME_OBJECTS_MAX = 1 << 16,
    ROOTS_FRAME_MASK_MAX = 1 << 24, /* bytes */
    ROOTS_FRAME_STUB_WORDS = 64     /* arguments that a reflect stub may hold */
};

struct roots_frames {
    const struct unwind_rules *rules;
    struct image *image;
    struct hash_map index; /* (pc, origin) hashed -> struct roots_frame * */
    struct arena storage;
};

struct error *roots_frames_create(const struct unwind_rules *rules, struct image *image,
                                  struct roots_frames **ret)
{
    struct roots_frames *frames = calloc(1, sizeof *frames);
    if (frames == NULL) {
        return error_no_memory();
    }
    frames->rules = rules;
    frames->image = image;
    *ret = frames;
    return NULL;
}

void roots_frames_destroy(struct roots_frames *frames)
{
    if (frames != NULL) {
        hash_map_deinit(&frames->index);
        arena_deinit(&frames->storage);
        free(frames);
    }
}

/* The bitmap of FUNCDATA KIND for stack map INDEX; leaves RET as it is when there is no such table.
 */
static struct error *roots_frame_bitmap(const struct function *function, enum function_data kind,
                                        int32_t index, struct roots_frame_map *ret)
{
    struct image_bytes data;
    TRY(function_data(function, kind, &data));
    if (data.data == NULL) {
        return NULL;
    }
    struct cursor cursor;
    uint32_t count;
    uint32_t bits;
    cursor_init(&cursor, data.data, data.size, "stack map", 0);
    TRY(cursor_u32(&cursor, &count));
    TRY(cursor_u32(&cursor, &bits));
    if (bits > ROOTS_FRAME_MAP_BITS_MAX || index < 0 || (uint32_t)index >= count) {
        return error_create(ERROR_CORRUPT, "stack map %d of %u with %u bits", index, count, bits);
    }
    uint64_t bytes = ((uint64_t)bits + 7) / 8;
    TRY(cursor_skip(&cursor, bytes * (uint32_t)index));
    TRY(cursor_bytes(&cursor, bytes, &ret->bits));
    ret->count = bits;
    ret->conservative = false;
    return NULL;
}

/* Decodes one stack object record. */
static struct error *roots_frame_object(struct roots_frames *frames, struct cursor *cursor,
                                        const struct module_tables *tables,
                                        struct roots_frame_object *ret)
{
    uint32_t offset;
    uint32_t size;
    uint32_t pointers;
    uint32_t mask;
    TRY(cursor_u32(cursor, &offset));
    TRY(cursor_u32(cursor, &size));
    TRY(cursor_u32(cursor, &pointers));
    TRY(cursor_u32(cursor, &mask));
    *ret = (struct roots_frame_object){.offset = (int32_t)offset, .size = size};
    if ((int32_t)pointers < 0 || pointers > size || pointers / 64 > ROOTS_FRAME_MASK_MAX) {
        return NULL;
    }
    size_t bytes = (pointers / 8 + 7) / 8;
    void *copy;
    TRY(arena_allocate(&frames->storage, bytes + 8, 8, &copy));
    memset(copy, 0, bytes + 8);
    struct error *error = image_read_static(frames->image, tables->rodata + mask, copy, bytes);
    if (error != NULL) {
        error_destroy(error); /* without its mask the object is read conservatively */
        return NULL;
    }
    ret->mask = copy;
    ret->words = pointers / 8;
    return NULL;
}

/* Decodes the stack objects of FRAME. */
static struct error *roots_frame_objects(struct roots_frames *frames, struct roots_frame *frame)
{
    struct image_bytes data;
    TRY(function_data(&frame->step.function, FUNCTION_DATA_STACK_OBJECTS, &data));
    if (data.data == NULL) {
        return NULL;
    }
    struct cursor cursor;
    uint64_t count;
    cursor_init(&cursor, data.data, data.size, "stack objects", 0);
    TRY(cursor_u64(&cursor, &count));
    if (count > ROOTS_FRAME_OBJECTS_MAX) {
        return error_create(ERROR_CORRUPT, "%llu stack objects", (unsigned long long)count);
    }
    void *list;
    TRY(arena_allocate(&frames->storage, count * sizeof(struct roots_frame_object) + 1, 8, &list));
    struct roots_frame_object *objects = list;
    for (uint64_t i = 0; i < count; i++) {
        TRY(roots_frame_object(frames, &cursor, module_tables(frame->step.function.module),
                               &objects[i]));
    }
    frame->objects = objects;
    frame->object_count = (uint32_t)count;
    return NULL;
}

/* True for the stubs whose argument map only reflect knows. */
static bool roots_frame_is_stub(const char *name)
{
    return strcmp(name, "reflect.makeFuncStub") == 0 ||
           strcmp(name, "reflect.methodValueCall") == 0;
}

/* The pc at which FRAME goes on, 0 when it never does (runtime/traceback.go, continpc). */
static uint64_t roots_frame_continuation(const struct function *function, uint64_t pc,
                                         enum unwind_origin origin)
{
    if (origin != UNWIND_SIGPANIC) {
        return pc;
    }
    return function->deferreturn == 0 ? 0 : function->entry + function->deferreturn + 1;
}

/* Fills in the maps of FRAME, which is at PC. */
static struct error *roots_frame_maps(struct roots_frames *frames, uint64_t pc,
                                      enum unwind_origin origin, struct roots_frame *frame)
{
    const struct function *function = &frame->step.function;
    frame->locals.conservative = true;
    frame->arguments.conservative = function->args > 0;
    frame->arguments.count = function->args > 0 ? (uint32_t)function->args / 8 : 0;
    if (roots_frame_is_stub(function->name)) {
        frame->arguments.conservative = true;
        frame->arguments.count = ROOTS_FRAME_STUB_WORDS;
        return NULL;
    }
    uint64_t target = roots_frame_continuation(function, pc, origin);
    if (target == 0) {
        frame->dead = true;
        return NULL;
    }
    target -= target != function->entry;
    int32_t index;
    TRY(function_pcdata(function, FUNCTION_PCDATA_STACK_MAP_INDEX, target, &index));
    index = index < 0 ? 0 : index;
    TRY(roots_frame_bitmap(function, FUNCTION_DATA_LOCALS_POINTER_MAPS, index, &frame->locals));
    if (function->args > 0) {
        TRY(roots_frame_bitmap(function, FUNCTION_DATA_ARGS_POINTER_MAPS, index,
                               &frame->arguments));
    }
    return roots_frame_objects(frames, frame);
}

/* Works out the facts for PC. */
static struct error *roots_frame_init(struct roots_frames *frames, uint64_t pc,
                                      enum unwind_origin origin, struct roots_frame *ret)
{
    *ret = (struct roots_frame){0};
    struct error *error = unwind_resolve(frames->rules, pc, origin, &ret->step);
    if (error != NULL) {
        enum error_code code = error_code(error);
        if (code != ERROR_NOT_FOUND && code != ERROR_CORRUPT) {
            return error;
        }
        error_destroy(error);
        return NULL;
    }
    ret->known = true;
    ret->injected = ret->step.caller == UNWIND_INJECTED;
    error = roots_frame_maps(frames, pc, origin, ret);
    if (error != NULL && error_catch(&error, ERROR_CORRUPT)) {
        /* Broken maps: nothing of the frame is known, so all of it counts. */
        ret->locals = (struct roots_frame_map){.conservative = true};
        ret->arguments =
            (struct roots_frame_map){.conservative = true, .count = ROOTS_FRAME_STUB_WORDS};
        ret->dead = false;
        ret->object_count = 0;
    }
    return error;
}

struct error *roots_frames_find(struct roots_frames *frames, uint64_t pc, enum unwind_origin origin,
                                const struct roots_frame **ret)
{
    uint64_t key = pc << 3 | (uint64_t)origin; /* text lies below 2^61 */
    const uint64_t *known = hash_map_get(&frames->index, key);
    if (known != NULL) {
        *ret = (const struct roots_frame *)(uintptr_t)*known;
        return NULL;
    }
    void *frame;
    TRY(arena_allocate(&frames->storage, sizeof(struct roots_frame), 16, &frame));
    TRY(roots_frame_init(frames, pc, origin, frame));
    TRY(hash_map_put(&frames->index, key, (uint64_t)(uintptr_t)frame));
    *ret = frame;
    return NULL;
}
