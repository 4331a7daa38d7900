#include "image/function.h"
#include "image_fixture.h"
#include "support.h"

/* An image over copies of a fixture's tables that end at unmapped pages. */
struct guarded {
    struct image *image;
    struct module_tables all;
};

/* Copies TABLE to the end of a page. */
static struct image_bytes test_guarded_copy(const struct fixture_table *table)
{
    return (struct image_bytes){support_guarded(table->bytes, table->size), table->size};
}

/* Makes the image; test_guarded_deinit afterwards. */
static void test_guarded_init(struct guarded *guarded, const struct fixture *fixture)
{
    guarded->all = (struct module_tables){
        .text = FIXTURE_TEXT,
        .etext = FIXTURE_END,
        .minpc = FIXTURE_ALPHA,
        .maxpc = FIXTURE_END,
        .pc_quantum = 1,
        .funcnametab = test_guarded_copy(&fixture->funcnametab),
        .cutab = test_guarded_copy(&fixture->cutab),
        .filetab = test_guarded_copy(&fixture->filetab),
        .pctab = test_guarded_copy(&fixture->pctab),
        .pclntable = test_guarded_copy(&fixture->pclntable),
        .funcdata = test_guarded_copy(&fixture->funcdata),
    };
    guarded->all.ftab =
        (struct image_bytes){guarded->all.pclntable.data, (FIXTURE_FUNCTIONS + 1) * (size_t)8};
    assert_success(image_create_from_tables(&guarded->all, fixture->layout, &guarded->image));
}

/* Unmaps the tables. */
static void test_guarded_deinit(struct guarded *guarded)
{
    image_destroy(guarded->image);
    struct image_bytes tables[] = {guarded->all.funcnametab, guarded->all.cutab,
                                   guarded->all.filetab,     guarded->all.pctab,
                                   guarded->all.pclntable,   guarded->all.funcdata};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        support_guarded_free((void *)(uintptr_t)tables[i].data, tables[i].size);
    }
}

/* The row of a release on amd64. */
static const struct layout *test_row(int minor)
{
    const struct layout *layout = layout_find(minor, LAYOUT_MACHINE_AMD64);
    assert_non_null(layout);
    return layout;
}

/* Looking PC up in FIXTURE, and its frames, fails with CODE. */
static void test_expect_broken(const struct fixture *fixture, uint64_t pc, enum error_code code)
{
    struct guarded guarded;
    struct function function;
    struct function_frame frames[4];
    size_t count;
    test_guarded_init(&guarded, fixture);
    struct error *error = function_find(guarded.image, pc, &function);
    if (error == NULL) {
        error = function_frames(&function, pc, frames, 4, &count);
    }
    assert_error(error, code);
    test_guarded_deinit(&guarded);
}

/* Every pc of the program belongs to its function, none outside does. */
static void test_find(void **state)
{
    (void)state;
    struct fixture fixture;
    struct guarded guarded;
    struct function function;
    image_fixture_init(&fixture, test_row(22));
    test_guarded_init(&guarded, &fixture);
    for (uint64_t pc = FIXTURE_ALPHA; pc < FIXTURE_END; pc++) {
        assert_success(function_find(guarded.image, pc, &function));
        const char *name = pc < FIXTURE_BETA        ? "main.alpha"
                           : pc < FIXTURE_SCHEDINIT ? "main.beta"
                                                    : "runtime.schedinit";
        assert_string_equal(function.name, name);
        assert_int_equal(function.entry, pc & ~(uint64_t)0xff);
        assert_int_equal(function.end, (pc & ~(uint64_t)0xff) + 0x100);
    }
    assert_int_equal(function.func_id, 7);
    assert_int_equal(function.flags, FUNCTION_SP_WRITE);
    assert_int_equal(function.args, 16);
    assert_int_equal(function.npcdata, 3);
    assert_int_equal(function.nfuncdata, 4);
    assert_int_equal(function.start_line, 40);
    assert_error(function_find(guarded.image, FIXTURE_ALPHA - 1, &function), ERROR_NOT_FOUND);
    assert_error(function_find(guarded.image, FIXTURE_END, &function), ERROR_NOT_FOUND);
    assert_error(function_find(guarded.image, 0, &function), ERROR_NOT_FOUND);
    assert_error(function_find(guarded.image, UINT64_MAX, &function), ERROR_NOT_FOUND);
    test_guarded_deinit(&guarded);
}

/* Names are found whole; of equal ones the first. */
static void test_find_name(void **state)
{
    (void)state;
    struct fixture fixture;
    struct guarded guarded;
    struct function function;
    image_fixture_init(&fixture, test_row(27));
    test_guarded_init(&guarded, &fixture);
    assert_success(function_find_name(guarded.image, "main.beta", &function));
    assert_int_equal(function.entry, FIXTURE_BETA);
    assert_success(function_find_name(guarded.image, "runtime.schedinit", &function));
    assert_int_equal(function.entry, FIXTURE_SCHEDINIT);
    assert_error(function_find_name(guarded.image, "main.bet", &function), ERROR_NOT_FOUND);
    assert_error(function_find_name(guarded.image, "main.gamma", &function), ERROR_NOT_FOUND);
    assert_error(function_find_name(guarded.image, "", &function), ERROR_NOT_FOUND);
    assert_error(function_find_name(guarded.image, "runtime.", &function), ERROR_NOT_FOUND);
    assert_error(function_find_name(guarded.image, "runtime.beta", &function), ERROR_NOT_FOUND);
    test_guarded_deinit(&guarded);
    size_t name_off = (size_t)fixture.layout->func.name_off;
    uint32_t alpha = 1; /* the names start behind an empty one */
    image_fixture_set_u32(&fixture.pclntable, fixture.records[1] + name_off, alpha);
    test_guarded_init(&guarded, &fixture);
    assert_success(function_find_name(guarded.image, "main.alpha", &function));
    assert_int_equal(function.entry, FIXTURE_ALPHA);
    test_guarded_deinit(&guarded);
}

/* One frame outside inlined code, two inside, in both shapes of the inline tree. */
static void test_frames(void **state)
{
    (void)state;
    for (int minor = 18; minor <= 27; minor++) {
        struct fixture fixture;
        struct guarded guarded;
        struct function function;
        struct function_frame frames[4];
        size_t count;
        image_fixture_init(&fixture, test_row(minor));
        test_guarded_init(&guarded, &fixture);
        assert_success(function_find(guarded.image, FIXTURE_ALPHA + 0x90, &function));
        assert_success(function_frames(&function, FIXTURE_ALPHA + 0x90, frames, 4, &count));
        assert_int_equal(count, 1);
        assert_string_equal(frames[0].name, "main.alpha");
        assert_string_equal(frames[0].file, "/src/a.go");
        assert_int_equal(frames[0].line, 12);
        assert_false(frames[0].inlined);
        assert_success(function_find(guarded.image, FIXTURE_BETA + 0x41, &function));
        assert_success(function_frames(&function, FIXTURE_BETA + 0x41, frames, 4, &count));
        assert_int_equal(count, 2);
        assert_string_equal(frames[0].name, "main.gamma");
        assert_string_equal(frames[0].file, "/src/g.go");
        assert_int_equal(frames[0].line, 31);
        assert_int_equal(frames[0].func_id, 9);
        assert_int_equal(frames[0].start_line, minor >= 20 ? 30 : 0);
        assert_true(frames[0].inlined);
        assert_string_equal(frames[1].name, "main.beta");
        assert_string_equal(frames[1].file, "/src/a.go");
        assert_int_equal(frames[1].line, 21);
        assert_int_equal(frames[1].start_line, minor >= 20 ? 19 : 0);
        assert_false(frames[1].inlined);
        frames[1].line = 4711;
        assert_success(function_frames(&function, FIXTURE_BETA + 0x41, frames, 1, &count));
        assert_int_equal(count, 2);
        assert_int_equal(frames[1].line, 4711);
        test_guarded_deinit(&guarded);
    }
}

/* A function without line table has a frame without line. */
static void test_unknown_line(void **state)
{
    (void)state;
    struct fixture fixture;
    struct guarded guarded;
    struct function function;
    struct function_frame frame;
    size_t count;
    image_fixture_init(&fixture, test_row(25));
    image_fixture_set_u32(&fixture.pclntable,
                          fixture.records[2] + (size_t)fixture.layout->func.pcfile, 0);
    test_guarded_init(&guarded, &fixture);
    assert_success(function_find(guarded.image, FIXTURE_SCHEDINIT, &function));
    assert_success(function_frames(&function, FIXTURE_SCHEDINIT, &frame, 1, &count));
    assert_int_equal(count, 1);
    assert_string_equal(frame.file, "");
    assert_int_equal(frame.line, 0);
    test_guarded_deinit(&guarded);
}

/* Values hold up to their end; absent tables and pcs behind the end are -1. */
static void test_pcvalue(void **state)
{
    (void)state;
    struct fixture fixture;
    struct guarded guarded;
    struct function function;
    int32_t value;
    image_fixture_init(&fixture, test_row(22));
    test_guarded_init(&guarded, &fixture);
    assert_success(function_find(guarded.image, FIXTURE_ALPHA, &function));
    const struct {
        uint64_t pc;
        int32_t value;
    } expected[] = {{0, 0}, {0xf, 0}, {0x10, 0x118}, {0xef, 0x118}, {0xf0, 0}, {0x100, -1}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_success(
            function_pcvalue(&function, function.pcsp, FIXTURE_ALPHA + expected[i].pc, &value));
        assert_int_equal(value, expected[i].value);
    }
    assert_success(function_pcvalue(&function, 0, FIXTURE_ALPHA, &value));
    assert_int_equal(value, -1);
    assert_success(
        function_pcdata(&function, FUNCTION_PCDATA_STACK_MAP_INDEX, FIXTURE_ALPHA, &value));
    assert_int_equal(value, -1);
    assert_success(
        function_pcdata(&function, FUNCTION_PCDATA_ARG_LIVE_INDEX, FIXTURE_ALPHA, &value));
    assert_int_equal(value, -1);
    test_guarded_deinit(&guarded);
}

/* The pc quantum of arm64 scales pc deltas. */
static void test_quantum(void **state)
{
    (void)state;
    struct fixture fixture;
    struct guarded guarded;
    struct function function;
    int32_t value;
    image_fixture_init(&fixture, layout_find(22, LAYOUT_MACHINE_ARM64));
    test_guarded_init(&guarded, &fixture);
    image_destroy(guarded.image);
    guarded.all.pc_quantum = 4;
    assert_success(image_create_from_tables(&guarded.all, fixture.layout, &guarded.image));
    assert_success(function_find(guarded.image, FIXTURE_ALPHA, &function));
    assert_success(function_pcvalue(&function, function.pcsp, FIXTURE_ALPHA + 0x3f, &value));
    assert_int_equal(value, 0);
    assert_success(function_pcvalue(&function, function.pcsp, FIXTURE_ALPHA + 0x40, &value));
    assert_int_equal(value, 0x118);
    test_guarded_deinit(&guarded);
}

/* FUNCDATA is what follows its offset; absent ones are NULL. */
static void test_data(void **state)
{
    (void)state;
    struct fixture fixture;
    struct guarded guarded;
    struct function function;
    struct image_bytes bytes;
    image_fixture_init(&fixture, test_row(26));
    test_guarded_init(&guarded, &fixture);
    assert_success(function_find(guarded.image, FIXTURE_BETA, &function));
    assert_success(function_data(&function, FUNCTION_DATA_INLINE_TREE, &bytes));
    assert_ptr_equal(bytes.data, guarded.all.funcdata.data + FIXTURE_INLINE_TREE);
    assert_int_equal(bytes.size, (size_t)fixture.layout->inlined_call.size);
    assert_success(function_data(&function, FUNCTION_DATA_STACK_OBJECTS, &bytes));
    assert_null(bytes.data);
    assert_success(function_data(&function, FUNCTION_DATA_WRAP_INFO, &bytes));
    assert_null(bytes.data);
    test_guarded_deinit(&guarded);
}

/* Records that lead outside are refused. */
static void test_broken_records(void **state)
{
    (void)state;
    const struct layout *layout = test_row(22);
    const uint32_t beyond[] = {0xffffffffu, 0x10000u};
    for (size_t i = 0; i < 2; i++) {
        struct fixture fixture;
        image_fixture_init(&fixture, layout);
        image_fixture_set_u32(&fixture.pclntable, 8 + 4, beyond[i]); /* the record itself */
        test_expect_broken(&fixture, FIXTURE_BETA, ERROR_CORRUPT);
        const int32_t fields[] = {layout->func.name_off, layout->func.npcdata, layout->func.pcfile,
                                  layout->func.pcln, layout->func.cu_offset};
        for (size_t k = 0; k < sizeof fields / sizeof fields[0]; k++) {
            image_fixture_init(&fixture, layout);
            image_fixture_set_u32(&fixture.pclntable, fixture.records[1] + (size_t)fields[k],
                                  beyond[i]);
            test_expect_broken(&fixture, FIXTURE_BETA, ERROR_CORRUPT);
        }
    }
    struct fixture fixture;
    image_fixture_init(&fixture, layout);
    image_fixture_set_u32(&fixture.pclntable, 8 + 4, (uint32_t)fixture.pclntable.size - 20);
    test_expect_broken(&fixture, FIXTURE_BETA, ERROR_CORRUPT); /* a record cut by the end */
}

/* A function table that does not ascend cannot mislead: who is found holds the pc, and a function
 * that ends before it starts is refused. */
static void test_unsorted(void **state)
{
    (void)state;
    struct fixture fixture;
    struct guarded guarded;
    struct function function;
    image_fixture_init(&fixture, test_row(22));
    image_fixture_set_u32(&fixture.pclntable, 8, 0x380); /* beta behind schedinit */
    test_guarded_init(&guarded, &fixture);
    for (uint64_t pc = FIXTURE_ALPHA; pc < FIXTURE_END; pc++) {
        assert_success(function_find(guarded.image, pc, &function));
        assert_in_range(pc, function.entry, function.end - 1);
    }
    assert_error(function_find_name(guarded.image, "main.beta", &function), ERROR_CORRUPT);
    test_guarded_deinit(&guarded);
}

/* Strings without NUL at the end of their table are refused. */
static void test_unterminated(void **state)
{
    (void)state;
    struct fixture fixture;
    image_fixture_init(&fixture, test_row(22));
    fixture.funcnametab.size--; /* runtime.schedinit is last */
    test_expect_broken(&fixture, FIXTURE_SCHEDINIT, ERROR_CORRUPT);
    for (size_t cut = 0; cut < sizeof "runtime.schedinit"; cut++) {
        struct guarded guarded;
        struct function function;
        test_guarded_init(&guarded, &fixture);
        assert_error(function_find_name(guarded.image, "runtime.schedinit", &function),
                     ERROR_NOT_FOUND);
        test_guarded_deinit(&guarded);
        fixture.funcnametab.size--;
    }
    image_fixture_init(&fixture, test_row(22));
    fixture.filetab.size--; /* /src/g.go is last */
    test_expect_broken(&fixture, FIXTURE_BETA + 0x50, ERROR_CORRUPT);
    image_fixture_init(&fixture, test_row(22));
    fixture.cutab.size -= 2;
    test_expect_broken(&fixture, FIXTURE_BETA + 0x50, ERROR_CORRUPT);
}

/* Numbers and tables without end are refused. */
static void test_endless_pcvalue(void **state)
{
    (void)state;
    struct fixture fixture;
    image_fixture_init(&fixture, test_row(22));
    memset(fixture.pctab.bytes, 0xff, fixture.pctab.size); /* varints that go on */
    test_expect_broken(&fixture, FIXTURE_BETA, ERROR_CORRUPT);
    image_fixture_init(&fixture, test_row(22));
    memset(fixture.pctab.bytes, 0x02, fixture.pctab.size);
    uint32_t late = (uint32_t)fixture.pctab.size - 1; /* the table's end comes first */
    image_fixture_set_u32(&fixture.pclntable,
                          fixture.records[1] + (size_t)fixture.layout->func.pcln, late);
    test_expect_broken(&fixture, FIXTURE_BETA, ERROR_CORRUPT);
}

/* A call that is its own caller ends, and a tree that is too short is refused. */
static void test_broken_tree(void **state)
{
    (void)state;
    struct fixture fixture;
    image_fixture_init(&fixture, test_row(22));
    size_t call = FIXTURE_INLINE_TREE;
    size_t parent_pc = call + (size_t)fixture.layout->inlined_call.parent_pc;
    image_fixture_set_u32(&fixture.funcdata, parent_pc, 0x41); /* inside the inlined code itself */
    test_expect_broken(&fixture, FIXTURE_BETA + 0x41, ERROR_CORRUPT);
    const uint32_t outside[] = {0x100, 0x7fffffff, 0xffffffff};
    for (size_t i = 0; i < 3; i++) {
        image_fixture_set_u32(&fixture.funcdata, parent_pc, outside[i]);
        test_expect_broken(&fixture, FIXTURE_BETA + 0x41, ERROR_CORRUPT);
    }
    image_fixture_init(&fixture, test_row(22));
    image_fixture_set_u32(&fixture.funcdata, call + (size_t)fixture.layout->inlined_call.name_off,
                          0x10000);
    test_expect_broken(&fixture, FIXTURE_BETA + 0x41, ERROR_CORRUPT);
    image_fixture_init(&fixture, test_row(22));
    fixture.funcdata.size--;
    test_expect_broken(&fixture, FIXTURE_BETA + 0x41, ERROR_CORRUPT);
    fixture.funcdata.size = FIXTURE_INLINE_TREE;
    test_expect_broken(&fixture, FIXTURE_BETA + 0x41, ERROR_CORRUPT);
}

/* Names that all share long bytes would take forever to index. */
static void test_shared_names(void **state)
{
    (void)state;
    enum { COUNT = 20000, NAME = 10000 };
    const struct layout *layout = test_row(22);
    uint8_t *ftab = calloc(COUNT + 1, 8);
    uint8_t *names = malloc(NAME + 1);
    uint8_t *record = calloc(1, (size_t)layout->func.size);
    assert_true(ftab != NULL && names != NULL && record != NULL);
    memset(names, 'x', NAME);
    names[NAME] = 0;
    struct module_tables tables = {
        .minpc = 1,
        .maxpc = 2,
        .pc_quantum = 1,
        .ftab = {ftab, (COUNT + 1) * (size_t)8},
        .pclntable = {record, (size_t)layout->func.size},
        .funcnametab = {names, NAME + 1},
    };
    struct image *image;
    struct function function;
    assert_success(image_create_from_tables(&tables, layout, &image));
    assert_error(function_find_name(image, "x", &function), ERROR_CORRUPT);
    image_destroy(image);
    free(ftab);
    free(names);
    free(record);
}

/* An image and its name index, without memory. */
static struct error *test_exhaust(void *context)
{
    struct fixture *fixture = context;
    struct module_tables tables = {
        .text = FIXTURE_TEXT,
        .minpc = FIXTURE_ALPHA,
        .maxpc = FIXTURE_END,
        .pc_quantum = 1,
        .funcnametab = {fixture->funcnametab.bytes, fixture->funcnametab.size},
        .pclntable = {fixture->pclntable.bytes, fixture->pclntable.size},
        .ftab = {fixture->pclntable.bytes, (FIXTURE_FUNCTIONS + 1) * (size_t)8},
    };
    struct image *image;
    struct function function;
    TRY(image_create_from_tables(&tables, fixture->layout, &image));
    struct error *error = function_find_name(image, "main.beta", &function);
    if (error == NULL) {
        error = function_find_name(image, "runtime.schedinit", &function);
    }
    image_destroy(image);
    return error;
}

/* Every allocation may fail. */
static void test_no_memory(void **state)
{
    (void)state;
    struct fixture fixture;
    image_fixture_init(&fixture, test_row(22));
    support_exhaust(test_exhaust, &fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_find_name),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_unknown_line),
        cmocka_unit_test(test_pcvalue),
        cmocka_unit_test(test_quantum),
        cmocka_unit_test(test_data),
        cmocka_unit_test(test_broken_records),
        cmocka_unit_test(test_unsorted),
        cmocka_unit_test(test_unterminated),
        cmocka_unit_test(test_endless_pcvalue),
        cmocka_unit_test(test_broken_tree),
        cmocka_unit_test(test_shared_names),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
