/* Which Go release a target was built with, when no build info says so. */
#ifndef UNPARK_IMAGE_IMAGE_VERSION_H
#define UNPARK_IMAGE_IMAGE_VERSION_H

#include "image/memory.h"
#include "image/module.h"

/* Reads runtime.buildVersion of the module at moduledata ADDRESS (whose pclntab has MAGIC) from the
 * target's memory: *RET is a heap string of the caller's, whose minor number may be beyond the
 * layout table. ERROR_UNSUPPORTED when no version, or more than one, can be found. */
NODISCARD struct error *image_version_find(struct memory *memory, uint64_t address, uint32_t magic,
                                           char **ret);

#endif
