/* Two snapshots' groups, found by content: what both sides say is interned into one table, first
 * strings, then frames made of these, stacks made of those, and at last groups, each behind a byte
 * that tells what it is. Equal content then has equal ids. */
#include "snapshot/difference.h"
#include "base/cleanup.h"
#include "base/hash_map.h"
#include "base/intern.h"
#include "base/vector.h"
#include <stdlib.h>
#include <string.h>

enum { DIFFERENCE_SIDES = 2 };

/* One side's ids in the common table; 0: not yet asked for. */
struct difference_names {
    const struct difference_side *side;
    const struct snapshot_goroutine *goroutines;
    size_t all, count; /* goroutines of the snapshot, and those that count */
    uint32_t *frames, *stacks;
    uint32_t *groups; /* by position in the selection: number of the item */
};

/* One comparison. */
struct difference_run {
    struct difference *result;
    struct intern *table;
    struct difference_names sides[DIFFERENCE_SIDES];
    struct hash_map numbers; /* id of a group in the table: number of the item */
    VECTOR(struct difference_item) items;
    VECTOR(uint32_t) words; /* scratch */
};

/* Frees a comparison. */
static void difference_run_deinit(struct difference_run *run)
{
    for (size_t i = 0; i < DIFFERENCE_SIDES; i++) {
        free(run->sides[i].frames);
        free(run->sides[i].stacks);
        free(run->sides[i].groups);
    }
    intern_destroy(run->table);
    hash_map_deinit(&run->numbers);
    vector_deinit(&run->items);
    vector_deinit(&run->words);
}

/* The index of the goroutine at POSITION of SIDE's selection. */
static uint32_t difference_index(const struct difference_names *names, size_t position)
{
    return names->side->selection == NULL ? (uint32_t)position : names->side->selection[position];
}

/* The goroutine at POSITION. */
static const struct snapshot_goroutine *difference_at(const struct difference_names *names,
                                                      size_t position)
{
    return &names->goroutines[difference_index(names, position)];
}

/* What kind of thing the words of the table stand for; the first word of each. */
enum difference_kind { DIFFERENCE_STRING, DIFFERENCE_FRAME, DIFFERENCE_STACK, DIFFERENCE_GROUP };

/* Interns COUNT words. */
static struct error *difference_intern(struct difference_run *run, const uint32_t *words,
                                       size_t count, uint32_t *ret)
{
    return intern_add(run->table, (const char *)words, count * sizeof *words, ret);
}

/* The common id of string ID of NAMES, behind its kind. */
static struct error *difference_string(struct difference_run *run, struct difference_names *names,
                                       uint32_t id, uint32_t *ret)
{
    const struct snapshot *snapshot = names->side->snapshot;
    size_t size = snapshot_string_size(snapshot, id);
    size_t words = 2 + (size + 3) / 4;
    TRY(vector_reserve(&run->words, words));
    memset(run->words.items, 0, words * sizeof *run->words.items);
    run->words.items[0] = DIFFERENCE_STRING;
    run->words.items[1] = (uint32_t)size;
    memcpy(run->words.items + 2, snapshot_string(snapshot, id), size);
    return difference_intern(run, run->words.items, words, ret);
}

/* The common id of frame ID, 0 for 0. */
static struct error *difference_frame(struct difference_run *run, struct difference_names *names,
                                      uint32_t id, uint32_t *ret)
{
    *ret = id == 0 ? 0 : names->frames[id];
    if (id == 0 || *ret != 0) {
        return NULL;
    }
    const struct snapshot_frame *frame = snapshot_frame(names->side->snapshot, id);
    bool elided = (frame->flags & FRAME_ELIDED) != 0;
    bool lines = run->result->by_lines;
    uint32_t words[] = {DIFFERENCE_FRAME, 0, 0, lines || elided ? frame->line : 0, elided};
    TRY(difference_string(run, names, frame->function, &words[1]));
    if (lines) {
        TRY(difference_string(run, names, frame->file, &words[2]));
    }
    TRY(difference_intern(run, words, sizeof words / sizeof *words, ret));
    names->frames[id] = *ret;
    return NULL;
}

/* Stores the common ids of the frames of STACK that have none of FLAGS in IDS. Frames left out at
 * the innermost end are the runtime's (goroutine text with debug=1): they count for nothing. */
static struct error *difference_frames(struct difference_run *run, struct difference_names *names,
                                       uint32_t stack, uint32_t flags, uint32_t *ids,
                                       size_t *count_ret)
{
    size_t count;
    const uint32_t *frames = snapshot_stack(names->side->snapshot, stack, &count);
    *count_ret = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t has = snapshot_frame(names->side->snapshot, frames[i])->flags;
        if ((has & flags) == 0 && (i > 0 || (has & FRAME_ELIDED) == 0)) {
            TRY(difference_frame(run, names, frames[i], &ids[(*count_ret)++]));
        }
    }
    return NULL;
}

/* The common id of stack ID, 0 for 0. */
static struct error *difference_stack(struct difference_run *run, struct difference_names *names,
                                      uint32_t id, uint32_t *ret)
{
    *ret = id == 0 ? 0 : names->stacks[id];
    if (id == 0 || *ret != 0) {
        return NULL;
    }
    size_t count;
    (void)snapshot_stack(names->side->snapshot, id, &count);
    CLEANUP_FREE uint32_t *words = malloc((count + 1) * sizeof *words);
    if (words == NULL) {
        return error_no_memory();
    }
    words[0] = DIFFERENCE_STACK;
    TRY(difference_frames(run, names, id, FRAME_RUNTIME | FRAME_WRAPPER, words + 1, &count));
    if (count == 0) {
        TRY(difference_frames(run, names, id, FRAME_WRAPPER, words + 1, &count));
    }
    TRY(difference_intern(run, words, count + 1, ret));
    names->stacks[id] = *ret;
    return NULL;
}

/* The wait reason of GOROUTINE; one that does not wait may still hold its last one. */
static uint32_t difference_reason(const struct snapshot_goroutine *goroutine)
{
    bool waits = goroutine->status == GOROUTINE_STATUS_WAITING ||
                 goroutine->status == GOROUTINE_STATUS_LEAKED;
    return waits ? goroutine->wait_reason : 0;
}

/* The number of GOROUTINE's group. */
static struct error *difference_group(struct difference_run *run, struct difference_names *names,
                                      const struct snapshot_goroutine *goroutine, uint32_t *ret)
{
    const struct difference *result = run->result;
    uint32_t words[] = {DIFFERENCE_GROUP,
                        0,
                        0,
                        0,
                        result->by_state ? goroutine->status : 0,
                        result->by_state ? difference_reason(goroutine) : 0};
    uint32_t id;
    uint64_t *number;
    bool added;
    TRY(difference_stack(run, names, goroutine->stack, &words[1]));
    if (result->by_creator) {
        TRY(difference_frame(run, names, goroutine->creator, &words[2]));
    }
    if (goroutine->stack == 0) {
        TRY(difference_frame(run, names, goroutine->start, &words[3]));
    }
    TRY(difference_intern(run, words, sizeof words / sizeof *words, &id));
    TRY(hash_map_entry(&run->numbers, id, run->items.count, &added, &number));
    *ret = (uint32_t)*number;
    if (added) {
        const struct difference_members none = {
            .first = UINT32_MAX, .age_min_ns = SNAPSHOT_UNKNOWN, .age_max_ns = SNAPSHOT_UNKNOWN};
        struct difference_item item = {.before = none, .after = none};
        TRY(vector_append(&run->items, item));
    }
    return NULL;
}

/* Counts GOROUTINE, whose index is INDEX, in. */
static void difference_count(const struct difference_names *names,
                             struct difference_members *members, uint32_t index)
{
    const struct snapshot_goroutine *goroutine = &names->goroutines[index];
    if (members->first == UINT32_MAX) {
        members->first = index;
    }
    members->goroutines += goroutine->count;
    members->parents_differ |= goroutine->parent != names->goroutines[members->first].parent;
    if (goroutine->age_ns == SNAPSHOT_UNKNOWN) {
        members->age_unknown += goroutine->count;
        return;
    }
    if (members->age_max_ns == SNAPSHOT_UNKNOWN || goroutine->age_ns > members->age_max_ns) {
        members->age_max_ns = goroutine->age_ns;
    }
    if (members->age_min_ns == SNAPSHOT_UNKNOWN || goroutine->age_ns < members->age_min_ns) {
        members->age_min_ns = goroutine->age_ns;
    }
}

/* True when B is in the same group as A, for it looks the same: spares the table. */
static bool difference_alike(const struct snapshot_goroutine *a, const struct snapshot_goroutine *b)
{
    return a->stack == b->stack && a->creator == b->creator && a->start == b->start &&
           a->status == b->status && a->wait_reason == b->wait_reason;
}

/* Finds the groups of one side's goroutines. */
static struct error *difference_group_side(struct difference_run *run, size_t number)
{
    struct difference_names *names = &run->sides[number];
    uint64_t *total = number == 0 ? &run->result->before : &run->result->after;
    for (size_t i = 0; i < names->count; i++) {
        const struct snapshot_goroutine *goroutine = difference_at(names, i);
        if (i > 0 && difference_alike(difference_at(names, i - 1), goroutine)) {
            names->groups[i] = names->groups[i - 1];
        } else {
            TRY(difference_group(run, names, goroutine, &names->groups[i]));
        }
        struct difference_item *item = &run->items.items[names->groups[i]];
        difference_count(names, number == 0 ? &item->before : &item->after,
                         difference_index(names, i));
        *total += goroutine->count;
    }
    return NULL;
}

/* True when GOROUTINE waits, and for something. */
static bool difference_waits(const struct snapshot_goroutine *goroutine)
{
    return goroutine->status == GOROUTINE_STATUS_WAITING ||
           goroutine->status == GOROUTINE_STATUS_LEAKED ||
           goroutine->status == GOROUTINE_STATUS_SYSCALL;
}

/* The address of the first thing GOROUTINE waits for, 0 unknown. */
static uint64_t difference_object(const struct difference_names *names,
                                  const struct snapshot_goroutine *goroutine)
{
    size_t count;
    const struct snapshot_wait *waits = snapshot_waits(names->side->snapshot, goroutine, &count);
    return count == 0 ? 0 : snapshot_object(names->side->snapshot, waits[0].object)->address;
}

/* Whether A and B, of the same id and group, are in one wait: nothing known speaks against it. An
 * age that was known must have grown. */
static bool difference_stayed(const struct difference_run *run, const struct snapshot_goroutine *a,
                              const struct snapshot_goroutine *b)
{
    uint64_t before = difference_object(&run->sides[0], a);
    uint64_t after = difference_object(&run->sides[1], b);
    bool woke = a->age_ns != SNAPSHOT_UNKNOWN && (b->age_ns < a->age_ns);
    return difference_waits(a) && difference_waits(b) && !woke &&
           (before == 0 || after == 0 || before == after) &&
           ((a->flags | b->flags) & GOROUTINE_ID_UNKNOWN) == 0;
}

/* Counts the goroutines that stayed where they were: both sides are ordered by id. */
static void difference_count_stayed(struct difference_run *run)
{
    const struct difference_names *before = &run->sides[0], *after = &run->sides[1];
    size_t a = 0, b = 0;
    while (a < before->count && b < after->count) {
        const struct snapshot_goroutine *x = difference_at(before, a);
        const struct snapshot_goroutine *y = difference_at(after, b);
        if (x->id == y->id && before->groups[a] == after->groups[b] &&
            difference_stayed(run, x, y)) {
            run->items.items[before->groups[a]].stayed++;
            run->result->stayed++;
        }
        a += x->id <= y->id;
        b += y->id <= x->id;
    }
}

/* Sums up what became of each group. */
static void difference_judge(struct difference_run *run)
{
    struct difference *result = run->result;
    for (size_t i = 0; i < run->items.count; i++) {
        struct difference_item *item = &run->items.items[i];
        uint64_t before = item->before.goroutines, after = item->after.goroutines;
        item->change = before == after  ? DIFFERENCE_UNCHANGED
                       : before == 0    ? DIFFERENCE_NEW
                       : after == 0     ? DIFFERENCE_GONE
                       : after > before ? DIFFERENCE_GROWN
                                        : DIFFERENCE_SHRUNK;
        result->changes[item->change]++;
        result->grown += after > before ? after - before : 0;
        result->shrunk += before > after ? before - after : 0;
    }
}

/* An item while sorting. */
struct difference_entry {
    struct difference_item item;
    const char *name;
    size_t number; /* by first appearance: ties */
};

/* The later of two when all else is equal. */
static int difference_compare_number(const struct difference_entry *a,
                                     const struct difference_entry *b)
{
    return (a->number > b->number) - (a->number < b->number);
}

/* DIFFERENCE_BY_COUNT. */
static int difference_by_count(const void *left, const void *right)
{
    const struct difference_entry *a = left, *b = right;
    uint64_t x = a->item.after.goroutines, y = b->item.after.goroutines;
    return x != y ? (x < y) - (x > y) : difference_compare_number(a, b);
}

/* DIFFERENCE_BY_GROWTH. */
static int difference_by_growth(const void *left, const void *right)
{
    const struct difference_entry *a = left, *b = right;
    int64_t x = (int64_t)(a->item.after.goroutines - a->item.before.goroutines);
    int64_t y = (int64_t)(b->item.after.goroutines - b->item.before.goroutines);
    if ((x > 0) != (y > 0)) {
        return x > 0 ? -1 : 1;
    }
    x = x < 0 ? -x : x;
    y = y < 0 ? -y : y;
    return x != y ? (x < y) - (x > y) : difference_by_count(left, right);
}

/* DIFFERENCE_BY_NAME. */
static int difference_by_name(const void *left, const void *right)
{
    const struct difference_entry *a = left, *b = right;
    int order = strcmp(a->name, b->name);
    return order != 0 ? order : difference_compare_number(a, b);
}

/* The function that a user knows ITEM by. */
static const char *difference_name(const struct difference_run *run,
                                   const struct difference_item *item)
{
    bool after = item->after.first != UINT32_MAX;
    const struct difference_names *names = &run->sides[after];
    const struct snapshot *snapshot = names->side->snapshot;
    uint32_t frame = snapshot_user_frame(
        snapshot, names->goroutines[after ? item->after.first : item->before.first].stack);
    return snapshot_string(snapshot, frame == 0 ? 0 : snapshot_frame(snapshot, frame)->function);
}

/* Sorts the items and hands them out. */
static struct error *difference_sort(struct difference_run *run, enum difference_order order)
{
    static int (*const compare[])(const void *, const void *) = {
        [DIFFERENCE_BY_GROWTH] = difference_by_growth,
        [DIFFERENCE_BY_COUNT] = difference_by_count,
        [DIFFERENCE_BY_NAME] = difference_by_name,
    };
    size_t count = run->items.count;
    CLEANUP_FREE struct difference_entry *entries = calloc(count + 1, sizeof *entries);
    if (entries == NULL) {
        return error_no_memory();
    }
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct difference_entry){run->items.items[i],
                                               difference_name(run, &run->items.items[i]), i};
    }
    qsort(entries, count, sizeof *entries, compare[order]);
    for (size_t i = 0; i < count; i++) {
        run->items.items[i] = entries[i].item;
    }
    run->result->items = TAKE(run->items.items);
    run->result->count = count;
    return NULL;
}

/* Compares a string of the two programs: 1 equal, 0 different, -1 unknown on a side. */
static int difference_same(const struct difference_run *run, uint32_t before, uint32_t after)
{
    return before == 0 || after == 0
               ? -1
               : strcmp(snapshot_string(run->sides[0].side->snapshot, before),
                        snapshot_string(run->sides[1].side->snapshot, after)) == 0;
}

/* Compares build ids: the linker's own ("a/b/c/d") and GNU ones are not comparable. */
static int difference_same_build(const struct difference_run *run, uint32_t before, uint32_t after)
{
    const char *a = snapshot_string(run->sides[0].side->snapshot, before);
    const char *b = snapshot_string(run->sides[1].side->snapshot, after);
    bool alike = (strchr(a, '/') == NULL) == (strchr(b, '/') == NULL);
    return alike ? difference_same(run, before, after) : -1;
}

/* Decides what is compared: only what both sides know. */
static void difference_decide(struct difference_run *run, enum difference_match match)
{
    struct difference *result = run->result;
    bool states[DIFFERENCE_SIDES] = {false}, creators[DIFFERENCE_SIDES] = {false};
    const struct snapshot_program *a = snapshot_program(run->sides[0].side->snapshot);
    const struct snapshot_program *b = snapshot_program(run->sides[1].side->snapshot);
    for (size_t i = 0; i < DIFFERENCE_SIDES; i++) {
        const struct difference_names *names = &run->sides[i];
        states[i] = creators[i] = names->all == 0;
        for (size_t k = 0; k < names->all; k++) {
            states[i] |= names->goroutines[k].status != GOROUTINE_STATUS_UNKNOWN;
            creators[i] |= names->goroutines[k].creator != 0;
        }
    }
    int build = difference_same_build(run, a->build_id, b->build_id);
    bool pids = a->pid == SNAPSHOT_UNKNOWN || b->pid == SNAPSHOT_UNKNOWN || a->pid == b->pid;
    result->builds_differ = build == 0;
    result->programs_differ = difference_same(run, a->path, b->path) == 0;
    result->by_lines = match == DIFFERENCE_MATCH_LINES ||
                       (match == DIFFERENCE_MATCH_AUTO && !result->builds_differ);
    result->by_state = states[0] == states[1];
    result->by_creator = creators[0] == creators[1];
    result->by_id = pids && !result->builds_differ && result->by_state;
    result->elapsed_ns = a->taken_at_ns == SNAPSHOT_UNKNOWN || b->taken_at_ns == SNAPSHOT_UNKNOWN
                             ? SNAPSHOT_UNKNOWN
                             : (int64_t)((uint64_t)b->taken_at_ns - (uint64_t)a->taken_at_ns);
}

/* Sets one side up. */
static struct error *difference_names_init(struct difference_names *names,
                                           const struct difference_side *side)
{
    names->side = side;
    names->goroutines = snapshot_goroutines(side->snapshot, &names->all);
    names->count = side->selection == NULL ? names->all : side->count;
    names->frames = calloc(snapshot_frame_count(side->snapshot) + 1, sizeof *names->frames);
    names->stacks = calloc(snapshot_stack_count(side->snapshot) + 1, sizeof *names->stacks);
    names->groups = calloc(names->count + 1, sizeof *names->groups);
    return names->frames == NULL || names->stacks == NULL || names->groups == NULL
               ? error_no_memory()
               : NULL;
}

/* Compares two snapshots. */
struct error *difference_init(struct difference *difference, const struct difference_side *before,
                              const struct difference_side *after, enum difference_match match,
                              enum difference_order order)
{
    CLEANUP(difference_run_deinit) struct difference_run run = {.result = difference};
    *difference = (struct difference){0};
    TRY(intern_create(&run.table));
    TRY(difference_names_init(&run.sides[0], before));
    TRY(difference_names_init(&run.sides[1], after));
    difference_decide(&run, match);
    TRY(difference_group_side(&run, 0));
    TRY(difference_group_side(&run, 1));
    if (difference->by_id) {
        difference_count_stayed(&run);
    }
    difference_judge(&run);
    return difference_sort(&run, order);
}

/* Frees a comparison's result. */
void difference_deinit(struct difference *difference)
{
    free(difference->items);
    *difference = (struct difference){0};
}

/* Tells growth. */
bool difference_has_growth(const struct difference *difference)
{
    return difference->changes[DIFFERENCE_NEW] + difference->changes[DIFFERENCE_GROWN] > 0;
}
