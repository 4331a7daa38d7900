/* Why a target is not one that Unpark reads, in words. */
#ifndef UNPARK_IMAGE_IMAGE_DIAGNOSE_H
#define UNPARK_IMAGE_IMAGE_DIAGNOSE_H

#include "image/image_find.h"

/* The error for a target in which no module was found: names gccgo, TinyGo, an altered function
 * table, an older release, or says that it is not Go. BUILD_INFO is that of the executable, or
 * NULL. */
NODISCARD struct error *image_diagnose(struct memory *memory, const struct image_found *found,
                                       const struct image_build_info *build_info);

/* The error for Go release MINOR, called VERSION, that has no row; NULL when it has one. */
NODISCARD struct error *image_diagnose_release(const struct memory *memory, int minor,
                                               const char *version);

#endif
