/* What the files about cores share. */
#ifndef UNPARK_TARGET_CORE_H
#define UNPARK_TARGET_CORE_H

#include "base/string_builder.h"
#include "target/target_elf.h"
#include "target/target_internal.h"
#include "target/target_space.h"

/* One PT_LOAD of the core. */
struct target_core_load {
    uint64_t start;
    uint64_t size;      /* in memory */
    uint64_t file_size; /* in the core, as claimed */
    uint64_t offset;
    uint32_t permissions; /* enum target_permission bits */
};

/* One entry of NT_FILE. */
struct target_core_file {
    uint64_t start;
    uint64_t end;
    uint64_t offset;
    bool deleted;
    char *path; /* in target_core.file_text */
};

/* A file whose bytes stand in for memory that the core leaves out. */
struct target_core_source {
    int descriptor;   /* owned */
    const char *path; /* as in NT_FILE; the storage is the core's */
};

/* What the notes say of the process; 0 where they say nothing. */
struct target_core_facts {
    pid_t pid;
    char command[17];      /* pr_fname */
    uint64_t headers;      /* AT_PHDR */
    uint64_t entry;        /* AT_ENTRY */
    uint64_t name_address; /* AT_EXECFN */
};

/* The head comes first: a struct target points at it. */
struct target_core {
    struct target head;
    int descriptor;
    uint64_t size; /* of the core file */
    char *path;    /* of the core file */
    VECTOR(struct target_core_load) loads;
    VECTOR(struct target_core_file) files; /* sorted by start */
    VECTOR(struct target_thread) threads;
    VECTOR(struct target_core_source) sources;
    char *file_text; /* the description of NT_FILE with a NUL behind it */
    struct target_core_facts facts;
    struct target_space dumped; /* what the core itself holds */
    struct target_space space;  /* that, over what files stand in for */
    int executable;             /* descriptor of the executable, owned, or -1 */
};

/* Reads the notes of the core between OFFSET and OFFSET + SIZE. What is cut off is left out. */
NODISCARD struct error *target_core_read_notes(struct target_core *core, uint64_t offset,
                                               uint64_t size);

/* The NT_FILE entry that holds ADDRESS, or NULL. */
const struct target_core_file *target_core_find_file(const struct target_core *core,
                                                     uint64_t address);

/* Finds the executable (EXE, or NULL to search) and checks that it is the core's. ERROR_USAGE when
 * EXE is not; without EXE, none found is no error. */
NODISCARD struct error *target_core_find_executable(struct target_core *core, const char *exe);

/* Sorts COUNT mappings by start and cuts those that overlap their predecessor; returns how many are
 * left. */
size_t target_core_order_mappings(struct target_mapping *items, size_t count);

/* Adds mappings, named as the executable, for those parts of its read-only segments that the core
 * does not even mention: gdb's gcore leaves them out of PT_LOADs and NT_FILE alike. DESCRIPTOR is
 * the executable, which is proved to be the core's. Nothing is added when it is not known where it
 * was loaded. */
NODISCARD struct error *target_core_fill_gaps(struct target_core *core, int descriptor);

/* Opens the shared objects that NT_FILE names and that are provably the same. */
NODISCARD struct error *target_core_open_libraries(struct target_core *core);

/* Opens the regular file at PATH for reading, never blocking; -1 when it cannot be. */
int target_core_open_regular(const char *path);

/* The path that the core's NT_FILE or auxiliary vector gives the executable, "" unknown, as a heap
 * string. */
NODISCARD struct error *target_core_executable_path(struct target_core *core, char **ret);

#endif
