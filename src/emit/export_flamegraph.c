#include "base/cleanup.h"
#include "emit/export_internal.h"
#include "emit/flame_svg.h"

/* Writes the file. */
struct error *export_flamegraph_write(const struct export_view *view, struct emit_sink *sink)
{
    CLEANUP(flame_tree_deinit) struct flame_tree tree;
    CLEANUP(string_builder_deinit) struct string_builder heading = {0};
    CLEANUP(string_builder_deinit) struct string_builder subheading = {0};
    TRY(flame_tree_init(&tree, &view->dump, FLAME_BY_WEIGHT, FLAME_SVG_DEPTH_MAX));
    uint64_t total = tree.nodes.items[FLAME_TREE_ROOT].total;
    export_add_program(&heading, view->dump.snapshot);
    string_builder_format(&heading, ": %llu goroutine%s", (unsigned long long)total,
                          total == 1 ? "" : "s");
    export_add_origin(&subheading, view->dump.snapshot);
    TRY(string_builder_error(&heading));
    TRY(string_builder_error(&subheading));
    struct flame_svg_frame frame = {.heading = string_builder_text(&heading),
                                    .subheading = string_builder_text(&subheading)};
    emit_sink_add(sink, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    TRY(flame_svg_write(&tree, &frame, sink));
    return emit_sink_flush(sink);
}
