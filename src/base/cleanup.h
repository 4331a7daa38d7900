/* Scope guards: a variable marked CLEANUP(function) is released when it leaves scope. */
#ifndef UNPARK_BASE_CLEANUP_H
#define UNPARK_BASE_CLEANUP_H

/* FUNCTION gets a pointer to the variable, as the compiler's cleanup attribute demands. */
#define CLEANUP(function) __attribute__((cleanup(function)))

/* A heap pointer freed at the end of scope. */
#define CLEANUP_FREE CLEANUP(cleanup_free)

/* A file descriptor closed at the end of scope unless it is negative. */
#define CLEANUP_CLOSE CLEANUP(cleanup_close)

/* Hands the pointer out of the guarded variable and disarms the guard. */
#define TAKE(variable)                                                                             \
    ({                                                                                             \
        __typeof__(variable) taken_ = (variable);                                                  \
        (variable) = NULL;                                                                         \
        taken_;                                                                                    \
    })

/* Defines cleanup_NAME for use as CLEANUP(cleanup_NAME) on `struct TYPE *` variables. */
#define CLEANUP_DEFINE(name, type, destroy)                                                        \
    static inline void cleanup_##name(type **variable)                                             \
    {                                                                                              \
        destroy(*variable);                                                                        \
    }

/* Frees the heap pointer that VARIABLE points at. */
void cleanup_free(void *variable);

/* Closes the descriptor that DESCRIPTOR points at unless it is negative. */
void cleanup_close(int *descriptor);

#endif
