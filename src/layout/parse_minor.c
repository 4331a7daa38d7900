/* Go version strings, as runtime.buildVersion holds them and cmd/dist writes them:
 *   go1.MINOR[.PATCH | rcN | betaN][-SUFFIX][ X:experiments]   a release
 *   devel go1.MINOR-COMMIT DATE                                built from the source tree
 * Vendors append freely behind the minor number; only what stands before it is checked. */
#include "layout/layout.h"
#include <string.h>

/* No release is near this; a larger number is not a version. */
enum { PARSE_MINOR_DIGITS = 3 };

/* True when the bytes start with PREFIX, which is then skipped. */
static int parse_minor_skip(const char **text, size_t *size, const char *prefix)
{
    size_t length = strlen(prefix);
    if (*size < length || memcmp(*text, prefix, length) != 0) {
        return 0;
    }
    *text += length;
    *size -= length;
    return 1;
}

/* The number behind "go1.". */
int layout_parse_minor(const char *version, size_t size)
{
    if (size == 0) {
        return LAYOUT_ABSENT;
    }
    parse_minor_skip(&version, &size, "devel ");
    if (!parse_minor_skip(&version, &size, "go1.")) {
        return LAYOUT_ABSENT;
    }
    int minor = 0;
    size_t digits = 0;
    while (digits < size && version[digits] >= '0' && version[digits] <= '9') {
        if (digits == PARSE_MINOR_DIGITS) {
            return LAYOUT_ABSENT;
        }
        minor = minor * 10 + (version[digits] - '0');
        digits++;
    }
    return digits == 0 ? LAYOUT_ABSENT : minor;
}
