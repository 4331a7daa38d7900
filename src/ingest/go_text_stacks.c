/* A node's pattern in the pool is what the lines hold, in pieces: two bytes of length
 * (little-endian), that many bytes of text, and a mark (go_text_frame.h) for what stands between
 * this piece and the next; GO_TEXT_END behind the last. Reading a goroutine goes down the trie:
 * from each node the children met lately are compared with the text; when none fits, the lines are
 * parsed, made into a pattern, and looked up by it. */
#include "ingest/go_text_stacks.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/hash_map.h"
#include "ingest/frame_kind.h"
#include "ingest/go_text_frame.h"
#include <stdlib.h>
#include <string.h>

enum {
    STACKS_LINE_MAX = 1 << 15, /* bytes of a line; longer ones are of no goroutine */
    STACKS_FIRST_CAPACITY = 256,
    STACKS_NODES_MAX = 1 << 27
};

/* The root, of empty stacks. */
static struct error *go_text_stacks_add_root(struct go_text_stacks *stacks)
{
    struct go_text_node root = {0};
    return vector_append(&stacks->nodes, root);
}

struct error *go_text_stacks_init(struct go_text_stacks *stacks, struct snapshot_builder *builder)
{
    *stacks = (struct go_text_stacks){.builder = builder};
    stacks->seed = hash_u64(clock_now() ^ (uint64_t)(uintptr_t)stacks);
    return go_text_stacks_add_root(stacks);
}

void go_text_stacks_deinit(struct go_text_stacks *stacks)
{
    vector_deinit(&stacks->nodes);
    vector_deinit(&stacks->pool);
    vector_deinit(&stacks->path);
    vector_deinit(&stacks->words);
    free(stacks->slots);
    string_builder_deinit(&stacks->pattern);
    string_builder_deinit(&stacks->arguments);
}

void go_text_stacks_clear(struct go_text_stacks *stacks)
{
    stacks->nodes.count = 1;
    memset(&stacks->nodes.items[GO_TEXT_ROOT], 0, sizeof *stacks->nodes.items);
    stacks->pool.count = 0;
    if (stacks->capacity > 0) {
        memset(stacks->slots, 0, stacks->capacity * sizeof *stacks->slots);
    }
    go_text_stacks_begin(stacks);
}

void go_text_stacks_begin(struct go_text_stacks *stacks)
{
    stacks->node = GO_TEXT_ROOT;
    stacks->words.count = 0;
    stacks->parent = 0;
}

/* Goes down to CHILD and remembers that way. */
static inline void go_text_stacks_go(struct go_text_stacks *stacks, uint32_t child)
{
    uint32_t *recent = stacks->nodes.items[stacks->node].recent;
    uint32_t moved = recent[0];
    recent[0] = child;
    for (unsigned i = 1; i < GO_TEXT_RECENT && moved != child; i++) {
        uint32_t next = recent[i];
        recent[i] = moved;
        moved = next;
    }
    stacks->node = child;
}

/* Reads a number in decimal at AT; where it ends, or NULL. */
static const char *go_text_stacks_decimal(const char *at, const char *end, uint64_t *ret)
{
    uint64_t value = 0;
    const char *start = at;
    while (at < end && *at >= '0' && *at <= '9') {
        value = value * 10 + (uint64_t)(*at++ - '0');
    }
    *ret = value;
    return at > start && at - start <= 18 ? at : NULL;
}

/* Compares what is at AT with the pattern of NODE and keeps its words, for which there is room. */
static const char *go_text_stacks_compare(struct go_text_stacks *stacks,
                                          const struct go_text_node *node, const char *at,
                                          const char *end)
{
    const char *pattern = stacks->pool.items + node->pattern;
    for (;;) {
        uint64_t value;
        size_t size = bytes_u16((const uint8_t *)pattern);
        pattern += 2;
        if ((size_t)(end - at) < size || memcmp(at, pattern, size) != 0) {
            return NULL;
        }
        at += size;
        pattern += size;
        char mark = *pattern++;
        if (mark == GO_TEXT_END) {
            return at;
        }
        at = mark == GO_TEXT_PARENT ? go_text_stacks_decimal(at, end, &value)
                                    : go_text_frame_word(at, end, &value);
        if (at == NULL) {
            return NULL;
        }
        if (mark == GO_TEXT_WORD) {
            stacks->words.items[stacks->words.count++] = value;
        } else if (mark == GO_TEXT_PARENT) {
            stacks->parent = value;
        }
    }
}

const char *go_text_stacks_match(struct go_text_stacks *stacks, const char *at, const char *end)
{
    size_t words = stacks->words.count;
    for (unsigned i = 0; i < GO_TEXT_RECENT; i++) {
        uint32_t child = stacks->nodes.items[stacks->node].recent[i];
        if (child == 0) {
            return NULL;
        }
        const char *next = go_text_stacks_compare(stacks, &stacks->nodes.items[child], at, end);
        if (next != NULL) {
            go_text_stacks_go(stacks, child);
            return next;
        }
        stacks->words.count = words;
    }
    return NULL;
}

/* Doubles the index. */
static struct error *go_text_stacks_grow(struct go_text_stacks *stacks)
{
    size_t capacity = stacks->capacity == 0 ? STACKS_FIRST_CAPACITY : stacks->capacity * 2;
    struct go_text_slot *slots = calloc(capacity, sizeof *slots);
    if (slots == NULL) {
        return error_no_memory();
    }
    for (size_t i = 0; i < stacks->capacity; i++) {
        size_t at = stacks->slots[i].hash & (capacity - 1);
        while (stacks->slots[i].node != 0 && slots[at].node != 0) {
            at = (at + 1) & (capacity - 1);
        }
        if (stacks->slots[i].node != 0) {
            slots[at] = stacks->slots[i];
        }
    }
    free(stacks->slots);
    stacks->slots = slots;
    stacks->capacity = capacity;
    return NULL;
}

/* Encodes the pattern that was built behind the pool's end, without adding it. */
static struct error *go_text_stacks_encode(struct go_text_stacks *stacks, size_t *size_ret)
{
    TRY(string_builder_error(&stacks->pattern));
    const char *from = string_builder_text(&stacks->pattern);
    const char *end = from + stacks->pattern.size;
    TRY(vector_reserve(&stacks->pool, stacks->pool.count + 3 * stacks->pattern.size + 3));
    char *start = stacks->pool.items + stacks->pool.count;
    char *to = start;
    for (;;) {
        const char *stop = from;
        while (stop < end && (uint8_t)*stop > GO_TEXT_SKIP) {
            stop++;
        }
        size_t size = (size_t)(stop - from);
        *to++ = (char)(size & 0xff);
        *to++ = (char)(size >> 8);
        memcpy(to, from, size);
        to += size;
        if (stop == end) {
            *to++ = GO_TEXT_END;
            *size_ret = (size_t)(to - start);
            return NULL;
        }
        *to++ = *stop;
        from = stop + 1;
    }
}

/* Makes the frame that PARSED describes; FIRST: nothing was printed before it. */
static struct error *go_text_stacks_frame(struct go_text_stacks *stacks,
                                          const struct go_text_frame *parsed, bool first,
                                          uint32_t *ret)
{
    struct snapshot_builder *builder = stacks->builder;
    struct snapshot_frame frame = {
        .line = parsed->line, .entry_offset = parsed->offset, .pc = parsed->pc};
    TRY(parsed->function.size == 0
            ? NULL
            : snapshot_builder_string(builder, parsed->function.text, parsed->function.size,
                                      &frame.function));
    TRY(parsed->file.size == 0
            ? NULL
            : snapshot_builder_string(builder, parsed->file.text, parsed->file.size, &frame.file));
    const struct snapshot *snapshot = snapshot_builder_peek(builder);
    const char *function = snapshot_string(snapshot, frame.function);
    if (parsed->lines == GO_TEXT_LINES_ELIDED) {
        frame.flags = FRAME_ELIDED;
        return snapshot_builder_frame(builder, &frame, ret);
    }
    if (parsed->lines == GO_TEXT_LINES_FOREIGN || parsed->lines == GO_TEXT_LINES_PC) {
        frame.flags = FRAME_NOT_GO;
        return snapshot_builder_frame(builder, &frame, ret);
    }
    frame.flags =
        frame_kind(function, snapshot_string(snapshot, frame.file)) & ~(uint32_t)FRAME_HIDDEN;
    if (first && strcmp(function, "panic") == 0) {
        frame.flags &=
            ~(uint32_t)FRAME_RUNTIME; /* Go prints it first only where it hides nothing */
    }
    if (parsed->lines == GO_TEXT_LINES_FUNCTION) {
        bool dots = parsed->arguments.size == 3 && memcmp(parsed->arguments.text, "...", 3) == 0;
        frame.flags |= dots && parsed->offset == UINT32_MAX ? FRAME_INLINED : 0;
        go_text_frame_template(parsed, &stacks->arguments);
        TRY(string_builder_error(&stacks->arguments));
        TRY(snapshot_builder_string(builder, string_builder_text(&stacks->arguments),
                                    stacks->arguments.size, &frame.arguments));
    }
    return snapshot_builder_frame(builder, &frame, ret);
}

/* How many argument words the pattern holds. */
static uint32_t go_text_stacks_count_words(const struct string_builder *pattern)
{
    uint32_t count = 0;
    for (size_t i = 0; i < pattern->size; i++) {
        count += pattern->text[i] == GO_TEXT_WORD;
    }
    return count;
}

/* Adds a node for PARSED, whose encoded pattern of SIZE bytes is behind the pool's end, below the
 * present one. */
static struct error *go_text_stacks_add(struct go_text_stacks *stacks,
                                        const struct go_text_frame *parsed, size_t size,
                                        uint32_t *ret)
{
    const struct go_text_node *parent = &stacks->nodes.items[stacks->node];
    struct go_text_node node = {.parent = stacks->node,
                                .pattern = (uint32_t)stacks->pool.count,
                                .stack = UINT32_MAX,
                                .depth = parent->depth + 1,
                                .words = parent->words,
                                .creator = parent->creator};
    if (stacks->nodes.count >= STACKS_NODES_MAX || stacks->pool.count > UINT32_MAX / 2) {
        return error_create(ERROR_LIMIT, "more than %u different frames", STACKS_NODES_MAX);
    }
    if (parsed->lines == GO_TEXT_LINES_UNAVAILABLE) {
        node.kind = GO_TEXT_UNAVAILABLE;
    } else {
        TRY(go_text_stacks_frame(stacks, parsed, stacks->node == GO_TEXT_ROOT, &node.frame));
    }
    if (parsed->lines == GO_TEXT_LINES_CREATOR) {
        node.kind = GO_TEXT_CREATOR;
        node.creator = node.frame;
    }
    node.words += go_text_stacks_count_words(&stacks->pattern);
    TRY(vector_reserve(&stacks->words, node.words));
    TRY(vector_append(&stacks->nodes, node));
    stacks->pool.count += size;
    *ret = (uint32_t)(stacks->nodes.count - 1);
    return NULL;
}

/* The child of the present node with the pattern that was built; made when there is none. */
static struct error *go_text_stacks_child(struct go_text_stacks *stacks,
                                          const struct go_text_frame *parsed, uint32_t *ret)
{
    size_t size;
    TRY(go_text_stacks_encode(stacks, &size));
    if (stacks->nodes.count >= stacks->capacity / 4 * 3) {
        TRY(go_text_stacks_grow(stacks));
    }
    const char *pattern = stacks->pool.items + stacks->pool.count;
    uint32_t hash = (uint32_t)hash_bytes(pattern, size, stacks->seed + stacks->node);
    size_t at = hash & (stacks->capacity - 1);
    for (; stacks->slots[at].node != 0; at = (at + 1) & (stacks->capacity - 1)) {
        const struct go_text_node *node = &stacks->nodes.items[stacks->slots[at].node];
        if (stacks->slots[at].hash == hash && node->parent == stacks->node &&
            size <= stacks->pool.count - node->pattern &&
            memcmp(stacks->pool.items + node->pattern, pattern, size) == 0) {
            *ret = stacks->slots[at].node;
            return NULL;
        }
    }
    uint32_t node;
    TRY(go_text_stacks_add(stacks, parsed, size, &node));
    stacks->slots[at] = (struct go_text_slot){.hash = hash, .node = node};
    *ret = node;
    return NULL;
}

/* Cuts the line at AT; NULL when it does not end before END. */
static const char *go_text_stacks_line(const char *at, const char *end, struct go_text_part *ret)
{
    const char *stop = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
    if (stop == NULL) {
        return NULL;
    }
    *ret = (struct go_text_part){at, (size_t)(stop - at)};
    return stop + 1;
}

/* Takes what was parsed, at AT, as the next frame. */
static struct error *go_text_stacks_take(struct go_text_stacks *stacks,
                                         const struct go_text_frame *parsed, const char *at,
                                         const char *end)
{
    uint32_t child;
    TRY(go_text_stacks_child(stacks, parsed, &child));
    if (go_text_stacks_compare(stacks, &stacks->nodes.items[child], at, end) == NULL) {
        return error_create(ERROR_INTERNAL, "a line does not fit its own pattern");
    }
    go_text_stacks_go(stacks, child);
    return NULL;
}

struct error *go_text_stacks_learn(struct go_text_stacks *stacks, const char *at, const char *end,
                                   enum go_text_step *step_ret, const char **next_ret)
{
    struct go_text_part line;
    struct go_text_part second = {NULL, 0};
    struct go_text_frame parsed;
    *step_ret = GO_TEXT_STEP_FOREIGN;
    const char *next = go_text_stacks_line(at, end, &line);
    if (next == NULL) {
        *step_ret = GO_TEXT_STEP_MORE;
        return NULL;
    }
    *next_ret = next;
    const char *behind = go_text_stacks_line(next, end, &second);
    if (line.size > STACKS_LINE_MAX || second.size > STACKS_LINE_MAX) {
        return NULL;
    }
    if (!go_text_frame_parse(line.text, line.size, second.text, second.size, &parsed)) {
        *step_ret = GO_TEXT_STEP_MORE;
        return NULL;
    }
    if (parsed.lines == GO_TEXT_LINES_ANCESTOR) {
        stacks->parent = stacks->parent == 0 ? parsed.parent : stacks->parent;
        *step_ret = GO_TEXT_STEP_ANCESTOR;
        return NULL;
    }
    if (parsed.lines == GO_TEXT_LINES_NONE) {
        return NULL;
    }
    go_text_frame_pattern(&parsed, line, second, &stacks->pattern);
    *next_ret = go_text_frame_is_pair(&parsed) ? behind : next;
    *step_ret = GO_TEXT_STEP_TAKEN;
    return go_text_stacks_take(stacks, &parsed, at, *next_ret);
}

/* True when a goroutine that begins in FUNCTION is one of the runtime's own (isSystemGoroutine of
 * runtime/traceback.go). */
static bool go_text_stacks_starts_system(const char *function)
{
    static const char *const exceptions[] = {"runtime.main", "runtime.corostart",
                                             "runtime.handleAsyncEvent"};
    for (size_t i = 0; i < sizeof exceptions / sizeof *exceptions; i++) {
        if (strcmp(function, exceptions[i]) == 0) {
            return false;
        }
    }
    return strncmp(function, "runtime.", strlen("runtime.")) == 0;
}

/* Collects the frames on the way to node AT, innermost first, and whether a goroutine with that
 * stack is one of the runtime's own. */
static struct error *go_text_stacks_path(struct go_text_stacks *stacks, uint32_t at,
                                         bool *system_ret)
{
    const struct snapshot *snapshot = snapshot_builder_peek(stacks->builder);
    bool runtime = true;
    bool starts = false;
    bool outermost = true;
    TRY(vector_reserve(&stacks->path, stacks->nodes.items[at].depth));
    stacks->path.count = 0;
    for (; at != GO_TEXT_ROOT; at = stacks->nodes.items[at].parent) {
        const struct go_text_node *node = &stacks->nodes.items[at];
        if (node->kind != GO_TEXT_FRAME) {
            continue;
        }
        const struct snapshot_frame *frame = snapshot_frame(snapshot, node->frame);
        const char *function = snapshot_string(snapshot, frame->function);
        runtime = runtime && (frame->flags & (FRAME_RUNTIME | FRAME_ELIDED)) != 0;
        if (outermost && strcmp(function, "runtime.goexit") != 0) {
            starts = go_text_stacks_starts_system(function);
            outermost = false;
        }
        stacks->path.items[stacks->path.count++] = node->frame;
    }
    for (size_t i = 0; i < stacks->path.count / 2; i++) {
        size_t other = stacks->path.count - 1 - i;
        uint32_t frame = stacks->path.items[i];
        stacks->path.items[i] = stacks->path.items[other];
        stacks->path.items[other] = frame;
    }
    *system_ret = runtime && starts;
    return NULL;
}

struct error *go_text_stacks_end(struct go_text_stacks *stacks, const struct go_text_node **ret)
{
    struct go_text_node *node = &stacks->nodes.items[stacks->node];
    if (node->stack == UINT32_MAX) {
        uint32_t stack;
        TRY(go_text_stacks_path(stacks, stacks->node, &node->system));
        TRY(snapshot_builder_stack(stacks->builder, stacks->path.items, stacks->path.count,
                                   &stack));
        node->stack = stack;
    }
    *ret = node;
    return NULL;
}
