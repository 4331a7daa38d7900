/* Included before every source but error.c when clang-tidy runs: its analyzer ignores
 * returns_nonnull and would follow paths where a failure is reported by NULL. */
#include "base/error.h"
#include <stddef.h>

#define TIDY_NEVER_NULL(call)                                                                      \
    ({                                                                                             \
        struct error *tidy_error = (call);                                                         \
        __builtin_assume(tidy_error != NULL);                                                      \
        tidy_error;                                                                                \
    })
#define error_create(...) TIDY_NEVER_NULL((error_create)(__VA_ARGS__))
#define error_errno(...) TIDY_NEVER_NULL((error_errno)(__VA_ARGS__))
#define error_fault(...) TIDY_NEVER_NULL((error_fault)(__VA_ARGS__))
#define error_no_memory() TIDY_NEVER_NULL((error_no_memory)())

/* As in error.c, in sight of the analyzer: an error that is not caught stays what it was. */
#define error_catch(place, code)                                                                   \
    ({                                                                                             \
        struct error **tidy_caught = (place);                                                      \
        bool tidy_catches = *tidy_caught != NULL && (error_code)(*tidy_caught) == (code);          \
        if (tidy_catches) {                                                                        \
            error_destroy(*tidy_caught);                                                           \
            *tidy_caught = NULL;                                                                   \
        }                                                                                          \
        tidy_catches;                                                                              \
    })
