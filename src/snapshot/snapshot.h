/* The waist: one moment of one Go program. Immutable once built, compact, and silent about where it
 * came from. What a source could not know is unknown here, never zero and never a guess. */
#ifndef UNPARK_SNAPSHOT_SNAPSHOT_H
#define UNPARK_SNAPSHOT_SNAPSHOT_H

#include "base/error.h"
#include "layout/wait_reason.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "Not known" for signed quantities (ages, due times, counters). */
#define SNAPSHOT_UNKNOWN INT64_MIN

/* g.atomicstatus in one numbering for all releases, scan bit removed. */
enum goroutine_status {
    GOROUTINE_STATUS_UNKNOWN,
    GOROUTINE_STATUS_IDLE,
    GOROUTINE_STATUS_RUNNABLE,
    GOROUTINE_STATUS_RUNNING,
    GOROUTINE_STATUS_SYSCALL,
    GOROUTINE_STATUS_WAITING,
    GOROUTINE_STATUS_DEAD,
    GOROUTINE_STATUS_COPYSTACK,
    GOROUTINE_STATUS_PREEMPTED,
    GOROUTINE_STATUS_LEAKED,
    GOROUTINE_STATUS_COUNT
};

enum snapshot_frame_flag {
    FRAME_INLINED = 1,          /* an inlined call: no arguments, no offset */
    FRAME_RUNTIME = 2,          /* package runtime, runtime/..., internal/runtime/... */
    FRAME_STANDARD_LIBRARY = 4, /* any other package of the standard library */
    FRAME_WRAPPER = 8,          /* compiler-made wrapper that Go's traceback never prints */
    FRAME_HIDDEN = 16, /* Go's traceback leaves it out for users (GOTRACEBACK=single..all) */
    FRAME_NOT_GO = 32, /* C code or an address in no function; function may be unknown */
    FRAME_ELIDED = 64  /* stands for `line` frames that the source left out */
};

/* One logical frame. Equal frames are stored once. Strings are ids into the snapshot; 0 = unknown.
 */
struct snapshot_frame {
    uint64_t pc;       /* the address that was symbolised; 0 unknown */
    uint32_t function; /* as Go prints it: "main.(*T).run", "main.f[...]" */
    uint32_t file;
    uint32_t line; /* 0 unknown */
    uint32_t
        entry_offset;   /* return address (not -1) minus entry, Go's "+0x1d"; UINT32_MAX unknown */
    uint32_t arguments; /* template of the argument list: each byte 0x01 stands for one word of the
                         * goroutine's argument words, other text as Go prints it; 0 unknown */
    uint32_t flags;     /* enum snapshot_frame_flag bits */
};

enum snapshot_goroutine_flag {
    GOROUTINE_SYSTEM = 1,            /* the runtime's own (Go's isSystemGoroutine) */
    GOROUTINE_LOCKED = 2,            /* locked to its thread */
    GOROUTINE_LEAKED = 4,            /* the program's own leak profile marked it */
    GOROUTINE_STACK_UNKNOWN = 8,     /* running or being copied: the stack was not read */
    GOROUTINE_STACK_CUT = 16,        /* unwinding ended early; the frames there are right */
    GOROUTINE_MOVED = 32,            /* it ran while being read; what is shown is its last state */
    GOROUTINE_LABELS_UNKNOWN = 64,   /* labels could not be read; not the same as none */
    GOROUTINE_CREATOR_UNKNOWN = 128, /* the source does not say; main has no creator and no flag */
    GOROUTINE_SCAN = 256,            /* the garbage collector was scanning its stack */
    GOROUTINE_ID_UNKNOWN = 512 /* the source only counts: id is an ordinal, never to be shown */
};

/* One goroutine. */
struct snapshot_goroutine {
    uint64_t id;         /* goid; 0 only while building: the entry is dropped */
    uint64_t address;    /* of its g; 0 unknown */
    int64_t age_ns;      /* how long it has waited; SNAPSHOT_UNKNOWN */
    uint64_t parent;     /* goid of its creator, 0 unknown (before Go 1.21) or none */
    uint64_t arguments;  /* handle for snapshot_arguments; 0: not collected */
    uint32_t stack;      /* id of its stack; 0 unknown */
    uint32_t creator;    /* frame of the go statement; 0 unknown or none */
    uint32_t start;      /* frame of its first function (line of the func); 0 unknown */
    uint32_t labels;     /* id of its label set; 0 none or unknown */
    uint32_t first_wait; /* waits[first_wait .. +wait_count] are what it waits for */
    uint32_t wait_count;
    uint32_t bubble;     /* synctest bubble id; 0 none, UINT32_MAX in one of unknown id */
    int32_t thread;      /* kernel thread id that runs it or that it is locked to; 0 none */
    uint32_t count;      /* goroutines it stands for: 1, or more with GOROUTINE_ID_UNKNOWN */
    uint16_t flags;      /* enum snapshot_goroutine_flag bits */
    uint8_t status;      /* enum goroutine_status */
    uint8_t wait_reason; /* enum wait_reason; meaningful when waiting or leaked */
};

enum snapshot_object_kind {
    OBJECT_UNKNOWN,
    OBJECT_CHANNEL,
    OBJECT_NIL_CHANNEL,
    OBJECT_EMPTY_SELECT,
    OBJECT_MUTEX,
    OBJECT_RWMUTEX,
    OBJECT_WAIT_GROUP,
    OBJECT_COND,
    OBJECT_SEMAPHORE,  /* a raw semaphore, such as poll.FD's */
    OBJECT_DESCRIPTOR, /* network poller: socket, pipe, ... */
    OBJECT_TIMER,      /* time.Sleep */
    OBJECT_SYSTEM_CALL,
    OBJECT_COROUTINE,
    OBJECT_KIND_COUNT
};

/* What a goroutine waits for. Fields of other kinds are unset; a signed field may be
 * SNAPSHOT_UNKNOWN. The same address and kind is one object. */
struct snapshot_object {
    uint64_t address; /* of the hchan, Mutex, WaitGroup, ...; 0 unknown */
    uint8_t kind;     /* enum snapshot_object_kind */
    union {
        struct {
            int64_t length;
            int64_t capacity;
            uint32_t element_type; /* string; 0 unknown */
            int8_t closed;         /* 1, 0, -1 unknown */
            int8_t timer;          /* channel of a time.Timer or Ticker: 1, 0, -1 unknown */
        } channel;
        struct {
            int8_t locked; /* 1, 0, -1 unknown */
            int8_t starving;
            int64_t waiters; /* as the mutex counts them */
        } mutex;
        struct {
            int64_t readers;      /* holding read locks; SNAPSHOT_UNKNOWN */
            int64_t readers_left; /* that a pending writer still waits for */
            int8_t writer;        /* a writer holds it or is pending: 1, 0, -1 unknown */
            int8_t locked;        /* its inner mutex is locked: 1, 0, -1 unknown */
        } rwmutex;
        struct {
            int64_t counter;
            int64_t waiters;
        } wait_group;
        struct {
            int64_t waiters;
        } cond;
        struct {
            int64_t value;
            uint32_t role; /* string: "poll.FD read lock", ...; 0 unknown */
        } semaphore;
        struct {
            int64_t descriptor;
            uint32_t description; /* string: "tcp a -> b"; 0 unknown */
            int64_t deadline_ns;  /* from now; SNAPSHOT_UNKNOWN, INT64_MAX when none is set */
        } descriptor;
        struct {
            int64_t due_ns; /* from now, negative when overdue */
        } timer;
        struct {
            int64_t number;
            uint32_t text; /* string: "futex(0xc000, 0x80, ...)"; 0 unknown */
        } system_call;
        struct {
            uint64_t partner; /* goid on the other side; 0 unknown */
        } coroutine;
    };
};

enum snapshot_direction {
    DIRECTION_WAIT, /* no direction: cond, wait group, sleep, ... */
    DIRECTION_RECEIVE,
    DIRECTION_SEND,
    DIRECTION_READ_LOCK,
    DIRECTION_LOCK,
    DIRECTION_READ, /* descriptor */
    DIRECTION_WRITE,
    DIRECTION_UNKNOWN
};

/* One thing that a goroutine waits for; a select has one per case, in the order of the runtime's
 * locks (not of the source). */
struct snapshot_wait {
    uint32_t object; /* index of a snapshot_object */
    uint32_t direction;
};

struct snapshot_label {
    uint32_t key;
    uint32_t value;
};

/* Who the program is, and how this look went. Strings are ids; 0 unknown. */
struct snapshot_program {
    uint32_t source; /* "process 4711", "core file ./core" */
    uint32_t executable;
    uint32_t go_version;
    uint32_t path; /* import path of main */
    uint32_t module;
    uint32_t module_version;
    uint32_t revision;
    uint32_t build_id;
    uint32_t settings; /* newline-separated key=value */
    uint32_t machine;  /* "amd64", "arm64" */
    int8_t modified;   /* built from a modified checkout: 1, 0, -1 unknown */
    int64_t pid;       /* SNAPSHOT_UNKNOWN */
    int64_t threads;
    int64_t taken_at_ns; /* wall clock, Unix time; SNAPSHOT_UNKNOWN */
    int64_t read_ns;     /* time that reading took */
    int64_t stopped_ns;  /* time that we kept the target stopped */
    int64_t age_basis; /* 1 when ages come from g.waitsince (set by the collector), 0 none known */
};

struct snapshot;
struct snapshot_builder;

/* ---- reading ---- */

/* Frees SNAPSHOT; NULL is fine. */
void snapshot_destroy(struct snapshot *snapshot);

/* Who the program is; lives as long as SNAPSHOT. */
const struct snapshot_program *snapshot_program(const struct snapshot *snapshot);

/* The text of string ID, "" for 0; may hold any bytes: escape before showing. */
const char *snapshot_string(const struct snapshot *snapshot, uint32_t id);

/* Bytes of string ID without its NUL (it may hold others); strings are 1 .. snapshot_string_count.
 */
size_t snapshot_string_size(const struct snapshot *snapshot, uint32_t id);
size_t snapshot_string_count(const struct snapshot *snapshot);

/* The flags that at least one goroutine has: enum snapshot_goroutine_flag bits. */
unsigned snapshot_flags(const struct snapshot *snapshot);

/* Goroutines sorted by id. */
const struct snapshot_goroutine *snapshot_goroutines(const struct snapshot *snapshot,
                                                     size_t *count);

/* The goroutine with ID, or NULL: also where ids are not known. */
const struct snapshot_goroutine *snapshot_find_goroutine(const struct snapshot *snapshot,
                                                         uint64_t id);

/* Frame ID, which must be one of SNAPSHOT and not 0. */
const struct snapshot_frame *snapshot_frame(const struct snapshot *snapshot, uint32_t id);
size_t snapshot_frame_count(const struct snapshot *snapshot);

/* Frame ids of stack ID (0: an empty stack), innermost first. */
const uint32_t *snapshot_stack(const struct snapshot *snapshot, uint32_t id, size_t *count);
size_t snapshot_stack_count(const struct snapshot *snapshot);

/* The frame of STACK that a user knows best: the innermost outside runtime and standard library, or
 * else the innermost outside the runtime, or else the innermost; 0 for an empty stack. */
uint32_t snapshot_user_frame(const struct snapshot *snapshot, uint32_t stack);

/* Object INDEX, which must be below snapshot_object_count. */
const struct snapshot_object *snapshot_object(const struct snapshot *snapshot, uint32_t index);

/* Objects; indices run from 0. */
size_t snapshot_object_count(const struct snapshot *snapshot);

/* The waits of GOROUTINE. */
const struct snapshot_wait *snapshot_waits(const struct snapshot *snapshot,
                                           const struct snapshot_goroutine *goroutine,
                                           size_t *count);

/* The goroutines (indices into snapshot_goroutines) that wait on object INDEX, ascending, with
 * their directions in *DIRECTIONS when it is not NULL. The first call builds the index. */
NODISCARD struct error *snapshot_object_waiters(struct snapshot *snapshot, uint32_t index,
                                                const uint32_t **goroutines,
                                                const uint8_t **directions, size_t *count);

/* How many goroutines wait on object INDEX to send and to receive; constant time but for the first
 * few calls. */
NODISCARD struct error *snapshot_object_queues(struct snapshot *snapshot, uint32_t index,
                                               size_t *senders_ret, size_t *receivers_ret);

/* Labels of set ID (0: none), in the program's order. */
const struct snapshot_label *snapshot_labels(const struct snapshot *snapshot, uint32_t id,
                                             size_t *count);

/* The argument words of GOROUTINE in frame order, as its frames' templates consume them. At most
 * CAPACITY are stored; *COUNT is how many there are. */
void snapshot_arguments(const struct snapshot *snapshot, const struct snapshot_goroutine *goroutine,
                        uint64_t *words, size_t capacity, size_t *count);

/* What degraded the look, one line each ("3 goroutines moved while being read"). */
const char *const *snapshot_notes(const struct snapshot *snapshot, size_t *count);

/* ---- building ---- */

/* A new empty builder in *RET. */
NODISCARD struct error *snapshot_builder_create(struct snapshot_builder **ret);

/* Frees BUILDER and what was built; NULL is fine. */
void snapshot_builder_destroy(struct snapshot_builder *builder);

/* Forgets everything that was added, the identity too: BUILDER is as created. */
NODISCARD struct error *snapshot_builder_clear(struct snapshot_builder *builder);

/* The identity to fill in; starts with everything unknown. */
struct snapshot_program *snapshot_builder_program(struct snapshot_builder *builder);

/* Ids of strings, frames, stacks and label sets, added when new. An empty stack or set is 0. */
NODISCARD struct error *snapshot_builder_string(struct snapshot_builder *builder, const char *text,
                                                size_t size, uint32_t *ret);
NODISCARD struct error *snapshot_builder_frame(struct snapshot_builder *builder,
                                               const struct snapshot_frame *frame, uint32_t *ret);
NODISCARD struct error *snapshot_builder_stack(struct snapshot_builder *builder,
                                               const uint32_t *frames, size_t count, uint32_t *ret);
NODISCARD struct error *snapshot_builder_labels(struct snapshot_builder *builder,
                                                const struct snapshot_label *labels, size_t count,
                                                uint32_t *ret);

/* The index of an object, added when its kind and address are new (address 0: always new). Of an
 * object seen before, nothing is overwritten. */
NODISCARD struct error *snapshot_builder_object(struct snapshot_builder *builder,
                                                const struct snapshot_object *object,
                                                uint32_t *ret);

/* Asks the processor for what snapshot_builder_object will need for ADDRESS and KIND soon. */
void snapshot_builder_prefetch_object(const struct snapshot_builder *builder, uint64_t address,
                                      enum snapshot_object_kind kind);

/* Makes room for COUNT more goroutines, so that adding them moves none. */
NODISCARD struct error *snapshot_builder_reserve(struct snapshot_builder *builder, size_t count);

/* Takes room for COUNT more goroutines, which are to be made with snapshot_builder_empty before
 * anything else; *RET is the index of the first. */
NODISCARD struct error *snapshot_builder_claim(struct snapshot_builder *builder, size_t count,
                                               size_t *ret);

/* Makes the COUNT goroutines from index FIRST on, which were claimed, unknown in everything (id 0,
 * age SNAPSHOT_UNKNOWN, count 1), to fill in place. Different threads may do so with different
 * ones, also while others are claimed, as long as there was room for them. */
struct snapshot_goroutine *snapshot_builder_empty(struct snapshot_builder *builder, size_t first,
                                                  size_t count);

/* COUNT more goroutines, unknown in everything (id 0, age SNAPSHOT_UNKNOWN, count 1), to fill in
 * place; *RET stays valid until the next call, *FIRST_RET (may be NULL) is the index of the first.
 * Different threads may fill different entries. */
NODISCARD struct error *snapshot_builder_goroutines(struct snapshot_builder *builder, size_t count,
                                                    struct snapshot_goroutine **ret,
                                                    size_t *first_ret);

/* The goroutine at INDEX again, to go on filling it in; valid until the next addition of
 * goroutines. */
struct snapshot_goroutine *snapshot_builder_goroutine(struct snapshot_builder *builder,
                                                      size_t index);

/* Says what the goroutine at INDEX (as given by snapshot_builder_goroutines) waits for. */
NODISCARD struct error *snapshot_builder_waits(struct snapshot_builder *builder, size_t index,
                                               const struct snapshot_wait *waits, size_t count);

/* Stores COUNT argument words of the goroutine at INDEX, compactly (as differences to an earlier
 * goroutine of the same stack, so set its stack first). */
NODISCARD struct error *snapshot_builder_arguments(struct snapshot_builder *builder, size_t index,
                                                   const uint64_t *words, size_t count);

/* Adds a line for snapshot_notes; beyond a thousand they are dropped. */
NODISCARD struct error *snapshot_builder_note(struct snapshot_builder *builder, const char *format,
                                              ...) PRINTF_LIKE(2, 3);

/* What was added so far, to read strings, frames, stacks and goroutines (in the order of adding,
 * not sorted) while building; pointers into it last until the next addition. */
const struct snapshot *snapshot_builder_peek(const struct snapshot_builder *builder);

/* Ends building: drops entries with id 0, sorts by id. BUILDER is consumed in any case. */
NODISCARD struct error *snapshot_builder_finish(struct snapshot_builder *builder,
                                                struct snapshot **ret);

/* "waiting", "running": Go's own word for STATUS. */
const char *goroutine_status_text(enum goroutine_status status);

#endif
