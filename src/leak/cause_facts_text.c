/* Facts in words. */
#include "leak/cause_facts.h"

/* The words for facts, by bit. */
static const struct cause_facts_words {
    uint64_t fact;
    const char *text;
    bool shown; /* by the finding itself */
} cause_facts_words[] = {
    {FACT_SEND, "sending to a channel", true},
    {FACT_RECEIVE, "receiving from a channel", true},
    {FACT_RANGE, "ranging over a channel (or v, ok := <-c)", true},
    {FACT_SELECT, "select", true},
    {FACT_NIL, "a nil channel", true},
    {FACT_EMPTY, "select {}", true},
    {FACT_LOCK, "locking a mutex", true},
    {FACT_RLOCK, "read-locking an RWMutex", true},
    {FACT_WAIT_GROUP, "WaitGroup.Wait", true},
    {FACT_COND, "Cond.Wait", true},
    {FACT_IO, "network or pipe I/O", true},
    {FACT_SYSCALL, "a system call", true},
    {FACT_SLEEP, "sleep", true},
    {FACT_UNBUFFERED, "the channel has no buffer", false},
    {FACT_FULL, "the buffer is full", false},
    {FACT_TIMER, "it is a timer's channel", false},
    {FACT_SIGNAL, "the channel carries signals, no data", false},
    {FACT_TOKENS, "the channel carries tokens, no data", false},
    {FACT_RWMUTEX, "it is an RWMutex", false},
    {FACT_WRITER, "a writer waits for readers that hold it", false},
    {FACT_READERS, "readers wait for it", false},
    {FACT_SHARED, "several wait for the same", false},
    {FACT_POOLS, "there are several such sets", false},
    {FACT_MANY, "several were started by one goroutine", false},
    {FACT_CLOSURE, "the innermost function of the program is a closure", true},
    {FACT_METHOD, "the innermost function of the program is a method", true},
    {FACT_START, "the function that waits is the one it was started with", true},
    {FACT_TYPE_TWICE, "two methods of one type are in the stack", false},
    {FACT_CREATOR_GONE, "the goroutine that started it has ended", false},
    {FACT_PROVED, "it is proved stuck", true},
    {FACT_NO_PARTNER, "no other stuck goroutine refers to it", false},
    {FACT_PARTNER_SENDS, "another that refers to it is stuck sending", false},
    {FACT_PARTNER_RECEIVES, "another that refers to it is stuck receiving", false},
    {FACT_PARTNER_LOCKS, "another that refers to it is stuck at a lock", false},
    {FACT_PARTNER_JOINS, "another that refers to it waits for a wait group", false},
    {FACT_PARTNER_IO, "another that refers to it waits for the outside world", false},
    {FACT_MUTUAL, "that one waits for what this one refers to", false},
    {FACT_HOLDS_LOCK, "others wait for a lock that it refers to", false},
    {FACT_CYCLE, "they wait for each other, a lock among what they wait for", false},
    {FACT_INSIDE_SENDS, "another goroutine is inside the same type or function, sending", false},
    {FACT_INSIDE_RECEIVES, "another goroutine is inside the same type or function, receiving",
     false},
    {FACT_INSIDE_IO,
     "another goroutine is inside the same type or function, waiting for the outside world", false},
    {FACT_SENDS, "a case of the select sends", true},
    {FACT_CREATOR_STUCK, "the goroutine that started it is stuck, too", false},
    {FACT_LOOP, "it was started as a method", false},
    {FACT_WRITE_HELD, "a writer has it", false},
    {FACT_PARTNER_CONDITION, "another that refers to it waits for a condition", false},
    {FACT_JOINED, "another waits until it is done", false},
    {FACT_PEER_SENDS, "another waits for the same channel or to send to a different one", false},
    {FACT_COROUTINE, "a coroutine", true},
    {FACT_NOT_PROVED, "something alive may still wake it", true},
};

_Static_assert(sizeof cause_facts_words / sizeof *cause_facts_words == FACT_COUNT,
               "words for every fact");

const char *cause_facts_text(uint64_t fact, bool *shown_ret)
{
    for (size_t i = 0; i < FACT_COUNT; i++) {
        if (cause_facts_words[i].fact == fact) {
            *shown_ret = cause_facts_words[i].shown;
            return cause_facts_words[i].text;
        }
    }
    return NULL;
}
