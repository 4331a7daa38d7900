/* Terms of a filter: records, parsing, ownership. */
#include "snapshot/filter.h"
#include "snapshot/filter_internal.h"
#include <stdlib.h>
#include <string.h>

enum { FILTER_VALUE_MAX = 4096, FILTER_REGEX_MAX = 256 };

static const struct filter_record filter_table[] = {
    {FILTER_STATE, "state", "STATE", "only goroutines in STATE (waiting, running, ...; a,b: any)"},
    {FILTER_WAIT, "wait", "REASON", "only those whose wait reason contains REASON"},
    {FILTER_FUNCTION, "function", "TEXT",
     "only those with a frame whose function has TEXT or /REGEX/"},
    {FILTER_FILE, "file", "TEXT", "only those with a frame whose file has TEXT or /REGEX/"},
    {FILTER_CREATOR, "creator", "TEXT", "only those started by a function with TEXT or /REGEX/"},
    {FILTER_START, "start", "TEXT", "only those whose first function has TEXT or /REGEX/"},
    {FILTER_LABEL, "label", "KEY[=VALUE]", "only those with this profiler label"},
    {FILTER_MIN_AGE, "min-age", "DURATION",
     "only those known to wait for DURATION (90s, 1h) or longer"},
    {FILTER_ID, "id", "IDS", "only these goroutines (17 or 17,20-30)"},
    {FILTER_USER_ONLY, "user-only", NULL, "leave out the runtime's own goroutines"},
    {FILTER_SYSTEM_ONLY, "system-only", NULL, "only the runtime's own goroutines"},
};

/* The records. */
const struct filter_record *filter_records(size_t *count)
{
    *count = sizeof filter_table / sizeof *filter_table;
    return filter_table;
}

/* A filter that lets everything pass. */
struct error *filter_create(struct filter **ret)
{
    *ret = calloc(1, sizeof **ret);
    return *ret == NULL ? error_no_memory() : NULL;
}

/* Frees what a term holds. */
static void filter_term_deinit(struct filter_term *term)
{
    free(term->text);
    free(term->value);
    free(term->ranges);
    if (term->is_regex) {
        regfree(&term->regex);
    }
}

/* Frees a filter. */
void filter_destroy(struct filter *filter)
{
    if (filter == NULL) {
        return;
    }
    for (size_t i = 0; i < filter->terms.count; i++) {
        filter_term_deinit(&filter->terms.items[i]);
    }
    vector_deinit(&filter->terms);
    free(filter);
}

/* Refuses patterns that may take forever: long ones and back references. */
static struct error *filter_check_regex(const char *pattern)
{
    if (strlen(pattern) > FILTER_REGEX_MAX) {
        return error_create(ERROR_USAGE, "a regular expression has at most %d bytes",
                            FILTER_REGEX_MAX);
    }
    for (const char *p = pattern; *p != '\0'; p++) {
        if (*p != '\\') {
            continue;
        }
        if (*++p >= '1' && *p <= '9') {
            return error_create(ERROR_USAGE, "/%s/: back references are not supported", pattern);
        }
        if (*p == '\0') {
            break;
        }
    }
    return NULL;
}

/* Parses TEXT or /REGEX/. */
static struct error *filter_parse_pattern(const char *value, struct filter_term *term)
{
    size_t size = strlen(value);
    bool is_regex = size > 2 && value[0] == '/' && value[size - 1] == '/';
    term->text = is_regex ? strndup(value + 1, size - 2) : strdup(value);
    if (term->text == NULL) {
        return error_no_memory();
    }
    if (!is_regex) {
        return NULL;
    }
    TRY(filter_check_regex(term->text));
    int status = regcomp(&term->regex, term->text, REG_EXTENDED | REG_NOSUB);
    if (status == REG_ESPACE) {
        return error_no_memory();
    }
    if (status != 0) {
        char message[128];
        regerror(status, &term->regex, message, sizeof message);
        return error_create(ERROR_USAGE, "%s: %s", value, message);
    }
    term->is_regex = true;
    return NULL;
}

/* Parses KEY or KEY=VALUE. */
static struct error *filter_parse_label(const char *value, struct filter_term *term)
{
    size_t key = strcspn(value, "=");
    if (key == 0) {
        return error_create(ERROR_USAGE, "\"%s\" is not a label such as key or key=value", value);
    }
    term->text = strndup(value, key);
    if (value[key] == '=') {
        term->value = strdup(value + key + 1);
    }
    return term->text == NULL || (value[key] == '=' && term->value == NULL) ? error_no_memory()
                                                                            : NULL;
}

/* Parses the value of a term that has one. */
static struct error *filter_parse_value(const char *value, struct filter_term *term)
{
    switch (term->kind) {
    case FILTER_STATE:
        return filter_parse_states(value, &term->states);
    case FILTER_WAIT:
        term->text = strdup(value);
        return term->text == NULL ? error_no_memory() : NULL;
    case FILTER_FUNCTION:
    case FILTER_FILE:
    case FILTER_CREATOR:
    case FILTER_START:
        return filter_parse_pattern(value, term);
    case FILTER_LABEL:
        return filter_parse_label(value, term);
    case FILTER_MIN_AGE:
        return filter_parse_duration(value, &term->min_age_ns);
    case FILTER_ID:
        return filter_parse_ids(value, &term->ranges, &term->range_count);
    case FILTER_USER_ONLY:
    case FILTER_SYSTEM_ONLY:
        break;
    }
    return error_create(ERROR_INTERNAL, "unknown filter term %d", (int)term->kind);
}

/* Adds a term. */
struct error *filter_add(struct filter *filter, enum filter_kind kind, const char *value)
{
    struct filter_term term = {.kind = kind};
    struct error *error = NULL;
    if (kind != FILTER_USER_ONLY && kind != FILTER_SYSTEM_ONLY) {
        if (value == NULL || *value == '\0' || strlen(value) > FILTER_VALUE_MAX) {
            return error_create(ERROR_USAGE, "a filter needs a value of 1 to %d bytes",
                                FILTER_VALUE_MAX);
        }
        error = filter_parse_value(value, &term);
    }
    if (error == NULL) {
        error = vector_append(&filter->terms, term);
    }
    if (error != NULL) {
        filter_term_deinit(&term);
    }
    return error;
}
