/* Inside of the room: a module's function table by index, and the index of names over it. */
#ifndef UNPARK_IMAGE_FUNCTION_TABLE_H
#define UNPARK_IMAGE_FUNCTION_TABLE_H

#include "image/function.h"
#include "image/module.h"

/* Entries of MODULE's ftab, the closing one included. */
size_t function_ftab_count(const struct module *module);

/* The name of the function of ftab entry INDEX (below the count), or NULL when it is outside. */
const char *function_ftab_name(const struct module *module, size_t index);

/* How names of package runtime begin. */
#define FUNCTION_RUNTIME_PREFIX "runtime."

/* True when the name of the function of ftab entry INDEX (below the count) begins with that. */
bool function_ftab_is_runtime(const struct module *module, size_t index);

/* Decodes ftab entry INDEX, which is not the closing one. ERROR_CORRUPT when a table is left. */
NODISCARD struct error *function_decode(const struct module *module, size_t index,
                                        struct function *ret);

/* Frees the index; NULL is fine. */
void function_name_index_destroy(struct function_name_index *index);

#endif
