/* The g structs of a target, many at a time, decoded into short records. */
#ifndef UNPARK_GORUNTIME_GOROUTINE_READER_H
#define UNPARK_GORUNTIME_GOROUTINE_READER_H

#include "goruntime/bulk.h"
#include "goruntime/goruntime.h"
#include "goruntime/unwind.h"

/* What is kept of one g while its batch is worked on; 0 for fields that the release does not have.
 */
struct goroutine_record {
    uint64_t g; /* address */
    uint64_t goid;
    uint64_t stack_lo, stack_hi;
    uint64_t pc, sp, lr; /* where its stack starts; lr is known on arm64 only */
    uint64_t sched_pc, sched_sp, sched_lr;
    uint64_t m, lockedm;
    uint64_t waitsince;
    uint64_t gopc, startpc, parent;
    uint64_t waiting, timer, sleep_when, coroarg;
    uint64_t labels, bubble;
    uint64_t x_regs;     /* vector registers of one that was preempted (1.26 on), 0 none */
    uint32_t node;       /* outermost frame in the trie; 0: no stack */
    uint32_t first_word; /* argument words, in the reader's words */
    uint32_t word_count;
    uint16_t flags;      /* enum snapshot_goroutine_flag bits so far */
    uint8_t status;      /* enum goroutine_status; GOROUTINE_STATUS_UNKNOWN when unreadable */
    uint8_t wait_reason; /* enum wait_reason */
    uint8_t sequence;    /* counts its departures from the running state */
    uint8_t origin;      /* enum unwind_origin of pc */
    bool running_cleanups;
    bool has_words; /* all argument words could be read */
};

/* Decodes the g whose BYTES (layout->g.size of them) are at ADDRESS. */
void goroutine_decode(const struct layout *layout, const uint8_t *bytes, uint64_t address,
                      struct goroutine_record *ret);

/* True when RECORD is a goroutine: alive, with an id. */
bool goroutine_is_alive(const struct goroutine_record *record);

/* Sets status, wait reason and the flag of a collector's scan from the BYTES of a g. */
void goroutine_decode_status(const struct layout *layout, const uint8_t *bytes,
                             struct goroutine_record *ret);

/* True when the BYTES of its g show the goroutine of THEN at another place of its life: it ran,
 * ended or had its stack moved in between. */
bool goroutine_has_moved(const struct layout *layout, const uint8_t *bytes,
                         const struct goroutine_record *then);

/* Reads every g whose address is in ITEMS (COUNT of them; the tag is a bulk_tag with any size, its
 * number chooses the record) into RECORDS. An unreadable one gets status GOROUTINE_STATUS_UNKNOWN
 * and id 0. Sorts ITEMS; SCRATCH has room for COUNT. */
NODISCARD struct error *goroutine_read(struct bulk *bulk, const struct layout *layout,
                                       struct gather_item *items, struct gather_item *scratch,
                                       size_t count, struct goroutine_record *records);

/* Reads the addresses of all g's ever made (dead ones stay in the list), in the order in which they
 * were made: near in memory, and by id as long as none was used again. *RET is the caller's array.
 * ERROR_CORRUPT when their number makes no sense. */
NODISCARD struct error *goroutine_list(struct goruntime *runtime, uint64_t **ret,
                                       size_t *count_ret);

#endif
