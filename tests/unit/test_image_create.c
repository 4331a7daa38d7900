#include "image/build_info.h"
#include "image/image.h"
#include "image_program.h"
#include "support.h"

/* The row of a release on amd64. */
static const struct layout *test_row(int minor)
{
    const struct layout *layout = layout_find(minor, LAYOUT_MACHINE_AMD64);
    assert_non_null(layout);
    return layout;
}

/* Opens PROGRAM and makes its image, which must fail with CODE and a message that contains TEXT. */
static void test_expect_failure(const struct program *program, enum error_code code,
                                const char *text)
{
    struct target *target;
    struct image *image;
    assert_success(image_program_open(program, &target));
    struct error *error = image_create(target, &image);
    assert_non_null(error);
    if (strstr(error_message(error), text) == NULL) {
        print_error("message: %s\n", error_message(error));
        fail();
    }
    assert_error(error, code);
    target_destroy(target);
}

/* The program of row LAYOUT is found in bare memory. */
static void test_release(const struct layout *layout)
{
    struct program program;
    struct target *target;
    struct image *image;
    struct function function;
    struct function_frame frames[4];
    size_t count;
    const char *version = layout->provenance;
    image_program_init(&program, layout, version);
    assert_success(image_program_open(&program, &target));
    assert_success(image_create(target, &image));
    assert_string_equal(image_go_version(image), version);
    assert_ptr_equal(image_layout(image), layout);
    assert_string_equal(image_build_info(image)->go_version, version);
    assert_string_equal(image_build_info(image)->path, "");
    assert_string_equal(image_build_id(image), "");
    assert_int_equal(image_module_count(image), 1);
    const struct module_tables *tables = module_tables(image_module(image, 0));
    assert_int_equal(tables->moduledata, PROGRAM_DATA + PROGRAM_MODULEDATA);
    assert_int_equal(tables->types, PROGRAM_RODATA + PROGRAM_TYPES);
    assert_int_equal(tables->gcdatamask_bits, 0x40);
    assert_success(function_find(image, FIXTURE_BETA + 0x40, &function));
    assert_success(function_frames(&function, FIXTURE_BETA + 0x40, frames, 4, &count));
    assert_int_equal(count, layout->machine == LAYOUT_MACHINE_AMD64 ? 2 : 1);
    image_destroy(image);
    target_destroy(target);
}

/* Every row of the table, for both machines. */
static void test_releases(void **state)
{
    (void)state;
    size_t index = 0;
    for (const struct layout *layout; (layout = layout_at(index)) != NULL; index++) {
        test_release(layout);
    }
    assert_true(index >= (size_t)2 * (LAYOUT_MINOR_MAX - LAYOUT_MINOR_MIN + 1));
}

/* Without build info the string that runtime.schedinit refers to decides. */
static void test_version_reference(void **state)
{
    (void)state;
    struct program program;
    struct target *target;
    struct image *image;
    image_program_init(&program, test_row(22), "go1.22.12");
    image_program_set_string(&program, PROGRAM_VARIABLES + 0x20, PROGRAM_STRINGS + 0x40, "go1.21");
    test_expect_failure(&program, ERROR_UNSUPPORTED, "does not tell its Go version");
    /* cmpq $0, buildVersion+8(%rip) */
    uint64_t next = FIXTURE_SCHEDINIT + 0x10 + 8;
    uint32_t displacement = (uint32_t)(PROGRAM_DATA + PROGRAM_VARIABLES + 0x48 - next);
    uint8_t code[8] = {0x48, 0x83, 0x3d};
    memcpy(code + 3, &displacement, sizeof displacement);
    memcpy(program.text + 0x310, code, sizeof code);
    assert_success(image_program_open(&program, &target));
    assert_success(image_create(target, &image));
    assert_string_equal(image_go_version(image), "go1.22.12");
    image_destroy(image);
    target_destroy(target);
}

/* The same on arm64: ADRP and LDR. */
static void test_version_reference_arm64(void **state)
{
    (void)state;
    struct program program;
    struct target *target;
    struct image *image;
    image_program_init(&program, layout_find(24, LAYOUT_MACHINE_ARM64), "go1.24.1-vendor");
    image_program_set_string(&program, PROGRAM_VARIABLES + 0x20, PROGRAM_STRINGS + 0x40, "go1.25");
    uint32_t pages = (PROGRAM_DATA + PROGRAM_VARIABLES - FIXTURE_TEXT) >> 12;
    uint32_t code[2] = {0x90000000u | (pages & 3) << 29 | (pages >> 2) << 5 | 3,
                        0xf9400000u | (0x48u / 8) << 10 | 3u << 5 | 4};
    memcpy(program.text + 0x310, code, sizeof code);
    assert_success(image_program_open(&program, &target));
    assert_success(image_create(target, &image));
    assert_string_equal(image_go_version(image), "go1.24.1-vendor");
    image_destroy(image);
    target_destroy(target);
}

/* Writes a build info blob with VERSION and LINES (a string literal) into PROGRAM. */
static void test_put_build_info(struct program *program, const char *version, const char *lines)
{
    uint8_t *at = program->data + PROGRAM_BUILD_INFO;
    memcpy(at, BUILD_INFO_MAGIC, BUILD_INFO_MAGIC_SIZE);
    at[14] = 8;
    at[15] = 2;
    at += 32;
    *at++ = (uint8_t)strlen(version);
    memcpy(at, version, strlen(version));
    at += strlen(version);
    *at++ = (uint8_t)(strlen(lines) + 32);
    memcpy(at + 16, lines, strlen(lines));
}

/* Build info in memory is read, and its version comes first. */
static void test_build_info(void **state)
{
    (void)state;
    struct program program;
    struct target *target;
    struct image *image;
    image_program_init(&program, test_row(25), "go1.25.1");
    test_put_build_info(&program, "go1.25.1 X:none",
                        "path\texample.com/a\nmod\texample.com/a\tv1.2.3\n");
    assert_success(image_program_open(&program, &target));
    assert_success(image_create(target, &image));
    assert_string_equal(image_go_version(image), "go1.25.1 X:none");
    assert_string_equal(image_build_info(image)->module, "example.com/a");
    assert_string_equal(image_build_info(image)->version, "v1.2.3");
    image_destroy(image);
    target_destroy(target);
}

/* A build info that does not fit the moduledata gives way to the runtime's own version. */
static void test_wrong_build_info(void **state)
{
    (void)state;
    struct program program;
    struct target *target;
    struct image *image;
    image_program_init(&program, test_row(27), "go1.27.4");
    test_put_build_info(&program, "go1.19", "path\tx\n");
    assert_success(image_program_open(&program, &target));
    assert_success(image_create(target, &image));
    assert_string_equal(image_go_version(image), "go1.27.4");
    image_destroy(image);
    target_destroy(target);
}

/* Releases outside the table are named. */
static void test_other_releases(void **state)
{
    (void)state;
    struct program program;
    image_program_init(&program, test_row(27), "go1.28.1");
    test_expect_failure(&program, ERROR_UNSUPPORTED, "go1.28.1, newer than this Unpark knows");
    image_program_init(&program, test_row(27), "devel go1.29-abcdef");
    test_expect_failure(&program, ERROR_UNSUPPORTED, "newer");
    image_program_init(&program, test_row(18), "go1.18");
    image_program_set_u64(program.data + PROGRAM_VARIABLES + 0x48, 0);
    test_expect_failure(&program, ERROR_UNSUPPORTED, "does not tell its Go version");
    uint32_t magic = MODULE_MAGIC_GO1_16; /* and its header has no textStart */
    memcpy(program.rodata, &magic, sizeof magic);
    memmove(program.rodata + 24, program.rodata + 32, 40);
    test_expect_failure(&program, ERROR_UNSUPPORTED, "Go 1.16 or 1.17");
}

/* A function table with another magic number or count is called altered. */
static void test_altered(void **state)
{
    (void)state;
    struct program program;
    image_program_init(&program, test_row(23), "go1.23.1");
    program.rodata[0] ^= 0x55;
    test_expect_failure(&program, ERROR_NOT_GO, "altered");
    image_program_init(&program, test_row(23), "go1.23.1");
    image_program_set_u64(program.rodata + 8, UINT64_MAX - 3);
    test_expect_failure(&program, ERROR_NOT_GO, "altered");
}

/* Code for another machine than the target's: an emulator's process. */
static void test_emulated(void **state)
{
    (void)state;
    struct program program;
    image_program_init(&program, test_row(23), "go1.23.1");
    program.rodata[6] = program.rodata[6] == 1 ? 4 : 1;
    test_expect_failure(&program, ERROR_UNSUPPORTED, "another processor");
}

/* No moduledata, no Go. */
static void test_not_go(void **state)
{
    (void)state;
    struct program program;
    image_program_init(&program, test_row(23), "go1.23.1");
    memset(program.data, 0, sizeof program.data);
    test_expect_failure(&program, ERROR_NOT_GO, "not a Go program");
    image_program_init(&program, test_row(23), "go1.23.1");
    image_program_set_u64(image_program_moduledata(&program, 0), 0x700000); /* header unmapped */
    image_program_set_u64(image_program_moduledata(&program, 8), 0x700048);
    test_expect_failure(&program, ERROR_NOT_GO, "not a Go program");
}

/* Fields that make no sense refuse the test_row, whichever they are. */
static void test_self_check(void **state)
{
    (void)state;
    const struct layout *layout = test_row(26);
    const int32_t fields[] = {layout->moduledata.types,      layout->moduledata.etypes,
                              layout->moduledata.rodata,     layout->moduledata.gofunc,
                              layout->moduledata.next,       layout->moduledata.end,
                              layout->moduledata.gcdatamask, layout->moduledata.gcdatamask + 8,
                              layout->moduledata.text,       layout->moduledata.data};
    const uint64_t values[] = {1, UINT64_MAX, 0x12345678};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        int refused = 0;
        for (size_t k = 0; k < 3; k++) {
            struct program program;
            struct target *target;
            struct image *image;
            image_program_init(&program, layout, "go1.26.1");
            image_program_set_u64(image_program_moduledata(&program, fields[i]), values[k]);
            assert_success(image_program_open(&program, &target));
            struct error *error = image_create(target, &image);
            if (error == NULL) {
                image_destroy(image);
            } else {
                refused++;
                assert_error(error, ERROR_UNSUPPORTED);
            }
            target_destroy(target);
        }
        assert_true(refused >= 2);
    }
}

/* A module that another one points to as next is loaded, a circle ends. */
static void test_next(void **state)
{
    (void)state;
    struct program program;
    struct target *target;
    struct image *image;
    const struct layout *layout = test_row(24);
    image_program_init(&program, layout, "go1.24");
    size_t size = (size_t)layout->moduledata.size;
    memcpy(program.data + 0x2800, program.data + PROGRAM_MODULEDATA, size);
    image_program_set_u64(image_program_moduledata(&program, layout->moduledata.next),
                          PROGRAM_DATA + 0x2800);
    image_program_set_u64(program.data + 0x2800 + layout->moduledata.next,
                          PROGRAM_DATA + PROGRAM_MODULEDATA);
    assert_success(image_program_open(&program, &target));
    assert_success(image_create(target, &image));
    assert_int_equal(image_module_count(image), 2);
    assert_int_equal(module_tables(image_module(image, 1))->moduledata, PROGRAM_DATA + 0x2800);
    assert_ptr_equal(image_find_module(image, FIXTURE_ALPHA), image_module(image, 0));
    assert_null(image_find_module(image, FIXTURE_END));
    image_destroy(image);
    target_destroy(target);
}

/* Tables that reach beyond memory are refused. */
static void test_tables_beyond(void **state)
{
    (void)state;
    struct program program;
    const struct layout *layout = test_row(24);
    image_program_init(&program, layout, "go1.24");
    image_program_set_u64(image_program_moduledata(&program, layout->moduledata.pclntable + 8),
                          1 << 30);
    image_program_set_u64(image_program_moduledata(&program, layout->moduledata.pclntable + 16),
                          1 << 30);
    test_expect_failure(&program, ERROR_CORRUPT, "beyond mapped memory");
}

/* An image of a target, without memory. */
static struct error *test_exhaust(void *context)
{
    struct target *target;
    struct image *image;
    TRY(image_program_open(context, &target));
    struct error *error = image_create(target, &image);
    if (error == NULL) {
        image_destroy(image);
    }
    target_destroy(target);
    return error;
}

/* Every allocation may fail. */
static void test_no_memory(void **state)
{
    (void)state;
    struct program program;
    image_program_init(&program, test_row(22), "go1.22");
    support_exhaust(test_exhaust, &program);
    test_put_build_info(&program, "go1.22", "path\tx\nbuild\tvcs.revision=abc\n");
    support_exhaust(test_exhaust, &program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_releases),
        cmocka_unit_test(test_version_reference),
        cmocka_unit_test(test_version_reference_arm64),
        cmocka_unit_test(test_build_info),
        cmocka_unit_test(test_wrong_build_info),
        cmocka_unit_test(test_other_releases),
        cmocka_unit_test(test_altered),
        cmocka_unit_test(test_emulated),
        cmocka_unit_test(test_not_go),
        cmocka_unit_test(test_self_check),
        cmocka_unit_test(test_next),
        cmocka_unit_test(test_tables_beyond),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
