#include "goruntime/code_scan.h"

/* The references of the code by the machine's own decoder. */
size_t code_scan(enum target_machine machine, const uint8_t *code, size_t size, uint64_t address,
                 struct code_reference *references, size_t capacity)
{
    if (machine == TARGET_MACHINE_ARM64) {
        return code_scan_arm64(code, size, address, references, capacity);
    }
    return code_scan_amd64(code, size, address, references, capacity);
}
