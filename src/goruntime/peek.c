#include "goruntime/peek.h"
#include "base/bytes.h"
#include "base/cleanup.h"

/* Frees a failure that was not asked for. */
void peek_deinit(struct peek *peek)
{
    error_destroy(TAKE(peek->failure));
}

/* Reads through the cache when there is one. */
bool peek_read(struct peek *peek, uint64_t address, void *destination, size_t size)
{
    if (peek->failure != NULL) {
        return false;
    }
    struct error *error = peek->cache != NULL
                              ? block_cache_read(peek->cache, address, destination, size)
                              : target_read(peek->target, address, destination, size);
    if (error == NULL) {
        return true;
    }
    if (!error_catch(&error, ERROR_FAULT)) {
        peek->failure = error;
    }
    return false;
}

/* Eight bytes. */
bool peek_u64(struct peek *peek, uint64_t address, uint64_t *ret)
{
    uint8_t bytes[8];
    if (!peek_read(peek, address, bytes, sizeof bytes)) {
        return false;
    }
    *ret = bytes_u64(bytes);
    return true;
}

/* Four bytes. */
bool peek_u32(struct peek *peek, uint64_t address, uint32_t *ret)
{
    uint8_t bytes[4];
    if (!peek_read(peek, address, bytes, sizeof bytes)) {
        return false;
    }
    *ret = bytes_u32(bytes);
    return true;
}

/* Hands the failure over. */
struct error *peek_error(struct peek *peek)
{
    return TAKE(peek->failure);
}
