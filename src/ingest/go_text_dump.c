/* Where a dump begins, in a text that may hold several and other lines between and in them:
 *   - at a goroutine that this dump has already, but behind "-----": there a crash with
 *     GOTRACEBACK=crash prints the goroutines that have a thread once more, now with their stacks,
 * as goroutines do that fail while another prints
 *   - at a goroutine that comes after "panic: ", "fatal error: " or the name of a signal
 *   - at a running goroutine directly below a foreign line: runtime.Stack begins with its caller
 * All else goes on: other threads write to logs between two lines of a dump. */
#include "ingest/go_text_dump.h"
#include "base/cleanup.h"
#include <string.h>

enum {
    DUMP_BITS_MAX = 1 << 21, /* words of ids kept as bits */
    DUMP_CUT_SIZE = 64 << 20 /* pprof.writeGoroutineStacks: debug=2 gives up here */
};

/* Forgets all ids. */
static void go_text_ids_clear(struct go_text_ids *ids)
{
    if (ids->bits.count > 0) {
        memset(ids->bits.items, 0, ids->bits.count * sizeof *ids->bits.items);
    }
    hash_map_clear(&ids->others);
}

/* Whether ID was met. */
static bool go_text_ids_has(const struct go_text_ids *ids, uint64_t id)
{
    if (id / 64 < ids->bits.count) {
        return (ids->bits.items[id / 64] >> (id % 64) & 1) != 0;
    }
    return hash_map_get(&ids->others, id) != NULL;
}

/* Adds ID. Bits grow only as far as the ids so far make likely: a text that names one huge id costs
 * nothing. */
static struct error *go_text_ids_add(struct go_text_ids *ids, uint64_t id, uint64_t met)
{
    uint64_t word = id / 64;
    if (word >= ids->bits.count && word < DUMP_BITS_MAX && word < 1024 + met * 2) {
        size_t want = (size_t)word + 1 + (size_t)word / 2;
        TRY(vector_reserve(&ids->bits, want));
        memset(ids->bits.items + ids->bits.count, 0,
               (want - ids->bits.count) * sizeof *ids->bits.items);
        size_t before = ids->bits.count;
        ids->bits.count = want;
        for (size_t i = 0; hash_map_count(&ids->others) > 0 && i < (want - before) * 64; i++) {
            uint64_t other = before * 64 + i;
            if (hash_map_get(&ids->others, other) != NULL) {
                ids->bits.items[other / 64] |= (uint64_t)1 << (other % 64);
            }
        }
    }
    if (word < ids->bits.count) {
        ids->bits.items[word] |= (uint64_t)1 << (id % 64);
        return NULL;
    }
    return hash_map_put(&ids->others, id, 1);
}

struct error *go_text_dump_init(struct go_text_dump *dump, struct snapshot_builder *builder,
                                uint64_t wanted)
{
    *dump = (struct go_text_dump){.builder = builder, .wanted = wanted, .blank = true};
    return go_text_stacks_init(&dump->stacks, builder);
}

void go_text_dump_deinit(struct go_text_dump *dump)
{
    go_text_stacks_deinit(&dump->stacks);
    vector_deinit(&dump->ids.bits);
    hash_map_deinit(&dump->ids.others);
    hash_map_deinit(&dump->unavailable);
    string_builder_deinit(&dump->labels);
    string_builder_deinit(&dump->key);
    string_builder_deinit(&dump->value);
}

/* Keeps how many goroutines the dump had that was read. */
static void go_text_dump_keep_size(struct go_text_dump *dump)
{
    if (dump->number > 0 && dump->number <= GO_TEXT_SIZES) {
        dump->sizes[dump->number - 1] = dump->size;
    }
}

/* Begins the next dump, whose first header ends at the byte that was read last. */
static struct error *go_text_dump_begin(struct go_text_dump *dump, uint64_t first_byte)
{
    go_text_dump_keep_size(dump);
    dump->number++;
    dump->size = 0;
    bool muted = dump->wanted != 0 && dump->number != dump->wanted;
    if (!muted && dump->number > 1) {
        TRY(snapshot_builder_clear(dump->builder));
        go_text_stacks_clear(&dump->stacks);
        hash_map_clear(&dump->unavailable);
        dump->labels_seen = false;
        dump->odd = 0;
    }
    go_text_ids_clear(&dump->ids);
    if (!muted) {
        memcpy(dump->reason, dump->next_reason, sizeof dump->reason);
        dump->first_byte = first_byte;
    }
    dump->muted = muted;
    dump->continued = false;
    return NULL;
}

/* The label set of the present header. */
static struct error *go_text_dump_labels(struct go_text_dump *dump, uint32_t *ret)
{
    enum { LABELS_MAX = 256 };
    struct snapshot_label labels[LABELS_MAX];
    size_t count = 0;
    const char *at = string_builder_text(&dump->labels);
    const char *end = at + dump->labels.size;
    *ret = 0;
    while (count < LABELS_MAX && go_text_header_next_label(&at, end, &dump->key, &dump->value)) {
        TRY(string_builder_error(&dump->key));
        TRY(string_builder_error(&dump->value));
        TRY(snapshot_builder_string(dump->builder, string_builder_text(&dump->key), dump->key.size,
                                    &labels[count].key));
        TRY(snapshot_builder_string(dump->builder, string_builder_text(&dump->value),
                                    dump->value.size, &labels[count].value));
        count++;
    }
    return snapshot_builder_labels(dump->builder, labels, count, ret);
}

/* What the wait reason alone says that the goroutine at INDEX waits for. */
static struct error *go_text_dump_wait(struct go_text_dump *dump, size_t index, uint8_t reason)
{
    struct snapshot_object object = {.kind = OBJECT_NIL_CHANNEL};
    struct snapshot_wait wait = {.direction = DIRECTION_WAIT};
    switch ((enum wait_reason)reason) {
    case WAIT_REASON_CHAN_RECEIVE_NIL:
        wait.direction = DIRECTION_RECEIVE;
        break;
    case WAIT_REASON_CHAN_SEND_NIL:
        wait.direction = DIRECTION_SEND;
        break;
    case WAIT_REASON_SELECT_NO_CASES:
        object.kind = OBJECT_EMPTY_SELECT;
        break;
    default:
        return NULL;
    }
    TRY(snapshot_builder_object(dump->builder, &object, &wait.object));
    return snapshot_builder_waits(dump->builder, index, &wait, 1);
}

/* Fills in GOROUTINE, but for its stack, from the present header. */
static void go_text_dump_fill(const struct go_text_dump *dump, struct snapshot_goroutine *goroutine)
{
    const struct go_text_header *header = &dump->header;
    goroutine->id = header->id;
    goroutine->address = header->address;
    goroutine->age_ns = header->age_ns;
    goroutine->bubble = header->bubble;
    goroutine->status = header->status;
    goroutine->wait_reason = header->wait_reason;
    goroutine->flags = header->flags | GOROUTINE_LABELS_UNKNOWN;
}

/* Fills in what NODE, at the end of its stack, says of GOROUTINE. */
static void go_text_dump_fill_stack(const struct go_text_dump *dump,
                                    const struct go_text_node *node,
                                    struct snapshot_goroutine *goroutine)
{
    unsigned flags = goroutine->flags;
    goroutine->stack = node->stack;
    goroutine->creator = node->creator;
    goroutine->parent = dump->stacks.parent;
    flags |= node->system ? GOROUTINE_SYSTEM : 0;
    flags |= node->stack == 0 ? GOROUTINE_STACK_UNKNOWN : 0;
    flags |= node->stack != 0 && dump->torn ? GOROUTINE_STACK_CUT : 0;
    flags |= node->creator == 0 && goroutine->id != 1 ? GOROUTINE_CREATOR_UNKNOWN : 0;
    goroutine->flags = (uint16_t)flags;
}

/* Gives the goroutine at INDEX the argument words that were read. */
static struct error *go_text_dump_arguments(struct go_text_dump *dump, size_t index)
{
    if (dump->stacks.words.count == 0) {
        return NULL;
    }
    return snapshot_builder_arguments(dump->builder, index, dump->stacks.words.items,
                                      dump->stacks.words.count);
}

/* Adds the goroutine that was read, its stack at NODE. */
static struct error *go_text_dump_add(struct go_text_dump *dump, const struct go_text_node *node)
{
    struct snapshot_goroutine *goroutine;
    size_t index;
    uint32_t labels = 0;
    if (dump->header.labels != NULL) {
        TRY(go_text_dump_labels(dump, &labels));
    }
    TRY(snapshot_builder_goroutines(dump->builder, 1, &goroutine, &index));
    go_text_dump_fill(dump, goroutine);
    go_text_dump_fill_stack(dump, node, goroutine);
    goroutine->labels = labels;
    if (goroutine->stack == 0) {
        TRY(hash_map_put(&dump->unavailable, goroutine->id, index));
    }
    TRY(go_text_dump_arguments(dump, index));
    return go_text_dump_wait(dump, index, dump->header.wait_reason);
}

/* Gives the goroutine that was printed without a stack before the one at NODE. */
static struct error *go_text_dump_complete(struct go_text_dump *dump,
                                           const struct go_text_node *node)
{
    uint64_t *index = hash_map_get(&dump->unavailable, dump->header.id);
    if (index == NULL || node->stack == 0) {
        return NULL;
    }
    struct snapshot_goroutine *goroutine =
        snapshot_builder_goroutine(dump->builder, (size_t)*index);
    if (goroutine->stack != 0) {
        return NULL;
    }
    goroutine->flags &= (uint16_t)~GOROUTINE_STACK_UNKNOWN;
    uint32_t creator = goroutine->creator;
    uint64_t parent = goroutine->parent;
    go_text_dump_fill_stack(dump, node, goroutine);
    goroutine->creator = node->creator == 0 ? creator : node->creator;
    goroutine->parent = dump->stacks.parent == 0 ? parent : dump->stacks.parent;
    return go_text_dump_arguments(dump, (size_t)*index);
}

/* Ends the goroutine being read. */
static struct error *go_text_dump_close(struct go_text_dump *dump)
{
    const struct go_text_node *node;
    uint64_t id = dump->header.id;
    if (!dump->open) {
        return NULL;
    }
    dump->open = false;
    dump->foreign = 0;
    if (id == 0) {
        return NULL; /* a thread's own stack, not a goroutine's */
    }
    bool again = go_text_ids_has(&dump->ids, id);
    if (!again) {
        dump->size++;
        TRY(go_text_ids_add(&dump->ids, id, dump->size));
    }
    if (dump->muted) {
        return NULL;
    }
    TRY(go_text_stacks_end(&dump->stacks, &node));
    return again ? go_text_dump_complete(dump, node) : go_text_dump_add(dump, node);
}

/* True when HEADER, in front of which is what DUMP knows, begins another dump. */
static bool go_text_dump_is_new(const struct go_text_dump *dump,
                                const struct go_text_header *header)
{
    if (dump->number == 0 || dump->marker) {
        return true;
    }
    if (dump->continued || header->id == 0) {
        return false;
    }
    bool missing = dump->foreign == 0 && header->status == GOROUTINE_STATUS_RUNNING &&
                   hash_map_get(&dump->unavailable, header->id) != NULL;
    if (missing) {
        return false;
    }
    bool below = dump->foreign > 0 && !dump->blank;
    return (below && header->status == GOROUTINE_STATUS_RUNNING) ||
           go_text_ids_has(&dump->ids, header->id);
}

/* Begins the goroutine of HEADER, whose line ends at byte BYTE of the text. */
static struct error *go_text_dump_open(struct go_text_dump *dump,
                                       const struct go_text_header *header, uint64_t first_byte)
{
    if (go_text_dump_is_new(dump, header)) {
        TRY(go_text_dump_begin(dump, first_byte));
    }
    dump->header = *header;
    dump->open = true;
    dump->ancestors = false;
    dump->torn = false;
    dump->foreign = 0;
    dump->blank = false;
    dump->marker = false;
    dump->again = false;
    dump->next_reason[0] = '\0';
    go_text_stacks_begin(&dump->stacks);
    string_builder_clear(&dump->labels);
    if (header->labels != NULL) {
        dump->labels_seen = true;
        string_builder_add_bytes(&dump->labels, header->labels, header->labels_size);
        TRY(string_builder_error(&dump->labels));
    }
    dump->odd += header->odd && !dump->muted;
    if (header->group || header->labels_inside) {
        static const char releases[2][8] = {"go1.26", "go1.24"};
        struct snapshot_program *program = snapshot_builder_program(dump->builder);
        if (!dump->muted && program->go_version == 0) {
            uint32_t release;
            TRY(snapshot_builder_string(dump->builder, releases[header->group ? 1 : 0],
                                        strlen(releases[0]), &release));
            program = snapshot_builder_program(dump->builder);
            program->go_version = release;
        }
    }
    return NULL;
}

/* True for the line in which a crash says why. */
static bool go_text_dump_is_marker(const char *line, size_t size)
{
    static const char *const markers[] = {"panic: ",
                                          "fatal error: ",
                                          "SIGQUIT: quit",
                                          "SIGABRT: abort",
                                          "SIGSEGV: segmentation violation",
                                          "SIGBUS: bus error",
                                          "SIGILL: illegal instruction",
                                          "SIGFPE: floating-point exception",
                                          "SIGTRAP: trace trap",
                                          "SIGSYS: bad system call"};
    for (size_t i = 0; i < sizeof markers / sizeof *markers; i++) {
        size_t length = strlen(markers[i]);
        if (size >= length && memcmp(line, markers[i], length) == 0) {
            return true;
        }
    }
    return false;
}

/* Takes note of a line between goroutines. A marker like this dump's own may be that of another
 * thread that failed in the same way meanwhile; that of another crash has an empty line behind it.
 */
static void go_text_dump_pass(struct go_text_dump *dump, const char *line, size_t size)
{
    bool marker = go_text_dump_is_marker(line, size) && !(dump->continued && line[0] == 'S');
    size_t kept = size < GO_TEXT_REASON_SIZE ? size : GO_TEXT_REASON_SIZE - 1;
    if (marker && dump->number > 0 && strlen(dump->reason) == kept &&
        memcmp(dump->reason, line, kept) == 0) {
        dump->again = true;
    } else {
        dump->blank = false;
        dump->foreign++;
    }
    if (size == 5 && memcmp(line, "-----", 5) == 0) {
        dump->continued = dump->number > 0;
    }
    if (!marker) {
        return;
    }
    dump->marker = dump->marker || !dump->again;
    if (dump->next_reason[0] == '\0') {
        memcpy(dump->next_reason, line, kept);
        dump->next_reason[kept] = '\0';
    }
}

/* True when LINE holds a header that something stands before. */
static bool go_text_dump_is_wrapped(const char *line, size_t size)
{
    static const char word[] = "goroutine ";
    const char *found = memmem(line, size, word, sizeof word - 1);
    return found != NULL && go_text_header_is_likely(found, size - (size_t)(found - line));
}

/* A line of no goroutine within one: it ends after too many of them. */
static struct error *go_text_dump_disturb(struct go_text_dump *dump, const char *line, size_t size)
{
    if (dump->ancestors) {
        return NULL;
    }
    dump->foreign++;
    dump->torn = dump->torn || (size > 0 && (line[0] == '\t' || line[size - 1] == ')'));
    return dump->foreign > GO_TEXT_GAP_MAX ? go_text_dump_close(dump) : NULL;
}

/* What reading one line or frame came to. */
enum go_text_dump_result { GO_TEXT_READ_ON, GO_TEXT_READ_MORE, GO_TEXT_READ_STOP };

/* Reads the line at AT, and with it the next when they are one frame. */
static struct error *go_text_dump_read_line(struct go_text_dump *dump, const char *at,
                                            const char *end, bool stop, bool last,
                                            const char **next_ret, enum go_text_dump_result *ret)
{
    struct go_text_header header;
    enum go_text_step step = GO_TEXT_STEP_FOREIGN;
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    *ret = GO_TEXT_READ_MORE;
    if (newline == NULL) {
        return NULL;
    }
    *ret = GO_TEXT_READ_ON;
    *next_ret = newline + 1;
    size_t size = (size_t)(newline - at);
    if (size == 0) {
        TRY(go_text_dump_close(dump));
        dump->marker = dump->marker || dump->again;
        dump->blank = true;
        return NULL;
    }
    if (at[0] == 'g' && go_text_header_parse(at, size, &dump->memory, &header)) {
        bool open = dump->open;
        TRY(go_text_dump_close(dump));
        dump->foreign = open ? 0 : dump->foreign;
        return go_text_dump_open(dump, &header, dump->bytes);
    }
    if (!dump->open) {
        go_text_dump_pass(dump, at, size);
        if (stop && (dump->foreign > GO_TEXT_GAP_MAX || go_text_dump_is_wrapped(at, size))) {
            *ret = GO_TEXT_READ_STOP;
        }
        return NULL;
    }
    if (!dump->muted && !dump->ancestors) {
        TRY(go_text_stacks_learn(&dump->stacks, at, end, &step, next_ret));
    }
    if (step == GO_TEXT_STEP_MORE && !last) {
        *ret = GO_TEXT_READ_MORE;
        return NULL;
    }
    dump->ancestors = dump->ancestors || step == GO_TEXT_STEP_ANCESTOR;
    dump->foreign = step == GO_TEXT_STEP_TAKEN ? 0 : dump->foreign;
    return step == GO_TEXT_STEP_TAKEN || step == GO_TEXT_STEP_ANCESTOR || dump->muted
               ? NULL
               : go_text_dump_disturb(dump, at, size);
}

struct error *go_text_dump_read(struct go_text_dump *dump, const char *at, const char *end,
                                bool stop, bool last, const char **next_ret)
{
    *next_ret = at;
    dump->stopped = false;
    while (at < end) {
        if (dump->open && !dump->muted && !dump->ancestors) {
            const char *next = go_text_stacks_match(&dump->stacks, at, end);
            if (next != NULL) {
                dump->bytes += (uint64_t)(next - at);
                at = next;
                continue;
            }
        }
        enum go_text_dump_result result;
        const char *next = at;
        struct error *error = go_text_dump_read_line(dump, at, end, stop, last, &next, &result);
        *next_ret = at;
        TRY(error);
        if (result != GO_TEXT_READ_ON) {
            dump->stopped = result == GO_TEXT_READ_STOP;
            return NULL;
        }
        dump->bytes += (uint64_t)(next - at);
        at = next;
    }
    *next_ret = at;
    return NULL;
}

/* Says which of several dumps this is. */
static struct error *go_text_dump_note_number(struct go_text_dump *dump)
{
    CLEANUP(string_builder_deinit) struct string_builder sizes = {0};
    uint64_t all = dump->number;
    uint64_t shown = dump->wanted == 0 ? all : dump->wanted;
    if (all < 2) {
        return NULL;
    }
    for (uint64_t i = 0; i < all && i < GO_TEXT_SIZES; i++) {
        string_builder_format(&sizes, "%s%llu", i == 0 ? "" : ", ",
                              (unsigned long long)dump->sizes[i]);
    }
    TRY(string_builder_error(&sizes));
    return snapshot_builder_note(
        dump->builder,
        "it holds %llu dumps (of %s%s goroutines); this is number %llu%s; FILE@N shows another",
        (unsigned long long)all, string_builder_text(&sizes), all > GO_TEXT_SIZES ? ", ..." : "",
        (unsigned long long)shown, shown == all ? ", the last" : "");
}

/* Says what is missing and why the dump was written. */
static struct error *go_text_dump_notes(struct go_text_dump *dump, bool torn)
{
    TRY(go_text_dump_note_number(dump));
    bool last = dump->wanted == 0 || dump->wanted == dump->number;
    if (dump->reason[0] != '\0') {
        TRY(snapshot_builder_note(dump->builder, "it was written because of: %s", dump->reason));
    }
    if (last && dump->bytes - dump->first_byte == DUMP_CUT_SIZE) {
        TRY(snapshot_builder_note(dump->builder,
                                  "cut at 64 MiB, where debug=2 ends: goroutines may be missing"));
    } else if (last && torn) {
        TRY(snapshot_builder_note(
            dump->builder, "the text breaks off in or behind goroutine %llu: others may be missing",
            (unsigned long long)dump->header.id));
    }
    if (dump->odd > 0) {
        TRY(snapshot_builder_note(dump->builder,
                                  "%llu goroutines are in a state that is not known here",
                                  (unsigned long long)dump->odd));
    }
    return NULL;
}

/* Labels are known to be none only in a text that shows labels: there they are not unknown, as was
 * noted of each goroutine. */
static void go_text_dump_mark_labels(struct go_text_dump *dump)
{
    size_t count;
    (void)snapshot_goroutines(snapshot_builder_peek(dump->builder), &count);
    for (size_t i = 0; dump->labels_seen && i < count; i++) {
        snapshot_builder_goroutine(dump->builder, i)->flags &= (uint16_t)~GOROUTINE_LABELS_UNKNOWN;
    }
}

struct error *go_text_dump_finish(struct go_text_dump *dump, bool unterminated, bool half)
{
    bool cut = dump->bytes - dump->first_byte == DUMP_CUT_SIZE;
    bool torn = unterminated && (dump->open ? dump->foreign > 0 : half);
    dump->torn = dump->torn || torn || cut;
    TRY(go_text_dump_close(dump));
    go_text_dump_keep_size(dump);
    if (dump->number == 0 || dump->wanted > dump->number) {
        return dump->number == 0
                   ? error_advise(error_create(ERROR_NOT_FOUND, "no goroutine dump in it"),
                                  "a dump has lines such as: goroutine 1 [running]:")
                   : error_create(ERROR_NOT_FOUND, "it holds %llu dumps, there is no number %llu",
                                  (unsigned long long)dump->number,
                                  (unsigned long long)dump->wanted);
    }
    go_text_dump_mark_labels(dump);
    return go_text_dump_notes(dump, torn);
}
