/* Facts about Go's runtime that change between releases, as rows: one per release and machine. */
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
    enum layout_machine machine;
    const char *provenance; /* the toolchain that the row was generated from, "go1.27.4" */
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

/* The row of a minor release and machine, or NULL when the table has none. */
const struct layout *layout_find(int minor, enum layout_machine machine);

/* The minor number of a Go version string ("go1.24.4-fips", "go1.25.1 X:foo", "devel go1.28-abc"),
 * or LAYOUT_ABSENT when it is not such a string. */
int layout_parse_minor(const char *version, size_t size);

#endif
