/* Memory that is freed all at once. */
#ifndef UNPARK_BASE_ARENA_H
#define UNPARK_BASE_ARENA_H

#include "base/error.h"
#include <stddef.h>

struct arena_block;

/* Zero is an empty arena. */
struct arena {
    struct arena_block *blocks;
    size_t total; /* bytes obtained from the system */
};

/* Frees everything that was allocated from ARENA. */
void arena_deinit(struct arena *arena);

/* SIZE bytes aligned to ALIGNMENT (a power of two, at most 16), not cleared; lives until deinit. */
NODISCARD struct error *arena_allocate(struct arena *arena, size_t size, size_t alignment,
                                       void **ret);

/* A copy of SIZE bytes with a NUL behind them. */
NODISCARD struct error *arena_copy(struct arena *arena, const void *data, size_t size, char **ret);

#endif
