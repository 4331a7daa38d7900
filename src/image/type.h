/* Go's type descriptors (abi.Type) as far as channels and the heap need them. */
#ifndef UNPARK_IMAGE_TYPE_H
#define UNPARK_IMAGE_TYPE_H

#include "base/string_builder.h"
#include "image/image.h"

/* Kinds as reflect counts them, equal in Go 1.18 to 1.27. */
enum type_kind {
    TYPE_KIND_INVALID,
    TYPE_KIND_BOOL,
    TYPE_KIND_INT,
    TYPE_KIND_INT8,
    TYPE_KIND_INT16,
    TYPE_KIND_INT32,
    TYPE_KIND_INT64,
    TYPE_KIND_UINT,
    TYPE_KIND_UINT8,
    TYPE_KIND_UINT16,
    TYPE_KIND_UINT32,
    TYPE_KIND_UINT64,
    TYPE_KIND_UINTPTR,
    TYPE_KIND_FLOAT32,
    TYPE_KIND_FLOAT64,
    TYPE_KIND_COMPLEX64,
    TYPE_KIND_COMPLEX128,
    TYPE_KIND_ARRAY,
    TYPE_KIND_CHAN,
    TYPE_KIND_FUNC,
    TYPE_KIND_INTERFACE,
    TYPE_KIND_MAP,
    TYPE_KIND_POINTER,
    TYPE_KIND_SLICE,
    TYPE_KIND_STRING,
    TYPE_KIND_STRUCT,
    TYPE_KIND_UNSAFE_POINTER,
    TYPE_KIND_COUNT
};

/* One descriptor; a value. */
struct type {
    uint64_t address;
    uint64_t size;    /* bytes of a value */
    uint64_t ptrdata; /* bytes of its start that can hold pointers */
    uint64_t gcdata;  /* address of its pointer mask, or as GC_PROGRAM and GC_ON_DEMAND say */
    int32_t name;     /* offset of its name from its module's types */
    enum type_kind kind;
    bool extra_star;   /* the name has a leading '*' that is not part of it */
    bool gc_program;   /* gcdata is a GC program, not a mask (until Go 1.23) */
    bool gc_on_demand; /* gcdata points to a word that holds the mask's address once the runtime has
                          built it (Go 1.24 and newer) */
};

/* Reads the descriptor at ADDRESS of the target. ERROR_NOT_FOUND when it lies in no module (types
 * that reflect made), ERROR_CORRUPT when its fields make no sense, else as target_read. */
NODISCARD struct error *type_read(struct image *image, uint64_t address, struct type *ret);

/* Appends the name of the type at ADDRESS ("chan struct {}", "main.job") as Go prints it. The bytes
 * are the target's, not escaped. ERROR_NOT_FOUND for types outside modules or without a name there,
 * ERROR_CORRUPT, else as target_read. On an error nothing is appended. */
NODISCARD struct error *type_name(struct image *image, uint64_t address,
                                  struct string_builder *ret);

#endif
