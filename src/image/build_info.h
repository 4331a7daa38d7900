/* The build info blob that the Go linker leaves in every executable built with module support. */
#ifndef UNPARK_IMAGE_BUILD_INFO_H
#define UNPARK_IMAGE_BUILD_INFO_H

#include "base/error.h"
#include "image/elf_file.h"
#include "image/image.h"

/* Bytes 0..13 of the blob. */
#define BUILD_INFO_MAGIC "\xff Go buildinf:"
enum { BUILD_INFO_MAGIC_SIZE = 14, BUILD_INFO_ALIGNMENT = 16 };

/* Reads the blob at BLOB, whose size is what is readable from there on (more than the blob is
 * fine). Strings of *RET live in *STORAGE, the caller's heap block. ERROR_NOT_FOUND when there is
 * no blob, ERROR_UNSUPPORTED for the pointer form of Go 1.17 and older, ERROR_CORRUPT. */
NODISCARD struct error *build_info_parse(struct image_bytes blob, struct image_build_info *ret,
                                         char **storage);

/* Finds and reads the blob of FILE: section .go.buildinfo, else the writable segments. The pointer
 * form of Go 1.13 to 1.17 is followed for the version only. Errors as build_info_parse. */
NODISCARD struct error *build_info_read(const struct elf_file *file, struct image_build_info *ret,
                                        char **storage);

/* A build info that says nothing but GO_VERSION; strings live in *STORAGE as above. */
NODISCARD struct error *build_info_create_unknown(const char *go_version, size_t size,
                                                  struct image_build_info *ret, char **storage);

#endif
