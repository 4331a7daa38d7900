/* The catalogue of causes. */
#include "leak/cause.h"
#include "leak/cause_facts.h"
#include "leak/cause_table.h"
#include <string.h>

static const struct cause_row cause_rows[] = {
#define CAUSE(number, id, proof, waits, needs, helps, functions, title, waker, fix)                \
    {{number, id, title, waker, fix, proof}, waits, needs, helps, functions},
#include "leak/causes.def"
#undef CAUSE
};

enum { CAUSE_COUNT = sizeof cause_rows / sizeof *cause_rows };

_Static_assert(CAUSE_COUNT == 58, "the catalogue has 58 rows");

const struct cause_row *cause_table(size_t *count)
{
    *count = CAUSE_COUNT;
    return cause_rows;
}

size_t cause_count(void)
{
    return CAUSE_COUNT;
}

const struct cause *cause_at(size_t index)
{
    return &cause_rows[index].cause;
}

const struct cause *cause_find(const char *id)
{
    for (size_t i = 0; i < CAUSE_COUNT; i++) {
        if (strcmp(cause_rows[i].cause.id, id) == 0) {
            return &cause_rows[i].cause;
        }
    }
    return NULL;
}
