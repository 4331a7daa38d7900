/* JSON: docs/json.md, schema "unpark.graph/1". Nodes have ids of this document only. */
#include "base/cleanup.h"
#include "emit/describe.h"
#include "emit/dump.h"
#include "emit/graph_internal.h"
#include "emit/json_writer.h"

/* Writes the text of BUILDER as the value of NAME, and empties it. */
static void graph_json_text(struct json_writer *writer, const char *name,
                            struct string_builder *builder)
{
    json_writer_string(writer, name, string_builder_text(builder), builder->size);
    string_builder_clear(builder);
}

/* Writes the groups. */
static void graph_json_groups(const struct graph_view *view, struct json_writer *writer)
{
    json_writer_begin_array(writer, "groups");
    for (size_t i = 0; i < view->graph->group_count; i++) {
        const struct wait_graph_group *item = &view->graph->groups[i];
        const struct group *group = item->group;
        uint32_t frame = snapshot_user_frame(view->snapshot, group->stack);
        json_writer_begin_object(writer, NULL);
        json_writer_u64(writer, "id", i);
        json_writer_u64(writer, "goroutines", group->goroutines);
        json_writer_u64(writer, "proved", item->proved);
        json_writer_text(writer, "state",
                         goroutine_status_text((enum goroutine_status)group->status));
        json_writer_text(writer, "wait_reason",
                         group->wait_reason == WAIT_REASON_NONE
                             ? NULL
                             : wait_reason_text((enum wait_reason)group->wait_reason));
        json_writer_known(writer, "age_max_ns", group->age_max_ns);
        if (frame == 0) {
            json_writer_null(writer, "function");
            json_writer_null(writer, "file");
            json_writer_null(writer, "line");
        } else {
            const struct snapshot_frame *place = snapshot_frame(view->snapshot, frame);
            json_writer_string(writer, "function", snapshot_string(view->snapshot, place->function),
                               snapshot_string_size(view->snapshot, place->function));
            json_writer_string(writer, "file", snapshot_string(view->snapshot, place->file),
                               snapshot_string_size(view->snapshot, place->file));
            json_writer_i64(writer, "line", place->line);
        }
        json_writer_end_object(writer);
    }
    json_writer_end_array(writer);
}

/* Writes the objects. */
static struct error *graph_json_objects(const struct graph_view *view, struct string_builder *text,
                                        struct json_writer *writer)
{
    json_writer_begin_array(writer, "objects");
    for (size_t i = 0; i < view->graph->object_count; i++) {
        const struct wait_graph_object *item = &view->graph->objects[i];
        json_writer_begin_object(writer, NULL);
        json_writer_u64(writer, "id", i);
        json_writer_text(writer, "kind", describe_kind((enum snapshot_object_kind)item->kind));
        json_writer_u64(writer, "objects", item->objects);
        json_writer_address(writer, "example",
                            snapshot_object(view->snapshot, item->example)->address);
        TRY(describe_object(text, view->snapshot, item->example));
        graph_json_text(writer, "text", text);
        json_writer_end_object(writer);
    }
    json_writer_end_array(writer);
    return NULL;
}

/* Writes the edges. */
static void graph_json_edges(const struct wait_graph *graph, struct json_writer *writer)
{
    json_writer_begin_array(writer, "waits");
    for (size_t i = 0; i < graph->wait_count; i++) {
        const struct wait_graph_wait *wait = &graph->waits[i];
        json_writer_begin_object(writer, NULL);
        json_writer_u64(writer, "group", wait->group);
        json_writer_u64(writer, "object", wait->object);
        json_writer_text(writer, "direction", graph_wait_word(wait));
        json_writer_u64(writer, "goroutines", wait->goroutines);
        json_writer_end_object(writer);
    }
    json_writer_end_array(writer);
    json_writer_begin_array(writer, "reaches");
    for (size_t i = 0; i < graph->reach_count; i++) {
        const struct wait_graph_reach *reach = &graph->reaches[i];
        json_writer_begin_object(writer, NULL);
        json_writer_u64(writer, "object", reach->object);
        json_writer_u64(writer, "group", reach->group);
        json_writer_text(writer, "function",
                         reach->function == NULL || reach->function[0] == '\0' ? NULL
                                                                               : reach->function);
        json_writer_end_object(writer);
    }
    json_writer_end_array(writer);
}

struct error *graph_json_write(const struct graph_view *view, struct emit_sink *sink)
{
    CLEANUP(string_builder_deinit) struct string_builder text = {0};
    struct json_writer writer;
    json_writer_init(&writer, sink);
    json_writer_begin_object(&writer, NULL);
    json_writer_text(&writer, "schema", "unpark.graph/1");
    dump_json_target(&writer, view->snapshot);
    graph_json_groups(view, &writer);
    TRY(graph_json_objects(view, &text, &writer));
    graph_json_edges(view->graph, &writer);
    json_writer_begin_object(&writer, "summary");
    json_writer_u64(&writer, "goroutines", view->graph->goroutines);
    json_writer_u64(&writer, "outside", view->graph->outside);
    json_writer_u64(&writer, "groups_cut", view->groups_cut);
    json_writer_u64(&writer, "objects_cut", view->objects_cut);
    json_writer_u64(&writer, "edges_cut", view->edges_cut);
    json_writer_text(&writer, "obstacle", view->obstacle);
    json_writer_end_object(&writer);
    json_writer_end_object(&writer);
    emit_sink_add(sink, "\n");
    TRY(string_builder_error(&text));
    return emit_sink_flush(sink);
}
