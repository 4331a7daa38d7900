/* The conventions of Go's traceback about names: how a function is printed, and whether at all. */
#ifndef UNPARK_GORUNTIME_SYMBOL_NAME_H
#define UNPARK_GORUNTIME_SYMBOL_NAME_H

#include "base/string_builder.h"
#include "layout/layout.h"
#include <stdbool.h>

/* Appends NAME, a raw linker name, as the release prints it: type arguments become "[...]",
 * runtime.gopanic "panic". */
void symbol_name_add_printed(int32_t minor, const char *name, struct string_builder *ret);

/* True when a function of FUNC_ID is a compiler-made wrapper that is left out because what it
 * called, of CALLEE_ID, is the function that it wraps and not a panic. */
bool symbol_name_is_elided(const struct layout *layout, uint8_t func_id, uint8_t callee_id);

/* True when the traceback shows a function called NAME to users (GOTRACEBACK single or all); FIRST:
 * no frame was shown before it. */
bool symbol_name_is_shown(const struct layout *layout, const char *name, uint8_t func_id,
                          uint8_t callee_id, bool first);

/* True when NAME's package is runtime, or below it, or below internal/runtime, or NAME has no
 * package (assembly of the runtime). */
bool symbol_name_is_runtime(const char *name);

/* The bytes of NAME that are its package's import path, escaped as the linker does; 0 when it has
 * none. */
size_t symbol_name_package(const char *name);

#endif
