/* Which slots of a frame hold pointers, by the compiler's stack maps; worked out once per pc. */
#ifndef UNPARK_GORUNTIME_ROOTS_FRAME_H
#define UNPARK_GORUNTIME_ROOTS_FRAME_H

#include "goruntime/unwind.h"

/* One variable whose address is taken, alive only while something points to it. */
struct roots_frame_object {
    int32_t offset; /* negative: from varp, else from argp */
    uint32_t size;
    uint32_t words;      /* of the mask; conservative when the mask is NULL */
    const uint8_t *mask; /* with 8 readable bytes behind */
};

/* How a part of a frame is known. */
struct roots_frame_map {
    const uint8_t *bits; /* NULL: by rule */
    uint32_t count;      /* slots */
    bool conservative;   /* no map, though there may be pointers: every word */
};

/* What holds for every goroutine with this pc, come by in this way. */
struct roots_frame {
    struct unwind_step step;
    struct roots_frame_map locals;    /* slots end at varp */
    struct roots_frame_map arguments; /* slots begin at argp */
    const struct roots_frame_object *objects;
    uint32_t object_count;
    bool dead;     /* never continued: no slot is alive */
    bool injected; /* asyncPreempt or debugCall: it and its caller are conservative */
    bool known;    /* false: pc is in no function */
};

struct roots_frames;

/* The frames of IMAGE, empty until asked for; RULES and IMAGE must outlive them. Destroying NULL is
 * fine. */
NODISCARD struct error *roots_frames_create(const struct unwind_rules *rules, struct image *image,
                                            struct roots_frames **ret);
void roots_frames_destroy(struct roots_frames *frames);

/* The facts for PC, come by as ORIGIN says; kept. *RET stays valid until destroy. */
NODISCARD struct error *roots_frames_find(struct roots_frames *frames, uint64_t pc,
                                          enum unwind_origin origin,
                                          const struct roots_frame **ret);

#endif
