/* Whole images of hostile memory: the input is patched over a sound program's data and read-only
 * data as {offset, eight bytes} pairs, then the image is made and used. */
#include "base/bytes.h"
#include "image/image.h"
#include "image/type.h"

#include "../tests/unit/image_program.h"
#include <stdlib.h>

enum { FUZZ_PATCH = 10, FUZZ_HEADER = 2 };

/* Uses IMAGE. */
static void fuzz_use(struct image *image)
{
    for (uint64_t pc = FIXTURE_ALPHA; pc < FIXTURE_END; pc += 16) {
        struct function function;
        struct function_frame frames[8];
        size_t count;
        struct error *error = function_find(image, pc, &function);
        if (error == NULL) {
            error = function_frames(&function, pc, frames, 8, &count);
        }
        error_destroy(error);
    }
    struct function function;
    error_destroy(function_find_name(image, "main.beta", &function));
    struct string_builder name = {0};
    error_destroy(type_name(image, PROGRAM_RODATA + PROGRAM_TYPES + 0x40, &name));
    string_builder_deinit(&name);
}

/* Entry point of the fuzzer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct program program;
    struct target *target;
    struct image *image;
    size_t rows = 0;
    if (size < FUZZ_HEADER) {
        return 0;
    }
    while (layout_at(rows) != NULL) {
        rows++;
    }
    const struct layout *layout = layout_at(data[0] % rows);
    image_program_init(&program, layout, layout->provenance);
    for (size_t i = FUZZ_HEADER; i + FUZZ_PATCH <= size; i += FUZZ_PATCH) {
        uint16_t at = bytes_u16(data + i);
        uint8_t *bytes = (at & 0x8000) != 0 ? program.data : program.rodata;
        at &= 0x7fff;
        memcpy(bytes + at % (PROGRAM_DATA_SIZE - 8), data + i + 2, 8);
    }
    struct error *error = image_program_open(&program, &target);
    if (error == NULL) {
        error = image_create(target, &image);
        if (error == NULL) {
            fuzz_use(image);
            image_destroy(image);
        }
        target_destroy(target);
    }
    error_destroy(error);
    return 0;
}
