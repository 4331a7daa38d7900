/* What the files about stopping share. */
#ifndef UNPARK_TARGET_STOP_H
#define UNPARK_TARGET_STOP_H

#include "base/hash_map.h"
#include "base/vector.h"
#include "target/target_live.h"
#include <pthread.h>

/* Zero is the start. */
enum target_stop_thread_state {
    TARGET_STOP_THREAD_RUNNING, /* seized and interrupted, not yet stopped */
    TARGET_STOP_THREAD_HELD,
    TARGET_STOP_THREAD_ENDED
};

/* One thread that we trace. */
struct target_stop_thread {
    pid_t tid;
    enum target_stop_thread_state state;
    int signal; /* to pass on when letting go, 0 none */
    bool has_registers;
    struct target_registers registers;
};

/* One thread that others keep stopped. */
struct target_stop_passive {
    pid_t tid;
    uint64_t switches; /* times it was scheduled away */
};

/* How far the tracer is. */
enum target_stop_phase {
    TARGET_STOP_PHASE_STOPPING,
    TARGET_STOP_PHASE_STOPPED,
    TARGET_STOP_PHASE_FAILED,
    TARGET_STOP_PHASE_RELEASING
};

/* One stop, from create to destroy. */
struct target_stop {
    pid_t pid;
    int memory; /* /proc/PID/mem, not owned, or -1 */
    uint64_t limit_ns;
    uint64_t *stopped_ns; /* where the time is added */
    uint64_t since;       /* clock at the first interrupt, 0 before */
    size_t settled;       /* threads before this index have stopped or ended */
    VECTOR(struct target_stop_thread) threads;
    struct hash_map index; /* tid to index in threads, of the latest thread with that id */
    bool passive;          /* others keep the target stopped */
    VECTOR(struct target_stop_passive) resting;
    pthread_t tracer;
    pthread_mutex_t lock; /* of phase and error */
    pthread_cond_t changed;
    enum target_stop_phase phase;
    struct error *error;
};

/* Seizes, interrupts and awaits every thread, and takes the registers; in the tracer thread. */
NODISCARD struct error *target_stop_hold(struct target_stop *stop);

/* Detaches from every stopped thread and adds the time; in the tracer thread. What is not stopped
 * is detached by the kernel when the tracer thread ends. */
void target_stop_release(struct target_stop *stop);

/* Reaps the threads of process PID that we trace and that have ended; from any thread of ours. */
void target_stop_reap_ended(pid_t pid);

/* Notes the threads when others keep all of them stopped (then *RET), else ERROR_PERMISSION when
 * the process has a tracer. */
NODISCARD struct error *target_stop_passive_init(struct target_stop *stop, bool *ret);

/* True while the noted threads are stopped and none was scheduled. */
bool target_stop_passive_still(const struct target_stop *stop);

/* The ERROR_PERMISSION that names TRACER. */
NODISCARD struct error *target_stop_error_traced(pid_t tracer);

#endif
