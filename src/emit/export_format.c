#include "emit/export_format.h"
#include <strings.h>

/* Go's own traceback. */
static struct error *export_format_go(const struct export_view *view, struct emit_sink *sink)
{
    return dump_go_write(&view->dump, sink);
}

/* One JSON object. */
static struct error *export_format_json(const struct export_view *view, struct emit_sink *sink)
{
    return dump_json_write(&view->dump, sink);
}

/* JSON lines. */
static struct error *export_format_ndjson(const struct export_view *view, struct emit_sink *sink)
{
    return dump_json_write_lines(&view->dump, sink);
}

#define EXTENSIONS(...) ((const char *const[]){__VA_ARGS__, NULL})

static const struct export_format export_format_records[] = {
    {.name = "html",
     .extensions = EXTENSIONS(".html", ".htm"),
     .summary = "a page with findings, groups, flame graph and who waits for what; one file that "
                "works offline",
     .objects = true,
     .findings = EXPORT_FINDINGS_ALWAYS,
     .write = export_html_write},
    {.name = "flamegraph",
     .extensions = EXTENSIONS(".svg"),
     .summary = "an SVG flame graph with search and zoom; one file that works offline",
     .write = export_flamegraph_write},
    {.name = "go",
     .extensions = EXTENSIONS(".txt"),
     .summary = "Go's own traceback text, arguments included",
     .single = true,
     .arguments = true,
     .findings = EXPORT_FINDINGS_ON_REQUEST,
     .write = export_format_go},
    {.name = "json",
     .extensions = EXTENSIONS(".json"),
     .summary = "one JSON object, as of unpark dump --json",
     .each = true,
     .objects = true,
     .write = export_format_json},
    {.name = "ndjson",
     .extensions = EXTENSIONS(".ndjson", ".jsonl"),
     .summary = "the same as lines, a JSON object each",
     .each = true,
     .objects = true,
     .write = export_format_ndjson},
    {.name = "csv",
     .extensions = EXTENSIONS(".csv"),
     .summary = "a table for spreadsheets and data frames (RFC 4180)",
     .each = true,
     .objects = true,
     .write = export_csv_write},
    {.name = "pprof",
     .extensions = EXTENSIONS(".pb.gz", ".pprof"),
     .summary = "a profile for go tool pprof and its like; --each adds ids, states and ages, "
                "--freeze the leaks",
     .each = true,
     .findings = EXPORT_FINDINGS_ON_REQUEST,
     .write = export_pprof_write},
    {.name = "folded",
     .extensions = EXTENSIONS(".folded", ".collapsed"),
     .summary = "folded stacks, a line each: root;...;leaf;[wait reason] COUNT",
     .write = export_folded_write},
    {.name = "speedscope",
     .extensions = EXTENSIONS(".speedscope.json", ".speedscope"),
     .summary = "a profile for speedscope.app",
     .write = export_speedscope_write},
    {.name = "mermaid",
     .extensions = EXTENSIONS(".mmd", ".mermaid"),
     .summary = "who waits for what, for pull requests and wikis",
     .objects = true,
     .findings = EXPORT_FINDINGS_ALWAYS,
     .write = export_mermaid_write},
    {.name = "dot",
     .extensions = EXTENSIONS(".dot", ".gv"),
     .summary = "the same for Graphviz",
     .objects = true,
     .findings = EXPORT_FINDINGS_ALWAYS,
     .write = export_dot_write},
};

/* The records. */
const struct export_format *export_formats(size_t *count)
{
    *count = sizeof export_format_records / sizeof *export_format_records;
    return export_format_records;
}

/* Finds by name. */
const struct export_format *export_format_find(const char *name)
{
    size_t count;
    const struct export_format *formats = export_formats(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(formats[i].name, name) == 0) {
            return &formats[i];
        }
    }
    return NULL;
}

/* Finds by a file's name. */
const struct export_format *export_format_of_file(const char *path)
{
    const struct export_format *best = NULL;
    size_t best_size = 0;
    size_t path_size = strlen(path);
    size_t count;
    const struct export_format *formats = export_formats(&count);
    for (size_t i = 0; i < count; i++) {
        for (const char *const *end = formats[i].extensions; *end != NULL; end++) {
            size_t size = strlen(*end);
            if (size > best_size && size < path_size &&
                strcasecmp(path + path_size - size, *end) == 0) {
                best = &formats[i];
                best_size = size;
            }
        }
    }
    return best;
}
