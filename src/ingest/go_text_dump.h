/* The dumps of one text: which lines belong to which, and the goroutines of the one that is wanted.
 */
#ifndef UNPARK_INGEST_GO_TEXT_DUMP_H
#define UNPARK_INGEST_GO_TEXT_DUMP_H

#include "base/hash_map.h"
#include "ingest/go_text_header.h"
#include "ingest/go_text_stacks.h"

enum {
    GO_TEXT_GAP_MAX = 64,      /* foreign lines after which a dump is not looked for line by line */
    GO_TEXT_REASON_SIZE = 200, /* bytes kept of why a dump was written */
    GO_TEXT_SIZES = 8          /* dumps whose sizes are told */
};

/* Ids met: bits for small ones, a map for the others. */
struct go_text_ids {
    VECTOR(uint64_t) bits;
    struct hash_map others;
};

struct go_text_dump {
    struct snapshot_builder *builder;
    struct go_text_stacks stacks;
    struct go_text_memory memory;
    uint64_t wanted;               /* number of the dump, from 1; 0 the last */
    uint64_t number;               /* of the dump being read, from 1; 0 none yet */
    bool muted;                    /* it is not the wanted one: goroutines are only counted */
    uint64_t sizes[GO_TEXT_SIZES]; /* goroutines of the first dumps */
    uint64_t size;                 /* of this one */
    struct go_text_ids ids;
    struct hash_map unavailable; /* goid to index: printed without a stack */
    bool labels_seen;
    uint64_t odd;                     /* goroutines in states that are not known */
    uint64_t bytes;                   /* fed so far */
    uint64_t first_byte;              /* where this dump begins, in bytes */
    char reason[GO_TEXT_REASON_SIZE]; /* why it was written: "panic: ..." */
    char next_reason[GO_TEXT_REASON_SIZE];
    /* the goroutine being read */
    bool open;
    bool ancestors; /* what follows is of its ancestors */
    bool torn;      /* a line of its stack could not be read */
    struct go_text_header header;
    struct string_builder labels, key, value;
    bool stopped;     /* reading ended at a line that has to be looked at otherwise */
    unsigned foreign; /* lines in a row that are not of a goroutine */
    /* what came since the last goroutine */
    bool blank;     /* the latest line was empty */
    bool marker;    /* the beginning of a crash */
    bool continued; /* in this dump: a crash prints those goroutines again that have a thread */
    bool again;     /* the beginning of a crash like this dump's own */
};

/* Sets DUMP up to fill BUILDER, which must outlive it, with dump number WANTED; 0: the last. */
NODISCARD struct error *go_text_dump_init(struct go_text_dump *dump,
                                          struct snapshot_builder *builder, uint64_t wanted);
/* Frees what DUMP holds. */
void go_text_dump_deinit(struct go_text_dump *dump);

/* Reads whole lines from AT to END, which begin where a line begins. With STOP it returns when too
 * many lines are foreign or one holds a dump that is wrapped. *NEXT_RET is what was not read: an
 * unfinished frame, or where it stopped. LAST: nothing follows. */
NODISCARD struct error *go_text_dump_read(struct go_text_dump *dump, const char *at,
                                          const char *end, bool stop, bool last,
                                          const char **next_ret);

/* The end of the text; UNTERMINATED: its last line has no end; HALF: and begins as a header does.
 * Completes the builder. */
NODISCARD struct error *go_text_dump_finish(struct go_text_dump *dump, bool unterminated,
                                            bool half);

#endif
