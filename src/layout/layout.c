/* The table of rows. rows.inc is generated from real toolchains by tools/layoutgen and holds one
 * row for each release and machine; everything about its values is checked by
 * tests/unit/test_layout_rows.c and, against toolchains, by `layoutgen -check`. */
#include "layout/layout.h"
#include <string.h>

/* The generator writes g.waitreason's table as bytes. */
_Static_assert(WAIT_REASON_COUNT <= UINT8_MAX + 1, "a wait reason must fit a byte");
_Static_assert(LAYOUT_ABSENT < 0, "an absent field must not look like an offset");
_Static_assert(LAYOUT_MACHINE_AMD64 == 0 && LAYOUT_MACHINE_ARM64 == 1,
               "the rows of a release are counted by machine");

#include "layout/rows.inc"

enum { LAYOUT_MACHINE_COUNT = 2, LAYOUT_MINOR_DIGITS_MAX = 4 };

/* A release without its rows, or rows that LAYOUT_MINOR_MAX does not know, fail here. */
_Static_assert(sizeof(layout_rows) / sizeof(layout_rows[0]) ==
                   (LAYOUT_MINOR_MAX - LAYOUT_MINOR_MIN + 1) * LAYOUT_MACHINE_COUNT,
               "one row per release and machine");

/* Twenty rows: a search is cheap and needs no order. */
const struct layout *layout_find(int minor, enum layout_machine machine)
{
    for (size_t i = 0; i < sizeof(layout_rows) / sizeof(layout_rows[0]); i++)
        if (layout_rows[i].minor == minor && layout_rows[i].machine == machine)
            return &layout_rows[i];
    return NULL;
}

/* A version is "go1.N...", after "devel " when built from a branch; what follows N is not ours. */
int layout_parse_minor(const char *version, size_t size)
{
    static const char devel[] = "devel ";
    static const char go1[] = "go1.";
    size_t at = 0;
    if (size >= sizeof(devel) - 1 && memcmp(version, devel, sizeof(devel) - 1) == 0)
        at = sizeof(devel) - 1;
    if (size - at < sizeof(go1) - 1 || memcmp(version + at, go1, sizeof(go1) - 1) != 0)
        return LAYOUT_ABSENT;
    at += sizeof(go1) - 1;
    int minor = 0;
    size_t digits = 0;
    for (; at < size && version[at] >= '0' && version[at] <= '9'; at++, digits++) {
        if (digits == LAYOUT_MINOR_DIGITS_MAX)
            return LAYOUT_ABSENT;
        minor = minor * 10 + (version[at] - '0');
    }
    return digits > 0 ? minor : LAYOUT_ABSENT;
}
