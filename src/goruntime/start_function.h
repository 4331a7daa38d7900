/* Whose a goroutine is, by its first function, as Go's isSystemGoroutine decides. */
#ifndef UNPARK_GORUNTIME_START_FUNCTION_H
#define UNPARK_GORUNTIME_START_FUNCTION_H

#include "image/image.h"

/* True when a goroutine that starts at STARTPC (g.startpc) is the runtime's own. A goroutine of
 * finalizers or cleanups counts as such even while it runs the program's function. */
bool start_function_is_system(const struct image *image, uint64_t startpc);

#endif
