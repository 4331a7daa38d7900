/* Identification of executable files. */
#include "image/image.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Entry point of the fuzzer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_build_info info;
    char *storage;
    int descriptor = memfd_create("fuzz", MFD_CLOEXEC);
    if (descriptor < 0) {
        return 0;
    }
    if (write(descriptor, data, size) == (ssize_t)size) {
        struct error *error = image_identify_file(descriptor, &info, &storage);
        if (error == NULL) {
            free(storage);
        }
        error_destroy(error);
    }
    close(descriptor);
    return 0;
}
