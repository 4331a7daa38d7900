/* Objects become one node when the same groups wait for them in the same directions and the same
 * groups can reach them: each object gets a signature, the sum of a hash for every such fact. */
#include "leak/wait_graph.h"
#include "base/cleanup.h"
#include "base/hash_map.h"
#include "base/vector.h"
#include <stdlib.h>
#include <string.h>

enum {
    WAIT_GRAPH_NONE = 0xffffffff,
    WAIT_GRAPH_REACH_MAX = 64, /* groups that reach one object, of those told apart */
    WAIT_GRAPH_SALT_REACH = 0x7ea0
};

/* The graph under construction. */
struct wait_graph_builder {
    const struct wait_graph_input *input;
    const struct snapshot_goroutine *goroutines;
    uint32_t *group_of;   /* by goroutine: index in the list of groups */
    uint64_t *signatures; /* by object of the snapshot */
    uint32_t *node_of;    /* by object of the snapshot */
    uint32_t *kept;       /* by group of the list: its node */
    VECTOR(struct wait_graph_group) groups;
    VECTOR(struct wait_graph_object) objects;
    VECTOR(struct wait_graph_wait) waits;
    VECTOR(uint32_t) last; /* by wait: the last goroutine counted, so that it is counted once */
    VECTOR(struct wait_graph_reach) reaches;
    struct hash_map nodes; /* signature: object node */
    struct hash_map edges; /* object node, group, direction: wait or reach + 1 */
};

bool wait_graph_is_shared(uint8_t kind)
{
    return kind != OBJECT_TIMER && kind != OBJECT_DESCRIPTOR && kind != OBJECT_SYSTEM_CALL;
}

/* Frees what BUILDER holds besides the result. */
static void wait_graph_builder_deinit(struct wait_graph_builder *builder)
{
    free(builder->group_of);
    free(builder->signatures);
    free(builder->node_of);
    free(builder->kept);
    vector_deinit(&builder->groups);
    vector_deinit(&builder->objects);
    vector_deinit(&builder->waits);
    vector_deinit(&builder->last);
    vector_deinit(&builder->reaches);
    hash_map_deinit(&builder->nodes);
    hash_map_deinit(&builder->edges);
}

/* Sets BUILDER up: which group each goroutine belongs to. */
static struct error *wait_graph_builder_init(struct wait_graph_builder *builder,
                                             const struct wait_graph_input *input)
{
    size_t count;
    size_t objects = snapshot_object_count(input->snapshot);
    *builder = (struct wait_graph_builder){.input = input};
    builder->goroutines = snapshot_goroutines(input->snapshot, &count);
    builder->group_of = malloc((count + 1) * sizeof *builder->group_of);
    builder->signatures = calloc(objects + 1, sizeof *builder->signatures);
    builder->node_of = malloc((objects + 1) * sizeof *builder->node_of);
    builder->kept = malloc((input->groups->count + 1) * sizeof *builder->kept);
    if (builder->group_of == NULL || builder->signatures == NULL || builder->node_of == NULL ||
        builder->kept == NULL) {
        return error_no_memory();
    }
    memset(builder->group_of, 0xff, (count + 1) * sizeof *builder->group_of);
    memset(builder->node_of, 0xff, (objects + 1) * sizeof *builder->node_of);
    memset(builder->kept, 0xff, (input->groups->count + 1) * sizeof *builder->kept);
    for (size_t i = 0; i < input->groups->count; i++) {
        const struct group *group = &input->groups->items[i];
        for (size_t j = 0; j < group->count; j++) {
            builder->group_of[group->members[j]] = (uint32_t)i;
        }
    }
    return NULL;
}

/* Whether object INDEX belongs into the graph. */
static bool wait_graph_has(const struct wait_graph_builder *builder, uint32_t index)
{
    return builder->input->outside ||
           wait_graph_is_shared(snapshot_object(builder->input->snapshot, index)->kind);
}

/* The waits of goroutine INDEX. */
static const struct snapshot_wait *wait_graph_waits(const struct wait_graph_builder *builder,
                                                    uint32_t index, size_t *count)
{
    return snapshot_waits(builder->input->snapshot, &builder->goroutines[index], count);
}

/* A number for one fact about an object. */
static uint64_t wait_graph_fact(uint32_t group, uint32_t kind)
{
    return hash_u64(((uint64_t)group << 32 | kind) + 1);
}

/* Adds to the signatures who waits; SEEN, by object, holds the last group that was added, and a bit
 * for each of its directions. */
static void wait_graph_sign_waits(struct wait_graph_builder *builder, uint64_t *seen)
{
    for (size_t i = 0; i < builder->input->groups->count; i++) {
        const struct group *group = &builder->input->groups->items[i];
        for (size_t j = 0; j < group->count; j++) {
            size_t count;
            const struct snapshot_wait *waits =
                wait_graph_waits(builder, group->members[j], &count);
            for (size_t k = 0; k < count; k++) {
                uint64_t *last = &seen[waits[k].object];
                uint64_t bit = UINT64_C(1) << waits[k].direction;
                *last = *last >> 16 == i + 1 ? *last : (uint64_t)(i + 1) << 16;
                if ((*last & bit) == 0) {
                    *last |= bit;
                    builder->signatures[waits[k].object] +=
                        wait_graph_fact((uint32_t)i, waits[k].direction);
                }
            }
        }
    }
}

/* Adds to the signatures who can reach; references are sorted by object. */
static void wait_graph_sign_reaches(struct wait_graph_builder *builder)
{
    const struct finding_reference *references = builder->input->references;
    uint32_t groups[WAIT_GRAPH_REACH_MAX];
    size_t known = 0;
    for (size_t i = 0; i < builder->input->reference_count; i++) {
        known = i == 0 || references[i].object != references[i - 1].object ? 0 : known;
        uint32_t group = builder->group_of[references[i].goroutine];
        bool seen = group == WAIT_GRAPH_NONE || known == WAIT_GRAPH_REACH_MAX;
        for (size_t j = 0; j < known; j++) {
            seen = seen || groups[j] == group;
        }
        if (!seen) {
            groups[known++] = group;
            builder->signatures[references[i].object] +=
                wait_graph_fact(group, WAIT_GRAPH_SALT_REACH);
        }
    }
}

/* The node of object INDEX, added when new. */
static struct error *wait_graph_node(struct wait_graph_builder *builder, uint32_t index,
                                     uint32_t *ret)
{
    *ret = builder->node_of[index];
    if (*ret != WAIT_GRAPH_NONE) {
        return NULL;
    }
    const struct snapshot_object *object = snapshot_object(builder->input->snapshot, index);
    uint64_t key = builder->signatures[index] + hash_u64(object->kind);
    if (object->kind == OBJECT_CHANNEL) {
        key += hash_u64((uint64_t)object->channel.element_type << 8 | OBJECT_KIND_COUNT);
    }
    uint64_t *node;
    bool added;
    TRY(hash_map_entry(&builder->nodes, key, builder->objects.count, &added, &node));
    if (added) {
        struct wait_graph_object item = {.example = index, .kind = object->kind};
        TRY(vector_append(&builder->objects, item));
    }
    *ret = builder->node_of[index] = (uint32_t)*node;
    builder->objects.items[*ret].objects++;
    return NULL;
}

/* The node of group INDEX of the list, added when new. */
static struct error *wait_graph_group(struct wait_graph_builder *builder, uint32_t index,
                                      uint32_t *ret)
{
    *ret = builder->kept[index];
    if (*ret != WAIT_GRAPH_NONE) {
        return NULL;
    }
    const struct group *group = &builder->input->groups->items[index];
    struct wait_graph_group item = {.group = group};
    const struct finding_verdict *verdicts = builder->input->verdicts;
    for (size_t i = 0; verdicts != NULL && i < group->count; i++) {
        uint32_t member = group->members[i];
        bool proved = verdicts[member].verdict == LEAK_VERDICT_PROVED;
        item.proved += proved ? builder->goroutines[member].count : 0;
    }
    *ret = builder->kept[index] = (uint32_t)builder->groups.count;
    return vector_append(&builder->groups, item);
}

/* The key of an edge. */
static uint64_t wait_graph_edge_key(uint32_t object, uint32_t group, uint32_t kind)
{
    return ((uint64_t)object << 32 | group) * 0x9e3779b97f4a7c15u + kind;
}

/* Adds one wait of goroutine MEMBER of GROUP. */
static struct error *wait_graph_add_wait(struct wait_graph_builder *builder, uint32_t group,
                                         uint32_t member, const struct snapshot_wait *wait)
{
    uint32_t object;
    uint32_t node;
    uint64_t *edge;
    bool added;
    TRY(wait_graph_node(builder, wait->object, &object));
    TRY(wait_graph_group(builder, group, &node));
    TRY(hash_map_entry(&builder->edges, wait_graph_edge_key(object, node, wait->direction),
                       builder->waits.count, &added, &edge));
    if (added) {
        struct wait_graph_wait item = {
            .group = node, .object = object, .direction = wait->direction};
        TRY(vector_append(&builder->waits, item));
        TRY(vector_append(&builder->last, (uint32_t)WAIT_GRAPH_NONE));
    }
    if (builder->last.items[*edge] != member) {
        builder->last.items[*edge] = member;
        builder->waits.items[*edge].goroutines += builder->goroutines[member].count;
    }
    return NULL;
}

/* Adds all waits. */
static struct error *wait_graph_add_waits(struct wait_graph_builder *builder)
{
    for (size_t i = 0; i < builder->input->groups->count; i++) {
        const struct group *group = &builder->input->groups->items[i];
        for (size_t j = 0; j < group->count; j++) {
            size_t count;
            uint32_t member = group->members[j];
            const struct snapshot_wait *waits = wait_graph_waits(builder, member, &count);
            for (size_t k = 0; k < count; k++) {
                if (!wait_graph_has(builder, waits[k].object)) {
                    continue;
                }
                TRY(wait_graph_add_wait(builder, (uint32_t)i, member, &waits[k]));
            }
        }
    }
    return NULL;
}

/* Adds who can reach what is waited for. */
static struct error *wait_graph_add_reaches(struct wait_graph_builder *builder)
{
    for (size_t i = 0; i < builder->input->reference_count; i++) {
        const struct finding_reference *reference = &builder->input->references[i];
        uint32_t object = builder->node_of[reference->object];
        uint32_t group = builder->group_of[reference->goroutine];
        uint32_t node;
        uint64_t *edge;
        bool added;
        if (object == WAIT_GRAPH_NONE || group == WAIT_GRAPH_NONE) {
            continue;
        }
        TRY(wait_graph_group(builder, group, &node));
        TRY(hash_map_entry(&builder->edges,
                           wait_graph_edge_key(object, node, WAIT_GRAPH_SALT_REACH),
                           builder->reaches.count, &added, &edge));
        if (added) {
            struct wait_graph_reach item = {
                .object = object, .group = node, .function = reference->function};
            TRY(vector_append(&builder->reaches, item));
        }
        builder->reaches.items[*edge].references++;
    }
    return NULL;
}

/* Counts what is in the graph and what is not. */
static void wait_graph_count(struct wait_graph *graph, const struct group_list *groups)
{
    for (size_t i = 0; i < groups->count; i++) {
        graph->goroutines += groups->items[i].goroutines;
    }
    graph->outside = graph->goroutines;
    for (size_t i = 0; i < graph->group_count; i++) {
        graph->outside -= graph->groups[i].group->goroutines;
    }
}

struct error *wait_graph_init(struct wait_graph *graph, const struct wait_graph_input *input)
{
    struct wait_graph_builder builder CLEANUP(wait_graph_builder_deinit);
    TRY(wait_graph_builder_init(&builder, input));
    CLEANUP_FREE uint64_t *seen = calloc(snapshot_object_count(input->snapshot) + 1, sizeof *seen);
    if (seen == NULL) {
        return error_no_memory();
    }
    wait_graph_sign_waits(&builder, seen);
    wait_graph_sign_reaches(&builder);
    TRY(wait_graph_add_waits(&builder));
    TRY(wait_graph_add_reaches(&builder));
    *graph = (struct wait_graph){.groups = TAKE(builder.groups.items),
                                 .group_count = builder.groups.count,
                                 .objects = TAKE(builder.objects.items),
                                 .object_count = builder.objects.count,
                                 .waits = TAKE(builder.waits.items),
                                 .wait_count = builder.waits.count,
                                 .reaches = TAKE(builder.reaches.items),
                                 .reach_count = builder.reaches.count};
    wait_graph_count(graph, input->groups);
    return NULL;
}

void wait_graph_deinit(struct wait_graph *graph)
{
    free(graph->groups);
    free(graph->objects);
    free(graph->waits);
    free(graph->reaches);
    *graph = (struct wait_graph){0};
}

/* Cuts: groups and objects keep their order, which is by size, so the first ones stay. */
void wait_graph_cut(struct wait_graph *graph, size_t groups, size_t objects, size_t edges)
{
    groups = groups == 0 || groups > graph->group_count ? graph->group_count : groups;
    objects = objects == 0 || objects > graph->object_count ? graph->object_count : objects;
    edges = edges == 0 ? SIZE_MAX : edges;
    size_t kept = 0;
    for (size_t i = 0; i < graph->wait_count && kept < edges; i++) {
        if (graph->waits[i].group < groups && graph->waits[i].object < objects) {
            graph->waits[kept++] = graph->waits[i];
        }
    }
    edges -= kept;
    graph->wait_count = kept;
    kept = 0;
    for (size_t i = 0; i < graph->reach_count && kept < edges; i++) {
        if (graph->reaches[i].group < groups && graph->reaches[i].object < objects) {
            graph->reaches[kept++] = graph->reaches[i];
        }
    }
    graph->reach_count = kept;
    graph->group_count = groups;
    graph->object_count = objects;
}
