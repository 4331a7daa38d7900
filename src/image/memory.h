/* A target's address space as an image reads it: what a file backs is mapped here and costs no
 * system call, the rest is read from the target. */
#ifndef UNPARK_IMAGE_MEMORY_H
#define UNPARK_IMAGE_MEMORY_H

#include "base/error.h"
#include "base/vector.h"
#include "image/elf_file.h"
#include "image/image.h"
#include "target/target.h"

/* What is known of a file. */
enum memory_file_state {
    MEMORY_FILE_UNTRIED,
    MEMORY_FILE_UNREADABLE, /* it could not be opened */
    MEMORY_FILE_OTHER,      /* it is no ELF file of ours */
    MEMORY_FILE_ELF         /* elf holds it */
};

/* One file of the address space; opened when first needed. */
struct memory_file {
    char *path;
    uint64_t inode;
    uint64_t device;
    bool deleted;
    enum memory_file_state state;
    struct elf_file elf;
};

/* One mapping of the target. */
struct memory_region {
    uint64_t start;
    uint64_t end;
    uint64_t file_offset;
    uint32_t permissions;
    size_t file; /* index, or MEMORY_NO_FILE */
};

#define MEMORY_NO_FILE SIZE_MAX

/* The address space at the time of memory_init. */
struct memory {
    struct target *target; /* not owned */
    VECTOR(struct memory_region) regions;
    VECTOR(struct memory_file) files;
    VECTOR(void *) blocks; /* what memory_load read */
    bool exhausted;        /* our own memory ran out while a file was opened */
};

/* Which bytes of the file may stand for those of the memory. */
enum memory_trust {
    MEMORY_TRUST_STATIC,  /* only of segments that the program cannot write */
    MEMORY_TRUST_CONSTANT /* also of segments that were written once to relocate pointers: right for
                             data without pointers, as the pclntab */
};

/* Copies the mappings of TARGET, which must outlive MEMORY. */
NODISCARD struct error *memory_init(struct memory *memory, struct target *target);
void memory_deinit(struct memory *memory);

/* Opens and maps file INDEX unless that was tried before; true when it is a readable ELF file. */
bool memory_open_file(struct memory *memory, size_t index);

/* The region that holds ADDRESS, or NULL. */
const struct memory_region *memory_find_region(const struct memory *memory, uint64_t address);

/* Readable bytes from ADDRESS on, over adjoining regions; 0 when there are none. */
uint64_t memory_extent(const struct memory *memory, uint64_t address);

/* True when SIZE bytes at ADDRESS are mapped readable. */
bool memory_holds(const struct memory *memory, uint64_t address, uint64_t size);

/* SIZE bytes at ADDRESS that live as long as MEMORY: of a mapped file, else one read of the target.
 * ERROR_FAULT when they are not mapped, ERROR_LIMIT above 1 GiB, else as target_read. */
NODISCARD struct error *memory_load(struct memory *memory, uint64_t address, uint64_t size,
                                    enum memory_trust trust, struct image_bytes *ret);

/* As memory_load, from ADDRESS to the end of its region or of what its file has of it. */
NODISCARD struct error *memory_load_rest(struct memory *memory, uint64_t address,
                                         enum memory_trust trust, struct image_bytes *ret);

/* Copies SIZE bytes at ADDRESS, from a file where that is right (MEMORY_TRUST_STATIC). Errors as
 * target_read. */
NODISCARD struct error *memory_read(struct memory *memory, uint64_t address, void *destination,
                                    size_t size);

/* The run-time address of link-time ADDRESS of file INDEX (opened); false when the file is not
 * mapped as its program headers say. */
bool memory_runtime_address(const struct memory *memory, size_t index, uint64_t address,
                            uint64_t *ret);

/* Called with SIZE bytes of memory at ADDRESS; the next call repeats the last OVERLAP bytes. True
 * ends the walk. */
typedef bool memory_visitor(void *context, uint64_t address, const uint8_t *bytes, size_t size);

/* Walks the bytes of [START, END) as the target has them now, in pieces; unreadable parts are
 * passed over. OVERLAP is below 4096. ERROR_GONE when the target ended. */
NODISCARD struct error *memory_walk(struct memory *memory, uint64_t start, uint64_t end,
                                    size_t overlap, memory_visitor *visitor, void *context);

#endif
