/* The words for what is known of a goroutine. */
#ifndef UNPARK_LEAK_VERDICT_H
#define UNPARK_LEAK_VERDICT_H

/* What is known of one goroutine. PROVED has one meaning: no live root reaches what it waits for.
 */
enum leak_verdict {
    LEAK_VERDICT_WAITING,   /* something alive can still wake it, or it runs */
    LEAK_VERDICT_PROVED,    /* it can never run again */
    LEAK_VERDICT_SUSPECTED, /* evidence, no proof */
    LEAK_VERDICT_SYSTEM,    /* the runtime's own */
    LEAK_VERDICT_UNKNOWN,   /* doubt: a reason says why */
    LEAK_VERDICT_COUNT
};

/* What a proved goroutine waits for. CYCLE: members of one set wait for each other's locks. The
 * last three go beyond the runtime's own profile. */
enum leak_class {
    LEAK_CLASS_NONE,
    LEAK_CLASS_CHANNEL,
    LEAK_CLASS_NIL_CHANNEL,
    LEAK_CLASS_EMPTY_SELECT,
    LEAK_CLASS_MUTEX, /* Mutex and RWMutex */
    LEAK_CLASS_WAIT_GROUP,
    LEAK_CLASS_CONDITION,
    LEAK_CLASS_CYCLE,
    LEAK_CLASS_SEMAPHORE,
    LEAK_CLASS_COROUTINE,
    LEAK_CLASS_DURABLE,
    LEAK_CLASS_COUNT
};

/* Why a verdict is not a proof, or what makes a goroutine merely waiting. */
enum leak_reason {
    LEAK_REASON_NONE,
    LEAK_REASON_NOT_WAITING,    /* it runs, is runnable, or is in a system call */
    LEAK_REASON_WAKES_ITSELF,   /* sleep, I/O, timers, the runtime's own waits */
    LEAK_REASON_REACHABLE,      /* something alive reaches what it waits for */
    LEAK_REASON_NOT_IN_HEAP,    /* what it waits for is a global variable or on a stack */
    LEAK_REASON_MAIN,           /* main in select {} */
    LEAK_REASON_OBJECT_UNKNOWN, /* what it waits for could not be found */
    LEAK_REASON_IN_TRANSIT,     /* it is being woken: no longer in the queue */
    LEAK_REASON_NOT_CONSISTENT, /* the view was not taken in a stop */
    LEAK_REASON_INCOMPLETE,     /* memory that may lead to it was unreadable */
    LEAK_REASON_LAYOUT_DOUBT,   /* the self-check of the runtime's layout found something odd */
    LEAK_REASON_NO_MEMORY,      /* a text or a profile: nothing to prove from */
    LEAK_REASON_BY_PROGRAM,     /* of PROVED: by the program's own leak profile, not by us */
    LEAK_REASON_NO_HEAP,        /* the runtime's heap could not be read at all */
    LEAK_REASON_CUT_OFF,        /* the core file ends before its memory does */
    LEAK_REASON_COUNT
};

/* "proved", "nil channel", ...; static. */
const char *leak_verdict_text(enum leak_verdict verdict);
const char *leak_class_text(enum leak_class class_);

/* One clause for people: "something alive still reaches what it waits for". Static. */
const char *leak_reason_text(enum leak_reason reason);

#endif
