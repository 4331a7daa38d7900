/* What the files that write recordings share; no other file includes it. */
#ifndef UNPARK_SNAPSHOT_RECORDING_WRITE_INTERNAL_H
#define UNPARK_SNAPSHOT_RECORDING_WRITE_INTERNAL_H

#include "base/hash_map.h"
#include "snapshot/recording_internal.h"
#include <zstd.h>

/* An object of the chain. */
struct recording_slot {
    struct snapshot_object object;
    uint64_t used; /* number of the last snapshot that named it; 0: free */
};

struct recording_writer {
    int descriptor;
    char *path;
    bool created;        /* the file is ours to remove while it is empty */
    uint64_t end;        /* where the next record goes */
    uint64_t start;      /* where our first one went */
    size_t count;        /* records that were added */
    bool broken;         /* what is kept here does not match the file: begin a new chain */
    ZSTD_CCtx *compress; /* NULL until needed */

    /* the chain */
    struct snapshot_builder *tables;
    size_t label_sets;
    struct recording_done done;   /* of the tables, in the file */
    struct recording_state state; /* goroutines and waits of the last record, program, clock */
    VECTOR(struct recording_slot) slots;
    VECTOR(uint32_t) free_slots;
    struct hash_map by_address; /* of kind and address: slot */
    uint64_t number;            /* of the snapshot within the chain, from 1 */
    uint32_t reasons[256];      /* strings of wait reasons */
    uint64_t first_bytes, more_bytes, chain_raw, chain_goroutines;
};

/* Makes the payload of SNAPSHOT, in OUT, and the chain what the record leaves; the number of the
 * record is set already. *PROGRAM is the snapshot's, with a time; its strings become the chain's.
 * After an error the chain is of no use. */
NODISCARD struct error *recording_writer_encode(struct recording_writer *writer,
                                                const struct snapshot *snapshot,
                                                struct snapshot_program *program,
                                                struct string_builder *out);

#endif
