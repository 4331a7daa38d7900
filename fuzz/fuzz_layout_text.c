/* Hostile text: what add_escaped lets through must be well-formed and harmless, and version strings
 * and wait reasons must be judged within their bounds. */
#include "base/string_builder.h"
#include "layout/layout.h"
#include <stdlib.h>
#include <string.h>

/* Entry point of the fuzzer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The text escaped, as a heap string. */
static char *fuzz_escape(const char *text, size_t size)
{
    struct string_builder builder = {0};
    string_builder_add_escaped(&builder, text, size);
    char *escaped;
    struct error *error = string_builder_take(&builder, &escaped);
    if (error != NULL) {
        abort();
    }
    return escaped;
}

/* Checks one input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *once = fuzz_escape((const char *)data, size);
    for (const char *p = once; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            abort();
        }
    }
    if (strstr(once, "\xe2\x80\xae") != NULL) {
        abort();
    }
    /* What was escaped needs no escape: every byte that is left is part of harmless text. */
    char *twice = fuzz_escape(once, strlen(once));
    if (strcmp(once, twice) != 0) {
        abort();
    }
    free(once);
    free(twice);

    int minor = layout_parse_minor((const char *)data, size);
    if (minor != LAYOUT_ABSENT && (size < 5 || minor < 0)) {
        abort();
    }
    enum wait_reason reason = wait_reason_parse((const char *)data, size);
    if (reason != WAIT_REASON_COUNT &&
        (strlen(wait_reason_text(reason)) != size ||
         (size > 0 && memcmp(wait_reason_text(reason), data, size) != 0))) {
        abort();
    }
    return 0;
}
