#include "leak/wait_graph.h"
#include "snapshot_fixture.h"

enum { KINDS_MAX = 4 };

/* A snapshot, its groups and a graph of them. */
struct scene {
    struct snapshot_fixture fixture;
    struct snapshot *snapshot;
    struct group_list groups;
    struct wait_graph graph;
    uint32_t stacks[KINDS_MAX]; /* a group each */
    size_t goroutines;
};

static void begin(struct scene *scene)
{
    static const char *const names[KINDS_MAX] = {"main.alpha", "main.beta", "main.gamma",
                                                 "main.delta"};
    *scene = (struct scene){.fixture = snapshot_fixture_begin("go1.24.3")};
    for (uint32_t i = 0; i < KINDS_MAX; i++) {
        uint32_t frame = snapshot_fixture_frame(scene->fixture.builder, names[i], "/src/a.go",
                                                i + 1, 8, NULL, 0);
        scene->stacks[i] = snapshot_fixture_stack(scene->fixture.builder, &frame, 1);
    }
}

/* Adds a goroutine to group KIND; returns its index. */
static size_t add(struct scene *scene, unsigned kind)
{
    size_t index = 0;
    (void)snapshot_fixture_goroutine(&scene->fixture, ++scene->goroutines, scene->stacks[kind],
                                     WAIT_REASON_CHAN_RECEIVE, &index);
    return index;
}

/* Adds an object. */
static uint32_t add_object(struct scene *scene, enum snapshot_object_kind kind, uint64_t address)
{
    uint32_t id = 0;
    struct snapshot_object object = {.address = address, .kind = (uint8_t)kind};
    assert_success(snapshot_builder_object(scene->fixture.builder, &object, &id));
    return id;
}

/* Lets goroutine INDEX wait for COUNT things. */
static void add_waits(struct scene *scene, size_t index, const struct snapshot_wait *waits,
                      size_t count)
{
    assert_success(snapshot_builder_waits(scene->fixture.builder, index, waits, count));
}

/* Ends building and groups everything, larger groups first. */
static void finish(struct scene *scene)
{
    scene->snapshot = snapshot_fixture_end(&scene->fixture);
    assert_success(group_list_init(&scene->groups, scene->snapshot, NULL, 0, GROUP_BY_COUNT));
}

/* Builds the graph. */
static void build(struct scene *scene, const struct finding_reference *references, size_t count,
                  bool outside)
{
    const struct wait_graph_input input = {.snapshot = scene->snapshot,
                                           .groups = &scene->groups,
                                           .references = references,
                                           .reference_count = count,
                                           .outside = outside};
    assert_success(wait_graph_init(&scene->graph, &input));
}

static void end(struct scene *scene)
{
    wait_graph_deinit(&scene->graph);
    group_list_deinit(&scene->groups);
    snapshot_destroy(scene->snapshot);
}

/* The wait of group and object nodes in DIRECTION, or NULL. */
static const struct wait_graph_wait *find_wait(const struct wait_graph *graph, uint32_t group,
                                               uint32_t object, uint32_t direction)
{
    for (size_t i = 0; i < graph->wait_count; i++) {
        const struct wait_graph_wait *wait = &graph->waits[i];
        if (wait->group == group && wait->object == object && wait->direction == direction) {
            return wait;
        }
    }
    return NULL;
}

static void test_equal_waits_are_one_node(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    for (uint64_t i = 0; i < 100; i++) { /* each on a channel of its own */
        snapshot_fixture_channel(&scene.fixture, add(&scene, 0), 0xc000001000 + i * 0x100,
                                 DIRECTION_RECEIVE);
    }
    for (size_t i = 0; i < 40; i++) { /* all on one, the last of them sends */
        snapshot_fixture_channel(&scene.fixture, add(&scene, 1), 0xc000100000,
                                 i == 39 ? DIRECTION_SEND : DIRECTION_RECEIVE);
    }
    for (size_t i = 0; i < 7; i++) { /* for nothing that is known */
        (void)add(&scene, 2);
    }
    finish(&scene);
    build(&scene, NULL, 0, false);
    const struct wait_graph *graph = &scene.graph;
    assert_int_equal(graph->goroutines, 147);
    assert_int_equal(graph->outside, 7);
    assert_int_equal(graph->group_count, 2);
    assert_int_equal(graph->groups[0].group->goroutines, 100);
    assert_int_equal(graph->groups[0].proved, 0);
    assert_int_equal(graph->object_count, 2);
    assert_int_equal(graph->objects[0].objects, 100);
    assert_int_equal(graph->objects[0].kind, OBJECT_CHANNEL);
    assert_int_equal(graph->objects[1].objects, 1);
    assert_int_equal(graph->wait_count, 3);
    assert_int_equal(find_wait(graph, 0, 0, DIRECTION_RECEIVE)->goroutines, 100);
    assert_int_equal(find_wait(graph, 1, 1, DIRECTION_RECEIVE)->goroutines, 39);
    assert_int_equal(find_wait(graph, 1, 1, DIRECTION_SEND)->goroutines, 1);
    assert_int_equal(graph->reach_count, 0);
    end(&scene);
}

static void test_selects_count_each_goroutine_once(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    for (uint64_t i = 0; i < 10; i++) {
        size_t index = add(&scene, 0);
        uint32_t own = add_object(&scene, OBJECT_CHANNEL, 0xc000001000 + i * 0x100);
        uint32_t other = add_object(&scene, OBJECT_CHANNEL, 0xc000002000 + i * 0x100);
        uint32_t shared = add_object(&scene, OBJECT_CHANNEL, 0xc000003000);
        const struct snapshot_wait waits[] = {
            {own, DIRECTION_RECEIVE},
            {other, DIRECTION_RECEIVE}, /* these become one node */
            {shared, DIRECTION_SEND},
            {shared, DIRECTION_RECEIVE},
            {shared, DIRECTION_SEND}};
        add_waits(&scene, index, waits, 5);
    }
    for (uint64_t i = 0; i < 2; i++) { /* one more waits for the same, so that differs */
        uint32_t shared = add_object(&scene, OBJECT_CHANNEL, 0xc000003000);
        const struct snapshot_wait wait = {shared, DIRECTION_RECEIVE};
        add_waits(&scene, add(&scene, 1), &wait, 1);
    }
    finish(&scene);
    build(&scene, NULL, 0, false);
    const struct wait_graph *graph = &scene.graph;
    assert_int_equal(graph->group_count, 2);
    assert_int_equal(graph->object_count, 2);
    assert_int_equal(graph->objects[0].objects, 20);
    assert_int_equal(graph->objects[1].objects, 1);
    assert_int_equal(graph->wait_count, 4);
    assert_int_equal(find_wait(graph, 0, 0, DIRECTION_RECEIVE)->goroutines, 10);
    assert_int_equal(find_wait(graph, 0, 1, DIRECTION_SEND)->goroutines, 10);
    assert_int_equal(find_wait(graph, 0, 1, DIRECTION_RECEIVE)->goroutines, 10);
    assert_int_equal(find_wait(graph, 1, 1, DIRECTION_RECEIVE)->goroutines, 2);
    end(&scene);
}

static void test_things_that_differ_stay_apart(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    const enum snapshot_object_kind kinds[] = {OBJECT_MUTEX, OBJECT_RWMUTEX, OBJECT_NIL_CHANNEL,
                                               OBJECT_NIL_CHANNEL, OBJECT_CHANNEL};
    for (uint64_t i = 0; i < 5; i++) {
        uint64_t address = kinds[i] == OBJECT_NIL_CHANNEL ? 0 : 0xc000001000 + i * 64;
        const struct snapshot_wait wait = {add_object(&scene, kinds[i], address),
                                           DIRECTION_RECEIVE};
        add_waits(&scene, add(&scene, 0), &wait, 1);
    }
    /* A channel of another type. */
    snapshot_fixture_channel(&scene.fixture, add(&scene, 0), 0xc000009000, DIRECTION_RECEIVE);
    finish(&scene);
    build(&scene, NULL, 0, false);
    const struct wait_graph *graph = &scene.graph;
    assert_int_equal(graph->object_count, 5);
    uint64_t objects = 0;
    uint64_t goroutines = 0;
    for (size_t i = 0; i < 5; i++) {
        objects += graph->objects[i].objects;
    }
    for (size_t i = 0; i < graph->wait_count; i++) {
        goroutines += graph->waits[i].goroutines;
    }
    assert_in_range(objects, 5, 6); /* nil channels may be one object or two, but one node */
    assert_int_equal(goroutines, 6);
    assert_int_equal(graph->wait_count, 5);
    end(&scene);
}

static void test_references_make_reaches(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    uint32_t objects[4];
    for (uint64_t i = 0; i < 4; i++) {
        objects[i] = snapshot_fixture_channel(&scene.fixture, add(&scene, 0),
                                              0xc000001000 + i * 0x100, DIRECTION_RECEIVE);
    }
    uint32_t unused = add_object(&scene, OBJECT_MUTEX, 0xc000009000);
    uint32_t first = (uint32_t)add(&scene, 1);
    uint32_t second = (uint32_t)add(&scene, 1);
    uint32_t third = (uint32_t)add(&scene, 2);
    finish(&scene);
    const struct finding_reference references[] = {
        {objects[0], first, "main.one"},  {objects[0], second, "main.two"},
        {objects[1], second, "main.two"}, {objects[1], first, "main.one"},
        {objects[1], first, "main.one"},  {objects[2], third, ""},
        {unused, first, "main.one"}, /* nobody waits for it */
    };
    build(&scene, references, 7, false);
    const struct wait_graph *graph = &scene.graph;
    /* 0 and 1 are reached by the same group, 2 by another, 3 by nobody. */
    assert_int_equal(graph->object_count, 3);
    assert_int_equal(graph->objects[0].objects, 2);
    assert_int_equal(graph->objects[1].objects, 1);
    assert_int_equal(graph->objects[2].objects, 1);
    assert_int_equal(graph->group_count, 3);
    assert_int_equal(graph->outside, 0);
    assert_int_equal(graph->reach_count, 2);
    assert_int_equal(graph->reaches[0].object, 0);
    assert_int_equal(graph->reaches[0].references, 5);
    assert_string_equal(graph->reaches[0].function, "main.one");
    assert_int_equal(graph->groups[graph->reaches[0].group].group->goroutines, 2);
    assert_int_equal(graph->reaches[1].object, 1);
    assert_int_equal(graph->reaches[1].references, 1);
    assert_int_equal(graph->groups[graph->reaches[1].group].group->goroutines, 1);
    end(&scene);
}

static void test_clocks_and_descriptors_are_outside(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    const enum snapshot_object_kind kinds[] = {OBJECT_TIMER, OBJECT_DESCRIPTOR, OBJECT_SYSTEM_CALL};
    for (unsigned i = 0; i < 3; i++) {
        assert_false(wait_graph_is_shared((uint8_t)kinds[i]));
        const struct snapshot_wait wait = {add_object(&scene, kinds[i], 0xc000001000 + i * 64),
                                           DIRECTION_WAIT};
        add_waits(&scene, add(&scene, i), &wait, 1);
    }
    snapshot_fixture_channel(&scene.fixture, add(&scene, 3), 0xc000009000, DIRECTION_RECEIVE);
    assert_true(wait_graph_is_shared(OBJECT_CHANNEL));
    assert_true(wait_graph_is_shared(OBJECT_MUTEX));
    finish(&scene);
    build(&scene, NULL, 0, false);
    assert_int_equal(scene.graph.group_count, 1);
    assert_int_equal(scene.graph.object_count, 1);
    assert_int_equal(scene.graph.outside, 3);
    wait_graph_deinit(&scene.graph);
    build(&scene, NULL, 0, true);
    assert_int_equal(scene.graph.group_count, 4);
    assert_int_equal(scene.graph.object_count, 4);
    assert_int_equal(scene.graph.outside, 0);
    end(&scene);
}

static void test_verdicts_and_multitudes_are_counted(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    struct finding_verdict verdicts[3] = {{0}};
    for (size_t i = 0; i < 3; i++) {
        size_t index = add(&scene, 0);
        snapshot_builder_goroutine(scene.fixture.builder, index)->count = i == 2 ? 1000 : 1;
        snapshot_fixture_channel(&scene.fixture, index, 0xc000001000, DIRECTION_RECEIVE);
        verdicts[index].verdict = i == 1 ? LEAK_VERDICT_SUSPECTED : LEAK_VERDICT_PROVED;
    }
    finish(&scene);
    const struct wait_graph_input input = {
        .snapshot = scene.snapshot, .groups = &scene.groups, .verdicts = verdicts};
    assert_success(wait_graph_init(&scene.graph, &input));
    assert_int_equal(scene.graph.groups[0].proved, 1001);
    assert_int_equal(scene.graph.waits[0].goroutines, 1002);
    assert_int_equal(scene.graph.goroutines, 1002);
    end(&scene);
}

/* Many groups and objects, in a row: group i waits for object i and can reach object i - 1. */
static void chain(struct scene *scene, struct finding_reference *references, uint64_t count)
{
    begin(scene);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t frame = snapshot_fixture_frame(scene->fixture.builder, "main.link", "/src/a.go",
                                                (uint32_t)(100 + i), 8, NULL, 0);
        uint32_t stack = snapshot_fixture_stack(scene->fixture.builder, &frame, 1);
        for (uint64_t j = i; j < count; j++) { /* the first groups are the largest */
            size_t index = 0;
            (void)snapshot_fixture_goroutine(&scene->fixture, ++scene->goroutines, stack,
                                             WAIT_REASON_CHAN_RECEIVE, &index);
            uint32_t object = snapshot_fixture_channel(&scene->fixture, index,
                                                       0xc000001000 + i * 0x100, DIRECTION_RECEIVE);
            if (j == i) {
                references[(i + count - 1) % count].goroutine = (uint32_t)index;
                references[i].object = object;
                references[i].function = "main.link";
            }
        }
    }
    finish(scene);
}

static void test_cuts_keep_what_is_largest(void **state)
{
    (void)state;
    struct scene scene;
    struct finding_reference references[20];
    chain(&scene, references, 20);
    build(&scene, references, 20, false);
    struct wait_graph *graph = &scene.graph;
    assert_int_equal(graph->group_count, 20);
    assert_int_equal(graph->object_count, 20);
    assert_int_equal(graph->wait_count, 20);
    assert_int_equal(graph->reach_count, 20);
    wait_graph_cut(graph, 0, 0, 0);
    wait_graph_cut(graph, 100, 100, 100);
    assert_int_equal(graph->wait_count + graph->reach_count, 40);
    wait_graph_cut(graph, 10, 7, 0);
    assert_int_equal(graph->group_count, 10);
    assert_int_equal(graph->object_count, 7);
    assert_int_equal(graph->wait_count, 7);
    assert_int_equal(graph->reach_count, 7); /* object i is reached by group i + 1 */
    assert_int_equal(graph->groups[0].group->goroutines, 20);
    wait_graph_cut(graph, 0, 0, 9);
    assert_int_equal(graph->wait_count, 7);
    assert_int_equal(graph->reach_count, 2);
    wait_graph_cut(graph, 0, 0, 3);
    assert_int_equal(graph->wait_count, 3);
    assert_int_equal(graph->reach_count, 0);
    for (size_t i = 0; i < 3; i++) {
        assert_true(graph->waits[i].group < 10 && graph->waits[i].object < 7);
    }
    wait_graph_cut(graph, 1, 1, 1);
    assert_int_equal(graph->group_count + graph->object_count + graph->wait_count, 3);
    end(&scene);
}

/* One goroutine in a select of very many cases, all of whose channels become one node; and a
 * channel that very many groups can reach. */
static void test_large_numbers_end_soon(void **state)
{
    (void)state;
    enum { CASES = 60000, GROUPS = 200 };
    struct scene scene;
    begin(&scene);
    struct snapshot_wait *waits = calloc(CASES, sizeof *waits);
    struct finding_reference references[GROUPS];
    for (uint64_t i = 0; i < CASES; i++) {
        waits[i] = (struct snapshot_wait){
            add_object(&scene, OBJECT_CHANNEL, 0xc000001000 + i * 0x100), DIRECTION_RECEIVE};
    }
    add_waits(&scene, add(&scene, 0), waits, CASES);
    for (uint32_t i = 0; i < GROUPS; i++) {
        uint32_t frame = snapshot_fixture_frame(scene.fixture.builder, "main.link", "/src/a.go",
                                                100 + i, 8, NULL, 0);
        size_t index = 0;
        (void)snapshot_fixture_goroutine(&scene.fixture, ++scene.goroutines,
                                         snapshot_fixture_stack(scene.fixture.builder, &frame, 1),
                                         WAIT_REASON_NONE, &index);
        references[i] = (struct finding_reference){waits[0].object, (uint32_t)index, ""};
    }
    free(waits);
    finish(&scene);
    build(&scene, references, GROUPS, false);
    assert_int_equal(scene.graph.object_count, 2);
    assert_int_equal(scene.graph.objects[0].objects + scene.graph.objects[1].objects, CASES);
    assert_int_equal(scene.graph.wait_count, 2);
    assert_int_equal(scene.graph.waits[0].goroutines, 1);
    assert_int_equal(scene.graph.waits[1].goroutines, 1);
    assert_int_equal(scene.graph.reach_count, GROUPS);
    assert_int_equal(scene.graph.outside, 0);
    end(&scene);
}

static void test_a_snapshot_of_nothing(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    finish(&scene);
    build(&scene, NULL, 0, true);
    wait_graph_cut(&scene.graph, 5, 5, 5);
    assert_int_equal(scene.graph.group_count + scene.graph.object_count, 0);
    assert_int_equal(scene.graph.wait_count + scene.graph.reach_count, 0);
    assert_int_equal(scene.graph.goroutines + scene.graph.outside, 0);
    end(&scene);
}

/* What is built while memory runs out. */
struct exhaustion {
    struct scene scene;
    struct finding_reference references[20];
};

static struct error *graph_work(void *context)
{
    struct exhaustion *exhaustion = context;
    struct wait_graph graph;
    const struct wait_graph_input input = {.snapshot = exhaustion->scene.snapshot,
                                           .groups = &exhaustion->scene.groups,
                                           .references = exhaustion->references,
                                           .reference_count = 20};
    TRY(wait_graph_init(&graph, &input));
    assert_int_equal(graph.reach_count, 20);
    wait_graph_deinit(&graph);
    return NULL;
}

static void test_allocations_may_fail(void **state)
{
    (void)state;
    struct exhaustion exhaustion;
    chain(&exhaustion.scene, exhaustion.references, 20);
    support_exhaust(graph_work, &exhaustion);
    end(&exhaustion.scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_waits_are_one_node),
        cmocka_unit_test(test_selects_count_each_goroutine_once),
        cmocka_unit_test(test_things_that_differ_stay_apart),
        cmocka_unit_test(test_references_make_reaches),
        cmocka_unit_test(test_clocks_and_descriptors_are_outside),
        cmocka_unit_test(test_verdicts_and_multitudes_are_counted),
        cmocka_unit_test(test_cuts_keep_what_is_largest),
        cmocka_unit_test(test_large_numbers_end_soon),
        cmocka_unit_test(test_a_snapshot_of_nothing),
        cmocka_unit_test(test_allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
