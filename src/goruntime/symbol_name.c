/* runtime/traceback.go: funcNamePiecesForPrint, showfuncinfo, isExportedRuntime,
 * elideWrapperCalling. What changed: 1.21 prints "[...]" itself (before, the linker wrote it), 1.23
 * counts exported methods of exported runtime types as exported, 1.25 always shows runFinalizers
 * and runCleanups, 1.27 knows generic methods. */
#include "goruntime/symbol_name.h"

#include <string.h>

enum {
    SYMBOL_BRACKETS_SINCE = 21,
    SYMBOL_EXPORTED_METHODS_SINCE = 23,
    SYMBOL_RUNNERS_SINCE = 25,
    SYMBOL_GENERIC_METHODS_SINCE = 27
};

static const char symbol_runtime[] = "runtime.";
static const char symbol_gopanic[] = "runtime.gopanic";

/* True when TEXT starts with PREFIX. */
static bool symbol_has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The text between two groups of brackets at the same depth in SIZE bytes at TEXT, which begin
 * inside of the first group and end inside of the last: "int].m[string" gives ".m". False with
 * *BALANCED when the brackets of TEXT are balanced, hence one group; false without it when they
 * make no sense. */
static bool symbol_name_between(const char *text, size_t size, const char **ret, size_t *size_ret,
                                bool *balanced)
{
    int depth = 1;
    const char *right = NULL;
    *balanced = memchr(text, '[', size) == NULL;
    if (*balanced) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '[' && ++depth == 1) {
            *ret = right + 1;
            *size_ret = (size_t)(text + i - right) - 1;
            return true;
        }
        if (text[i] == ']') {
            depth--;
            if (depth < 0) {
                return false;
            }
            if (depth == 0) {
                right = text + i;
            }
        }
    }
    *balanced = depth == 1 && right == NULL;
    return false;
}

/* Appends a name with type arguments replaced; a panic has no package. */
void symbol_name_add_printed(int32_t minor, const char *name, struct string_builder *ret)
{
    const char *left = minor >= SYMBOL_BRACKETS_SINCE ? strchr(name, '[') : NULL;
    const char *right = left == NULL ? NULL : strrchr(name, ']');
    if (left == NULL || right == NULL || right <= left) {
        string_builder_add(ret, strcmp(name, symbol_gopanic) == 0 ? "panic" : name);
        return;
    }
    const char *between = "";
    size_t size = 0;
    bool two = false;
    bool balanced = true;
    if (minor >= SYMBOL_GENERIC_METHODS_SINCE) {
        two = symbol_name_between(left + 1, (size_t)(right - left) - 1, &between, &size, &balanced);
    }
    if (!two && !balanced) {
        string_builder_add(ret, name);
        return;
    }
    string_builder_add_bytes(ret, name, (size_t)(left - name));
    string_builder_add(ret, "[...]");
    if (two) {
        string_builder_add_bytes(ret, between, size);
        string_builder_add(ret, "[...]");
    }
    string_builder_add(ret, right + 1);
}

/* A wrapper is shown when it called a panic instead of the function. */
bool symbol_name_is_elided(const struct layout *layout, uint8_t func_id, uint8_t callee_id)
{
    return func_id == layout->func_id_wrapper && callee_id != layout->func_id_gopanic &&
           callee_id != layout->func_id_sigpanic && callee_id != layout->func_id_panicwrap;
}

/* True for an upper-case ASCII letter. */
static bool symbol_is_upper(char character)
{
    return character >= 'A' && character <= 'Z';
}

/* True when NAME, in package runtime, is exported. */
static bool symbol_name_is_exported(int32_t minor, const char *name)
{
    const char *rest = name + sizeof symbol_runtime - 1;
    const char *dot = strrchr(rest, '.');
    if (minor < SYMBOL_EXPORTED_METHODS_SINCE || dot == NULL) {
        return symbol_is_upper(*rest);
    }
    size_t size = (size_t)(dot - rest);
    bool pointer = size >= 3 && rest[0] == '(' && rest[1] == '*' && rest[size - 1] == ')';
    const char *receiver = pointer ? rest + 2 : rest;
    return symbol_is_upper(dot[1]) && (size == 0 || symbol_is_upper(*receiver));
}

/* Decides whether a frame is shown. */
bool symbol_name_is_shown(const struct layout *layout, const char *name, uint8_t func_id,
                          uint8_t callee_id, bool first)
{
    if (symbol_name_is_elided(layout, func_id, callee_id)) {
        return false;
    }
    if (layout->minor >= SYMBOL_RUNNERS_SINCE &&
        (func_id == layout->func_id_run_finalizers || func_id == layout->func_id_run_cleanups)) {
        return true;
    }
    if (!first && strcmp(name, symbol_gopanic) == 0) {
        return true;
    }
    return strchr(name, '.') != NULL && (!symbol_has_prefix(name, symbol_runtime) ||
                                         symbol_name_is_exported(layout->minor, name));
}

/* The package ends at the first dot behind the last slash that is not part of type arguments. */
size_t symbol_name_package(const char *name)
{
    size_t end = strcspn(name, "[");
    size_t start = end;
    while (start > 0 && name[start - 1] != '/') {
        start--;
    }
    const char *dot = memchr(name + start, '.', end - start);
    return dot == NULL ? 0 : (size_t)(dot - name);
}

/* Decides by the package. */
bool symbol_name_is_runtime(const char *name)
{
    return symbol_has_prefix(name, symbol_runtime) || symbol_has_prefix(name, "runtime/") ||
           symbol_has_prefix(name, "internal/runtime/") || symbol_name_package(name) == 0;
}
