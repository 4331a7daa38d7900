/* An address space laid over files: ranges that files hold, later ones win, gaps are data. */
#ifndef UNPARK_TARGET_SPACE_H
#define UNPARK_TARGET_SPACE_H

#include "base/vector.h"
#include "target/target.h"

/* The bytes from start to end are those of DESCRIPTOR from offset on. */
struct target_space_piece {
    uint64_t start;
    uint64_t end;
    uint64_t offset;
    int descriptor; /* not owned */
};

/* Zero is empty. After sealing: sorted by start, disjoint. */
struct target_space {
    VECTOR(struct target_space_piece) pieces;
};

/* Frees the pieces, not their descriptors. */
void target_space_deinit(struct target_space *space);

/* Adds PIECE above all earlier ones; empty ones are ignored. */
NODISCARD struct error *target_space_add(struct target_space *space,
                                         struct target_space_piece piece);

/* Cuts the pieces so that none overlaps another; needed once, after the last add, before reads. */
NODISCARD struct error *target_space_seal(struct target_space *space);

/* Reads each range as far as pieces and their files go. Files that end early cut like gaps. */
NODISCARD struct error *target_space_read(const struct target_space *space,
                                          struct target_range *ranges, size_t count);

#endif
