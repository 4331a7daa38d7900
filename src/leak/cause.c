/* The catalogue of causes. */
#include "leak/cause.h"
#include "leak/cause_facts.h"
#include "leak/cause_table.h"
#include <string.h>

static const struct cause cause_rows[] = {
#define CAUSE(number, id, proof, title, waker, fix) {number, id, title, waker, fix, proof},
#define SIGNATURE(number, waits, needs, excludes, helps, names, functions)
#include "leak/causes.def"
#undef CAUSE
#undef SIGNATURE
};

static const struct cause_signature cause_signature_rows[] = {
#define CAUSE(number, id, proof, title, waker, fix)
#define SIGNATURE(number, waits, needs, excludes, helps, names, functions)                         \
    {number, waits, needs, excludes, helps, names, functions},
#include "leak/causes.def"
#undef CAUSE
#undef SIGNATURE
};

enum { CAUSE_COUNT = sizeof cause_rows / sizeof *cause_rows };

_Static_assert(CAUSE_COUNT == 59, "the catalogue has 59 rows");

const struct cause_signature *cause_signatures(size_t *count)
{
    *count = sizeof cause_signature_rows / sizeof *cause_signature_rows;
    return cause_signature_rows;
}

size_t cause_count(void)
{
    return CAUSE_COUNT;
}

const struct cause *cause_at(size_t index)
{
    return &cause_rows[index];
}

const struct cause *cause_find(const char *id)
{
    for (size_t i = 0; i < CAUSE_COUNT; i++) {
        if (strcmp(cause_rows[i].id, id) == 0) {
            return &cause_rows[i];
        }
    }
    return NULL;
}
