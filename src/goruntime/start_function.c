#include "goruntime/start_function.h"
#include "image/function.h"
#include <string.h>

/* Functions of the runtime in which goroutines of the program start (runtime/traceback.go,
 * isSystemGoroutine): main, a coroutine, a handler of asynchronous events. */
static const char *const start_function_exceptions[] = {"runtime.main", "runtime.corostart",
                                                        "runtime.handleAsyncEvent"};

/* By the name of the function at STARTPC. */
bool start_function_is_system(const struct image *image, uint64_t startpc)
{
    struct function function;
    struct error *error = function_find(image, startpc, &function);
    if (error != NULL) {
        error_destroy(error); /* not Go code: not the runtime's */
        return false;
    }
    size_t exceptions = sizeof start_function_exceptions / sizeof *start_function_exceptions;
    for (size_t i = 0; i < exceptions; i++) {
        if (strcmp(function.name, start_function_exceptions[i]) == 0) {
            return false;
        }
    }
    return strncmp(function.name, "runtime.", strlen("runtime.")) == 0;
}
