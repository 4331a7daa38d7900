#include "base/error.h"
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct error {
    enum error_code code;
    uint64_t address;
    char *advice;  /* heap, or NULL */
    char *message; /* heap, except in the static error */
};

/* What every function hands out when there is no memory for a real error. Never written. */
static struct error error_out_of_memory = {
    .code = ERROR_OUT_OF_MEMORY,
    .message = (char *)"out of memory",
};

/* The formatted text as a heap string, or NULL when memory is short. */
PRINTF_LIKE(1, 0) static char *error_format(const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (size < 0) {
        return NULL;
    }
    char *text = malloc((size_t)size + 1);
    if (text != NULL) {
        (void)vsnprintf(text, (size_t)size + 1, format, arguments);
    }
    return text;
}

/* PREFIX, a colon and SUFFIX as a heap string, or NULL when memory is short. */
static char *error_join(const char *prefix, const char *suffix)
{
    size_t size = strlen(prefix) + 2 + strlen(suffix) + 1;
    char *text = malloc(size);
    if (text != NULL) {
        (void)snprintf(text, size, "%s: %s", prefix, suffix);
    }
    return text;
}

/* An error that takes over MESSAGE (NULL: memory was short). */
static struct error *error_adopt(enum error_code code, char *message)
{
    struct error *error = message == NULL ? NULL : malloc(sizeof *error);
    if (error == NULL) {
        free(message);
        return error_no_memory();
    }
    *error = (struct error){.code = code, .message = message};
    return error;
}

/* A new error with a formatted message. */
struct error *error_create(enum error_code code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *message = error_format(format, arguments);
    va_end(arguments);
    return error_adopt(code, message);
}

/* A new error about an unreadable address. */
struct error *error_fault(uint64_t address, const char *what)
{
    struct error *error =
        error_create(ERROR_FAULT, "%s at 0x%llx cannot be read", what, (unsigned long long)address);
    if (error != &error_out_of_memory) {
        error->address = address;
    }
    return error;
}

/* The kind of failure that an errno value stands for. */
static enum error_code error_code_of_errno(int number)
{
    switch (number) {
    case EPERM:
    case EACCES:
        return ERROR_PERMISSION;
    case ESRCH:
    case ENOENT:
        return ERROR_GONE;
    case ENOMEM:
        return ERROR_OUT_OF_MEMORY;
    default:
        return ERROR_IO;
    }
}

/* A new error from an errno value. */
struct error *error_errno(int number, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *prefix = error_format(format, arguments);
    va_end(arguments);
    if (prefix == NULL) {
        return error_no_memory();
    }
    char buffer[128];
    char *message = error_join(prefix, strerror_r(number, buffer, sizeof buffer));
    free(prefix);
    return error_adopt(error_code_of_errno(number), message);
}

/* The error that needs no memory. */
struct error *error_no_memory(void)
{
    return &error_out_of_memory;
}

/* Prefixes the message. */
struct error *error_wrap(struct error *error, const char *format, ...)
{
    if (error == NULL || error == &error_out_of_memory) {
        return error;
    }
    va_list arguments;
    va_start(arguments, format);
    char *prefix = error_format(format, arguments);
    va_end(arguments);
    char *message = prefix == NULL ? NULL : error_join(prefix, error->message);
    free(prefix);
    if (message != NULL) {
        free(error->message);
        error->message = message;
    }
    return error;
}

/* Sets the advice. */
struct error *error_advise(struct error *error, const char *format, ...)
{
    if (error == NULL || error == &error_out_of_memory) {
        return error;
    }
    va_list arguments;
    va_start(arguments, format);
    char *advice = error_format(format, arguments);
    va_end(arguments);
    if (advice != NULL) {
        free(error->advice);
        error->advice = advice;
    }
    return error;
}

/* Frees an error. */
void error_destroy(struct error *error)
{
    if (error == NULL || error == &error_out_of_memory) {
        return;
    }
    free(error->advice);
    free(error->message);
    free(error);
}

/* The kind. */
enum error_code error_code(const struct error *error)
{
    return error->code;
}

/* The message. */
const char *error_message(const struct error *error)
{
    return error->message;
}

/* The advice. */
const char *error_advice(const struct error *error)
{
    return error->advice;
}

/* The address of a fault. */
uint64_t error_address(const struct error *error)
{
    return error->address;
}

/* Swallows an expected kind of failure. */
bool error_catch(struct error **error, enum error_code code)
{
    if (*error == NULL || (*error)->code != code) {
        return false;
    }
    error_destroy(*error);
    *error = NULL;
    return true;
}
