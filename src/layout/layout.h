/* Facts about Go's runtime that change between releases, and between some patch levels, as rows. */
#ifndef UNPARK_LAYOUT_LAYOUT_H
#define UNPARK_LAYOUT_LAYOUT_H

#include "layout/wait_reason.h"
#include <stddef.h>
#include <stdint.h>

/* The value of a field or constant that a release does not have. Never an offset. */
#define LAYOUT_ABSENT (-1)

enum layout_machine { LAYOUT_MACHINE_AMD64, LAYOUT_MACHINE_ARM64 };

/* Oldest and newest minor release that the table knows ("1.18" is 18). */
enum { LAYOUT_MINOR_MIN = 18, LAYOUT_MINOR_MAX = 27 };

/* One row. Every group holds `size`, the size of the type, and an offset per field, in bytes. */
struct layout {
    int32_t minor;
    int32_t patch; /* the row holds from Go 1.MINOR.PATCH on, up to the next row of the release */
    enum layout_machine machine;
    const char *provenance; /* the toolchain that the row was generated from, "go1.27.0" */
#define LAYOUT_GROUP(name, type)                                                                   \
    struct {                                                                                       \
        int32_t size;
#define LAYOUT_FIELD(name, path) int32_t name;
#define LAYOUT_END(name)                                                                           \
    }                                                                                              \
    name;
#include "layout/fields.def"
#undef LAYOUT_GROUP
#undef LAYOUT_FIELD
#undef LAYOUT_END
#define LAYOUT_CONSTANT(name, source) int32_t name;
#include "layout/constants.def"
#undef LAYOUT_CONSTANT
    const uint8_t *wait_reasons; /* index: g.waitreason, value: enum wait_reason */
    uint32_t wait_reason_count;
};

/* The row of the newest patch levels of a minor release, or NULL when the table has none. */
const struct layout *layout_find(int minor, enum layout_machine machine);

/* The row that holds for a Go version string (see layout_parse_minor), or NULL when the table has
 * none. A release candidate or development version counts as the first patch level. */
const struct layout *layout_find_version(const char *version, size_t size,
                                         enum layout_machine machine);

/* Row INDEX of all rows, ordered by release, then patch level, or NULL when there are no more. For
 * who doubts a version string (self-check) and tries the other rows. */
const struct layout *layout_at(size_t index);

/* The minor number of a Go version string ("go1.24.4-fips", "go1.25.1 X:foo", "devel go1.28-abc"),
 * or LAYOUT_ABSENT when it is not such a string. */
int layout_parse_minor(const char *version, size_t size);

#endif
