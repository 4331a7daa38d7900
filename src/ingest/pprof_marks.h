/* How Unpark's own pprof files say that some labels are not the program's. */
#ifndef UNPARK_INGEST_PPROF_MARKS_H
#define UNPARK_INGEST_PPROF_MARKS_H

/* The comment that a file carries whose labels below are Unpark's. */
#define PPROF_MARKS_COMMENT "unpark: the labels goid, state and wait tell a goroutine's own"

#define PPROF_MARKS_GOID "goid"   /* number: the goroutine's id */
#define PPROF_MARKS_STATE "state" /* text: wait reason or status, as in Go's text */
#define PPROF_MARKS_WAIT "wait"   /* number: how long it has waited */
#define PPROF_MARKS_WAIT_UNIT "nanoseconds"
#define PPROF_MARKS_LEAKED " (leaked)" /* behind the state, as in Go's text */

/* Sample types. */
#define PPROF_MARKS_GOROUTINE "goroutine"
#define PPROF_MARKS_LEAK "goroutineleak"
#define PPROF_MARKS_UNIT "count"

#endif
