/* Shared libraries that few commands need, loaded when they are needed: loading libcurl and
 * libmicrohttpd, with all that they depend on, takes longer than most of what Unpark does. */
#ifndef UNPARK_BASE_LIBRARY_H
#define UNPARK_BASE_LIBRARY_H

#include "base/error.h"
#include <stddef.h>

/* One function of a library, and where in the caller's table of function pointers it goes. */
struct library_function {
    const char *name;
    size_t offset;
};

/* Loads the first of FILES (sonames, NULL behind the last) that is installed and fills TABLE with
 * its COUNT FUNCTIONS. The library stays until the process ends. ERROR_IO when there is
 * none or it lacks one of them. */
NODISCARD struct error *library_load(const char *const *files,
                                     const struct library_function *functions, size_t count,
                                     void *table);

#endif
