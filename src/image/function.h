/* Functions of a Go module from its pclntab: lookup, pc-value tables, inlining, funcdata. */
#ifndef UNPARK_IMAGE_FUNCTION_H
#define UNPARK_IMAGE_FUNCTION_H

#include "image/image.h"

enum function_flag { FUNCTION_TOP_FRAME = 1, FUNCTION_SP_WRITE = 2, FUNCTION_ASSEMBLY = 4 };

/* Indices of FUNCDATA and PCDATA, equal in Go 1.18 to 1.27 (internal/abi/symtab.go). */
enum function_data {
    FUNCTION_DATA_ARGS_POINTER_MAPS,
    FUNCTION_DATA_LOCALS_POINTER_MAPS,
    FUNCTION_DATA_STACK_OBJECTS,
    FUNCTION_DATA_INLINE_TREE,
    FUNCTION_DATA_OPEN_CODED_DEFER_INFO,
    FUNCTION_DATA_ARG_INFO,
    FUNCTION_DATA_ARG_LIVE_INFO,
    FUNCTION_DATA_WRAP_INFO
};
enum function_pcdata {
    FUNCTION_PCDATA_UNSAFE_POINT,
    FUNCTION_PCDATA_STACK_MAP_INDEX,
    FUNCTION_PCDATA_INLINE_TREE_INDEX,
    FUNCTION_PCDATA_ARG_LIVE_INDEX
};

/* One physical function; a value, valid as long as its module. */
struct function {
    const struct module *module;
    uint64_t entry;
    uint64_t end;     /* entry of the next function (or the end of the table) */
    const char *name; /* raw linker name, NUL-terminated, from funcnametab */
    uint32_t record;  /* offset of its _func in pclntable */
    int32_t args;     /* bytes, or -0x80000000 for unknown */
    uint32_t deferreturn;
    uint32_t pcsp, pcfile, pcln, npcdata, cu_offset, nfuncdata;
    int32_t start_line; /* 0 when the release has none */
    uint8_t func_id;
    uint8_t flags; /* enum function_flag bits */
};

/* The function that holds PC. ERROR_NOT_FOUND when PC is in no Go function; ERROR_CORRUPT when the
 * tables are. */
NODISCARD struct error *function_find(const struct image *image, uint64_t pc, struct function *ret);

/* The function with exactly this linker NAME in any module, or ERROR_NOT_FOUND. Names are compared
 * whole ("runtime.(*mcentral).grow"). The first call may build an index. */
NODISCARD struct error *function_find_name(struct image *image, const char *name,
                                           struct function *ret);

/* Value of the pc-value table at OFFSET of FUNCTION for PC (entry <= pc < end): -1 when the table
 * is absent (offset 0) or ends before PC. */
NODISCARD struct error *function_pcvalue(const struct function *function, uint32_t offset,
                                         uint64_t pc, int32_t *ret);

/* Value of PCDATA table INDEX at PC, -1 when absent. */
NODISCARD struct error *function_pcdata(const struct function *function, enum function_pcdata index,
                                        uint64_t pc, int32_t *ret);

/* The bytes of FUNCDATA INDEX from its start on (to the end of the module's funcdata); data is NULL
 * when the function has none. */
NODISCARD struct error *function_data(const struct function *function, enum function_data index,
                                      struct image_bytes *ret);

/* One logical frame: an inlined call or the physical function itself. */
struct function_frame {
    const char *name; /* raw linker name */
    const char *file; /* "" when unknown */
    uint64_t pc;      /* of the call in it: what its source was looked up at */
    uint32_t line;    /* 0 when unknown */
    int32_t start_line;
    uint8_t func_id;
    bool inlined; /* not the physical function */
};

/* The logical frames at PC, innermost first, as Go's traceback expands them: PC is the address to
 * symbolise (return address - 1 for callers). At most CAPACITY frames are stored; *COUNT is how
 * many there are (bounded: ERROR_CORRUPT beyond 512). */
NODISCARD struct error *function_frames(const struct function *function, uint64_t pc,
                                        struct function_frame *frames, size_t capacity,
                                        size_t *count);

#endif
