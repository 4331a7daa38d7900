#include "cli/options.h"
#include "base/string_builder.h"
#include "cli/suggest.h"
#include "snapshot/filter.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The words still to be read. */
struct options_words {
    char *const *words;
    size_t count;
    size_t next;
};

void options_deinit(struct options *options)
{
    vector_deinit(&options->values);
    vector_deinit(&options->arguments);
}

/* The first option for which NAME of SIZE bytes, or LETTER when NAME is NULL, stands. */
static const struct option *options_search(option_group_source *const *sources, const char *name,
                                           size_t size, char letter)
{
    for (; *sources != NULL; sources++) {
        const struct option *const *option = (*sources)()->options;
        for (; *option != NULL; option++) {
            if (name == NULL
                    ? (*option)->letter == letter
                    : strlen((*option)->name) == size && memcmp((*option)->name, name, size) == 0) {
                return *option;
            }
        }
    }
    return NULL;
}

const struct option *options_find(option_group_source *const *sources, const char *name,
                                  size_t size)
{
    return options_search(sources, name, size, 0);
}

/* Parses the decimal number TEXT of at least MINIMUM. */
static struct error *options_parse_number(const struct option *option, const char *text,
                                          int64_t minimum, int64_t *ret)
{
    errno = 0;
    char *end;
    long long value = strtoll(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0') {
        return error_create(ERROR_USAGE, "--%s: '%s' is not a number", option->name, text);
    }
    if (errno == ERANGE || value < minimum) {
        return error_create(ERROR_USAGE, "--%s: %s is out of range", option->name, text);
    }
    *ret = value;
    return NULL;
}

/* Parses a duration of 0 or more. */
static struct error *options_parse_duration(const struct option *option, const char *text,
                                            int64_t *ret)
{
    if (strcmp(text, "0") == 0) {
        *ret = 0;
        return NULL;
    }
    struct error *error = filter_parse_duration(text, ret);
    if (error != NULL) {
        return error_wrap(error, "--%s", option->name);
    }
    return *ret >= 0 ? NULL : error_create(ERROR_USAGE, "--%s: %s is negative", option->name, text);
}

/* Finds TEXT among the choices of OPTION. */
static struct error *options_parse_choice(const struct option *option, const char *text,
                                          int64_t *ret)
{
    struct suggest suggest;
    struct string_builder choices = {0};
    suggest_init(&suggest, text);
    for (size_t i = 0; option->choices[i] != NULL; i++) {
        if (strcmp(option->choices[i], text) == 0) {
            string_builder_deinit(&choices);
            *ret = (int64_t)i;
            return NULL;
        }
        string_builder_format(&choices, "%s%s", i > 0 ? "|" : "", option->choices[i]);
        suggest_offer(&suggest, option->choices[i]);
    }
    struct error *error = error_create(ERROR_USAGE, "--%s: '%s' is not one of %s", option->name,
                                       text, string_builder_text(&choices));
    string_builder_deinit(&choices);
    return suggest.best == NULL ? error : error_advise(error, "did you mean %s?", suggest.best);
}

/* Checks TEXT by the kind of OPTION and stores it. */
static struct error *options_add(struct options *options, const struct option *option,
                                 const char *text)
{
    struct options_value value = {.option = option, .text = text};
    switch (option->kind) {
    case OPTION_NUMBER:
        TRY(options_parse_number(option, text, 0, &value.number));
        break;
    case OPTION_PID:
        TRY(options_parse_number(option, text, 1, &value.number));
        break;
    case OPTION_DURATION:
        TRY(options_parse_duration(option, text, &value.number));
        break;
    case OPTION_CHOICE:
        TRY(options_parse_choice(option, text, &value.number));
        break;
    case OPTION_FILE:
        if (text[0] == '\0') {
            return error_create(ERROR_USAGE, "--%s: the file name is empty", option->name);
        }
        break;
    case OPTION_FLAG:
    case OPTION_TEXT:
        break;
    }
    return vector_append(&options->values, value);
}

/* The next word as the value of OPTION. */
static struct error *options_take_value(struct options_words *words, const struct option *option,
                                        const char **ret)
{
    if (words->next == words->count) {
        return error_create(ERROR_USAGE, "--%s needs a value: --%s=%s", option->name, option->name,
                            option->parameter);
    }
    *ret = words->words[words->next++];
    return NULL;
}

/* The complaint about an unknown long option NAME, with the closest known one. */
static struct error *options_unknown(option_group_source *const *sources, const char *name,
                                     size_t size)
{
    char copy[64];
    size_t kept = size < sizeof copy ? size : sizeof copy - 1;
    memcpy(copy, name, kept);
    copy[kept] = '\0';
    struct suggest suggest;
    suggest_init(&suggest, copy);
    for (; *sources != NULL; sources++) {
        const struct option *const *option = (*sources)()->options;
        for (; *option != NULL; option++) {
            suggest_offer(&suggest, (*option)->name);
        }
    }
    struct error *error =
        error_create(ERROR_USAGE, "unknown option --%.*s", (int)(size > 200 ? 200 : size), name);
    return suggest.best == NULL ? error : error_advise(error, "did you mean --%s?", suggest.best);
}

/* Reads "--name", "--name=value" or "--name value"; TEXT is behind the dashes. */
static struct error *options_read_long(struct options *options, option_group_source *const *sources,
                                       const char *text, struct options_words *words)
{
    size_t size = strcspn(text, "=");
    const struct option *option = options_search(sources, text, size, 0);
    if (option == NULL) {
        return options_unknown(sources, text, size);
    }
    const char *value = text[size] == '=' ? text + size + 1 : NULL;
    if (option->kind == OPTION_FLAG && value != NULL) {
        return error_create(ERROR_USAGE, "--%s takes no value", option->name);
    }
    if (option->kind != OPTION_FLAG && value == NULL) {
        TRY(options_take_value(words, option, &value));
    }
    return options_add(options, option, value);
}

/* Reads bundled letters: flags, at most the last one with a value, "-n10" or "-n 10". */
static struct error *options_read_letters(struct options *options,
                                          option_group_source *const *sources, const char *text,
                                          struct options_words *words)
{
    for (; *text != '\0'; text++) {
        const struct option *option = options_search(sources, NULL, 0, *text);
        if (option == NULL) {
            return error_advise(error_create(ERROR_USAGE, "unknown option -%c", *text),
                                "see --help");
        }
        if (option->kind == OPTION_FLAG) {
            TRY(options_add(options, option, NULL));
            continue;
        }
        const char *value = text + 1;
        if (*value == '\0') {
            TRY(options_take_value(words, option, &value));
        }
        return options_add(options, option, value);
    }
    return NULL;
}

struct error *options_parse(struct options *options, option_group_source *const *sources,
                            char *const *words, size_t count)
{
    struct options_words state = {.words = words, .count = count};
    bool ended = false;
    while (state.next < count) {
        const char *word = words[state.next++];
        if (ended || word[0] != '-' || word[1] == '\0') {
            TRY(vector_append(&options->arguments, word));
        } else if (strcmp(word, "--") == 0) {
            ended = true;
        } else if (word[1] == '-') {
            TRY(options_read_long(options, sources, word + 2, &state));
        } else {
            TRY(options_read_letters(options, sources, word + 1, &state));
        }
    }
    return NULL;
}

/* The last value given for OPTION, or NULL. */
static const struct options_value *options_last(const struct options *options,
                                                const struct option *option)
{
    for (size_t i = options->values.count; i > 0; i--) {
        if (options->values.items[i - 1].option == option) {
            return &options->values.items[i - 1];
        }
    }
    return NULL;
}

bool options_has(const struct options *options, const struct option *option)
{
    return options_last(options, option) != NULL;
}

const char *options_text(const struct options *options, const struct option *option)
{
    const struct options_value *value = options_last(options, option);
    return value == NULL ? NULL : value->text;
}

int64_t options_number(const struct options *options, const struct option *option,
                       int64_t default_value)
{
    const struct options_value *value = options_last(options, option);
    return value == NULL ? default_value : value->number;
}

size_t options_count(const struct options *options, const struct option *option)
{
    size_t count = 0;
    for (size_t i = 0; i < options->values.count; i++) {
        count += options->values.items[i].option == option;
    }
    return count;
}
