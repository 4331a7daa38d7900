/* Anchor functions and the variables that they refer to. Memory is the target's and may lie. */
#include "base/bytes.h"
#include "base/cleanup.h"
#include "goruntime/globals_internal.h"
#include "image/function.h"
#include <stdlib.h>

/* Code beyond this is not looked at: anchors are small. */
enum { GLOBALS_CODE_MAX = 16384 };

/* Variables beyond this are not searched word by word. */
enum { GLOBALS_WORDS_MAX = 64 * 1024 * 1024, GLOBALS_CHUNK = 65536, GLOBALS_OVERLAP = 64 };

/* Offset of sched.g in g: stack, stackguards, _panic, _defer, m, sched{sp, pc, g}; all releases. */
enum { GLOBALS_SCHED_G = GLOBALS_HEAD_SIZE - 8 };

/* True when ADDRESS is in one of the module's ranges of variables. */
static bool globals_module_has(const struct module_tables *tables, uint64_t address, bool bss_only)
{
    bool bss = (address >= tables->bss && address < tables->ebss) ||
               (address >= tables->noptrbss && address < tables->enoptrbss);
    bool data = (address >= tables->data && address < tables->edata) ||
                (address >= tables->noptrdata && address < tables->enoptrdata);
    return bss || (data && !bss_only);
}

/* True when ADDRESS is among the variables of any module. */
bool globals_is_variable(const struct image *image, uint64_t address, bool bss_only)
{
    for (size_t i = 0; i < image_module_count(image); i++) {
        if (globals_module_has(module_tables(image_module(image, i)), address, bss_only)) {
            return true;
        }
    }
    return false;
}

/* Keeps a reference to a variable; one to a table of addresses (position-independent shared code)
 * becomes the address found there. */
static bool globals_keep(struct globals_search *search, struct code_reference *reference)
{
    if (globals_is_variable(search->image, reference->target, false)) {
        return true;
    }
    uint64_t address;
    if (reference->kind != CODE_REFERENCE_LOAD || (reference->target & 7) != 0 ||
        !peek_u64(&search->peek, reference->target, &address) ||
        !globals_is_variable(search->image, address, false)) {
        return false;
    }
    reference->target = address;
    reference->kind = CODE_REFERENCE_ADDRESS;
    return true;
}

/* Decodes one function. */
struct error *globals_references_init(struct globals_search *search, const char *name,
                                      struct globals_references *references)
{
    references->count = 0;
    struct function function;
    struct error *error = function_find_name(search->image, name, &function);
    if (error_catch(&error, ERROR_NOT_FOUND)) {
        return NULL;
    }
    TRY(error);
    uint64_t size = function.end - function.entry;
    if (function.end <= function.entry) {
        return NULL;
    }
    size = size > GLOBALS_CODE_MAX ? GLOBALS_CODE_MAX : size;
    uint8_t code[GLOBALS_CODE_MAX];
    error = image_read_static(search->image, function.entry, code, (size_t)size);
    if (error_catch(&error, ERROR_FAULT)) {
        return NULL;
    }
    TRY(error);
    size_t count = code_scan(search->machine, code, (size_t)size, function.entry, references->items,
                             GLOBALS_REFERENCES_MAX);
    for (size_t i = 0; i < count; i++) {
        if (globals_keep(search, &references->items[i])) {
            references->items[references->count++] = references->items[i];
        }
    }
    return NULL;
}

/* Looks at the words of HEAD. */
bool globals_is_head(const uint8_t *head, uint64_t address)
{
    uint64_t lo = bytes_u64(head);
    uint64_t hi = bytes_u64(head + 8);
    return bytes_u64(head + GLOBALS_SCHED_G) == address && lo <= hi;
}

/* Visits the words of [START, END). */
static bool globals_visit_range(struct globals_search *search, uint64_t start, uint64_t end,
                                uint8_t *buffer, globals_word_visitor *visit, void *context)
{
    start = (start + 7) & ~7ull;
    for (uint64_t at = start; at < end; at += GLOBALS_CHUNK - GLOBALS_OVERLAP) {
        size_t size = end - at < GLOBALS_CHUNK ? (size_t)(end - at) : GLOBALS_CHUNK;
        if (!peek_read(&search->peek, at, buffer, size)) {
            continue;
        }
        size_t stop = size == GLOBALS_CHUNK ? size - GLOBALS_OVERLAP : size;
        for (size_t i = 0; i < stop && size - i >= 8; i += 8) {
            if (!visit(context, at + i, buffer + i, size - i)) {
                return false;
            }
        }
    }
    return true;
}

/* Visits all modules' variables. */
struct error *globals_visit_words(struct globals_search *search, globals_word_visitor *visit,
                                  void *context)
{
    CLEANUP_FREE uint8_t *buffer = malloc(GLOBALS_CHUNK);
    if (buffer == NULL) {
        return error_no_memory();
    }
    uint64_t total = 0;
    for (size_t i = 0; i < image_module_count(search->image); i++) {
        const struct module_tables *tables = module_tables(image_module(search->image, i));
        const uint64_t ranges[][2] = {{tables->bss, tables->ebss},
                                      {tables->noptrbss, tables->enoptrbss},
                                      {tables->data, tables->edata},
                                      {tables->noptrdata, tables->enoptrdata}};
        for (size_t k = 0; k < sizeof ranges / sizeof *ranges; k++) {
            uint64_t start = ranges[k][0];
            uint64_t end = ranges[k][1];
            if (end <= start || total >= GLOBALS_WORDS_MAX) {
                continue;
            }
            uint64_t left = GLOBALS_WORDS_MAX - total;
            end = end - start > left ? start + left : end;
            total += end - start;
            if (!globals_visit_range(search, start, end, buffer, visit, context)) {
                return peek_error(&search->peek);
            }
        }
    }
    return peek_error(&search->peek);
}
