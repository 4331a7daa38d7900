/* What signatures of causes are made of: facts about one finding. */
#ifndef UNPARK_LEAK_CAUSE_FACTS_H
#define UNPARK_LEAK_CAUSE_FACTS_H

#include "leak/finding.h"

/* One fact. */
#define FACT(bit) (UINT64_C(1) << (bit))

/* What the goroutines wait in. */
#define FACT_SEND FACT(0)
#define FACT_RECEIVE FACT(1) /* v := <-c */
#define FACT_RANGE FACT(2)   /* for range c, or v, ok := <-c */
#define FACT_SELECT FACT(3)
#define FACT_NIL FACT(4)
#define FACT_EMPTY FACT(5)
#define FACT_LOCK FACT(6) /* Mutex, or RWMutex for writing */
#define FACT_RLOCK FACT(7)
#define FACT_WAIT_GROUP FACT(8)
#define FACT_COND FACT(9)
#define FACT_IO FACT(10)
#define FACT_SYSCALL FACT(11)
#define FACT_SLEEP FACT(12)

/* What they wait for. */
#define FACT_UNBUFFERED FACT(13) /* the channel has no buffer */
#define FACT_FULL FACT(14)       /* the channel's buffer is full */
#define FACT_TIMER FACT(15)      /* the channel of a time.Timer or Ticker */
#define FACT_SIGNAL FACT(16) /* a channel without a buffer that carries no data: chan struct{} */
#define FACT_TOKENS FACT(17) /* a channel with a buffer that carries no data */
#define FACT_RWMUTEX FACT(18)
#define FACT_WRITER FACT(19)  /* of an RWMutex: a writer waits for readers that hold it */
#define FACT_READERS FACT(20) /* of an RWMutex: readers wait as well */
#define FACT_SHARED FACT(21)  /* several goroutines wait for the same */
#define FACT_POOLS FACT(22)   /* several groups of goroutines, each waiting for its own */

/* Who they are. */
#define FACT_MANY FACT(23)         /* several goroutines of one creator */
#define FACT_CLOSURE FACT(24)      /* the user's innermost function is a closure */
#define FACT_METHOD FACT(25)       /* the user's innermost function is a method */
#define FACT_START FACT(26)        /* the user's innermost function is the outermost as well */
#define FACT_TYPE_TWICE FACT(27)   /* two methods of one receiver type are in the stack */
#define FACT_CREATOR_GONE FACT(28) /* the creators no longer exist */
#define FACT_PROVED FACT(29)

/* Who else is stuck. A partner is another goroutine that refers to what these wait for. */
#define FACT_NO_PARTNER FACT(30)
#define FACT_PARTNER_SENDS FACT(31)
#define FACT_PARTNER_RECEIVES FACT(32) /* or selects */
#define FACT_PARTNER_LOCKS FACT(33)
#define FACT_PARTNER_JOINS FACT(34) /* waits for a wait group */
#define FACT_PARTNER_IO FACT(35)    /* I/O, a system call or sleep */
#define FACT_MUTUAL FACT(36)        /* a partner waits for what one of these refers to */
#define FACT_HOLDS_LOCK FACT(37)    /* others wait for a lock that these refer to */
#define FACT_CYCLE FACT(38)         /* members of one set wait for each other's locks */

/* What the stacks alone say, where no proof names partners: another goroutine is inside the same
 * function, or a method of the same receiver type, and waits there. */
#define FACT_INSIDE_SENDS FACT(39)
#define FACT_INSIDE_RECEIVES FACT(40) /* or selects */
#define FACT_INSIDE_IO FACT(41)       /* I/O, a system call or sleep */

#define FACT_NOT_PROVED                                                                            \
    FACT(42)                /* something alive still reaches what they wait for, or it is unknown */
#define FACT_SENDS FACT(43) /* a case of the select sends */

#define FACT_CREATOR_STUCK FACT(44) /* the creators are proved stuck themselves */
#define FACT_LOOP FACT(45)          /* it was started as a method: the loop of an object */
#define FACT_WRITE_HELD FACT(46)    /* of an RWMutex: a writer has it */
#define FACT_PARTNER_CONDITION FACT(47)
#define FACT_JOINED FACT(48) /* others wait for a group that these are to finish */
#define FACT_PEER_SENDS                                                                            \
    FACT(49)                    /* another waits for one of the same channels, or to send to one   \
                                 * of its own */
#define FACT_COROUTINE FACT(50) /* in yield, or in next, of an iterator */
#define FACT_COUNT 51

/* Facts about goroutines that are still there, by which alone one that waits behind others can be
 * understood. */
#define FACTS_OF_PARTNERS                                                                          \
    (FACT_PARTNER_SENDS | FACT_PARTNER_RECEIVES | FACT_PARTNER_LOCKS | FACT_PARTNER_JOINS |        \
     FACT_PARTNER_IO | FACT_PARTNER_CONDITION | FACT_MUTUAL | FACT_CYCLE)

/* Sets *RET to the facts of FINDING, as bits. */
NODISCARD struct error *cause_facts(const struct finding_input *input,
                                    const struct finding *finding, uint64_t *ret);

/* Where a function was found. */
enum cause_place { CAUSE_PLACE_STACK, CAUSE_PLACE_WAKER, CAUSE_PLACE_CREATOR };

/* The first function with TEXT in its name: of FINDING's stack, of a frame by which another
 * goroutine refers to what it waits for, or of its creator. LIBRARY: functions of the runtime and
 * the standard library count as well, which a word that any program may use must not match. NULL
 * when there is none. The name lives as long as INPUT. */
const char *cause_facts_find_function(const struct finding_input *input,
                                      const struct finding *finding, const char *text, bool library,
                                      enum cause_place *place_ret);

/* The words for one FACT. *SHOWN_RET: a finding shows it anyway, so that it is no evidence worth
 * words there. Static; NULL for what is no fact. */
const char *cause_facts_text(uint64_t fact, bool *shown_ret);

#endif
