/* The Go runtime of a target, seen from outside: found, checked, read into a snapshot. */
#ifndef UNPARK_GORUNTIME_GORUNTIME_H
#define UNPARK_GORUNTIME_GORUNTIME_H

#include "image/image.h"
#include "snapshot/snapshot.h"
#include "target/target.h"

struct goruntime;

/* Where the runtime's own variables are, in the target; 0 when the release has none or it was not
 * found (only the first three are required). */
struct goruntime_globals {
    uint64_t allglen; /* address of the count */
    uint64_t allgptr; /* address of the pointer to the array */
    uint64_t allm;    /* address of the head pointer */
    uint64_t allp;    /* address of the slice */
    uint64_t sched;
    uint64_t mheap;
    uint64_t semtable; /* address of the first bucket */
    uint64_t allfin, finq, gc_cleanups;
};

/* Finds the runtime's variables in TARGET by decoding small functions, chooses the layout row and
 * checks it against the live structures (go-runtime.md 3.3). ERROR_UNSUPPORTED with what did not
 * fit when the check fails for every candidate row. TARGET and IMAGE must outlive the result. */
NODISCARD struct error *goruntime_create(struct target *target, struct image *image,
                                         struct goruntime **ret);
void goruntime_destroy(struct goruntime *runtime);

/* What the runtime was found in and with; all live as long as RUNTIME, target and image as given.
 */
struct target *goruntime_target(const struct goruntime *runtime);
struct image *goruntime_image(const struct goruntime *runtime);
const struct layout *goruntime_layout(const struct goruntime *runtime);
const struct goruntime_globals *goruntime_globals(const struct goruntime *runtime);

/* What the self-check of the layout found odd but bearable, one line, or NULL. With a doubt nothing
 * may be proved. */
const char *goruntime_doubt(const struct goruntime *runtime);

/* What a look collects; what is not asked for costs nothing. */
struct goruntime_look {
    bool objects; /* what goroutines wait for */
    bool labels;
    bool arguments;   /* argument words of every frame */
    bool stop;        /* the target is stopped: running goroutines' stacks from registers */
    unsigned threads; /* workers; 0: by the machine */
    void (*progress)(void *context, uint64_t done, uint64_t total); /* may be NULL */
    void *progress_context;
    /* Stops the target; called at most once, when all goroutines that hold still have been read and
     * some do not: those are then read in the stop, with the stacks of the running ones, and thaw
     * is called. ERROR_LIMIT: they are read without. NULL: never; of no use with stop. */
    struct error *(*freeze)(void *context);
    void (*thaw)(void *context);
    void *freeze_context;
};

/* Reads every goroutine into BUILDER (goroutines, frames, stacks, objects, labels, notes, threads).
 * Parked goroutines are read without a stop; one that moved meanwhile is read again, then reported.
 */
NODISCARD struct error *goruntime_look(struct goruntime *runtime, const struct goruntime_look *look,
                                       struct snapshot_builder *builder);

/* Counts goroutines that are not dead, without their stacks; for lists of processes. */
NODISCARD struct error *goruntime_count(struct goruntime *runtime, uint64_t *user,
                                        uint64_t *system);

#endif
