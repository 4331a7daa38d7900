/* Why a goroutine is not proved stuck: a path from something alive to what it waits for. */
#ifndef UNPARK_LEAK_WITNESS_H
#define UNPARK_LEAK_WITNESS_H

#include "leak/proof.h"

/* A path from a root to what goroutine GOID waits for, as lines of text for people, nearest to the
 * root first: "goroutine 12 [select], main.pump" or "global data at 0x5c0e10 (.data+0x210)", then
 * "object 0xc0... (96 bytes)" for each step. *RET is a heap string, "" when there is no path (it is
 * proved, or waits for nothing that can be reached). Marks once more, on one thread. */
NODISCARD struct error *witness_find(struct proof *proof, uint64_t goid, char **ret);

#endif
