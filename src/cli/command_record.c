/* unpark record: snapshots over time in one file. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/beat.h"
#include "cli/commands.h"
#include "cli/option_sets.h"
#include "cli/output.h"
#include "emit/describe.h"
#include "emit/recording_list.h"
#include "service/service.h"
#include "snapshot/recording.h"
#include "snapshot/scrub.h"
#include <stdlib.h>
#include <string.h>

CLEANUP_DEFINE(service, struct service, service_close)
CLEANUP_DEFINE(snapshot, struct snapshot, snapshot_destroy)
CLEANUP_DEFINE(recording, struct recording, recording_close)
CLEANUP_DEFINE(recording_writer, struct recording_writer, recording_writer_close)

#define COMMAND_RECORD_EVERY_NS INT64_C(1000000000)
#define COMMAND_RECORD_LEAST_NS INT64_C(1000000)
#define COMMAND_RECORD_LONGEST_NS (INT64_C(36500) * 86400 * 1000000000)

/* So many looks may fail one after the other. */
enum { COMMAND_RECORD_FAILURES = 10 };

static const struct option command_record_output = {.name = "output",
                                                    .letter = 'o',
                                                    .kind = OPTION_FILE,
                                                    .parameter = "FILE",
                                                    .help =
                                                        "record into FILE, which must not exist"};
static const struct option command_record_every = {.name = "every",
                                                   .letter = 'i',
                                                   .kind = OPTION_DURATION,
                                                   .parameter = "DURATION",
                                                   .help = "a snapshot each DURATION (1s)"};
static const struct option command_record_for = {
    .name = "for",
    .letter = 'd',
    .kind = OPTION_DURATION,
    .parameter = "DURATION",
    .help = "end after DURATION (else: with the program, or by Ctrl-C)"};
static const struct option command_record_append = {
    .name = "append", .kind = OPTION_FLAG, .help = "continue FILE when it exists"};
static const struct option command_record_force = {
    .name = "force", .kind = OPTION_FLAG, .help = "replace FILE when it exists"};
static const struct option command_record_list = {
    .name = "list",
    .kind = OPTION_FLAG,
    .help = "list the moments of the recording that is given in TARGET's place"};
static const struct option command_record_json = {
    .name = "json", .letter = 'j', .kind = OPTION_FLAG, .help = "with --list: write a JSON object"};
static const struct option command_record_stop = {
    .name = "stop",
    .kind = OPTION_FLAG,
    .help = "stop the program briefly each time, to add the stacks of running goroutines"};

/* What is recorded where. */
static const struct option_group *command_record_group(void)
{
    static const struct option *const options[] = {&command_record_output, &command_record_every,
                                                   &command_record_for,    &command_record_append,
                                                   &command_record_force,  &option_scrub,
                                                   &command_record_list,   &command_record_json,
                                                   &option_color,          NULL};
    static const struct option_group group = {"Recording", options};
    return &group;
}

/* How the target is treated. */
static const struct option_group *command_record_stop_group(void)
{
    static const struct option *const options[] = {&command_record_stop, &option_max_stop, NULL};
    static const struct option_group group = {"Stopping", options};
    return &group;
}

/* How recording went. */
struct command_record_course {
    uint64_t failed;    /* looks */
    unsigned in_a_row;  /* failures since the last good look */
    int64_t longest_ns; /* of the looks */
    bool gone;          /* the target ended */
};

/* Prints TEXT to people on stderr and empties it. */
static void command_record_say(const struct invocation *invocation, struct string_builder *text)
{
    terminal_print_note(&invocation->terminal, string_builder_text(text));
    string_builder_deinit(text);
}

/* Opens the target that the invocation names. */
static struct error *command_record_open(const struct options *options, const char **target_ret,
                                         struct service **ret)
{
    struct service_options service_options = {.exe = options_text(options, &option_exe),
                                              .core = options_has(options, &option_core)};
    TRY(option_sets_target(options, target_ret));
    return service_open(*target_ret, &service_options, ret);
}

/* How to open the file; without an option it must be new. */
static struct error *command_record_mode(const struct options *options, enum recording_mode *ret)
{
    bool append = options_has(options, &command_record_append);
    bool force = options_has(options, &command_record_force);
    if (append && force) {
        return error_create(ERROR_USAGE, "--append and --force exclude each other");
    }
    *ret = append ? RECORDING_APPEND : force ? RECORDING_REPLACE : RECORDING_NEW;
    return NULL;
}

/* Takes one snapshot and adds it. */
static struct error *command_record_take(const struct options *options, struct service *service,
                                         struct recording_writer *writer, int64_t *longest_ns)
{
    CLEANUP(cleanup_snapshot) struct snapshot *snapshot = NULL;
    struct service_look look = {
        .objects = true,
        .labels = true,
        .stop = options_has(options, &command_record_stop),
        .max_stop_ns = option_sets_max_stop(options),
    };
    TRY(service_snapshot(service, &look, &snapshot));
    int64_t took = snapshot_program(snapshot)->read_ns;
    *longest_ns = took > *longest_ns ? took : *longest_ns;
    if (options_has(options, &option_scrub)) {
        TRY(snapshot_scrub(snapshot));
    }
    return recording_writer_add(writer, snapshot);
}

/* Decides about the failure of a look: passed on when it ends the recording. The end of the target
 * is no failure once something was recorded. */
static struct error *command_record_judge(const struct invocation *invocation,
                                          const struct recording_writer *writer,
                                          struct command_record_course *course, struct error *error)
{
    if (error == NULL) {
        course->in_a_row = 0;
        return NULL;
    }
    bool some = recording_writer_count(writer) > 0;
    if (some && error_catch(&error, ERROR_GONE)) {
        course->gone = true;
        return NULL;
    }
    enum error_code code = error_code(error);
    bool passing = code == ERROR_FAULT || code == ERROR_CORRUPT || code == ERROR_LIMIT;
    if (!some || !passing || ++course->in_a_row >= COMMAND_RECORD_FAILURES) {
        return error;
    }
    if (course->failed++ == 0) {
        struct string_builder text = {0};
        string_builder_format(&text, "a look failed, recording goes on: %s", error_message(error));
        command_record_say(invocation, &text);
    }
    error_destroy(error);
    return NULL;
}

/* Says how it went. */
static void command_record_sum_up(const struct invocation *invocation, const char *path,
                                  const struct recording_writer *writer,
                                  const struct command_record_course *course,
                                  const struct beat *beat, uint64_t took_ns)
{
    struct string_builder text = {0};
    size_t count = recording_writer_count(writer);
    string_builder_add(&text, course->gone ? "the program has ended; " : "");
    string_builder_format(&text, "%s: %zu snapshot%s in ", path, count, count == 1 ? "" : "s");
    describe_duration(&text, (int64_t)took_ns);
    string_builder_format(&text, ", %llu bytes",
                          (unsigned long long)recording_writer_bytes(writer));
    if (beat->skipped > 0) {
        string_builder_format(&text, "; %llu beats skipped, a look took up to ",
                              (unsigned long long)beat->skipped);
        describe_duration(&text, course->longest_ns);
    }
    if (course->failed > 0) {
        string_builder_format(&text, "; %llu looks failed", (unsigned long long)course->failed);
    }
    command_record_say(invocation, &text);
}

/* Takes snapshots until the end. */
static struct error *command_record_loop(const struct invocation *invocation,
                                         struct service *service, struct recording_writer *writer,
                                         struct beat *beat, struct command_record_course *course)
{
    uint64_t told = 0;
    while (!course->gone && beat_wait(beat)) {
        if (beat->skipped > 0 && told == 0) {
            struct string_builder text = {0};
            told = beat->skipped;
            string_builder_add(&text, "a look takes ");
            describe_duration(&text, course->longest_ns);
            string_builder_add(&text, ", longer than --every: beats are skipped");
            command_record_say(invocation, &text);
        }
        struct error *error =
            command_record_take(&invocation->options, service, writer, &course->longest_ns);
        TRY(command_record_judge(invocation, writer, course, error));
    }
    return NULL;
}

/* Says on stderr that recording begins. */
static void command_record_announce(const struct invocation *invocation, const char *target,
                                    const char *path, int64_t every_ns, int64_t for_ns)
{
    struct string_builder text = {0};
    string_builder_format(&text, "recording %s into %s every ", target, path);
    describe_duration(&text, every_ns);
    if (for_ns > 0) {
        string_builder_add(&text, " for ");
        describe_duration(&text, for_ns);
    }
    string_builder_add(&text, "; Ctrl-C ends it");
    command_record_say(invocation, &text);
}

/* Refuses durations that make no sense. */
static struct error *command_record_times(const struct options *options, int64_t *every_ret,
                                          int64_t *for_ret)
{
    *every_ret = options_number(options, &command_record_every, COMMAND_RECORD_EVERY_NS);
    *for_ret = options_number(options, &command_record_for, 0);
    if (*every_ret < COMMAND_RECORD_LEAST_NS) {
        return error_create(ERROR_USAGE, "--every: at least 1ms");
    }
    if (*every_ret > COMMAND_RECORD_LONGEST_NS || *for_ret > COMMAND_RECORD_LONGEST_NS) {
        return error_create(ERROR_USAGE, "--every and --for: at most a hundred years");
    }
    return NULL;
}

/* Records. */
static struct error *command_record_start(struct invocation *invocation)
{
    const struct options *options = &invocation->options;
    const char *path = options_text(options, &command_record_output);
    const char *target;
    int64_t every_ns, for_ns;
    enum recording_mode mode;
    if (path == NULL) {
        return error_advise(error_create(ERROR_USAGE, "no file to record into"),
                            "give one with -o FILE");
    }
    TRY(command_record_times(options, &every_ns, &for_ns));
    TRY(command_record_mode(options, &mode));
    CLEANUP(cleanup_service) struct service *service = NULL;
    TRY(command_record_open(options, &target, &service));
    CLEANUP(cleanup_recording_writer) struct recording_writer *writer = NULL;
    TRY(recording_writer_open(path, mode, &writer));
    struct command_record_course course = {0};
    struct beat beat;
    command_record_announce(invocation, target, path, every_ns, for_ns);
    beat_init(&beat, (uint64_t)every_ns, (uint64_t)for_ns);
    struct error *error = command_record_loop(invocation, service, writer, &beat, &course);
    uint64_t took_ns = clock_now() - beat.start_ns;
    beat_deinit(&beat);
    if (recording_writer_count(writer) > 0) {
        command_record_sum_up(invocation, path, writer, &course, &beat, took_ns);
    }
    return error;
}

/* Lists the moments of a recording. */
static struct error *command_record_list_moments(struct invocation *invocation)
{
    const struct options *options = &invocation->options;
    const char *path;
    TRY(option_sets_target(options, &path));
    CLEANUP(cleanup_recording) struct recording *recording = NULL;
    TRY(recording_open(path, &recording));
    CLEANUP(output_deinit) struct output output;
    TRY(output_init(&output, options_text(options, &command_record_output)));
    struct emit_style style = {.color = invocation->terminal.color};
    TRY(options_has(options, &command_record_json)
            ? recording_list_write_json(recording, &output.sink)
            : recording_list_write_text(recording, &style, &output.sink));
    TRY(output_commit(&output));
    if (recording_damage(recording) != NULL) {
        terminal_print_note(&invocation->terminal, recording_damage(recording));
    }
    return NULL;
}

/* Records or lists. */
static struct error *command_record_run(struct invocation *invocation, int *exit_ret)
{
    (void)exit_ret;
    const struct options *options = &invocation->options;
    if (options_has(options, &command_record_list)) {
        return command_record_list_moments(invocation);
    }
    if (options_has(options, &command_record_json)) {
        return error_create(ERROR_USAGE, "--json goes with --list");
    }
    return command_record_start(invocation);
}

const struct command command_record = {
    .name = "record",
    .summary = "record a program's goroutines over time",
    .description =
        "Takes a snapshot of a program every second and appends it to a file, until --for is over, "
        "the program ends or Ctrl-C is pressed; each is an ordinary end, with exit status 0. The "
        "program is not stopped, unless --stop is given. The file is small: equal stacks are in "
        "it once, and a goroutine to which nothing happened takes nothing.\n\n"
        "Whatever happens to the recorder, all whole snapshots in the file can be read, also while "
        "it is being written. When a look takes longer than --every, beats are skipped; the last "
        "line on stderr says how many. Argument words are not recorded: with --format go a moment "
        "has (...) in their place. The file is readable by "
        "its owner only: it says what another program holds in memory. With --scrub it holds no "
        "labels, addresses and peers.\n\n"
        "Every command takes any moment of a recording as its target: FILE is the last one, and\n\n"
        "  FILE@10:00, FILE@10:00:05      at a time of day, local time\n"
        "  FILE@2026-11-24T10:00:05Z      at a time\n"
        "  FILE@+30s, FILE@-30s           after the first, before the last\n"
        "  FILE@first, FILE@last, FILE@3  the first, last, third one\n\n"
        "The snapshot nearest to a time is taken; the output says which one it is. unpark record "
        "--list FILE lists them.",
    .arguments = (const struct command_argument[]){{.name = "TARGET"}, {.name = NULL}},
    .options = (option_group_source *const[]){command_record_group, command_record_stop_group,
                                              option_group_target, option_group_common, NULL},
    .examples =
        (const struct command_example[]){
            {"unpark record 4711 -o api.unpark --for 10m", "ten minutes, a snapshot a second"},
            {"unpark record --list api.unpark", "its moments, with their numbers of goroutines"},
            {"unpark diff api.unpark@first api.unpark@last", "what has grown meanwhile"},
            {"unpark dump api.unpark@10:00 --min-age 1m", "any command at any moment of it"},
            {NULL, NULL},
        },
    .targets = true,
    .run = command_record_run,
};
