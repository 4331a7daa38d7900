/* Grouping: one pass over the goroutines finds each one's group in an open-addressing table and
 * counts it, a second one deals the members out. */
#include "snapshot/group.h"
#include "base/cleanup.h"
#include "base/hash_map.h"
#include "base/vector.h"
#include <stdlib.h>
#include <string.h>

enum { GROUP_FIRST_CAPACITY = 256 };

/* What members have in common. Where the stack is unknown the first function tells them apart. */
struct group_key {
    uint32_t stack, creator, start;
    uint8_t status, wait_reason;
};

/* What struct group does not hold. */
struct group_extra {
    uint32_t start;    /* function, the rest of the key */
    uint32_t follow;   /* number of the group that came after this one last */
    uint64_t smallest; /* id among the members */
};

/* The table under construction. */
struct group_table {
    VECTOR(struct group) groups;
    VECTOR(struct group_extra) extras; /* by group */
    uint32_t *slots;                   /* group number + 1; 0 is free */
    size_t capacity;                   /* a power of two */
};

/* One group or goroutine while sorting. */
struct group_entry {
    struct group group;
    const char *name;
    uint64_t smallest;
};

/* Hashes a key. */
static inline uint64_t group_hash(const struct group_key *key)
{
    return hash_u64(((uint64_t)key->stack << 32 | key->creator) +
                    ((uint64_t)key->start << 16 | (uint64_t)key->status << 8 | key->wait_reason) *
                        0x9e3779b97f4a7c15u);
}

/* The wait reason of GOROUTINE; one that does not wait may still hold its last one. */
static inline uint8_t group_reason(const struct snapshot_goroutine *goroutine)
{
    bool waits = goroutine->status == GOROUTINE_STATUS_WAITING ||
                 goroutine->status == GOROUTINE_STATUS_LEAKED;
    return waits ? goroutine->wait_reason : (uint8_t)WAIT_REASON_NONE;
}

/* The key of a goroutine. */
static inline struct group_key group_key(const struct snapshot_goroutine *goroutine)
{
    return (struct group_key){.stack = goroutine->stack,
                              .creator = goroutine->creator,
                              .start = goroutine->start,
                              .status = goroutine->status,
                              .wait_reason = group_reason(goroutine)};
}

/* Whether group NUMBER has KEY. */
static inline bool group_matches(const struct group_table *table, uint32_t number,
                                 const struct group_key *key)
{
    const struct group *group = &table->groups.items[number];
    return group->stack == key->stack && group->creator == key->creator &&
           group->status == key->status && group->wait_reason == key->wait_reason &&
           table->extras.items[number].start == key->start;
}

/* The key of a group. */
static struct group_key group_key_of(const struct group_table *table, uint32_t number)
{
    const struct group *group = &table->groups.items[number];
    return (struct group_key){.stack = group->stack,
                              .creator = group->creator,
                              .start = table->extras.items[number].start,
                              .status = group->status,
                              .wait_reason = group->wait_reason};
}

/* Doubles the slots. */
static struct error *group_table_double(struct group_table *table)
{
    size_t capacity = table->capacity == 0 ? GROUP_FIRST_CAPACITY : table->capacity * 2;
    uint32_t *slots = calloc(capacity, sizeof *slots);
    if (slots == NULL) {
        return error_no_memory();
    }
    for (size_t number = 0; number < table->groups.count; number++) {
        struct group_key key = group_key_of(table, (uint32_t)number);
        size_t at = (size_t)group_hash(&key) & (capacity - 1);
        while (slots[at] != 0) {
            at = (at + 1) & (capacity - 1);
        }
        slots[at] = (uint32_t)number + 1;
    }
    free(table->slots);
    table->slots = slots;
    table->capacity = capacity;
    return NULL;
}

/* Adds a group for KEY at the free slot AT. */
static struct error *group_table_add(struct group_table *table, const struct group_key *key,
                                     size_t at)
{
    struct group group = {.stack = key->stack,
                          .creator = key->creator,
                          .status = key->status,
                          .wait_reason = key->wait_reason,
                          .flags = UINT16_MAX,
                          .age_min_ns = SNAPSHOT_UNKNOWN,
                          .age_max_ns = SNAPSHOT_UNKNOWN};
    struct group_extra extra = {.start = key->start, .smallest = UINT64_MAX};
    TRY(vector_append(&table->extras, extra));
    TRY(vector_append(&table->groups, group));
    table->slots[at] = (uint32_t)table->groups.count;
    return NULL;
}

/* The number of the group of KEY, added when new. */
static struct error *group_table_find(struct group_table *table, const struct group_key *key,
                                      uint32_t *ret)
{
    if (table->groups.count >= table->capacity / 4 * 3) {
        TRY(group_table_double(table));
    }
    size_t at = (size_t)group_hash(key) & (table->capacity - 1);
    while (table->slots[at] != 0 && !group_matches(table, table->slots[at] - 1, key)) {
        at = (at + 1) & (table->capacity - 1);
    }
    if (table->slots[at] == 0) {
        TRY(group_table_add(table, key, at));
    }
    *ret = table->slots[at] - 1;
    return NULL;
}

/* Counts a member. */
static inline void group_count(struct group *group, const struct snapshot_goroutine *goroutine)
{
    if (group->count++ == 0) {
        group->labels = goroutine->labels;
        group->parent = goroutine->parent;
    }
    group->goroutines += goroutine->count;
    group->labels_differ |= goroutine->labels != group->labels;
    group->parents_differ |= goroutine->parent != group->parent;
    group->flags &= goroutine->flags;
    if (goroutine->age_ns == SNAPSHOT_UNKNOWN) {
        group->age_unknown += goroutine->count;
    } else if (group->age_max_ns == SNAPSHOT_UNKNOWN) {
        group->age_min_ns = goroutine->age_ns;
        group->age_max_ns = goroutine->age_ns;
    } else if (goroutine->age_ns < group->age_min_ns) {
        group->age_min_ns = goroutine->age_ns;
    } else if (goroutine->age_ns > group->age_max_ns) {
        group->age_max_ns = goroutine->age_ns;
    }
}

/* Moves *NUMBER from the group of one goroutine to that of the next, which has KEY: often the same,
 * or, as programs start goroutines in rounds, the one that followed before. */
static inline struct error *group_find(struct group_table *table, const struct group_key *key,
                                       uint32_t *number)
{
    if (table->groups.count == 0) {
        return group_table_find(table, key, number);
    }
    if (group_matches(table, *number, key)) {
        return NULL;
    }
    uint32_t last = *number;
    *number = table->extras.items[last].follow;
    if (!group_matches(table, *number, key)) {
        TRY(group_table_find(table, key, number));
        table->extras.items[last].follow = *number;
    }
    return NULL;
}

/* Finds each goroutine's group; NUMBERS is by position in the selection. */
static struct error *group_assign(struct group_table *table, const struct snapshot *snapshot,
                                  const uint32_t *selection, size_t count, uint32_t *numbers)
{
    size_t all;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(snapshot, &all);
    uint32_t number = 0;
    for (size_t i = 0; i < count; i++) {
        const struct snapshot_goroutine *goroutine =
            &goroutines[selection == NULL ? i : selection[i]];
        struct group_key key = group_key(goroutine);
        TRY(group_find(table, &key, &number));
        group_count(&table->groups.items[number], goroutine);
        uint64_t *smallest = &table->extras.items[number].smallest;
        *smallest = goroutine->id < *smallest ? goroutine->id : *smallest;
        numbers[i] = number;
    }
    return NULL;
}

/* Deals the members out to their groups, in the order of the selection. */
static void group_deal(struct group_table *table, const uint32_t *selection,
                       const uint32_t *numbers, size_t count, uint32_t *members)
{
    uint32_t *next = members;
    for (size_t i = 0; i < table->groups.count; i++) {
        struct group *group = &table->groups.items[i];
        group->members = next;
        next += group->count;
        group->count = 0;
    }
    for (size_t i = 0; i < count; i++) {
        struct group *group = &table->groups.items[numbers[i]];
        members[(size_t)(group->members - members) + group->count++] =
            selection == NULL ? (uint32_t)i : selection[i];
    }
}

/* The larger first, unknown last. */
static int group_compare_age(int64_t a, int64_t b)
{
    return (b > a) - (b < a); /* SNAPSHOT_UNKNOWN is the smallest number */
}

/* Ties: the smallest id first. */
static int group_compare_id(const struct group_entry *a, const struct group_entry *b)
{
    return (a->smallest > b->smallest) - (a->smallest < b->smallest);
}

/* GROUP_BY_COUNT. */
static int group_by_count(const void *left, const void *right)
{
    const struct group_entry *a = left;
    const struct group_entry *b = right;
    int order =
        (b->group.goroutines > a->group.goroutines) - (b->group.goroutines < a->group.goroutines);
    return order != 0 ? order : group_compare_id(a, b);
}

/* GROUP_BY_AGE. */
static int group_by_age(const void *left, const void *right)
{
    const struct group_entry *a = left;
    const struct group_entry *b = right;
    int order = group_compare_age(a->group.age_max_ns, b->group.age_max_ns);
    return order != 0 ? order : group_compare_id(a, b);
}

/* GROUP_BY_ID. */
static int group_by_id(const void *left, const void *right)
{
    return group_compare_id(left, right);
}

/* GROUP_BY_NAME. */
static int group_by_name(const void *left, const void *right)
{
    const struct group_entry *a = left;
    const struct group_entry *b = right;
    int order = strcmp(a->name, b->name);
    return order != 0 ? order : group_compare_id(a, b);
}

/* Sorts the groups by ORDER. */
static struct error *group_sort(const struct snapshot *snapshot, struct group_table *table,
                                enum group_order order)
{
    static int (*const compare[])(const void *, const void *) = {
        [GROUP_BY_COUNT] = group_by_count,
        [GROUP_BY_AGE] = group_by_age,
        [GROUP_BY_ID] = group_by_id,
        [GROUP_BY_NAME] = group_by_name,
    };
    struct group *groups = table->groups.items;
    size_t count = table->groups.count;
    CLEANUP_FREE struct group_entry *entries = calloc(count + 1, sizeof *entries);
    if (entries == NULL) {
        return error_no_memory();
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t frame = snapshot_user_frame(snapshot, groups[i].stack);
        uint32_t name = frame == 0 ? 0 : snapshot_frame(snapshot, frame)->function;
        entries[i] = (struct group_entry){.group = groups[i],
                                          .name = snapshot_string(snapshot, name),
                                          .smallest = table->extras.items[i].smallest};
    }
    qsort(entries, count, sizeof *entries, compare[order]);
    for (size_t i = 0; i < count; i++) {
        groups[i] = entries[i].group;
    }
    return NULL;
}

/* Builds the groups into TABLE and MEMBERS. */
static struct error *group_build(struct group_table *table, const struct snapshot *snapshot,
                                 const uint32_t *selection, size_t count, enum group_order order,
                                 uint32_t *members)
{
    CLEANUP_FREE uint32_t *numbers = malloc((count + 1) * sizeof *numbers);
    if (numbers == NULL) {
        return error_no_memory();
    }
    TRY(group_assign(table, snapshot, selection, count, numbers));
    group_deal(table, selection, numbers, count, members);
    return group_sort(snapshot, table, order);
}

/* Groups a selection. */
struct error *group_list_init(struct group_list *list, const struct snapshot *snapshot,
                              const uint32_t *selection, size_t count, enum group_order order)
{
    if (selection == NULL) {
        (void)snapshot_goroutines(snapshot, &count);
    }
    struct group_table table = {0};
    uint32_t *members = malloc((count + 1) * sizeof *members);
    struct error *error = members == NULL
                              ? error_no_memory()
                              : group_build(&table, snapshot, selection, count, order, members);
    free(table.slots);
    vector_deinit(&table.extras);
    if (error != NULL) {
        vector_deinit(&table.groups);
        free(members);
        return error;
    }
    *list = (struct group_list){
        .items = table.groups.items, .count = table.groups.count, .members = members};
    return NULL;
}

/* Frees a list. */
void group_list_deinit(struct group_list *list)
{
    free(list->items);
    free(list->members);
    *list = (struct group_list){0};
}

/* A goroutine while a selection is sorted by age. */
struct group_aged {
    int64_t age_ns;
    uint32_t index;
};

/* The oldest first, ties by index, which ascends with the id. */
static int group_compare_aged(const void *left, const void *right)
{
    const struct group_aged *a = left;
    const struct group_aged *b = right;
    int order = group_compare_age(a->age_ns, b->age_ns);
    return order != 0 ? order : (a->index > b->index) - (a->index < b->index);
}

/* Sorts by age. */
static struct error *group_sort_aged(const struct snapshot *snapshot, uint32_t *selection,
                                     size_t count)
{
    size_t all;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(snapshot, &all);
    CLEANUP_FREE struct group_aged *aged = malloc((count + 1) * sizeof *aged);
    if (aged == NULL) {
        return error_no_memory();
    }
    for (size_t i = 0; i < count; i++) {
        aged[i] =
            (struct group_aged){.age_ns = goroutines[selection[i]].age_ns, .index = selection[i]};
    }
    qsort(aged, count, sizeof *aged, group_compare_aged);
    for (size_t i = 0; i < count; i++) {
        selection[i] = aged[i].index;
    }
    return NULL;
}

/* Indices ascending. */
static int group_compare_index(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left;
    uint32_t b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* Sorts single goroutines. */
struct error *group_sort_selection(const struct snapshot *snapshot, uint32_t *selection,
                                   size_t count, enum group_order order)
{
    if (order == GROUP_BY_AGE) {
        return group_sort_aged(snapshot, selection, count);
    }
    qsort(selection, count, sizeof *selection, group_compare_index);
    if (order == GROUP_BY_ID) {
        return NULL;
    }
    struct group_list list;
    TRY(group_list_init(&list, snapshot, selection, count, order));
    size_t at = 0;
    for (size_t i = 0; i < list.count; i++) {
        memcpy(selection + at, list.items[i].members, list.items[i].count * sizeof *selection);
        at += list.items[i].count;
    }
    group_list_deinit(&list);
    return NULL;
}

/* Parses an order. */
struct error *group_parse_order(const char *text, enum group_order *ret)
{
    static const char *const names[] = {
        [GROUP_BY_COUNT] = "count",
        [GROUP_BY_AGE] = "age",
        [GROUP_BY_ID] = "id",
        [GROUP_BY_NAME] = "name",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret = (enum group_order)i;
            return NULL;
        }
    }
    return error_create(ERROR_USAGE, "\"%s\" is not an order: count, age, id or name", text);
}
