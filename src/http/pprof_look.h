/* Looks at a target that requests share: whoever asks while one is being taken waits for it. */
#ifndef UNPARK_HTTP_PPROF_LOOK_H
#define UNPARK_HTTP_PPROF_LOOK_H

#include "http/pprof_endpoint.h"
#include <pthread.h>

/* What a look holds. */
enum pprof_look_kind {
    PPROF_LOOK_COUNTS, /* stacks and labels */
    PPROF_LOOK_TEXT,   /* and arguments */
    PPROF_LOOK_LEAKS,  /* and which goroutines are proved to leak */
    PPROF_LOOK_KINDS
};

/* One look, or why there is none. Shared: not to be changed. */
struct pprof_look {
    struct snapshot *snapshot; /* NULL after a failure */
    uint8_t *leaked;           /* of PPROF_LOOK_LEAKS, by goroutine index: 1 proved */
    enum error_code code;      /* of the failure */
    char *message;             /* of the failure; NULL when memory was short */
    size_t users;
};

/* The latest look of a kind. */
struct pprof_look_slot {
    bool taking;
    uint64_t number;         /* of looks finished */
    uint64_t finished;       /* monotonic time of the last one */
    size_t waiting;          /* requests that wait for the one being taken */
    struct pprof_look *last; /* kept for those who wait, and of leaks for a while; or NULL */
};

struct pprof_looks {
    struct pprof_endpoint_options options;
    pthread_mutex_t lock;
    pthread_cond_t taken;
    struct pprof_look_slot slots[PPROF_LOOK_KINDS];
};

/* Sets LOOKS up. */
void pprof_looks_init(struct pprof_looks *looks, const struct pprof_endpoint_options *options);
void pprof_looks_deinit(struct pprof_looks *looks);

/* A look of KIND; given back by pprof_looks_return. NULL when memory is short. */
struct pprof_look *pprof_looks_get(struct pprof_looks *looks, enum pprof_look_kind kind);
void pprof_looks_return(struct pprof_looks *looks, struct pprof_look *look);

#endif
