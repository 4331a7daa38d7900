/* Where C code may keep pointers to Go's heap. */
#ifndef UNPARK_GORUNTIME_ROOTS_FOREIGN_H
#define UNPARK_GORUNTIME_ROOTS_FOREIGN_H

#include "goruntime/goruntime.h"
#include "target/copy.h"

/* The ranges that C code may use, in programs that hold C code (else none): writable mappings
 * outside Go's arenas, outside the sections of Go modules, outside memory that the kernel
 * knows to be the Go runtime's, and outside the unused parts of system stacks. *RET is the caller's
 * array, sorted. */
NODISCARD struct error *roots_foreign_ranges(struct goruntime *runtime, struct copy_range **ret,
                                             size_t *count_ret);

#endif
