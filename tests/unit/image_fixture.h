/* A small Go program made of bytes, for tests of the image room: three functions, the second of
 * which has a third one inlined, in the shape of any row of the layout table. main.alpha
 * 0x100..0x200   main.beta 0x200..0x300 (main.gamma inlined at 0x40..0x60 of it) runtime.schedinit
 * 0x300..0x400, all from FIXTURE_TEXT */
#ifndef UNPARK_TESTS_UNIT_IMAGE_FIXTURE_H
#define UNPARK_TESTS_UNIT_IMAGE_FIXTURE_H

#include "image/module.h"
#include "layout/layout.h"
#include <string.h>

#define FIXTURE_TEXT 0x400000u
#define FIXTURE_ALPHA (FIXTURE_TEXT + 0x100u)
#define FIXTURE_BETA (FIXTURE_TEXT + 0x200u)
#define FIXTURE_SCHEDINIT (FIXTURE_TEXT + 0x300u)
#define FIXTURE_END (FIXTURE_TEXT + 0x400u)

enum { FIXTURE_TABLE_MAX = 512, FIXTURE_FUNCTIONS = 3, FIXTURE_INLINE_TREE = 8 };

/* One growing table. */
struct fixture_table {
    uint8_t bytes[FIXTURE_TABLE_MAX];
    size_t size;
};

/* The tables of the program, and where in pclntable the records are. */
struct fixture {
    const struct layout *layout;
    struct fixture_table funcnametab, cutab, filetab, pctab, pclntable, funcdata;
    uint32_t records[FIXTURE_FUNCTIONS];
};

/* Appends SIZE bytes and says where they start. */
static inline uint32_t image_fixture_add(struct fixture_table *table, const void *bytes,
                                         size_t size)
{
    uint32_t start = (uint32_t)table->size;
    memcpy(table->bytes + start, bytes, size);
    table->size += size;
    return start;
}

/* Appends a string with its NUL. */
static inline uint32_t image_fixture_add_string(struct fixture_table *table, const char *text)
{
    return image_fixture_add(table, text, strlen(text) + 1);
}

/* Overwrites four bytes. */
static inline void image_fixture_set_u32(struct fixture_table *table, size_t at, uint32_t value)
{
    memcpy(table->bytes + at, &value, sizeof value);
}

/* Appends an unsigned LEB128 number. */
static inline void image_fixture_add_uvarint(struct fixture_table *table, uint32_t value)
{
    while (value >= 0x80) {
        table->bytes[table->size++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    table->bytes[table->size++] = (uint8_t)value;
}

/* A value that holds up to an offset from the function's entry. */
struct fixture_step {
    int32_t value;
    uint32_t end;
};

/* Appends a pc-value table of COUNT steps. */
static inline uint32_t image_fixture_add_steps(struct fixture_table *table,
                                               const struct fixture_step *steps, size_t count)
{
    uint32_t start = (uint32_t)table->size;
    int32_t value = -1;
    uint32_t pc = 0;
    for (size_t i = 0; i < count; i++) {
        int32_t delta = steps[i].value - value;
        image_fixture_add_uvarint(table, (uint32_t)delta << 1 ^ (uint32_t)(delta >> 31));
        image_fixture_add_uvarint(table, steps[i].end - pc);
        value = steps[i].value;
        pc = steps[i].end;
    }
    table->bytes[table->size++] = 0;
    return start;
}

#define FIXTURE_STEPS(table, ...)                                                                  \
    image_fixture_add_steps((table), (const struct fixture_step[]){__VA_ARGS__},                   \
                            sizeof((const struct fixture_step[]){__VA_ARGS__}) /                   \
                                sizeof(struct fixture_step))

/* What a record says, in the names of struct function. */
struct fixture_record {
    uint32_t entry, name, pcsp, pcfile, pcln, inline_index;
    int32_t start_line;
    bool has_tree;
};

/* Appends a record with three PCDATA and four FUNCDATA. */
static inline uint32_t image_fixture_add_record(struct fixture *fixture,
                                                const struct fixture_record *record)
{
    const struct layout *layout = fixture->layout;
    struct fixture_table *table = &fixture->pclntable;
    uint32_t start = (uint32_t)table->size;
    table->size += (size_t)layout->func.size;
    image_fixture_set_u32(table, start + (size_t)layout->func.entry_off, record->entry);
    image_fixture_set_u32(table, start + (size_t)layout->func.name_off, record->name);
    image_fixture_set_u32(table, start + (size_t)layout->func.args, 16);
    image_fixture_set_u32(table, start + (size_t)layout->func.pcsp, record->pcsp);
    image_fixture_set_u32(table, start + (size_t)layout->func.pcfile, record->pcfile);
    image_fixture_set_u32(table, start + (size_t)layout->func.pcln, record->pcln);
    image_fixture_set_u32(table, start + (size_t)layout->func.npcdata, 3);
    if (layout->func.start_line != LAYOUT_ABSENT) {
        image_fixture_set_u32(table, start + (size_t)layout->func.start_line,
                              (uint32_t)record->start_line);
    }
    table->bytes[start + (size_t)layout->func.func_id] = 7;
    table->bytes[start + (size_t)layout->func.flag] = FUNCTION_SP_WRITE;
    table->bytes[start + (size_t)layout->func.nfuncdata] = 4;
    uint32_t pcdata[3] = {0, 0, record->inline_index};
    image_fixture_add(table, pcdata, sizeof pcdata);
    uint32_t absent = 0xffffffffu;
    uint32_t funcdata[4] = {absent, absent, absent,
                            record->has_tree ? FIXTURE_INLINE_TREE : absent};
    image_fixture_add(table, funcdata, sizeof funcdata);
    return start;
}

/* Appends the inline tree: one call of the function with NAME at offset PARENT of its caller. */
static inline void image_fixture_add_tree(struct fixture *fixture, uint32_t name, uint32_t parent)
{
    const struct layout *layout = fixture->layout;
    struct fixture_table *table = &fixture->funcdata;
    table->size = FIXTURE_INLINE_TREE + (size_t)layout->inlined_call.size;
    size_t call = FIXTURE_INLINE_TREE;
    table->bytes[call + (size_t)layout->inlined_call.func_id] = 9;
    image_fixture_set_u32(table, call + (size_t)layout->inlined_call.name_off, name);
    image_fixture_set_u32(table, call + (size_t)layout->inlined_call.parent_pc, parent);
    if (layout->inlined_call.start_line != LAYOUT_ABSENT) {
        image_fixture_set_u32(table, call + (size_t)layout->inlined_call.start_line, 30);
    }
}

/* Fills FIXTURE in the shape of LAYOUT. */
static inline void image_fixture_init(struct fixture *fixture, const struct layout *layout)
{
    *fixture = (struct fixture){.layout = layout};
    image_fixture_add_string(&fixture->funcnametab, "");
    uint32_t alpha = image_fixture_add_string(&fixture->funcnametab, "main.alpha");
    uint32_t beta = image_fixture_add_string(&fixture->funcnametab, "main.beta");
    uint32_t gamma = image_fixture_add_string(&fixture->funcnametab, "main.gamma");
    uint32_t schedinit = image_fixture_add_string(&fixture->funcnametab, "runtime.schedinit");
    image_fixture_add_string(&fixture->filetab, "");
    uint32_t files[2];
    files[0] = image_fixture_add_string(&fixture->filetab, "/src/a.go");
    files[1] = image_fixture_add_string(&fixture->filetab, "/src/g.go");
    image_fixture_add(&fixture->cutab, files, sizeof files);
    struct fixture_table *pctab = &fixture->pctab;
    pctab->size = 1; /* offset 0 means absent */
    uint32_t first_file = FIXTURE_STEPS(pctab, {0, 0x100});
    struct fixture_record records[FIXTURE_FUNCTIONS] = {
        {.entry = 0x100,
         .name = alpha,
         .pcsp = FIXTURE_STEPS(pctab, {0, 0x10}, {0x118, 0xf0}, {0, 0x100}),
         .pcfile = first_file,
         .pcln = FIXTURE_STEPS(pctab, {10, 0x80}, {12, 0x100}),
         .start_line = 9},
        {.entry = 0x200,
         .name = beta,
         .pcfile = FIXTURE_STEPS(pctab, {0, 0x40}, {1, 0x60}, {0, 0x100}),
         .pcln = FIXTURE_STEPS(pctab, {20, 0x30}, {21, 0x40}, {31, 0x60}, {22, 0x100}),
         .inline_index = FIXTURE_STEPS(pctab, {-1, 0x40}, {0, 0x60}, {-1, 0x100}),
         .start_line = 19,
         .has_tree = true},
        {.entry = 0x300, .name = schedinit, .pcfile = first_file, .start_line = 40},
    };
    fixture->pclntable.size = (FIXTURE_FUNCTIONS + 1) * (size_t)8;
    for (size_t i = 0; i < FIXTURE_FUNCTIONS; i++) {
        fixture->records[i] = image_fixture_add_record(fixture, &records[i]);
        image_fixture_set_u32(&fixture->pclntable, 8 * i, records[i].entry);
        image_fixture_set_u32(&fixture->pclntable, 8 * i + 4, fixture->records[i]);
    }
    image_fixture_set_u32(&fixture->pclntable, (size_t)8 * FIXTURE_FUNCTIONS, 0x400);
    image_fixture_add_tree(fixture, gamma, 0x3f);
}

#endif
