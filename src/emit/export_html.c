/* The report: one page that works offline, without scripts, and runs nothing of the target's. The
 * policy in its head permits no request at all, and no script or style but its own, by hash. */
#include "base/cleanup.h"
#include "emit/describe.h"
#include "emit/emit_asset.h"
#include "emit/export_internal.h"
#include "emit/flame_svg.h"
#include "emit/markup.h"

enum { EXPORT_HTML_STATES = 7 };

/* Frees a page. */
static void export_html_deinit(struct export_page *page)
{
    wait_summarizer_deinit(&page->waits);
    string_builder_deinit(&page->scratch);
}

/* Writes the head up to the end of <head>. */
static void export_html_head(struct export_page *page)
{
    struct emit_sink *sink = page->sink;
    emit_sink_add(sink,
                  "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                  "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                  "base-uri 'none'; form-action 'none'; style-src 'sha256-");
    emit_sink_add(sink, emit_asset_flame_css.sha256);
    emit_sink_add(sink, "' 'sha256-");
    emit_sink_add(sink, emit_asset_page_css.sha256);
    emit_sink_add(sink, "'; script-src 'sha256-");
    emit_sink_add(sink, emit_asset_flame_js.sha256);
    emit_sink_add(sink, "' 'sha256-");
    emit_sink_add(sink, emit_asset_page_js.sha256);
    emit_sink_add(sink, "'\">\n<meta name=\"referrer\" content=\"no-referrer\">\n"
                        "<meta name=\"color-scheme\" content=\"light dark\">\n"
                        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                        "<title>");
    export_add_program(&page->scratch, page->snapshot);
    string_builder_add(&page->scratch, ": goroutines");
    export_page_flush(page);
    emit_sink_add(sink, "</title>\n<style>");
    emit_sink_add_bytes(sink, emit_asset_flame_css.text, emit_asset_flame_css.size);
    emit_sink_add(sink, "</style>\n<style>");
    emit_sink_add_bytes(sink, emit_asset_page_css.text, emit_asset_page_css.size);
    emit_sink_add(sink, "</style>\n</head>\n");
}

/* Writes a fact about the program when it is known. */
static void export_html_fact(struct export_page *page, const char *name, uint32_t id)
{
    if (id != 0) {
        emit_sink_format(page->sink, "<div><dt>%s</dt><dd>", name);
        export_page_string(page, id);
        emit_sink_add(page->sink, "</dd></div>\n");
    }
}

/* Writes the build settings, a line each. */
static void export_html_settings(struct export_page *page, uint32_t id)
{
    const char *line = snapshot_string(page->snapshot, id);
    emit_sink_add(page->sink, *line != '\0' ? "<div><dt>build settings</dt><dd>" : "");
    for (bool first = true; *line != '\0'; first = false) {
        size_t size = strcspn(line, "\n");
        emit_sink_add(page->sink, first ? "<code>" : "<br>\n<code>");
        markup_add_name(page->sink, line, size);
        emit_sink_add(page->sink, "</code>");
        line += size + (line[size] == '\n');
    }
    emit_sink_add(page->sink, id != 0 ? "</dd></div>\n" : "");
}

/* Writes who the program is. */
static void export_html_header(struct export_page *page)
{
    const struct snapshot_program *program = snapshot_program(page->snapshot);
    struct emit_sink *sink = page->sink;
    emit_sink_add(sink, "<body>\n<header>\n<h1>");
    export_add_program(&page->scratch, page->snapshot);
    export_page_flush(page);
    emit_sink_add(sink, "</h1>\n<p class=\"origin\">");
    export_add_origin(&page->scratch, page->snapshot);
    export_page_flush(page);
    emit_sink_add(sink, "</p>\n<nav><a href=\"#findings\">Findings</a> <a href=\"#groups\">Groups"
                        "</a> <a href=\"#flame\">Flame graph</a> <a href=\"#waits\">Who waits for "
                        "what</a></nav>\n<details class=\"facts\"><summary>About the program"
                        "</summary>\n<dl>\n");
    export_html_fact(page, "import path", program->path);
    export_html_fact(page, "module", program->module);
    export_html_fact(page, "version", program->module_version);
    export_html_fact(page, program->modified == 1 ? "revision (modified)" : "revision",
                     program->revision);
    export_html_fact(page, "executable", program->executable);
    export_html_fact(page, "build id", program->build_id);
    export_html_settings(page, program->settings);
    emit_sink_add(sink, "</dl></details>\n</header>\n<main>\n");
}

/* Opens a card with a number. */
static void export_html_card(struct export_page *page, const char *class_, const char *name)
{
    emit_sink_format(page->sink, "<div class=\"card %s\"><span>%s</span><b>", class_, name);
}

/* Writes a card with a duration, nothing when it is unknown. */
static void export_html_duration(struct export_page *page, const char *name, int64_t ns)
{
    if (ns != SNAPSHOT_UNKNOWN) {
        export_html_card(page, "", name);
        describe_duration(&page->scratch, ns);
        export_page_flush(page);
        emit_sink_add(page->sink, "</b></div>\n");
    }
}

/* Writes a card with a count. */
static void export_html_count(struct export_page *page, const char *class_, const char *name,
                              uint64_t count)
{
    export_html_card(page, class_, name);
    markup_add_count(page->sink, count);
    emit_sink_add(page->sink, "</b></div>\n");
}

/* One state and how many goroutines are in it. */
struct export_html_state {
    uint8_t status, wait_reason;
    uint64_t goroutines;
};

/* Sums the groups up by state, the largest EXPORT_HTML_STATES - 1 and the rest; returns how many.
 */
static size_t export_html_sum_states(const struct group_list *groups,
                                     struct export_html_state *states)
{
    struct export_html_state all[WAIT_REASON_COUNT + GOROUTINE_STATUS_COUNT] = {0};
    size_t count = 0;
    for (size_t i = 0; i < groups->count; i++) {
        const struct group *group = &groups->items[i];
        const char *name = export_state(group->status, group->wait_reason);
        size_t at = 0;
        while (at < count && export_state(all[at].status, all[at].wait_reason) != name) {
            at++;
        }
        if (at == count && count < sizeof all / sizeof *all) {
            all[count++] = (struct export_html_state){group->status, group->wait_reason, 0};
        }
        all[at < count ? at : count - 1].goroutines += group->goroutines;
    }
    size_t made = 0;
    while (made < EXPORT_HTML_STATES - 1 && made < count) {
        size_t best = made;
        for (size_t i = made; i < count; i++) {
            best = all[i].goroutines > all[best].goroutines ? i : best;
        }
        states[made] = all[best];
        all[best] = all[made];
        made++;
    }
    for (size_t i = made; i < count; i++) {
        states[EXPORT_HTML_STATES - 1].goroutines += all[i].goroutines;
    }
    return made + (count > made);
}

/* Writes the bar of states and its legend. */
static void export_html_states(struct export_page *page, uint64_t total)
{
    struct export_html_state states[EXPORT_HTML_STATES] = {0};
    size_t count = export_html_sum_states(page->view->dump.groups, states);
    if (total == 0) {
        return;
    }
    emit_sink_add(page->sink, "<svg class=\"states\" viewBox=\"0 0 1000 14\" "
                              "preserveAspectRatio=\"none\" aria-hidden=\"true\">");
    uint64_t before = 0;
    for (size_t i = 0; i < count; i++) {
        emit_sink_format(page->sink,
                         "<rect class=\"s%zu\" x=\"%.2f\" width=\"%.2f\" height=\"14\"/>", i,
                         1000.0 * (double)before / (double)total,
                         1000.0 * (double)states[i].goroutines / (double)total);
        before += states[i].goroutines;
    }
    emit_sink_add(page->sink, "</svg>\n<ul class=\"legend\">\n");
    for (size_t i = 0; i < count; i++) {
        bool rest = i == EXPORT_HTML_STATES - 1;
        emit_sink_format(page->sink, "<li class=\"s%zu\">", i);
        markup_add_text(page->sink, rest ? "other states"
                                         : export_state(states[i].status, states[i].wait_reason));
        emit_sink_add(page->sink, " <b>");
        markup_add_count(page->sink, states[i].goroutines);
        emit_sink_add(page->sink, "</b></li>\n");
    }
    emit_sink_add(page->sink, "</ul>\n");
}

/* Writes the numbers at the top. */
static void export_html_summary(struct export_page *page)
{
    const struct export_view *view = page->view;
    const struct snapshot_program *program = snapshot_program(page->snapshot);
    struct dump_counts counts;
    uint64_t shown = 0;
    dump_count(&view->dump, &counts);
    for (size_t i = 0; i < view->dump.groups->count; i++) {
        shown += view->dump.groups->items[i].goroutines;
    }
    emit_sink_add(page->sink, "<section class=\"cards\" aria-label=\"Summary\">\n");
    export_html_count(page, "", "goroutines", counts.user);
    if (shown != counts.user) {
        export_html_count(page, "", "of them here, by filters", shown);
    }
    export_html_count(page, "", "groups", view->dump.groups->count);
    if (view->leaks != NULL) {
        export_html_count(page, view->leaks->findings->proved > 0 ? "bad" : "", "proved stuck",
                          view->leaks->findings->proved);
        export_html_count(page, view->leaks->findings->suspected > 0 ? "warn" : "", "suspected",
                          view->leaks->findings->suspected);
        if (view->leaks->findings->unknown > 0) {
            export_html_count(page, "", "in doubt", view->leaks->findings->unknown);
        }
    }
    export_html_count(page, "", "runtime's own", counts.system);
    if (program->threads != SNAPSHOT_UNKNOWN) {
        export_html_count(page, "", "threads", (uint64_t)program->threads);
    }
    export_html_duration(page, "reading took", program->read_ns);
    export_html_duration(page, "stopped for",
                         view->leaks != NULL ? (int64_t)view->leaks->stopped_ns
                                             : program->stopped_ns);
    emit_sink_add(page->sink, "</section>\n");
    export_html_states(page, shown);
}

/* Writes the flame graph. */
static struct error *export_html_flame(struct export_page *page)
{
    CLEANUP(flame_tree_deinit) struct flame_tree tree;
    TRY(flame_tree_init(&tree, &page->view->dump, FLAME_BY_WEIGHT, FLAME_SVG_DEPTH_MAX));
    emit_sink_add(page->sink,
                  "<section id=\"flame\">\n<h2>Flame graph</h2>\n<p class=\"hint\">Root on top; "
                  "the width is the number of goroutines; what they wait for is at the "
                  "bottom.</p>\n<svg class=\"flame legend-of-flame\" width=\"720\" height=\"16\" "
                  "viewBox=\"0 0 720 16\" aria-hidden=\"true\">");
    flame_svg_write_legend(page->sink, 0, 1);
    emit_sink_add(page->sink, "</svg>\n<div class=\"flame-box\">\n");
    TRY(flame_svg_write(&tree, NULL, page->sink));
    emit_sink_add(page->sink, "</div>\n</section>\n");
    return NULL;
}

/* Writes what degraded the look, and the end. */
static void export_html_end(struct export_page *page)
{
    size_t count;
    const char *const *notes = snapshot_notes(page->snapshot, &count);
    if (count > 0) {
        emit_sink_add(page->sink, "<section id=\"notes\">\n<h2>Notes</h2>\n<ul>\n");
    }
    for (size_t i = 0; i < count; i++) {
        emit_sink_add(page->sink, "<li>");
        markup_add_text(page->sink, notes[i]);
        emit_sink_add(page->sink, "</li>\n");
    }
    emit_sink_add(page->sink, count > 0 ? "</ul>\n</section>\n" : "");
    emit_sink_add(page->sink, "</main>\n<footer>Written by unpark " UNPARK_VERSION
                              ". This page is one file, makes no request and runs nothing of the "
                              "program that it shows.</footer>\n<script>");
    emit_sink_add_bytes(page->sink, emit_asset_flame_js.text, emit_asset_flame_js.size);
    emit_sink_add(page->sink, "</script>\n<script>");
    emit_sink_add_bytes(page->sink, emit_asset_page_js.text, emit_asset_page_js.size);
    emit_sink_add(page->sink, "</script>\n</body>\n</html>\n");
}

/* Writes the page. */
struct error *export_html_write(const struct export_view *view, struct emit_sink *sink)
{
    CLEANUP(export_html_deinit)
    struct export_page page = {.view = view, .snapshot = view->dump.snapshot, .sink = sink};
    TRY(wait_summarizer_init(&page.waits, page.snapshot));
    export_html_head(&page);
    export_html_header(&page);
    export_html_summary(&page);
    export_page_findings(&page);
    export_page_groups(&page);
    TRY(export_html_flame(&page));
    TRY(export_page_graph(&page));
    export_html_end(&page);
    return emit_sink_flush(sink);
}
