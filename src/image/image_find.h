/* Where the moduledata of a target are. */
#ifndef UNPARK_IMAGE_IMAGE_FIND_H
#define UNPARK_IMAGE_IMAGE_FIND_H

#include "image/memory.h"
#include "image/module.h"

/* What a search brought up. */
struct image_found {
    VECTOR(uint64_t) modules; /* addresses of moduledata of Go 1.18 and newer */
    uint32_t magic;           /* of the first one's pclntab */
    bool old;                 /* one of Go 1.16 or 1.17 was seen */
    bool altered;             /* one with an unknown magic number was seen */
    bool foreign;             /* one for another machine was seen */
};

/* Index of the main executable's file, or MEMORY_NO_FILE. */
size_t image_find_executable(const struct memory *memory);

/* Looks through the executable and every other ELF file of MEMORY; when there is nothing and the
 * executable is packed (no section headers, or unreadable) through its anonymous memory too.
 * Finding nothing is no error. FOUND is zero at first, its vector the caller's to deinit. */
NODISCARD struct error *image_find_modules(struct memory *memory, struct image_found *found);

#endif
