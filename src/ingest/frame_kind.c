/* The standard library's packages have no dot in their first path element, but so do modules such
 * as "app/pool": hence the list of first elements (Go 1.18 to 1.27), together with the place of the
 * file: GOROOT/src/PACKAGE/, or PACKAGE/ when built with -trimpath. */
#include "ingest/frame_kind.h"
#include "goruntime/symbol_name.h"
#include "snapshot/snapshot.h"
#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/* First elements of import paths, sorted. */
static const char *const frame_kind_library[] = {
    "archive", "arena",    "bufio",   "bytes",   "cmp",      "compress", "container", "context",
    "crypto",  "database", "debug",   "embed",   "encoding", "errors",   "expvar",    "flag",
    "fmt",     "go",       "hash",    "html",    "image",    "index",    "internal",  "io",
    "iter",    "log",      "maps",    "math",    "mime",     "net",      "os",        "path",
    "plugin",  "reflect",  "regexp",  "runtime", "slices",   "sort",     "strconv",   "strings",
    "structs", "sync",     "syscall", "testing", "text",     "time",     "unicode",   "unique",
    "uuid",    "vendor",   "weak",
};

/* True when the first SIZE bytes of NAME, a package, begin with an element of the list. */
static bool frame_kind_is_listed(const char *name, size_t size)
{
    const char *slash = memchr(name, '/', size);
    size_t first = slash == NULL ? size : (size_t)(slash - name);
    for (size_t i = 0; i < sizeof frame_kind_library / sizeof *frame_kind_library; i++) {
        if (strlen(frame_kind_library[i]) == first &&
            memcmp(frame_kind_library[i], name, first) == 0) {
            return true;
        }
    }
    return false;
}

/* True when FILE lies in a folder that ends in the package NAME (SIZE bytes). */
static bool frame_kind_is_place(const char *name, size_t size, const char *file)
{
    const char *slash = strrchr(file, '/');
    size_t folder = slash == NULL ? 0 : (size_t)(slash - file);
    static const char src[] = "/src/";
    const size_t src_size = sizeof src - 1;
    if (folder < size || memcmp(file + folder - size, name, size) != 0) {
        return false;
    }
    return folder == size || (folder >= size + src_size &&
                              memcmp(file + folder - size - src_size, src, src_size) == 0);
}

/* True when the name is one that Go's traceback hides: of package runtime and not exported, or
 * assembly without a package. */
static bool frame_kind_is_hidden(const char *function)
{
    static const char runtime[] = "runtime.";
    if (strchr(function, '.') == NULL) {
        return strcmp(function, "panic") != 0;
    }
    if (strncmp(function, runtime, sizeof runtime - 1) != 0) {
        return false;
    }
    const char *rest = function + sizeof runtime - 1;
    const char *dot = strrchr(rest, '.');
    const char *receiver = strncmp(rest, "(*", 2) == 0 ? rest + 2 : rest;
    bool exported = isupper((unsigned char)*receiver) != 0;
    return !exported || (dot != NULL && isupper((unsigned char)dot[1]) == 0);
}

uint32_t frame_kind(const char *function, const char *file)
{
    if (*function == '\0') {
        return 0;
    }
    if (symbol_name_is_runtime(function)) {
        return FRAME_RUNTIME | (frame_kind_is_hidden(function) ? FRAME_HIDDEN : 0u);
    }
    size_t size = symbol_name_package(function);
    bool library = frame_kind_is_listed(function, size) &&
                   (*file == '\0' || frame_kind_is_place(function, size, file));
    return library ? FRAME_STANDARD_LIBRARY : 0;
}
