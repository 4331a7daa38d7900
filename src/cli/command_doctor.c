/* unpark doctor: what permits or prevents looking at processes. */
#include "base/cleanup.h"
#include "cli/commands.h"
#include "cli/option_sets.h"
#include "cli/output.h"
#include "emit/emit_style.h"
#include "emit/json_writer.h"
#include "service/diagnosis.h"
#include <stdlib.h>
#include <string.h>

static const struct option command_doctor_json = {
    .name = "json", .letter = 'j', .kind = OPTION_FLAG, .help = "write a JSON array"};

/* The options of this command alone. */
static const struct option_group *command_doctor_group(void)
{
    static const struct option *const options[] = {&command_doctor_json, NULL};
    static const struct option_group group = {"Output", options};
    return &group;
}

/* The word for LEVEL, and how it is shown. */
static const char *command_doctor_level(enum diagnosis_level level, enum emit_role *role_ret)
{
    switch (level) {
    case DIAGNOSIS_GOOD:
        *role_ret = EMIT_GOOD;
        return "ok";
    case DIAGNOSIS_NOTE:
        *role_ret = EMIT_PLAIN;
        return "note";
    case DIAGNOSIS_LIMIT:
        *role_ret = EMIT_WARNING;
        return "limit";
    case DIAGNOSIS_FAILURE:
        break;
    }
    *role_ret = EMIT_BAD;
    return "fail";
}

/* Writes one finding for people. */
static void command_doctor_item(const struct diagnosis_item *item, const struct emit_style *style,
                                struct emit_sink *sink)
{
    enum emit_role role;
    const char *level = command_doctor_level(item->level, &role);
    emit_style_begin(style, sink, role);
    emit_sink_format(sink, "%-6s", level);
    emit_style_end(style, sink, role);
    emit_sink_format(sink, "%-18s", item->subject);
    emit_sink_add_escaped(sink, item->text, strlen(item->text));
    emit_sink_add(sink, "\n");
    if (item->advice != NULL) {
        emit_sink_add_spaces(sink, 24);
        emit_sink_add(sink, "-> ");
        emit_sink_add_escaped(sink, item->advice, strlen(item->advice));
        emit_sink_add(sink, "\n");
    }
}

/* Writes the findings as an array. */
static void command_doctor_array(const struct diagnosis *diagnosis, struct emit_sink *sink)
{
    struct json_writer writer;
    json_writer_init(&writer, sink);
    json_writer_begin_array(&writer, NULL);
    for (size_t i = 0; i < diagnosis->items.count; i++) {
        const struct diagnosis_item *item = &diagnosis->items.items[i];
        enum emit_role role;
        json_writer_begin_object(&writer, NULL);
        json_writer_text(&writer, "level", command_doctor_level(item->level, &role));
        json_writer_text(&writer, "subject", item->subject);
        json_writer_text(&writer, "text", item->text);
        json_writer_text(&writer, "advice", item->advice);
        json_writer_end_object(&writer);
    }
    json_writer_end_array(&writer);
    emit_sink_add(sink, "\n");
}

/* Writes DIAGNOSIS. */
static struct error *command_doctor_write(const struct invocation *invocation,
                                          const struct diagnosis *diagnosis)
{
    CLEANUP(output_deinit) struct output output;
    TRY(output_init(&output, options_text(&invocation->options, &option_output)));
    struct emit_style style = {.color = invocation->terminal.color};
    if (options_has(&invocation->options, &command_doctor_json)) {
        command_doctor_array(diagnosis, &output.sink);
    } else {
        for (size_t i = 0; i < diagnosis->items.count; i++) {
            command_doctor_item(&diagnosis->items.items[i], &style, &output.sink);
        }
    }
    return output_commit(&output);
}

/* Examines. */
static struct error *command_doctor_run(struct invocation *invocation, int *exit_ret)
{
    const struct options *options = &invocation->options;
    int64_t pid = 0;
    if (options->arguments.count > 0) {
        const char *text = options->arguments.items[0];
        char *end;
        pid = strtoll(text, &end, 10);
        if (*end != '\0' || pid < 1 || pid > INT32_MAX) {
            return error_create(ERROR_USAGE, "'%s' is not a pid", text);
        }
    }
    CLEANUP(diagnosis_deinit) struct diagnosis diagnosis = {0};
    TRY(diagnosis_init(&diagnosis, pid));
    TRY(command_doctor_write(invocation, &diagnosis));
    if (diagnosis.failed) {
        *exit_ret = command_exit_of_code(diagnosis.code);
    }
    return NULL;
}

const struct command command_doctor = {
    .name = "doctor",
    .summary = "explain what permits or prevents looking at processes",
    .description =
        "Says what this user on this machine may look at: user, capabilities, the kernel's "
        "setting kernel.yama.ptrace_scope, namespaces, and the system call by which memory is "
        "read. With PID it also goes the way of a dump step by step, up to the number of "
        "goroutines, and says where that ends and what to do. Nothing is changed, and the process "
        "is not stopped.\n\n"
        "Reading another process needs what a debugger needs: the same user, or CAP_SYS_PTRACE. "
        "Do not make unpark setuid. An administrator who wants ordinary users to read each "
        "other's processes can give it the capability (setcap cap_sys_ptrace=ep), which hands the "
        "memory of every process to everybody who may run unpark.",
    .arguments =
        (const struct command_argument[]){
            {.name = "PID", .kind = COMMAND_ARGUMENT_PID, .optional = true}, {.name = NULL}},
    .options = (option_group_source *const[]){command_doctor_group, option_group_output,
                                              option_group_common, NULL},
    .examples =
        (const struct command_example[]){
            {"unpark doctor", "what this user may look at"},
            {"unpark doctor 4711", "whether process 4711 can be looked at, and why not"},
            {NULL, NULL},
        },
    .targets = true,
    .run = command_doctor_run,
};
