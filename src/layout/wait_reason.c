#include "layout/wait_reason.h"
#include <string.h>

static const struct {
    const char *text;
    size_t size;
} wait_reason_texts[] = {
#define WAIT_REASON(name, string) {string, sizeof(string) - 1},
#include "layout/wait_reasons.def"
#undef WAIT_REASON
};

/* The text; a number that is no reason has none. */
const char *wait_reason_text(enum wait_reason reason)
{
    return (unsigned)reason < WAIT_REASON_COUNT ? wait_reason_texts[reason].text : "";
}

/* The reason of a text. */
enum wait_reason wait_reason_parse(const char *text, size_t size)
{
    for (size_t i = 0; i < WAIT_REASON_COUNT; i++) {
        if (wait_reason_texts[i].size == size &&
            (size == 0 || memcmp(wait_reason_texts[i].text, text, size) == 0)) {
            return (enum wait_reason)i;
        }
    }
    return WAIT_REASON_COUNT;
}
