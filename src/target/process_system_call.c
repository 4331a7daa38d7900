/* Names of system calls, from the kernel's user headers (tools/generate-system-calls). */
#include "target/process.h"

enum { PROCESS_SYSTEM_CALL_MAX = 600 };

#define PROCESS_SYSTEM_CALL_AMD64(number, name) [number] = (name),
#define PROCESS_SYSTEM_CALL_ARM64(number, name)
#define PROCESS_SYSTEM_CALL(machine, number, name) PROCESS_SYSTEM_CALL_##machine(number, name)

static const char *const process_system_calls_amd64[PROCESS_SYSTEM_CALL_MAX] = {
#include "target/process_system_calls.inc"
};

#undef PROCESS_SYSTEM_CALL_AMD64
#undef PROCESS_SYSTEM_CALL_ARM64
#define PROCESS_SYSTEM_CALL_AMD64(number, name)
#define PROCESS_SYSTEM_CALL_ARM64(number, name) [number] = (name),

static const char *const process_system_calls_arm64[PROCESS_SYSTEM_CALL_MAX] = {
#include "target/process_system_calls.inc"
};

const char *process_system_call_name(enum target_machine machine, int64_t number)
{
    if (number < 0 || number >= PROCESS_SYSTEM_CALL_MAX) {
        return NULL;
    }
    return machine == TARGET_MACHINE_AMD64 ? process_system_calls_amd64[number]
                                           : process_system_calls_arm64[number];
}
