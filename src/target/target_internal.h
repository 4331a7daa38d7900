/* What the kinds of target share; no other room includes it. */
#ifndef UNPARK_TARGET_INTERNAL_H
#define UNPARK_TARGET_INTERNAL_H

#include "target/target.h"

/* Mappings and the text that their paths point into. Zero is empty. */
struct target_mapping_list {
    struct target_mapping *items;
    size_t count;
    char *text; /* owned; NULL when the paths are owned elsewhere */
};

/* What a kind of target does; NULL members mean "nothing to do" where target.c says so. */
struct target_operations {
    void (*destroy)(struct target *target);
    struct error *(*refresh)(struct target *target);
    struct error *(*read_ranges)(struct target *target, struct target_range *ranges, size_t count);
    const uint8_t *(*view)(const struct target *target, uint64_t address, size_t size);
    struct error *(*open_file)(struct target *target, const struct target_mapping *mapping,
                               int *ret);
    struct error *(*threads)(struct target *target, struct target_thread **ret, size_t *count_ret);
    struct error *(*system_call)(struct target *target, pid_t tid, struct target_system_call *ret);
    struct error *(*stop)(struct target *target, uint64_t limit_ns);
    void (*resume)(struct target *target);
    bool (*stop_held)(struct target *target);
    bool (*monotonic_now)(const struct target *target, uint64_t *ret);
};

/* The head of every kind's own struct. Strings are heap strings, freed by target_destroy. */
struct target {
    const struct target_operations *operations;
    enum target_kind kind;
    enum target_machine machine;
    pid_t pid;
    char *name;
    char *executable;
    char *cut; /* as target_cut says */
    struct target_mapping_list mappings;
    bool stopped;
    uint64_t stopped_ns;
};

/* Frees the mappings and their text; LIST is empty afterwards. */
void target_mappings_deinit(struct target_mapping_list *list);

/* Parses the text of /proc/PID/maps (SIZE bytes and a NUL). Takes TEXT, a heap string that becomes
 * the storage of the paths, also on error. Lines that break the format are ERROR_CORRUPT; mappings
 * that overlap their predecessor (the file is not read at one moment) are clipped. */
NODISCARD struct error *target_mappings_parse(char *text, size_t size,
                                              struct target_mapping_list *ret);

/* The index of the first mapping of LIST that ends behind ADDRESS; its count when there is none. */
size_t target_mappings_first(const struct target_mapping_list *list, uint64_t address);

/* The mapping of LIST that holds ADDRESS, or NULL. */
const struct target_mapping *target_mappings_find(const struct target_mapping_list *list,
                                                  uint64_t address);

/* Decodes the general registers of MACHINE as the kernel lays them out in NT_PRSTATUS and
 * PTRACE_GETREGSET (user_regs_struct, user_pt_regs); false when SIZE is too small. */
bool target_registers_decode(enum target_machine machine, const uint8_t *bytes, size_t size,
                             struct target_registers *ret);

/* Adds the vector registers of MACHINE to REGISTERS: SIZE bytes of NT_FPREGSET (user_fpregs_struct,
 * user_fpsimd_state) or, EXTENDED, of NT_X86_XSTATE. Called again, it replaces what it knew. */
void target_registers_decode_vector(enum target_machine machine, const uint8_t *bytes, size_t size,
                                    bool extended, struct target_registers *registers);

/* The machine of an ELF header's first SIZE bytes at BYTES; ERROR_UNSUPPORTED for 32-bit,
 * big-endian or other machines, ERROR_CORRUPT when it is no ELF header. */
NODISCARD struct error *target_machine_of_elf(const uint8_t *bytes, size_t size,
                                              enum target_machine *ret);

struct target_stop;

/* Stops every thread of process PID from a thread of its own that becomes the tracer. MEMORY is an
 * open /proc/PID/mem (or -1), which tells an exec. The time that the target is kept stopped is
 * added to *STOPPED_NS, by a failure at once, else by target_stop_destroy. Contract as target_stop.
 */
NODISCARD struct error *target_stop_create(pid_t pid, int memory, uint64_t limit_ns,
                                           uint64_t *stopped_ns, struct target_stop **ret);

/* Lets every thread go and ends the tracer. */
void target_stop_destroy(struct target_stop *stop);

/* The registers of TID taken inside the stop, or NULL. */
const struct target_registers *target_stop_registers(const struct target_stop *stop, pid_t tid);

/* True while no thread of STOP can have run since it was stopped. */
bool target_stop_still(struct target_stop *stop);

#endif
