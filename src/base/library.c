#include "base/library.h"
#include <dlfcn.h>
#include <string.h>

/* The error of a library that cannot be used. */
static struct error *library_refuse(const char *file)
{
    const char *reason = dlerror();
    return error_advise(error_create(ERROR_IO, "%s", reason == NULL ? file : reason),
                        "install the package that has %s", file);
}

struct error *library_load(const char *const *files, const struct library_function *functions,
                           size_t count, void *table)
{
    void *library = NULL;
    for (size_t i = 0; library == NULL && files[i] != NULL; i++) {
        library = dlopen(files[i], RTLD_LAZY | RTLD_LOCAL);
    }
    if (library == NULL) {
        return library_refuse(files[0]);
    }
    for (size_t i = 0; i < count; i++) {
        void *function = dlsym(library, functions[i].name);
        if (function == NULL) {
            struct error *error = library_refuse(files[0]);
            (void)dlclose(library);
            return error;
        }
        memcpy((char *)table + functions[i].offset, &function, sizeof function);
    }
    return NULL;
}
