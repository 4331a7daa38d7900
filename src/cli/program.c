#include "cli/program.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/option_sets.h"
#include "cli/output.h"
#include "cli/signals.h"
#include "cli/suggest.h"
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

/* Prints one line of the log. */
static void program_log(enum log_level level, const char *text, void *context)
{
    (void)level;
    terminal_print_note(context, text);
}

/* Prints what MAKE appends. */
static struct error *program_print(void (*make)(struct string_builder *))
{
    CLEANUP(output_deinit) struct output output;
    TRY(output_init(&output, NULL));
    CLEANUP(string_builder_deinit) struct string_builder text = {0};
    make(&text);
    TRY(string_builder_error(&text));
    emit_sink_add_builder(&output.sink, &text);
    return output_commit(&output);
}

/* Prints the help of COMMAND. */
static struct error *program_print_help(const struct command *command)
{
    CLEANUP(output_deinit) struct output output;
    TRY(output_init(&output, NULL));
    CLEANUP(string_builder_deinit) struct string_builder text = {0};
    help_command(&text, command);
    TRY(string_builder_error(&text));
    emit_sink_add_builder(&output.sink, &text);
    return output_commit(&output);
}

/* More choices than these are not listed when a word is none of them. */
enum { PROGRAM_CHOICES_LISTED = 8 };

/* Checks WORD against the argument's record. */
static struct error *program_check_choice(const struct command_argument *argument, const char *word)
{
    if (argument->kind != COMMAND_ARGUMENT_CHOICE) {
        return NULL;
    }
    CLEANUP(string_builder_deinit) struct string_builder list = {0};
    struct suggest suggest;
    size_t count = 0;
    suggest_init(&suggest, word);
    for (; argument->choices[count] != NULL; count++) {
        if (strcmp(argument->choices[count], word) == 0) {
            return NULL;
        }
        suggest_offer(&suggest, argument->choices[count]);
        string_builder_format(&list, "%s%s", count == 0 ? "" : ", ", argument->choices[count]);
    }
    TRY(string_builder_error(&list));
    struct error *error = error_create(ERROR_USAGE, "'%s' is not a %s", word, argument->name);
    if (count <= PROGRAM_CHOICES_LISTED) {
        return error_advise(error, "one of %s", string_builder_text(&list));
    }
    return suggest.best == NULL ? error : error_advise(error, "did you mean %s?", suggest.best);
}

/* Checks the arguments of INVOCATION: not too few, not too many. A TARGET may be given by options
 * instead; who asks for it checks. */
static struct error *program_check_arguments(const struct invocation *invocation)
{
    const struct command_argument *argument = invocation->command->arguments;
    size_t given = invocation->options.arguments.count, i = 0;
    for (; argument != NULL && argument->name != NULL; argument++, i++) {
        if (i >= given) {
            if (argument->optional || argument->kind == COMMAND_ARGUMENT_TARGET) {
                continue;
            }
            return error_advise(error_create(ERROR_USAGE, "%s: %s is missing",
                                             invocation->command->name, argument->name),
                                "see unpark %s --help", invocation->command->name);
        }
        TRY(program_check_choice(argument, invocation->options.arguments.items[i]));
    }
    if (given > i) {
        return error_advise(error_create(ERROR_USAGE, "%s: '%s' is one argument too many",
                                         invocation->command->name,
                                         invocation->options.arguments.items[i]),
                            "see unpark %s --help", invocation->command->name);
    }
    return NULL;
}

/* Sets up what every command shares, by its options. */
static void program_prepare(struct invocation *invocation)
{
    const struct options *options = &invocation->options;
    const char *file = options_text(options, &option_output);
    size_t verbose = options_count(options, &option_verbose);
    terminal_init(&invocation->terminal,
                  (enum terminal_color)options_number(options, &option_color, TERMINAL_COLOR_AUTO),
                  options_has(options, &option_quiet), file != NULL && strcmp(file, "-") != 0);
    log_configure(verbose == 0   ? LOG_LEVEL_WARNING
                  : verbose == 1 ? LOG_LEVEL_INFO
                                 : LOG_LEVEL_DEBUG,
                  program_log, &invocation->terminal);
    /* what we read of others must not reach a core file of ours or a debugger of our user's */
    (void)prctl(PR_SET_DUMPABLE, 0);
}

/* Parses WORDS (behind the command's name) and runs COMMAND. */
static struct error *program_run_command(const struct command *command, char *const *words,
                                         size_t count, int *exit_ret)
{
    struct invocation invocation = {.command = command};
    struct error *error = options_parse(&invocation.options, command->options, words, count);
    if (options_has(&invocation.options, &option_help)) {
        error_destroy(error);
        error = program_print_help(command);
    } else if (error == NULL) {
        error = program_check_arguments(&invocation);
        if (error == NULL) {
            program_prepare(&invocation);
            error = command->run(&invocation, exit_ret);
        }
    }
    log_configure(LOG_LEVEL_WARNING, NULL, NULL);
    options_deinit(&invocation.options);
    return error;
}

/* The complaint about WORD in the place of a command. */
static struct error *program_not_a_command(const char *word)
{
    struct stat status;
    if (word[0] == '-') {
        return error_advise(error_create(ERROR_USAGE, "unknown option %s", word),
                            "options follow the command: unpark dump %s ...", word);
    }
    if (strspn(word, "0123456789") == strlen(word) || strncmp(word, "name:", 5) == 0 ||
        stat(word, &status) == 0) {
        return error_advise(error_create(ERROR_USAGE, "'%s' is not a command", word),
                            "did you mean unpark dump %s?", word);
    }
    return commands_unknown(word);
}

/* Does what WORDS (without the program's own name) ask for. */
static struct error *program_dispatch(size_t count, char *const *words, int *exit_ret)
{
    if (count == 0) {
        return program_print(help_first_steps);
    }
    if (strcmp(words[0], "--help") == 0 || strcmp(words[0], "-h") == 0) {
        return program_print(help_program);
    }
    if (strcmp(words[0], "--version") == 0 || strcmp(words[0], "-V") == 0) {
        return program_run_command(&command_version, NULL, 0, exit_ret);
    }
    const struct command *command = commands_find(words[0]);
    if (command == NULL) {
        return program_not_a_command(words[0]);
    }
    return program_run_command(command, words + 1, count - 1, exit_ret);
}

/* Keeps freed memory for the next buffer of its kind, and takes new memory in large steps: mapping
 * and unmapping it each time lets threads that read wait for each other, and its pages are cleared
 * anew. */
static void program_keep_memory(void)
{
#ifdef __GLIBC__
    enum { STEP = 1 << 20, KEPT = 8 << 20 };
    (void)mallopt(M_TOP_PAD, STEP);
    (void)mallopt(M_MMAP_THRESHOLD, STEP);
    (void)mallopt(M_TRIM_THRESHOLD, KEPT);
#endif
}

int program_run(int count, char **words)
{
    signals_init();
    program_keep_memory();
    int exit = COMMAND_EXIT_OK;
    size_t given = count > 0 ? (size_t)count - 1 : 0;
    struct error *error = program_dispatch(given, words + 1, &exit);
    if (error == NULL) {
        return exit;
    }
    if (error_catch(&error, ERROR_PIPE)) {
        return 128 + SIGPIPE;
    }
    terminal_print_error(error);
    exit = command_exit_of(error);
    error_destroy(error);
    return exit;
}
