#include "cli/options.h"
#include "cli/suggest.h"
#include "support.h"

static const struct option test_flag = {
    .name = "each", .letter = 'e', .kind = OPTION_FLAG, .help = "a flag"};
static const struct option test_verbose = {
    .name = "verbose", .letter = 'v', .kind = OPTION_FLAG, .help = "a flag", .repeatable = true};
static const struct option test_number = {
    .name = "limit", .letter = 'n', .kind = OPTION_NUMBER, .parameter = "N", .help = "a number"};
static const struct option test_duration = {
    .name = "wait", .kind = OPTION_DURATION, .parameter = "D", .help = "a duration"};
static const struct option test_text = {
    .name = "text", .letter = 't', .kind = OPTION_TEXT, .parameter = "T", .help = "a text"};
static const struct option test_choice = {.name = "color",
                                          .kind = OPTION_CHOICE,
                                          .parameter = "auto|never",
                                          .help = "a choice",
                                          .choices = (const char *const[]){"auto", "never", NULL}};

/* The options of these tests, in two groups. */
static const struct option_group *test_first_group(void)
{
    static const struct option *const options[] = {&test_flag, &test_verbose, &test_number, NULL};
    static const struct option_group group = {"First", options};
    return &group;
}

static const struct option_group *test_second_group(void)
{
    static const struct option *const options[] = {&test_duration, &test_text, &test_choice, NULL};
    static const struct option_group group = {"Second", options};
    return &group;
}

static option_group_source *const test_sources[] = {test_first_group, test_second_group, NULL};

/* Parses a NULL-terminated list of words. */
static struct error *test_parse(struct options *options, const char *const *words)
{
    size_t count = 0;
    while (words[count] != NULL) {
        count++;
    }
    *options = (struct options){0};
    return options_parse(options, test_sources, (char *const *)words, count);
}

/* Every form of options, between arguments. */
static void test_forms(void **state)
{
    (void)state;
    struct options options;
    const char *const words[] = {"one", "--limit=7",     "--wait", "1m30s", "-vev",   "two",
                                 "-tx", "--color=never", "-",      "--",    "--each", NULL};
    assert_success(test_parse(&options, words));
    assert_int_equal(options.arguments.count, 4);
    assert_string_equal(options.arguments.items[0], "one");
    assert_string_equal(options.arguments.items[1], "two");
    assert_string_equal(options.arguments.items[2], "-");
    assert_string_equal(options.arguments.items[3], "--each");
    assert_int_equal(options_number(&options, &test_number, 1), 7);
    assert_int_equal(options_number(&options, &test_duration, 0), INT64_C(90000000000));
    assert_int_equal(options_count(&options, &test_verbose), 2);
    assert_true(options_has(&options, &test_flag));
    assert_string_equal(options_text(&options, &test_text), "x");
    assert_int_equal(options_number(&options, &test_choice, 0), 1);
    options_deinit(&options);
}

/* What was not given has the default; what was given twice has the last value. */
static void test_defaults(void **state)
{
    (void)state;
    struct options options;
    const char *const words[] = {"-n1", "-n", "2", "--text=", "--wait=0", NULL};
    assert_success(test_parse(&options, words));
    assert_int_equal(options_number(&options, &test_number, 9), 2);
    assert_string_equal(options_text(&options, &test_text), "");
    assert_int_equal(options_number(&options, &test_duration, 9), 0);
    assert_int_equal(options_number(&options, &test_choice, 5), 5);
    assert_false(options_has(&options, &test_flag));
    assert_null(options_text(&options, &test_choice));
    options_deinit(&options);
}

/* Each kind of wrong call is a usage error. */
static void test_wrong_calls(void **state)
{
    (void)state;
    const char *const wrong[][3] = {
        {"--nonsense"},  {"-x"},       {"-ex"},        {"--limit"},
        {"-n"},          {"--limit="}, {"--limit=-1"}, {"--limit=+1"},
        {"--limit=1x"},  {"--each=1"}, {"--wait=5"},   {"--wait=-1s"},
        {"--color=aut"}, {"--color"},  {"--=x"},       {"--limit=9223372036854775808"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct options options;
        assert_error(test_parse(&options, wrong[i]), ERROR_USAGE);
        options_deinit(&options);
    }
}

/* The complaint about a misspelt option names the right one. */
static void test_advice(void **state)
{
    (void)state;
    struct options options;
    const char *const words[] = {"--limt=3", NULL};
    struct error *error = test_parse(&options, words);
    assert_non_null(error);
    assert_string_equal(error_advice(error), "did you mean --limit?");
    error_destroy(error);
    options_deinit(&options);
}

/* Parsing survives every allocation that fails. */
static struct error *test_parse_work(void *context)
{
    struct options options;
    struct error *error = test_parse(&options, context);
    options_deinit(&options);
    return error;
}

static void test_memory(void **state)
{
    (void)state;
    const char *words[] = {"one", "-evn3", "--text=x", "two", "three", NULL};
    support_exhaust(test_parse_work, words);
}

/* The closest word wins, far ones and short ones do not count. */
static void test_suggest(void **state)
{
    (void)state;
    const char *const names[] = {"dump", "ps", "doctor", "completions"};
    const struct {
        const char *word;
        const char *best;
    } cases[] = {{"dmp", "dump"}, {"udmp", "dump"}, {"doktor", "doctor"}, {"comp", "completions"},
                 {"xyzzy", NULL}, {"d", NULL},      {"", NULL},           {"leaks", NULL},
                 {"pss", "ps"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct suggest suggest;
        suggest_init(&suggest, cases[i].word);
        for (size_t j = 0; j < sizeof names / sizeof *names; j++) {
            suggest_offer(&suggest, names[j]);
        }
        if (cases[i].best == NULL) {
            assert_null(suggest.best);
        } else {
            assert_non_null(suggest.best);
            assert_string_equal(suggest.best, cases[i].best);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),       cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_wrong_calls), cmocka_unit_test(test_advice),
        cmocka_unit_test(test_memory),      cmocka_unit_test(test_suggest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
