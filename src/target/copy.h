/* A copy of one moment: bytes fetched from a stopped target, kept after it runs again. While open,
 * a read of what was not fetched yet is fetched from the base target and kept; once sealed, it
 * faults, and only mappings that nobody can write (code, read-only data) still come from the base.
 */
#ifndef UNPARK_TARGET_COPY_H
#define UNPARK_TARGET_COPY_H

#include "target/target.h"

/* A range of the base target. */
struct copy_range {
    uint64_t address;
    uint64_t size;
};

/* An empty, open copy of BASE (not owned, must outlive it); a target of TARGET_KIND_COPY, for which
 * every function of target.h works. Threads and registers are those of BASE at seal time. */
NODISCARD struct error *copy_create(struct target *base, struct target **ret);

/* Plans the fetch of COUNT ranges and prepares populated memory for it, with a margin for what is
 * new by then; before the stop, because fresh memory is what takes long. To be called once, while
 * COPY holds nothing. ERROR_LIMIT (with the estimate in the message) when the machine's, our
 * cgroup's or our resource limits' headroom does not hold it. */
NODISCARD struct error *copy_reserve(struct target *copy, const struct copy_range *ranges,
                                     size_t count);

/* Makes an ERROR_OUT_OF_MEMORY that says nothing say how much DEED ("a copy") needs, about SIZE
 * bytes (0: not known), how much is free to us (the machine, our cgroup, RLIMIT_AS and
 * RLIMIT_DATA), and what to do. Consumes and returns ERROR; NULL and others pass. */
NODISCARD struct error *copy_explain_memory(struct error *error, const char *deed, uint64_t size);

/* Fetches what was reserved, as copy_fetch does. */
NODISCARD struct error *copy_fetch_reserved(struct target *copy, uint64_t deadline_ns);

/* Fetches COUNT ranges with as many threads as the machine has memory bandwidth for. Overlaps with
 * what is there are skipped. Unreadable parts stay absent (reads of them fault). DEADLINE_NS
 * (clock_now, 0: none): ERROR_LIMIT when it passes. */
NODISCARD struct error *copy_fetch(struct target *copy, const struct copy_range *ranges,
                                   size_t count, uint64_t deadline_ns);

/* Ends the moment: keeps mappings, threads and registers as of now; later reads of what is absent
 * fault. Call it before target_resume of the base. */
NODISCARD struct error *copy_seal(struct target *copy);

/* Gives back the memory that the sealed COPY made ready and did not need. */
void copy_trim(struct target *copy);

/* Bytes held. */
uint64_t copy_size(const struct target *copy);

#endif
