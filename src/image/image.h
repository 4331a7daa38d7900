/* What the executable and shared objects of a target say about Go code: one module per pclntab. */
#ifndef UNPARK_IMAGE_IMAGE_H
#define UNPARK_IMAGE_IMAGE_H

#include "base/error.h"
#include "layout/layout.h"
#include "target/target.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct image;  /* all modules of one target */
struct module; /* one pclntab with its moduledata */

/* What the build info blob says; "" where it says nothing. Strings live as long as the image. */
struct image_build_info {
    const char *go_version; /* "go1.27.4", with " X:..." experiments as recorded */
    const char *path;       /* import path of main */
    const char *module;     /* main module path */
    const char *version;    /* main module version */
    const char *revision;   /* vcs.revision */
    const char *revision_time;
    bool modified;            /* vcs.modified=true */
    const char *settings;     /* all "key=value" build settings, newline-separated */
    const char *dependencies; /* "path version" lines */
};

/* A byte range of a module's tables, in our memory. */
struct image_bytes {
    const uint8_t *data;
    size_t size;
};

/* The tables of one module, for unwinding and symbols. All addresses are run-time addresses. */
struct module_tables {
    uint64_t moduledata;  /* its address in the target */
    uint64_t text, etext; /* Go code */
    uint64_t minpc, maxpc;
    uint64_t types, etypes;  /* base of type offsets */
    uint64_t rodata, gofunc; /* bases of stack-object masks and of funcdata offsets */
    uint64_t noptrdata, enoptrdata, data, edata, bss, ebss, noptrbss, enoptrbss;
    uint64_t gcdatamask, gcdatamask_bits, gcbssmask, gcbssmask_bits; /* {n, bytedata pointer} */
    uint32_t pc_quantum;
    struct image_bytes funcnametab, cutab, filetab, pctab, pclntable, ftab;
    struct image_bytes funcdata; /* bytes from gofunc on, up to the end of what is readable */
};

/* Finds every Go module of TARGET without symbols, section headers or DWARF, its version, build
 * info and layout row. ERROR_NOT_GO with the reason when there is none (gccgo, TinyGo, not Go, an
 * obfuscated table say so by name); ERROR_UNSUPPORTED for a Go release outside the layout table.
 * TARGET must outlive the image. */
NODISCARD struct error *image_create(struct target *target, struct image **ret);
void image_destroy(struct image *image);

/* Quick identification for lists of processes: only build info and version of the executable open
 * at DESCRIPTOR (a regular file). ERROR_NOT_GO when it is no Go executable. Strings live in
 * *STORAGE. */
NODISCARD struct error *image_identify_file(int descriptor, struct image_build_info *ret,
                                            char **storage);

/* The build info of the main program; when it has none, only go_version is set, from memory. Never
 * NULL. */
const struct image_build_info *image_build_info(const struct image *image);

/* The Go version that was decided on ("go1.22.12"), never "". */
const char *image_go_version(const struct image *image);

/* The layout row for this target. */
const struct layout *image_layout(const struct image *image);

/* The GNU build id as hex, or the Go build id, or "". */
const char *image_build_id(const struct image *image);

/* Modules in all; at least one. */
size_t image_module_count(const struct image *image);
/* Module INDEX (below the count); the executable's is the first when it holds Go code. */
const struct module *image_module(const struct image *image, size_t index);

/* The module whose Go text holds PC, or NULL. */
const struct module *image_find_module(const struct image *image, uint64_t pc);

/* The tables of MODULE. */
const struct module_tables *module_tables(const struct module *module);

/* Bytes of static, read-only memory of the target (text, rodata, types) without a system call when
 * its file is mapped here; else read from the target. Errors as target_read. For code and type
 * bytes. */
NODISCARD struct error *image_read_static(struct image *image, uint64_t address, void *destination,
                                          size_t size);

#endif
