#include "http/pprof_page.h"
#include "base/cleanup.h"
#include "emit/markup.h"
#include <stdlib.h>

/* One profile. */
static const struct pprof_page_row {
    const char *name;
    const char *meaning;
} pprof_page_rows[] = {
    {"goroutine", "stack traces of all goroutines; with debug=2 as the program itself would print "
                  "them when it crashes"},
    {"goroutineleak",
     "stack traces of the goroutines that can never run again: proved from outside, "
     "for which the program may be stopped for some milliseconds"},
};

/* Writes a link to profile NAME with DEBUG. */
static void pprof_page_link(struct emit_sink *sink, const char *name, const char *debug,
                            const char *token, const char *text)
{
    emit_sink_add(sink, "<a href=\"/debug/pprof/");
    emit_sink_add(sink, name);
    emit_sink_add(sink, "?debug=");
    emit_sink_add(sink, debug);
    if (token != NULL) {
        emit_sink_add(sink, "&amp;token=");
        markup_add_text(sink, token);
    }
    emit_sink_add(sink, "\">");
    emit_sink_add(sink, text);
    emit_sink_add(sink, "</a>");
}

/* Writes string ID after BEFORE, when it is known. */
static void pprof_page_string(struct emit_sink *sink, const struct snapshot *snapshot,
                              const char *before, uint32_t id)
{
    if (id != 0) {
        emit_sink_add(sink, before);
        markup_add_name(sink, snapshot_string(snapshot, id), snapshot_string_size(snapshot, id));
    }
}

/* Writes what is looked at, and how many goroutines it has. */
static void pprof_page_head(struct emit_sink *sink, const struct snapshot *snapshot)
{
    const struct snapshot_program *program = snapshot_program(snapshot);
    size_t count;
    uint64_t total = 0;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(snapshot, &count);
    for (size_t i = 0; i < count; i++) {
        total += (goroutines[i].flags & GOROUTINE_SYSTEM) != 0 ? 0 : goroutines[i].count;
    }
    emit_sink_add(sink, "<h1>/debug/pprof/</h1>\n<p>");
    pprof_page_string(sink, snapshot, "", program->source);
    pprof_page_string(sink, snapshot, ": ", program->executable);
    pprof_page_string(sink, snapshot, ", ", program->module);
    pprof_page_string(sink, snapshot, " ", program->module_version);
    pprof_page_string(sink, snapshot, ", ", program->go_version);
    emit_sink_add(sink, "<br>\n");
    markup_add_count(sink, total);
    emit_sink_add(sink, " goroutines. Read from outside by Unpark: the program serves nothing "
                        "itself.</p>\n");
}

/* Writes the page. */
static void pprof_page_write(struct emit_sink *sink, const struct snapshot *snapshot,
                             const char *token)
{
    emit_sink_add(sink, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                        "<title>/debug/pprof/</title>\n<style>body{font-family:sans-serif;"
                        "margin:2em;max-width:50em}td{padding:.2em 1em .2em 0;vertical-align:top}"
                        "</style>\n</head>\n<body>\n");
    pprof_page_head(sink, snapshot);
    emit_sink_add(sink, "<table>\n");
    for (size_t i = 0; i < sizeof pprof_page_rows / sizeof *pprof_page_rows; i++) {
        const struct pprof_page_row *row = &pprof_page_rows[i];
        emit_sink_add(sink, "<tr><td>");
        pprof_page_link(sink, row->name, "1", token, row->name);
        emit_sink_add(sink, "</td><td>");
        pprof_page_link(sink, row->name, "2", token, "full");
        emit_sink_add(sink, "</td><td>");
        pprof_page_link(sink, row->name, "0", token, "pprof");
        emit_sink_add(sink, "</td><td>");
        emit_sink_add(sink, row->meaning);
        emit_sink_add(sink, "</td></tr>\n");
    }
    emit_sink_add(sink, "</table>\n</body>\n</html>\n");
}

struct error *pprof_page_make(const struct snapshot *snapshot, const char *token, char **ret)
{
    CLEANUP(string_builder_deinit) struct string_builder text = {0};
    struct emit_sink sink;
    TRY(emit_sink_init(&sink, emit_sink_write_builder, &text));
    pprof_page_write(&sink, snapshot, token);
    struct error *error = emit_sink_flush(&sink);
    emit_sink_deinit(&sink);
    TRY(error);
    return string_builder_take(&text, ret);
}
