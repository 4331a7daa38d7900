#include "base/cleanup.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Frees what the guarded variable points at. */
void cleanup_free(void *variable)
{
    void *memory;
    memcpy(&memory, variable, sizeof memory); /* the variable may be of any pointer type */
    free(memory);
}

/* Closes the guarded descriptor; errno survives, a return value may depend on it. */
void cleanup_close(int *descriptor)
{
    if (*descriptor >= 0) {
        int number = errno;
        (void)close(*descriptor);
        errno = number;
    }
}
