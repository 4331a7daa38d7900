/* Build info blobs: the header is always right, so that the input is what follows. */
#include "image/build_info.h"

#include <stdlib.h>
#include <string.h>

enum { FUZZ_HEADER = 32 };

/* Entry point of the fuzzer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_build_info info;
    char *storage;
    uint8_t *blob = calloc(1, FUZZ_HEADER + size);
    if (blob == NULL) {
        return 0;
    }
    memcpy(blob, BUILD_INFO_MAGIC, BUILD_INFO_MAGIC_SIZE);
    blob[14] = sizeof(uint64_t);
    blob[15] = 2;
    if (size > 0) {
        memcpy(blob + FUZZ_HEADER, data, size);
    }
    struct error *error =
        build_info_parse((struct image_bytes){blob, FUZZ_HEADER + size}, &info, &storage);
    if (error == NULL) {
        /* Every string must end inside the block. */
        if (strlen(info.go_version) + strlen(info.path) + strlen(info.module) +
                strlen(info.version) + strlen(info.revision) + strlen(info.revision_time) +
                strlen(info.settings) + strlen(info.dependencies) >
            8 * (size + 1)) {
            abort();
        }
        free(storage);
    }
    error_destroy(error);
    free(blob);
    return 0;
}
