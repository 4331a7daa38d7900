/* Targets that are not memory but somebody's account of it: a dump or a profile in a file, from a
 * pipe or behind a URL. */
#ifndef UNPARK_SERVICE_SERVICE_FILE_H
#define UNPARK_SERVICE_SERVICE_FILE_H

#include "base/error.h"
#include "snapshot/snapshot.h"
#include <stdbool.h>
#include <stdint.h>

struct service_file;

/* True when TEXT names a file in another way than by its path: "-" (standard input), or a URL. */
bool service_file_is_special(const char *text);

/* Opens standard input or the URL that TEXT names. */
NODISCARD struct error *service_file_open_special(const char *text, struct service_file **ret);

/* A dump in what DESCRIPTOR reads, which it takes over; PATH is its name for people, DUMP the
 * number of the dump in it, from 1, or 0 for the last. */
NODISCARD struct error *service_file_create(int descriptor, const char *path, uint64_t dump,
                                            struct service_file **ret);
void service_file_close(struct service_file *file);

/* Its name in messages: "file app.log", "standard input", the URL. */
const char *service_file_name(const struct service_file *file);

/* Reads it into BUILDER, with argument words when ARGUMENTS. A file or URL can be read again, a
 * pipe only once (ERROR_USAGE). */
NODISCARD struct error *service_file_read(struct service_file *file, bool arguments,
                                          struct snapshot_builder *builder);

#endif
