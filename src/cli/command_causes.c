/* unpark causes: the catalogue of causes that findings name. */
#include "base/cleanup.h"
#include "cli/commands.h"
#include "cli/option_sets.h"
#include "cli/output.h"
#include "emit/causes.h"

static const struct option command_causes_json = {
    .name = "json", .letter = 'j', .kind = OPTION_FLAG, .help = "write a JSON object"};

/* The names of all causes. */
static const char *const command_causes_names[] = {
#define CAUSE(number, id, proof, title, waker, fix) id,
#define SIGNATURE(number, waits, needs, excludes, helps, names, functions)
#include "leak/causes.def"
#undef CAUSE
#undef SIGNATURE
    NULL};

/* The options of this command alone. */
static const struct option_group *command_causes_group(void)
{
    static const struct option *const options[] = {&command_causes_json, NULL};
    static const struct option_group group = {"Output", options};
    return &group;
}

/* Writes the list, or what is recorded of one cause. */
static struct error *command_causes_run(struct invocation *invocation, int *exit_ret)
{
    (void)exit_ret;
    const struct options *options = &invocation->options;
    const struct cause *cause =
        options->arguments.count == 0 ? NULL : cause_find(options->arguments.items[0]);
    struct emit_style style = {.color = invocation->terminal.color};
    CLEANUP(output_deinit) struct output output;
    TRY(output_init(&output, options_text(options, &option_output)));
    if (options_has(options, &command_causes_json)) {
        TRY(causes_json_write(cause, &output.sink));
    } else if (cause != NULL) {
        TRY(causes_text_write_one(cause, &style, &output.sink));
    } else {
        TRY(causes_text_write_list(&style, &output.sink));
    }
    return output_commit(&output);
}

const struct command command_causes = {
    .name = "causes",
    .aliases = (const char *const[]){"explain", NULL},
    .summary = "list the causes that findings name, or explain one",
    .description =
        "Lists the catalogue of causes of stuck goroutines. With CAUSE, a name as unpark leaks "
        "shows it "
        "in brackets behind a fix, it tells what happened, who should have woken the goroutine, "
        "what to change, whether it can be proved, and how unpark recognises it: what the "
        "goroutines wait in, what else must or must not hold, what speaks for it, and which "
        "functions are looked for in the stack, its creator and its partners.\n\n"
        "A cause is an explanation that fits what was seen. It is not part of the proof that a "
        "goroutine is stuck.",
    .arguments = (const struct command_argument[]){{.name = "CAUSE",
                                                    .kind = COMMAND_ARGUMENT_CHOICE,
                                                    .choices = command_causes_names,
                                                    .optional = true},
                                                   {.name = NULL}},
    .options = (option_group_source *const[]){command_causes_group, option_group_output,
                                              option_group_common, NULL},
    .examples =
        (const struct command_example[]){
            {"unpark causes", "all causes, a line each"},
            {"unpark causes pipe-not-closed", "one of them"},
            {"unpark causes --json | jq -r '.causes[] | [.id, .fix] | @tsv'", "for a table"},
            {NULL, NULL},
        },
    .run = command_causes_run,
};
