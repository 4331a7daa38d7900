/* Inline trees (runtime/symtabinl.go): an array of the row's inlined_call; an entry's parent_pc is
 * an offset from the function's entry, and what is at that pc are the callers. Both forms since
 * Go 1.18 are walked by it. The entry that holds at a pc is PCDATA InlTreeIndex. */
#include "image/function.h"

#include "base/bytes.h"
#include "image/module.h"

enum { FUNCTION_FRAMES_DEPTH_MAX = 512 };

#define FUNCTION_FRAMES_FILE_ABSENT 0xffffffffu

/* File and line at PC: pcfile counts in cutab from the function's unit, cutab leads into filetab.
 */
static struct error *function_frames_source(const struct function *function, uint64_t pc,
                                            struct function_frame *frame)
{
    const struct module_tables *tables = &function->module->tables;
    int32_t file;
    int32_t line;
    TRY(function_pcvalue(function, function->pcfile, pc, &file));
    TRY(function_pcvalue(function, function->pcln, pc, &line));
    frame->file = "";
    frame->line = line > 0 ? (uint32_t)line : 0;
    if (file < 0) {
        return NULL;
    }
    uint64_t index = (uint64_t)function->cu_offset + (uint32_t)file;
    if (index >= tables->cutab.size / 4) {
        return error_create(ERROR_CORRUPT, "pclntab: a file of %s is outside", function->name);
    }
    uint32_t offset = bytes_u32(tables->cutab.data + 4 * index);
    if (offset == FUNCTION_FRAMES_FILE_ABSENT) {
        return NULL;
    }
    frame->file = module_string(tables->filetab, offset);
    if (frame->file == NULL) {
        return error_create(ERROR_CORRUPT, "pclntab: a file name of %s is outside", function->name);
    }
    return NULL;
}

/* Fills FRAME from entry INDEX of the inline tree; *PARENT is the pc of its caller. */
static struct error *function_frames_inlined(const struct function *function,
                                             struct image_bytes tree, int32_t index,
                                             struct function_frame *frame, uint64_t *parent)
{
    const struct module *module = function->module;
    const struct layout *layout = module->layout;
    uint64_t size = (uint64_t)layout->inlined_call.size;
    uint64_t at = (uint64_t)index * size;
    if (tree.data == NULL || at > tree.size || size > tree.size - at) {
        return error_create(ERROR_CORRUPT, "pclntab: the inline tree of %s is too short",
                            function->name);
    }
    const uint8_t *call = tree.data + at;
    int32_t parent_offset = bytes_i32(call + layout->inlined_call.parent_pc);
    frame->name =
        module_string(module->tables.funcnametab, bytes_u32(call + layout->inlined_call.name_off));
    frame->func_id = call[layout->inlined_call.func_id];
    frame->start_line = layout->inlined_call.start_line == LAYOUT_ABSENT
                            ? 0
                            : bytes_i32(call + layout->inlined_call.start_line);
    frame->inlined = true;
    if (frame->name == NULL || parent_offset < 0 ||
        (uint64_t)parent_offset >= function->end - function->entry) {
        return error_create(ERROR_CORRUPT, "pclntab: an inlined call of %s is broken",
                            function->name);
    }
    *parent = function->entry + (uint64_t)parent_offset;
    return NULL;
}

/* Each frame's source is at its own pc; the pc of the next comes from the inline tree. */
struct error *function_frames(const struct function *function, uint64_t pc,
                              struct function_frame *frames, size_t capacity, size_t *count)
{
    struct image_bytes tree;
    TRY(function_data(function, FUNCTION_DATA_INLINE_TREE, &tree));
    *count = 0;
    while (*count < FUNCTION_FRAMES_DEPTH_MAX) {
        struct function_frame frame = {
            .name = function->name,
            .pc = pc,
            .start_line = function->start_line,
            .func_id = function->func_id,
        };
        int32_t index = -1;
        TRY(function_frames_source(function, pc, &frame));
        if (tree.data != NULL) {
            TRY(function_pcdata(function, FUNCTION_PCDATA_INLINE_TREE_INDEX, pc, &index));
        }
        if (index >= 0) {
            TRY(function_frames_inlined(function, tree, index, &frame, &pc));
        }
        if (*count < capacity) {
            frames[*count] = frame;
        }
        (*count)++;
        if (index < 0) {
            return NULL;
        }
    }
    return error_create(ERROR_CORRUPT, "pclntab: the inlined calls of %s have no end",
                        function->name);
}
