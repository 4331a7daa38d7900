/* Errors as values: what went wrong, where, and what to do about it. */
#ifndef UNPARK_BASE_ERROR_H
#define UNPARK_BASE_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#define NODISCARD __attribute__((warn_unused_result))
#define NEVER_NULL __attribute__((returns_nonnull))
#define PRINTF_LIKE(string, first) __attribute__((__format__(__printf__, string, first)))

/* The kinds of failure. Faces map them to exit codes, callers branch on them. */
enum error_code {
    ERROR_OUT_OF_MEMORY, /* an allocation failed */
    ERROR_USAGE,         /* the request itself is wrong */
    ERROR_GONE,          /* the target (process, file) does not exist or vanished */
    ERROR_NOT_GO,        /* the target is not a Go program that we can read */
    ERROR_UNSUPPORTED,   /* a Go program, but a kind or release that we do not know */
    ERROR_PERMISSION,    /* the system refuses access */
    ERROR_FAULT,         /* an address of the target cannot be read */
    ERROR_CORRUPT,       /* bytes that break their format */
    ERROR_IO,            /* a system call failed for another reason */
    ERROR_LIMIT,         /* a bound that protects us or the target was reached */
    ERROR_NOT_FOUND,     /* what was looked for is not there */
    ERROR_PIPE,          /* the reader of our output went away: leave quietly */
    ERROR_INTERNAL       /* a broken invariant of our own */
};

/* One failure; NULL means success everywhere. Owned by the receiver until destroyed
 * or passed on. */
struct error;

/* A new error with a one-line message. Never NULL: when memory is short, the
 * out-of-memory error. */
NODISCARD NEVER_NULL struct error *error_create(enum error_code code, const char *format, ...)
    PRINTF_LIKE(2, 3);

/* A new ERROR_FAULT for ADDRESS; WHAT names the thing that was to be read ("g", "hchan"). */
NODISCARD NEVER_NULL struct error *error_fault(uint64_t address, const char *what);

/* A new error from an errno value: EPERM and EACCES become ERROR_PERMISSION, ESRCH and ENOENT
 * ERROR_GONE, ENOMEM ERROR_OUT_OF_MEMORY, the rest ERROR_IO. The message ends with the errno
 * text. */
NODISCARD NEVER_NULL struct error *error_errno(int number, const char *format, ...)
    PRINTF_LIKE(2, 3);

/* The static out-of-memory error; allocates nothing. */
NODISCARD NEVER_NULL struct error *error_no_memory(void);

/* Prefixes the message of ERROR with where it happened ("WHERE: message"); takes ERROR, which may
 * be NULL (then NULL), and returns it, or the same error unchanged when memory is short. */
NODISCARD struct error *error_wrap(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);

/* Adds what the user can do about it, one line without a full stop; as error_wrap otherwise. A
 * later advice replaces an earlier one. */
NODISCARD struct error *error_advise(struct error *error, const char *format, ...)
    PRINTF_LIKE(2, 3);

/* Frees ERROR; NULL and the static out-of-memory error are fine. */
void error_destroy(struct error *error);

/* What kind of failure; ERROR must not be NULL. */
enum error_code error_code(const struct error *error);

/* The one-line message, never NULL; lives as long as ERROR. */
const char *error_message(const struct error *error);

/* What to do about it, or NULL; lives as long as ERROR. */
const char *error_advice(const struct error *error);

/* The address of an ERROR_FAULT, 0 for other codes. */
uint64_t error_address(const struct error *error);

/* True when *ERROR is of CODE; it is then destroyed and *ERROR set to NULL. */
bool error_catch(struct error **error, enum error_code code);

/* Returns the error from the calling function when the expression fails. */
#define TRY(expression)                                                                            \
    do {                                                                                           \
        struct error *try_error = (expression);                                                    \
        if (try_error != NULL) {                                                                   \
            return try_error;                                                                      \
        }                                                                                          \
    } while (0)

#endif
