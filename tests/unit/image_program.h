/* The fixture's tables placed in the memory of a target as a linker and the runtime would: header,
 * tables, types and strings at PROGRAM_RODATA, moduledata and variables at PROGRAM_DATA. */
#ifndef UNPARK_TESTS_UNIT_IMAGE_PROGRAM_H
#define UNPARK_TESTS_UNIT_IMAGE_PROGRAM_H

#include "image_fixture.h"
#include "target/target.h"

#define PROGRAM_RODATA 0x500000u
#define PROGRAM_DATA 0x600000u

enum {
    PROGRAM_TEXT_SIZE = 0x1000,
    PROGRAM_RODATA_SIZE = 0x3000,
    PROGRAM_DATA_SIZE = 0x3000,
    PROGRAM_TYPES = 0x2000,      /* of rodata */
    PROGRAM_TYPES_SIZE = 0x400,  /* bytes */
    PROGRAM_STRINGS = 0x2800,    /* of rodata */
    PROGRAM_MODULEDATA = 0x100,  /* of data */
    PROGRAM_NOPTRDATA = 0x800,   /* of data */
    PROGRAM_VARIABLES = 0x1000,  /* of data: data section, 0x200 bytes */
    PROGRAM_BUILD_INFO = 0x1800, /* of data */
    PROGRAM_MAPPINGS = 3
};

/* The bytes of the three mappings. */
struct program {
    struct fixture fixture;
    uint8_t text[PROGRAM_TEXT_SIZE];
    uint8_t rodata[PROGRAM_RODATA_SIZE];
    uint8_t data[PROGRAM_DATA_SIZE];
};

/* Overwrites eight bytes at P. */
static inline void image_program_set_u64(uint8_t *p, uint64_t value)
{
    memcpy(p, &value, sizeof value);
}

/* Where field OFFSET of moduledata is. */
static inline uint8_t *image_program_moduledata(struct program *program, int32_t offset)
{
    return program->data + PROGRAM_MODULEDATA + offset;
}

/* Sets a slice of moduledata. */
static inline void image_program_set_slice(struct program *program, int32_t offset,
                                           uint64_t address, uint64_t size)
{
    image_program_set_u64(image_program_moduledata(program, offset), address);
    image_program_set_u64(image_program_moduledata(program, offset + 8), size);
    image_program_set_u64(image_program_moduledata(program, offset + 16), size);
}

/* Places a table in rodata behind *AT, points header offset and slice to it. */
static inline void image_program_place(struct program *program, const struct fixture_table *table,
                                       size_t *at, size_t header_offset, int32_t slice,
                                       uint64_t length)
{
    memcpy(program->rodata + *at, table->bytes, table->size);
    image_program_set_u64(program->rodata + header_offset, *at);
    image_program_set_slice(program, slice, PROGRAM_RODATA + *at, length);
    *at = (*at + table->size + 31) & ~(size_t)31;
}

/* Puts a Go string with TEXT at data offset VARIABLE; its bytes go to rodata offset BYTES. */
static inline void image_program_set_string(struct program *program, size_t variable, size_t bytes,
                                            const char *text)
{
    memcpy(program->rodata + bytes, text, strlen(text));
    image_program_set_u64(program->data + variable, PROGRAM_RODATA + bytes);
    image_program_set_u64(program->data + variable + 8, strlen(text));
}

/* Sets the addresses of moduledata that rows place. */
static inline void image_program_init_addresses(struct program *program,
                                                const struct layout *layout, uint64_t gofunc)
{
    const struct {
        int32_t offset;
        uint64_t value;
    } words[] = {
        {layout->moduledata.minpc, FIXTURE_ALPHA},
        {layout->moduledata.maxpc, FIXTURE_END},
        {layout->moduledata.text, FIXTURE_TEXT},
        {layout->moduledata.etext, FIXTURE_END},
        {layout->moduledata.noptrdata, PROGRAM_DATA + PROGRAM_NOPTRDATA},
        {layout->moduledata.enoptrdata, PROGRAM_DATA + PROGRAM_VARIABLES},
        {layout->moduledata.data, PROGRAM_DATA + PROGRAM_VARIABLES},
        {layout->moduledata.edata, PROGRAM_DATA + PROGRAM_VARIABLES + 0x200},
        {layout->moduledata.bss, PROGRAM_DATA + 0x2000},
        {layout->moduledata.ebss, PROGRAM_DATA + 0x2000},
        {layout->moduledata.noptrbss, PROGRAM_DATA + 0x2000},
        {layout->moduledata.enoptrbss, PROGRAM_DATA + 0x2000},
        {layout->moduledata.end, PROGRAM_DATA + 0x2000},
        {layout->moduledata.types, PROGRAM_RODATA + PROGRAM_TYPES},
        {layout->moduledata.etypes, PROGRAM_RODATA + PROGRAM_TYPES + PROGRAM_TYPES_SIZE},
        {layout->moduledata.rodata, PROGRAM_RODATA},
        {layout->moduledata.gofunc, gofunc},
        {layout->moduledata.gcdatamask, 0x200 / 8},
        {layout->moduledata.gcdatamask + 8, PROGRAM_RODATA},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        image_program_set_u64(image_program_moduledata(program, words[i].offset), words[i].value);
    }
}

/* Fills PROGRAM in the shape of LAYOUT, with VERSION as runtime.buildVersion. */
static inline void image_program_init(struct program *program, const struct layout *layout,
                                      const char *version)
{
    memset(program, 0, sizeof *program);
    image_fixture_init(&program->fixture, layout);
    struct fixture *fixture = &program->fixture;
    uint8_t *header = program->rodata;
    uint32_t magic = layout->minor < 20 ? MODULE_MAGIC_GO1_18 : MODULE_MAGIC_GO1_20;
    memcpy(header, &magic, sizeof magic);
    header[6] = layout->machine == LAYOUT_MACHINE_AMD64 ? 1 : 4;
    header[7] = 8;
    image_program_set_u64(header + 8, FIXTURE_FUNCTIONS);
    image_program_set_u64(image_program_moduledata(program, layout->moduledata.pc_header),
                          PROGRAM_RODATA);
    size_t at = 96; /* linkers align the first table */
    image_program_place(program, &fixture->funcnametab, &at, 32, layout->moduledata.funcnametab,
                        fixture->funcnametab.size);
    image_program_place(program, &fixture->cutab, &at, 40,
                        layout->moduledata.cutab, /* too large, as Go */
                        4 * fixture->cutab.size);
    image_program_place(program, &fixture->filetab, &at, 48, layout->moduledata.filetab,
                        fixture->filetab.size);
    image_program_place(program, &fixture->pctab, &at, 56, layout->moduledata.pctab,
                        fixture->pctab.size);
    image_program_set_slice(program, layout->moduledata.ftab, PROGRAM_RODATA + at,
                            FIXTURE_FUNCTIONS + 1);
    image_program_place(program, &fixture->pclntable, &at, 64, layout->moduledata.pclntable,
                        fixture->pclntable.size);
    memcpy(program->rodata + at, fixture->funcdata.bytes, fixture->funcdata.size);
    image_program_init_addresses(program, layout, PROGRAM_RODATA + at);
    image_program_set_string(program, PROGRAM_VARIABLES + 0x40, PROGRAM_STRINGS, version);
}

/* Opens PROGRAM as a target of memory. */
static inline struct error *image_program_open(const struct program *program, struct target **ret)
{
    const struct target_mapping mappings[PROGRAM_MAPPINGS] = {
        {.start = FIXTURE_TEXT,
         .end = FIXTURE_TEXT + PROGRAM_TEXT_SIZE,
         .permissions = TARGET_PERMISSION_READ | TARGET_PERMISSION_EXECUTE,
         .path = ""},
        {.start = PROGRAM_RODATA,
         .end = PROGRAM_RODATA + PROGRAM_RODATA_SIZE,
         .permissions = TARGET_PERMISSION_READ,
         .path = ""},
        {.start = PROGRAM_DATA,
         .end = PROGRAM_DATA + PROGRAM_DATA_SIZE,
         .permissions = TARGET_PERMISSION_READ | TARGET_PERMISSION_WRITE,
         .path = ""},
    };
    const uint8_t *bytes[PROGRAM_MAPPINGS] = {program->text, program->rodata, program->data};
    enum target_machine machine = program->fixture.layout->machine == LAYOUT_MACHINE_AMD64
                                      ? TARGET_MACHINE_AMD64
                                      : TARGET_MACHINE_ARM64;
    return target_open_memory(machine, mappings, bytes, PROGRAM_MAPPINGS, ret);
}

#endif
