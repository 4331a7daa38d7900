#include "image/type.h"
#include "image_program.h"
#include "support.h"

/* Places of the types room of PROGRAM: a descriptor, its name. */
enum { TYPE_AT = 0x40, TYPE_NAME_AT = 0x200, TYPE_TFLAG_STAR = 2, TYPE_TFLAG_ON_DEMAND = 16 };

#define TYPE_ADDRESS (PROGRAM_RODATA + PROGRAM_TYPES + TYPE_AT)

/* A program with one type, opened. */
struct test_types {
    struct program program;
    const struct layout *layout;
    uint8_t *descriptor;
    uint8_t *name;
    struct target *target;
    struct image *image;
};

/* Puts a type called NAME into a program of release MINOR; opened by test_types_open. */
static void test_types_init(struct test_types *types, int minor, const char *name)
{
    const struct layout *layout = layout_find(minor, LAYOUT_MACHINE_AMD64);
    types->layout = layout;
    image_program_init(&types->program, layout, layout->provenance);
    types->descriptor = types->program.rodata + PROGRAM_TYPES + TYPE_AT;
    types->name = types->program.rodata + PROGRAM_TYPES + TYPE_NAME_AT;
    image_program_set_u64(types->descriptor + layout->type.bytes, 40);
    image_program_set_u64(types->descriptor + layout->type.ptrdata, 16);
    image_program_set_u64(types->descriptor + layout->type.gcdata, 0x1234);
    types->descriptor[layout->type.kind] = TYPE_KIND_STRUCT;
    types->descriptor[layout->type.str] = TYPE_NAME_AT & 0xff;
    types->descriptor[layout->type.str + 1] = TYPE_NAME_AT >> 8;
    types->name[0] = 1;
    types->name[1] = (uint8_t)strlen(name);
    memcpy(types->name + 2, name, strlen(name));
}

/* Makes the image; test_types_deinit afterwards. */
static void test_types_open(struct test_types *types)
{
    assert_success(image_program_open(&types->program, &types->target));
    assert_success(image_create(types->target, &types->image));
}

/* Closes. */
static void test_types_deinit(struct test_types *types)
{
    image_destroy(types->image);
    target_destroy(types->target);
}

/* The name of the type is EXPECTED. */
static void test_types_expect(struct test_types *types, const char *expected)
{
    struct string_builder name = {0};
    test_types_open(types);
    assert_success(type_name(types->image, TYPE_ADDRESS, &name));
    assert_string_equal(string_builder_text(&name), expected);
    string_builder_deinit(&name);
    test_types_deinit(types);
}

/* Naming the type fails with CODE and appends nothing. */
static void test_types_fail(struct test_types *types, enum error_code code)
{
    struct string_builder name = {0};
    test_types_open(types);
    assert_error(type_name(types->image, TYPE_ADDRESS, &name), code);
    assert_int_equal(name.size, 0);
    string_builder_deinit(&name);
    test_types_deinit(types);
}

/* Names, with and without the star that is not theirs. */
static void test_names(void **state)
{
    (void)state;
    struct test_types types;
    test_types_init(&types, 22, "*main.job");
    test_types_expect(&types, "*main.job");
    types.descriptor[types.layout->type.tflag] = TYPE_TFLAG_STAR;
    test_types_expect(&types, "main.job");
    test_types_init(&types, 27, "");
    types.descriptor[types.layout->type.tflag] = TYPE_TFLAG_STAR;
    test_types_expect(&types, "");
}

/* The other fields, and what the flags of different releases mean. */
static void test_fields(void **state)
{
    (void)state;
    for (int minor = 23; minor <= 24; minor++) {
        struct test_types types;
        struct type type;
        test_types_init(&types, minor, "x");
        types.descriptor[types.layout->type.kind] |= 64;
        types.descriptor[types.layout->type.tflag] = TYPE_TFLAG_ON_DEMAND;
        test_types_open(&types);
        assert_success(type_read(types.image, TYPE_ADDRESS, &type));
        assert_int_equal(type.size, 40);
        assert_int_equal(type.ptrdata, 16);
        assert_int_equal(type.gcdata, 0x1234);
        assert_int_equal(type.kind, TYPE_KIND_STRUCT);
        assert_int_equal(type.gc_program, minor == 23);
        assert_int_equal(type.gc_on_demand, minor == 24);
        test_types_deinit(&types);
    }
}

/* Addresses outside of modules have no type. */
static void test_outside(void **state)
{
    (void)state;
    const uint64_t addresses[] = {0,
                                  1,
                                  PROGRAM_DATA,
                                  TYPE_ADDRESS + 4,
                                  PROGRAM_RODATA + PROGRAM_TYPES - 8,
                                  PROGRAM_RODATA + PROGRAM_TYPES + PROGRAM_TYPES_SIZE - 8,
                                  PROGRAM_RODATA + PROGRAM_TYPES + PROGRAM_TYPES_SIZE,
                                  UINT64_MAX - 7};
    struct test_types types;
    struct type type;
    test_types_init(&types, 25, "x");
    test_types_open(&types);
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        assert_error(type_read(types.image, addresses[i], &type), ERROR_NOT_FOUND);
    }
    test_types_deinit(&types);
}

/* Descriptors and names that make no sense. */
static void test_broken(void **state)
{
    (void)state;
    struct test_types types;
    test_types_init(&types, 26, "x");
    types.descriptor[types.layout->type.kind] = TYPE_KIND_INVALID;
    test_types_fail(&types, ERROR_CORRUPT);
    types.descriptor[types.layout->type.kind] = 31;
    test_types_fail(&types, ERROR_CORRUPT);
    test_types_init(&types, 26, "x");
    image_program_set_u64(types.descriptor + types.layout->type.ptrdata, 41);
    test_types_fail(&types, ERROR_CORRUPT);
    test_types_init(&types, 26, "x");
    memset(types.descriptor + types.layout->type.str, 0xff, 4); /* of a type that reflect made */
    test_types_fail(&types, ERROR_NOT_FOUND);
    memset(types.descriptor + types.layout->type.str, 0x7f, 4);
    test_types_fail(&types, ERROR_NOT_FOUND);
    test_types_init(&types, 26, "x");
    memset(types.name + 1, 0xff, 12); /* a length without end */
    test_types_fail(&types, ERROR_CORRUPT);
    test_types_init(&types, 26, "x");
    types.name[1] = 0xff; /* longer than the types */
    types.name[2] = 0x7f;
    test_types_fail(&types, ERROR_CORRUPT);
    test_types_init(&types, 26, "x");
    const uint32_t last = PROGRAM_TYPES_SIZE - 1;
    memcpy(types.descriptor + types.layout->type.str, &last, sizeof last);
    test_types_fail(&types, ERROR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_outside),
        cmocka_unit_test(test_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
