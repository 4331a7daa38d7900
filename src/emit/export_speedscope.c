/* speedscope's file format (file-format-schema.json of its package): shared frames, then one
 * profile of type "sampled" whose samples list frames from the root on. Values that the format does
 * not allow to be unknown are left out. */
#include "base/cleanup.h"
#include "base/hash_map.h"
#include "emit/export.h"
#include "emit/flame_tree.h"
#include "emit/json_writer.h"

/* A frame of the file. */
struct speedscope_frame {
    uint32_t node; /* the first one that is it */
    bool lines_vary;
};

/* One run. */
struct speedscope {
    struct flame_tree tree;
    struct hash_map indices; /* from flame_tree_key to the frame's index */
    VECTOR(struct speedscope_frame) frames;
    VECTOR(uint32_t) path;
    struct string_builder name;
    struct json_writer writer;
};

/* Frees a run. */
static void speedscope_deinit(struct speedscope *run)
{
    flame_tree_deinit(&run->tree);
    hash_map_deinit(&run->indices);
    vector_deinit(&run->frames);
    vector_deinit(&run->path);
    string_builder_deinit(&run->name);
}

/* Numbers the distinct functions and states of the tree. */
static struct error *speedscope_number(struct speedscope *run)
{
    const struct flame_node *nodes = run->tree.nodes.items;
    for (uint32_t i = 1; i < run->tree.nodes.count; i++) {
        bool added;
        uint64_t *index;
        TRY(hash_map_entry(&run->indices, flame_tree_key(&run->tree, &nodes[i]), run->frames.count,
                           &added, &index));
        if (added) {
            TRY(vector_append(&run->frames, ((struct speedscope_frame){.node = i})));
        }
        struct speedscope_frame *frame = &run->frames.items[*index];
        const struct snapshot_frame *here = flame_tree_frame(&run->tree, &nodes[i]);
        const struct snapshot_frame *first = flame_tree_frame(&run->tree, &nodes[frame->node]);
        frame->lines_vary |= nodes[i].lines_vary || (here != NULL && here->line != first->line);
    }
    return NULL;
}

/* Writes one frame. */
static void speedscope_frame(struct speedscope *run, const struct speedscope_frame *frame)
{
    const struct flame_node *node = &run->tree.nodes.items[frame->node];
    const struct snapshot *snapshot = run->tree.snapshot;
    const struct snapshot_frame *place = flame_tree_frame(&run->tree, node);
    json_writer_begin_object(&run->writer, NULL);
    string_builder_clear(&run->name);
    flame_tree_add_name(&run->tree, node, &run->name);
    json_writer_string(&run->writer, "name", string_builder_text(&run->name), run->name.size);
    if (place != NULL && place->file != 0) {
        json_writer_string(&run->writer, "file", snapshot_string(snapshot, place->file),
                           snapshot_string_size(snapshot, place->file));
        if (place->line != 0 && !frame->lines_vary) {
            json_writer_u64(&run->writer, "line", place->line);
        }
    }
    json_writer_end_object(&run->writer);
}

/* Writes the frames from the root to NODE as a sample. */
static struct error *speedscope_sample(struct speedscope *run, const struct flame_node *node)
{
    run->path.count = 0;
    for (; node->kind != FLAME_ROOT; node = &run->tree.nodes.items[node->parent]) {
        const uint64_t *index = hash_map_get(&run->indices, flame_tree_key(&run->tree, node));
        TRY(vector_append(&run->path, (uint32_t)(index == NULL ? 0 : *index)));
    }
    json_writer_begin_array(&run->writer, NULL);
    for (size_t i = run->path.count; i-- > 0;) {
        json_writer_u64(&run->writer, NULL, run->path.items[i]);
    }
    json_writer_end_array(&run->writer);
    return NULL;
}

/* Writes samples and weights, both in the order of the leaves. */
static struct error *speedscope_samples(struct speedscope *run)
{
    const struct flame_node *nodes = run->tree.nodes.items;
    json_writer_begin_array(&run->writer, "samples");
    for (size_t i = 0; i < run->tree.nodes.count && !emit_sink_failed(run->writer.sink); i++) {
        if (nodes[i].kind == FLAME_STATE) {
            TRY(speedscope_sample(run, &nodes[i]));
        }
    }
    json_writer_end_array(&run->writer);
    json_writer_begin_array(&run->writer, "weights");
    for (size_t i = 0; i < run->tree.nodes.count; i++) {
        if (nodes[i].kind == FLAME_STATE) {
            json_writer_u64(&run->writer, NULL, nodes[i].total);
        }
    }
    json_writer_end_array(&run->writer);
    return NULL;
}

/* Writes the profile. */
static struct error *speedscope_profile(struct speedscope *run, uint32_t source)
{
    const struct snapshot *snapshot = run->tree.snapshot;
    json_writer_begin_array(&run->writer, "profiles");
    json_writer_begin_object(&run->writer, NULL);
    json_writer_text(&run->writer, "type", "sampled");
    string_builder_clear(&run->name);
    string_builder_add(&run->name, "goroutines of ");
    string_builder_add_bytes(&run->name, snapshot_string(snapshot, source),
                             snapshot_string_size(snapshot, source));
    json_writer_string(&run->writer, "name", string_builder_text(&run->name), run->name.size);
    json_writer_text(&run->writer, "unit", "none");
    json_writer_u64(&run->writer, "startValue", 0);
    json_writer_u64(&run->writer, "endValue", run->tree.nodes.items[FLAME_TREE_ROOT].total);
    TRY(speedscope_samples(run));
    json_writer_end_object(&run->writer);
    json_writer_end_array(&run->writer);
    return NULL;
}

/* Writes the file. */
struct error *export_speedscope_write(const struct export_view *view, struct emit_sink *sink)
{
    CLEANUP(speedscope_deinit) struct speedscope run = {0};
    TRY(flame_tree_init(&run.tree, &view->dump, FLAME_BY_WEIGHT, 0));
    TRY(speedscope_number(&run));
    json_writer_init(&run.writer, sink);
    json_writer_begin_object(&run.writer, NULL);
    json_writer_text(&run.writer, "$schema", "https://www.speedscope.app/file-format-schema.json");
    json_writer_text(&run.writer, "exporter", "unpark " UNPARK_VERSION);
    json_writer_begin_object(&run.writer, "shared");
    json_writer_begin_array(&run.writer, "frames");
    for (size_t i = 0; i < run.frames.count; i++) {
        speedscope_frame(&run, &run.frames.items[i]);
    }
    json_writer_end_array(&run.writer);
    json_writer_end_object(&run.writer);
    TRY(speedscope_profile(&run, snapshot_program(view->dump.snapshot)->source));
    json_writer_end_object(&run.writer);
    emit_sink_add(sink, "\n");
    return emit_sink_flush(sink);
}
