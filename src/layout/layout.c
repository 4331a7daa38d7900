/* The table of rows. rows.inc is generated from real toolchains by tools/layoutgen and holds rows
 * ordered by release, patch level and machine; everything about its values is checked by
 * tests/unit/test_layout_rows.c and, against toolchains, by `layoutgen -check`. */
#include "layout/layout.h"
#include <limits.h>
#include <string.h>

/* The generator writes g.waitreason's table as bytes. */
_Static_assert(WAIT_REASON_COUNT <= UINT8_MAX + 1, "a wait reason must fit a byte");
_Static_assert(LAYOUT_ABSENT < 0, "an absent field must not look like an offset");

#include "layout/rows.inc"

_Static_assert(sizeof layout_rows / sizeof layout_rows[0] >=
                   2 * (LAYOUT_MINOR_MAX - LAYOUT_MINOR_MIN + 1),
               "a release has a row per machine at least");

enum { LAYOUT_NUMBER_DIGITS_MAX = 4 };

/* The rows are few and ordered: the last that fits is the newest that holds. */
static const struct layout *layout_find_patch(int minor, int patch, enum layout_machine machine)
{
    const struct layout *found = NULL;
    for (size_t i = 0; i < sizeof layout_rows / sizeof layout_rows[0]; i++) {
        const struct layout *row = &layout_rows[i];
        if (row->minor == minor && row->machine == machine &&
            (found == NULL || row->patch <= patch)) {
            found = row;
        }
    }
    return found;
}

/* The newest patch level is the one most installed. */
const struct layout *layout_find(int minor, enum layout_machine machine)
{
    return layout_find_patch(minor, INT_MAX, machine);
}

/* Reads a decimal number at *AT and moves *AT behind it; LAYOUT_ABSENT when there is none. */
static int layout_parse_number(const char *text, size_t size, size_t *at)
{
    int number = 0;
    size_t digits = 0;
    for (; *at < size && text[*at] >= '0' && text[*at] <= '9'; ++*at, digits++) {
        if (digits == LAYOUT_NUMBER_DIGITS_MAX) {
            return LAYOUT_ABSENT;
        }
        number = number * 10 + (text[*at] - '0');
    }
    return digits > 0 ? number : LAYOUT_ABSENT;
}

/* A version is "go1.MINOR" and maybe ".PATCH", behind "devel " when built from a branch; what
 * follows
 * ("rc1", "-X:experiment", " (vendor)") is not ours. *PATCH is 0 without a patch level. */
static int layout_parse_version(const char *version, size_t size, int *patch)
{
    static const char devel[] = "devel ";
    static const char go1[] = "go1.";
    size_t at = 0;
    *patch = 0;
    if (size >= sizeof devel - 1 && memcmp(version, devel, sizeof devel - 1) == 0) {
        at = sizeof devel - 1;
    }
    if (size - at < sizeof go1 - 1 || memcmp(version + at, go1, sizeof go1 - 1) != 0) {
        return LAYOUT_ABSENT;
    }
    at += sizeof go1 - 1;
    int minor = layout_parse_number(version, size, &at);
    if (minor != LAYOUT_ABSENT && at < size && version[at] == '.') {
        at++;
        int number = layout_parse_number(version, size, &at);
        *patch = number != LAYOUT_ABSENT ? number : 0;
    }
    return minor;
}

/* Who asks for the minor number alone has no use for the patch level. */
int layout_parse_minor(const char *version, size_t size)
{
    int patch;
    return layout_parse_version(version, size, &patch);
}

/* A version that is none has no row either: no row's minor is LAYOUT_ABSENT. */
const struct layout *layout_find_version(const char *version, size_t size,
                                         enum layout_machine machine)
{
    int patch;
    int minor = layout_parse_version(version, size, &patch);
    return layout_find_patch(minor, patch, machine);
}

/* Both machines' rows are in one array. */
const struct layout *layout_at(size_t index)
{
    return index < sizeof layout_rows / sizeof layout_rows[0] ? &layout_rows[index] : NULL;
}
