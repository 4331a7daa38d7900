/* The data that machine code refers to, found by decoding it in a straight line. */
#ifndef UNPARK_GORUNTIME_CODE_SCAN_H
#define UNPARK_GORUNTIME_CODE_SCAN_H

#include "target/target.h"

enum code_reference_kind {
    CODE_REFERENCE_LOAD,
    CODE_REFERENCE_STORE,
    CODE_REFERENCE_STORE_CONSTANT, /* a number that the code itself holds */
    CODE_REFERENCE_ADDRESS,        /* the address is taken */
    CODE_REFERENCE_OTHER           /* compared, exchanged, added to, ... */
};

/* One reference to static data. */
struct code_reference {
    uint64_t instruction; /* address of the instruction */
    uint64_t target;      /* address of the data */
    int64_t constant;     /* of CODE_REFERENCE_STORE_CONSTANT */
    enum code_reference_kind kind;
};

/* The references of the SIZE bytes of MACHINE's code at CODE, which run at ADDRESS, in code order;
 * at most CAPACITY are stored in REFERENCES. Returns how many were. Any bytes are fine: what is no
 * known instruction is stepped over. */
size_t code_scan(enum target_machine machine, const uint8_t *code, size_t size, uint64_t address,
                 struct code_reference *references, size_t capacity);

/* code_scan for one machine. */
size_t code_scan_amd64(const uint8_t *code, size_t size, uint64_t address,
                       struct code_reference *references, size_t capacity);
size_t code_scan_arm64(const uint8_t *code, size_t size, uint64_t address,
                       struct code_reference *references, size_t capacity);

/* The length of the amd64 instruction at the start of the SIZE bytes of CODE, or 0 when they are
 * none that is known or it is cut off. */
size_t code_scan_amd64_length(const uint8_t *code, size_t size);

#endif
