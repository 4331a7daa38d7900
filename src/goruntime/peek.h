/* Looking at words that may not be there: unreadable memory is an answer, not an error. Errors of
 * other kinds (the process ended, no memory) are kept and asked for once at the end. */
#ifndef UNPARK_GORUNTIME_PEEK_H
#define UNPARK_GORUNTIME_PEEK_H

#include "target/block_cache.h"
#include "target/target.h"

/* Where to look. */
struct peek {
    struct target *target;
    struct block_cache *cache; /* NULL: straight from the target */
    struct error *failure;     /* the first error that was no fault */
};

/* Frees a failure that was not asked for. */
void peek_deinit(struct peek *peek);

/* Reads SIZE bytes at ADDRESS; false when they cannot be read (or something failed before). */
bool peek_read(struct peek *peek, uint64_t address, void *destination, size_t size);

/* Reads a little-endian word. */
bool peek_u64(struct peek *peek, uint64_t address, uint64_t *ret);
bool peek_u32(struct peek *peek, uint64_t address, uint32_t *ret);

/* The error that occurred, now the caller's, or NULL. */
NODISCARD struct error *peek_error(struct peek *peek);

#endif
