/* Unaligned little-endian loads from memory whose bounds the caller has already checked. */
#ifndef UNPARK_BASE_BYTES_H
#define UNPARK_BASE_BYTES_H

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "hosts are little-endian; add byte swaps here to port"
#endif

/* Two bytes at P. */
static inline uint16_t bytes_u16(const uint8_t *p)
{
    uint16_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

/* Four bytes at P. */
static inline uint32_t bytes_u32(const uint8_t *p)
{
    uint32_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

/* Four bytes at P, signed. */
static inline int32_t bytes_i32(const uint8_t *p)
{
    int32_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

/* Eight bytes at P. */
static inline uint64_t bytes_u64(const uint8_t *p)
{
    uint64_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

#endif
