/* Leaks of a target without memory: evidence, and what the program itself proved. */
#ifndef UNPARK_SERVICE_SERVICE_LEAKS_FILE_H
#define UNPARK_SERVICE_SERVICE_LEAKS_FILE_H

#include "service/service_leaks.h"

/* The view of a service without memory, but for its findings; with the lock held. Goroutines that
 * the program's own leak profile marked are proved, by it; all others wait. ERROR_USAGE when
 * OPTIONS want a stop or a watch. */
NODISCARD struct error *service_leaks_of_file(struct service *service,
                                              const struct service_leaks_options *options,
                                              struct service_leaks **ret);

#endif
