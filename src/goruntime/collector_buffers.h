/* Memory of Go's garbage collector that is full of heap addresses but keeps nothing alive. */
#ifndef UNPARK_GORUNTIME_COLLECTOR_BUFFERS_H
#define UNPARK_GORUNTIME_COLLECTOR_BUFFERS_H

#include "goruntime/goruntime.h"
#include "target/copy.h"

/* Finds the buffers outside Go's heap in which the collector notes what it still has to scan: the
 * rings of span queues and the scan buffer of every p (Go 1.26 on; none before). *RET is the
 * caller's array, in no order. What does not check out is left out, as is everything when the p's
 * do not look as the layout says: nothing else may be taken for a buffer. Source: the runtime's
 * mgcmark_greenteagc.go and mgcwork.go, Go 1.26 and 1.27. */
NODISCARD struct error *collector_buffers_find(struct goruntime *runtime, struct copy_range **ret,
                                               size_t *count_ret);

#endif
