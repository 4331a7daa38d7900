/* Findings and groups. */
#include "emit/export_internal.h"
#include "emit/markup.h"

enum { EXPORT_PAGE_FINDINGS = 200, EXPORT_PAGE_GROUPS = 500, EXPORT_PAGE_IDS = 20 };

/* The word and the class of a verdict. */
static const char *const export_page_verdicts[LEAK_VERDICT_COUNT][2] = {
    [LEAK_VERDICT_WAITING] = {"waiting", "unknown"},
    [LEAK_VERDICT_PROVED] = {"proved stuck", "proved"},
    [LEAK_VERDICT_SUSPECTED] = {"suspected", "suspected"},
    [LEAK_VERDICT_SYSTEM] = {"system", "unknown"},
    [LEAK_VERDICT_UNKNOWN] = {"in doubt", "unknown"},
};

/* Writes up to EXPORT_PAGE_IDS ids of MEMBERS, which stand for GOROUTINES. */
static void export_page_ids(struct export_page *page, const uint32_t *members, size_t count,
                            uint64_t goroutines)
{
    size_t all;
    const struct snapshot_goroutine *items = snapshot_goroutines(page->snapshot, &all);
    if ((items[members[0]].flags & GOROUTINE_ID_UNKNOWN) != 0) {
        return;
    }
    size_t shown = count < EXPORT_PAGE_IDS ? count : EXPORT_PAGE_IDS;
    emit_sink_add(page->sink,
                  goroutines == 1 ? "<p class=\"ids\">goroutine " : "<p class=\"ids\">goroutines ");
    for (size_t i = 0; i < shown; i++) {
        emit_sink_format(page->sink, "%s%llu", i > 0 ? ", " : "",
                         (unsigned long long)items[members[i]].id);
    }
    if (goroutines > shown) {
        emit_sink_add(page->sink, " and ");
        markup_add_count(page->sink, goroutines - shown);
        emit_sink_add(page->sink, " more");
    }
    emit_sink_add(page->sink, "</p>\n");
}

/* Writes why a verdict was given. */
static void export_page_why(struct export_page *page, const struct finding *finding)
{
    emit_sink_add(page->sink, "<p class=\"why\">");
    if (finding->verdict == LEAK_VERDICT_PROVED) {
        bool nothing =
            finding->class_ == LEAK_CLASS_NIL_CHANNEL || finding->class_ == LEAK_CLASS_EMPTY_SELECT;
        emit_sink_add(page->sink, nothing
                                      ? "Nothing can ever wake it."
                                      : "Nothing that can still run reaches what it waits for.");
    } else if (finding->verdict == LEAK_VERDICT_UNKNOWN) {
        emit_sink_add(page->sink, "It looks stuck, but there is doubt: ");
        markup_add_text(page->sink, leak_reason_text(finding->reason));
        emit_sink_add(page->sink, ".");
    } else if (finding->evidence != NULL) {
        emit_sink_add(page->sink, "Because ");
        markup_add_text(page->sink, finding->evidence);
        emit_sink_add(page->sink, ".");
    }
    emit_sink_add(page->sink, "</p>\n");
}

/* Writes the causes, best first. */
static void export_page_causes(struct export_page *page, const struct finding *finding)
{
    for (size_t i = 0; i < finding->cause_count; i++) {
        const struct finding_cause *cause = &finding->causes[i];
        emit_sink_add(page->sink,
                      i == 0 ? "<dl class=\"cause\"><dt>" : "<dl class=\"cause or\"><dt>");
        emit_sink_add(page->sink, i == 0 ? "Why: " : "Or: ");
        markup_add_text(page->sink, cause->cause->title);
        if (cause->evidence != NULL && cause->evidence[0] != '\0') {
            emit_sink_add(page->sink, " <i>(");
            markup_add_text(page->sink, cause->evidence);
            emit_sink_add(page->sink, ")</i>");
        }
        emit_sink_add(page->sink, "</dt>\n<dd><b>Should have woken it</b> ");
        markup_add_text(page->sink, cause->cause->waker);
        emit_sink_add(page->sink, "</dd>\n<dd class=\"fix\"><b>Fix</b> ");
        markup_add_text(page->sink, cause->cause->fix);
        emit_sink_add(page->sink, "</dd></dl>\n");
    }
}

/* Writes who may hold or should have woken what is waited for. */
static void export_page_wakers(struct export_page *page, const struct finding *finding)
{
    size_t all;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(page->snapshot, &all);
    for (size_t i = 0; i < finding->waker_count; i++) {
        const struct finding_reference *waker = &finding->wakers[i];
        const struct snapshot_goroutine *goroutine = &goroutines[waker->goroutine];
        emit_sink_format(page->sink, "<p class=\"waker\">May hold or wake it: goroutine %llu [",
                         (unsigned long long)goroutine->id);
        markup_add_text(page->sink, export_state(goroutine->status, goroutine->wait_reason));
        emit_sink_add(page->sink, "]");
        if (waker->function[0] != '\0') {
            emit_sink_add(page->sink, ", which refers to it in <code>");
            markup_add_name(page->sink, waker->function, strlen(waker->function));
            emit_sink_add(page->sink, "</code>");
        }
        emit_sink_add(page->sink, "</p>\n");
    }
}

/* Who created the goroutines of FINDING. */
static struct stack_text_creator export_page_find_creator(const struct export_page *page,
                                                          const struct finding *finding)
{
    size_t all;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(page->snapshot, &all);
    struct stack_text_creator creator = {.frame = finding->creator,
                                         .parent = goroutines[finding->members[0]].parent};
    for (size_t i = 1; i < finding->count && !creator.several; i++) {
        creator.several = goroutines[finding->members[i]].parent != creator.parent;
    }
    return creator;
}

/* Writes one finding. */
static void export_page_finding(struct export_page *page, const struct finding *finding)
{
    struct stack_text_creator creator = export_page_find_creator(page, finding);
    const char *const *words = export_page_verdicts[finding->verdict];
    emit_sink_format(page->sink,
                     "<article class=\"finding %s\">\n<h3><span class=\"badge\">%s</span> ",
                     words[1], words[0]);
    markup_add_count(page->sink, finding->goroutines);
    emit_sink_add(page->sink, finding->goroutines == 1 ? " goroutine in " : " goroutines in ");
    markup_add_text(page->sink, export_state(finding->status, finding->wait_reason));
    if (finding->age_max_ns != SNAPSHOT_UNKNOWN) {
        emit_sink_add(page->sink, " <span class=\"age\">for ");
        export_page_age(page, finding->age_min_ns, finding->age_max_ns);
        emit_sink_add(page->sink, "</span>");
    }
    emit_sink_add(page->sink, "</h3>\n<p class=\"where\">");
    export_page_frame(page, snapshot_user_frame(page->snapshot, finding->stack));
    emit_sink_add(page->sink, "</p>\n");
    export_page_waits(page, finding->members, finding->count);
    export_page_why(page, finding);
    export_page_wakers(page, finding);
    export_page_causes(page, finding);
    emit_sink_add(page->sink, "<details><summary>Stack and ids</summary>\n");
    export_page_stack(page, finding->stack, &creator);
    export_page_ids(page, finding->members, finding->count, finding->goroutines);
    emit_sink_add(page->sink, "</details>\n");
    if (finding->followers > 0) {
        emit_sink_format(page->sink, "<p class=\"waker\">%llu more wait behind %s.</p>\n",
                         (unsigned long long)finding->followers,
                         finding->goroutines == 1 ? "it" : "them");
    }
    emit_sink_add(page->sink, "</article>\n");
}

/* Writes what the list of findings lacks, and how to get it. */
static void export_page_obstacle(struct export_page *page)
{
    const struct export_view *view = page->view;
    const char *obstacle = view->leaks != NULL ? view->leaks->obstacle : view->leaks_obstacle;
    if (obstacle != NULL) {
        emit_sink_add(page->sink, view->leaks != NULL
                                      ? "<p class=\"hint\">Nothing could be proved: "
                                      : "<p class=\"hint\">Findings could not be made: ");
        markup_add_text(page->sink, obstacle);
        emit_sink_add(page->sink, "</p>\n");
    } else if (view->leaks == NULL) {
        emit_sink_add(page->sink, "<p class=\"hint\">Findings were not asked for.</p>\n");
    } else if (!view->leaks->consistent) {
        emit_sink_add(page->sink,
                      "<p class=\"hint\">The program was not stopped, so nothing here is proved: "
                      "<code>--freeze auto</code> stops it for a moment when there is something to "
                      "prove.</p>\n");
    }
}

/* Writes the findings. */
void export_page_findings(struct export_page *page)
{
    const struct leaks_view *leaks = page->view->leaks;
    size_t count = leaks != NULL ? leaks->findings->count : 0;
    emit_sink_add(page->sink, "<section id=\"findings\">\n<h2>Findings</h2>\n");
    export_page_obstacle(page);
    if (leaks != NULL && count == 0) {
        emit_sink_add(page->sink, leaks->consistent
                                      ? "<p class=\"good\">No goroutine is proved stuck or "
                                        "suspected.</p>\n"
                                      : "<p class=\"hint\">No goroutine is suspected.</p>\n");
    }
    for (size_t i = 0; i < count && i < EXPORT_PAGE_FINDINGS; i++) {
        export_page_finding(page, &leaks->findings->items[i]);
    }
    if (count > EXPORT_PAGE_FINDINGS) {
        emit_sink_format(page->sink, "<p class=\"hint\">%zu more findings are not shown.</p>\n",
                         count - EXPORT_PAGE_FINDINGS);
    }
    emit_sink_add(page->sink, "</section>\n");
}

/* Writes the labels that a group's members share. */
static void export_page_labels(struct export_page *page, const struct group *group)
{
    size_t count = 0;
    const struct snapshot_label *labels =
        group->labels_differ ? NULL : snapshot_labels(page->snapshot, group->labels, &count);
    if (group->labels_differ) {
        emit_sink_add(page->sink, "<p class=\"labels\">labels differ</p>\n");
    }
    for (size_t i = 0; i < count; i++) {
        emit_sink_add(page->sink, i == 0 ? "<p class=\"labels\">" : " ");
        emit_sink_add(page->sink, "<span class=\"label\">");
        export_page_string(page, labels[i].key);
        emit_sink_add(page->sink, "=");
        export_page_string(page, labels[i].value);
        emit_sink_add(page->sink, "</span>");
    }
    emit_sink_add(page->sink, count > 0 ? "</p>\n" : "");
}

/* Writes one group. */
static void export_page_group(struct export_page *page, const struct group *group, uint64_t largest)
{
    struct stack_text_creator creator = {
        .frame = group->creator, .parent = group->parent, .several = group->parents_differ};
    emit_sink_add(page->sink, "<details class=\"group\"><summary><span class=\"count\">");
    markup_add_count(page->sink, group->goroutines);
    emit_sink_format(page->sink,
                     "</span><svg class=\"bar\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" "
                     "aria-hidden=\"true\"><rect width=\"%.2f\" height=\"8\" rx=\"2\"/></svg>"
                     "<span class=\"state\">",
                     100.0 * (double)group->goroutines / (double)(largest == 0 ? 1 : largest));
    markup_add_text(page->sink, export_state(group->status, group->wait_reason));
    emit_sink_add(page->sink, "</span><span class=\"age\">");
    export_page_age(page, group->age_min_ns, group->age_max_ns);
    emit_sink_add(page->sink, "</span><span class=\"where\">");
    uint32_t frame = snapshot_user_frame(page->snapshot, group->stack);
    size_t all;
    export_page_frame(
        page,
        frame != 0 ? frame : snapshot_goroutines(page->snapshot, &all)[group->members[0]].start);
    emit_sink_add(page->sink, "</span></summary>\n");
    export_page_waits(page, group->members, group->count);
    export_page_labels(page, group);
    export_page_stack(page, group->stack, &creator);
    export_page_ids(page, group->members, group->count, group->goroutines);
    emit_sink_add(page->sink, "</details>\n");
}

/* Writes the groups. */
void export_page_groups(struct export_page *page)
{
    const struct group_list *groups = page->view->dump.groups;
    size_t limit = page->view->dump.limit != 0 && page->view->dump.limit < EXPORT_PAGE_GROUPS
                       ? page->view->dump.limit
                       : EXPORT_PAGE_GROUPS;
    uint64_t largest = 0;
    uint64_t hidden = 0;
    for (size_t i = 0; i < groups->count; i++) {
        uint64_t goroutines = groups->items[i].goroutines;
        largest = goroutines > largest ? goroutines : largest;
        hidden += i >= limit ? goroutines : 0;
    }
    emit_sink_add(page->sink,
                  "<section id=\"groups\">\n<h2>Groups</h2>\n<p class=\"hint\">Goroutines with the "
                  "same stack, creator and wait. A line opens.</p>\n<div class=\"tools\"></div>\n"
                  "<div class=\"list\">\n");
    for (size_t i = 0; i < groups->count && i < limit && !emit_sink_failed(page->sink); i++) {
        export_page_group(page, &groups->items[i], largest);
    }
    emit_sink_add(page->sink, "</div>\n");
    if (groups->count > limit) {
        emit_sink_add(page->sink, "<p class=\"hint\">");
        markup_add_count(page->sink, groups->count - limit);
        emit_sink_add(page->sink, " more groups with ");
        markup_add_count(page->sink, hidden);
        emit_sink_add(page->sink, " goroutines are not listed; the flame graph has them, and so "
                                  "has <code>unpark export --format json</code>.</p>\n");
    }
    emit_sink_add(page->sink, groups->count == 0 ? "<p class=\"hint\">None.</p>\n" : "");
    emit_sink_add(page->sink, "</section>\n");
}
