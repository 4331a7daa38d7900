/* Decoding of code for references to data: any bytes are code, on both machines. Instructions do
 * not overlap their end, references lie inside the code. */
#include "goruntime/code_scan.h"
#include <stdlib.h>
#include <string.h>

enum { FUZZ_CAPACITY = 64 };

/* Entry point of the fuzzer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Scans the input as code of both machines. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1); /* of its own, so that reads beyond its end are seen */
    if (copy == NULL) {
        return 0;
    }
    uint8_t *code = realloc(copy, size == 0 ? 1 : size);
    code = code == NULL ? copy : code;
    memcpy(code, data, size);
    for (int machine = TARGET_MACHINE_AMD64; machine <= TARGET_MACHINE_ARM64; machine++) {
        struct code_reference references[FUZZ_CAPACITY];
        size_t count =
            code_scan((enum target_machine)machine, code, size, 0x1000, references, FUZZ_CAPACITY);
        for (size_t i = 0; i < count; i++) {
            if (references[i].instruction < 0x1000 || references[i].instruction >= 0x1000 + size) {
                abort();
            }
        }
    }
    for (size_t i = 0; i < size; i++) {
        if (code_scan_amd64_length(code + i, size - i) > size - i) {
            abort();
        }
    }
    free(code);
    return 0;
}
