#include "base/large.h"
#include <stdlib.h>
#include <sys/mman.h>

/* Mappings below LARGE_MIN would not pay: each one that goes interrupts the other threads. */
enum { LARGE_MIN = 256 << 10, LARGE_HUGE = 2 << 20 };

/* Maps the memory when it is much. */
void *large_allocate(size_t size)
{
    if (size < LARGE_MIN) {
        return calloc(1, size + 1);
    }
    void *memory = mmap(NULL, size + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return NULL;
    }
    if (size >= 2 * (size_t)LARGE_HUGE) {
        (void)madvise(memory, size + 1, MADV_HUGEPAGE); /* a wish: it works without */
    }
    return memory;
}

/* Unmaps it. */
void large_free(void *memory, size_t size)
{
    if (size < LARGE_MIN) {
        free(memory);
    } else if (memory != NULL) {
        (void)munmap(memory, size + 1);
    }
}
