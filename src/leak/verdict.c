/* The texts of verdicts, classes and reasons. */
#include "leak/verdict.h"

const char *leak_verdict_text(enum leak_verdict verdict)
{
    static const char *const texts[LEAK_VERDICT_COUNT] = {
        [LEAK_VERDICT_WAITING] = "waiting",     [LEAK_VERDICT_PROVED] = "proved",
        [LEAK_VERDICT_SUSPECTED] = "suspected", [LEAK_VERDICT_SYSTEM] = "system",
        [LEAK_VERDICT_UNKNOWN] = "unknown",
    };
    return texts[verdict];
}

const char *leak_class_text(enum leak_class class_)
{
    static const char *const texts[LEAK_CLASS_COUNT] = {
        [LEAK_CLASS_NONE] = "none",
        [LEAK_CLASS_CHANNEL] = "channel",
        [LEAK_CLASS_NIL_CHANNEL] = "nil channel",
        [LEAK_CLASS_EMPTY_SELECT] = "empty select",
        [LEAK_CLASS_MUTEX] = "mutex",
        [LEAK_CLASS_WAIT_GROUP] = "wait group",
        [LEAK_CLASS_CONDITION] = "condition",
        [LEAK_CLASS_CYCLE] = "cycle",
        [LEAK_CLASS_SEMAPHORE] = "semaphore",
        [LEAK_CLASS_COROUTINE] = "coroutine",
        [LEAK_CLASS_DURABLE] = "durable wait",
    };
    return texts[class_];
}

const char *leak_reason_text(enum leak_reason reason)
{
    static const char *const texts[LEAK_REASON_COUNT] = {
        [LEAK_REASON_NONE] = "",
        [LEAK_REASON_NOT_WAITING] = "it is not waiting for another goroutine",
        [LEAK_REASON_WAKES_ITSELF] = "the clock, the network or the runtime wakes it",
        [LEAK_REASON_REACHABLE] = "something alive still reaches what it waits for",
        [LEAK_REASON_NOT_IN_HEAP] = "what it waits for is a global variable or on a stack",
        [LEAK_REASON_MAIN] = "main waits for ever on purpose",
        [LEAK_REASON_OBJECT_UNKNOWN] = "what it waits for could not be found",
        [LEAK_REASON_IN_TRANSIT] = "it was being woken at that moment",
        [LEAK_REASON_NOT_CONSISTENT] = "the memory was read while the program ran",
        [LEAK_REASON_INCOMPLETE] = "memory that may lead to what it waits for could not be read",
        [LEAK_REASON_LAYOUT_DOUBT] = "the runtime's layout did not pass its check without doubt",
        [LEAK_REASON_NO_MEMORY] = "its memory is not here: only a process or a core proves",
        [LEAK_REASON_BY_PROGRAM] = "the program's own leak detector proved it",
        [LEAK_REASON_NO_HEAP] = "the heap could not be read",
        [LEAK_REASON_CUT_OFF] = "the core is cut off",
    };
    return texts[reason];
}
