/* What signatures of causes are made of: facts about one finding. */
#ifndef UNPARK_LEAK_CAUSE_FACTS_H
#define UNPARK_LEAK_CAUSE_FACTS_H

#include "leak/finding.h"

/* Facts, as bits. The first group says what the goroutines wait in. */
enum cause_fact {
    FACT_SEND = 1 << 0,
    FACT_RECEIVE = 1 << 1, /* v := <-c */
    FACT_RANGE = 1 << 2,   /* for range c, or v, ok := <-c */
    FACT_SELECT = 1 << 3,
    FACT_NIL = 1 << 4,
    FACT_EMPTY = 1 << 5,
    FACT_LOCK = 1 << 6, /* Mutex, or RWMutex for writing */
    FACT_RLOCK = 1 << 7,
    FACT_WAIT_GROUP = 1 << 8,
    FACT_COND = 1 << 9,
    FACT_IO = 1 << 10,
    FACT_SYSCALL = 1 << 11,
    FACT_SLEEP = 1 << 12,

    FACT_UNBUFFERED = 1 << 13,    /* the channel has no buffer */
    FACT_FULL = 1 << 14,          /* the channel's buffer is full */
    FACT_TIMER = 1 << 15,         /* the channel of a time.Timer or Ticker */
    FACT_MANY = 1 << 16,          /* several goroutines of one creator */
    FACT_SHARED = 1 << 17,        /* more goroutines than objects */
    FACT_CLOSURE = 1 << 18,       /* the user's innermost function is a closure */
    FACT_CREATOR_GONE = 1 << 19,  /* the creator no longer exists */
    FACT_CREATOR_STUCK = 1 << 20, /* the creator is proved stuck itself */
    FACT_NO_PARTNER = 1 << 21,    /* no stuck goroutine refers to the object either */
    FACT_PARTNER_SENDS = 1 << 22, /* one that refers to it is stuck in a send */
    FACT_PARTNER_LOCKS = 1 << 23, /* one that refers to it is stuck in a lock */
    FACT_PARTNER_WAITS =
        1 << 24, /* one that refers to it is stuck in a wait group, receive or select */
    FACT_HOLDS_LOCK = 1 << 25, /* others wait for a lock that these refer to */
    FACT_CYCLE = 1 << 26,      /* members of one set wait for each other's locks */
    FACT_TYPE_TWICE = 1 << 27, /* two methods of one receiver type below the wait */
    FACT_RWMUTEX = 1 << 28,
    FACT_METHOD = 1 << 29, /* the user's innermost function is a method */
    FACT_PROVED = 1 << 30
};

/* The facts of FINDING, as bits of enum cause_fact. */
unsigned cause_facts(const struct finding_input *input, const struct finding *finding);

/* True when a function of FINDING's stack or its creator contains TEXT. */
bool cause_facts_has_function(const struct finding_input *input, const struct finding *finding,
                              const char *text);

#endif
