/* Opens any bytes as a core, asks for everything that a core is asked for, reads what it maps. */
#include "base/cleanup.h"
#include "target/target.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Entry point of the fuzzer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads the ends of every mapping, in one call and one by one. */
static void fuzz_core_read(struct target *target)
{
    size_t count;
    const struct target_mapping *mappings = target_mappings(target, &count);
    uint8_t bytes[256];
    for (size_t i = 0; i < count; i++) {
        if (mappings[i].start >= mappings[i].end ||
            (i > 0 && mappings[i].start < mappings[i - 1].end) ||
            target_find_mapping(target, mappings[i].start) != &mappings[i]) {
            abort();
        }
        struct target_range ranges[] = {
            {.address = mappings[i].start, .size = sizeof bytes, .destination = bytes},
            {.address = mappings[i].end - 8, .size = sizeof bytes, .destination = bytes}};
        error_destroy(target_read_ranges(target, ranges, 2));
        if (ranges[0].done > sizeof bytes || ranges[1].done > sizeof bytes) {
            abort();
        }
        error_destroy(target_read(target, mappings[i].start, bytes, sizeof bytes));
        int descriptor = -1;
        struct error *error = target_open_file(target, &mappings[i], &descriptor);
        if (error == NULL) {
            close(descriptor);
        }
        error_destroy(error);
    }
}

/* Checks one input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    CLEANUP_CLOSE int descriptor = memfd_create("core", MFD_CLOEXEC);
    if (descriptor < 0 || write(descriptor, data, size) != (ssize_t)size) {
        return 0;
    }
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    struct target *target;
    struct error *error = target_open_core(path, NULL, &target);
    if (error != NULL) {
        error_destroy(error);
        return 0;
    }
    struct target_thread *threads = NULL;
    size_t count;
    error = target_threads(target, &threads, &count);
    fuzz_core_read(target);
    free(threads);
    error_destroy(error);
    target_destroy(target);
    return 0;
}
