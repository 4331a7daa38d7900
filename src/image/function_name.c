/* An index from names to functions: open addressing, linear probing, sized once, so that a hundred
 * thousand functions cost a few milliseconds. A slot holds the upper half of the name's hash and
 * the function's number (counted over all modules, from 1); 0 is free. Of equal names the first
 * stays. Functions of package runtime, which every look asks for, have an index of their own: most
 * programs hold many times as many others. */
#include "base/cleanup.h"
#include "base/hash_map.h"
#include "image/function_table.h"
#include <stdlib.h>
#include <string.h>

enum { FUNCTION_NAME_MAX = 1 << 22 /* functions of all modules that are indexed */ };

struct function_name_index {
    size_t mask; /* slots - 1 */
    uint64_t slots[];
};

/* The hash part of a slot. */
#define FUNCTION_NAME_TAG 0xffffffff00000000u

/* Frees slots with header. */
void function_name_index_destroy(struct function_name_index *index)
{
    free(index);
}

/* Enters the function of NUMBER under HASH. The table is at most half full. */
static void function_name_put(struct function_name_index *index, uint64_t hash, uint32_t number)
{
    size_t at = hash & index->mask;
    while (index->slots[at] != 0) {
        if (((index->slots[at] ^ hash) & FUNCTION_NAME_TAG) == 0) {
            return;
        }
        at = (at + 1) & index->mask;
    }
    index->slots[at] = (hash & FUNCTION_NAME_TAG) | number;
}

/* How many functions of MODULE belong into the index, of package runtime alone or of all. */
static size_t function_name_count(const struct module *module, bool runtime)
{
    size_t count = function_ftab_count(module);
    size_t belong = 0;
    for (size_t i = 0; runtime && i + 1 < count; i++) {
        belong += function_ftab_is_runtime(module, i);
    }
    return runtime ? belong : count;
}

/* Enters the functions of MODULE, numbered from FIRST. Names that share their bytes beyond reason
 * are ERROR_CORRUPT, as hashing them would take forever. */
static struct error *function_name_put_module(struct function_name_index *index,
                                              const struct module *module, uint32_t first,
                                              bool runtime)
{
    size_t budget = 4 * module->tables.funcnametab.size;
    size_t count = function_ftab_count(module);
    for (size_t i = 0; i + 1 < count; i++) {
        bool belongs = !runtime || function_ftab_is_runtime(module, i);
        const char *name = belongs ? function_ftab_name(module, i) : NULL;
        if (name == NULL) {
            continue;
        }
        size_t size = strlen(name);
        if (size > budget) {
            return error_create(ERROR_CORRUPT, "pclntab: more names than its table has room for");
        }
        budget -= size;
        function_name_put(index, hash_bytes(name, size, 0), first + (uint32_t)i);
    }
    return NULL;
}

/* Enters every function of IMAGE, or those of package runtime. */
static struct error *function_name_index_create(const struct image *image, bool runtime,
                                                struct function_name_index **ret)
{
    size_t total = 0;
    size_t belong = 0;
    for (size_t i = 0; i < image->modules.count; i++) {
        total += function_ftab_count(image->modules.items[i]);
        belong += function_name_count(image->modules.items[i], runtime);
    }
    if (total > FUNCTION_NAME_MAX) {
        return error_create(ERROR_LIMIT, "pclntab: more than %d functions", FUNCTION_NAME_MAX);
    }
    size_t capacity = 16;
    while (capacity < 2 * belong) {
        capacity *= 2;
    }
    CLEANUP_FREE struct function_name_index *index =
        calloc(1, sizeof *index + capacity * sizeof(uint64_t));
    if (index == NULL) {
        return error_no_memory();
    }
    index->mask = capacity - 1;
    uint32_t number = 1;
    for (size_t i = 0; i < image->modules.count; i++) {
        const struct module *module = image->modules.items[i];
        TRY(function_name_put_module(index, module, number, runtime));
        number += (uint32_t)function_ftab_count(module); /* the closing entry takes a number, too */
    }
    *ret = TAKE(index);
    return NULL;
}

/* The function of NUMBER. */
static struct error *function_name_decode(const struct image *image, uint32_t number,
                                          struct function *ret)
{
    size_t left = number - 1;
    for (size_t i = 0; i < image->modules.count; i++) {
        size_t count = function_ftab_count(image->modules.items[i]);
        if (left < count) {
            return function_decode(image->modules.items[i], left, ret);
        }
        left -= count;
    }
    return error_create(ERROR_INTERNAL, "function index: no function %u", (unsigned)number);
}

/* The name is compared whole: the hash only finds it. */
struct error *function_find_name(struct image *image, const char *name, struct function *ret)
{
    bool runtime = strncmp(name, FUNCTION_RUNTIME_PREFIX, strlen(FUNCTION_RUNTIME_PREFIX)) == 0;
    struct function_name_index **place = runtime ? &image->runtime_names : &image->names;
    if (*place == NULL) {
        TRY(function_name_index_create(image, runtime, place));
    }
    const struct function_name_index *index = *place;
    uint64_t hash = hash_bytes(name, strlen(name), 0);
    /* It is there after success. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    for (size_t at = hash & index->mask; index->slots[at] != 0; at = (at + 1) & index->mask) {
        if (((index->slots[at] ^ hash) & FUNCTION_NAME_TAG) == 0) {
            TRY(function_name_decode(image, (uint32_t)index->slots[at], ret));
            if (strcmp(ret->name, name) == 0) {
                return NULL;
            }
        }
    }
    return error_create(ERROR_NOT_FOUND, "no Go function is called %s", name);
}
