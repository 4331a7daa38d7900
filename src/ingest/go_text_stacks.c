/* A node's pattern in the pool is what the lines hold, in pieces: two bytes of length
 * (little-endian), that many bytes of text, and a mark (go_text_frame.h) for what stands between
 * this piece and the next; GO_TEXT_END behind the last. Reading a goroutine goes down the trie:
 * from each node the child met last is compared with the text, then the one that text with the same
 * end led to; when neither fits, the lines are parsed, made into a pattern, and looked up by it. */
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
    memset(stacks->ways, 0, sizeof stacks->ways);
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

/* The end of the two lines at AT, by which children of a node are told apart: of a frame's second
 * line these are line and offset. */
static inline bool go_text_stacks_tail(const char *at, const char *end, uint64_t *ret)
{
    const char *first = memchr(at, '\n', (size_t)(end - at));
    const char *second =
        first == NULL ? NULL : memchr(first + 1, '\n', (size_t)(end - (first + 1)));
    if (second == NULL || second - at < (ptrdiff_t)sizeof *ret) {
        return false;
    }
    *ret = bytes_u64((const uint8_t *)second - sizeof *ret);
    return true;
}

/* The place of the way from the present node by TAIL. */
static inline struct go_text_way *go_text_stacks_way(struct go_text_stacks *stacks, uint64_t tail)
{
    return &stacks->ways[hash_u64(tail + stacks->node) % GO_TEXT_WAYS];
}

/* Remembers that the lines at AT lead to CHILD. */
static void go_text_stacks_remember(struct go_text_stacks *stacks, uint32_t child, const char *at,
                                    const char *end)
{
    uint64_t tail;
    if (go_text_stacks_tail(at, end, &tail)) {
        *go_text_stacks_way(stacks, tail) =
            (struct go_text_way){.tail = tail, .node = stacks->node, .child = child};
    }
}

/* Goes down to CHILD. */
static inline void go_text_stacks_go(struct go_text_stacks *stacks, uint32_t child)
{
    stacks->nodes.items[stacks->node].latest = child;
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

/* True when SIZE bytes at A and B are the same. Pieces of a pattern are short: calling memcmp would
 * take longer than comparing. */
static inline bool go_text_stacks_equal(const char *a, const char *b, size_t size)
{
    const uint8_t *left = (const uint8_t *)a;
    const uint8_t *right = (const uint8_t *)b;
    if (size >= 8) {
        size_t last = size - 8;
        size_t i = 0;
        for (; i + 8 < last; i += 16) {
            if (((bytes_u64(left + i) ^ bytes_u64(right + i)) |
                 (bytes_u64(left + i + 8) ^ bytes_u64(right + i + 8))) != 0) {
                return false;
            }
        }
        return (i >= last || bytes_u64(left + i) == bytes_u64(right + i)) &&
               bytes_u64(left + last) == bytes_u64(right + last);
    }
    if (size >= 4) {
        return bytes_u32(left) == bytes_u32(right) &&
               bytes_u32(left + size - 4) == bytes_u32(right + size - 4);
    }
    for (size_t i = 0; i < size; i++) {
        if (left[i] != right[i]) {
            return false;
        }
    }
    return true;
}

/* Compares what is at AT with PATTERN and keeps its words at WORDS, when that is not NULL; how many
 * there are is counted up in either case. */
static inline const char *go_text_stacks_fit(const char *pattern, const char *at, const char *end,
                                             uint64_t *words, size_t *count, uint64_t *parent)
{
    for (;;) {
        size_t size = bytes_u16((const uint8_t *)pattern);
        pattern += 2;
        if ((size_t)(end - at) < size || !go_text_stacks_equal(at, pattern, size)) {
            return NULL;
        }
        at += size;
        pattern += size;
        char mark = *pattern++;
        if (mark == GO_TEXT_END) {
            return at;
        }
        if (mark == GO_TEXT_PARENT) {
            at = go_text_stacks_decimal(at, end, parent);
        } else if (mark == GO_TEXT_WORD && words != NULL) {
            at = go_text_frame_word(at, end, &words[(*count)++]);
        } else {
            at = go_text_frame_skip_word(at, end);
        }
        if (at == NULL) {
            return NULL;
        }
    }
}

/* Compares what is at AT with the pattern of NODE and keeps its words, for which there is room. */
static const char *go_text_stacks_compare(struct go_text_stacks *stacks,
                                          const struct go_text_node *node, const char *at,
                                          const char *end)
{
    const char *pattern = stacks->pool.items + node->pattern;
    uint64_t parent = stacks->parent;
    size_t count = stacks->words.count;
    at = stacks->no_words
             ? go_text_stacks_fit(pattern, at, end, NULL, &count, &parent)
             : go_text_stacks_fit(pattern, at, end, stacks->words.items, &count, &parent);
    stacks->words.count = count;
    stacks->parent = at == NULL ? stacks->parent : parent;
    return at;
}

/* Goes down to CHILD when what is at AT fits it. */
static inline const char *go_text_stacks_try(struct go_text_stacks *stacks, uint32_t child,
                                             const char *at, const char *end)
{
    size_t words = stacks->words.count;
    const char *next = go_text_stacks_compare(stacks, &stacks->nodes.items[child], at, end);
    if (next == NULL) {
        stacks->words.count = words;
        return NULL;
    }
    go_text_stacks_go(stacks, child);
    return next;
}

const char *go_text_stacks_match(struct go_text_stacks *stacks, const char *at, const char *end)
{
    uint64_t tail;
    uint32_t latest = stacks->nodes.items[stacks->node].latest;
    const char *next = latest == 0 ? NULL : go_text_stacks_try(stacks, latest, at, end);
    if (latest == 0 || next != NULL || !go_text_stacks_tail(at, end, &tail)) {
        return next;
    }
    const struct go_text_way *way = go_text_stacks_way(stacks, tail);
    bool leads = way->child != 0 && way->node == stacks->node && way->tail == tail;
    return leads ? go_text_stacks_try(stacks, way->child, at, end) : NULL;
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

/* Takes what was parsed, from AT to STOP, as the next frame. */
static struct error *go_text_stacks_take(struct go_text_stacks *stacks,
                                         const struct go_text_frame *parsed, const char *at,
                                         const char *stop, const char *end)
{
    uint32_t child;
    TRY(go_text_stacks_child(stacks, parsed, &child));
    if (go_text_stacks_compare(stacks, &stacks->nodes.items[child], at, stop) == NULL) {
        return error_create(ERROR_INTERNAL, "a line does not fit its own pattern");
    }
    go_text_stacks_remember(stacks, child, at, end);
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
    return go_text_stacks_take(stacks, &parsed, at, *next_ret, end);
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
