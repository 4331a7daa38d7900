/* Function lookups over a hostile module: the input is cut into the tables by six lengths at its
 * start, every function is decoded, named, walked. */
#include "base/bytes.h"
#include "image/function.h"
#include "image/module.h"

enum { FUZZ_TABLES = 6, FUZZ_HEADER = 2 + 2 * FUZZ_TABLES, FUZZ_FUNCTIONS_MAX = 64 };

/* Cuts the next table off BYTES. */
static struct image_bytes fuzz_cut(const uint8_t **bytes, size_t *left, uint16_t want)
{
    size_t size = want < *left ? want : *left;
    struct image_bytes table = {*bytes, size};
    *bytes += size;
    *left -= size;
    return table;
}

/* Asks everything about FUNCTION at PC; whatever comes is freed. */
static void fuzz_function(const struct function *function, uint64_t pc)
{
    struct function_frame frames[8];
    struct image_bytes data;
    size_t count;
    int32_t value;
    error_destroy(function_frames(function, pc, frames, 8, &count));
    error_destroy(function_pcvalue(function, function->pcsp, pc, &value));
    for (int i = FUNCTION_PCDATA_UNSAFE_POINT; i <= FUNCTION_PCDATA_ARG_LIVE_INDEX; i++) {
        error_destroy(function_pcdata(function, (enum function_pcdata)i, pc, &value));
    }
    for (int i = FUNCTION_DATA_ARGS_POINTER_MAPS; i <= FUNCTION_DATA_WRAP_INFO; i++) {
        error_destroy(function_data(function, (enum function_data)i, &data));
    }
}

/* Looks up entry, middle and end of each function, and its name. */
static void fuzz_image(struct image *image, const struct module_tables *tables)
{
    size_t count = tables->ftab.size / 8;
    for (size_t i = 0; i < count && i < FUZZ_FUNCTIONS_MAX; i++) {
        uint64_t entry = tables->text + bytes_u32(tables->ftab.data + 8 * i);
        for (uint64_t pc = entry; pc <= entry + 64; pc += 32) {
            struct function function;
            struct function named;
            struct error *error = function_find(image, pc, &function);
            if (error == NULL) {
                fuzz_function(&function, pc);
                error = function_find_name(image, function.name, &named);
            }
            error_destroy(error);
        }
    }
}

/* Entry point of the fuzzer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < FUZZ_HEADER) {
        return 0;
    }
    const struct layout *layout =
        layout_find(LAYOUT_MINOR_MIN + data[0] % (LAYOUT_MINOR_MAX - LAYOUT_MINOR_MIN + 1),
                    LAYOUT_MACHINE_AMD64);
    const uint8_t *rest = data + FUZZ_HEADER;
    size_t left = size - FUZZ_HEADER;
    uint16_t lengths[FUZZ_TABLES];
    memcpy(lengths, data + 2, sizeof lengths);
    struct module_tables tables = {
        .text = 0x400000,
        .etext = UINT64_MAX,
        .minpc = 0x400000,
        .maxpc = UINT64_MAX,
        .pc_quantum = data[1],
        .funcnametab = fuzz_cut(&rest, &left, lengths[0]),
        .cutab = fuzz_cut(&rest, &left, lengths[1]),
        .filetab = fuzz_cut(&rest, &left, lengths[2]),
        .pctab = fuzz_cut(&rest, &left, lengths[3]),
        .funcdata = fuzz_cut(&rest, &left, lengths[4]),
        .pclntable = {rest, left},
        .ftab = {rest, left < lengths[5] ? left : lengths[5]},
    };
    struct image *image;
    struct error *error = image_create_from_tables(&tables, layout, &image);
    if (error != NULL) {
        error_destroy(error);
        return 0;
    }
    fuzz_image(image, &tables);
    image_destroy(image);
    return 0;
}
