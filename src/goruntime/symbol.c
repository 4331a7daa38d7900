/* The runtime's traceback decides frame by frame from the innermost outwards (runtime/traceback.go,
 * traceback2): what a wrapper called, and whether anything was shown before, come from the callees.
 */
#include "goruntime/symbol.h"

#include "goruntime/symbol_name.h"
#include <string.h>

enum { SYMBOL_LOGICAL_CAPACITY = 32, SYMBOL_LOGICAL_MAX = 4096 };

/* Up to this release the traceback looks at which arguments are live where the outermost of the
 * inlined calls is, and since then where the innermost is. */
enum { SYMBOL_OUTER_LIVENESS_LAST = 20 };

/* What the callees of a frame leave to it. */
struct symbol_context {
    uint8_t callee_id;
    bool shown;
    bool outside; /* one of the frames since is outside of package runtime */
};

/* Where the standard library's sources were when the program was built, from those of package
 * runtime. */
static struct error *symbols_find_library(struct symbols *symbols, struct image *image)
{
    static const char tail[] = "runtime/proc.go";
    struct function function;
    size_t count;
    struct error *error = function_find_name(image, "runtime.main", &function);
    if (error == NULL) {
        error = function_frames(&function, function.entry, symbols->logical, 1, &count);
    }
    if (error_catch(&error, ERROR_NOT_FOUND) || error_catch(&error, ERROR_CORRUPT)) {
        return NULL;
    }
    TRY(error);
    size_t size = strlen(symbols->logical[0].file);
    if (size < sizeof tail - 1 ||
        strcmp(symbols->logical[0].file + size - (sizeof tail - 1), tail) != 0) {
        return NULL;
    }
    symbols->library_size = size - (sizeof tail - 1);
    symbols->library = strndup(symbols->logical[0].file, symbols->library_size);
    return symbols->library == NULL ? error_no_memory() : NULL;
}

/* Allocates the scratch space. */
struct error *symbols_init(struct symbols *symbols, struct image *image,
                           struct snapshot_builder *builder, bool arguments)
{
    *symbols = (struct symbols){
        .image = image, .layout = image_layout(image), .builder = builder, .arguments = arguments};
    symbols->logical = malloc(SYMBOL_LOGICAL_CAPACITY * sizeof *symbols->logical);
    if (symbols->logical == NULL) {
        return error_no_memory();
    }
    symbols->logical_capacity = SYMBOL_LOGICAL_CAPACITY;
    return symbols_find_library(symbols, image);
}

/* Frees everything. */
void symbols_deinit(struct symbols *symbols)
{
    string_builder_deinit(&symbols->text);
    free(symbols->library);
    free(symbols->logical);
    vector_deinit(&symbols->frames);
    vector_deinit(&symbols->path);
    vector_deinit(&symbols->stack);
    hash_map_deinit(&symbols->creators);
    hash_map_deinit(&symbols->starts);
    hash_map_deinit(&symbols->origins);
}

/* True when the package of SIZE bytes at NAME is PATH or below it. */
static bool symbol_is_below(const char *name, size_t size, const char *path)
{
    size_t length = strlen(path);
    return length > 0 && size >= length && memcmp(name, path, length) == 0 &&
           (size == length || name[length] == '/');
}

/* True when NAME, whose source is FILE, belongs to the standard library: its import path begins
 * without a dot, the main module is another, and its file is where the library's are; the runtime
 * has functions of other packages (sync.runtime_Semacquire). */
static bool symbol_is_library(const struct symbols *symbols, const char *name, const char *file)
{
    size_t size = symbol_name_package(name);
    const char *slash = memchr(name, '/', size);
    size_t first = slash == NULL ? size : (size_t)(slash - name);
    const char *module = image_build_info(symbols->image)->module;
    if (size == 0 || (size == 4 && memcmp(name, "main", 4) == 0) ||
        memchr(name, '.', first) != NULL || memchr(name, '%', first) != NULL ||
        symbol_is_below(name, size, module)) {
        return false;
    }
    if (symbols->library == NULL || strchr(file, '/') == NULL) {
        return true;
    }
    if (strncmp(file, symbols->library, symbols->library_size) != 0) {
        return false;
    }
    const char *path = file + symbols->library_size;
    return (strncmp(path, name, size) == 0 && path[size] == '/') ||
           strncmp(path, "runtime/", strlen("runtime/")) == 0;
}

/* The logical frames at PC of FUNCTION in symbols->logical; of broken tables the function alone. */
static struct error *symbols_expand(struct symbols *symbols, const struct function *function,
                                    uint64_t pc, size_t *count)
{
    struct error *error =
        function_frames(function, pc, symbols->logical, symbols->logical_capacity, count);
    if (error == NULL && *count > symbols->logical_capacity) {
        size_t capacity = *count < SYMBOL_LOGICAL_MAX ? *count : SYMBOL_LOGICAL_MAX;
        TRY(vector_grow((void **)&symbols->logical, &symbols->logical_capacity, capacity,
                        sizeof *symbols->logical));
        error = function_frames(function, pc, symbols->logical, symbols->logical_capacity, count);
    }
    if (error_catch(&error, ERROR_CORRUPT)) {
        symbols->logical[0] = (struct function_frame){
            .name = function->name, .file = "", .func_id = function->func_id};
        *count = 1;
    }
    return error;
}

/* The strings and the kind of the frame that LOGICAL describes. */
static struct error *symbols_describe(struct symbols *symbols, const struct function_frame *logical,
                                      struct snapshot_frame *frame)
{
    string_builder_clear(&symbols->text);
    symbol_name_add_printed(symbols->layout->minor, logical->name, &symbols->text);
    TRY(string_builder_error(&symbols->text));
    TRY(snapshot_builder_string(symbols->builder, symbols->text.text, symbols->text.size,
                                &frame->function));
    if (logical->file[0] != 0) {
        TRY(snapshot_builder_string(symbols->builder, logical->file, strlen(logical->file),
                                    &frame->file));
    }
    frame->line = logical->line;
    frame->flags |= logical->inlined ? FRAME_INLINED : 0;
    if (symbol_name_is_runtime(logical->name)) {
        frame->flags |= FRAME_RUNTIME;
    } else if (symbol_is_library(symbols, logical->name, logical->file)) {
        frame->flags |= FRAME_STANDARD_LIBRARY;
    }
    return NULL;
}

/* Sets the argument template of a frame of FUNCTION. */
static struct error *symbols_add_arguments(struct symbols *symbols, const struct function *function,
                                           uint64_t pc, struct snapshot_frame *frame)
{
    struct arguments arguments;
    struct error *error = arguments_read(function, pc, &arguments);
    if (error_catch(&error, ERROR_CORRUPT)) {
        return NULL;
    }
    TRY(error);
    return snapshot_builder_string(symbols->builder, arguments.text, arguments.text_size,
                                   &frame->arguments);
}

/* Adds the frame that LOGICAL, at NODE in FUNCTION, makes in CONTEXT, and appends its id to
 * symbols->frames. REVEAL: the traceback shows every frame, because it would show none. */
static struct error *symbols_add_frame(struct symbols *symbols, const struct stack_node *node,
                                       const struct function *function,
                                       const struct function_frame *logical, bool reveal,
                                       struct symbol_context *context)
{
    static const char inlined_arguments[] = "...";
    struct snapshot_frame frame = {.pc = node->symbol_pc, .entry_offset = UINT32_MAX};
    TRY(symbols_describe(symbols, logical, &frame));
    if (logical->inlined && symbols->arguments) {
        TRY(snapshot_builder_string(symbols->builder, inlined_arguments,
                                    sizeof inlined_arguments - 1, &frame.arguments));
    } else if (!logical->inlined) {
        if (node->pc > function->entry) {
            frame.entry_offset = (uint32_t)(node->pc - function->entry);
        }
        if (symbols->arguments) {
            bool outer = symbols->layout->minor <= SYMBOL_OUTER_LIVENESS_LAST;
            TRY(symbols_add_arguments(symbols, function, outer ? logical->pc : node->symbol_pc,
                                      &frame));
        }
    }
    bool shown = symbol_name_is_shown(symbols->layout, logical->name, logical->func_id,
                                      context->callee_id, !context->shown);
    if (!shown && !reveal) {
        frame.flags |= FRAME_HIDDEN;
        if (symbol_name_is_elided(symbols->layout, logical->func_id, context->callee_id)) {
            frame.flags |= FRAME_WRAPPER;
        }
    }
    context->callee_id = logical->func_id;
    context->shown = context->shown || shown;
    context->outside = context->outside || (frame.flags & FRAME_RUNTIME) == 0;
    uint32_t id;
    TRY(snapshot_builder_frame(symbols->builder, &frame, &id));
    return vector_append(&symbols->frames, id);
}

/* Appends the ids of the logical frames of NODE to symbols->frames. */
static struct error *symbols_add_frames(struct symbols *symbols, const struct stack_node *node,
                                        bool reveal, struct symbol_context *context,
                                        uint16_t *count_ret)
{
    struct function function;
    size_t count;
    size_t before = symbols->frames.count;
    TRY(function_find(symbols->image, node->pc, &function));
    TRY(symbols_expand(symbols, &function, node->symbol_pc, &count));
    for (size_t i = 0; i < count && i < symbols->logical_capacity; i++) {
        TRY(symbols_add_frame(symbols, node, &function, &symbols->logical[i], reveal, context));
    }
    *count_ret = (uint16_t)(symbols->frames.count - before);
    return NULL;
}

/* True when the frames of node TWIN are right for a node with the same pc whose callee is CALLEE.
 */
static bool symbols_can_copy(const struct stack_trie *trie, uint32_t twin,
                             const struct stack_node *callee)
{
    if (twin == 0 || !trie->nodes.items[twin].symbolised) {
        return false;
    }
    const struct stack_node *other = &trie->nodes.items[trie->nodes.items[twin].parent];
    return other->callee_id == callee->callee_id && other->shown == callee->shown;
}

/* Finds the frames of NODE, whose callee has its own. */
static struct error *symbols_resolve(struct symbols *symbols, struct stack_trie *trie,
                                     struct stack_node *node)
{
    const struct stack_node *callee = &trie->nodes.items[node->parent];
    if (symbols_can_copy(trie, node->twin, callee)) {
        const struct stack_node *twin = &trie->nodes.items[node->twin];
        node->frames = twin->frames;
        node->frame_count = twin->frame_count;
        node->callee_id = twin->callee_id;
        node->shown = twin->shown;
        node->outside = twin->outside;
    } else {
        struct symbol_context context = {.callee_id = callee->callee_id, .shown = callee->shown};
        node->frames = (uint32_t)symbols->frames.count;
        TRY(symbols_add_frames(symbols, node, false, &context, &node->frame_count));
        node->callee_id = context.callee_id;
        node->shown = context.shown;
        node->outside = context.outside;
    }
    node->user_code = node->outside || callee->user_code;
    node->symbolised = true;
    return NULL;
}

/* Fills symbols->path with the nodes from NODE in to the innermost. */
static struct error *symbols_find_path(struct symbols *symbols, const struct stack_trie *trie,
                                       uint32_t node)
{
    symbols->path.count = 0;
    TRY(vector_reserve(&symbols->path, trie->nodes.items[node].depth));
    for (; trie->nodes.items[node].depth > 0; node = trie->nodes.items[node].parent) {
        TRY(vector_append(&symbols->path, node));
    }
    return NULL;
}

/* Appends COUNT frame ids from FIRST of symbols->frames to the stack. */
static struct error *symbols_append(struct symbols *symbols, size_t first, size_t count)
{
    TRY(vector_reserve(&symbols->stack, symbols->stack.count + count));
    for (size_t i = 0; i < count; i++) {
        symbols->stack.items[symbols->stack.count++] = symbols->frames.items[first + i];
    }
    return NULL;
}

/* Fills symbols->stack anew with every frame revealed. */
static struct error *symbols_reveal(struct symbols *symbols, const struct stack_trie *trie)
{
    struct symbol_context context = {0};
    symbols->stack.count = 0;
    for (size_t i = symbols->path.count; i-- > 0;) {
        const struct stack_node *node = &trie->nodes.items[symbols->path.items[i]];
        size_t first = symbols->frames.count;
        uint16_t count;
        TRY(symbols_add_frames(symbols, node, true, &context, &count));
        TRY(symbols_append(symbols, first, count));
        symbols->frames.count = first;
    }
    return NULL;
}

/* Builds a stack once. */
struct error *symbols_stack(struct symbols *symbols, struct stack_trie *trie, uint32_t node,
                            uint32_t *ret)
{
    struct stack_node *last = &trie->nodes.items[node];
    if (last->stack == 0) {
        symbols->stack.count = 0;
        TRY(symbols_find_path(symbols, trie, node));
        for (size_t i = symbols->path.count; i-- > 0;) {
            struct stack_node *frame = &trie->nodes.items[symbols->path.items[i]];
            if (!frame->symbolised) {
                TRY(symbols_resolve(symbols, trie, frame));
            }
            TRY(symbols_append(symbols, frame->frames, frame->frame_count));
        }
        if (!last->shown) {
            TRY(symbols_reveal(symbols, trie));
        }
        TRY(snapshot_builder_stack(symbols->builder, symbols->stack.items, symbols->stack.count,
                                   &last->stack));
    }
    *ret = last->stack;
    return NULL;
}

/* A frame outside of any stack: SYMBOL_PC in FUNCTION, named as the physical function. */
static struct error *symbols_single(struct symbols *symbols, const struct function *function,
                                    uint64_t symbol_pc, struct snapshot_frame *frame)
{
    size_t count;
    TRY(symbols_expand(symbols, function, symbol_pc, &count));
    struct function_frame logical = symbols->logical[0];
    logical.name = function->name;
    logical.func_id = function->func_id;
    logical.inlined = false;
    frame->pc = symbol_pc;
    TRY(symbols_describe(symbols, &logical, frame));
    if (!symbol_name_is_shown(symbols->layout, function->name, function->func_id, 0, false)) {
        frame->flags |= FRAME_HIDDEN;
    }
    return NULL;
}

/* Finds the function at PC; *FOUND is false when there is none. */
static struct error *symbols_find(const struct symbols *symbols, uint64_t pc, struct function *ret,
                                  bool *found)
{
    struct error *error = function_find(symbols->image, pc, ret);
    *found = error == NULL;
    if (error_catch(&error, ERROR_NOT_FOUND) || error_catch(&error, ERROR_CORRUPT)) {
        return NULL;
    }
    return error;
}

/* The runtime names the physical function, with the line of the call instruction. */
struct error *symbols_creator(struct symbols *symbols, uint64_t pc, uint32_t *ret)
{
    const uint64_t *known = hash_map_get(&symbols->creators, pc);
    if (known != NULL) {
        *ret = (uint32_t)*known;
        return NULL;
    }
    struct function function;
    bool found;
    *ret = 0;
    TRY(symbols_find(symbols, pc, &function, &found));
    if (found) {
        struct snapshot_frame frame = {.entry_offset = UINT32_MAX};
        uint64_t symbol_pc = pc;
        if (pc > function.entry) {
            uint32_t quantum = module_tables(function.module)->pc_quantum;
            frame.entry_offset = (uint32_t)(pc - function.entry);
            symbol_pc = pc - function.entry > quantum ? pc - quantum : function.entry;
        }
        TRY(symbols_single(symbols, &function, symbol_pc, &frame));
        TRY(snapshot_builder_frame(symbols->builder, &frame, ret));
    }
    return hash_map_put(&symbols->creators, pc, *ret);
}

/* The line of the func keyword, from the tables since Go 1.20, else that of the first instruction.
 */
struct error *symbols_start(struct symbols *symbols, uint64_t pc, uint32_t *ret)
{
    const uint64_t *known = hash_map_get(&symbols->starts, pc);
    if (known != NULL) {
        *ret = (uint32_t)*known;
        return NULL;
    }
    struct function function;
    bool found;
    *ret = 0;
    TRY(symbols_find(symbols, pc, &function, &found));
    if (found) {
        struct snapshot_frame frame = {.entry_offset = UINT32_MAX};
        TRY(symbols_single(symbols, &function, pc, &frame));
        if (function.start_line > 0) {
            frame.line = (uint32_t)function.start_line;
        }
        TRY(snapshot_builder_frame(symbols->builder, &frame, ret));
    }
    return hash_map_put(&symbols->starts, pc, *ret);
}

/* runtime.isSystemGoroutine. */
static enum symbol_origin symbols_decide_origin(const struct layout *layout,
                                                const struct function *function)
{
    int32_t id = function->func_id;
    if (id == layout->func_id_runtime_main || id == layout->func_id_corostart ||
        id == layout->func_id_handle_async_event) {
        return SYMBOL_ORIGIN_USER;
    }
    if (id == layout->func_id_run_finalizers) {
        return SYMBOL_ORIGIN_FINALIZERS;
    }
    if (id == layout->func_id_run_cleanups) {
        return SYMBOL_ORIGIN_CLEANUPS;
    }
    return strncmp(function->name, "runtime.", 8) == 0 ? SYMBOL_ORIGIN_SYSTEM : SYMBOL_ORIGIN_USER;
}

/* Decides once per pc. */
struct error *symbols_origin(struct symbols *symbols, uint64_t pc, enum symbol_origin *ret)
{
    const uint64_t *known = hash_map_get(&symbols->origins, pc);
    if (known != NULL) {
        *ret = (enum symbol_origin) * known;
        return NULL;
    }
    struct function function;
    bool found;
    *ret = SYMBOL_ORIGIN_USER;
    TRY(symbols_find(symbols, pc, &function, &found));
    if (found) {
        *ret = symbols_decide_origin(symbols->layout, &function);
    }
    return hash_map_put(&symbols->origins, pc, *ret);
}
