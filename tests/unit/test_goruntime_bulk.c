#include "goruntime/bulk.h"
#include "support.h"

enum { REGION = 4 << 20, HOLE = 1 << 20 };

/* Two readable regions with a hole between them. */
static const uint64_t base = 0x10000000;

struct world {
    uint8_t *bytes;
    struct target *target;
    struct bulk *bulk;
    uint64_t *seen; /* by number: first word of the piece, UINT64_MAX when unreadable */
    uint64_t last;  /* address visited before */
    size_t visited;
    size_t fail_at; /* visit that fails; 0 none */
};

/* Every word of the world holds its own address. */
static struct world *world_create(size_t pieces)
{
    struct world *world = calloc(1, sizeof *world);
    world->bytes = malloc(REGION);
    for (uint64_t at = 0; at < REGION; at += 8) {
        uint64_t address = base + at + (at >= REGION / 2 ? HOLE : 0);
        memcpy(world->bytes + at, &address, sizeof address);
    }
    const struct target_mapping mappings[] = {
        {.start = base,
         .end = base + REGION / 2,
         .permissions = TARGET_PERMISSION_READ,
         .path = ""},
        {.start = base + REGION / 2 + HOLE,
         .end = base + REGION + HOLE,
         .permissions = TARGET_PERMISSION_READ,
         .path = ""},
    };
    const uint8_t *bytes[] = {world->bytes, world->bytes + REGION / 2};
    assert_success(target_open_memory(TARGET_MACHINE_AMD64, mappings, bytes, 2, &world->target));
    assert_success(bulk_create(world->target, &world->bulk));
    world->seen = calloc(pieces, sizeof *world->seen);
    return world;
}

static void world_destroy(struct world *world)
{
    bulk_destroy(world->bulk);
    target_destroy(world->target);
    free(world->bytes);
    free(world->seen);
    free(world);
}

static struct error *visit(void *context, const struct gather_item *item, const uint8_t *bytes)
{
    struct world *world = context;
    world->visited++;
    if (world->visited == world->fail_at) {
        return error_create(ERROR_LIMIT, "enough");
    }
    assert_true(item->address >= world->last);
    world->last = item->address;
    uint64_t *seen = &world->seen[bulk_index(item)];
    *seen = UINT64_MAX;
    if (bytes != NULL) {
        size_t size = (size_t)(item->tag >> 32);
        uint64_t end;
        memcpy(seen, bytes, sizeof *seen);
        memcpy(&end, bytes + size - 8, sizeof end);
        assert_int_equal(end, item->address + size - 8);
    }
    return NULL;
}

static void test_every_piece_is_visited_in_order(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    struct world *world = world_create(COUNT);
    struct gather_item *items = calloc(2 * COUNT, sizeof *items);
    uint64_t random = 1;
    for (uint32_t i = 0; i < COUNT; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint64_t address = base + (random >> 33) % (REGION / 2 - 4096) / 8 * 8;
        address += (random & 1) != 0 ? REGION / 2 + HOLE : 0;
        uint32_t size = 8 + (uint32_t)(random >> 20 & 0x1ff) * 8;
        items[i] = (struct gather_item){.address = address, .tag = bulk_tag(size, i)};
    }
    assert_success(bulk_visit(world->bulk, items, items + COUNT, COUNT, visit, world));
    assert_int_equal(world->visited, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(world->seen[bulk_index(&items[i])], items[i].address);
    }
    free(items);
    world_destroy(world);
}

static void test_unreadable_pieces_leave_their_neighbours_whole(void **state)
{
    (void)state;
    struct world *world = world_create(5);
    uint64_t edge = base + REGION / 2;
    struct gather_item items[10] = {
        {.address = edge + HOLE, .tag = bulk_tag(64, 0)},
        {.address = edge - 64, .tag = bulk_tag(64, 1)},
        {.address = edge - 32, .tag = bulk_tag(64, 2)},       /* runs into the hole */
        {.address = edge + 512, .tag = bulk_tag(64, 3)},      /* in it */
        {.address = edge + HOLE - 8, .tag = bulk_tag(64, 4)}, /* out of it */
    };
    assert_success(bulk_visit(world->bulk, items, items + 5, 5, visit, world));
    assert_int_equal(world->seen[0], edge + HOLE);
    assert_int_equal(world->seen[1], edge - 64);
    assert_int_equal(world->seen[2], UINT64_MAX);
    assert_int_equal(world->seen[3], UINT64_MAX);
    assert_int_equal(world->seen[4], UINT64_MAX);
    world_destroy(world);
}

static void test_large_pieces_fit(void **state)
{
    (void)state;
    struct world *world = world_create(6);
    struct gather_item items[12];
    for (uint32_t i = 0; i < 6; i++) {
        items[i] =
            (struct gather_item){.address = base + i * 64, .tag = bulk_tag(BULK_PIECE_MAX, i)};
    }
    assert_success(bulk_visit(world->bulk, items, items + 6, 6, visit, world));
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(world->seen[i], base + i * 64);
    }
    world_destroy(world);
}

static void test_nothing_and_errors(void **state)
{
    (void)state;
    struct world *world = world_create(3);
    struct gather_item items[6] = {{.address = base, .tag = bulk_tag(8, 0)},
                                   {.address = base + 8, .tag = bulk_tag(8, 1)},
                                   {.address = base + 16, .tag = bulk_tag(8, 2)}};
    assert_success(bulk_visit(world->bulk, items, items + 3, 0, visit, world));
    assert_int_equal(world->visited, 0);
    world->fail_at = 2;
    assert_error(bulk_visit(world->bulk, items, items + 3, 3, visit, world), ERROR_LIMIT);
    assert_int_equal(world->visited, 2);
    world_destroy(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_piece_is_visited_in_order),
        cmocka_unit_test(test_unreadable_pieces_leave_their_neighbours_whole),
        cmocka_unit_test(test_large_pieces_fit),
        cmocka_unit_test(test_nothing_and_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
