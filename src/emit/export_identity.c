/* Who the program is and when it was looked at, in the words of headings. */
#include "emit/export_internal.h"
#include <stdio.h>
#include <time.h>

/* Appends string ID. */
static void export_identity_add(struct string_builder *builder, const struct snapshot *snapshot,
                                uint32_t id)
{
    string_builder_add_bytes(builder, snapshot_string(snapshot, id),
                             snapshot_string_size(snapshot, id));
}

/* Appends the last part of the path that string ID is. */
static void export_identity_add_last(struct string_builder *builder,
                                     const struct snapshot *snapshot, uint32_t id)
{
    const char *text = snapshot_string(snapshot, id);
    size_t size = snapshot_string_size(snapshot, id);
    const char *slash = memrchr(text, '/', size);
    size_t skip = slash == NULL ? 0 : (size_t)(slash - text) + 1;
    string_builder_add_bytes(builder, text + skip, size - skip);
}

/* Whether string ID says which program it is; tests and scripts are all of one path. */
static bool export_identity_tells(const struct snapshot *snapshot, uint32_t id)
{
    return id != 0 && strcmp(snapshot_string(snapshot, id), "command-line-arguments") != 0;
}

/* Appends the program. */
void export_add_program(struct string_builder *builder, const struct snapshot *snapshot)
{
    const struct snapshot_program *program = snapshot_program(snapshot);
    uint32_t name = export_identity_tells(snapshot, program->path)     ? program->path
                    : export_identity_tells(snapshot, program->module) ? program->module
                    : program->executable != 0                         ? program->executable
                                                                       : program->source;
    if (name == 0) {
        string_builder_add(builder, "a Go program");
    }
    export_identity_add_last(builder, snapshot, name);
    if (program->module_version != 0 &&
        strcmp(snapshot_string(snapshot, program->module_version), "(devel)") != 0) {
        string_builder_add_char(builder, ' ');
        export_identity_add(builder, snapshot, program->module_version);
    }
}

/* Appends ", " when something stands before. */
static void export_identity_separate(struct string_builder *builder, size_t start)
{
    string_builder_add(builder, builder->size > start ? ", " : "");
}

/* Appends where and when. */
void export_add_origin(struct string_builder *builder, const struct snapshot *snapshot)
{
    const struct snapshot_program *program = snapshot_program(snapshot);
    const uint32_t parts[] = {program->source, program->go_version};
    size_t start = builder->size;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i] != 0) {
            export_identity_separate(builder, start);
            export_identity_add(builder, snapshot, parts[i]);
        }
    }
    if (program->machine != 0) {
        string_builder_add(builder, " linux/");
        export_identity_add(builder, snapshot, program->machine);
    }
    time_t seconds = (time_t)(program->taken_at_ns / 1000000000);
    struct tm tm;
    char text[40];
    if (program->taken_at_ns > 0 && gmtime_r(&seconds, &tm) != NULL &&
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &tm) > 0) {
        export_identity_separate(builder, start);
        string_builder_add(builder, text);
    }
}

/* The state of goroutines. */
const char *export_state(uint8_t status, uint8_t wait_reason)
{
    bool waits = status == GOROUTINE_STATUS_WAITING || status == GOROUTINE_STATUS_LEAKED;
    const char *reason = waits ? wait_reason_text((enum wait_reason)wait_reason) : "";
    return *reason != '\0' ? reason : goroutine_status_text((enum goroutine_status)status);
}
