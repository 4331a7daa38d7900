#include "emit/recording_list.h"
#include "emit/dump_json_internal.h"
#include <inttypes.h>
#include <stdio.h>

/* Writes one line; BEFORE is the moment before, or NULL. */
static void recording_list_write_line(struct emit_sink *sink, size_t number,
                                      const struct recording_moment *moment,
                                      const struct recording_moment *before)
{
    char when[RECORDING_TIME_SIZE];
    char growth[32] = "";
    if (before != NULL && before->goroutines != moment->goroutines) {
        (void)snprintf(growth, sizeof growth, "%+" PRId64,
                       (int64_t)moment->goroutines - (int64_t)before->goroutines);
    }
    recording_format_time(moment->taken_at_ns, when, sizeof when);
    emit_sink_format(sink, "%6zu  %s.%03d  %10" PRIu64 "  %10s  %9" PRIu64 "\n", number, when,
                     (int)(moment->taken_at_ns / 1000000 % 1000), moment->goroutines, growth,
                     moment->bytes);
}

/* Writes a table. */
struct error *recording_list_write_text(const struct recording *recording,
                                        const struct emit_style *style, struct emit_sink *sink)
{
    size_t count;
    uint64_t bytes = 0;
    const struct recording_moment *moments = recording_moments(recording, &count);
    emit_style_begin(style, sink, EMIT_HEADING);
    emit_sink_add(sink, "     #  time                     goroutines              bytes");
    emit_style_end(style, sink, EMIT_HEADING);
    emit_sink_add(sink, "\n");
    for (size_t i = 0; i < count && !emit_sink_failed(sink); i++) {
        recording_list_write_line(sink, i + 1, &moments[i], i == 0 ? NULL : &moments[i - 1]);
        bytes += moments[i].bytes;
    }
    emit_sink_format(sink, "%zu moment%s, %" PRIu64 " bytes\n", count, count == 1 ? "" : "s",
                     bytes);
    return emit_sink_flush(sink);
}

/* Writes an object. */
struct error *recording_list_write_json(const struct recording *recording, struct emit_sink *sink)
{
    size_t count;
    const struct recording_moment *moments = recording_moments(recording, &count);
    struct json_writer writer;
    json_writer_init(&writer, sink);
    json_writer_begin_object(&writer, NULL);
    json_writer_text(&writer, "schema", "unpark.recording/1");
    json_writer_begin_array(&writer, "moments");
    for (size_t i = 0; i < count && !emit_sink_failed(sink); i++) {
        json_writer_begin_object(&writer, NULL);
        json_writer_u64(&writer, "number", i + 1);
        dump_json_write_time(&writer, "taken_at", moments[i].taken_at_ns);
        json_writer_u64(&writer, "goroutines", moments[i].goroutines);
        json_writer_u64(&writer, "system", moments[i].system);
        json_writer_u64(&writer, "bytes", moments[i].bytes);
        json_writer_end_object(&writer);
    }
    json_writer_end_array(&writer);
    json_writer_text(&writer, "damage", recording_damage(recording));
    json_writer_end_object(&writer);
    emit_sink_add(sink, "\n");
    return emit_sink_flush(sink);
}
