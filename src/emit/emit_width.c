/* Width by two small tables of ranges. Coarse on purpose: whole blocks where a block is nearly
 * uniform; a name that is off by a column is only less well aligned. */
#include "emit/emit_width.h"
#include <stdbool.h>
#include <stdint.h>

struct emit_width_range {
    uint32_t first, last;
};

/* Combining marks and zero-width characters (general categories Mn, Me, Cf), by block. */
static const struct emit_width_range emit_width_zero[] = {
    {0x300, 0x36f},   {0x483, 0x489},     {0x591, 0x5bd},   {0x610, 0x61a},   {0x64b, 0x65f},
    {0x6d6, 0x6dc},   {0x730, 0x74a},     {0x900, 0x902},   {0x93c, 0x93c},   {0x941, 0x948},
    {0xe31, 0xe31},   {0xe34, 0xe3a},     {0xe47, 0xe4e},   {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff},
    {0x200b, 0x200d}, {0x2060, 0x2064},   {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
    {0xfeff, 0xfeff}, {0xe0100, 0xe01ef},
};

/* East Asian wide and full-width characters, and emoji shown as such. */
static const struct emit_width_range emit_width_wide[] = {
    {0x1100, 0x115f},   {0x231a, 0x231b},   {0x23e9, 0x23ec},   {0x2614, 0x2615},
    {0x26a1, 0x26a1},   {0x2705, 0x2705},   {0x274c, 0x274c},   {0x2753, 0x2757},
    {0x2e80, 0x303e},   {0x3041, 0x33ff},   {0x3400, 0x4dbf},   {0x4e00, 0x9fff},
    {0xa000, 0xa4cf},   {0xa960, 0xa97f},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},
    {0xfe30, 0xfe6f},   {0xff01, 0xff60},   {0xffe0, 0xffe6},   {0x1f300, 0x1f64f},
    {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd},
};

/* Whether CODE lies in one of the ranges, which ascend. */
static bool emit_width_in(const struct emit_width_range *ranges, size_t count, uint32_t code)
{
    for (size_t i = 0; i < count && ranges[i].first <= code; i++) {
        if (code <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

/* Decodes the character at TEXT; returns its bytes. Malformed bytes count as one column each. */
static size_t emit_width_decode(const uint8_t *text, size_t size, uint32_t *code)
{
    size_t more = text[0] >= 0xf0 ? 3 : text[0] >= 0xe0 ? 2 : text[0] >= 0xc0 ? 1 : 0;
    *code = text[0];
    if (more == 0 || more >= size) {
        return 1;
    }
    uint32_t value = text[0] & (0x3fu >> more);
    for (size_t i = 1; i <= more; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 1;
        }
        value = value << 6 | (text[i] & 0x3fu);
    }
    *code = value;
    return more + 1;
}

/* Adds up the columns of all characters. */
size_t emit_width(const char *text, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)text;
    size_t columns = 0;
    for (size_t at = 0; at < size;) {
        if (bytes[at] < 0x80) {
            columns++;
            at++;
            continue;
        }
        uint32_t code;
        at += emit_width_decode(bytes + at, size - at, &code);
        if (emit_width_in(emit_width_wide, sizeof emit_width_wide / sizeof *emit_width_wide,
                          code)) {
            columns += 2;
        } else if (!emit_width_in(emit_width_zero, sizeof emit_width_zero / sizeof *emit_width_zero,
                                  code)) {
            columns++;
        }
    }
    return columns;
}
